# SPDX-License-Identifier: Apache-2.0
"""What is here and checked waits until the payment application is out of its sale, or its batch."""
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys

import pytest

from one_terminal import OneTerminal
from processes import wait_for
from wire import fields, one

STORED, UNREACHABLE = 0, 5
REPLY_INVALID, REPLY_FULL = 3, 4
SOMEBODY = 65534
# A ClientRequest with an ApplyQuery, from whoever runs this.
DECIDE = """import socket, sys
agent = socket.socket(socket.AF_UNIX)
agent.settimeout(20)
agent.connect(sys.argv[1])
agent.sendall(bytes([4, 8, 1, 0x4a, 0]))
sys.stdout.buffer.write(agent.recv(4096))
"""
BIN_1 = b"prefix\tissuer\n62\tone\n"
BIN_2 = b"prefix\tissuer\n62\tone\n43\ttwo\n"
IDS_1 = b"[terminal]\ntid = T0000001\n"
IDS_2 = b"[terminal]\ntid = T0000002\n"
GATE = "alone = 0s\nevery = 100ms"


def ask_at_once(path, count):
    """A selfcheck `count` times, before any answer is read; the answers, in the order they came."""
    with socket.socket(socket.AF_UNIX) as agent:
        agent.settimeout(60)
        agent.connect(str(path))
        agent.sendall(b"".join(bytes([4, 8, i, 0x22, 0]) for i in range(1, count + 1)))
        came, replies = b"", []
        while len(replies) < count:
            got = agent.recv(65536)
            assert got, "the connection ended"
            came += got
            while len(came) > 1:
                head = 1 if came[0] < 0x80 else 2
                length = came[0] & 0x7F | (came[1] << 7 if head == 2 else 0)
                if len(came) < head + length:
                    break
                replies.append(fields(came[head:head + length]))
                came = came[head + length:]
    return replies


