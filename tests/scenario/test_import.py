# SPDX-License-Identifier: Apache-2.0
"""A terminal that no network reaches: its state comes in a file, through the same checks."""
import base64
import json
import random
import socket

import pytest

from ops import Ops
from processes import wait_for
from terminal import Terminal

DEVICE = "shop-0001"
PIECE = 128 * 1024
TABLE = b"bin\tissuer\n" + b"".join(b"%06d\tbank %d\n" % (622000 + n, n) for n in range(3000))


def varint(value):
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(out) + bytes([value])


def field(number, content):
    """One field of a message: a number, or bytes."""
    if isinstance(content, int):
        return varint(number << 3) + varint(content)
    return varint(number << 3 | 2) + varint(len(content)) + content


def bundle_of(roots=(), manifests=(), blobs=()):
    """A bundle as proto/bundle.proto has it, written without the code under test."""
    parts = [field(1, field(1, b"muster-bundle/1") + field(2, 1700000000000))]
    parts += [field(2, root) for root in roots]
    parts += [field(3, field(1, device.encode()) + field(2, envelope))
              for device, envelope in manifests]
    parts += [field(4, blob) for blob in blobs]
    parts.append(field(5, field(1, len(parts) - 1)))
    return b"".join(varint(len(part)) + part for part in parts)


class Offline:
    """The fleet, and a terminal whose link was never started."""

    def __init__(self, bin_dir, processes, run_dir, pki, broker):
        self.ops = Ops(bin_dir, processes, run_dir / "ops")
        self.ops.start(broker, pki)
        self.terminal = Terminal(bin_dir, processes, run_dir / "shop", DEVICE, self.ops.root)
        self.ops.enrol(self.terminal)
        self.terminal.start_agent()
        self.file = run_dir / "state.bundle"

    def manifest(self, device=DEVICE):
        status, reply = self.ops.http("GET", f"/api/v1/devices/{device}/manifest")
        assert status == 200, reply
        return base64.b64decode(reply["envelope"])

    def blobs(self):
        return [row[0] for row in self.ops.query("SELECT content FROM blob")]

    def push(self, name, content):
        self.ops.publish(name, content)
        self.ops.ctl_ok("assign", name, "--device", DEVICE, "--mode", "repair")

    def give(self, content, *options):
        self.file.write_bytes(content)
        return self.terminal.muster("import", str(self.file), *options)

    def refused(self, content, *words):
        before = self.held()
        done = self.give(content)
        assert done.returncode == 3, done.stdout + done.stderr
        for word in words:
            assert word in done.stderr, done.stderr
        assert self.held() == before

    def held(self):
        """What is in force, byte for byte."""
        current = self.terminal.registry / "current"
        return {path.name: path.read_bytes() for path in current.iterdir()} if current.exists() else {}


@pytest.fixture
def shop(bin_dir, processes, run_dir, pki, broker):
    return Offline(bin_dir, processes, run_dir, pki, broker)


def test_state_from_a_file_is_in_force_without_any_network(shop):
    shop.push("bin-table", TABLE)
    done = shop.give(bundle_of(manifests=[(DEVICE, shop.manifest())], blobs=shop.blobs()))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Freshness is not proved" in done.stdout
    assert shop.held()["bin-table"] == TABLE
    status = shop.terminal.status()
    assert not status["connected"] and status["state"]["converged"]
    assert "came from a file" in status["trust"]["stale"]
    # The same again is nothing new; in JSON it says what it is.
    again = shop.give(bundle_of(manifests=[(DEVICE, shop.manifest())], blobs=shop.blobs()), "-o",
                      "json")
    told = json.loads(again.stdout)
    assert again.returncode == 0 and told["blobs"] == 0 and told["fresh"] is False
    assert told["device"] == DEVICE and told["manifest_version"] == 1 and told["lacking"] == 0
    # And it outlives the agent.
    shop.terminal.agent.stop()
    shop.terminal.start_agent()
    assert shop.terminal.muster("selfcheck").returncode == 0
    assert shop.held()["bin-table"] == TABLE


def bundle(shop, *options):
    return shop.ops.json("bundle", shop.file, "--root", shop.ops.root, *options)


def take(shop, code=0):
    done = shop.terminal.muster("import", str(shop.file), "-o", "json")
    assert done.returncode == code, done.stdout + done.stderr
    return json.loads(done.stdout)


