# SPDX-License-Identifier: Apache-2.0
"""What the fleet orders is done once: by the agent, by its helper, never beside a sale."""
import os
import shutil
import socket
import sqlite3
import subprocess
import sys

import pytest

from one_terminal import OneTerminal
from processes import wait_for
from wire import fields, one

SOMEBODY = 65534
HELPER_DONE, HELPER_FAILED, HELPER_REFUSED = 1, 2, 4
BIN = b"prefix\tissuer\n62\tone\n"
# Published for tests of card numbers.
CARD = "4111" + "1111" * 3
SETTINGS = """alone = 0s
every = 100ms
[helper]
socket = helper.sock
[hooks]
sign_on = sign-on
[logs]
files = payapp.log, gone.log
program = journal
"""
HELPER = """[helper]
socket = helper.sock
users = {somebody}
[verbs]
reboot = {folder}/reboot now
restart-application = {folder}/restart payapp.service
"""
# A HelperRequest of whoever runs this; prints what comes back.
ASK = """import socket, sys
helper = socket.socket(socket.AF_UNIX)
helper.settimeout(20)
helper.connect(sys.argv[1])
verb = sys.argv[2].encode()
body = bytes([8, 7, 0x12, len(verb)]) + verb
try:
    helper.sendall(bytes([len(body)]) + body)
    sys.stdout.buffer.write(helper.recv(4096))
except (BrokenPipeError, ConnectionResetError):
    pass
"""


class World(OneTerminal):
    def __init__(self, *where):
        super().__init__(*where, gate=SETTINGS)
        self.folder = self.terminal.folder
        self.ran = self.folder / "ran"
        for name in ("reboot", "restart", "sign-on"):
            self.program(name, f'echo "{name} $*" >> {self.ran}\necho said by {name}')
        self.program("journal", f'echo "the journal speaks of {CARD}"')
        (self.folder / "payapp.log").write_text(
            "".join(f"line {n}: paid with {CARD[:4]} {CARD[4:8]} {CARD[8:12]} {CARD[12:]}\n"
                    for n in range(2000)))
        (self.folder / "helper.conf").write_text(
            HELPER.format(folder=self.folder, somebody=os.geteuid()))
        self.start_helper()
        self.fleet.publish("bin", BIN)
        self.fleet.ctl_ok("assign", "bin", "--device", "term-0001", "--mode", "repair")
        self.terminal.start_agent()
        self.connect()
        self.fleet.wait_converged()

    def program(self, name, script):
        path = self.folder / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def start_helper(self):
        self.helper = self.processes_start()
        self.helper.wait_line("ready")

    def processes_start(self):
        return self.terminal.processes.start(
            "helper", [self.terminal.bin / "muster-helper", "--config",
                       self.folder / "helper.conf"], cwd=self.folder)

    def lines_ran(self):
        return self.ran.read_text().splitlines() if self.ran.exists() else []

    def order(self, kind, *more):
        reply = self.fleet.json("action", "term-0001", kind, *more)
        return reply["actions"][0]["id"]

    def action(self, name):
        return next(action for action in self.fleet.json("get", "actions")["actions"]
                    if action["id"] == name)

    def wait_step(self, name, step):
        wait_for(lambda: self.action(name)["step"] == step, what=f"{name} is {step}")
        return self.action(name)

    def named(self):
        return self.fleet.query("SELECT count(*) FROM action WHERE named <> 0")[0][0]

    def shown(self):
        return {action["id"]: action for action in self.terminal.status()["actions"]}


@pytest.fixture
def world(bin_dir, processes, run_dir, broker, pki):
    return World(bin_dir, processes, run_dir, broker, pki)


def backup(source, target):
    with sqlite3.connect(source) as held, sqlite3.connect(target) as kept:
        held.backup(kept)


def test_each_kind_once(world):
    dry = world.fleet.json("action", "term-0001", "reboot", "--dry-run")
    assert dry["dry_run"] and world.fleet.json("get", "actions")["actions"] == []
    twice = world.fleet.ctl("action", "term-0001", "term-0001", "reboot")
    assert twice.returncode != 0 and "there twice" in twice.stderr
    generation = world.terminal.status()["state"]["generation"]
    orders = {kind: world.order(kind, "--note", f"try {kind}")
              for kind in ("selfcheck", "resync", "logs", "sign-on", "restart-application",
                           "reset-registration", "apply")}
    for kind, name in orders.items():
        action = world.wait_step(name, "failed" if kind == "apply" else "done")
        assert action["kind"] == kind and action["note"] == f"try {kind}"
    assert "nothing waits" in world.action(orders["apply"])["text"]
    assert "said by sign-on" in world.action(orders["sign-on"])["text"]
    assert "said by restart" in world.action(orders["restart-application"])["text"]
    assert world.terminal.status()["state"]["generation"] > generation
    assert (world.terminal.registry / "current" / "bin").read_bytes() == BIN
    # The terminal restarts, as far as this machine can tell: the agent ends, and nobody knows.
    reboot = world.order("reboot")
    wait_for(lambda: "reboot now" in world.lines_ran(), what="the terminal is restarted")
    world.terminal.agent.kill()
    world.terminal.start_agent()
    assert "not done again" in world.wait_step(reboot, "outcome unknown")["text"]
    assert sorted(world.lines_ran()) == ["reboot now", "restart payapp.service", "sign-on "]
    wait_for(lambda: world.named() == 0, what="no manifest names what is over")
    assert world.shown()[reboot]["step"] == "outcome unknown"
    assert orders["logs"] in world.terminal.muster("status").stdout
    assert "said by restart" in world.fleet.ctl_ok("describe", "device", "term-0001")
    audit = [row[0] for row in world.fleet.query("SELECT text FROM audit WHERE what = 'action'")]
    assert len(audit) == 8
    assert audit[-1].startswith(f"reboot {reboot}; manifest ") and "try selfcheck" in audit[0]
    look_at_the_log(world, orders["logs"])


