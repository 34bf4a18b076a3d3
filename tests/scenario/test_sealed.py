# SPDX-License-Identifier: Apache-2.0
"""What is not the same for everybody: sealed by who signs it, opened by one terminal, and to be read
nowhere else, however much of the fleet somebody holds."""
import hashlib
import json
import random
import re
import stat
import subprocess

import pytest

from ops import Ops
from processes import wait_for
from terminal import Terminal

MIB = 1024 * 1024
TABLE = b"bin\tissuer\n622202\tICBC\n"
BLOB = re.compile(r"^muster/v1/blob/([0-9a-f]{64}) ([0-9a-f]+)$")


def params(device):
    """Longer than what a manifest would carry itself."""
    lines = "".join(f"host{n} = 10.0.{n}.1\n" for n in range(60))
    return f"[wifi]\nssid = shop\npassphrase = swordfish-of-{device}\n[hosts]\n{lines}".encode()


def key_block(device):
    """Of the form of a wrapped AES key (ANSI X9.143); nobody's."""
    mark = hashlib.sha256(device.encode()).hexdigest().upper()
    return (f"D0112P0AE01E0000{mark}{mark[:32]}\n").encode()


# A loader that knows nothing of keys: it keeps what was said of the one that it was given.
LOADER = """#!/bin/sh
cd "{folder}" || exit 6
if [ "$1" = load ]; then
    cat >/dev/null
    echo "slot $2 usage $MUSTER_KEY_USAGE version $MUSTER_KEY_VERSION kcv $MUSTER_KEY_KCV" >slots
    echo "kcv $MUSTER_KEY_KCV"
else
    [ ! -e slots ] || cat slots
    echo end
fi
"""
KEY_TERMS = ("--slot", "tmk", "--kcv", "aes-cmac:010203")


class World:
    def __init__(self, bin_dir, processes, run_dir, broker, pki):
        self.run_dir, self.broker, self.pki = run_dir, broker, pki
        self.processes = processes
        self.ops = Ops(bin_dir, processes, run_dir / "fleet")
        self.ops.start(broker, pki)
        self.terminals = [self.terminal(bin_dir, f"term-000{n}") for n in (1, 2)]

    def terminal(self, bin_dir, device):
        terminal = Terminal(bin_dir, self.processes, self.run_dir / device, device, self.ops.root,
                            keys="loader = loader")
        loader = terminal.folder / "loader"
        loader.write_text(LOADER.format(folder=terminal.folder))
        loader.chmod(0o755)
        number = device[-1]
        certificate = self.pki.sealing(terminal.make_sealing_key(), device)
        sealing = ("device", "sealing", device, certificate, "--device-ca", self.pki.ca)
        assert device in self.ops.fails(7, *sealing, "--dry-run")
        self.ops.ctl_ok("device", "add", device, "--serial", f"SN-{device}", "--model", "A920",
                        "--agent-key", terminal.make_key(), "--merchant", "m1", "--store", "s1",
                        "--terminal", f"0:0:T000000{number}:M0000000000000{number}")
        dry = self.ops.json(*sealing, "--dry-run")
        assert dry["dry_run"] and dry["changed"]
        assert self.ops.json(*sealing)["sha256"] == dry["sha256"]
        assert not self.ops.json(*sealing, "--dry-run")["changed"]
        return terminal

    @property
    def secrets(self):
        return [part for terminal in self.terminals
                for part in (f"swordfish-of-{terminal.device}".encode(),
                             key_block(terminal.device).strip())]

    def seal(self, *options, content=params, name="params.ini", kind="params",
             key=("--release-key", "keys/release.pem"), terminals=None):
        terminals = terminals or self.terminals
        devices = [part for terminal in terminals for part in ("--device", terminal.device)]
        for terminal in terminals:
            (self.ops.folder / f"{terminal.device}.secret").write_bytes(content(terminal.device))
        try:
            return self.ops.ctl("doc", "seal", name, "{}.secret", "--kind", kind, *devices,
                                "--device-ca", self.pki.ca, *key, *options)
        finally:
            for terminal in terminals:
                (self.ops.folder / f"{terminal.device}.secret").unlink()

    def assign(self, name):
        self.ops.ctl_ok("assign", name, "--mode", "repair", "--device", "term-0001", "--device",
                        "term-0002")

    def push_all(self):
        """Parameters and a key block for each, and a table for all, in force everywhere."""
        for terminal in self.terminals:
            terminal.start_agent()
            terminal.start_link(self.broker, self.pki)
        sealed = self.seal()
        assert sealed.returncode == 0, sealed.stderr
        sealed = self.seal(*KEY_TERMS, content=key_block, name="tmk.key", kind="key-block",
                           key=("--custodian-key", "keys/custodian.pem"))
        assert sealed.returncode == 0, sealed.stderr
        self.ops.publish("bin.tsv", TABLE)
        for name in ("params.ini", "tmk.key", "bin.tsv"):
            self.assign(name)
        self.ops.wait_converged()


