# SPDX-License-Identifier: Apache-2.0
"""What a terminal's disk and its surroundings do to the agent while it runs: it says no where it must,
tells why, goes on by itself when it can, and never looks well while nothing gets on."""
import os
import resource
import signal
import socket

import pytest

from fleet_side import FleetSide
from one_terminal import OneTerminal
from processes import wait_for
from terminal import Terminal

PAGE = 512
STALLED = 8  # exit code
LIVENESS = 9  # EventKind


class World(OneTerminal):
    def account(self):
        account = self.fleet.json("audit", "term-0001")
        assert account["total"]["unaccounted"] == 0, account
        return account["total"]


@pytest.fixture
def make_world(bin_dir, processes, run_dir, broker, pki):
    return lambda **terminal: World(bin_dir, processes, run_dir, broker, pki, **terminal)


@pytest.fixture
def alone(bin_dir, processes, run_dir):
    """A terminal that has a key and no fleet to speak of."""
    fleet = FleetSide(bin_dir, processes, run_dir / "fleet")
    terminal = Terminal(bin_dir, processes, run_dir / "term", "term-0001", fleet.root)
    terminal.make_key()
    return terminal


class Manager:
    """The service manager's end of sd_notify."""

    def __init__(self, folder):
        self.path = str(folder / "notify")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        self.env = {"NOTIFY_SOCKET": self.path, "WATCHDOG_USEC": "200000"}

    def wait_for(self, text, timeout=20.0):
        self.socket.settimeout(timeout)
        while True:
            said = self.socket.recv(4096).decode()
            if text in said:
                return said


@pytest.fixture
def manager(run_dir):
    made = Manager(run_dir)
    yield made
    made.socket.close()


def fill_disk(agent, full):
    """Every write to a file fails, as on a disk without a byte left; or none does."""
    hard = resource.prlimit(agent.pid, resource.RLIMIT_FSIZE)[1]
    resource.prlimit(agent.pid, resource.RLIMIT_FSIZE, (0 if full else hard, hard))


# ---- a disk that is full ----

def test_a_full_disk_is_told_and_passes(alone):
    agent = alone.start_agent()
    assert alone.record(3).returncode == 0
    fill_disk(agent, True)
    refused = alone.record(1, first=10)
    assert refused.returncode != 0
    assert "spool.db" in refused.stderr, "it says what could not be written"
    status = alone.status()
    assert not status["healthy"]
    assert "cannot be stored" in status["healthy_why"]
    assert status["fault_refused"] >= 1
    assert "what to do: " in alone.muster("status").stdout
    fill_disk(agent, False)
    assert alone.record(1, first=10).returncode == 0
    wait_for(lambda: alone.status()["fault"] == "", what="the fault has passed")
    assert alone.status()["health"]["spool_records"] >= 4
    assert agent.running()
    agent.wait_line("records are stored again")


def test_a_full_disk_that_no_longer_is_needs_no_result_to_be_told(make_world):
    terminal = make_world(spool="[uplink]\npatience = 1s").terminal
    agent = terminal.start_agent()
    assert terminal.record(3).returncode == 0
    fill_disk(agent, True)
    assert terminal.record(1, first=10).returncode != 0
    assert terminal.status()["fault"] != ""
    fill_disk(agent, False)
    wait_for(lambda: terminal.status()["fault"] == "", what="the fault has passed")


def test_an_agent_starts_on_a_full_disk_and_opens_when_it_can(alone, manager):
    alone.start_agent()
    assert alone.record(3).returncode == 0
    alone.agent.stop()
    agent = alone.processes.start(
        "agent on a full disk",
        ["prlimit", "--fsize=0:unlimited", alone.bin / "muster-agent", "--config",
         alone.folder / "agent.conf"], cwd=alone.folder, env=manager.env)
    agent.wait_line("nothing can be stored")
    manager.wait_for("READY=1")
    manager.wait_for("WATCHDOG=1")
    status = alone.status()
    assert not status["healthy"] and "nothing can be stored" in status["healthy_why"]
    assert alone.record(1, first=10).returncode != 0
    for command in (["plan"], ["apply"], ["selfcheck"], ["why"]):
        refused = alone.muster(*command)
        assert refused.returncode != 0 and "nothing can be stored" in refused.stderr, refused
    fill_disk(agent, False)
    agent.wait_line("ready", timeout=60)
    assert alone.record(1, first=10).returncode == 0
    assert alone.status()["health"]["spool_records"] >= 4


# ---- a database that is deleted, replaced or damaged ----

