# SPDX-License-Identifier: Apache-2.0
"""Brokers that keep no messages: nothing waits there for a terminal, so what it lacks comes when the
fleet has heard of it. Some refuse who asks them to keep anything, the word of being offline too."""
import random
import signal

import fleet_side
import pytest

from fake_agent import Puback
from hostile_broker import HostileBroker
from link_bench import up
from one_terminal import OneTerminal
from processes import wait_for
from wire import next_word

KEEPS_NOTHING = "retain_available false"
ROWS = [b"%06d\tbank %d\n" % (622000 + n, n * n % 997) for n in range(3000)]
TABLE = b"bin\tissuer\n" + b"".join(ROWS)
FIRMWARE = random.Random(3).randbytes(2 * 1024 * 1024 + 7)


def shown(topic, payload):
    return f"{topic} {payload.hex()}"


# ---- the link ----

@pytest.mark.parametrize("protocol", ["5", "auto"])
def test_a_link_goes_on_without_a_will_that_is_kept(bench, make_broker, protocol):
    broker = make_broker(extra=KEEPS_NOTHING)
    hears = broker.subscribe(up("online"))
    link = bench.start(broker.address, protocol=protocol)
    bench.agent.disconnected("CONNACK 154")
    bench.agent.connected()
    link.wait_line("keeps no messages")
    _, seen = next_word(hears, up("online"), True)
    bench.agent.publish(1, up("batch"), b"a record")
    assert bench.agent.expect(Puback).accepted
    link.signal(signal.SIGKILL)
    next_word(hears, up("online"), False, after=seen)


def test_what_is_kept_of_a_terminal_is_kept_by_the_will_too(bench, make_broker):
    broker = make_broker(extra=KEEPS_NOTHING)
    bench.start(broker.address, protocol="5")
    bench.agent.connected()
    broker.stop()
    broker.extra = ""
    broker.start()
    for told in (False, True):  # the will of the first session was said before the broker's word
        bench.agent.connected()
        bench.agent.publish(1, up("batch"), b"behind it")
        assert bench.agent.expect(Puback).accepted
        later = broker.subscribe(up("#"))
        bench.agent.publish(2, up("batch"), b"a mark")
        later.wait_line(shown(up("batch"), b"a mark"))
        assert any(line.startswith(up("online")) for line in later.lines) == told
        later.stop()
        broker.stop()
        broker.start()


def test_mqtt_3_1_1_is_told_by_a_setting(bench, make_broker):
    broker = make_broker(extra=KEEPS_NOTHING)
    link = bench.start(broker.address, protocol="3.1.1")
    bench.agent.disconnected("instead of a CONNACK")
    link.stop()
    bench.agent.close()
    bench.agent = type(bench.agent)(bench.socket)
    bench.start(broker.address, protocol="3.1.1", retain="no")
    bench.agent.connected()
    bench.agent.publish(1, up("batch"), b"a record")
    assert bench.agent.expect(Puback).accepted


def test_a_broker_that_refuses_only_what_it_is_given_is_spared_it(bench):
    with HostileBroker(bench.pki, "keeps nothing") as broker:
        link = bench.start(f"localhost:{broker.port}", protocol="5")
        bench.agent.disconnected("Retain not supported")
        bench.agent.connected()
        bench.agent.publish(1, up("batch"), b"a record")
        assert bench.agent.expect(Puback).accepted
        broker.end_all()
        bench.agent.connected()
        bench.agent.publish(2, up("batch"), b"another")
        assert bench.agent.expect(Puback).accepted
        assert link.log().count("Retain not supported") == 1, "it is not tried again"


# ---- the fleet ----

class World(OneTerminal):
    def prepare(self):
        self.fleet.ctl_ok("keys", "new", "director-2.pem", "--public", "director-2.pub")

    def assign(self, name, content, kind="table"):
        self.fleet.publish(name, content, kind)
        self.fleet.ctl_ok("assign", name, "--device", "term-0001", "--mode", "repair")

    def held(self, name):
        file = self.terminal.registry / "current" / name
        return file.read_bytes() if file.exists() else b""

    def replace_director(self):
        self.fleet.ctl_ok("keys", "rotate", "keys/root.bin", "root-2.bin", "--add",
                          "director=director-2.pub", "--remove", "director=keys/director.pem")
        self.fleet.ctl_ok("keys", "sign", "root-2.bin", "--previous", "keys/root.bin", "--key",
                          "keys/root.pem")
        self.fleet.ctl_ok("root", "publish", "root-2.bin")

    def online(self):
        return self.fleet.json("get", "devices")["devices"][0]["online"]


@pytest.fixture
def world(bin_dir, processes, run_dir, make_broker, pki, monkeypatch):
    monkeypatch.setattr(fleet_side, "CONFIG", fleet_side.CONFIG.replace(
        "keys/director.pem", "keys/director.pem, director-2.pem"))
    made = World(bin_dir, processes, run_dir, make_broker(extra=KEEPS_NOTHING), pki)
    made.terminal.start_agent()
    return made


def test_roots_manifests_deltas_and_pieces_come_when_they_are_lacking(world):
    world.connect()
    world.fleet.process.wait_line("keeps no retained messages")
    world.assign("bins", TABLE)
    world.fleet.wait_converged()
    assert world.held("bins") == TABLE
    assert "which keeps no messages" in world.terminal.muster("status").stdout
    assert world.terminal.status()["link"]["broker_keeps_nothing"] is True
    # All that follows is said while nobody listens.
    world.terminal.link.stop()
    world.replace_director()
    changed = TABLE + b"999999\tnew bank\n"
    world.assign("bins", changed)
    world.assign("firmware", FIRMWARE, kind="file")
    world.connect()
    world.terminal.agent.wait_line("trust root 2 is in force")
    world.fleet.wait_converged()
    assert world.held("bins") == changed and world.held("firmware") == FIRMWARE
    wait_for(lambda: world.terminal.status()["trust"]["stale"] == "", what="proved fresh")


def test_who_sends_is_online_for_a_musterd_that_came_later(world):
    world.connect()
    wait_for(world.online, what="it said so")
    world.fleet.process.stop()
    world.fleet.start(world.broker, world.pki)
    world.fleet.process.wait_line("connected to")
    world.terminal.record(1)
    wait_for(world.online, what="it sends")
    world.terminal.link.kill()
    wait_for(lambda: not world.online(), what="the will is heard")
