# SPDX-License-Identifier: Apache-2.0
"""Keys on their way from the custodian into a terminal's token: placed, repaired, refused, and never
to be found anywhere on that way. Token and loader are real; what the loader of a maker might say is
said by the script between."""
import contextlib
import fcntl
import os
import resource
import signal
import subprocess
import termios

import pytest

import tr31
from ops import Ops
from processes import wait_for
from secret_scan import LeftBehind, Scan, contents_of
from softhsm import LIBRARY, Tokens
from terminal import Terminal

DEVICE = "term-0001"
# Of this run alone: whoever finds one of them has it from here.
KEYS = {n: os.urandom(16) for n in (1, 2, 3)}
PROTECTION = bytes(byte | 0x80 for byte in os.urandom(32))  # softhsm2-util drops white space
EVENT_KEYS = 12
DEBUG = "[log]\nlevel = debug\n"

LOADER = """#!/bin/sh
if [ "$1" = load ] && [ -e "{folder}/refuses" ]; then
    cat >"{folder}/was-given"
    echo "why the slot is in use, and $(cat "{folder}/was-given") is not taken"
    exit 1
fi
[ "$1" = load ] && echo "$*" >>"{folder}/loads"
SOFTHSM2_CONF={folder}/token/softhsm2.conf ASAN_OPTIONS=detect_leaks=0
export SOFTHSM2_CONF ASAN_OPTIONS
exec {bin}/muster-keys-pkcs11 --config {folder}/pkcs11.conf "$@"
"""

CONFIG = """[token]
module = {library}
label = terminal
pin = {folder}/token/terminal.pin
protection = kbpk
[slots]
own = pik
"""


class TalkativeOps(Ops):
    def write_config(self, broker, pki):
        super().write_config(broker, pki)
        with open(self.folder / "musterd.conf", "a", encoding="ascii") as config:
            config.write(DEBUG)


class World:
    def __init__(self, bin_dir, processes, run_dir, broker, pki):
        self.bin, self.processes, self.pki, self.run_dir = bin_dir, processes, pki, run_dir
        self.left_behind = LeftBehind(run_dir)
        self.ops = TalkativeOps(bin_dir, processes, run_dir / "fleet")
        self.ops.start(broker, pki)
        self.folder = run_dir / "device"
        self.folder.mkdir()
        self.make_token()
        self.blocks = []
        self.terminal = Terminal(bin_dir, processes, run_dir / DEVICE, DEVICE, self.ops.root,
                                 keys=f"loader = {self.folder}/loader\n{DEBUG}", grace="1h")
        self.ops.ctl_ok("device", "add", DEVICE, "--serial", "SN-1", "--model", "A920",
                        "--agent-key", self.terminal.make_key(), "--merchant", "m1", "--store",
                        "s1", "--terminal", "0:0:T0000001:M00000000000001")
        certificate = pki.sealing(self.terminal.make_sealing_key(), DEVICE)
        self.ops.ctl_ok("device", "sealing", DEVICE, certificate, "--device-ca", pki.ca)
        self.terminal.start_agent()
        self.terminal.start_link(broker, pki, extra=DEBUG)

    def make_token(self):
        tokens = Tokens(self.folder / "token")
        tokens.add("terminal", "7418")
        protection = self.folder / "kbpk.bin"
        protection.write_bytes(PROTECTION)
        subprocess.run(["softhsm2-util", "--import", protection, "--aes", "--token", "terminal",
                        "--label", "kbpk", "--id", "A1", "--pin", "7418"], check=True,
                       capture_output=True, env={"PATH": "/usr/bin:/bin", **tokens.env})
        protection.unlink()
        (self.folder / "pkcs11.conf").write_text(
            CONFIG.format(library=LIBRARY, folder=self.folder))
        loader = self.folder / "loader"
        loader.write_text(LOADER.format(folder=self.folder, bin=self.bin))
        loader.chmod(0o755)

    def loader(self, *args, block=b""):
        return subprocess.run([self.folder / "loader", *args], input=block, capture_output=True,
                              check=False)

    def slot(self):
        """What the token has in slot tmk."""
        said = self.loader("inventory").stdout.decode().split("\n")
        lines = [line for line in said if line.startswith("slot tmk ")]
        assert len(lines) <= 1
        return lines[0] if lines else ""

    def converged(self):
        (device,) = self.ops.json("get", "devices")["devices"]
        return device["converged"]

    def holds(self, key, version):
        wanted = tr31.kcv(key).lower()
        return f"version {version} " in self.slot() and wanted in self.slot()

    @staticmethod
    def wrap(key, version):
        return tr31.wrap(key, version, protection=PROTECTION)

    def sealing(self, file):
        return ("doc", "seal", "tmk.key", file, "--kind", "key-block", "--device", DEVICE,
                "--device-ca", self.pki.ca, "--custodian-key", "keys/custodian.pem")

    def seal(self, key, version, *options, kcv=None, slot="tmk"):
        block = self.wrap(key, version)
        self.blocks.append(block)
        file = self.ops.folder / "tmk.tr31"
        file.write_bytes(block + b"\n")
        done = self.ops.ctl(*self.sealing(file), "--slot", slot, "--kcv", kcv or tr31.kcv(key),
                            *options)
        file.unlink()
        return done

    def push(self, key, version, **options):
        done = self.seal(key, version, **options)
        assert done.returncode == 0, done.stderr
        self.ops.ctl_ok("assign", "tmk.key", "--mode", "repair", "--device", DEVICE)

    def inventory(self, *options):
        """What the fleet says is in the slots."""
        return [(slot["slot"], slot["state"], slot["key_version"], slot["kcv"])
                for slot in self.ops.json("get", "keys", *options)["slots"]]

    def told(self, text):
        return self.ops.query("SELECT text FROM event WHERE kind = ? AND text LIKE ?",
                              EVENT_KEYS, f"%{text}%")


