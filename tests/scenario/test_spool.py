# SPDX-License-Identifier: Apache-2.0
"""The terminal's account of its records: what was given up is declared, what was destroyed is bounded,
and a start that has nothing to tell leaves nothing."""
import contextlib
import json
import pathlib
import signal
import sqlite3

import pytest

from one_terminal import OneTerminal
from processes import wait_for

QUOTA, CONFLICT, UNKNOWN = 1, 4, 7  # LossReason
TXN = 1                             # Lane
OPEN, REFUSED, SPOOL = 1, 5, 7      # EventKind


class World(OneTerminal):
    def lost(self, lane):
        """Declared losses of a lane at the fleet, by reason; of open streams and of closed ones."""
        rows = self.fleet.query(
            "SELECT reason, sum(records) FROM ("
            " SELECT reason, last - first + 1 AS records FROM stream_lost"
            " JOIN stream ON stream.id = stream_lost.stream WHERE lane = ?1"
            " UNION ALL SELECT reason, records FROM account_lost WHERE lane = ?1) GROUP BY reason",
            lane)
        return dict(rows)

    def audit(self):
        """The lanes of the device's account; nothing may be unaccounted for."""
        account = self.fleet.json("audit", "term-0001")
        assert account["total"]["unaccounted"] == 0, account
        return {lane["lane"]: lane for lane in account["devices"][0]["lanes"]}

    def commit_unheard(self, count):
        """Results that are committed, while their receipt reaches nobody."""
        seen = len(self.broker.process.log())
        self.fleet.process.signal(signal.SIGSTOP)
        assert self.terminal.record(count).returncode == 0
        wait_for(lambda: "Received PUBLISH from term-0001" in self.broker.process.log()[seen:],
                 what="the broker has the batch")
        self.terminal.link.kill()
        self.fleet.process.signal(signal.SIGCONT)
        self.fleet.wait_results(count)

    def events(self, kind):
        return [row[0] for row in self.fleet.query(
            "SELECT text FROM event WHERE kind = ? ORDER BY id", kind)]


@pytest.fixture
def make_world(bin_dir, processes, run_dir, broker, pki):
    return lambda **terminal: World(bin_dir, processes, run_dir, broker, pki, **terminal)


def rows(terminal, sql):
    """What the spool's file holds, the agent being stopped."""
    path = terminal.folder / "state" / "spool.db"
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as spool:
        return spool.execute(sql).fetchall()


def size_of(folder: pathlib.Path):
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def why(terminal):
    done = terminal.muster("why", "-o", "json")
    assert done.returncode == 0, done.stderr
    return [(event["kind"], event["text"]) for event in json.loads(done.stdout)["events"]]


# ---- starts ----

def test_200_starts_with_nothing_to_tell_leave_no_record(make_world):
    world = make_world()
    sizes = {}
    for start in range(1, 201):
        world.terminal.start_agent()
        if start == 200:
            assert world.terminal.status()["starts"] == 200
        if start % 2:
            world.terminal.agent.kill()
        else:
            world.terminal.agent.stop()
        sizes[start] = size_of(world.terminal.folder / "state")
    assert rows(world.terminal, "SELECT count(*) FROM segment") == [(0,)]
    assert rows(world.terminal, "SELECT count(*) FROM stream") == [(0,)]
    assert sizes[200] <= sizes[4] + 4096, "nothing grows with the starts"
    print(f"spool.growth_200_starts {sizes[200] - sizes[4]} bytes")


def test_open_stands_in_front_of_what_is_recorded(make_world):
    world = make_world()
    for first in (1, 11, 21):
        world.terminal.start_agent()
        assert world.terminal.record(10, first=first).returncode == 0
        world.terminal.agent.kill()
    world.terminal.start_agent()
    world.connect()
    world.fleet.wait_results(30)
    world.wait_drained()
    # Four starts, each with an OPEN that is the first event of its incarnation.
    wait_for(lambda: len(world.events(OPEN)) == 4, what="every start is told")
    firsts = world.fleet.query("SELECT incarnation, kind FROM event WHERE seq = 1")
    assert len(firsts) == 4 and all(kind == OPEN for _, kind in firsts)
    assert world.terminal.status()["starts"] == 4


# ---- losses ----

