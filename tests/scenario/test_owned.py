# SPDX-License-Identifier: Apache-2.0
"""A document that another system of the terminal owns: its difference told, ops asked, its file
never written."""
import hashlib

import pytest

from one_terminal import OneTerminal
from processes import wait_for

WANTED = b"prefix\tissuer\n62\tone\n43\ttwo\n"
OTHER = b"prefix\tissuer\n62\tone\n44\tthree\n45\tfour\n"


@pytest.fixture
def world(bin_dir, processes, run_dir, broker, pki):
    its = run_dir / "its.tsv"
    its.write_bytes(OTHER)
    made = OneTerminal(bin_dir, processes, run_dir, broker, pki, gate=(
        f"alone = 0s\n[owned]\nbin-table = {its}"))
    made.its = its
    made.terminal.start_agent()
    made.connect()
    return made


def item_of(world, state):
    def told():
        items = world.fleet.json("describe", "device", "term-0001")["items"]
        return items and items[0]["state"] == state and items[0]
    return wait_for(told, what=f"the fleet hears that it is {state}")


def selfcheck(world):
    world.terminal.muster("selfcheck")


def proposal(world):
    return world.fleet.json("get", "proposals")["proposals"]


def test_its_difference_is_told_ops_are_asked_and_its_owner_writes_it(world):
    fleet, its = world.fleet, world.its
    fleet.publish("bin-table", WANTED)
    fleet.ctl_ok("assign", "bin-table", "--device", "term-0001")
    before = its.stat()

    item = item_of(world, "drift")
    assert item["difference"] == {"what": "content", "owned": True, "wanted_bytes": len(WANTED),
                                  "found_bytes": len(OTHER), "rows": None}
    assert item["held_sha256"] == hashlib.sha256(OTHER).hexdigest()
    assert item["found_version"] == 0
    shown = fleet.ctl_ok("describe", "device", "term-0001")
    assert "its owner's" in shown and f"{len(OTHER)} bytes" in shown
    mine = world.terminal.status()["state"]["items"][0]
    assert mine["difference"]["what"] == "content" and mine["difference"]["owned"] is True
    assert f"another content, {len(OTHER)} bytes" in world.terminal.muster("plan").stdout
    assert proposal(world) == []

    fleet.ctl_ok("assign", "bin-table", "--device", "term-0001", "--mode", "propose")
    item_of(world, "proposed")
    first, = proposal(world)
    assert (first["device"], first["document"], first["wanted_version"]) == (
        "term-0001", "bin-table", 1)
    listed = fleet.ctl_ok("get", "proposals")
    assert "REASON" in listed and "proposed to ops; not written here: another content" in listed
    its.write_bytes(WANTED[:-1])
    selfcheck(world)
    wait_for(lambda: proposal(world)[0]["seen"] != first["seen"], what="another proposal")
    late = fleet.ctl("propose", "accept", "term-0001", "bin-table", "--seen", first["seen"])
    assert late.returncode != 0 and "something else" in late.stderr
    assert item_of(world, "proposed")["mode"] == "propose"
    assert its.read_bytes() == WANTED[:-1]

    fleet.ctl_ok("propose", "accept", "term-0001", "bin-table")
    item = item_of(world, "placing")
    assert item["mode"] == "repair" and item["held_version"] == 1
    assert (world.terminal.registry / "current" / "bin-table").read_bytes() == WANTED
    assert proposal(world) == []
    trail = fleet.query("SELECT text FROM audit WHERE what = 'assign' ORDER BY id")[-1][0]
    assert "to repair" in trail and "accepted" in trail
    assert its.read_bytes() == WANTED[:-1], "Muster wrote the owner's file"
    assert its.stat().st_ino == before.st_ino

    selfcheck(world)  # now with the rows: what is wanted is here
    wait_for(lambda: (item_of(world, "placing")["difference"] or {}).get("rows"),
             what="rows are compared")
    rows = item_of(world, "placing")["difference"]["rows"]
    assert rows == {"only_found": 0, "only_wanted": 0, "first": 0}
    its.write_bytes((world.terminal.registry / "current" / "bin-table").read_bytes())
    selfcheck(world)
    fleet.wait_converged()
    assert "bin-table" not in world.terminal.muster("plan").stdout


def test_a_hook_after_the_switch_hands_it_over(bin_dir, processes, run_dir, broker, pki):
    """No check is asked for, and the next is an hour away."""
    its, hook = run_dir / "its.tsv", run_dir / "after"
    its.write_bytes(OTHER)
    hook.write_text(f'#!/bin/sh\ncat "$1/bin-table" > {its}.new && mv {its}.new {its}\n')
    hook.chmod(0o755)
    world = OneTerminal(bin_dir, processes, run_dir, broker, pki,
                        registry=f"after_hook = {hook}",
                        gate=f"alone = 0s\n[owned]\nbin-table = {its}")
    world.terminal.start_agent()
    world.connect()
    for content in (WANTED, OTHER):
        world.fleet.publish("bin-table", content)
        world.fleet.ctl_ok("assign", "bin-table", "--device", "term-0001", "--mode", "repair")
        world.fleet.wait_converged()
        assert its.read_bytes() == content
    world.wait_drained()
    events = world.fleet.query("SELECT text FROM event WHERE item = 'bin-table'")
    assert not [text for text, in events if "has not taken it" in text], events


def test_what_its_owner_has_is_not_in_force(world):
    """Asked what a repair would cost: the file that counts is as wanted, and the registry has none."""
    world.its.write_bytes(WANTED)
    world.fleet.publish("bin-table", WANTED)
    world.fleet.ctl_ok("assign", "bin-table", "--device", "term-0001")
    world.fleet.wait_converged()
    assert not (world.terminal.registry / "current" / "bin-table").exists()
    planned, = world.fleet.json("assign", "bin-table", "--device", "term-0001", "--mode", "repair",
                                "--dry-run")["devices"]
    assert (planned["way"], planned["held_version"]) == ("whole", 0), planned
    world.fleet.ctl_ok("assign", "bin-table", "--device", "term-0001", "--mode", "repair")
    wait_for((world.terminal.registry / "current" / "bin-table").exists, what="it is in force")
    world.fleet.wait_converged()