@pytest.fixture
def world(bin_dir, processes, run_dir, broker, pki):
    """Whatever started this may have forbidden core dumps; here only the programs do."""
    before = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    yield World(bin_dir, processes, run_dir, broker, pki)
    resource.setrlimit(resource.RLIMIT_CORE, before)


def core_limit(pid):
    """Soft and hard."""
    with open(f"/proc/{pid}/limits", encoding="ascii") as limits:
        return next(line for line in limits if line.startswith("Max core file size")).split()[4:6]


def places_of(pid, text):
    """The flags of all pages of a process that this stands on; and whether a sanitizer is in it, under
    which nothing is ever locked."""
    found, sanitized, spans = [], False, []
    with open(f"/proc/{pid}/smaps", encoding="ascii", errors="replace") as smaps:
        for line in smaps:
            words = line.split()
            if "-" in words[0] and not words[0].endswith(":"):
                spans.append((*(int(end, 16) for end in words[0].split("-")), words[1]))
                sanitized = sanitized or "libasan" in line
            elif words[0] == "VmFlags:":
                spans[-1] += (words[1:],)
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for start, end, may, flags in spans:
            sanitized = sanitized or end - start > 1 << 40
            if may.startswith("rw") and end - start < 1 << 28:
                with contextlib.suppress(OSError):
                    memory.seek(start)
                    if text in memory.read(end - start):
                        found.append(flags)
    return found, sanitized


def hold_the_loader(world, block):
    """In the middle of its block it leaves no dump, nor anything else when it is killed."""
    with subprocess.Popen([world.folder / "loader", "load", "tmk"], stdin=subprocess.PIPE,
                          stdout=subprocess.DEVNULL) as held:
        held.stdin.write(block[:-1])
        held.stdin.flush()
        pending = bytearray(4)

        def has_read():
            fcntl.ioctl(held.stdin, termios.FIONREAD, pending)
            return not any(pending)
        wait_for(has_read, what="the loader reads the block")
        assert core_limit(held.pid) == ["0", "0"]
        places, sanitized = places_of(held.pid, block[16:48])
        assert places, "the block is nowhere: this sees nothing"
        for flags in places:
            assert "dd" in flags and (sanitized or "lo" in flags), flags
        held.send_signal(signal.SIGKILL)
    (world.folder / "loads").unlink()


def assert_musterctl_leaves_no_dump(world):
    """While it has the block, and musterd lets it wait."""
    file = world.ops.folder / "tmk.tr31"
    file.write_bytes(world.wrap(KEYS[3], 3))
    world.ops.process.signal(signal.SIGSTOP)
    with subprocess.Popen([world.bin / "musterctl", *world.sealing(file), "--slot", "tmk", "--kcv",
                           tr31.kcv(KEYS[3]), "--server", f"unix:{world.ops.folder}/api.sock"],
                          cwd=world.ops.folder, stdout=subprocess.DEVNULL) as sealing:
        wait_for(lambda: core_limit(sealing.pid) == ["0", "0"], what="no dump of musterctl")
        sealing.kill()
    world.ops.process.signal(signal.SIGCONT)
    file.unlink()


def what_commands_say(world):
    ops, said = world.ops, []
    for command in (("describe", "device", DEVICE), ("get", "keys"), ("get", "documents")):
        said += [ops.ctl_ok(*command), ops.ctl_ok(*command, "-o", "json")]
    for command in (("status",), ("status", "-o", "json"), ("plan",)):
        said.append(world.terminal.muster(*command).stdout)
    assert "tmk" in said[0] and "tmk" in said[-3], "they say nothing"
    return "\n".join(said).encode()


def check_nothing_leaked(world, *kept, told):
    """No block and no key in what the terminal keeps, what anybody said, or what the fleet has."""
    derived = [tr31.derive(PROTECTION, use) for use in (0, 1)]
    scan = Scan([*KEYS.values(), PROTECTION, *derived], world.blocks)
    scan.check_itself()
    assert scan.finds(what_commands_say(world)) is None
    for process in world.processes.all:
        assert scan.finds(process.log().encode()) is None, process.name
    for process in (world.terminal.agent, world.terminal.link, world.ops.process):
        process.stop()
    contents = {path: contents_of(path) for path in world.run_dir.rglob("*") if path.is_file()}
    names = {path.name for path in contents}
    assert {"tmk.key", "spool.db", "fleet.db", *kept} <= names, names
    for path, content in contents.items():
        assert scan.finds(content) is None, path
        assert path.name not in ("spool.db", "fleet.db") or told.encode() in content, path
    assert world.left_behind.finds(scan) is None


