# SPDX-License-Identifier: Apache-2.0
"""A fleet of simulated terminals: muster-sim, its broker, and musterd that knows them all."""
import base64
import collections
import contextlib
import csv
import json
import os
import pathlib
import re
import shutil
import tempfile

from broker import Broker
from ops import Ops, UnixConnection

TABLES = pathlib.Path(__file__).resolve().parents[2] / "packaging/sample/tables"

# Simulated terminals come without TLS and are who they say they are; all others need a certificate.
ACL = """topic read $SYS/#
pattern write muster/v1/up/%c/#
pattern read muster/v1/down/%c/#
topic read muster/v1/blob/+
topic read muster/v1/trust/+
user musterd
topic read muster/v1/up/#
topic write muster/v1/down/#
topic write muster/v1/blob/+
topic write muster/v1/trust/+
user ops
topic read $SYS/#
"""

CONFIG = """user {user}
sys_interval 1
max_queued_messages 30000
acl_file {acl}
allow_anonymous true
listener {port} 127.0.0.1
cafile {ca}
certfile {certificate}
keyfile {key}
require_certificate true
use_identity_as_username true
use_username_as_clientid true
tls_version tlsv1.2
listener {extra} 127.0.0.1
log_dest stderr
log_type error
log_type warning
log_type notice
log_type information
connection_messages false
persistence {persistence}
persistence_location {folder}/
"""

FIGURE = re.compile(r"^sim\.(\w+)\.(\w+) ([0-9.]+) \S+$")


@contextlib.contextmanager
def folder_in_memory():
    """For the terminals' files, of which there are thousands: nothing syncs them."""
    shared = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    folder = pathlib.Path(tempfile.mkdtemp(prefix="muster-", dir=shared))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class SimBroker(Broker):
    """mosquitto with a second listener for simulated terminals."""
    ACL, CONFIG = ACL, CONFIG

    def __init__(self, processes, pki, folder, plain_port):
        super().__init__(processes, pki, folder, extra=str(plain_port))
        self.plain = f"127.0.0.1:{plain_port}"


class SimulatedFleet(Ops):
    def __init__(self, bin_dir, processes, folder, terminals, count):
        super().__init__(bin_dir, processes, folder)
        self.terminals = terminals
        self.count = count
        self.ids = [f"sim-{n:05d}" for n in range(1, count + 1)]
        self.sim = None

    def make_keys(self):
        process = self.processes.start("muster-sim keys", [
            self.bin / "muster-sim", "keys", "--dir", self.terminals, "--devices", self.count])
        assert process.wait(300) == 0, process.log()

    def agent_key(self, device):
        pem = (self.terminals / device / "agent.pub").read_text(encoding="ascii")
        return "".join(line for line in pem.splitlines() if not line.startswith("-"))

    def enrolment(self, n):
        """Two or three terminals in a store, three stores of a merchant."""
        device = self.ids[n]
        key = self.agent_key(device)
        base64.b64decode(key, validate=True)
        return {"id": device, "serial": f"SN-{device}", "model": "SIM-1", "agent_key": key,
                "merchant": {"id": f"m{n // 8}", "name": f"Merchant {n // 8}"},
                "store": {"id": f"s{n // 8}-{n % 8 % 3}", "name": f"Store {n % 8 % 3}",
                          "region": ("north", "south", "west")[n // 8 % 3]},
                "terminals": [{"index": 0, "acquirer": "unionpay", "tid": f"T{n:07d}",
                               "mid": f"M{n // 8:014d}"}]}

    def enrol_all(self):
        """All in one session with the API."""
        connection = UnixConnection(self.folder / "api.sock")
        try:
            for n in range(self.count):
                connection.request("POST", "/api/v1/devices", body=json.dumps(self.enrolment(n)))
                reply = connection.getresponse()
                body = reply.read()
                assert reply.status == 200, f"{self.ids[n]}: {reply.status} {body!r}"
        finally:
            connection.close()

    def want(self):
        """What each of them is to hold: a code profile, and a table."""
        self.publish("codes-unionpay", (TABLES / "codes-unionpay.tsv").read_bytes(), "code-profile")
        self.publish("hosts.tsv", b"name\taddress\nmain\t192.0.2.1\n")
        for name in ("codes-unionpay", "hosts.tsv"):
            self.ctl_ok("assign", name, "--all", "--mode", "repair")

    def start_sim(self, broker, *options):
        self.sim = self.processes.start("muster-sim", [
            self.bin / "muster-sim", "run", "--dir", self.terminals, "--devices", self.count,
            "--broker", broker.plain, "--root", self.root, "--ledger", self.folder / "ledger.tsv",
            *options])
        return self.sim

    def figures(self):
        """What the sim has printed so far: {"quarter_1": {"waiting": 3.0, ...}, ...}"""
        found = collections.defaultdict(dict)
        for line in self.sim.log().splitlines():
            figure = FIGURE.match(line)
            if figure:
                found[figure[1]][figure[2]] = float(figure[3])
        return found

    # ---- what was made, and what is held ----

    def made(self):
        """{device: (results, amount, declined, events, health)} as the terminals have counted."""
        with open(self.folder / "ledger.tsv", encoding="ascii", newline="") as file:
            rows = csv.reader(file, delimiter="\t")
            next(rows)
            return {row[0]: tuple(map(int, row[1:])) for row in rows}

    def held(self):
        """The same as the fleet database has it, from the rows themselves."""
        sums = {device: [0, 0, 0, 0, 0] for device in self.ids}
        for device, *values in self.query(
                "SELECT d.name, count(*), sum(r.amount_minor), sum(r.outcome = 2)"
                " FROM result r JOIN device d ON d.id = r.device GROUP BY r.device"):
            sums[device][:3] = values
        for at, table in ((3, "event"), (4, "health")):
            for device, count in self.query(
                    f"SELECT d.name, count(*) FROM {table} r JOIN device d ON d.id = r.device"
                    " GROUP BY r.device"):
                sums[device][at] = count
        return {device: tuple(values) for device, values in sums.items()}

    def differences(self):
        """Of which terminals not all is held exactly once: a line each."""
        made, held = self.made(), self.held()
        return [f"{device}: made {made[device]}, held {held.get(device)}"
                for device in made if made[device] != held.get(device)]
