# SPDX-License-Identifier: Apache-2.0
"""kill -9 of the agent in each state of putting a generation in force: whoever reads sees one whole
generation, the sale goes on, nothing that was stored is lost, and the next start ends where it was
to end. Keys, packages and actions under way: keyring_kill_test, installer_crash_test,
agent_actions_test."""
import hashlib
import os
import threading

import pytest

from processes import wait_for
from test_gate import BIN_1, GATE, STORED, UNREACHABLE, World

HOOKS = ("validate", "after", "gate")
# Says that it runs, waits for as long as it is held, and says no to what is bad.
HOOK = """#!/bin/sh
here={folder}
if [ -e $here/hold-{name} ]; then : > $here/at-{name}; fi
while [ -e $here/hold-{name} ]; do sleep 0.02; done
echo "$1" >> $here/done-{name}
if [ {name} = after ] && grep -q bad "$1/bin"; then exit 1; fi
exit 0
"""


def read_whole(registry):
    """The number of the generation in force, all of which is what its own list says."""
    folder = os.open(registry / "current", os.O_RDONLY | os.O_DIRECTORY)
    try:
        def content(name):
            with open(os.open(name, os.O_RDONLY, dir_fd=folder), "rb") as file:
                return file.read()
        lines = [line.split("\t") for line in content(".items").decode().splitlines()]
        items = [line for line in lines if len(line) >= 10]
        assert [item[0] for item in items] == ["bin", "ids"], lines
        for item in items:
            assert hashlib.sha256(content(item[0])).hexdigest() == item[4], item
        return int(lines[0][1])
    finally:
        os.close(folder)


class Reader(threading.Thread):
    """Reads all the time, and keeps what it found wrong."""

    def __init__(self, registry):
        super().__init__(daemon=True)
        self.registry, self.seen, self.wrong, self.over = registry, set(), None, threading.Event()

    def run(self):
        while not self.over.is_set() and self.wrong is None:
            try:
                self.seen.add(read_whole(self.registry))
            except (AssertionError, OSError, ValueError, IndexError) as error:
                self.wrong = repr(error)

    def end(self):
        self.over.set()
        self.join()
        assert self.wrong is None, self.wrong
        return self.seen


class KilledWorld(World):
    def __init__(self, bin_dir, processes, run_dir, *where):
        self.hold_file = run_dir / "hold"
        folder = run_dir / "term"
        super().__init__(
            bin_dir, processes, run_dir, *where, program="muster-agent-held",
            env={"MUSTER_HOLD": str(self.hold_file)},
            registry=f"hook = {run_dir}/validate\nafter_hook = {run_dir}/after\nhook_limit = 1m",
            gate=f"{GATE}\npatience = 1s\nhook = {run_dir}/gate\nhook_limit = 1m")
        self.folder, self.pushed, self.stored, self.tables = folder, 0, 0, [BIN_1]
        self.cashier = self.clerk()
        self.cashier.said("set 0 0 0")

    def prepare(self):
        for name in HOOKS:
            path = self.run_dir / name
            path.write_text(HOOK.format(folder=self.run_dir, name=name))
            path.chmod(0o755)

    def next_table(self, kind="good"):
        self.pushed += 1
        table = b"prefix\tissuer\n62\t%s-%d\n" % (kind.encode(), self.pushed)
        self.tables.append(table)
        self.push("bin", table, "table")
        return table

    def hold(self, where):
        self.hold_file.write_text(where)
        self.log_at = len(self.terminal.agent.lines)

    def wait_held_at(self):
        self.terminal.agent.wait_line("held: ", after=self.log_at)

    def hold_hook(self, name):
        (self.run_dir / f"hold-{name}").touch()

    def wait_hook(self, name):
        wait_for((self.run_dir / f"at-{name}").exists, what=f"the hook {name} runs")

    def let_hooks_go(self):
        for name in HOOKS:
            for what in ("hold", "at"):
                (self.run_dir / f"{what}-{name}").unlink(missing_ok=True)

    def wait_looked_at(self):
        """The hook after the switch has said what it has to say of what is in force."""
        def done():
            said = (self.run_dir / "done-after").read_text().split()
            return said and said[-1].endswith(os.readlink(self.terminal.registry / "current"))
        wait_for(done, what="the hook after the switch has ended")

    def sell(self):
        done = self.cashier.do("record")
        self.stored += done["status"] == STORED
        return done["status"]


@pytest.fixture
def world(bin_dir, processes, run_dir, broker, pki):
    made = KilledWorld(bin_dir, processes, run_dir, broker, pki)
    yield made
    made.let_hooks_go()
    for clerk in made.clerks:
        clerk.kill()


# Each brings the agent into its state; what is given back is in force at the end.

