# SPDX-License-Identifier: Apache-2.0
"""One record's whole journey up, one table's whole way down, on real processes and a real broker."""
import contextlib
import os
import pathlib
import shutil
import signal
import socket
import sqlite3

import pytest

from fleet_side import FleetSide
from processes import wait_for
from terminal import Terminal

TABLE = b"prefix\tissuer\troute\n" + b"".join(
    b"%06d\tbank-%d\t%d\n" % (400000 + n, n % 40, n % 3) for n in range(3000))


class World:
    """A fleet side, a broker and one enrolled terminal; each part is started by the test."""

    def __init__(self, bin_dir, processes, run_dir, broker, pki, registry=""):
        self.broker, self.pki = broker, pki
        self.fleet = FleetSide(bin_dir, processes, run_dir / "fleet")
        self.fleet.start(broker, pki)
        self.terminal = Terminal(bin_dir, processes, run_dir / "term", "term-0001", self.fleet.root,
                                 registry=registry)
        self.fleet.enrol(self.terminal)

    def start(self):
        self.terminal.start_agent()
        self.terminal.start_link(self.broker, self.pki)
        self.terminal.wait_connected()
        return self

    def wait_drained(self):
        wait_for(lambda: self.terminal.status()["health"].get("spool_records", 0) == 0,
                 what="everything is receipted")


@pytest.fixture
def world(bin_dir, processes, run_dir, broker, pki):
    return World(bin_dir, processes, run_dir, broker, pki)


def held_results(terminal):
    """Segments of the txn lane in the spool's file, the agent being stopped."""
    path = terminal.folder / "state" / "spool.db"
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as spool:
        rows = spool.execute("SELECT coalesce(sum(count), 0) FROM segment WHERE lane = 1")
        return rows.fetchone()[0]


# ---- up ----

def test_a_record_reaches_the_fleet_once_and_is_then_forgotten(world):
    world.start()
    assert world.terminal.record(500).returncode == 0
    world.fleet.wait_results(500)
    world.wait_drained()
    keys = world.fleet.query("SELECT count(DISTINCT idempotency_key) FROM result")
    assert keys == [(500,)]
    # The grace window is zero here: what is receipted goes at the next round.
    wait_for(lambda: world.terminal.status()["kept_records"] == 0, timeout=40,
             what="the spool forgets")
    world.terminal.agent.stop()
    assert held_results(world.terminal) == 0


def test_a_puback_frees_nothing(world):
    world.start()
    world.fleet.process.stop()
    before = len(world.broker.process.lines)
    assert world.terminal.record(50).returncode == 0
    # The broker has taken the batch (it says so), but nobody has committed it.
    taken = world.broker.process.wait_line("'muster/v1/up/term-0001/batch'", 30, before)
    world.broker.process.wait_line("Sending PUBACK to term-0001", 30, taken)
    assert world.terminal.status()["health"]["spool_records"] >= 50
    world.terminal.agent.stop()
    assert held_results(world.terminal) == 50
    world.fleet.start(world.broker, world.pki)
    world.terminal.start_agent()
    world.fleet.wait_results(50)
    world.wait_drained()


def test_the_broker_away_for_a_while_loses_nothing(world):
    world.start()
    world.broker.stop()
    wait_for(lambda: not world.terminal.status().get("connected"), what="the outage is seen")
    assert world.terminal.record(300).returncode == 0
    status = world.terminal.status()
    assert status["link_reason"], "the reason is told"
    world.broker.start()
    world.fleet.wait_results(300, timeout=90)
    world.wait_drained()


def test_kill_9_loses_and_doubles_nothing_that_was_answered(world):
    world.start()
    for round_number in range(5):
        first = 1 + round_number * 40
        assert world.terminal.record(40, first=first).returncode == 0
        world.terminal.agent.kill()
        world.terminal.start_agent()
        # A client that did not hear the answer hands the same results over again.
        again = world.terminal.record(40, first=first)
        assert again.returncode == 0, again.stderr
    world.fleet.wait_results(200, timeout=60)
    world.wait_drained()
    doubled = world.fleet.query(
        "SELECT count(*) FROM (SELECT 1 FROM result GROUP BY idempotency_key HAVING count(*) > 1)")
    assert doubled == [(0,)]


