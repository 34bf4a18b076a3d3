# SPDX-License-Identifier: Apache-2.0
"""A real mosquitto with mutual TLS, as a fleet would run it: the certificate is the identity."""
import getpass
import subprocess

from processes import free_port

# A device writes below its own name and reads what is meant for it; musterd reads what they write
# and writes what they read; "ops" is the tests' own client.
ACL = """pattern write muster/v1/up/%u/#
pattern read muster/v1/down/%u/#
pattern read muster/v1/blob/+
pattern read muster/v1/trust/+
user musterd
topic read muster/v1/up/#
topic write muster/v1/down/#
topic write muster/v1/blob/+
topic write muster/v1/trust/+
user ops
topic readwrite muster/v1/#
"""

CONFIG = """user {user}
listener {port} 127.0.0.1
allow_anonymous false
acl_file {acl}
cafile {ca}
certfile {certificate}
keyfile {key}
require_certificate true
use_identity_as_username true
use_username_as_clientid true
tls_version tlsv1.2
log_dest stderr
log_type all
persistence {persistence}
persistence_location {folder}/
{extra}
"""


class Broker:
    ACL, CONFIG = ACL, CONFIG

    def __init__(self, processes, pki, folder, persistence=False, names=None, extra="",
                 server=None):
        self.processes, self.pki, self.folder = processes, pki, folder
        self.persistence, self.extra = persistence, extra
        self.identity = server or (pki.server(names) if names else pki.server())
        self.port = free_port()
        self.address = f"localhost:{self.port}"
        self.process = None

    def start(self):
        """Returns when it listens; a port that was taken meanwhile is changed at the first start."""
        first = self.process is None
        for _ in range(5):
            self.process = self.spawn()
            try:
                self.process.wait_line("running")
                return self
            except AssertionError:
                if not first or "Address already in use" not in self.process.log():
                    raise
                self.port = free_port()
                self.address = f"localhost:{self.port}"
        raise AssertionError("no port for the broker")

    def spawn(self):
        """Does not wait until it listens."""
        acl = self.folder / "acl"
        acl.write_text(self.ACL)
        acl.chmod(0o600)
        config = self.folder / "mosquitto.conf"
        config.write_text(self.CONFIG.format(
            user=getpass.getuser(), port=self.port, acl=acl, ca=self.pki.ca,
            certificate=self.identity.certificate, key=self.identity.key, folder=self.folder,
            persistence="true" if self.persistence else "false", extra=self.extra))
        return self.processes.start("mosquitto", ["/usr/sbin/mosquitto", "-c", config])

    def stop(self):
        self.process.stop()

    def kill(self):
        self.process.kill()

    def _client(self, tool, identity, *args):
        return [tool, "-h", "localhost", "-p", self.port, "--cafile", self.pki.ca,
                "--cert", identity.certificate, "--key", identity.key, "-V", "mqttv5", "-q", "1",
                *args]

    def subscribe(self, topic, identity=None):
        """A mosquitto_sub that prints "topic hex-payload" per message; returns when subscribed."""
        identity = identity or self.pki.client("ops")
        process = self.processes.start("mosquitto_sub", [
            "stdbuf", "-oL", *self._client("mosquitto_sub", identity, "-t", topic, "-d",
                                           "-F", "%t %x")])
        process.wait_line("Subscribed (mid")
        return process

    def publish_lines(self, topic, lines):
        """Each line a message, all in one session; returns when the broker has taken them."""
        args = self._client("mosquitto_pub", self.pki.client("ops"), "-t", topic, "-l")
        subprocess.run([str(arg) for arg in args], input=b"\n".join(lines) + b"\n", check=True,
                       capture_output=True, timeout=60)

    def publish(self, topic, payload, identity=None, retain=False, extra=()):
        """mosquitto_pub; returns its finished process with its output."""
        source = self.folder / "payload"
        source.write_bytes(payload)
        args = self._client("mosquitto_pub", identity or self.pki.client("ops"), "-t", topic,
                            "-f", source, *(["-r"] if retain else []), *extra)
        return subprocess.run([str(arg) for arg in args], capture_output=True, text=True,
                              timeout=60, check=False)