def test_what_musterctl_writes_is_what_a_terminal_takes(shop):
    firmware = random.Random(5).randbytes(600_000)
    shop.push("bin-table", TABLE)
    source = shop.ops.folder / "firmware.bin"
    source.write_bytes(firmware)
    shop.ops.ctl_ok("doc", "publish", "firmware", source, "--kind", "file", "--release-key",
                    "keys/release.pem")
    shop.ops.ctl_ok("assign", "firmware", "--device", DEVICE, "--mode", "repair")
    shop.ops.add_device("shop-0002", "12345672")
    shop.ops.ctl_ok("assign", "bin-table", "--device", "shop-0002", "--mode", "repair")
    made = bundle(shop, "--all")
    assert made["devices"] == 2 and made["blobs"] == 2 and made["newest_root"] == 1
    assert take(shop)["lacking"] == 0
    assert shop.held()["firmware"] == firmware and shop.held()["bin-table"] == TABLE
    # What is held is not given again.
    shop.push("bin-table", TABLE + b"999999\tnew bank\n")
    bundle(shop, "--device", DEVICE)
    told = take(shop)
    assert shop.held()["bin-table"] == TABLE + b"999999\tnew bank\n"
    assert told["blobs"] <= 1
    # What is not there is told, and leaves no file behind.
    shop.file.unlink()
    shop.ops.add_device("shop-0003", "12345673")
    shop.ops.fails(7, "bundle", shop.file, "--device", "shop-0003", "--root", shop.ops.root)
    shop.ops.fails(7, "bundle", shop.file, "--device", "nobody", "--root", shop.ops.root)
    shop.ops.fails(2, "bundle", shop.file, "--root", shop.ops.root)
    shop.ops.ctl_ok("keys", "make", shop.ops.folder / "other")
    shop.ops.fails(3, "bundle", shop.file, "--all", "--root", shop.ops.folder / "other/root.bin")
    assert [path.name for path in shop.file.parent.glob("state.bundle*")] == []