def test_kill_9_of_musterd_and_link_loses_nothing(world):
    world.start()
    for round_number in range(3):
        assert world.terminal.record(100, first=1 + round_number * 100).returncode == 0
        world.fleet.process.kill()
        world.terminal.link.kill()
        world.fleet.start(world.broker, world.pki)
        world.terminal.start_link(world.broker, world.pki)
    world.fleet.wait_results(300, timeout=90)
    world.wait_drained()


def spoil_results(terminal, first_seq):
    """Overwrites one segment of the oldest incarnation; says how many results it held."""
    path = terminal.folder / "state" / "spool.db"
    where = "lane = 1 AND first_seq = ? ORDER BY id LIMIT 1"
    with contextlib.closing(sqlite3.connect(path)) as spool, spool:
        segment, count = spool.execute(f"SELECT id, count FROM segment WHERE {where}",
                                       (first_seq,)).fetchone()
        spool.execute("UPDATE segment SET body = zeroblob(length(body)) WHERE id = ?", (segment,))
    return count


def test_many_incarnations_arrive_and_a_damaged_segment_holds_none_of_them_up(world):
    rounds, each = 14, 20  # more streams than are looked at together
    for number in range(rounds):
        world.terminal.start_agent()
        for first in (1 + number * each, 1 + number * each + each // 2):
            assert world.terminal.record(each // 2, first=first).returncode == 0
        world.terminal.agent.kill()
    spoiled = spoil_results(world.terminal, first_seq=1 + each // 2)
    assert spoiled > 0
    world.start()
    world.fleet.wait_results(rounds * each - spoiled, timeout=60)
    world.wait_drained()
    wait_for(lambda: world.terminal.status()["lost_records"] == 0,
             what="the damaged ones are declared")
    assert world.terminal.record(each, first=1 + rounds * each).returncode == 0
    world.fleet.wait_results((rounds + 1) * each - spoiled)


def test_a_dead_agent_is_told_at_once(world):
    done = world.terminal.record(1)
    assert done.returncode == 4
    assert "client.sock" in done.stderr


def test_the_agent_never_opens_a_network_socket(world):
    trace = world.terminal.folder / "trace"
    world.terminal.start_agent("strace", "-D", "-f", "-qq", "-e", "trace=socket,socketpair,connect,bind",
                               "-o", trace, env={"ASAN_OPTIONS": "detect_leaks=0"})
    world.terminal.start_link(world.broker, world.pki)
    world.terminal.wait_connected()
    world.fleet.publish("bin-routing", TABLE)
    world.fleet.ctl_ok("assign", "bin-routing", "--device", "term-0001", "--mode", "repair")
    world.fleet.wait_converged()
    assert world.terminal.record(20).returncode == 0
    world.fleet.wait_results(20)
    world.terminal.agent.stop()
    calls = [line for line in trace.read_text().splitlines() if "socket(" in line]
    assert calls, "strace saw the agent's sockets"
    assert all("AF_UNIX" in line for line in calls), calls


# ---- bad input ----

def varint(number):
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes(out + bytes([number]))


HOSTILE = {
    "a frame that is too long": varint(10_000_000) + b"x" * 4096,
    "a length that never ends": b"\xff" * 64,
    "bytes that are no message": varint(40) + b"\xff" * 40,
    "nested groups": varint(200) + b"\x0b" * 200,
    "an unknown request": varint(2) + b"\x08\x01",
    "a truncated inner message": varint(4) + b"\x12\xff\x7f\x01",
    "a result of nothing": varint(2) + b"\x12\x00",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_bytes_on_the_client_socket_are_refused_and_counted(world, name):
    world.terminal.start_agent()
    before = world.terminal.status()["health"].get("frames_refused", 0)
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(world.terminal.socket))
        client.settimeout(20)
        try:
            client.sendall(HOSTILE[name])
            client.shutdown(socket.SHUT_WR)
            while client.recv(65536):
                pass
        except (BrokenPipeError, ConnectionResetError):
            pass  # it may hang up before we have said all
    health = world.terminal.status()["health"]
    assert health["frames_refused"] > before
    assert world.terminal.record(3).returncode == 0, "and it goes on working"


def test_a_flood_of_garbage_does_not_grow_the_agent(world):
    # The sanitizer keeps freed memory for a while unless told not to; that is not the agent's.
    world.terminal.start_agent(env={"ASAN_OPTIONS": "quarantine_size_mb=1"})
    frame = varint(60_000) + b"\x12\x00" * 30_000
    before = world.terminal.agent.peak_kb()
    refused = world.terminal.status()["health"].get("frames_refused", 0)
    sent = 0
    while sent < 64 * 1024 * 1024:
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(world.terminal.socket))
            client.settimeout(20)
            try:
                for _ in range(50):  # it never reads an answer
                    client.sendall(frame)
                    sent += len(frame)
            except (BrokenPipeError, ConnectionResetError):
                pass  # hung up on us for not reading: right so
    assert world.terminal.record(3).returncode == 0
    grown = world.terminal.agent.peak_kb() - before
    print(f"journey.flood_growth {grown} kb")
    assert grown < 16 * 1024
    assert world.terminal.status()["health"]["frames_refused"] > refused + 100


def test_hostile_bytes_from_the_broker_are_refused_and_counted(world):
    world.start()
    assert world.terminal.record(10).returncode == 0
    world.fleet.wait_results(10)
    world.wait_drained()
    world.fleet.process.stop()
    assert world.terminal.record(5, first=11).returncode == 0
    before = world.terminal.status()["health"].get("frames_refused", 0)
    for topic in ("receipt", "welcome", "manifest"):
        for payload in (b"", b"\xff" * 100, os.urandom(1000), b"\x0a" * 50_000):
            world.broker.publish(f"muster/v1/down/term-0001/{topic}", payload)
    wait_for(lambda: world.terminal.status()["health"]["frames_refused"] >= before + 9,
             what="they are counted")
    assert world.terminal.status()["health"]["spool_records"] >= 5, "nothing was freed"
    world.fleet.start(world.broker, world.pki)
    world.fleet.wait_results(15, timeout=60)


def test_hostile_bytes_to_musterd_are_refused_and_counted(world):
    world.start()
    for payload in (b"", b"\xff" * 100, os.urandom(2000), b"\x0a" * 60_000):
        for topic in ("batch", "hello", "online"):
            world.broker.publish(f"muster/v1/up/term-0001/{topic}", payload)
            world.broker.publish(f"muster/v1/up/nobody/{topic}", payload)
    assert world.terminal.record(10).returncode == 0
    world.fleet.wait_results(10)
    with_metrics = metrics(world.fleet)
    refused = sum(float(line.rsplit(" ", 1)[1]) for line in with_metrics
                  if line.startswith("muster_refused_total"))
    assert refused >= 16


def metrics(fleet):
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(fleet.folder / "api.sock"))
        client.sendall(b"GET /metrics HTTP/1.1\r\nHost: musterd\r\nConnection: close\r\n\r\n")
        answer = b""
        while part := client.recv(65536):
            answer += part
    return answer.decode().splitlines()


def test_a_card_number_never_gets_through(world):
    """4111 1111 1111 1111 is the published Visa test number, not an account."""
    number = "4111111111111111"
    world.start()
    assert world.terminal.record(1, issuer_bucket=f"x {number}").returncode == 0
    keyed = world.terminal.muster("record", "--outcome", "approved", "--app-version", number,
                                  "--key", number)
    assert keyed.returncode == 0, keyed.stderr
    told = world.terminal.record(1, first=7, amount_minor=int(number))
    assert told.returncode == 3 and number not in told.stdout + told.stderr
    # A retry under the same key is known although the key was replaced, after a restart too.
    world.terminal.agent.kill()
    world.terminal.start_agent()
    again = world.terminal.muster("record", "--outcome", "approved", "--key", number)
    assert "duplicate" in again.stdout
    world.fleet.wait_results(2)
    world.wait_drained()
    assert world.fleet.query("SELECT count(*) FROM result WHERE masked = 1") == [(2,)]
    world.terminal.agent.stop()
    world.fleet.process.stop()
    for path in [*world.terminal.folder.rglob("*"), *world.fleet.folder.rglob("*")]:
        if path.is_file():
            assert number.encode() not in path.read_bytes(), path
    assert number not in world.terminal.agent.log() + world.fleet.process.log()


def test_a_wrong_setting_stops_before_the_spool_is_touched(world):
    config = world.terminal.folder / "agent.conf"
    text = config.read_text()
    config.write_text(text.replace("grace = 0ms", "grace = soon"))
    done = world.terminal.processes.start(
        "agent", [world.terminal.bin / "muster-agent", "--config", config])
    assert done.wait() == 2
    line = 1 + text.splitlines().index("grace = 0ms")
    assert f"agent.conf:{line}: spool.grace = soon: expected" in done.log()
    assert not (world.terminal.folder / "state").exists()


# ---- down ----

def assign(world, content=TABLE, *more):
    world.fleet.publish("bin-routing", content, "table", *more)
    world.fleet.ctl_ok("assign", "bin-routing", "--device", "term-0001", "--mode", "repair")


def applied(world):
    path = world.terminal.registry / "current" / "bin-routing"
    return path.read_bytes() if path.exists() else None


def test_a_table_is_applied_and_reported(world):
    world.start()
    assign(world)
    world.fleet.wait_converged()
    assert applied(world) == TABLE
    device = world.fleet.json("describe", "device", "term-0001")
    item = device["items"][0]
    assert (item["name"], item["held_version"], item["wanted_version"]) == ("bin-routing", 1, 1)
    assign(world, TABLE + b"499999\tbank-new\t1\n")
    world.fleet.wait_converged()
    assert applied(world).endswith(b"bank-new\t1\n")


def test_observe_reports_and_touches_nothing(world):
    world.start()
    world.fleet.publish("bin-routing", TABLE)
    world.fleet.ctl_ok("assign", "bin-routing", "--device", "term-0001")

    def reported():
        items = world.fleet.json("describe", "device", "term-0001")["items"]
        return items and items[0]["state"] not in ("", "unknown", None) and items[0]
    item = wait_for(reported, what="the drift is reported")
    assert item["mode"] == "observe"
    assert applied(world) is None
    assert world.fleet.json("get", "devices")["devices"][0]["converged"] is False


def damage(path: pathlib.Path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x20
    path.chmod(0o600)
    path.write_bytes(content)


def test_a_damaged_file_is_repaired_from_the_own_store(world):
    world.start()
    assign(world)
    world.fleet.wait_converged()
    world.terminal.link.stop()  # no network at all
    damage(world.terminal.registry / "current" / "bin-routing")
    assert applied(world) != TABLE
    done = world.terminal.muster("selfcheck", "-o", "json")
    assert done.returncode == 0, done.stdout + done.stderr
    assert applied(world) == TABLE


def test_a_missing_file_is_repaired_from_the_broker_while_musterd_is_down(world):
    world.start()
    assign(world)
    world.fleet.wait_converged()
    world.fleet.process.stop()
    (world.terminal.registry / "current" / "bin-routing").unlink()
    for blob in (world.terminal.registry / "blobs").iterdir():
        damage(blob)
    done = world.terminal.muster("selfcheck", "-o", "json", "--deadline", "60000")
    assert done.returncode == 0, done.stdout + done.stderr
    assert applied(world) == TABLE
    world.fleet.start(world.broker, world.pki)

    def told():
        events = world.fleet.query("SELECT count(*) FROM event WHERE text LIKE '%broker%'")
        return events[0][0] > 0
    wait_for(told, what="the repair is told to the fleet")


def test_a_broker_that_keeps_nothing_is_no_hindrance(world):
    """Retained messages are a cache: the manifest comes with the welcome, content by the lacks."""
    watch = world.broker.subscribe("muster/v1/#")
    assign(world)
    blob = world.fleet.json("get", "documents")["documents"][0]["blob"]
    for topic in (f"muster/v1/blob/{blob}", "muster/v1/down/term-0001/manifest"):
        watch.wait_line(topic)
        assert world.broker.publish(topic, b"", retain=True).returncode == 0
    world.start()
    world.fleet.wait_converged()
    assert applied(world) == TABLE


def test_a_fleet_database_from_a_backup_gets_its_way_again(world):
    world.start()
    assign(world)
    world.fleet.wait_converged()
    database = world.fleet.folder / "fleet.db"
    world.fleet.process.stop()
    backup = database.read_bytes()
    world.fleet.start(world.broker, world.pki)
    assign(world, TABLE + b"499999\tbank-new\t1\n")
    world.fleet.wait_converged()
    world.terminal.link.stop()
    world.fleet.process.stop()
    database.write_bytes(backup)
    world.fleet.start(world.broker, world.pki)
    # The device does not say hello first, so this is the version that it holds with other content.
    assign(world, TABLE + b"511111\tbank-other\t2\n")
    world.terminal.start_link(world.broker, world.pki)
    # Nor does the database know that release has signed this very version before.
    wait_for(lambda: any("other content was accepted as version 2" in event["text"]
                         for event in world.fleet.json("describe", "device", "term-0001")["events"]),
             what="the terminal says why it refuses")
    assert applied(world).endswith(b"bank-new\t1\n")
    assign(world, TABLE + b"511111\tbank-other\t2\n", "--version", "3")
    wait_for(lambda: applied(world).endswith(b"bank-other\t2\n"), what="the fleet's word counts")
    world.fleet.wait_converged()


@pytest.mark.parametrize("lost", ["current", "generation", "blobs"])
def test_selfcheck_puts_back_what_the_documents_stand_in(world, lost):
    world.start()
    assign(world)
    world.fleet.wait_converged()
    registry = world.terminal.registry
    if lost == "current":
        (registry / "current").unlink()
    else:
        shutil.rmtree((registry / "current").resolve() if lost == "generation" else registry / lost)
    done = world.terminal.muster("selfcheck", "-o", "json")
    assert done.returncode == 0, done.stdout + done.stderr
    assert applied(world) == TABLE
    assert (registry / "blobs").is_dir()


def test_damage_is_found_at_boot(world):
    world.start()
    assign(world)
    world.fleet.wait_converged()
    world.terminal.agent.stop()
    damage(world.terminal.registry / "current" / "bin-routing")
    world.terminal.start_agent()
    wait_for(lambda: applied(world) == TABLE, what="the boot check repairs")


def test_the_sample_hook_refuses_a_table_that_lost_most_rows(bin_dir, processes, run_dir, broker,
                                                             pki):
    hook = pathlib.Path(__file__).parents[2] / "packaging" / "sample" / "validate-hook"
    world = World(bin_dir, processes, run_dir, broker, pki, registry=f"hook = {hook}").start()
    assign(world)
    world.fleet.wait_converged()
    assign(world, b"".join(TABLE.splitlines(keepends=True)[:100]))

    def refused():
        return world.fleet.query("SELECT 1 FROM event WHERE text LIKE '%less than half%'")
    wait_for(refused, what="the refusal is told, with the hook's own words")
    assert applied(world) == TABLE


def test_agent_ends_cleanly(world):
    world.start()
    assert world.terminal.record(5).returncode == 0
    for process in (world.terminal.agent, world.terminal.link, world.fleet.process):
        process.signal(signal.SIGTERM)
        assert process.wait() == 0, process.log()