def look_at_the_log(world, name):
    told = world.fleet.json("logs", name, "--out", "bundle.log")
    text = (world.fleet.folder / told["file"]).read_text()
    assert told["bytes"] == len(text) and "line 1999: paid with ****" in text
    assert "gone.log" in text and "the journal speaks of ****************" in text
    assert "masked" in world.action(name)["text"]
    spaced = " ".join(CARD[at:at + 4] for at in range(0, 16, 4))
    for spelled in (CARD, spaced):
        assert spelled not in text
        assert spelled not in world.terminal.agent.log()
        for held in ("fleet.db", "fleet.db-wal"):
            assert spelled.encode() not in (world.fleet.folder / held).read_bytes()
    assert world.fleet.ctl("logs", "0123").returncode != 0
    with sqlite3.connect(world.fleet.folder / "fleet.db") as held:  # another one than was told
        held.execute("UPDATE action SET log_sha256 = zeroblob(32) WHERE name = ?", (name,))
    other = world.fleet.ctl("logs", name, "--out", "other.log")
    assert other.returncode != 0 and "not what the terminal said" in other.stderr
    assert not (world.fleet.folder / "other.log").exists()


def test_it_waits_for_the_sale_and_a_restored_fleet_does_not_repeat_it(world):
    clerk = subprocess.Popen([world.terminal.bin / "world-clerk", world.terminal.socket],
                             text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def do(step):
        clerk.stdin.write(step + "\n")
        clerk.stdin.flush()
        return clerk.stdout.readline()
    try:
        do("begin 0 600000")
        restart = world.order("restart-application")
        waiting = world.wait_step(restart, "waiting")
        assert "the open transaction" in waiting["text"] and world.lines_ran() == []
        assert "the open transaction" in world.terminal.muster("plan").stdout
        expired = world.order("restart-application", "--expires", "1s")
        world.wait_step(expired, "expired")
        backup(world.fleet.folder / "fleet.db", world.fleet.folder / "before.db")
        do("end 0")
        world.wait_step(restart, "done")
    finally:
        clerk.kill()
        clerk.wait()
    assert world.lines_ran() == ["restart payapp.service"]
    world.fleet.process.stop()
    for name in ("fleet.db-wal", "fleet.db-shm"):
        (world.fleet.folder / name).unlink(missing_ok=True)
    shutil.move(world.fleet.folder / "before.db", world.fleet.folder / "fleet.db")
    world.fleet.start(world.broker, world.pki)
    assert world.action(restart)["step"] == "waiting"
    world.wait_step(restart, "done")  # it tells again, and that is all
    wait_for(lambda: world.named() == 0, what="no manifest names it any more")
    assert world.lines_ran() == ["restart payapp.service"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_the_helper_knows_its_list_and_its_agent(world):
    for folder in (world.run_dir, world.folder):
        folder.chmod(0o711)

    def ask(verb, **who):
        told = subprocess.run([sys.executable, "-c", ASK, world.folder / "helper.sock", verb],
                              capture_output=True, timeout=60, check=True, **who).stdout
        return fields(told[1:] if told[0] < 0x80 else told[2:]) if told else None
    reply = ask("halt")
    assert one(reply, 1) == 7 and one(reply, 2) == HELPER_REFUSED
    assert ask("reboot", user=SOMEBODY) is None and world.lines_ran() == []
    world.helper.wait_line(f"user {SOMEBODY} ")
    (world.folder / "reboot").chmod(0o777)  # anybody's now
    assert one(ask("reboot"), 2) == HELPER_FAILED
    (world.folder / "reboot").chmod(0o755)
    assert one(ask("reboot"), 2) == HELPER_DONE
    assert world.lines_ran() == ["reboot now"]
    with socket.socket(socket.AF_UNIX) as nonsense:
        nonsense.connect(str(world.folder / "helper.sock"))
        nonsense.sendall(b"\x05\xff\xff\xff\xff\xff")
        assert nonsense.recv(1) == b""
