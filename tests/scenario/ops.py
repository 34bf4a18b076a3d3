# SPDX-License-Identifier: Apache-2.0
"""What the tests of musterctl itself need beside the fleet side: raw requests, wanted failures."""
import http.client
import json
import socket
import subprocess

import contract
from fleet_side import FleetSide


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=30)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(30)
        self.sock.connect(str(self.path))


class Ops(FleetSide):
    def fails(self, code, *args):
        """What a musterctl says that must end with this exit code."""
        done = self.ctl(*args)
        assert done.returncode == code, (
            f"{args}: exit {done.returncode}, not {code}\n{done.stdout}{done.stderr}")
        return done.stderr

    def raw(self, method, path, body=None):
        """A plain request to the API: status and bytes. The answer is as fleet/openapi.json says."""
        connection = UnixConnection(self.folder / "api.sock")
        try:
            connection.request(method, path, body=body)
            reply = connection.getresponse()
            answer = reply.read()
            contract.check(method, path, reply.status, reply.getheader("Content-Type"), answer, body)
            return reply.status, answer
        finally:
            connection.close()

    def tcp(self, method, path, token):
        """The same over TCP with a token: status and JSON."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, headers={"Authorization": f"Bearer {token}"})
            reply = connection.getresponse()
            answer = reply.read()
            contract.check(method, path, reply.status, reply.getheader("Content-Type"), answer)
            return reply.status, json.loads(answer)
        finally:
            connection.close()

    def http(self, method, path, body=None):
        """The same with JSON for an answer."""
        status, reply = self.raw(method, path, body)
        return status, json.loads(reply)

    def add_device(self, device, tid):
        """Enrols a device that only exists on paper, with a key of its own."""
        key = self.folder / f"{device}.pem"
        subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", key], check=True,
                       capture_output=True)
        key.chmod(0o600)
        self.ctl_ok("device", "add", device, "--serial", f"SN-{device}", "--model", "A920",
                    "--agent-key", key, "--merchant", "m1", "--merchant-name", "商户一",
                    "--store", "s1", "--region", "south",
                    "--terminal", f"0:unionpay:{tid}:123456789012345")

    def release(self, name, content, *options, kind="table"):
        """Publishes bytes as a document; returns musterctl's JSON."""
        file = self.folder / f"{name}.content"
        file.write_bytes(content)
        return self.json("doc", "publish", name, file, "--kind", kind, "--release-key",
                         "keys/release.pem", *options)
