# SPDX-License-Identifier: Apache-2.0
"""A terminal whose clock says 1970, ten years on, or is set while it runs (libfaketime; time since
boot stays as it is): it connects, nothing is evicted, and the fleet says when things really were."""
import glob
import time

import pytest

from fleet_side import FleetSide
from one_terminal import OneTerminal
from processes import wait_for
from terminal import Terminal

YEAR = 365 * 86400
TEN_YEARS = 10 * YEAR


class Clock:
    """What the clock of programs started with `env` is off by, in seconds; may change meanwhile."""

    def __init__(self, folder, name, wrong_s):
        library, = glob.glob("/usr/lib/*/faketime/libfaketime.so.1")
        self.file = folder / f"clock-{name}"
        self.set(wrong_s)
        self.env = {"LD_PRELOAD": library, "FAKETIME_TIMESTAMP_FILE": str(self.file),
                    "FAKETIME_NO_CACHE": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1",
                    "DONT_FAKE_MONOTONIC": "1", "ASAN_OPTIONS": "verify_asan_link_order=0"}

    def set(self, wrong_s):
        self.wrong_s = wrong_s
        new = self.file.with_suffix(".new")
        new.write_text(f"{wrong_s:+d}s\n")
        new.replace(self.file)


class World(OneTerminal):
    def __init__(self, *where):
        super().__init__(*where)
        self.made = []  # (first stan, last stan, not before, not after), true time in ms
        self.clock = None

    def start(self, wrong_s, link=True):
        self.clock = Clock(self.run_dir, "terminal", wrong_s)
        self.terminal.start_agent(env=self.clock.env)
        if link:
            self.start_link()
        return self

    def start_link(self):
        self.terminal.start_link(self.broker, self.pki, env=self.clock.env)
        self.terminal.wait_connected()

    def record(self, count, **fields):
        first = self.made[-1][1] + 1 if self.made else 1
        before = time.time_ns() // 1000000
        assert self.terminal.record(count, first, **fields).returncode == 0
        self.made.append((first, first + count - 1, before, time.time_ns() // 1000000))

    def wait_judged(self):
        """All have come, and none is judged by too little any more."""
        total = self.made[-1][1]
        self.fleet.wait_results(total)
        wait_for(lambda: self.fleet.query(
            "SELECT count(*) FROM result WHERE bound_ms < 0 OR bound_ms > 10000")[0][0] == 0,
            what="every result's time is known")

    def check_times(self, wall_right=False):
        worst = 0
        for stan, at_ms, bound_ms, wall_ms in self.fleet.query(
                "SELECT stan, at_ms, bound_ms, wall_ms FROM result"):
            before, after = next(made[2:] for made in self.made if made[0] <= stan <= made[1])
            assert before - bound_ms <= at_ms <= after + bound_ms, (stan, at_ms, bound_ms)
            assert wall_right or abs(wall_ms - before) > YEAR * 1000, "the clock was not wrong"
            worst = max(worst, bound_ms)
        print(f"clock.scenario.worst_bound_ms {worst} ms")

    def lost(self):
        return self.fleet.json("describe", "device", "term-0001")["lost"]


@pytest.fixture
def world(bin_dir, processes, run_dir, broker, pki):
    return World(bin_dir, processes, run_dir, broker, pki)


def year_1970():
    return 3600 - int(time.time())


@pytest.mark.parametrize("wrong_s", [year_1970(), TEN_YEARS], ids=["1970", "ten years on"])
def test_a_wrong_clock_costs_nothing_but_itself(world, wrong_s):
    world.start(wrong_s, link=False)
    world.record(40)
    world.start_link()
    world.record(40)
    world.wait_judged()
    world.check_times()
    assert world.lost() == 0
    clock = world.fleet.json("describe", "device", "term-0001")["clock"]
    assert abs(clock["offset_ms"] - wrong_s * 1000) <= clock["bound_ms"] + 2000, clock
    assert clock["jumps"] == 0
    said = world.terminal.muster("status").stdout
    assert ("days behind the fleet" if wrong_s < 0 else "days ahead of the fleet") in said, said
    errors = world.fleet.json("errors", "--since", "10m")
    assert (errors["total"], errors["unsure"]) == (80, 0)
    # Now the fleet has said what time it is: the next session is judged by that, strictly.
    seen = world.terminal.link.wait_line("connected to")
    world.broker.stop()
    world.broker.start()
    world.terminal.link.wait_line("connected to", after=seen)
    assert "may be wrong" not in "\n".join(world.terminal.link.lines[seen:])


def test_a_clock_that_is_set_while_it_runs(world):
    world.start(year_1970())
    world.record(20)
    told = 0
    for wrong_s in (0, TEN_YEARS, -YEAR):
        world.clock.set(wrong_s)
        world.record(20)
        told = world.terminal.agent.wait_line("the clock was set", after=told)
    world.wait_judged()
    world.check_times(wall_right=True)
    wait_for(lambda: world.fleet.json("describe", "device", "term-0001")["clock"]["jumps"] == 3,
             what="all three are told")
    assert world.lost() == 0
    events = world.fleet.query("SELECT text FROM event WHERE kind = 8 ORDER BY seq")
    assert sum("the clock was set back by" in row[0] for row in events) == 1, events
    described = world.fleet.ctl_ok("describe", "device", "term-0001")
    assert "behind the fleet" in described and "set 3 times" in described, described


def test_what_an_application_stamps_is_placed(world):
    """A result that is handed over late, with the wrong clock's time of then."""
    world.start(TEN_YEARS)
    before = time.time_ns() // 1000000
    wall_ms = before + TEN_YEARS * 1000 - 5000
    world.record(1, wall_ms=wall_ms)
    world.wait_judged()
    (at_ms, bound_ms), = world.fleet.query("SELECT at_ms, bound_ms FROM result")
    assert abs(at_ms - (before - 5000)) <= bound_ms + 1500, (at_ms - before, bound_ms)


def test_what_expired_before_the_terminal_was_made_is_refused_by_any_clock(
        bin_dir, processes, run_dir, make_broker, pki):
    past = Clock(run_dir, "past", -60 * 86400)
    old = pki.server(env=past.env)
    broker = make_broker(server=old)
    fleet = FleetSide(bin_dir, processes, run_dir / "fleet")
    terminal = Terminal(bin_dir, processes, run_dir / "term", "term-0001", fleet.root)
    terminal.make_key()
    clock = Clock(run_dir, "terminal", TEN_YEARS)
    terminal.start_agent(env=clock.env)
    terminal.start_link(broker, pki, env=clock.env)
    terminal.link.wait_line("certificate has expired")
    assert not terminal.status()["connected"]