def test_a_bundle_holds_every_way_and_a_terminal_takes_the_shortest(shop):
    """Long content in pieces, and a delta for who holds the version before."""
    changed = b"".join(b"%06d\tbank number %d\n" % (622000 + n, n) if n % 5 == 0 else row
                       for n, row in enumerate(TABLE.splitlines(keepends=True)[1:]))
    firmware = random.Random(6).randbytes(1024 * 1024) + bytes(17 * 1024 * 1024)
    shop.push("bin-table", TABLE)
    bundle(shop, "--device", DEVICE)
    assert take(shop)["lacking"] == 0
    shop.push("bin-table", b"bin\tissuer\n" + changed)
    source = shop.ops.folder / "firmware.bin"
    source.write_bytes(firmware)
    shop.ops.ctl_ok("doc", "publish", "firmware", source, "--kind", "file", "--release-key",
                    "keys/release.pem")
    shop.ops.ctl_ok("assign", "firmware", "--device", DEVICE, "--mode", "repair")
    made = bundle(shop, "--device", DEVICE)
    told = take(shop)
    assert told["lacking"] == 0
    assert shop.held()["firmware"] == firmware
    assert shop.held()["bin-table"] == b"bin\tissuer\n" + changed
    pieces = 1 + -(-1024 * 1024 // PIECE) + 1  # their list, and a little more than the noise
    assert made["blobs"] == pieces + 2, "the table whole, and as a delta"
    assert told["blobs"] == pieces + 1


def next_root(shop, version):
    """The root of that version, as its keeper signs it; it changes nothing but the version."""
    keys = shop.ops.folder / "keys"
    before = keys / ("root.bin" if version == 2 else f"root-{version - 1}.bin")
    after = keys / f"root-{version}.bin"
    shop.ops.ctl_ok("keys", "rotate", before, after)
    shop.ops.ctl_ok("keys", "sign", after, "--previous", before, "--key", keys / "root.pem")
    return after.read_bytes()


def test_roots_come_in_a_file_too_one_by_one(shop):
    shop.push("bin-table", TABLE)
    roots = [shop.ops.root.read_bytes(), next_root(shop, 2), next_root(shop, 3)]
    rest = {"manifests": [(DEVICE, shop.manifest())], "blobs": shop.blobs()}
    shop.refused(bundle_of(roots=[roots[2]], **rest), "root 3", "root_order")
    assert shop.terminal.status()["trust"]["root_version"] == 1
    # musterd's own chain, from the first root that it has.
    for version in (2, 3):
        shop.ops.ctl_ok("root", "publish", shop.ops.folder / f"keys/root-{version}.bin")
    wait_for(lambda: shop.ops.query("SELECT root_version FROM manifest") == [(3,)],
             what="the manifest is signed again under the third root")
    made = shop.ops.json("bundle", shop.file, "--all")
    assert made["roots"] == 3 and made["newest_root"] == 3
    for root in roots:
        assert root in shop.file.read_bytes()
    told = take(shop)
    assert told["roots"] == 2 and told["root_version"] == 3
    assert shop.held()["bin-table"] == TABLE
    # They are kept: the next start follows them again, and knows them.
    shop.terminal.agent.stop()
    shop.terminal.start_agent()
    assert shop.terminal.status()["trust"]["root_version"] == 3
    assert take(shop)["roots"] == 0


def test_two_files_at_once_do_not_meet(shop):
    """Two who import at the same time, frame by frame in turn: each is told that its part is whole."""
    shop.push("bin-routing", TABLE)
    manifest = shop.manifest()
    half = len(manifest) // 2

    def give_part(to, begin, end):
        part = field(1, 2) + field(2, len(manifest)) + field(3, begin) + field(4, manifest[begin:end])
        request = field(1, 7) + field(6, part)
        to.sendall(varint(len(request)) + request)
        reply = to.recv(65536)
        at = reply.index(field(1, 7)) + 2
        return reply[at:at + 2] == field(2, 1)  # REPLY_OK

    with socket.socket(socket.AF_UNIX) as one, socket.socket(socket.AF_UNIX) as other:
        for to in (one, other):
            to.settimeout(30)
            to.connect(str(shop.terminal.socket))
        assert give_part(one, 0, half) and give_part(other, 0, half)
        assert give_part(one, half, len(manifest)), "the other's part is in the way"
        assert give_part(other, half, len(manifest))


def test_a_file_is_trusted_no_more_than_the_line(shop):
    shop.push("bin-table", TABLE)
    old = bundle_of(manifests=[(DEVICE, shop.manifest())], blobs=shop.blobs())
    assert shop.give(old).returncode == 0
    shop.push("bin-table", TABLE + b"999999\tnew bank\n")
    shop.ops.add_device("shop-0002", "12345672")
    shop.ops.ctl_ok("assign", "bin-table", "--device", "shop-0002", "--mode", "repair")
    manifest, blobs = shop.manifest(), shop.blobs()
    other = shop.manifest("shop-0002")
    changed = bytearray(manifest)
    changed[len(changed) // 3] ^= 1

    shop.refused(bundle_of(manifests=[(DEVICE, bytes(changed))], blobs=blobs), "the manifest")
    shop.refused(bundle_of(manifests=[(DEVICE, other)], blobs=blobs), "the manifest", "(signature)")
    shop.refused(bundle_of(manifests=[("shop-0002", other)], blobs=blobs), DEVICE, "shop-0002")
    whole = bundle_of(manifests=[(DEVICE, manifest)], blobs=blobs)
    shop.refused(whole[:-1], "copy it again")
    shop.refused(whole[:len(whole) // 2], "copy it again")
    shop.refused(b"bin\tissuer\n", "not a bundle")
    forged = field(1, field(1, 2)) + field(2, field(2, bytes(64)))
    shop.refused(bundle_of(roots=[forged], manifests=[(DEVICE, manifest)], blobs=blobs), "root 2")
    assert shop.give(whole).returncode == 0
    shop.refused(old, "(manifest_old)")
    assert shop.held()["bin-table"].endswith(b"new bank\n")


def test_what_a_file_lacks_is_told_and_can_follow(shop):
    shop.push("bin-table", TABLE)
    # Too long for the manifest to carry it.
    dice = random.Random(7)
    aids = "".join(f"A{dice.randrange(16**14):014X}\tscheme {n}\n" for n in range(99))
    shop.push("aid-list", b"aid\tname\n" + aids.encode())
    manifest, blobs = shop.manifest(), shop.blobs()
    done = shop.give(bundle_of(manifests=[(DEVICE, manifest)], blobs=blobs[:1]))
    assert done.returncode == 1 and "1 blobs that it needs are not in the file" in done.stdout
    assert shop.held() == {}, "all or nothing"
    # A blob under a wrong name is found to be another one: its hash is its name.
    damaged = blobs[1][:-1] + bytes([blobs[1][-1] ^ 1])
    done = shop.give(bundle_of(manifests=[(DEVICE, manifest)], blobs=[blobs[0], damaged]))
    assert done.returncode == 1 and shop.held() == {}
    assert shop.give(bundle_of(manifests=[(DEVICE, manifest)], blobs=blobs)).returncode == 0
    assert set(shop.held()) >= {"bin-table", "aid-list"}


def test_what_is_signed_can_be_had_byte_for_byte(shop):
    shop.push("bin-table", TABLE)
    for digest, content in shop.ops.query("SELECT sha256, content FROM blob"):
        assert shop.ops.raw("GET", f"/api/v1/blobs/{digest.hex()}") == (200, content)
    assert shop.ops.http("GET", "/api/v1/blobs/" + "00" * 32)[0] == 404
    assert shop.ops.http("GET", "/api/v1/blobs/../keys")[0] in (400, 404)
    assert shop.ops.http("GET", "/api/v1/blobs/zz")[0] == 400
    assert shop.ops.http("GET", "/api/v1/roots/999")[0] == 404
    assert shop.ops.http("GET", "/api/v1/roots/-1")[0] == 400


def test_a_wrong_command_line_is_told(shop):
    assert shop.terminal.muster("import").returncode == 2
    assert shop.terminal.muster("import", "one", "two").returncode == 2
    assert shop.terminal.muster("import", str(shop.file)).returncode == 2  # not there
    shop.terminal.agent.stop()
    shop.file.write_bytes(b"x")
    assert shop.terminal.muster("import", str(shop.file)).returncode == 4
