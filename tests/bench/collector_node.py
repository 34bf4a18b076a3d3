#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What musterd takes in for a second of processor time, beside a consumer in Node.js (node/README.md).

collector_node.py BIN_DIR [--dir DIR] [--results BATCH] [--turns N] [DEVICES]. The same sealed batches of
the same devices go through the same mosquitto over mutual TLS, first to musterd, then to the consumer,
each with a new database of its own, in turns. musterd is as by default, but that it keeps sums for ever.

collector.node_ratio: records for each second of processor time, user and system, of all threads of the
process, musterd's over the consumer's: the median of the turns. Counted from before the first message,
when the program has started and subscribed, until receipts have come for all; so the start, and the
end, are in neither. What broker and sender take is in neither.

collector.answers_differ: rows, and rows of sums, that are in one of the two databases alone, when both
programs have ended: every field and stamp of every result, all sums, what the
feed tells of them, and who was heard. Any is a failure. Receipts count with a good signature alone.
"""
import argparse
import contextlib
import getpass
import os
import pathlib
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/scenario"))

from broker import Broker  # noqa: E402
from fleet_side import FleetSide  # noqa: E402
from pki import Pki  # noqa: E402
from processes import Processes, free_port  # noqa: E402

CONSUMER = ROOT / "tests/bench/node"
MODULES = ROOT / "build/node"  # node/install.sh
LIMIT_S = 900

# (results a batch, of ten devices so many send, rounds, name): as in collector.c.
LOADS = [(50, 10, 1, "collector"), (1, 10, 2, "collector.n1"), (10, 10, 2, "collector.n10"),
         (500, 1, 1, "collector.n500")]


class BenchBroker(Broker):
    """Keeps all that waits, and says who subscribes."""
    CONFIG = """user {user}
listener {port} 127.0.0.1
acl_file {acl}
cafile {ca}
certfile {certificate}
keyfile {key}
require_certificate true
use_identity_as_username true
use_username_as_clientid true
tls_version tlsv1.2
max_queued_messages 0
max_inflight_messages 0
log_dest stderr
log_type error
log_type warning
log_type notice
log_type information
log_type subscribe
persistence {persistence}
persistence_location {folder}/
"""


class BenchFleet(FleetSide):
    """musterd as it is by default, but for sums that are kept for ever: the world's day is long past."""

    def write_config(self, broker, pki):
        super().write_config(broker, pki)
        path = self.folder / "musterd.conf"
        path.write_text(path.read_text().replace("[receipt]\ncoalesce = 20ms\n", "") +
                        "[retention]\nsums_minute = 0\nsums_hour = 0\n")


def figure(name, value, unit):
    print(f"{name} {value:.3f} {unit}" if value < 100 else f"{name} {value:.0f} {unit}", flush=True)


# ---- the two programs ----

def start_musterd(bench, folder):
    fleet = BenchFleet(bench.bin, bench.processes, folder)
    shutil.copyfile(bench.enrolled, folder / "fleet.db")
    heard = len(bench.broker.process.lines)
    musterd = fleet.start(bench.broker, bench.pki)
    bench.broker.process.wait_line(" muster/v1/up/+/batch", after=heard)
    return musterd


def start_consumer(bench, folder):
    folder.mkdir()
    identity = bench.pki.client("musterd")
    consumer = bench.processes.start("consumer.js", [
        "node", bench.consumer / "consumer.js", "--broker", f"mqtts://{bench.broker.address}",
        "--ca", bench.pki.ca, "--cert", identity.certificate, "--key", identity.key,
        "--receipt-key", bench.receipt_key(), "--registry", bench.enrolled,
        "--database", folder / "fleet.db", "--proto", ROOT / "proto"])
    consumer.wait_line("ready")
    return consumer


# ---- what both have stored ----

def columns(database, schema, table):
    return [row[1] for row in database.execute(f"PRAGMA {schema}.table_info({table})")]


def differences(database, what, ours, theirs):
    """Rows of one of two queries alone; prints the first."""
    count = 0
    for name, one, other in (("musterd", ours, theirs), ("consumer.js", theirs, ours)):
        rows = database.execute(f"SELECT * FROM ({one}) EXCEPT SELECT * FROM ({other})")
        first = rows.fetchone()
        if first is not None:
            print(f"# {what}: only {name} has {first}", flush=True)
            count += 1 + sum(1 for _ in rows)
    return count


def answers(musterd, consumer, records):
    """How many differ; a failure if these are not the records that were sent."""
    with contextlib.closing(sqlite3.connect(f"file:{musterd}?mode=ro", uri=True)) as database:
        database.execute("ATTACH ? AS node", (f"file:{consumer}?mode=ro",))
        counts = [database.execute(f"SELECT count(*) FROM {schema}.result").fetchone()[0]
                  for schema in ("main", "node")]
        if counts != [records, records]:
            raise RuntimeError(f"{records} records were sent, musterd and consumer.js hold {counts}")
        same = [name for name in columns(database, "main", "result")
                if name not in ("id", "digest", "received_ms")]
        missing = set(same) - set(columns(database, "node", "result"))
        if missing:
            raise RuntimeError(f"consumer.js does not store {missing}")
        tables = [row[0] for row in database.execute(
            "SELECT name FROM main.sqlite_schema WHERE type IN ('table', 'view')"
            " AND name LIKE 'rollup@_%' ESCAPE '@'") if "bucket" in columns(database, "main", row[0])]
        if not tables:
            raise RuntimeError("musterd keeps no sums")
        found = differences(database, "result", *(
            f"SELECT {', '.join(same)} FROM {schema}.result" for schema in ("main", "node")))
        found += differences(database, "by code", *(
            "SELECT code, outcome, currency, count(*), sum(amount_minor)"
            f" FROM {schema}.result GROUP BY 1, 2, 3" for schema in ("main", "node")))
        found += differences(database, "feed", *(
            "SELECT f.kind, r.device, r.incarnation, r.seq"
            f" FROM {schema}.feed f JOIN {schema}.result r ON r.id = f.source WHERE f.kind = 5"
            for schema in ("main", "node")))
        found += differences(database, "presence", *(
            f"SELECT device FROM {schema}.presence" for schema in ("main", "node")))
        for table in tables:
            names = ", ".join(name for name in columns(database, "main", table) if name != "id")
            found += differences(database, table, *(
                f"SELECT {names} FROM {schema}.{table}" for schema in ("main", "node")))
        return found