@pytest.fixture
def world(bin_dir, processes, run_dir, broker, pki):
    return World(bin_dir, processes, run_dir, broker, pki)


def opened(sealed, key):
    """What any OpenSSL makes of it with this key; None: nothing."""
    done = subprocess.run(["openssl", "cms", "-decrypt", "-inform", "DER", "-inkey", key],
                          input=sealed, capture_output=True, check=False)
    return done.stdout if done.returncode == 0 else None


def test_each_device_has_its_own_and_nobody_elses(world):
    ears = world.broker.subscribe("muster/v1/#")
    world.push_all()
    for terminal in world.terminals:
        current = terminal.registry / "current"
        assert (current / "params.ini").read_bytes() == params(terminal.device)
        held = (current / "tmk.key").read_bytes()  # stays sealed on the terminal, too
        assert key_block(terminal.device).strip() not in held
        assert opened(held, terminal.folder / "sealing.pem") == key_block(terminal.device)
        assert stat.S_IMODE((current / "params.ini").stat().st_mode) == 0o640
        assert stat.S_IMODE((current / "bin.tsv").stat().st_mode) == 0o644

    # A thief in one terminal: its certificate shows it every blob, its key opens its own.
    thief, other = world.terminals
    thief.link.stop()
    snoop = world.broker.subscribe("muster/v1/blob/+", world.pki.client(thief.device))
    # What is short travels in each one's manifest.
    wait_for(lambda: sum(bool(BLOB.match(line)) for line in snoop.lines) >= 2,
             what="the blobs of both")
    blobs = [bytes.fromhex(BLOB.match(line)[2]) for line in snoop.lines if BLOB.match(line)]
    mine = [opened(blob, thief.folder / "sealing.pem") for blob in blobs]
    theirs = [opened(blob, other.folder / "sealing.pem") for blob in blobs]
    assert params(thief.device) in mine and params(other.device) in theirs
    assert not set(filter(None, mine)) & {params(other.device), key_block(other.device)}
    assert not any(a and b for a, b in zip(mine, theirs))
    for blob in blobs:
        assert not any(secret in blob for secret in world.secrets)

    # Nor is it to be found in anything that went over the line, or lies with the fleet, or its
    # hash, from which a short secret could be guessed.
    hashes = [hashlib.sha256(make(terminal.device)).digest() for terminal in world.terminals
              for make in (params, key_block)]
    wanted = world.secrets + hashes + [digest.hex().encode() for digest in hashes]
    heard = [bytes.fromhex(line.split(" ")[1]) for line in ears.lines
             if line.startswith("muster/v1/")]
    assert len(heard) > 5
    logs = [process.log().encode() for process in world.processes.all]
    files = [path.read_bytes() for path in world.ops.folder.rglob("*") if path.is_file()]
    assert any(b"SQLite format 3" in content for content in files)
    for content in heard + logs + files:
        assert not any(secret in content for secret in wanted)


