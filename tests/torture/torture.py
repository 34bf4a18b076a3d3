# SPDX-License-Identifier: Apache-2.0
"""kill -9 of agents, links, musterd and the broker at random moments under load.

MUSTER_TORTURE_KILLS=N  how many (600); in rounds of at most ROUND, each in a world of its own
MUSTER_TORTURE_SEED=S   the choices (their timing is the machine's)

Every process that was killed is started again at once, under load all the time. When a round's
kills are done, the load ends, everything drains, and the oracle judges by the databases' files.
"""
import math
import os
import pathlib
import random
import secrets
import shutil
import sys
import tempfile
import threading
import time
import traceback

from pki import Pki
from victims import World

ROUND = 1000
GRACES = ("0ms", "0ms", "10s", "1h")
PACE_MS = 40
RESULTS = 60000  # of one client in one round at the most
SHORTEST_MS, LONGEST_MS = 1, 300
SPAWNED, AGED = "spawned", "aged"  # moments that no line tells
AGED_S = 10.0  # when an agent first removes what it need not keep
AGED_ONE_IN = 20
EVENT_LIMIT_S = 4.0  # an event that a kill elsewhere has put off is not waited for longer
KINDS = ("agent", "link", "musterd", "broker")
LOST = ("lost", "vanished", "damaged", "holes", "claimed", "early")
DOUBLED = ("doubled", "altered", "invented", "reanswered", "repeated", "stray")


class Killer(threading.Thread):
    """Kills what it is given, one choice after the other, until there were kills enough."""

    def __init__(self, tally, seed, choices, moments):
        super().__init__(daemon=True)
        self.tally, self.choices, self.moments = tally, choices, moments
        self.random = random.Random(seed)

    def run(self):
        try:
            while not self.tally.enough.is_set():
                self._one()
        except Exception:  # told by the main thread
            self.tally.fail(traceback.format_exc())

    def _one(self):
        victims = self.random.choice(self.choices)
        self._wait_for_moment()
        low, high = math.log(SHORTEST_MS), math.log(LONGEST_MS)
        delay_ms = math.exp(self.random.uniform(low, high))
        if self.tally.enough.wait(delay_ms / 1000):
            return
        for victim in victims:
            victim.kill()
        self.tally.count(victims)
        for victim in victims:
            victim.start()

    def _wait_for_moment(self):
        """An event in the life that is to end: its spawning, or a line in somebody's log."""
        victim, line = self.random.choice(self.moments)
        if line == SPAWNED:
            return
        if line == AGED:
            self.tally.enough.wait(victim.started_s + AGED_S - time.monotonic())
            return
        try:
            victim.process.wait_line(line, timeout=EVENT_LIMIT_S)
        except AssertionError:
            pass  # it does not come in time, or another has killed the one it was to come from


class Tally:
    def __init__(self, wanted):
        self.wanted = wanted
        self.kills = {kind: 0 for kind in KINDS}
        self.enough = threading.Event()
        self.lock = threading.Lock()
        self.failure = None

    def count(self, victims):
        with self.lock:
            for victim in victims:
                self.kills[victim.kind] += 1
            if sum(self.kills.values()) >= self.wanted:
                self.enough.set()

    def fail(self, text):
        with self.lock:
            self.failure = self.failure or text
        self.enough.set()


def killers(world, tally, seed):
    """One for each terminal and one for the fleet's side, which is killed less often."""
    made = []
    for number, terminal in enumerate(world.terminals):
        agent, link = terminal.agent, terminal.link
        choices = [(agent,), (agent,), (agent,), (link,), (link,), (agent, link)]
        moments = [(agent, SPAWNED), (agent, "ready"), (agent, "welcomed"), (agent, "welcomed"),
                   (link, "joined"), (link, "broker: connected")]
        moments = moments * AGED_ONE_IN + [(agent, AGED)] * len(moments)
        made.append(Killer(tally, f"{seed}/{number}", choices, moments))
    choices = [(world.musterd,), (world.musterd,), (world.broker,), (world.musterd, world.broker)]
    moments = [(world.musterd, SPAWNED), (world.musterd, "ready"), (world.musterd, "connected"),
               (world.broker, "muster/v1/up/"), (world.broker, "muster/v1/down/"),
               *[(one.agent, "welcomed") for one in world.terminals]]
    made.append(Killer(tally, f"{seed}/fleet", choices, moments))
    return made