# ---- one load ----

class Bench:
    def __init__(self, options, processes, folder):
        self.bin, self.processes, self.folder = options.bin, processes, folder
        self.devices, self.turns = options.devices, options.turns
        self.pki = Pki(folder / "pki")
        (folder / "broker").mkdir()
        self.broker = BenchBroker(processes, self.pki, folder / "broker").start()
        self.consumer = self.copy_consumer()

    def copy_consumer(self):
        """Beside its modules, which are no part of the sources."""
        if not (MODULES / "node_modules").is_dir():
            raise RuntimeError(f"consumer.js's modules are not in {MODULES}; run "
                               f"tests/bench/node/install.sh {MODULES}")
        folder = self.folder / "consumer"
        folder.mkdir()
        for source in CONSUMER.glob("*.js"):
            shutil.copyfile(source, folder / source.name)
        (folder / "node_modules").symlink_to(MODULES / "node_modules")
        return folder

    def make(self, senders, rounds, results):
        for name in ("enrolled.db", "batches"):
            (self.folder / name).unlink(missing_ok=True)
        self.enrolled, self.batches = self.folder / "enrolled.db", self.folder / "batches"
        subprocess.run([self.bin / "batches-make", "--database", self.enrolled, "--batches",
                        self.batches, "--devices", str(self.devices), "--senders", str(senders),
                        "--rounds", str(rounds), "--results", str(results)], check=True)

    @staticmethod
    def receipt_key():
        """That of all fleets of this run."""
        return pathlib.Path(FleetSide.keys.name) / "keys/receipt.pem"

    def send(self):
        """Until all is receipted."""
        identity = self.pki.client("ops")
        subprocess.run([self.bin / "batches-send", "--port", str(self.broker.port), "--ca",
                        self.pki.ca, "--cert", identity.certificate, "--key", identity.key,
                        "--receipt-key", self.receipt_key(), "--batches", self.batches], check=True, timeout=LIMIT_S,
                       stdout=subprocess.DEVNULL)

    def take(self, start, folder):
        """CPU seconds of the program, which has ended then."""
        program = start(self, folder)
        before = program.cpu_ms()
        try:
            self.send()
        except subprocess.CalledProcessError as error:
            raise RuntimeError(f"{program.name}:\n{program.log()[-4000:]}") from error
        spent_s = (program.cpu_ms() - before) / 1000
        if program.stop() != 0:
            raise RuntimeError(f"{program.name} failed:\n{program.log()[-4000:]}")
        return spent_s

    def turn(self, records):
        folder = pathlib.Path(tempfile.mkdtemp(dir=self.folder))
        try:
            musterd_s = self.take(start_musterd, folder / "musterd")
            node_s = self.take(start_consumer, folder / "node")
            differing = answers(folder / "musterd/fleet.db", folder / "node/fleet.db", records)
        finally:
            shutil.rmtree(folder)
        return records / musterd_s, records / node_s, differing

    def run(self, results, of_ten, rounds, name):
        senders = max(1, self.devices * of_ten // 10)
        self.make(senders, rounds, results)
        records = senders * rounds * results
        print(f"# {results} results a batch over MQTT: {senders} devices, {senders * rounds} batches",
              flush=True)
        turns = [self.turn(records) for _ in range(self.turns)]
        musterd, node, differing = zip(*turns)
        figure(f"{name}.musterd_records_per_cpu_s", statistics.median(musterd), "1/s")
        figure(f"{name}.node_records_per_cpu_s", statistics.median(node), "1/s")
        figure(f"{name}.node_ratio",
               statistics.median(ours / theirs for ours, theirs in zip(musterd, node)), "ratio")
        figure(f"{name}.answers_differ", sum(differing), "count")
        return sum(differing)


def main():
    parser = argparse.ArgumentParser(prog="bench-collector-node",
                                     description=__doc__.splitlines()[0])
    parser.add_argument("bin", type=pathlib.Path)
    parser.add_argument("--dir")
    parser.add_argument("--results", type=int, choices=[load[0] for load in LOADS])
    parser.add_argument("--turns", type=int, default=1)
    parser.add_argument("devices", type=int, nargs="?", default=10000)
    options = parser.parse_intermixed_args()
    version = subprocess.run(["node", "--version"], check=True, text=True, capture_output=True)
    print(f"# node {version.stdout.strip()}; {os.cpu_count()} processors shared with broker and "
          f"sender; load of the machine before: {os.getloadavg()[0]:.1f}", flush=True)
    processes, differing = Processes(), 0
    with contextlib.ExitStack() as stack:
        folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(
            prefix="muster-node-", dir=options.dir)))
        stack.callback(processes.end)
        bench = Bench(options, processes, folder)
        for load in LOADS:
            if options.results in (None, load[0]):
                differing += bench.run(*load)
    if differing:
        sys.exit(f"bench-collector-node: {differing} answers differ")


if __name__ == "__main__":
    main()
