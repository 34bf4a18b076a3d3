# SPDX-License-Identifier: Apache-2.0
"""Who is there: by wills, goodbyes and silence, against opening hours, over restarts of all three."""
import csv
import datetime
import io
import json
import os
import signal
import time

import pytest

from ops import Ops
from processes import wait_for
from proxy import Proxy
from terminal import QUICK, Terminal
from test_musterd import metrics

GRACE = "[presence]\ngrace = 300ms\nsettle = 1s\nsilence = 2s\n"
EACH_SECOND = "every = 1s\nrecord = 0s\nalone = 0s"


class World:
    def __init__(self, bin_dir, processes, run_dir, broker, pki, settings=GRACE, via=None):
        self.bin, self.processes, self.run, self.broker, self.pki = bin_dir, processes, run_dir, broker, pki
        self.via = via or broker  # musterd's own way to the broker
        self.ops = Ops(bin_dir, processes, run_dir / "ops", extra=settings)
        self.start()

    def start(self):
        self.ops.start(self.via, self.pki).wait_line("had time to come back")

    def terminal(self, name, **settings):
        made = Terminal(self.bin, self.processes, self.run / name, name, self.ops.root, **settings)
        self.ops.enrol(made)
        made.start_agent()
        made.start_link(self.broker, self.pki, extra="retry_first = 20ms\nretry_max = 200ms")
        self.wait(name, "online")
        return made

    def device(self, name):
        return self.ops.http("GET", f"/api/v1/devices/{name}")[1]

    def story(self, name):
        return self.ops.http("GET", f"/api/v1/devices/{name}/presence")[1]

    def wait(self, name, state, by=None):
        wait_for(lambda: self.device(name)["presence"] == state, what=f"{name} is {state}")
        assert by is None or self.device(name)["presence_evidence"] == by

    def feed(self, *kinds):
        """What the feed has told, with the event's own words."""
        rows = self.ops.query("SELECT f.kind, d.name FROM feed f JOIN device d ON d.id = f.device"
                              " WHERE f.kind IN (1, 2, 6, 7) ORDER BY f.id")
        words = {1: "online", 2: "offline", 6: "missing", 7: "back"}
        return [(words[kind], name) for kind, name in rows if not kinds or words[kind] in kinds]


@pytest.fixture
def world(bin_dir, processes, run_dir, broker, pki):
    return World(bin_dir, processes, run_dir, broker, pki)


def test_a_will_and_a_goodbye(world):
    terminal = world.terminal("term-1")
    place = "-".join(str(number) for number in world.ops.query("SELECT max(id), at_ms FROM feed")[0])
    following = world.processes.start("watch", [
        world.bin / "musterctl", "watch", "--kinds", "missing,back", "--since", place, "-o", "json",
        "--server", f"unix:{world.ops.folder}/api.sock"])
    terminal.link.kill()
    world.wait("term-1", "missing", by="will")
    following.wait_line('"kind":"missing"')
    shown = world.ops.json("presence")
    assert (shown["line"], shown["judging"], shown["in_service"], shown["missing"]) == (True, True, 1, 1)
    assert [(row["id"], row["store"], row["evidence"]) for row in shown["devices"]] == [("term-1", "s1", "will")]
    assert world.ops.json("get", "devices", "--selector", "presence=missing")["devices"][0]["id"] == "term-1"
    assert world.ops.ctl("get", "devices", "--selector", "presence=online|closed").returncode == 7
    assert "missing, since" in world.ops.ctl_ok("describe", "device", "term-1")
    assert metrics(world.ops)['muster_presence{state="missing"}'] == 1
    terminal.start_link(world.broker, world.pki)
    world.wait("term-1", "online", by="birth")
    back = json.loads(following.lines[following.wait_line('"kind":"back"') - 1])
    assert back["device"] == "term-1" and back["back"]["since_ms"] > 0
    terminal.link.stop()
    world.wait("term-1", "missing", by="goodbye")
    story = world.story("term-1")
    assert [row["evidence"] for row in story["absences"]] == ["goodbye", "will"]
    assert story["absences"][0]["to_ms"] == story["to_ms"] and story["absences"][1]["missing_ms"] > 0
    assert story["open_ms"] == story["to_ms"] - story["from_ms"]
    away = sum(row["to_ms"] - row["from_ms"] for row in story["absences"])
    assert story["away_ms"] == away and story["availability"] == pytest.approx(1 - away / story["open_ms"])
    table = world.ops.ctl_ok("presence")
    assert "missing" in table and "goodbye" in table and "Corner" not in table
    rows = list(csv.DictReader(io.StringIO(world.ops.ctl_ok("presence", "-o", "csv"))))
    assert [(row["DEVICE"], row["PRESENCE"]) for row in rows] == [("term-1", "missing")]
    assert "still" in world.ops.ctl_ok("presence", "term-1", "--days", "1")
    assert world.ops.ctl("presence", "nobody").returncode == 7
    assert world.ops.ctl("presence", "--state", "there").returncode == 3


