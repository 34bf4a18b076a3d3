# SPDX-License-Identifier: Apache-2.0
"""Content on the line: of the stated length only, held back when it is used to stop records, asked
for when the broker has lost it, late when it does not come."""
import contextlib
import hashlib
import re
import sqlite3
import types

import pytest

from fake_agent import Message, Puback
from hostile_broker import HostileBroker
from link_bench import down, up
from one_terminal import OneTerminal
from processes import wait_for

CONTENT = b"content that is wanted"
DIGEST = hashlib.sha256(CONTENT).digest()
MANIFEST = "muster/v1/down/term-0001/manifest"


def table(seed, changed=99):
    """Too much for a manifest to carry itself, however it is compressed, even as a delta from the
    table of seed 1 if fewer rows of it are changed."""
    rows = [f"{400000 + n}\t{hashlib.sha256(bytes([seed if n < changed else 1, n])).hexdigest()[:20]}"
            "\t1" for n in range(99)]
    return "\n".join(["prefix\tbank\tscheme", *rows, ""]).encode()


TABLE, NEXT, CHANGED = table(1), table(2), table(3, 70)


def blob(digest):
    return f"muster/v1/blob/{digest.hex()}"


# ---- the link ----

def test_a_blob_of_another_length_is_not_passed_on(bench, broker):
    broker.publish(blob(DIGEST), CONTENT + b"x", retain=True)
    link = bench.start(broker.address)
    bench.agent.connected()
    bench.agent.fetch(DIGEST, size=len(CONTENT))
    link.wait_line("refused: a blob of 23 bytes where 22 are wanted")
    for payload in (CONTENT[:-1], b"", CONTENT):
        broker.publish(blob(DIGEST), payload)
    broker.publish(down("receipt"), b"a mark behind it")
    message = bench.agent.expect(Message)
    assert (message.topic, message.payload) == (blob(DIGEST), CONTENT)
    assert bench.agent.expect(Message).topic == down("receipt")


def test_content_without_an_end_does_not_stop_records(bench):
    with HostileBroker(bench.pki, "endless content") as hostile:
        bench.start(f"localhost:{hostile.port}", protocol="5")
        bench.agent.connected()
        bench.agent.fetch(DIGEST, size=len(CONTENT))
        bench.agent.disconnected("longer than")
        assert "longer than" in bench.agent.connected().content_held
        bench.agent.fetch(DIGEST, hashlib.sha256(b"other").digest(), size=len(CONTENT))
        bench.agent.publish(1, up("batch"), b"a record")
        assert bench.agent.expect(Puback).accepted


def test_content_is_held_back_for_longer_until_it_has_come_whole(bench):
    with HostileBroker(bench.pki, "endless content") as hostile:
        link = bench.start(f"localhost:{hostile.port}", protocol="5", content_hold="10ms")

        def held():
            return [int(wait) for wait in re.findall(r"asked for within (\d+) ms", link.log())]

        def change(mood, content=b""):
            hostile.mood, hostile.retained = mood, {blob(DIGEST).encode(): content}
            hostile.end_all()

        bench.agent.connected()
        bench.agent.fetch(DIGEST, size=len(CONTENT))
        wait_for(lambda: len(held()) == 2, what="broken twice")
        change("good", bytes(len(CONTENT)))  # of the right length, and not what its name says
        assert bench.agent.expect(Message).payload == bytes(len(CONTENT))
        before = len(held())
        change("endless content")
        wait_for(lambda: len(held()) > before, what="broken again")
        change("good", CONTENT)
        assert bench.agent.expect(Message, lambda message: message.payload[0]).payload == CONTENT
        waits = held()
        assert all(10 << i <= wait <= 10 * 5 / 4 * (1 << i) for i, wait in enumerate(waits)), waits
        change("endless content")
        wait_for(lambda: len(held()) > len(waits), what="broken after it had come")
        assert 10 <= held()[len(waits)] <= 12


# ---- a terminal ----

