# SPDX-License-Identifier: Apache-2.0
"""What all systems meet: the records, the far broker, what counts arrivals, and what a process costs."""
import collections
import contextlib
import getpass
import os
import pathlib
import select
import sqlite3
import time

from processes import free_port

BIN = pathlib.Path(os.environ["MUSTER_BIN"])
DEVICE = "till-01"
TOPIC = f"muster/v1/up/{DEVICE}/result"
POLL_S = 0.005
MASK = (1 << 64) - 1

# The far broker is the same for all: mutual TLS, no limit that could drop or hold back.
FAR = """user {user}
listener {port} 127.0.0.1
allow_anonymous false
cafile {ca}
certfile {certificate}
keyfile {key}
require_certificate true
use_identity_as_username true
use_username_as_clientid true
log_dest stderr
log_type notice
log_type information
log_type error
log_type warning
persistence true
persistence_location {folder}/
max_queued_messages 0
max_inflight_messages 0
"""


class LateError(Exception):
    """What was waited for did not come in time."""


def until(condition, seconds, what):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise LateError(f"not within {seconds} s: {what}")
        select.select([], [], [], POLL_S)


def key_of(index):
    """As load.c makes it."""
    key = (index + 0x9E3779B97F4A7C15) & MASK
    key = ((key ^ (key >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    key = ((key ^ (key >> 27)) * 0x94D049BB133111EB) & MASK
    return ((key ^ (key >> 31)) | 0x0000A00000A00000).to_bytes(8, "big")


class Marks:
    """What a system said yes to, one byte a record, in a file that whoever hands over maps."""

    def __init__(self, path, count):
        self.path, self.count = path, count
        path.write_bytes(bytes(count))

    def accepted(self):
        return self.count - self.path.read_bytes().count(0)

    def keys(self):
        keys = {key_of(index) for index, mark in enumerate(self.path.read_bytes()) if mark}
        assert len(keys) == self.accepted(), "two records have the same key"
        return keys


class Arrivals:
    """Rows of a database that others write: each arrival is one."""

    def __init__(self, path, newest, keys):
        self.path, self.newest, self.keys_query = path, newest, keys
        self.database = None

    def _query(self, sql):
        if self.database is None:
            if not self.path.exists():
                return []
            self.database = sqlite3.connect(f"file:{self.path}?mode=ro", uri=True)
        try:
            return self.database.execute(sql).fetchall()
        except sqlite3.OperationalError:  # its schema is being made
            return []

    def count(self):
        """Nothing is ever deleted there, so the newest id tells."""
        rows = self._query(self.newest)
        return rows[0][0] or 0 if rows else 0

    def keys(self):
        return collections.Counter(row[0] for row in self._query(self.keys_query))

    def close(self):
        if self.database is not None:
            self.database.close()


class Far:
    """The broker that is down while records are buffered."""

    def __init__(self, processes, pki, folder):
        self.processes, self.folder, self.process = processes, folder, None
        self.port = free_port()
        self.address = f"localhost:{self.port}"
        folder.mkdir()
        identity = pki.server()
        (folder / "mosquitto.conf").write_text(FAR.format(
            user=getpass.getuser(), port=self.port, ca=pki.ca, certificate=identity.certificate,
            key=identity.key, folder=folder))

    def start(self):
        self.process = self.processes.start(
            "far broker", ["/usr/sbin/mosquitto", "-c", self.folder / "mosquitto.conf"])
        self.process.wait_line("running")

    def stop(self):
        self.process.stop()

    def met(self):
        """Whether the system under test has connected since the start."""
        return f" as {DEVICE} " in self.process.log()


class Cost:
    """What the system's own processes took, also those that were killed: user and system time,
    peak resident size (of those that run together), bytes they made the disk write."""

    def __init__(self):
        self.cpu_ms = self.written = self.peak_kb = 0

    def take(self, processes):
        """Just before they end."""
        peak = 0
        for process in processes:
            with contextlib.suppress(FileNotFoundError, ProcessLookupError, StopIteration):
                self.cpu_ms += process.cpu_ms()
                peak += process.peak_kb()
                with open(f"/proc/{process.pid}/io", encoding="ascii") as counters:
                    self.written += next(int(line.split()[1]) for line in counters
                                         if line.startswith("write_bytes"))
        self.peak_kb = max(self.peak_kb, peak)