def kill_and_judge(world, wanted, seed):
    """One round: (kills by kind, the load's and the oracle's figures, whether all is accounted)."""
    tally = Tally(wanted)
    world.start_load(random.Random(seed).randrange(1 << 32), RESULTS, PACE_MS)
    workers = killers(world, tally, seed)
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    if tally.failure:
        raise AssertionError(tally.failure)
    meanwhile = world.fleet.results()
    load = {"load.delivered": meanwhile, **world.stop_load()}
    world.wait_drained()
    world.stop()
    oracle, sound = world.ask_oracle()
    return tally.kills, load, oracle, sound


def add(total, figures):
    for name, value in figures.items():
        total[name] = total.get(name, 0) + value


def print_figures(total, began):
    kills = sum(total.get(kind, 0) for kind in KINDS)
    print(f"torture.kills {kills} kills")
    for kind in KINDS:
        print(f"torture.kills_{kind} {total.get(kind, 0)} kills")
    print(f"torture.restarts {kills} starts")
    print(f"torture.records {total.get('oracle.submitted', 0)} results")
    print(f"torture.delivered_meanwhile {total.get('load.delivered', 0)} results")
    print(f"torture.tries {total.get('load.tries', 0)} tries")
    for name, parts in (("lost", LOST), ("doubled", DOUBLED), ("declared", ("declared", "unknown")),
                        ("oversize", ("oversize",)), ("undelivered", ("buffered",))):
        print(f"torture.{name} {sum(total.get('oracle.' + part, 0) for part in parts)} records")
    print(f"torture.time {time.monotonic() - began:.1f} s", flush=True)


def wrong(total, sound):
    """What of the figures is not as it must be."""
    found = [] if sound else ["the oracle found something"]
    found += [f"no {kind} was killed" for kind in KINDS if total[kind] == 0]
    for name in ("declared", "unknown", "buffered", "repeated"):
        if total[f"oracle.{name}"] != 0:
            found.append(f"oracle.{name} {total[f'oracle.{name}']}")
    if not total["oracle.submitted"] == total["oracle.answered"] == total["oracle.committed"] > 0:
        found.append("not all that was submitted is answered and committed")
    return found


def one_round(bin_dir, pki, wanted, seed, total):
    """False: something was wrong, and was told."""
    world = World(bin_dir, pki, GRACES)
    try:
        kills, load, oracle, sound = kill_and_judge(world, wanted, seed)
        add(total, kills)
        add(total, load)
        add(total, oracle)
        found = wrong(total, sound)
        for text in found:
            print(f"torture: {text}")
        if found:
            world.processes.tell()
        return not found
    except AssertionError as failure:
        print(f"torture: {failure}")
        world.processes.tell()
        return False
    finally:
        world.remove()


def main():
    bin_dir = pathlib.Path(os.environ["MUSTER_BIN"])
    kills = int(os.environ.get("MUSTER_TORTURE_KILLS") or 600)
    seed = os.environ.get("MUSTER_TORTURE_SEED") or str(secrets.randbelow(10**9))
    began = time.monotonic()
    print(f"torture: seed {seed}", flush=True)
    folder = pathlib.Path(tempfile.mkdtemp(prefix="muster-"))
    total, sound, done = {}, True, 0
    try:
        pki = Pki(folder / "pki")
        while sound and done < kills:
            wanted = min(ROUND, kills - done)
            sound = one_round(bin_dir, pki, wanted, f"{seed}/{done}", total)
            done += wanted
            print_figures(total, began)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if not sound:
        print(f"torture: failed, seed {seed}")
    return 0 if sound else 1


if __name__ == "__main__":
    sys.exit(main())