def test_silence_over_a_line_that_stands(world):
    terminal = world.terminal("term-1", probe=EACH_SECOND)
    assert world.story("term-1")["silence_s"] == 1
    terminal.agent.signal(signal.SIGSTOP)
    world.wait("term-1", "missing", by="silence")
    assert terminal.link.running()
    terminal.agent.signal(signal.SIGCONT)
    world.wait("term-1", "online", by="message")


def test_a_late_will_of_a_session_before(world):
    terminal = world.terminal("term-1")
    before = world.ops.query("SELECT boot, began_ms FROM presence")[0]
    terminal.link.kill()
    world.wait("term-1", "missing")
    terminal.start_link(world.broker, world.pki)
    world.wait("term-1", "online")
    assert world.ops.query("SELECT boot, began_ms FROM presence")[0] != before
    varint, number = b"", before[1]
    while number >= 0x80:
        varint, number = varint + bytes([number & 0x7f | 0x80]), number >> 7
    will = b"\x11" + before[0].to_bytes(8, "little", signed=True) + b"\x18" + varint + bytes([number])
    world.broker.publish("muster/v1/up/term-1/online", will, retain=True)
    wait_for(lambda: metrics(world.ops)["muster_presence_late_words_total"] == 1, what="it came")
    assert world.device("term-1")["presence"] == "online"
    # Nor does it count when it is all that the broker has kept.
    world.ops.process.stop()
    world.start()
    assert metrics(world.ops)["muster_presence_late_words_total"] == 1
    assert world.device("term-1")["presence"] == "unknown"
    assert terminal.record(1).returncode == 0
    world.wait("term-1", "online", by="message")
    assert world.feed("missing", "offline") == [("offline", "term-1"), ("missing", "term-1")]


def hours_around(closed):
    """Opening hours, in UTC, that now is far inside or outside of."""
    hour = datetime.datetime.now(datetime.timezone.utc).hour + (12 if closed else 0)
    begin = (hour - 3) % 24
    return f"{begin:02}:00-{begin + 6:02}:00"


def test_away_while_the_store_is_closed(world):
    terminal = world.terminal("term-1")
    store = ["store", "set", "--merchant", "m1", "--store", "s1", "--time-zone", "UTC", "--opening-hours"]
    world.ops.ctl_ok(*store, hours_around(closed=True))
    terminal.link.stop()
    world.wait("term-1", "closed", by="goodbye")
    assert world.ops.json("presence")["closed"] == 1
    assert world.story("term-1")["open_ms"] == 0 and world.story("term-1")["availability"] is None
    assert not world.feed("missing")
    world.ops.ctl_ok(*store, hours_around(closed=False))
    world.wait("term-1", "missing")
    world.ops.ctl_ok("device", "state", "repair", "term-1")
    world.wait("term-1", "offline")
    assert world.ops.json("presence")["not_in_service"] == 1
    assert world.feed("missing", "back") == [("missing", "term-1"), ("back", "term-1")]


@pytest.mark.parametrize("words", [False, True], ids=["forgets", "keeps"])
def test_who_does_not_come_back_to_a_restarted_broker(bin_dir, processes, run_dir, make_broker, pki, words):
    broker = make_broker(persistence=words, extra="autosave_interval 1\nautosave_on_changes true")
    settings = GRACE.replace("settle = 1s", "settle = 4s")
    world = World(bin_dir, processes, run_dir, broker, pki, settings)
    terminals = [world.terminal(f"term-{n}") for n in range(3)]
    told = world.feed()
    terminals[2].link.signal(signal.SIGSTOP)  # it will not come back, nor say anything
    broker.kill()
    broker.start()
    world.wait("term-2", "missing", by="broker")
    for name in ("term-0", "term-1"):
        assert world.device(name)["presence"] == "online"
    assert world.feed()[len(told):] == [("offline", "term-2"), ("missing", "term-2")]
    terminals[2].link.signal(signal.SIGCONT)
    world.wait("term-2", "online")
    assert world.story("term-2")["absences"][0]["evidence"] == "broker"


