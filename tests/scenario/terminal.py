# SPDX-License-Identifier: Apache-2.0
"""One terminal: muster-agent and muster-link with settings of their own, and the `muster` command."""
import json
import subprocess

from processes import wait_for

AGENT = """[device]
id = {device}
serial = SN-{device}
model = A920
[paths]
state = state
run = run
[keys]
agent = agent.pem
sealing = sealing.pem
root = {root}
{keys}
[spool]
grace = {grace}
{spool}
[uplink]
{uplink}
[registry]
check_every = 1h
{registry}
[gate]
{gate}
[probe]
{probe}
"""

QUICK = "linger = 50ms\nquiet = 50ms\nresend = 2s"

LINK = """[device]
id = {device}
[broker]
servers = {broker}
{extra}
[tls]
ca = {ca}
certificate = {certificate}
key = {key}
[agent]
socket = run/link.sock
"""


class Terminal:
    def __init__(self, bin_dir, processes, folder, device, root, grace="0ms", registry="",
                 spool="", uplink=QUICK, probe="every = 1h", gate="alone = 0s", keys="",
                 program="muster-agent", env=None):
        self.bin, self.processes, self.device = bin_dir, processes, device
        self.program, self.env = program, env
        self.folder = folder
        folder.mkdir()
        self.agent = self.link = None
        (folder / "agent.conf").write_text(
            AGENT.format(device=device, root=root, grace=grace, registry=registry,
                         spool=spool, uplink=uplink, probe=probe, gate=gate, keys=keys))

    def make_key(self):
        """The agent key's public half, a PEM file."""
        made = subprocess.run(
            [self.bin / "muster-agent", "--config", self.folder / "agent.conf", "--make-key"],
            check=True, stdout=subprocess.PIPE)
        public = self.folder / "agent.pub"
        public.write_bytes(made.stdout)
        return public

    def make_sealing_key(self):
        """A certification request for the sealing key, a PEM file."""
        made = subprocess.run(
            [self.bin / "muster-agent", "--config", self.folder / "agent.conf",
             "--make-sealing-key"], check=True, stdout=subprocess.PIPE)
        request = self.folder / "sealing.csr"
        request.write_bytes(made.stdout)
        return request

    def start_agent(self, *wrapper, env=None):
        argv = [*wrapper, self.bin / self.program, "--config", self.folder / "agent.conf"]
        self.agent = self.processes.start(f"agent {self.device}", argv, cwd=self.folder,
                                          env=env or self.env)
        self.agent.wait_line("ready")
        return self.agent

    def start_link(self, broker, pki, identity=None, env=None, extra=""):
        identity = identity or pki.client(self.device)
        (self.folder / "link.conf").write_text(LINK.format(
            device=self.device, broker=broker.address, extra=extra, ca=pki.ca,
            certificate=identity.certificate, key=identity.key))
        self.link = self.processes.start(
            f"link {self.device}",
            [self.bin / "muster-link", "--config", self.folder / "link.conf"], cwd=self.folder,
            env=env)
        return self.link

    @property
    def socket(self):
        return self.folder / "run" / "client.sock"

    @property
    def registry(self):
        return self.folder / "state" / "registry"

    def muster(self, *args, stdin=None):
        """Runs the `muster` command: its finished process."""
        return subprocess.run([str(self.bin / "muster"), *args, "--socket", str(self.socket)],
                              input=stdin, capture_output=True, text=True, timeout=60, check=False)

    def status(self):
        done = self.muster("status", "-o", "json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def record(self, count, first=1, **fields):
        """Hands over `count` results in bulk; their idempotency keys are key-<device>-<n>."""
        lines = [json.dumps({"idempotency_key": f"key-{self.device}-{n}",
                             "outcome": "approved", "code": "00", "code_source": "host",
                             "stan": n % 1000000, "amount_minor": 100 + n, "currency": 156, **fields})
                 for n in range(first, first + count)]
        return self.muster("record", "--json", "-", stdin="\n".join(lines) + "\n")

    def wait_connected(self):
        wait_for(lambda: self.status().get("connected"), what=f"{self.device} connected")
