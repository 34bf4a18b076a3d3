# SPDX-License-Identifier: Apache-2.0
"""How content reaches a terminal: a small change with the manifest itself, what is large in pieces
that are kept, so that a link which breaks costs one of them and not the download."""
import random
import re

import pytest

from one_terminal import OneTerminal
from processes import wait_for
from proxy import Proxy

MIB = 1024 * 1024
PIECE = 128 * 1024
ROWS = 3000


def table(changed=None):
    rows = [b"%06d\tbank %d\n" % (622000 + n, n * n % 997) for n in range(ROWS)]
    if changed is not None:
        rows[changed] = b"%06d\tanother bank\n" % (622000 + changed)
    return b"bin\tissuer\n" + b"".join(rows)


@pytest.fixture
def world(bin_dir, processes, run_dir, broker, pki):
    made = OneTerminal(bin_dir, processes, run_dir, broker, pki)
    made.terminal.start_agent()
    return made


def assign(world, name, content, kind="table"):
    world.fleet.publish(name, content, kind=kind)
    world.fleet.ctl_ok("assign", name, "--device", "term-0001", "--mode", "repair")


def held(world, name):
    file = world.terminal.registry / "current" / name
    return file.read_bytes() if file.exists() else b""


def received(world, since=0):
    """Blobs that the broker handed to the terminal's link, by hash, as often as it did."""
    lines = world.broker.process.lines[since:]
    found = (re.search(r"Sending PUBLISH to term-0001 .*'muster/v1/blob/([0-9a-f]{64})'", line)
             for line in lines)
    return [match[1] for match in found if match]


def test_a_changed_row_comes_with_the_manifest(world):
    world.connect()
    assign(world, "bins", table())
    world.fleet.wait_converged()
    before = received(world)
    assert held(world, "bins") == table() and len(before) == 1
    assign(world, "bins", table(changed=7))
    world.fleet.wait_converged()
    assert held(world, "bins") == table(changed=7)
    assert received(world) == before, "no blob was needed for it"


def asked(world, since):
    """Blobs that the terminal's link subscribed to: it alone does."""
    lines = world.broker.process.lines[since:]
    found = (re.search(r"\tmuster/v1/blob/([0-9a-f]{64}) \(QoS", line) for line in lines)
    return [match[1] for match in found if match]


def pieces_stored(world):
    """Names of the whole pieces that lie in the terminal's store."""
    return {file.name for file in (world.terminal.registry / "blobs").iterdir()
            if re.fullmatch("[0-9a-f]{64}", file.name) and file.stat().st_size == PIECE}


def test_a_download_goes_on_where_it_was_cut_off(world):
    content = random.Random(11).randbytes(3 * MIB)
    assign(world, "firmware", content, kind="file")
    with Proxy(world.broker.port) as line:
        line.silent_at = 3 * MIB // 2
        world.terminal.start_link(line, world.pki)
        wait_for(lambda: pieces_stored(world), timeout=60, what="something of it has come")
        world.terminal.link.kill()
        world.terminal.agent.kill()
        there = pieces_stored(world)
        assert held(world, "firmware") == b"" and len(there) < 3 * MIB // PIECE
        cut_at = len(world.broker.process.lines)
        line.silent_at = None
        world.terminal.start_agent()
        world.terminal.start_link(line, world.pki)
        world.fleet.wait_converged()
    assert held(world, "firmware") == content
    again = asked(world, cut_at)
    assert there and not there & set(again), "what is there is not asked for again"
    assert 3 * MIB // PIECE - len(there) <= len(again) <= 3 * MIB // PIECE + 2 - len(there)
    assert not pieces_stored(world), "kept as one copy"
