# SPDX-License-Identifier: Apache-2.0
"""The terminal's own programs gone wrong: they hang, leave processes in sessions of their own, start
ever more, fail, fill the disk. Results are stored meanwhile, and nothing of them stays."""
import os
import pathlib
import signal

import pytest

from one_terminal import OneTerminal
from processes import wait_for

# What goes wrong is in a file beside it. Its mark is that of all its processes.
HOOK = """#!/bin/sh
here={folder}
wrong=$(cat $here/wrong-{name} 2>/dev/null)
[ -z "$wrong" ] && exit 0
env | grep ^MUSTER_RUN= >> $here/marks
leave() {{ (setsid sh -c 'trap "" TERM HUP; sleep 1000; :' & setsid sleep 1000 <&- >&- 2>&- &); }}
case $wrong in
hang) leave; trap '' TERM HUP; echo hangs > $here/at-{name}; sleep 1000; sleep 1000 ;;
fork) n=0
    while [ $n -lt 20 ]; do
        n=$((n + 1)); setsid sh -c 'i=0; while [ $i -lt 20000 ]; do i=$((i + 1)); (:); done' &
    done
    echo forks > $here/at-{name}; wait; wait ;;
leave) leave; exit 0 ;;
fail) echo it fails; exit 7 ;;
fill) while [ "$(ulimit -f)" = unlimited ]; do :; done
    exec head -c 100000000 /dev/zero > $here/filled-$$ ;;
esac
"""
FILES = {"validate": 1 << 20, "after": 1 << 20, "gate": 16 << 20}
# What comes of what they do, in the words that people are told.
TOLD = {
    "validate": {"hang": "the hook did not end within", "fork": "the hook did not end within",
                 "fail": "the hook said no (exit 7): it fails",
                 "fill": "the hook wrote a file of more than 1048576 bytes and was ended"},
    "after": {"hang": "the hook after the switch did not end within",
              "fork": "the hook after the switch did not end within",
              "fail": "the hook after the switch said no (exit 7): it fails",
              "fill": "the hook after the switch wrote a file of more than 1048576 bytes and was ended"},
    "gate": {"hang": "the gate hook, which did not end in time and was killed",
             "fork": "the gate hook, which did not end in time and was killed",
             "fail": "the gate hook, which ended with exit 7",
             "fill": "the gate hook, which wrote a file of more than 16777216 bytes and was ended"},
}


class World(OneTerminal):
    def __init__(self, bin_dir, processes, run_dir, *where):
        super().__init__(
            bin_dir, processes, run_dir, *where,
            registry=f"quota = 1M\nhook = {run_dir}/validate\nafter_hook = {run_dir}/after\n"
            "hook_limit = 500ms",
            gate=f"alone = 0s\nevery = 100ms\nhook = {run_dir}/gate\nhook_limit = 500ms")
        self.pushed, self.recorded = 0, 0
        self.push()
        self.terminal.start_agent()
        self.connect()
        self.fleet.wait_converged()

    def prepare(self):
        for name in FILES:
            path = self.run_dir / name
            path.write_text(HOOK.format(folder=self.run_dir, name=name))
            path.chmod(0o755)

    def push(self):
        self.pushed += 1
        table = b"prefix\tissuer\n62\tone-%d\n" % self.pushed
        self.fleet.publish("bin", table)
        self.fleet.ctl_ok("assign", "bin", "--device", "term-0001", "--mode", "repair")
        return table

    def sell(self):
        done = self.terminal.record(1, first=self.recorded + 1)
        assert done.returncode == 0, done.stderr
        self.recorded += 1

    def told(self, text):
        """How often the fleet was told so."""
        return self.fleet.query("SELECT count(*) FROM event WHERE instr(text, ?)", text)[0][0]

    def marks(self):
        kept = self.run_dir / "marks"
        return set(kept.read_bytes().split() if kept.exists() else [])

    def left(self):
        """Processes that a hook has started."""
        marks = self.marks()
        found = []
        for environ in pathlib.Path("/proc").glob("[0-9]*/environ"):
            try:
                if marks & set(environ.read_bytes().split(b"\0")):
                    found.append(environ.parent.name)
            except OSError:
                pass
        return found


@pytest.fixture
def world(bin_dir, processes, run_dir, broker, pki):
    made = World(bin_dir, processes, run_dir, broker, pki)
    yield made
    for pid in made.left():  # of a test that failed
        os.kill(int(pid), signal.SIGKILL)


def held(world):
    path = world.terminal.registry / "current" / "bin"
    return path.read_bytes() if path.exists() else None


