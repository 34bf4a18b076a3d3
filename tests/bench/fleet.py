#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What a whole fleet costs musterd: ten thousand connected terminals, 50 results a second in all.

fleet.py BIN_DIR [--devices N] [--seconds N] [--rate R]. muster-sim is the terminals: all of agent and
link of each, own keys, signed batches, over MQTT to a mosquitto of this bench. Times and shares are
of the machine that does all of this at once, broker, terminals and musterd.

fleet.musterd_cpu_ratio: CPU seconds of musterd, user and system, all of its threads, for each second
of wall time while the fleet lives, over the first three quarters. fleet.musterd_rss_mb: its resident
memory, the most at the quarter points. In the last quarter suspect declines are made beside the
results, at terminals that are not quiet after an earlier one (uplink.quiet), and
fleet.suspect_to_api is the time from the moment in which one is given to its terminal's agent until a
GET of the HTTP API counts it among those of its device in these minutes, asked again and again: the
asking is in it.

No queue grows: records that wait in terminals, packets on their way to the broker, messages that the
broker keeps and drops, and records that have left a terminal and are not committed, at each quarter
point. Last, what each terminal has made is held against the rows of the fleet database.
"""
import argparse
import contextlib
import json
import os
import pathlib
import re
import statistics
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/scenario"))

from ops import UnixConnection  # noqa: E402
from pki import Pki  # noqa: E402
from processes import Processes, free_port  # noqa: E402
from simulated import SimBroker, SimulatedFleet, folder_in_memory  # noqa: E402

SUSPECTS = 8  # a second, in the last quarter
CONNECTS = 100  # a second
LIMIT_S = 600
ASK_AGAIN_S = 0.004
QUARTERS = 4
MEGABYTE = 1024 * 1024


class BenchFleet(SimulatedFleet):
    """With musterd as it is by default."""


    def write_config(self, broker, pki):
        super().write_config(broker, pki)
        path = self.folder / "musterd.conf"
        path.write_text(path.read_text().replace("[receipt]\ncoalesce = 20ms\n", ""))


def figure(name, value, unit):
    print(f"fleet.{name} {value:.3f} {unit}" if value < 100 else f"fleet.{name} {value:.0f} {unit}",
          flush=True)


def resident_mb(process):
    with open(f"/proc/{process.pid}/status", encoding="ascii", errors="replace") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS")) / 1024


# ---- what the broker says of itself ----

class BrokerFigures:
    """$SYS of mosquitto, as a mosquitto_sub hears it: payloads are numbers, in hexadecimal text."""
    NAMES = {"$SYS/broker/store/messages/count": "stored",
             "$SYS/broker/publish/messages/dropped": "dropped"}

    def __init__(self, broker):
        self.heard = broker.subscribe("$SYS/broker/#")
        self.read = 0
        self.values = dict.fromkeys(self.NAMES.values(), 0.0)

    def now(self):
        """It says again only what has changed."""
        with self.heard.changed:
            lines = self.heard.lines[self.read:]
            self.read = len(self.heard.lines)
        for line in lines:
            topic, _, payload = line.partition(" ")
            if topic in self.NAMES:
                self.values[self.NAMES[topic]] = float(bytes.fromhex(payload).decode().split()[0])
        return dict(self.values)


# ---- how long a suspect decline takes ----

class Watch:
    """Asks the API for each suspect decline that the terminals tell of, until it is counted."""

    def __init__(self, fleet, sim):
        self.connection = UnixConnection(fleet.folder / "api.sock")
        self.sim = sim
        self.read = 0
        self.since_ms = None  # wall time when the first was made; nothing before is asked for
        self.waiting = {}  # device: [(how many it has made by then, when)]
        self.took_ms = []

    def hear(self):
        """Lines that were printed since, once there is one or it is time to ask again."""
        with self.sim.changed:
            if len(self.sim.lines) == self.read:
                self.sim.changed.wait(ASK_AGAIN_S if self.waiting else 1)
            lines = self.sim.lines[self.read:]
            self.read = len(self.sim.lines)
        for line in lines:
            if line.startswith("suspect "):
                if self.since_ms is None:
                    self.since_ms = int(time.time() * 1000) - 1000
                _, device, count, made_ns = line.split()
                self.waiting.setdefault(device, []).append((int(count), int(made_ns)))
        return lines

    def counted(self, device):
        self.connection.request("GET", f"/api/v1/errors?by=code&device={device}"
                                       f"&since_ms={self.since_ms}")
        reply = self.connection.getresponse()
        answer = json.loads(reply.read())
        assert reply.status == 200, answer
        return sum(row["count"] for row in answer["rows"] if row["key"] == "57")

    def ask(self):
        for device in list(self.waiting):
            seen = self.counted(device)
            now_ns = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
            made = self.waiting[device]
            self.took_ms += [(now_ns - made_ns) / 1e6 for count, made_ns in made if count <= seen]
            left = [(count, made_ns) for count, made_ns in made if count > seen]
            if left:
                self.waiting[device] = left
            else:
                del self.waiting[device]


# ---- the fleet's life ----

class Bench:
    def __init__(self, options, processes, folder, terminals):
        self.options = options
        pki = Pki(folder / "pki")
        (folder / "broker").mkdir()
        self.broker = SimBroker(processes, pki, folder / "broker", free_port()).start()
        self.fleet = BenchFleet(options.bin, processes, folder / "fleet", terminals,
                                options.devices)
        self.musterd = self.fleet.start(self.broker, pki)
        self.points = []

    def prepare(self):
        began = time.monotonic()
        self.fleet.make_keys()
        self.fleet.enrol_all()
        print(f"# {self.options.devices} devices enrolled over the API in "
              f"{time.monotonic() - began:.1f} s, keys and all")
        began = time.monotonic()
        self.fleet.want()
        print(f"# two documents assigned to all in {time.monotonic() - began:.1f} s", flush=True)

    def committed(self):
        _, text = self.fleet.raw("GET", "/metrics")
        return sum(float(value) for value in
                   re.findall(r'^muster_records_total\{lane="\w+"\} (\S+)$', text.decode(), re.M))

    def take_point(self, name):
        """At a quarter point, of all that is counted anywhere."""
        point = {"at": time.monotonic(), "musterd_ms": self.musterd.cpu_ms(),
                 "broker_ms": self.broker.process.cpu_ms(), "sim_ms": self.fleet.sim.cpu_ms(),
                 "rss_mb": resident_mb(self.musterd), "broker": self.heard.now()}
        sim = self.fleet.figures()[name]
        made = sim["results"] + sim["events"] + sim["health"]
        point["sim"] = sim
        point["on_the_way"] = max(0.0, made - sim["waiting"] - self.committed())
        wal = self.fleet.folder / "fleet.db-wal"
        point["wal_mb"] = wal.stat().st_size / MEGABYTE if wal.exists() else 0
        self.points.append(point)

    def live(self):
        """Until the terminals have ended; the quarter points and the suspect declines as they come."""
        options = self.options
        self.heard = BrokerFigures(self.broker)
        sim = self.fleet.start_sim(
            self.broker, "--rate", str(options.rate), "--seconds", str(options.seconds),
            "--connect", str(CONNECTS), "--suspects", str(SUSPECTS), "--suspects-after",
            str(options.seconds * 3 // QUARTERS), "--patience", str(LIMIT_S))
        watch = Watch(self.fleet, sim)
        deadline = time.monotonic() + options.devices / CONNECTS + options.seconds + 3 * LIMIT_S
        while sim.running():
            if time.monotonic() > deadline:
                raise RuntimeError("the simulated terminals do not come to an end")
            for line in watch.hear():
                if line.startswith("#"):
                    print(line, flush=True)
                quarter = re.match(r"sim\.(quarter_[0-4])\.lag ", line)
                if quarter:
                    self.take_point(quarter[1])
            watch.ask()
        if sim.wait() != 0:
            raise RuntimeError(f"the simulated terminals failed:\n{sim.log()[-4000:]}")
        return watch.took_ms

    # ---- what came of it ----

    def cpu_ratio(self, name):
        first, last = self.points[0], self.points[QUARTERS - 1]
        return (last[name] - first[name]) / 1000 / (last["at"] - first["at"])

    def print_points(self):
        for number, point in enumerate(self.points):
            sim, broker = point["sim"], point["broker"]
            print(f"# quarter {number}: {sim['results']:.0f} results made; {sim['waiting']:.0f} "
                  f"records wait in terminals, at most {sim['most_waiting']:.0f} in one, the oldest "
                  f"for {sim['oldest']:.0f} s; {sim['in_flight']:.0f} packets on their way to the "
                  f"broker; the broker keeps {broker['stored']:.0f} messages and has dropped "
                  f"{broker['dropped']:.0f}; {point['on_the_way']:.0f} records have left and are "
                  f"not committed; musterd {point['rss_mb']:.1f} MB, WAL {point['wal_mb']:.1f} MB; "
                  f"{sim['resends']:.0f} resends; the simulation was late by {sim['lag']:.0f} ms")

    def growing(self):
        """Queues that are longer at the end than they were: names."""
        def queue(name, of, spare):
            values = [of(point) for point in self.points]
            return [name] if values[-1] > 1.5 * max(values[1:-1]) + spare else []
        rate = self.options.rate
        return [*queue("records in terminals", lambda p: p["sim"]["waiting"], 5 * rate),
                *queue("packets to the broker", lambda p: p["sim"]["in_flight"], rate),
                *queue("messages in the broker", lambda p: p["broker"]["stored"], rate),
                *queue("records on their way", lambda p: p["on_the_way"], 2 * rate),
                *(["messages that the broker has dropped"] if
                  self.points[-1]["broker"]["dropped"] > self.points[0]["broker"]["dropped"]
                  else [])]

    def tell(self, took_ms):
        first, last = self.points[0], self.points[QUARTERS - 1]
        self.print_points()
        figure("devices", min(point["sim"]["connected"] for point in self.points), "connected")
        figure("results_per_s", (last["sim"]["results"] - first["sim"]["results"]) /
               (last["at"] - first["at"]), "1/s")
        figure("musterd_cpu_ratio", self.cpu_ratio("musterd_ms"), "ratio")
        figure("musterd_rss_mb", max(point["rss_mb"] for point in self.points), "MB")
        figure("broker_cpu_ratio", self.cpu_ratio("broker_ms"), "ratio")
        figure("sim_cpu_ratio", self.cpu_ratio("sim_ms"), "ratio")
        figure("suspects", len(took_ms), "count")
        cut = statistics.quantiles(took_ms, n=100, method="inclusive")
        figure("suspect_to_api_p50_ms", cut[49], "ms")
        figure("suspect_to_api_p99_ms", cut[98], "ms")
        figure("suspect_to_api_max_ms", max(took_ms), "ms")

    def judge(self):
        """What must hold whatever the machine; lines of text."""
        end, first = self.fleet.figures()["end"], self.points[0]["sim"]
        growing, differing = self.growing(), self.fleet.differences()
        figure("records_made", end["results"] + end["events"] + end["health"], "records")
        figure("devices_that_differ", len(differing), "devices")
        figure("queues_that_grow", len(growing), "count")
        return ([f"grows: {name}" for name in growing] + differing[:10] +
                [f"{name}: {end[name]:.0f} at the end" for name in ("waiting", "lost")
                 if end[name] > 0] +
                [f"{name}: {first[name]:.0f} when all were connected, {end[name]:.0f} at the end"
                 for name in ("refused", "sessions") if end[name] > first[name]])


def main():
    parser = argparse.ArgumentParser(prog="bench-fleet", description=__doc__.splitlines()[0])
    parser.add_argument("bin", type=pathlib.Path)
    parser.add_argument("--devices", type=int, default=10000)
    parser.add_argument("--seconds", type=int, default=240)
    parser.add_argument("--rate", type=float, default=50)
    options = parser.parse_args()
    print(f"# {options.devices} terminals, {options.rate:g} results a second in all for "
          f"{options.seconds} s; {os.cpu_count()} processors shared with broker and terminals; load "
          f"of the machine before: {os.getloadavg()[0]:.1f}")
    processes = Processes()
    with contextlib.ExitStack() as stack:
        folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(
            prefix="muster-fleet-")))
        terminals = stack.enter_context(folder_in_memory())
        stack.callback(processes.end)
        bench = Bench(options, processes, folder, terminals)
        bench.prepare()
        bench.tell(bench.live())
        wrong = bench.judge()
    if wrong:
        sys.exit("bench-fleet: " + "\n".join(wrong))


if __name__ == "__main__":
    main()
