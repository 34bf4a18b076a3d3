# SPDX-License-Identifier: Apache-2.0
"""Muster beside others that buffer: the same records are handed over while the broker is down, the
broker comes back, and what arrived is counted. `bench-peers [SYSTEM [SCENARIO]]`; MUSTER_PEERS_RECORDS
sets how many, MUSTER_PEERS_SEED the moments of the kills.
"""
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from pki import Pki
from processes import Processes
from stage import BIN, Cost, LateError, Marks, until
from systems import SYSTEMS

RECORDS = int(os.environ.get("MUSTER_PEERS_RECORDS", "100000"))
SEED = os.environ.get("MUSTER_PEERS_SEED", "1")
WORLD_SEED = 20260101
SCENARIOS = ("none", "kill_buffering", "kill_draining")
DRAIN_S = 180
QUIET_S = 20  # nothing has arrived for so long: the rest never will
AFTER_S = 1   # all are there: is anything doubled?
STEP_S = 20


class Case:
    """One system in one scenario, in a folder of its own."""

    def __init__(self, system, scenario, pki, records, count):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="muster-peers-"))
        self.processes = Processes()
        self.pki, self.records, self.count = pki, records, count
        self.scenario = scenario
        self.random = random.Random(f"{SEED} {system} {scenario}")
        self.marks = Marks(self.folder / "marks", count)
        self.cost = Cost()
        self.began_s = time.monotonic()
        self.killed_at = None
        self.system = SYSTEMS[system](self)

    def until(self, condition, what):
        until(condition, STEP_S, what)

    def accept_left_s(self):
        return self.began_s + self.system.accepts_s - time.monotonic()

    def kill(self):
        self.system.kill()
        self.system.start()

    def buffer(self):
        """Hands over until all are accepted, or no more within the limit. Seconds it took."""
        system = self.system
        kill_at = None
        if self.scenario == "kill_buffering":
            kill_at = int(self.count * self.random.uniform(0.2, 0.8))
        self.began_s = time.monotonic()
        system.start()
        producer = system.produce()
        while self.accept_left_s() > 0:
            accepted = self.marks.accepted()
            if kill_at is not None and accepted >= kill_at:
                self.killed_at, kill_at = accepted, None
                self.kill()
            if accepted == self.count:
                break
            try:
                until(lambda: self.marks.accepted() > accepted, 1, "more")
            except LateError:
                pass
        if producer is not None:
            if producer.running() and self.accept_left_s() <= 0:
                producer.kill()
            elif producer.wait(STEP_S) != 0:
                raise LateError(f"the producer failed: {producer.log()[-500:]}")
        return time.monotonic() - self.began_s

    def drain(self, accepted):
        """(seconds until the last arrival, seconds until the system met the far side)"""
        system, arrivals = self.system, self.system.arrivals
        kill_at = accepted // 2 if self.scenario == "kill_draining" else None
        system.arrive()
        up = time.monotonic()
        seen, last, met = 0, up, None
        while time.monotonic() - up < DRAIN_S:
            try:
                until(lambda: arrivals.count() > seen or (met is None and system.met()), 0.5, "more")
            except LateError:
                pass
            now = time.monotonic()
            if met is None and system.met():
                met = now - up
            count = arrivals.count()
            if count > seen:
                seen, last = count, now
            if kill_at is not None and count >= kill_at:
                self.killed_at, kill_at = count, None
                self.kill()
            # Who has not met the far side yet has not had its turn.
            quiet = now - max(last, up + met) if met is not None else 0
            if quiet > QUIET_S or (quiet > AFTER_S and count >= accepted
                                   and len(arrivals.keys()) >= accepted):
                break
        return last - up, met

    def run(self):
        """{column: (value, unit)}"""
        self.system.prepare()
        buffer_s = self.buffer()
        accepted = self.marks.keys()
        drain_s, met_s = self.drain(len(accepted))
        self.system.end()
        arrived = self.system.arrivals.keys()
        self.system.arrivals.close()
        lost = sum(1 for key in accepted if key not in arrived)
        cost = self.cost
        return {
            "accepted": (len(accepted), "records"),
            "lost": (lost, "records"),
            "doubled": (sum(arrived.values()) - len(arrived), "records"),
            "buffer_s": (round(buffer_s, 2), "s"),
            "met_s": (round(met_s if met_s is not None else -1, 2), "s"),
            "drain_s": (round(drain_s, 2), "s"),
            "cpu_s": (round(cost.cpu_ms / 1000, 2), "s"),
            "rss_kb": (cost.peak_kb, "kB"),
            "written_mb": (round(cost.written / 1e6, 1), "MB"),
        }

    def close(self):
        self.processes.end()
        shutil.rmtree(self.folder, ignore_errors=True)

    def tell(self):
        for process in self.processes.all:
            print(f"---- {process.name}", file=sys.stderr)
            print("\n".join(process.log().splitlines()[-15:]), file=sys.stderr)