def at_effect(where):
    def reach(world):
        world.hold(where)
        wanted = world.next_table()
        world.wait_held_at()
        return wanted
    return reach


def in_hook(name):
    def reach(world):
        world.hold_hook(name)
        wanted = world.next_table()
        world.wait_hook(name)
        assert world.sell() == STORED
        return wanted
    return reach


def waiting(step):
    def reach(world):
        world.cashier.said("begin 0 0")
        wanted = world.next_table()
        world.wait_waits("the open transaction", step)
        return wanted
    return reach


def decided(world):
    """By a person; killed before it is done."""
    world.cashier.said("begin 0 0")
    wanted = world.next_table()
    world.wait_waits("the open transaction")
    world.hold("rename /generations/ .tmp")
    digest = world.plan()["waits"]
    assert digest
    world.decision = threading.Thread(target=world.terminal.muster, args=("apply",))
    world.decision.start()
    world.wait_held_at()
    return wanted


def in_the_switch(world):
    """A sale that begins now is answered after it; the application hears that nobody is there."""
    wanted = at_effect("rename /generations/ .tmp")(world)
    world.cashier.popen.stdin.write("begin 0 0\n")
    world.cashier.popen.stdin.flush()
    wait_for(lambda: world.plan()["application"]["transaction"], what="the agent has heard of it")
    world.begun = True
    return wanted


def on_probation(world):
    wanted = world.next_table()
    world.wait_held("bin", wanted)
    assert world.sell() == STORED
    return wanted


def return_waits(world):
    """To the only one that is good: nothing here has results enough."""
    world.hold_hook("after")
    world.wait_held("bin", world.next_table("bad"))
    world.wait_hook("after")
    world.cashier.said("begin 0 0")
    world.let_hooks_go()
    world.wait_waits("the open transaction")
    return BIN_1


def in_the_return(where):
    def reach(world):
        wanted = return_waits(world)
        world.hold(where)
        world.cashier.said("end 0")
        world.wait_held_at()
        return wanted
    return reach


def keeping_the_word(world):
    """On the loop: the application's word is not answered, and said again to the next agent."""
    world.hold("rename /lease")
    world.cashier.popen.stdin.write("set 0 0 1\n")
    world.cashier.popen.stdin.flush()
    world.wait_held_at()
    world.begun = world.batch = True
    return world.held("bin")


STATES = {
    "switch": in_the_switch,
    "waiting return": return_waits,
    "word": keeping_the_word,
    "validating hook": in_hook("validate"),
    "between the renames": at_effect("rename /current"),
    "fetching": at_effect("create /blobs/"),
    "accepting": at_effect("rename /desired"),
    "building": at_effect("create .tmp/"),
    "list": at_effect("rename .tmp/.items"),
    "gate hook": in_hook("gate"),
    "waiting": waiting("waiting"),
    "asking": waiting("asking"),
    "decided": decided,
    "what is to be proved": at_effect("rename /probation"),
    "sweeping": at_effect("unlink bin"),
    "after-hook": in_hook("after"),
    "probation": on_probation,
    "return is noted": in_the_return("rename /returned"),
    "return": in_the_return("rename /current"),
}


def kill_in(world, reach):
    """And everything that is to hold after it."""
    world.begun = world.batch = False
    assert world.sell() == STORED
    wanted = reach(world)
    at_kill = world.held("bin")
    world.terminal.agent.kill()
    if world.begun:
        assert int(world.cashier.popen.stdout.readline().split("\t")[0]) == UNREACHABLE
    assert world.held("bin") == at_kill and at_kill in world.tables
    # Nobody is there: the sale goes on, the application keeps its result.
    assert world.cashier.do("begin 0 0")["status"] == UNREACHABLE
    assert world.sell() == UNREACHABLE
    world.hold_file.unlink(missing_ok=True)
    world.let_hooks_go()
    world.terminal.start_agent()
    world.terminal.link.kill()  # a new one asks the broker at once
    world.terminal.start_link(world.broker, world.pki)
    assert world.sell() == STORED
    application = world.plan()["application"]
    assert application["transaction"] and application["batch"] == world.batch
    # A sale may be open: the start has put nothing else in force, whatever it found.
    assert world.held("bin") == at_kill
    world.cashier.said("set 0 0 0")
    world.cashier.said("end 0")
    world.wait_held("bin", wanted)
    world.wait_looked_at()


def test_killed_in_each_state(world):
    reader = Reader(world.terminal.registry)
    reader.start()
    for name, reach in STATES.items():
        print(f"killed: {name}")
        kill_in(world, reach)
    last = world.next_table()
    world.wait_held("bin", last)
    world.fleet.wait_converged()
    world.fleet.wait_results(world.stored)
    assert len(reader.end()) > 2
