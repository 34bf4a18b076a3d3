# SPDX-License-Identifier: Apache-2.0
"""Firmware over a line that is slow and breaks: it comes whole, once, and results go on meanwhile.

Between two breaks 1.2 MB go down the line, which is what 20 KB/s carry in a minute. In the ordinary
run it carries 200 times as much a second, and the package is a part of the 200 MB that
`tests/run slowline` sends so; `tests/run slowline --full` takes the line as slow as it is, and hours.
"""
import os
import pathlib
import re
import threading
import time

from one_terminal import OneTerminal
from slow_line import SlowLine
from test_gate import Clerk

FORM = os.environ.get("MUSTER_SLOWLINE", "")
LINE_BYTES_S, MINUTE_S = 20000, 60
FASTER = 1 if FORM == "full" else 200
MEGABYTES = 200 if FORM else 6
LIMIT_S = 5 * 3600 if FORM == "full" else 900 if FORM else 120
PIECE = 128 * 1024
SETTINGS = """quota = 1G
[install]
hook = {folder}/hook
version_hook = {folder}/version-hook
"""
# As they are by default, but for the scale of time.
BROKER = f"""retry_first = {1000 // FASTER + 5}ms
retry_max = {300000 // FASTER}ms
stable = {30000 // FASTER if FASTER == 1 else 1000}ms
"""


class Line:
    """Where muster-link finds its broker."""

    def __init__(self, line):
        self.address = line.address


class Till(threading.Thread):
    """A sale after the other, for as long as it takes."""

    def __init__(self, terminal, every_s):
        super().__init__(daemon=True)
        self.clerk, self.every_s = Clerk(terminal), every_s
        self.over = threading.Event()
        self.latencies, self.failed = [], []

    def run(self):
        while not self.over.wait(self.every_s):
            began = time.monotonic()
            done = self.clerk.do("record")
            self.latencies.append(time.monotonic() - began)
            if done["status"] != 0:
                self.failed.append(done)

    def end(self):
        self.over.set()
        self.join()
        self.clerk.kill()


class World(OneTerminal):
    def __init__(self, *where):
        self.own = where[2] / "own"
        self.own.mkdir()
        super().__init__(*where, registry=SETTINGS.format(folder=self.own),
                         uplink="linger = 50ms\nquiet = 50ms" if FASTER > 1 else "")
        (self.own / "running").write_text("1\n")
        for name, text in (("hook", 'echo "$*" >>calls; sha256sum "$4" >sum; echo "$3" >running'),
                           ("version-hook", "cat running")):
            (self.own / name).write_text(f"#!/bin/sh\ncd {self.own}\n{text}\n")
            (self.own / name).chmod(0o755)

    def publish(self):
        """Noise, which nothing compresses; written and hashed in parts."""
        path = self.fleet.folder / "os.source"
        with path.open("wb") as file:
            for _ in range(MEGABYTES):
                file.write(os.urandom(1000000))
        done = self.fleet.ctl("doc", "publish", "os", path, "--kind", "firmware",
                              "--package-version", "2", "--release-key", "keys/release.pem",
                              timeout=900)
        assert done.returncode == 0, done.stderr
        self.fleet.ctl_ok("assign", "os", "--device", "term-0001", "--mode", "repair")
        self.wait_retained()
        return path

    def wait_retained(self):
        """Pieces go to the broker at the speed of this machine: that is not what is measured."""
        def blobs():
            return len(set(re.findall(r"Received PUBLISH from musterd .*blob/([0-9a-f]{64})",
                                      self.broker.process.log())))
        pieces = -(-MEGABYTES * 1000000 // PIECE)
        end = time.monotonic() + 120
        while blobs() < pieces and time.monotonic() < end:
            threading.Event().wait(0.2)
        assert blobs() >= pieces, "the broker has the pieces"


def peak_kb(process):
    status = pathlib.Path(f"/proc/{process.pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status).group(1))


def figure(name, value, unit):
    print(f"slowline.{name} {value:.10g} {unit}")


def test_a_package_comes_whole_over_a_line_that_breaks(bin_dir, processes, run_dir, broker, pki):
    world = World(bin_dir, processes, run_dir, broker, pki)
    path = world.publish()
    world.terminal.start_agent()
    sent_before = len(broker.process.lines)
    till = Till(world.terminal, 10 / FASTER if FASTER > 1 else 10)
    began = time.monotonic()
    with SlowLine(broker.port, LINE_BYTES_S * FASTER,
                  break_bytes=LINE_BYTES_S * MINUTE_S if FASTER > 1 else 0,
                  break_s=0 if FASTER > 1 else MINUTE_S) as line:
        world.terminal.start_link(Line(line), pki, extra=BROKER)
        till.start()
        done = world.fleet.ctl("get", "devices", "--wait", "converged", "--timeout",
                               f"{LIMIT_S}s", timeout=LIMIT_S + 30)
        assert done.returncode == 0, done.stderr
        took_s = time.monotonic() - began
        carried, breaks = dict(line.carried), line.breaks
        till.end()
        world.fleet.wait_results(len(till.latencies), timeout=120)
    length = path.stat().st_size
    sent = re.findall(r"Sending PUBLISH to term-0001 .*blob/([0-9a-f]{64})",
                      "\n".join(broker.process.lines[sent_before:]))
    pieces = -(-length // PIECE)
    late_ms = world.fleet.query("SELECT max(received_ms - wall_ms) FROM result")[0][0]
    figure("file", length, "bytes")
    figure("carried_down", carried[True] / length, "of_the_file")
    figure("carried_up", carried[False], "bytes")
    figure("breaks", breaks, "count")
    figure("pieces", pieces, "count")
    figure("pieces_begun_again", len(sent) - len(set(sent)), "count")  # by the broker, not carried
    figure("time", took_s, "s")
    figure("agent_peak", peak_kb(world.terminal.agent), "KiB")
    figure("link_peak", peak_kb(world.terminal.link), "KiB")
    figure("results", len(till.latencies), "count")
    figure("result_worst_local", 1000 * max(till.latencies), "ms")
    figure("result_worst_at_fleet", late_ms, "ms")
    assert not till.failed
    assert (world.own / "calls").read_text().count("firmware os 2 ") == 1
    assert world.own.joinpath("sum").read_text().split()[0] == \
        world.fleet.json("describe", "device", "term-0001")["items"][0]["held_sha256"]
    assert breaks >= length // (LINE_BYTES_S * MINUTE_S) - 1
    # A break costs what was on its way: a piece, and what a new connection needs.
    assert carried[True] < length + breaks * (5 * PIECE + 20000) + 200000