def test_placed_repaired_refused(world):
    ops, terminal = world.ops, world.terminal
    hold_the_loader(world, world.wrap(KEYS[1], 1))
    world.push(KEYS[1], 1)
    ops.wait_converged()
    assert world.holds(KEYS[1], 1)
    (document,) = ops.json("get", "documents")["documents"]
    assert document["key"] == {"slot": "tmk", "usage": "K0", "algorithm": "A", "mode": "B",
                               "key_version": 1, "kcv": tr31.kcv(KEYS[1]).lower()}
    assert f"tmk v1 K0 A B {tr31.kcv(KEYS[1]).lower()}" in ops.ctl_ok("get", "documents")
    assert (world.folder / "loads").read_text() == "load tmk\n"
    wait_for(lambda: world.told("version 1 of tmk.key is placed"), what="the fleet hears of it")
    (slot,) = world.inventory()
    assert slot[:3] == ("tmk", "ok", 1)
    assert slot[3].startswith(tr31.kcv(KEYS[1]).split(":")[1].lower())
    assert "tmk" in ops.ctl_ok("get", "keys")
    assert "No key slots" in ops.ctl_ok("get", "keys", "--amiss")

    # Somebody else's key under the same version: noticed by its check value, and put right.
    assert world.loader("load", "tmk", block=world.wrap(KEYS[3], 1)).returncode == 0
    assert world.holds(KEYS[3], 1)
    terminal.muster("selfcheck")
    wait_for(lambda: world.holds(KEYS[1], 1), what="repaired")
    wait_for(lambda: world.told("another key than the one placed"), what="the fleet hears of it")
    ops.wait_converged()

    # The loader says no: the key that is there stays, and the fleet is told why.
    (world.folder / "refuses").write_text("")
    world.push(KEYS[2], 2)
    wait_for(lambda: world.told("the slot is in use"), what="the refusal is told")
    assert world.holds(KEYS[1], 1)
    assert (world.folder / "was-given").read_bytes().strip() == world.blocks[-1]
    (world.folder / "was-given").unlink()
    assert not world.converged()
    (world.folder / "refuses").unlink()
    terminal.muster("selfcheck")
    wait_for(lambda: world.holds(KEYS[2], 2), what="placed after all")
    ops.wait_converged()

    # A key version that was there before is not taken, however new its document is; nor after a
    # restart, nor once the token has forgotten.
    world.push(KEYS[3], 1)
    wait_for(lambda: world.told("key version 1 is not above 2"), what="the refusal is told")
    assert [row[:3] for row in world.inventory("--amiss", "--device", DEVICE)] == [
        ("tmk", "differs", 2)]
    terminal.agent.stop()
    terminal.start_agent()
    terminal.muster("selfcheck")
    assert world.holds(KEYS[2], 2)
    assert not world.converged()
    assert core_limit(terminal.agent.pid) == ["0", "0"]
    assert_musterctl_leaves_no_dump(world)

    # Asked about, and refused: from then on another system's.
    ops.ctl_ok("assign", "tmk.key", "--mode", "propose", "--device", DEVICE)
    wait_for(lambda: ops.json("get", "proposals")["proposals"], what="ops are asked")
    asked, = ops.json("get", "proposals")["proposals"]
    assert (asked["device"], asked["document"], asked["kind"]) == (DEVICE, "tmk.key", "key-block")
    assert "another check value is in it; proposed to ops" in asked["reason"]
    assert ops.query("SELECT count(*) FROM event WHERE kind = 15 AND item = 'tmk.key'") == [(1,)]
    assert world.holds(KEYS[2], 2)
    ops.ctl_ok("propose", "refuse", DEVICE, "tmk.key", "--seen", asked["seen"])
    assert not ops.json("get", "proposals")["proposals"]

    # Another system's from now on: told how its slot differs, and never touched.
    ops.ctl_ok("assign", "tmk.key", "--mode", "observe", "--device", DEVICE)
    wait_for(lambda: world.told("another check value is in it; observed only"), what="drift")
    assert not world.converged()
    assert world.holds(KEYS[2], 2)
    check_nothing_leaked(world, "keys", told="the slot is in use")


def test_what_a_custodian_may_not_sign(world):
    key = KEYS[1]
    assert "key version 00" in world.seal(key, 0).stderr
    assert "no slot" in world.seal(key, 1, slot="Tmk").stderr
    assert "METHOD:HEX" in world.seal(key, 1, kcv="cmac:000000").stderr
    assert "another algorithm" in world.seal(key, 1, kcv="tdes-ecb:000000").stderr
    assert world.ops.query("SELECT count(*) FROM document") == [(0,)]
    # A check value that is not the key's: the loader replaces nothing.
    world.push(key, 1, kcv="aes-cmac:000001")
    wait_for(lambda: world.told("another check value than was signed"), what="refused")
    assert world.slot() == ""
    check_nothing_leaked(world, told="another check value than was signed")
