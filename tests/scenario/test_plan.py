# SPDX-License-Identifier: Apache-2.0
"""What a push would change, told before it is signed: nothing may change for the asking."""
import contextlib
import pathlib
import sqlite3

import pytest

from ops import Ops
from terminal import Terminal

TABLE = b"bin\tissuer\n" + b"".join(b"%06d\tbank %d\n" % (622000 + n, n) for n in range(500))


@pytest.fixture
def ops(bin_dir, processes, pki, broker, run_dir):
    ops = Ops(bin_dir, processes, run_dir / "ops")
    ops.start(broker, pki)
    ops.process.wait_line("connected to")
    return ops


def all_rows(ops):
    """Everything that the fleet database holds."""
    path = ops.folder / "fleet.db"
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        return list(database.iterdump())


def all_files(ops):
    """Everything an operator has on his disk; the database has its own look."""
    return {path.relative_to(ops.folder): path.read_bytes()
            for path in pathlib.Path(ops.folder).rglob("*")
            if path.is_file() and not path.name.startswith("fleet.db")}


@contextlib.contextmanager
def unchanged(ops):
    rows, files = all_rows(ops), all_files(ops)
    yield
    assert all_rows(ops) == rows
    assert all_files(ops) == files


def device_add(ops, device, *more, serial=None):
    return ("device", "add", device, "--serial", serial or f"SN-{device}", "--model", "A920",
            "--agent-key", ops.folder / "term-1.pem", *more)


def test_a_dry_enrolment_is_checked_and_changes_nothing(ops):
    ops.add_device("term-1", "12345671")
    (ops.folder / "term-2.pem").write_bytes((ops.folder / "term-1.pem").read_bytes())
    with unchanged(ops):
        told = ops.ctl_ok(*device_add(ops, "term-1", "--dry-run"))
        assert "would be brought up to date" in told and "Nothing was changed" in told
        assert ops.json(*device_add(ops, "term-1", "--dry-run")) == {
            "id": "term-1", "new": False, "dry_run": True}
        # What would be refused is refused, with the same words.
        dry = ops.fails(3, *device_add(ops, "term-2", "--dry-run"))
        assert "the agent key is another device's" in dry
        assert ops.fails(3, *device_add(ops, "term-2")) == dry
    assert ops.json(*device_add(ops, "term-1"))["dry_run"] is False


def by_device(plan):
    return {device["id"]: device for device in plan["devices"]}


def test_a_dry_assignment_tells_of_each_device_and_changes_nothing(ops):
    for n in range(1, 5):
        ops.add_device(f"term-{n}", f"1234567{n}")
    ops.release("bin-table", TABLE)
    ops.ctl_ok("assign", "bin-table", "--device", "term-1", "--mode", "repair")
    ops.release("bin-table", TABLE + b"999999\tnew\n", "--minimum-version", "2")
    ops.ctl_ok("assign", "bin-table", "--device", "term-2", "--mode", "observe")
    order = ("assign", "bin-table", "--all", "--mode", "repair")
    with unchanged(ops):
        plan = by_device(ops.json(*order, "--dry-run"))
        told = ops.ctl_ok(*order, "--dry-run")
        old = by_device(ops.json("assign", "bin-table@1", "--device", "term-3", "--mode",
                                 "repair", "--dry-run"))["term-3"]
        ops.fails(2, "assign", "no-such-table", "--dry-run")
        strange = by_device(ops.json("assign", "no-such-table", "--device", "term-1", "--dry-run"))
        away = by_device(ops.json("unassign", "bin-table", "--all", "--dry-run"))
    assert plan["term-1"]["from"]["version"] == 1 and plan["term-1"]["to"]["version"] == 2
    assert plan["term-1"]["changed"] and plan["term-1"]["way"] == "whole"
    assert plan["term-1"]["manifest_version"] == 2 and not plan["term-1"]["online"]
    assert plan["term-2"]["from"]["mode"] == "observe" and plan["term-2"]["changed"]
    assert plan["term-3"]["from"] is None and plan["term-3"]["bytes"] > 0
    assert "observe -> repair" in told and "once it connects (offline, last seen never)" in told
    assert "4 would change" in told and "Nothing was changed" in told
    # What a terminal would say no to, and what the fleet does.
    assert old["refused"]["by"] == "terminal" and old["refused"]["reason"] == "document_floor"
    assert old["bytes"] == 0
    assert strange["term-1"]["refused"]["by"] == "fleet"
    assert away["term-1"]["changed"] and away["term-1"]["to"] is None
    assert not away["term-3"]["changed"]
    # And it comes as it was said.
    done = by_device(ops.json(*order))
    for device, said in plan.items():
        assert done[device] == {"id": device, "manifest_version": said["manifest_version"],
                                "changed": said["changed"]}
    again = by_device(ops.json(*order, "--dry-run"))
    assert not any(device["changed"] for device in again.values())


def test_what_a_terminal_holds_is_known(bin_dir, processes, run_dir, pki, broker, ops):
    terminal = Terminal(bin_dir, processes, run_dir / "till", "till-1", ops.root)
    ops.enrol(terminal)
    ops.release("bin-table", TABLE)
    ops.ctl_ok("assign", "bin-table", "--device", "till-1", "--mode", "repair")
    terminal.start_agent()
    terminal.start_link(broker, pki)
    ops.wait_converged()
    ops.release("bin-table", TABLE + b"999999\tnew\n")
    push = ("assign", "bin-table", "--device", "till-1", "--mode", "repair", "--dry-run")
    plan = by_device(ops.json(*push))["till-1"]
    assert plan["online"] and plan["held_version"] == 1 and plan["to"]["version"] == 2
    back = by_device(ops.json("assign", "bin-table@1", "--device", "till-1", "--mode", "repair",
                              "--dry-run"))["till-1"]
    assert back["way"] == "held" and back["bytes"] == 0 and not back["changed"]
    away = by_device(ops.json("unassign", "bin-table", "--device", "till-1", "--dry-run"))
    assert away["till-1"]["deletes"]
    assert "the file is deleted" in ops.ctl_ok("unassign", "bin-table", "--device", "till-1",
                                               "--dry-run")
    assert ops.query("SELECT count(*) FROM assignment") == [(1,)]
