# SPDX-License-Identifier: Apache-2.0
"""The fleet side: keys, musterd and the operators' command."""
import contextlib
import json
import sqlite3
import pathlib
import shutil
import subprocess
import tempfile

from processes import free_port, wait_for

CONFIG = """[broker]
servers = {broker}
client_id = musterd
retry_first = 20ms
retry_max = 200ms
[tls]
ca = {ca}
certificate = {certificate}
key = {key}
[keys]
director = keys/director.pem
receipt = keys/receipt.pem
root = keys/root.bin
[database]
path = fleet.db
[http]
socket = api.sock
listen = 127.0.0.1:{port}
[receipt]
coalesce = 20ms
{extra}
"""


class FleetSide:
    keys = tempfile.TemporaryDirectory(prefix="muster-")

    def __init__(self, bin_dir, processes, folder, extra=""):
        self.bin, self.processes, self.folder, self.extra = bin_dir, processes, folder, extra
        folder.mkdir()
        self.process = None
        self.port = free_port()
        self.copy_keys()
        self.root = folder / "keys" / "root.bin"

    def copy_keys(self):
        """Those of all fleets of this run: making them is tested where keys are."""
        kept = pathlib.Path(self.keys.name) / "keys"
        if not kept.exists():
            self.ctl_ok("keys", "make", kept)
        shutil.copytree(kept, self.folder / "keys")

    def write_config(self, broker, pki):
        identity = pki.client("musterd")
        (self.folder / "musterd.conf").write_text(CONFIG.format(
            broker=broker.address, port=self.port, ca=pki.ca, certificate=identity.certificate,
            key=identity.key, extra=self.extra))

    def start(self, broker, pki):
        self.write_config(broker, pki)
        self.process = self.processes.start(
            "musterd", [self.bin / "musterd", "--config", self.folder / "musterd.conf"],
            cwd=self.folder)
        self.process.wait_line("ready")
        return self.process

    def ctl(self, *args, timeout=90, stdin=None):
        return subprocess.run(
            [str(self.bin / "musterctl"), *[str(arg) for arg in args]], cwd=self.folder,
            env={"MUSTERCTL_SERVER": f"unix:{self.folder}/api.sock", "PATH": "/usr/bin:/bin"},
            capture_output=True, text=True, timeout=timeout, check=False, input=stdin)

    def ctl_ok(self, *args):
        done = self.ctl(*args)
        assert done.returncode == 0, f"musterctl {args}: {done.returncode}: {done.stderr}"
        return done.stdout

    def json(self, *args):
        return json.loads(self.ctl_ok(*args, "-o", "json"))

    def enrol(self, terminal):
        """With a TID of its own: T0000001 is the first one's."""
        tids = self.__dict__.setdefault("tids", {})
        tid = tids.setdefault(terminal.device, f"T{len(tids) + 1:07}")
        self.ctl_ok("device", "add", terminal.device, "--serial", f"SN-{terminal.device}",
                    "--model", "A920", "--agent-key", terminal.make_key(),
                    "--merchant", "m1", "--merchant-name", "Corner Shop",
                    "--store", "s1", "--store-name", "Main Street", "--region", "north",
                    "--terminal", f"0:0:{tid}:M00000000000001")

    def publish(self, name, content, kind="table", *more):
        source = self.folder / f"{name}.source"
        source.write_bytes(content)
        return self.ctl_ok("doc", "publish", name, source, "--kind", kind,
                           "--release-key", "keys/release.pem", *more)

    def wait_converged(self, timeout="60s"):
        self.ctl_ok("get", "devices", "--wait", "converged", "--timeout", timeout)

    def query(self, sql, *values):
        """Rows of the fleet database, read-only beside the running musterd."""
        path = self.folder / "fleet.db"
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
            return database.execute(sql, values).fetchall()

    def results(self):
        return self.query("SELECT count(*) FROM result")[0][0]

    def wait_results(self, count, timeout=30.0):
        wait_for(lambda: self.results() >= count, timeout, f"{count} results in the fleet database")
        assert self.results() == count