def test_what_is_long_is_sealed_and_sent_in_pieces(world):
    def noise(device):
        return random.Random(device).randbytes(MIB * 5 // 4)

    terminal = world.terminals[0]
    terminal.start_agent()
    terminal.start_link(world.broker, world.pki)
    sealed = world.seal(content=noise, name="store.bin", kind="file", terminals=[terminal])
    assert sealed.returncode == 0, sealed.stderr
    (document,) = world.ops.json("get", "documents")["documents"]
    (encoding,) = document["encodings"]
    assert encoding["coding"] == "cms" and encoding["piece_bytes"] == 128 * 1024
    assert encoding["pieces_size"] == document["length"] > MIB * 5 // 4
    world.ops.ctl_ok("assign", "store.bin", "--mode", "repair", "--device", terminal.device)
    held = terminal.registry / "current" / "store.bin"
    wait_for(held.exists, timeout=60, what="all pieces are here")
    assert held.read_bytes() == noise(terminal.device)
    assert stat.S_IMODE(held.stat().st_mode) == 0o640
    # Of those, other terminals may subscribe to each piece, and none of them opens by itself.
    blobs = [blob for (blob,) in world.ops.query("SELECT content FROM blob")]
    assert len(blobs) == 12 and not any(opened(blob, terminal.folder / "sealing.pem")
                                        for blob in blobs)
    too_long = world.seal(content=lambda device: bytes(4 * MIB), name="store.bin", kind="file",
                          terminals=[terminal])
    assert too_long.returncode == 3 and "at most 4193280 may be" in too_long.stderr


def test_damage_is_repaired_from_what_is_sealed(world):
    world.push_all()
    terminal = world.terminals[0]
    terminal.link.stop()  # from its own store
    held = terminal.registry / "current" / "params.ini"
    held.chmod(0o600)
    held.write_bytes(b"[wifi]\npassphrase = changed\n")
    assert terminal.muster("selfcheck").returncode == 0
    wait_for(lambda: held.read_bytes() == params(terminal.device), what="repaired")
    assert stat.S_IMODE(held.stat().st_mode) == 0o640
    terminal.start_link(world.broker, world.pki)

    def drifts():
        return world.ops.query("SELECT text, detail FROM event WHERE item = 'params.ini'"
                               " AND text LIKE '%damaged%'")
    wait_for(drifts, what="the fleet hears of it")
    for text, detail in drifts():
        assert "sha256" not in text
        assert hashlib.sha256(b"[wifi]\npassphrase = changed\n").digest() not in (detail or b"")


def test_a_stolen_musterd_cannot_choose_to_whom_is_sealed(world, pki):
    """It hands out a certificate of its own under a device's name; who seals notices."""
    device = world.terminals[0].device
    folder = world.run_dir / "thief"
    folder.mkdir()
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:P-256", "-nodes", "-days", "30", "-subj", f"/CN={device}",
                    "-addext", "keyUsage=critical,keyAgreement", "-addext",
                    "basicConstraints=critical,CA:FALSE", "-keyout", folder / "key.pem",
                    "-outform", "DER", "-out", folder / "cert.der"], check=True,
                   capture_output=True)
    status, said = world.ops.http("PUT", f"/api/v1/devices/{device}/sealing-certificate",
                                  (folder / "cert.der").read_bytes())
    assert (status, said["changed"]) == (200, True)
    before = world.ops.query("SELECT count(*) FROM document")
    refused = world.seal(terminals=world.terminals[:1])
    assert refused.returncode != 0
    assert "is not trusted" in refused.stderr
    # Nor can the device's own certificate for TLS stand in, whose key faces the network.
    tls = pki.client(device).certificate
    assert "not trusted" in world.ops.fails(refused.returncode, "device", "sealing", device, tls,
                                            "--device-ca", pki.ca)
    assert world.ops.query("SELECT count(*) FROM document") == before
    check_what_may_not_be_sealed(world, world.terminals[1:])
    # It keeps nobody else from theirs, and what was done is told.
    some = world.seal("-o", "json")
    told = json.loads(some.stdout)
    assert some.returncode == 3 and "to 1 of 2 devices nothing was sealed" in some.stderr
    assert [row["device"] for row in told["failed"]] == ["term-0001"]
    assert "is not trusted" in told["failed"][0]["error"]
    assert [row["device"] for row in told["documents"]] == ["term-0002"]
    assert world.ops.query("SELECT count(*) FROM document") == [(1,)]
    # Whom a selector chooses gets it as who is named.
    (world.ops.folder / "chosen").write_bytes(params("term-0002"))
    ways = ("doc", "seal", "params.ini", "chosen", "--kind", "params", "--device-ca", pki.ca, "--release-key",
            "keys/release.pem")
    told = world.ops.json(*ways, "-l", "device=term-0002")
    assert [row["device"] for row in told["documents"]] == ["term-0002"] and not told["failed"]
    assert "say to whom" in world.ops.fails(2, *ways)
    assert "no device is so" in world.ops.fails(7, *ways, "-l", "model=none")
    (world.ops.folder / "chosen").unlink()
    # A file that is not there is wrong usage here as everywhere.
    world.ops.fails(2, "doc", "seal", "params.ini", "nowhere", "--kind", "params", "--device",
                    "term-0002", "--device-ca", pki.ca, "--release-key", "keys/release.pem")


def check_what_may_not_be_sealed(world, one):
    custodian = ("--custodian-key", "keys/custodian.pem")
    clear = world.seal(name="tmk.key", kind="key-block", key=custodian, terminals=one,
                       content=lambda device: b"0123456789ABCDEFFEDCBA9876543210\n")
    assert clear.returncode != 0 and "key block" in clear.stderr
    assert "0123456789ABCDEF" not in clear.stdout + clear.stderr
    assert "--custodian-key" in world.seal(name="tmk.key", kind="key-block", content=key_block,
                                           terminals=one).stderr
    assert "custodian" in world.seal(*KEY_TERMS, name="tmk.key", kind="key-block", content=key_block,
                                     key=("--custodian-key", "keys/release.pem"),
                                     terminals=one).stderr
    blobs = world.ops.query("SELECT count(*) FROM blob")
    dry = world.seal("--dry-run", terminals=one)
    assert dry.returncode == 0 and "would be sealed" in dry.stdout
    old = world.seal("--version", "1", "--minimum-version", "2", "--dry-run", terminals=one)
    assert old.returncode == 3 and "minimum version" in old.stderr
    assert world.ops.query("SELECT count(*) FROM document") == [(0,)]
    assert world.ops.query("SELECT count(*) FROM blob") == blobs