def test_most_do_not_come_back_to_a_restarted_broker(bin_dir, processes, run_dir, make_broker, pki):
    broker = make_broker(persistence=True, extra="autosave_interval 1\nautosave_on_changes true")
    world = World(bin_dir, processes, run_dir, broker, pki, GRACE.replace("settle = 1s", "settle = 4s"))
    terminals = [world.terminal(f"term-{n}") for n in range(5)]
    for terminal in terminals[2:]:
        terminal.link.signal(signal.SIGSTOP)
    broker.kill()
    broker.start()
    for n in range(2, 5):
        world.wait(f"term-{n}", "missing", by="broker")
    assert [world.device(f"term-{n}")["presence"] for n in range(2)] == ["online"] * 2
    for terminal in terminals[2:]:
        terminal.link.signal(signal.SIGCONT)
    for n in range(2, 5):
        world.wait(f"term-{n}", "online")


def test_musterd_is_away_and_nobody_else(world):
    gone = [world.terminal(f"term-{n}") for n in range(2)][1]
    gone.link.kill()
    world.wait("term-1", "missing")
    told = world.feed()
    since = world.device("term-0")["presence_since_ms"]
    world.ops.process.kill()
    world.start()
    assert world.device("term-0")["presence"] == "online" and world.device("term-1")["presence"] == "missing"
    assert world.device("term-0")["presence_since_ms"] == since
    assert world.feed() == told
    gone.start_link(world.broker, world.pki)
    world.wait("term-1", "online")
    assert world.feed()[len(told):] == [("online", "term-1"), ("back", "term-1")]


class Cable(Proxy):
    """A line that may be out for as long as one likes."""
    plugged = True

    def pair(self, client):
        if not self.plugged:
            raise OSError("nobody there")
        return super().pair(client)

    def pull(self):
        self.plugged = False
        self.cut()


def test_nobody_is_judged_without_a_line(bin_dir, processes, run_dir, broker, pki):
    with Cable(broker.port) as cable:
        world = World(bin_dir, processes, run_dir, broker, pki, via=cable)
        there, gone = (world.terminal(f"term-{n}", probe=EACH_SECOND) for n in range(2))
        assert world.story("term-0")["silence_s"] == 1
        told = world.feed()
        cable.pull()
        wait_for(lambda: not world.ops.json("presence")["line"], what="musterd has no line")
        gone.link.kill()
        cut_ms = world.ops.json("presence")["line_ms"]
        # Longer than the two seconds of silence that mean something, and the grace after them.
        wait_for(lambda: time.time() * 1000 - cut_ms > 4000, what="the grace is over")
        shown = world.ops.json("presence")
        assert (shown["line"], shown["judging"], shown["missing"]) == (False, False, 0)
        assert metrics(world.ops)['muster_presence{state="missing"}'] == 0
        assert there.link.running() and world.feed() == told
        cable.plugged = True
        world.wait("term-1", "missing", by="will")
        assert world.device("term-0")["presence"] == "online"
        assert world.feed()[len(told):] == [("offline", "term-1"), ("missing", "term-1")]


def test_a_token_sees_its_own(world):
    terminal = world.terminal("term-1")
    terminal.link.kill()
    world.wait("term-1", "missing")
    for merchant, count in (("m1", 1), ("m2", 0)):
        world.ops.ctl_ok("store", "set", "--merchant", merchant, "--store", "s1")
        token = world.ops.json("token", "add", f"shop-{merchant}", "--merchant", merchant)["token"]
        (world.ops.folder / "token").write_text(token)
        os.chmod(world.ops.folder / "token", 0o600)
        shown = world.ops.json("presence", "--token-file", "token")
        assert (shown["in_service"], shown["missing"], len(shown["devices"])) == (count, count, count)
        done = world.ops.ctl("presence", "term-1", "--token-file", "token")
        assert done.returncode == (0 if count else 7), done.stderr


def test_a_new_owner_is_not_told_of_the_time_before(world):
    terminal = world.terminal("term-1")
    for _ in range(2):
        terminal.link.kill()
        world.wait("term-1", "missing")
        terminal.start_link(world.broker, world.pki)
        world.wait("term-1", "online")
    terminal.link.kill()
    world.wait("term-1", "missing")
    world.ops.ctl_ok("device", "move", "term-1", "--merchant", "m2", "--store", "s2", "--no-terminals")
    moved_ms = world.ops.query("SELECT max(from_ms) FROM standing")[0][0]
    token = world.ops.json("token", "add", "shop-m2", "--merchant", "m2")["token"]
    (world.ops.folder / "token").write_text(token)
    os.chmod(world.ops.folder / "token", 0o600)
    told = world.ops.json("presence", "term-1", "--token-file", "token")
    assert told["from_ms"] == moved_ms and told["open_ms"] == told["to_ms"] - moved_ms
    assert [(row["from_ms"], row["missing_ms"]) for row in told["absences"]] == [(moved_ms, moved_ms)]
    assert told["away_ms"] == told["open_ms"] and told["availability"] == 0
    assert len(world.story("term-1")["absences"]) == 3 and world.story("term-1")["from_ms"] < moved_ms