def test_under_pressure_the_oldest_go_and_every_one_is_counted(make_world):
    world = make_world(spool="txn_quota = 24K")
    world.terminal.start_agent()
    world.connect()
    world.broker.stop()
    wait_for(lambda: not world.terminal.status().get("connected"), what="the outage is seen")
    total = 3000
    for first in range(1, total, 500):
        assert world.terminal.record(500, first=first).returncode == 0
    status = world.terminal.status()
    lost = status["lost_records"]
    assert 0 < lost < total
    assert f"{lost} records given up" in world.terminal.muster("status").stdout
    world.broker.start()
    wait_for(lambda: world.fleet.results() + world.lost(TXN).get(QUOTA, 0) == total, timeout=60,
             what="committed and declared lost are all there were")
    world.wait_drained()
    assert world.lost(TXN) == {QUOTA: lost}
    assert world.fleet.results() == total - lost
    account = world.audit()["txn"]
    assert (account["submitted"], account["committed"]) == (total, total - lost)
    # The newest stayed.
    keys = world.fleet.query("SELECT count(*) FROM result WHERE stan > ?", lost)
    assert keys == [(total - lost,)]


def test_a_destroyed_spool_leaves_a_bounded_unknown_tail(make_world):
    world = make_world()
    world.terminal.start_agent()
    assert world.terminal.record(50).returncode == 0
    world.terminal.agent.stop()
    for path in (world.terminal.folder / "state").glob("spool.db*"):
        if not path.name.endswith(".chain"):
            path.unlink()
    world.terminal.start_agent()
    assert world.terminal.record(5, first=51).returncode == 0
    assert any(kind == "spool" for kind, _ in why(world.terminal))
    assert world.terminal.status()["starts"] == 2
    world.connect()
    world.fleet.wait_results(5)
    world.wait_drained()
    unknown = world.lost(TXN)[UNKNOWN]
    assert 50 <= unknown <= 50 + 256, "what was there, and what may have been"
    assert world.events(SPOOL), "and the fleet is told"


def test_a_spool_of_another_device_is_set_aside(make_world):
    world = make_world()
    world.terminal.start_agent()
    assert world.terminal.record(20).returncode == 0
    world.terminal.agent.stop()
    config = world.terminal.folder / "agent.conf"
    config.write_text(config.read_text().replace("id = term-0001", "id = term-0002"))
    world.terminal.start_agent()
    status = world.terminal.status()
    assert status["device"] == "term-0002"
    assert any(kind == "spool" for kind, _ in why(world.terminal))
    assert list((world.terminal.folder / "state").glob("spool.db.foreign*"))
    assert world.terminal.record(3).returncode == 0, "and it goes on working"
    world.terminal.agent.stop()
    assert rows(world.terminal, "SELECT sum(count) FROM segment WHERE lane = 1") == [(3,)]


def test_a_file_that_is_no_database_is_set_aside(make_world):
    world = make_world()
    world.terminal.start_agent()
    assert world.terminal.record(20).returncode == 0
    world.terminal.agent.stop()
    (world.terminal.folder / "state" / "spool.db").write_bytes(b"not a database" * 1000)
    world.terminal.start_agent()
    assert world.terminal.record(3, first=21).returncode == 0
    world.connect()
    world.fleet.wait_results(3)
    world.wait_drained()
    assert world.lost(TXN)[UNKNOWN] >= 20
    assert world.events(SPOOL)


# ---- receipts ----

def test_a_receipt_that_nobody_heard_is_made_up_for(make_world):
    world = make_world()
    world.terminal.start_agent()
    world.connect()
    world.wait_drained()
    world.commit_unheard(20)
    assert world.terminal.status()["health"]["spool_records"] >= 20, "nothing was freed"
    world.connect()
    world.wait_drained()
    assert world.fleet.results() == 20
    assert world.audit()["txn"]["committed"] == 20