class World(OneTerminal):
    def assign(self, content):
        """Published and assigned, and the broker has it, before the terminal connects."""
        self.fleet.publish("bin-routing", content)
        self.fleet.ctl_ok("assign", "bin-routing", "--device", "term-0001", "--mode", "repair")
        retained = self.broker.subscribe("muster/v1/#")
        newest = self.fleet.query("SELECT lower(hex(envelope)) FROM manifest")[0][0]
        retained.wait_line(f"{MANIFEST} {newest}")
        self.contents = self.fleet.query(
            "SELECT DISTINCT lower(hex(b.sha256)) FROM manifest_blob m JOIN blob b ON b.id = m.blob")
        assert self.contents
        for (name,) in self.contents:
            retained.wait_line(f"muster/v1/blob/{name} ")

    def lose_content(self):
        for (name,) in self.contents:
            gone = self.broker.publish(f"muster/v1/blob/{name}", b"", retain=True)
            assert gone.returncode == 0

    def applied(self):
        path = self.terminal.registry / "current" / "bin-routing"
        return path.read_bytes() if path.exists() else None

    def waits(self):
        return self.terminal.status()["link"]["content_waits"]

    def item(self):
        items = self.terminal.status()["state"]["items"]
        return items[0] if items else {"state": "", "reason": ""}

    def told(self):
        return [f"{event['refusal']}: {event['text']}" for event in
                self.fleet.json("describe", "device", "term-0001")["events"]]


@pytest.fixture
def world(bin_dir, processes, run_dir, broker, pki):
    made = World(bin_dir, processes, run_dir, broker, pki, registry="[content]\npatience = 100ms")
    made.assign(TABLE)
    made.terminal.start_agent()
    return made


def test_content_comes_if_the_broker_or_musterd_has_it(world):
    world.lose_content()
    world.connect()
    world.fleet.wait_converged()
    assert world.applied() == TABLE
    world.terminal.link.stop()
    world.assign(NEXT)
    world.fleet.process.stop()
    world.connect()
    wait_for(lambda: world.applied() == NEXT, what="applied without musterd")


def held_back(world):
    """By a broker that has the manifest, and a message without an end for its content."""
    with HostileBroker(world.pki, "endless content") as hostile:
        envelope = world.fleet.query("SELECT envelope FROM manifest")[0][0]
        hostile.retained = {MANIFEST.encode(): envelope}
        world.terminal.start_link(types.SimpleNamespace(address=f"localhost:{hostile.port}"),
                                  world.pki)
        wait_for(lambda: "so that records go on: " in world.waits(), what="held back")
        said = world.terminal.muster("status").stdout
        assert "content    waits: held back until" in said and "longer than" in said
        world.terminal.wait_connected()
        world.terminal.link.stop()


def test_content_that_does_not_come_is_told_until_it_has(world):
    world.lose_content()
    world.fleet.process.stop()
    held_back(world)
    world.connect()
    wait_for(lambda: "its content has not come for" in world.item()["reason"], what="late")
    assert world.item()["state"] == "fetching"
    wait_for(lambda: "nothing has come for" in world.waits(), what="late in status too")
    world.fleet.start(world.broker, world.pki)
    world.fleet.wait_converged()
    assert world.applied() == TABLE and world.waits() == ""
    for text in ("content_late: the content of bin-routing has not come for",
                 "none: content that was late has come"):
        wait_for(lambda told=text: told in "\n".join(world.told()), what=text)
    assert "\n".join(world.told()).count("content_late: ") == 1, "once, however often asked for"


def test_a_delta_that_does_not_come_gives_way_to_the_whole(world):
    """What musterd sends of it is damaged: the terminal refuses it, and says what it lacks. Whoever
    sees first that no delta leads anywhere, the terminal or musterd, turns to the whole."""
    world.connect()
    world.fleet.wait_converged()
    world.terminal.link.stop()
    world.assign(CHANGED)
    assert len(world.contents) == 2, "the whole and the delta"
    world.fleet.process.stop()
    with contextlib.closing(sqlite3.connect(world.fleet.folder / "fleet.db")) as database, database:
        (delta,) = database.execute(
            "UPDATE blob SET content = zeroblob(length(content)) WHERE id IN"
            " (SELECT blob FROM encoding WHERE base <> x'' AND document IN"
            " (SELECT document FROM assignment)) RETURNING lower(hex(sha256))").fetchone()
    world.fleet.start(world.broker, world.pki)
    world.connect()
    world.fleet.wait_converged()
    assert world.applied() == CHANGED
    assert f"blob/{delta}" in "\n".join(world.broker.process.lines), "it was tried"
    wait_for(lambda: "blob_hash: " in "\n".join(world.told()), what="that it was damaged is told")
    by_musterd = world.fleet.query("SELECT who, text FROM audit WHERE what = 'whole'")
    assert by_musterd in ([], [("musterd", "bin-routing: no delta of it has led anywhere there")])
    if not by_musterd:
        wait_for(lambda: any("bin-routing 2: the delta leads nowhere" in line
                             for line in world.told()), what="that it turned to the whole is told")
