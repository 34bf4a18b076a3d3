# SPDX-License-Identifier: Apache-2.0
"""A fake agent, and links that join it: what tests of muster-link alone share."""
from fake_agent import FakeAgent

DEVICE = "term-1"

CONFIG = """[device]
id = {device}
[broker]
servers = {servers}
protocol = {protocol}
retain = {retain}
keepalive = {keepalive}
connect_limit = {connect_limit}
retry_first = {retry_first}
retry_max = {retry_max}
stable = {stable}
[tls]
ca = {ca}
certificate = {certificate}
key = {key}
time_floor = {time_floor}
[agent]
socket = {socket}
[content]
hold = {content_hold}
[log]
level = debug
"""


def up(leaf, device=DEVICE):
    return f"muster/v1/up/{device}/{leaf}"


def down(leaf, device=DEVICE):
    return f"muster/v1/down/{device}/{leaf}"


class Bench:
    """A fake agent and the means to start links that join it."""

    def __init__(self, bin_dir, processes, pki, folder):
        self.bin_dir, self.processes, self.pki, self.folder = bin_dir, processes, pki, folder
        self.socket = folder / "link.sock"
        self.agent = FakeAgent(self.socket)

    def config(self, servers, device=DEVICE, **changes):
        identity = changes.pop("identity", None) or self.pki.client(device)
        values = {"device": device, "servers": servers, "protocol": "auto", "ca": self.pki.ca,
                  "certificate": identity.certificate, "key": identity.key,
                  "socket": self.socket, "keepalive": "10s", "connect_limit": "10s",
                  "retry_first": "50ms", "retry_max": "200ms", "stable": "1s", "time_floor": 0,
                  "content_hold": "1m",
                  "retain": "yes"}
        path = self.folder / "link.conf"
        path.write_text(CONFIG.format(**{**values, **changes}))
        return path

    def start(self, servers, env=None, **changes):
        link = self.processes.start("muster-link", [
            self.bin_dir / "muster-link", "--config", self.config(servers, **changes)], env=env)
        self.agent.join()
        return link