class Clerk:
    """A payment application, a process of its own, that does one step at a time."""

    def __init__(self, terminal):
        self.popen = subprocess.Popen([terminal.bin / "world-clerk", terminal.socket], text=True,
                                      stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def do(self, step):
        self.popen.stdin.write(step + "\n")
        self.popen.stdin.flush()
        status, generation, path, waiting, text = \
            self.popen.stdout.readline().rstrip("\n").split("\t")
        return {"status": int(status), "generation": int(generation), "path": path,
                "waiting": waiting, "text": text}

    def said(self, step):
        done = self.do(step)
        assert done["status"] == STORED, done
        return done

    def kill(self):
        self.popen.send_signal(signal.SIGKILL)
        self.popen.wait()


class World(OneTerminal):
    """One table and one set of parameters are in force."""

    def __init__(self, *where, **terminal):
        super().__init__(*where, **{"gate": GATE, **terminal})
        self.fleet.publish("bin", BIN_1)
        self.fleet.publish("ids", IDS_1, kind="params")
        for name in ("bin", "ids"):
            self.fleet.ctl_ok("assign", name, "--device", "term-0001", "--mode", "repair")
        self.terminal.start_agent()
        self.connect()
        self.fleet.wait_converged()
        self.clerks = []

    def clerk(self):
        self.clerks.append(Clerk(self.terminal))
        return self.clerks[-1]

    def push(self, name, content, kind):
        self.fleet.publish(name, content, kind=kind)
        self.fleet.ctl_ok("assign", name, "--device", "term-0001", "--mode", "repair")

    def held(self, name):
        return (self.terminal.registry / "current" / name).read_bytes()

    def plan(self):
        done = self.terminal.muster("plan", "-o", "json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def wait_waits(self, what, step="waiting"):
        def waits():
            found = self.plan()["waits"]
            return found and what in found["waits_for"] and found["step"] == step
        wait_for(waits, what=f"something waits for {what}: {step}")

    def wait_held(self, name, content):
        wait_for(lambda: self.held(name) == content, what=f"{name} is in force")


@pytest.fixture
def make_world(bin_dir, processes, run_dir, broker, pki):
    made = []

    def make(**how):
        made.append(World(bin_dir, processes, run_dir, broker, pki, **how))
        return made[-1]
    yield make
    for world in made:
        for clerk in world.clerks:
            clerk.kill()


def test_a_sale_and_a_batch_are_waited_for(make_world):
    world = make_world()
    clerk = world.clerk()
    sale = clerk.said("begin 0 0")
    assert sale["generation"] > 0 and sale["path"].endswith(f"/{sale['generation']:08d}")
    world.push("bin", BIN_2, "table")
    world.wait_waits("the open transaction")
    assert world.held("bin") == BIN_1
    assert "for the open transaction" in world.terminal.muster("status").stdout
    item, = world.plan()["items"]
    assert (item["name"], item["held_version"], item["wanted_version"]) == ("bin", 1, 2)
    assert item["gate"] == "no open transaction"
    clerk.said("end 0")
    world.wait_held("bin", BIN_2)
    after = clerk.said("begin 0 0")
    assert after["generation"] > sale["generation"]
    # A batch does not hold a table up, but the terminal's ids.
    clerk.said("set 0 0 1")
    clerk.said("end 0")
    world.push("ids", IDS_2, "params")
    world.wait_waits("the batch to be settled")
    wait_for(lambda: world.fleet.query("SELECT 1 FROM event WHERE kind = 10 AND text LIKE "
                                       "'%checked, and waits for the batch to be settled%'"),
             what="the fleet is told")
    wait_for(lambda: " waits for the batch to be settled since " in
             world.fleet.ctl_ok("describe", "device", "term-0001"), what="ops see it")
    assert world.held("ids") == IDS_1
    # No more does the end of the application, or a restart of the agent by any means, settle it.
    clerk.kill()
    world.terminal.agent.kill()
    world.terminal.start_agent()
    world.wait_waits("a sale that may be open: the agent has just started")
    other = world.clerk()
    other.said("end 0")
    world.wait_waits("the batch to be settled")
    assert world.held("ids") == IDS_1
    other.said("set 0 0 0")
    world.wait_held("ids", IDS_2)
    world.fleet.wait_converged()


def test_an_application_that_dies_in_a_sale_holds_nothing_up(make_world):
    world = make_world()
    clerk = world.clerk()
    clerk.said("begin 0 600000")
    world.push("bin", BIN_2, "table")
    world.wait_waits("the open transaction")
    clerk.kill()
    world.wait_held("bin", BIN_2)
    assert "ended in the middle of a transaction" in world.terminal.agent.log()


def test_one_that_never_ends_is_a_matter_for_a_person(make_world):
    world = make_world(gate=GATE + "\npatience = 2s")
    clerk = world.clerk()
    sale = pathlib.Path(clerk.said("begin 0 600000")["path"])
    world.push("bin", BIN_2, "table")
    world.wait_waits("the open transaction")

    def asks():
        clerk.said("begin 0 600000")
        found = world.plan()["waits"]
        return found["step"] == "asking"
    wait_for(asks, what="a person is asked")
    assert world.held("bin") == BIN_1
    assert "a person should look" in world.terminal.muster("why").stdout
    done = world.terminal.muster("apply")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "terminal 0: in a transaction" in done.stdout and "is in force" in done.stdout
    assert world.held("bin") == BIN_2
    assert (sale / "bin").read_bytes() == BIN_1  # it goes on as it began
    again = world.terminal.muster("apply")
    assert again.returncode != 0 and "nothing waits" in again.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_who_hands_over_results_may_not_decide(make_world):
    world = make_world(spool=f"[client]\nusers = {SOMEBODY}")
    for folder in (world.run_dir, world.terminal.folder):
        folder.chmod(0o711)
    clerk = world.clerk()
    clerk.said("begin 0 0")
    world.push("bin", BIN_2, "table")
    world.wait_waits("the open transaction")
    told = subprocess.run([sys.executable, "-c", DECIDE, world.terminal.socket], user=SOMEBODY,
                          capture_output=True, timeout=60, check=True).stdout
    reply = fields(told[1:] if told[0] < 0x80 else told[2:])
    assert one(reply, 2) == REPLY_INVALID and b"only root and the agent's own user" in one(reply, 3)
    assert world.plan()["waits"]["step"] == "waiting" and world.held("bin") == BIN_1


def test_the_fleet_decides_about_what_it_was_told_of(make_world):
    """And not about what has come in between."""
    world = make_world()
    clerk = world.clerk()
    clerk.said("begin 0 600000")

    def told(name):
        def knows():
            found = world.fleet.query("SELECT digest FROM device_apply WHERE length(digest) = 32")
            return found and found[0][0] != told_of and found[0][0]
        return wait_for(knows, what=f"the fleet knows that {name} waits")

    def ended(order):
        found = next(action for action in world.fleet.json("get", "actions")["actions"]
                     if action["id"] == order)
        return found["step"] in ("done", "failed") and found

    def order():
        return world.fleet.json("action", "term-0001", "apply")["actions"][0]["id"]
    told_of = None
    world.push("bin", BIN_2, "table")
    told_of = told("the second table")
    world.terminal.link.stop()
    late = order()
    world.push("bin", BIN_1 + b"51\tthree\n", "table")
    world.connect()
    assert wait_for(lambda: ended(late), what="the order is answered")["step"] == "failed"
    assert world.held("bin") == BIN_1
    told("the third table")
    now = order()
    assert wait_for(lambda: ended(now), what="the order is carried out")["step"] == "done"
    assert world.held("bin") == BIN_1 + b"51\tthree\n"
    assert "somebody at the fleet has decided" in world.terminal.muster("why").stdout


def test_an_agent_that_comes_back_hears_what_holds(make_world):
    """The application does not notice a restart in its sale; its next word of any kind tells all."""
    world = make_world()
    clerk = world.clerk()
    clerk.said("begin 7 0")
    world.terminal.agent.kill()
    assert clerk.do("set 7 1 0")["status"] == UNREACHABLE
    assert clerk.do("end 7")["status"] == UNREACHABLE
    assert clerk.do("begin 7 0")["status"] == UNREACHABLE
    world.terminal.start_agent()
    assert clerk.do("record")["status"] == STORED
    said = world.plan()["application"]
    assert said["transaction"] and said["reversal"] and not said["batch"]
    clerk.said("end 7")
    assert not world.plan()["application"]["transaction"]
    # It answers as many checks at a time as it has memory for, and the others at once.
    refused = [reply for reply in ask_at_once(world.terminal.socket, 40)
               if one(reply, 2) == REPLY_FULL]
    assert [one(reply, 1) for reply in refused] == list(range(33, 41))
    assert "32 answers of this connection" in one(refused[0], 3).decode()


def test_one_of_two_speaks_for_itself_alone(make_world):
    """Two tills, threads or programs of one logical terminal, and one that says too little."""
    world = make_world()
    sale, settlement, third = world.clerk(), world.clerk(), world.clerk()
    sale.said("begin 0 0")
    world.push("bin", BIN_2, "table")
    world.wait_waits("the open transaction")
    settlement.said("set 0 1 1")
    settlement.said("begin 0 0")
    settlement.kill()
    wait_for(lambda: f"process {settlement.popen.pid}) ended in the middle of a transaction" in
             world.terminal.agent.log(), what="the one that died is told")
    world.wait_waits("the open transaction")
    assert world.held("bin") == BIN_1
    sale.said("end 0")
    world.wait_held("bin", BIN_2)
    # Who begins and ends has not said that nothing is open.
    third.said("begin 7 0")
    third.said("end 7")
    sale.said("set 0 0 1")
    world.push("ids", IDS_2, "params")
    world.wait_waits("the batch to be settled of terminal 0")
    sale.said("set 0 0 0")
    world.wait_waits("the application's word on reversal and batch of terminal 7")
    shown = world.terminal.muster("lease").stdout
    assert "terminal 7: idle; reversal and batch have not been spoken of" in shown
    third.said("begin 7 0")
    refused = world.terminal.muster("lease", "--forget", "7")
    assert refused.returncode != 0 and "is in a transaction" in refused.stderr
    third.said("end 7")
    forgot = world.terminal.muster("lease", "--forget", "7")
    assert forgot.returncode == 0 and "terminal 7" not in forgot.stdout
    world.wait_held("ids", IDS_2)
    assert "had it forgotten" in world.terminal.muster("why").stdout


def test_what_was_kept_and_is_damaged_counts_as_busy(make_world):
    world = make_world()
    clerk = world.clerk()
    clerk.said("set 0 0 0")
    world.terminal.agent.stop()
    kept = world.terminal.folder / "state" / "lease"
    content = bytearray(kept.read_bytes())
    content[5] ^= 0x20
    kept.write_bytes(content)
    world.push("ids", IDS_2, "params")
    world.terminal.start_agent()
    world.wait_waits("a sale that may be open")
    # A word of one terminal says nothing of others that were lost.
    world.clerk().said("set 3 0 0")
    said = world.plan()["application"]
    assert said["lost"] and said["transaction"]
    assert world.held("ids") == IDS_1
    done = world.terminal.muster("apply")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "lost" in done.stdout and world.held("ids") == IDS_2