def test_a_database_deleted_under_the_agent_is_missed_and_bounded(make_world):
    world = make_world()
    terminal = world.terminal
    agent = terminal.start_agent()
    assert terminal.record(20).returncode == 0
    state = terminal.folder / "state"
    for path in (state / "spool.db", state / "spool.db-wal"):
        path.unlink()
    assert terminal.record(1, first=30).returncode != 0, "nobody would ever find it again"
    agent.wait_line("the database was lost", timeout=60)
    agent.wait_line("ready", after=agent.wait_line("ready"))
    assert terminal.record(5, first=40).returncode == 0
    world.connect()
    world.wait_drained()
    world.fleet.wait_results(5)
    total = world.account()
    assert total["unknown"] >= 20, total


def test_an_older_copy_put_back_under_the_agent_is_noticed(make_world):
    world = make_world(spool="[uplink]\npatience = 2s")  # it looks around eight times in that
    terminal = world.terminal
    state = terminal.folder / "state"
    terminal.start_agent()
    assert terminal.record(5).returncode == 0
    terminal.agent.stop()
    snapshot = (state / "spool.db").read_bytes()
    agent = terminal.start_agent()
    assert terminal.record(5, first=10).returncode == 0
    (state / "spool.db.new").write_bytes(snapshot)
    (state / "spool.db-wal").unlink()
    os.rename(state / "spool.db.new", state / "spool.db")
    agent.wait_line("older copy", timeout=60)
    agent.wait_line("ready", after=agent.wait_line("ready"))
    assert terminal.record(2, first=20).returncode == 0
    world.connect()
    world.wait_drained()
    world.fleet.wait_results(7)
    assert world.account()["unknown"] >= 5


def test_damaged_pages_cost_what_is_in_them(make_world):
    world = make_world()
    terminal = world.terminal
    terminal.start_agent()
    for first in range(1, 401, 20):
        assert terminal.record(20, first=first).returncode == 0
    terminal.agent.stop()
    path = terminal.folder / "state" / "spool.db"
    content = bytearray(path.read_bytes())
    for at in (0, len(content) // PAGE // 2 * PAGE):  # the head of all, and one in the middle
        content[at:at + PAGE] = bytes(PAGE)
    path.write_bytes(content)
    terminal.start_agent()
    status = terminal.status()
    assert "were sound and are kept" in status["spool_opened"], status["spool_opened"]
    assert status["salvaged_records"] > 300
    world.connect()
    world.wait_drained()
    kept = world.fleet.results()
    assert kept > 300
    total = world.account()
    assert kept + total["lost"] + total["unknown"] >= 400, (kept, total)
    assert any("are kept" in row[0] for row in world.fleet.query("SELECT text FROM event"))


# ---- whether it gets on ----

def test_the_watchdog_is_fed_when_idle_and_when_offline(alone, manager):
    alone.start_agent(env=manager.env)
    manager.wait_for("READY=1")
    for _ in range(3):
        manager.wait_for("WATCHDOG=1")
    assert alone.record(1).returncode == 0
    said = manager.wait_for("STATUS=not well")
    assert "muster-link is not there" in said
    for _ in range(3):
        manager.wait_for("WATCHDOG=1")
    status = alone.status()
    assert not status["healthy"] and "muster-link is not there" in status["healthy_why"]


def test_a_fleet_that_falls_silent_is_told_and_starts_the_agent_again_once(make_world, manager):
    world = make_world(spool="[uplink]\npatience = 800ms")
    terminal = world.terminal
    agent = terminal.start_agent(env=manager.env)
    assert terminal.record(3).returncode == 0
    world.connect()
    world.wait_drained()
    wait_for(lambda: terminal.status()["healthy"], what="all is well")
    world.fleet.process.signal(signal.SIGSTOP)
    assert terminal.record(2, first=10).returncode == 0
    wait_for(lambda: "no progress for" in terminal.status()["healthy_why"]
             and not terminal.status()["healthy"], what="it does not pass for healthy")
    agent.wait_line("all is sent again", timeout=60)
    agent.wait_line("connect anew", timeout=60)
    agent.wait_line("to be started again", timeout=60)
    assert agent.wait() == STALLED
    again = terminal.start_agent(env=manager.env)
    again.wait_line("all is sent again", timeout=90)
    world.fleet.process.signal(signal.SIGCONT)
    world.fleet.wait_results(5, timeout=90)
    wait_for(lambda: terminal.status()["healthy"], timeout=90, what="all is well again")
    assert again.running()
    world.wait_drained()
    wait_for(lambda: world.fleet.query("SELECT count(*) FROM event WHERE kind = ?", LIVENESS)[0][0],
             what="the fleet has heard of it")
