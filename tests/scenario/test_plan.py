# SPDX-License-Identifier: Apache-2.0
"""What a push would change, told before it is signed: nothing may change for the asking."""
import contextlib
import pathlib
import sqlite3

import pytest

from ops import Ops


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
