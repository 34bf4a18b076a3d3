# SPDX-License-Identifier: Apache-2.0
"""Desired state is signed, so neither who hands it out nor when matters: a broker does alone, once it
was told, and whoever takes musterd's machine brings nothing back that release has ruled out."""
import random
import re
import shutil

import fleet_side
import pytest

from ops import Ops
from processes import wait_for
from terminal import Terminal

DEVICE = "term-0001"
ROWS = [b"%06d\tbank %d\n" % (622000 + n, n * n % 997) for n in range(3000)]
TABLE = b"bin\tissuer\n" + b"".join(ROWS)
FIRMWARE = random.Random(4).randbytes(1024 * 1024 + 7)
PARAMS = b"[hosts]\n" + b"".join(b"host%d = 10.0.%d.1\n" % (n, n) for n in range(60))


class World:
    """A fleet whose musterd holds the director's next key already, and one terminal."""

    def __init__(self, bin_dir, processes, run_dir, broker, pki):
        self.broker, self.pki = broker, pki
        self.fleet = Ops(bin_dir, processes, run_dir / "fleet")
        self.fleet.ctl_ok("keys", "new", "director-2.pem", "--public", "director-2.pub")
        self.fleet.start(broker, pki)
        self.terminal = Terminal(bin_dir, processes, run_dir / "term", DEVICE, self.fleet.root)
        self.fleet.enrol(self.terminal)
        certificate = pki.sealing(self.terminal.make_sealing_key(), DEVICE)
        self.fleet.ctl_ok("device", "sealing", DEVICE, certificate, "--device-ca", pki.ca)

    def start(self):
        self.terminal.start_agent()
        self.terminal.start_link(self.broker, self.pki)

    def assign(self, name, content, *more, kind="table"):
        self.fleet.publish(name, content, kind, *more)
        self.fleet.ctl_ok("assign", name, "--device", DEVICE, "--mode", "repair")

    def seal(self):
        (self.fleet.folder / "secret").write_bytes(PARAMS)
        self.fleet.ctl_ok("doc", "seal", "params.ini", "secret", "--kind", "params", "--device",
                          DEVICE, "--device-ca", self.pki.ca, "--release-key", "keys/release.pem")
        self.fleet.ctl_ok("assign", "params.ini", "--device", DEVICE, "--mode", "repair")

    def root(self, version, *change):
        keys = self.fleet.folder / "keys"
        before = keys / "root.bin" if version == 2 else f"root-{version - 1}.bin"
        self.fleet.ctl_ok("keys", "rotate", before, f"root-{version}.bin", *change)
        self.fleet.ctl_ok("keys", "sign", f"root-{version}.bin", "--previous", before, "--key",
                          "keys/root.pem")
        self.fleet.ctl_ok("root", "publish", f"root-{version}.bin")

    def held(self, name):
        file = self.terminal.registry / "current" / name
        return file.read_bytes() if file.exists() else b""

    def all_kept(self):
        """Returns when the broker has all that the fleet wants of the terminal."""
        watch = self.broker.subscribe("muster/v1/#")
        blobs = {digest.hex(): content for digest, content in self.fleet.query(
            "SELECT b.sha256, b.content FROM manifest_blob m JOIN blob b ON b.id = m.blob")}
        documents = self.fleet.json("get", "documents")["documents"]
        lists = [blobs[encoding["blob"]] for document in documents
                 for encoding in document["encodings"] if encoding.get("piece_bytes")]
        pieces = {whole[at:at + 32].hex() for whole in lists for at in range(0, len(whole), 32)}
        assert len(pieces) > 8
        (newest,) = self.fleet.query("SELECT lower(hex(envelope)) FROM manifest")[0]
        watch.wait_line(f"muster/v1/down/{DEVICE}/manifest {newest}")
        wait_for(lambda: blobs.keys() | pieces <= set(re.findall(r"^muster/v1/blob/([0-9a-f]{64}) ", watch.log(),
                                                 re.MULTILINE)), what="every blob")
        watch.stop()


@pytest.fixture
def world(bin_dir, processes, run_dir, broker, pki, monkeypatch):
    monkeypatch.setattr(fleet_side, "CONFIG", fleet_side.CONFIG.replace(
        "keys/director.pem", "keys/director.pem, director-2.pem"))
    return World(bin_dir, processes, run_dir, broker, pki)


def test_what_is_published_needs_no_musterd(world):
    """Two roots, a delta, pieces and what is sealed: a terminal that was off takes all of it from
    the broker alone, and is as it should be after it."""
    world.assign("bins", TABLE)
    world.start()
    world.fleet.wait_converged()
    world.terminal.link.stop()
    world.terminal.agent.stop()
    changed = TABLE.replace(b"1\tbank ", b"1\tbank number ")
    world.assign("bins", changed)
    world.assign("firmware", FIRMWARE, kind="file")
    world.seal()
    world.root(2)
    world.root(3, "--add", "director=director-2.pub", "--remove", "director=keys/director.pem")
    wait_for(lambda: world.fleet.query("SELECT root_version FROM manifest") == [(3,)],
             what="the manifest is signed again")
    world.all_kept()
    world.fleet.process.stop()
    world.start()
    wait_for(lambda: world.terminal.status()["state"].get("converged") and world.held("firmware"),
             timeout=60, what="all is in force")
    assert world.terminal.status()["trust"]["root_version"] == 3
    assert world.held("bins") == changed and world.held("firmware") == FIRMWARE
    assert world.held("params.ini") == PARAMS
    assert world.terminal.status()["trust"]["stale"] != "", "only a welcome proves it fresh"
    world.fleet.start(world.broker, world.pki)
    wait_for(lambda: world.terminal.status()["trust"]["stale"] == "", timeout=60, what="fresh")


def test_who_steals_musterd_brings_back_nothing_that_release_has_ruled_out(world):
    """The thief has the director's key, and a database from before."""
    folder = world.fleet.folder
    world.assign("bins", TABLE)
    world.start()
    world.fleet.wait_converged()
    world.fleet.process.stop()
    shutil.copy(folder / "fleet.db", folder / "stolen.db")
    world.fleet.start(world.broker, world.pki)
    changed = TABLE.replace(b"1\tbank ", b"1\tbank number ")
    world.assign("bins", changed, "--minimum-version", "2")
    world.fleet.wait_converged()
    world.fleet.process.stop()
    world.terminal.link.stop()
    kept = {path: path.read_bytes() for path in folder.glob("fleet.db*")}
    for path in kept:
        path.unlink()
    shutil.copy(folder / "stolen.db", folder / "fleet.db")
    world.fleet.start(world.broker, world.pki)
    world.terminal.start_link(world.broker, world.pki)

    def refused():
        return world.terminal.status()["trust"]["last_refusal"] == "document_floor"
    wait_for(refused, what="a manifest above its own, with the release from before")
    assert world.fleet.query("SELECT version FROM manifest")[0][0] > 2, "signed with the right key"
    assert world.held("bins") == changed
    # What the thief had the terminal forget is gone; what it holds is not.
    world.terminal.link.stop()
    world.fleet.process.stop()
    for path in folder.glob("fleet.db*"):
        path.unlink()
    for path, content in kept.items():
        path.write_bytes(content)
    world.fleet.start(world.broker, world.pki)
    world.terminal.start_link(world.broker, world.pki)
    world.assign("bins", TABLE + b"999999\tnew bank\n")
    world.fleet.wait_converged()
    assert world.held("bins") == TABLE + b"999999\tnew bank\n"
