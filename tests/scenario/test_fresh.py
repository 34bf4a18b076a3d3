# SPDX-License-Identifier: Apache-2.0
"""Desired state over the line: what is held is proved to be what the fleet wants, and a broker that
replays, holds back or invents changes nothing and is told of."""
import socket

import pytest

from one_terminal import OneTerminal
from processes import wait_for

TABLE = b"prefix\tbank\tscheme\n400000\tbank-a\t1\n"
NEXT = TABLE + b"499999\tbank-b\t1\n"
MANIFEST = "muster/v1/down/term-0001/manifest"


class World(OneTerminal):
    def assign(self, content):
        self.fleet.publish("bin-routing", content)
        self.fleet.ctl_ok("assign", "bin-routing", "--device", "term-0001", "--mode", "repair")
        self.fleet.wait_converged()

    def envelope(self):
        """The manifest as the director signed it."""
        return self.fleet.query("SELECT envelope FROM manifest")[0][0]

    def trust(self):
        return self.terminal.status()["trust"]

    def wait_refused(self, reason):
        wait_for(lambda: self.trust()["last_refusal"] == reason, what=f"refused: {reason}")

    def applied(self):
        return (self.terminal.registry / "current" / "bin-routing").read_bytes()

    def described(self):
        return self.fleet.json("describe", "device", "term-0001")

    def counted(self, reason):
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(self.fleet.folder / "api.sock"))
            client.sendall(b"GET /metrics HTTP/1.1\r\nHost: m\r\nConnection: close\r\n\r\n")
            answer = b""
            while part := client.recv(65536):
                answer += part
        name = f'muster_terminal_refusals_total{{reason="{reason}"}} '
        return sum(int(line[len(name):]) for line in answer.decode().splitlines()
                   if line.startswith(name))


@pytest.fixture
def world(bin_dir, processes, run_dir, broker, pki):
    made = World(bin_dir, processes, run_dir, broker, pki)
    made.terminal.start_agent()
    made.connect()
    return made


def test_fresh_once_a_welcome_names_what_is_held(world):
    wait_for(lambda: world.trust()["stale"] == "", what="nothing is wanted, and that is proved")
    world.assign(TABLE)
    assert world.trust()["stale"] == "", "what came since a welcome is newer than it"
    world.terminal.agent.stop()
    world.terminal.link.stop()
    world.terminal.start_agent()
    assert "no welcome yet" in world.trust()["stale"]
    assert world.applied() == TABLE
    world.terminal.start_link(world.broker, world.pki)
    wait_for(lambda: world.trust()["stale"] == "", what="proved again")
    trust = world.trust()
    assert trust["fleet_manifest"] == 1 and trust["fresh_ms"] > 0 and trust["epoch"] == 1
    said = world.terminal.muster("status").stdout
    assert "what is held is what the fleet wants, proved" in said and " ago (" in said
    assert trust["fresh_age_ms"] >= 0 and trust["welcomes_unasked"] == 0
    state = world.terminal.status()["state"]
    item, = state["items"]
    assert (item["mode"], item["refusal"], state["manifest_epoch"]) == ("repair", "none", 1)
    device = world.described()
    assert (device["held_manifest_epoch"], device["held_manifest_version"]) == (1, 1)


def test_a_manifest_held_back_is_noticed(world):
    """The broker lies between: what the fleet signs reaches nobody, and the old one stays retained."""
    world.assign(TABLE)
    old = world.envelope()
    world.terminal.link.stop()
    world.fleet.publish("bin-routing", NEXT)
    world.fleet.ctl_ok("assign", "bin-routing", "--device", "term-0001", "--mode", "repair")
    world.fleet.process.stop()
    world.broker.publish(MANIFEST, old, retain=True)
    world.connect()
    assert "has not answered on this connection" in world.trust()["stale"]
    assert world.applied() == TABLE
    world.fleet.start(world.broker, world.pki)
    world.fleet.wait_converged()
    wait_for(lambda: world.trust()["stale"] == "", what="proved")
    assert world.applied() == NEXT


def test_replays_and_forgeries_are_told_with_their_reason(world):
    world.assign(TABLE)
    old = world.envelope()
    world.assign(NEXT)
    newest = world.envelope()
    world.broker.publish(MANIFEST, old)
    world.wait_refused("manifest_old")
    world.broker.publish(MANIFEST, newest[:-1] + bytes([newest[-1] ^ 1]))
    world.wait_refused("signature")
    world.broker.publish(MANIFEST, b"\xff" * 40)
    world.wait_refused("malformed")
    assert world.applied() == NEXT
    assert world.trust()["refused"] == 3
    wait_for(lambda: all(world.counted(reason) == 1
                         for reason in ("manifest_old", "signature", "malformed")),
             what="the fleet has counted them")
    told = {event["refusal"] for event in world.described()["events"]}
    assert {"manifest_old", "signature", "malformed"} <= told
    said = world.fleet.ctl_ok("describe", "device", "term-0001")
    assert "manifest_old: a manifest is not accepted" in said


@pytest.mark.parametrize("lost", ["registry", "state"])
def test_floors_outlive_the_loss_of_either_place(world, lost):
    world.assign(TABLE)
    old = world.envelope()
    world.assign(NEXT)
    world.terminal.link.stop()
    world.terminal.agent.stop()
    first, second = world.terminal.registry / "floors", world.terminal.folder / "state" / "floors"
    assert first.read_bytes() == second.read_bytes()
    kept = first.read_bytes()
    if lost == "registry":
        first.unlink()
    else:
        second.write_bytes(b"")
    world.fleet.process.stop()
    world.broker.publish(MANIFEST, old, retain=True)
    world.terminal.start_agent()
    world.terminal.start_link(world.broker, world.pki)
    world.wait_refused("manifest_old")
    assert world.applied() == NEXT
    wait_for(lambda: first.exists() and second.exists() and first.read_bytes() == kept
             and second.read_bytes() == kept, what="both are whole again")