def go_wrong(world, name, wrong):
    """What the terminal says of it, and that it goes on."""
    before, at = held(world), world.run_dir / f"at-{name}"
    (world.run_dir / f"wrong-{name}").write_text(wrong)
    told = world.told(TOLD[name][wrong])
    wanted = world.push()
    if wrong in ("hang", "fork"):
        wait_for(at.exists, what=f"the {name} hook {wrong}s")
    world.sell()
    wait_for(lambda: world.told(TOLD[name][wrong]) > told, what=TOLD[name][wrong])
    if name != "gate":
        wait_for(lambda: held(world) == before, what="what was in force is, or is again")
    (world.run_dir / f"wrong-{name}").unlink()
    at.unlink(missing_ok=True)
    if wrong == "fill":
        # The gate's is asked again and again, perhaps just now.
        filled = list(world.run_dir.glob("filled-*"))
        assert max(file.stat().st_size for file in filled) == FILES[name]
        for file in filled:
            file.unlink()
    # Without the mark that each of its processes bears, nothing would ever be found.
    assert any(len(mark) > len(b"MUSTER_RUN=") for mark in world.marks())
    if name == "gate":  # asked again
        wait_for(lambda: held(world) == wanted, what="it is in force")
    wait_for(lambda: not world.left(), what="nothing is left of it")


def test_hooks_that_go_wrong(world):
    for name, told in TOLD.items():
        for wrong in told:
            print(f"goes wrong: {name} {wrong}")
            go_wrong(world, name, wrong)
    # One that says yes, and leaves something behind.
    for name in FILES:
        (world.run_dir / f"wrong-{name}").write_text("leave")
    wanted = world.push()
    wait_for(lambda: held(world) == wanted, what="it is in force")
    wait_for(lambda: not world.left(), what="nothing is left of them")
    for name in FILES:
        (world.run_dir / f"wrong-{name}").unlink()
    last = world.push()
    wait_for(lambda: held(world) == last, what="the last one is in force")
    world.fleet.wait_converged()
    world.fleet.wait_results(world.recorded)


def test_a_terminal_where_nothing_is_sold(bin_dir, processes, run_dir, broker, pki):
    """No application, no result: its gate opens alone, and what is in force counts as unproved."""
    world = OneTerminal(bin_dir, processes, run_dir, broker, pki,
                        gate="alone = 1s\nevery = 100ms\n[probation]\ntime = 1s")
    tables = [b"prefix\tissuer\n62\tone\n", b"prefix\tissuer\n62\ttwo\n"]
    for table in tables:
        world.fleet.publish("bin", table)
        world.fleet.ctl_ok("assign", "bin", "--device", "term-0001", "--mode", "repair")
        if world.terminal.agent is None:
            world.terminal.start_agent()
            world.connect()
        wait_for(lambda want=table: held(world) == want, what="it is in force")
    assert "waits for a payment application, which has not been heard of yet; after 1 s it is put " \
        "in force anyway" in world.terminal.agent.log()
    wait_for(lambda: world.terminal.status()["state"]["probation"]["step"] == "unproved",
             what="it counts as unproved")
    wait_for(lambda: world.fleet.query("SELECT 1 FROM event WHERE kind = 10 AND text LIKE "
                                       "'%unproved%'"), what="the fleet is told")
    assert held(world) == tables[1]
    world.fleet.wait_converged()


def test_the_sample_gate_hook(bin_dir, processes, run_dir, broker, pki):
    """It says what is open in the payment application's files, and of what kind that matters to."""
    sample = (pathlib.Path(__file__).parents[2] / "packaging/sample/gate-hook").read_text()
    payment, hook = run_dir / "payment", run_dir / "gate-hook"
    payment.mkdir()
    assert sample.count("state=/var/lib/payment\n") == 1
    hook.write_text(sample.replace("/var/lib/payment", str(payment)))
    hook.chmod(0o755)
    world = OneTerminal(bin_dir, processes, run_dir, broker, pki,
                        gate=f"alone = 0s\nevery = 100ms\nhook = {hook}")
    registry = world.terminal.registry
    (payment / "transaction-open").touch()
    (payment / "batch").write_text("one sale\n")
    world.fleet.publish("bin", b"prefix\tissuer\n62\tone\n")
    world.fleet.ctl_ok("assign", "bin", "--device", "term-0001", "--mode", "repair")
    world.terminal.start_agent()
    world.connect()
    waits = lambda what: what in world.terminal.muster("plan").stdout
    wait_for(lambda: waits("a transaction is open"), what="the hook's word is shown")
    assert held(world) is None
    (payment / "transaction-open").unlink()
    wait_for(lambda: held(world) is not None, what="a table does not wait for the batch")
    world.fleet.publish("ids", b"[terminal]\ntid = T0000001\n", kind="params")
    world.fleet.ctl_ok("assign", "ids", "--device", "term-0001", "--mode", "repair")
    wait_for(lambda: waits("the batch is not settled"), what="the ids do")
    (payment / "batch").write_text("")
    wait_for((registry / "current" / "ids").exists, what="they are in force")
    world.fleet.wait_converged()
