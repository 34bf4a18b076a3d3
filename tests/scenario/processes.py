# SPDX-License-Identifier: Apache-2.0
"""Processes that tests start: their output is kept, waited for line by line, shown on failure."""
import os
import random
import select
import signal
import socket
import subprocess
import threading
import time


def wait_for(condition, timeout=20.0, what="condition"):
    """Polls where no event can be had, ever more seldom, for asking may cost a process; returns what
    `condition` returned."""
    end = time.monotonic() + timeout
    wait_s = 0.02
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {timeout} s: {what}")
        select.select([], [], [], wait_s)
        wait_s = min(wait_s * 1.25, 0.1)


def free_port():
    """A port below the ephemeral range, so that no outgoing connection takes it meanwhile."""
    while True:
        port = random.SystemRandom().randrange(10000, 32000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue


class Process:
    """A child whose stdout and stderr are read by a thread; waiting is by event, not by polling."""

    def __init__(self, name, argv, cwd=None, env=None):
        self.name = name
        self.lines = []
        self.changed = threading.Condition()
        self.ended = False
        self.popen = subprocess.Popen(
            [str(arg) for arg in argv], cwd=cwd, env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for raw in self.popen.stdout:
            with self.changed:
                self.lines.append(raw.decode(errors="replace").rstrip("\n"))
                self.changed.notify_all()
        with self.changed:
            self.ended = True
            self.changed.notify_all()

    @property
    def pid(self):
        return self.popen.pid

    def log(self):
        with self.changed:
            return "\n".join(self.lines)

    def wait_line(self, text, timeout=20.0, after=0):
        """The index behind the first line at or after `after` that contains `text`."""
        end = time.monotonic() + timeout
        seen = after
        with self.changed:
            while True:
                while seen < len(self.lines):
                    seen += 1
                    if text in self.lines[seen - 1]:
                        return seen
                left = end - time.monotonic()
                if self.ended or left <= 0:
                    why = "it ended" if self.ended else f"not within {timeout} s"
                    raise AssertionError(f"{self.name}: no line with {text!r} ({why})")
                self.changed.wait(left)

    def wait(self, timeout=20.0):
        """The exit code; negative is a signal."""
        code = self.popen.wait(timeout)
        self.reader.join(timeout)
        return code

    def running(self):
        return self.popen.poll() is None

    def signal(self, number):
        if self.running():
            self.popen.send_signal(number)

    def stop(self, timeout=20.0):
        """SIGTERM; SIGKILL to one that does not heed it, which is a failure."""
        self.signal(signal.SIGTERM)
        try:
            return self.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"{self.name}: did not end on SIGTERM") from None

    def kill(self):
        self.signal(signal.SIGKILL)
        return self.wait()

    def cpu_ms(self):
        """User and system time so far."""
        with open(f"/proc/{self.pid}/stat", encoding="ascii", errors="replace") as stat:
            fields = stat.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) * 1000 // os.sysconf("SC_CLK_TCK")

    def peak_kb(self):
        """The largest resident size so far."""
        with open(f"/proc/{self.pid}/status", encoding="ascii", errors="replace") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))


class Processes:
    """Starts processes for one test and ends every one of them after it."""

    def __init__(self):
        self.all = []

    def start(self, name, argv, cwd=None, env=None):
        process = Process(name, argv, cwd, env)
        self.all.append(process)
        return process

    def end(self):
        for process in reversed(self.all):
            if process.running():
                process.kill()
