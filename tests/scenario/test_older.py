# SPDX-License-Identifier: Apache-2.0
"""A fleet database of an earlier version, with much in it, is made over: whatever comes between, nothing is lost."""
import contextlib
import hashlib
import os
import sqlite3

import pytest

import aged
from ops import Ops
from processes import wait_for

RUNS = "migration 0021_runs.sql"
ASKED = ("SELECT {columns} FROM result ORDER BY id", "SELECT * FROM result_duplicate ORDER BY 1, 2, 3")


class Older(Ops):
    """Its database as it was left, and the wanted answers to what is asked of it."""

    def __init__(self, *where):
        super().__init__(*where)
        self.path = self.folder / "fleet.db"
        self.count = aged.older(self.path, 600)
        with contextlib.closing(sqlite3.connect(self.path)) as database:
            self.columns = [row[1] for row in database.execute("PRAGMA table_info(result)")]
        self.before = self.contents()
        self.runs = aged.runs_of(self.query("SELECT id, device, incarnation, seq FROM result"))
        assert 100 < len(self.runs) < self.count / 50, "they hold many results each"

    def contents(self):
        columns = ", ".join(self.columns)
        with contextlib.closing(sqlite3.connect(self.path)) as database:
            found = [database.execute(question.format(columns=columns)).fetchall() for question in ASKED]
            found += [aged.sums_of(database, table) for table in aged.SUMS]
        return [hashlib.sha256(repr(rows).encode()).hexdigest() for rows in found]

    def version(self):
        return self.query("PRAGMA user_version")[0][0]

    def begin(self, broker, pki, *under):
        self.write_config(broker, pki)
        self.process = self.processes.start("musterd", [
            *under, self.bin / "musterd", "--config", self.folder / "musterd.conf"], cwd=self.folder)
        return self.process

    def check_made_over(self):
        assert self.version() > 21
        assert self.contents() == self.before
        assert self.query("SELECT device, incarnation, first_seq, last_seq, first_row FROM result_run"
                          " ORDER BY 1, 2, 3") == self.runs
        aged.check_sums(self.path)
        assert self.query("PRAGMA integrity_check") == [("ok",)]


@pytest.fixture
def older(bin_dir, processes, run_dir):
    return Older(bin_dir, processes, run_dir / "ops")


def wal_bytes(older):
    with contextlib.suppress(FileNotFoundError):
        return os.stat(f"{older.path}-wal").st_size
    return 0


def test_kills_change_nothing(older, broker, pki):
    killed = 0
    for written in (0, 1, 4 << 20, 12 << 20):
        older.begin(broker, pki).wait_line(f"{RUNS} begins")
        wait_for(lambda goal=written: wal_bytes(older) >= goal, what="something written of it")
        older.process.kill()
        assert older.contents() == older.before
        if older.version() > 20:
            break  # a quick machine
        killed += 1
    assert killed > 0, "it was never killed in the midst of it"
    older.start(broker, pki)
    older.check_made_over()
    assert older.process.stop() == 0


def test_a_full_disk_is_told_and_changes_nothing(older, broker, pki):
    musterd = older.begin(broker, pki, "prlimit", f"--fsize={6 << 20}")  # its WAL gets no longer
    assert musterd.wait() == 6
    why, = (line for line in musterd.log().splitlines() if "cannot start" in line)
    assert "no room" in why and "nothing has changed" in why and "MiB free" in why
    assert RUNS in why and str(older.path.name) in why
    assert older.version() == 20
    assert older.contents() == older.before
    assert wal_bytes(older) == 0, "what it had taken is given back"
    older.start(broker, pki)
    older.check_made_over()
    assert older.process.stop() == 0