def test_what_conflicts_is_alarmed_declared_and_never_overwritten(make_world):
    """The fleet holds other content under one id: as if two terminals had shared it."""
    world = make_world()
    world.terminal.start_agent()
    world.connect()
    world.wait_drained()
    world.commit_unheard(20)
    world.fleet.process.stop()
    with contextlib.closing(sqlite3.connect(world.fleet.folder / "fleet.db")) as fleet, fleet:
        stream, = fleet.execute("SELECT id FROM stream WHERE lane = 1").fetchone()
        fleet.execute("UPDATE stream SET cumulative = 4 WHERE id = ?", (stream,))
        fleet.execute("INSERT INTO stream_range VALUES (?, 6, 20)", (stream,))
        fleet.execute("UPDATE result SET digest = digest / 2, stan = 77 WHERE seq = 5")
    world.fleet.start(world.broker, world.pki)
    world.connect()
    world.wait_drained()
    wait_for(lambda: world.events(REFUSED), what="the terminal tells what was refused")
    assert "seq 5 to 5" in world.events(REFUSED)[0]
    assert world.fleet.query("SELECT stan FROM result WHERE seq = 5") == [(77,)]
    assert world.fleet.query("SELECT count(*) FROM conflict WHERE settled_ms > 0") == [(1,)]
    assert any("other content" in text for _, text in why(world.terminal))


# ---- a fleet that was restored ----

def restore(world, backup):
    """Puts an older copy of the fleet's database in place while the terminal stays connected."""
    world.fleet.process.stop()
    database = world.fleet.folder / "fleet.db"
    for path in world.fleet.folder.glob("fleet.db-*"):
        path.unlink()
    database.write_bytes(backup)
    world.fleet.start(world.broker, world.pki)


def test_a_fleet_from_a_backup_is_filled_again_also_without_a_new_session(make_world):
    world = make_world(grace="1h")
    world.terminal.start_agent()
    world.connect()
    assert world.terminal.record(40).returncode == 0
    world.fleet.wait_results(40)
    world.wait_drained()
    world.fleet.process.stop()
    backup = (world.fleet.folder / "fleet.db").read_bytes()
    world.fleet.start(world.broker, world.pki)
    for first in (41, 71):
        assert world.terminal.record(30, first=first).returncode == 0
        world.fleet.wait_results(first + 29)
        world.wait_drained()
    restore(world, backup)
    # A single new record: its receipt claims less than those before, which the agent has kept.
    assert world.terminal.record(1, first=101).returncode == 0
    world.fleet.wait_results(101, timeout=60)
    world.wait_drained()
    assert world.lost(TXN) == {}


def test_kept_receipts_survive_a_power_cut_of_the_terminal(make_world):
    world = make_world(grace="1h")
    world.terminal.start_agent()
    world.connect()
    assert world.terminal.record(40).returncode == 0
    world.fleet.wait_results(40)
    world.fleet.process.stop()
    backup = (world.fleet.folder / "fleet.db").read_bytes()
    world.fleet.start(world.broker, world.pki)
    assert world.terminal.record(30, first=41).returncode == 0
    world.fleet.wait_results(70)
    world.wait_drained()
    assert world.terminal.agent.stop() == 0  # writes the newest receipts down
    restore(world, backup)
    world.terminal.start_agent()
    world.terminal.agent.kill()
    world.terminal.start_agent()
    world.fleet.wait_results(70, timeout=60)
    world.wait_drained()


def test_a_receipt_from_before_the_restore_frees_nothing_any_more(make_world):
    world = make_world(grace="1h")
    topic = "muster/v1/down/term-0001/receipt"
    world.terminal.start_agent()
    world.connect()
    world.wait_drained()
    world.fleet.process.stop()
    backup = (world.fleet.folder / "fleet.db").read_bytes()
    world.fleet.start(world.broker, world.pki)
    watch = world.broker.subscribe(topic)
    assert world.terminal.record(40).returncode == 0
    world.fleet.wait_results(40)
    world.wait_drained()
    watch.wait_line(topic)
    old = [bytes.fromhex(line.split()[1]) for line in watch.log().splitlines()
           if line.startswith(topic)][-1]

    def refused():
        return world.terminal.status()["health"].get("frames_refused", 0)
    before = refused()
    world.broker.publish(topic, old)  # genuine, and nothing new: taken
    world.terminal.link.stop()
    restore(world, backup)
    world.connect()
    world.fleet.wait_results(40, timeout=60)
    world.wait_drained()
    assert refused() == before
    world.broker.publish(topic, old)
    wait_for(lambda: refused() > before, what="the replay is refused")
    world.terminal.agent.kill()
    world.terminal.start_agent()
    world.terminal.wait_connected()
    world.broker.publish(topic, old)
    wait_for(lambda: refused() > 0, what="also after a restart")