def run_case(system, scenario, pki, records):
    """Prints its lines and returns them; None: it could not be run."""
    case = None
    try:
        case = Case(system, scenario, pki, records, RECORDS)
        columns = case.run()
        for column, (value, unit) in columns.items():
            print(f"peers.{system}.{scenario}.{column} {value} {unit}")
        if case.killed_at is not None:
            print(f"# peers.{system}.{scenario}: killed at {case.killed_at}")
        sys.stdout.flush()
        return columns
    except (LateError, AssertionError, OSError, subprocess.SubprocessError) as error:
        print(f"bench-peers: {system} {scenario}: {error}", file=sys.stderr)
        if case is not None:
            case.tell()
        return None
    finally:
        if case is not None:
            case.close()


def tell_ratio(scenario, results):
    """Muster's drain beside the best other that neither lost nor doubled."""
    sound = {name: columns["drain_s"][0] for name, columns in results.items() if columns is not None
             and columns["lost"][0] == 0 and columns["doubled"][0] == 0}
    if "muster" not in sound or len(results) == 1:
        return
    muster_s = sound.pop("muster")
    if not sound:
        print(f"# peers.{scenario}: no other neither lost nor doubled")
        return
    best = min(sound, key=sound.get)
    print(f"peers.muster.{scenario}.drain_ratio {muster_s / sound[best]:.3f} ratio")
    print(f"# peers.{scenario}: beside {best}, {sound[best]} s")


def chosen(argv):
    systems = argv[1:2] or list(SYSTEMS)
    scenarios = argv[2:3] or list(SCENARIOS)
    if len(argv) > 3 or systems[0] not in SYSTEMS or scenarios[0] not in SCENARIOS:
        sys.exit(f"bench-peers: expected one of {', '.join(SYSTEMS)}, then one of "
                 f"{', '.join(SCENARIOS)}")
    return systems, scenarios


def main():
    systems, scenarios = chosen(sys.argv)
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    with tempfile.TemporaryDirectory(prefix="muster-peers-") as name:
        records = pathlib.Path(name) / "records"
        subprocess.run([BIN / "peers-records", "--out", records, "--count", "20000", "--seed",
                        str(WORLD_SEED)], check=True)
        print(f"# {RECORDS} records, kills seeded with {SEED}")
        for system in systems:
            print(f"# {SYSTEMS[system].said}")
        print("# all with mutual TLS to one far broker or receiver; buffer_s: until all are accepted; "
              "met_s: broker up until the system met it; drain_s: broker up until the last arrival; "
              "cpu_s, rss_kb (sum of VmHWM), written_mb (write_bytes of /proc/PID/io): the system's "
              "own processes on the terminal")
        pki = Pki(pathlib.Path(name) / "pki")
        failed = False
        for scenario in scenarios:
            results = {system: run_case(system, scenario, pki, records) for system in systems}
            tell_ratio(scenario, results)
            failed = failed or None in results.values()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
