# SPDX-License-Identifier: Apache-2.0
"""The ops side of a test: signing keys, musterd, and the musterctl command."""
import http.client
import json
import os
import socket
import subprocess

from processes import free_port

MUSTERD = """[broker]
servers = {broker}
client_id = ops
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
"""


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=30)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(30)
        self.sock.connect(str(self.path))


class Ops:
    def __init__(self, bin_dir, processes, pki, folder):
        self.bin, self.processes, self.pki, self.folder = bin_dir, processes, pki, folder
        folder.mkdir()
        self.keys = folder / "keys"
        self.socket = folder / "api.sock"
        self.server = f"unix:{self.socket}"
        self.port = free_port()
        self.musterd = None

    def make_keys(self):
        self.ok("keys", "make", self.keys)

    def start(self, broker):
        """musterd with a session on the broker."""
        identity = self.pki.client("ops")
        config = self.folder / "musterd.conf"
        config.write_text(MUSTERD.format(broker=broker.address, ca=self.pki.ca, port=self.port,
                                         certificate=identity.certificate, key=identity.key))
        self.musterd = self.processes.start(
            "musterd", [self.bin / "musterd", "--config", config], cwd=self.folder)
        self.musterd.wait_line("ready")
        self.musterd.wait_line("connected to")
        return self.musterd

    def run(self, *args, server=None):
        """Runs musterctl: its finished process."""
        return subprocess.run([str(arg) for arg in [self.bin / "musterctl", *args]],
                              env={**os.environ, "MUSTERCTL_SERVER": server or self.server},
                              capture_output=True, text=True, timeout=120, check=False)

    def ok(self, *args):
        """The output of a musterctl that must succeed."""
        done = self.run(*args)
        assert done.returncode == 0, f"{args}: exit {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout

    def json(self, *args):
        return json.loads(self.ok(*args, "-o", "json"))

    def fails(self, code, *args, server=None):
        """What a musterctl says that must end with this exit code."""
        done = self.run(*args, server=server)
        assert done.returncode == code, (
            f"{args}: exit {done.returncode}, not {code}\n{done.stdout}{done.stderr}")
        return done.stderr

    def http(self, method, path, body=None):
        """A plain request to the API: status and JSON."""
        connection = UnixConnection(self.socket)
        try:
            connection.request(method, path, body=body)
            reply = connection.getresponse()
            return reply.status, json.loads(reply.read())
        finally:
            connection.close()

    def add_device(self, device, key=None):
        """Enrols a device; without a key with a fresh one of its own."""
        if key is None:
            key = self.folder / f"{device}.pem"
            subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", key], check=True,
                           capture_output=True)
            key.chmod(0o600)
        self.ok("device", "add", device, "--serial", f"SN-{device}", "--model", "A920",
                "--agent-key", key, "--merchant", "m1", "--merchant-name", "商户一", "--store", "s1",
                "--region", "south", "--terminal", f"0:unionpay:{abs(hash(device)) % 10**8:08}:"
                "123456789012345")

    def publish(self, name, content, *options, kind="table"):
        """Publishes bytes as a document; returns musterctl's JSON."""
        file = self.folder / f"{name}.content"
        file.write_bytes(content)
        return self.json("doc", "publish", name, file, "--kind", kind, "--release-key",
                         self.keys / "release.pem", *options)
