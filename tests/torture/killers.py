# SPDX-License-Identifier: Apache-2.0
"""When and what to kill: random, from a seed."""
import math
import random
import threading
import time
import traceback

SHORTEST_MS, LONGEST_MS = 1, 300
SPAWNED, AGED = "spawned", "aged"  # moments that no line tells
AGED_S = 10.0  # when an agent first removes what it need not keep
EVENT_LIMIT_S = 4.0  # an event that a kill elsewhere has put off is not waited for longer


class Killer(threading.Thread):
    """Kills one of its choices after the other, each a tuple of victims, until there were kills
    enough. A moment is a victim and a line of its log, SPAWNED or AGED."""

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
    def __init__(self, wanted, kills=None):
        self.wanted = wanted
        self.kills = dict(kills or {})
        self.enough = threading.Event()
        self.lock = threading.Lock()
        self.failure = None

    def count(self, victims):
        with self.lock:
            for victim in victims:
                self.kills[victim.kind] = self.kills.get(victim.kind, 0) + 1
            if sum(self.kills.values()) >= self.wanted:
                self.enough.set()

    def fail(self, text):
        with self.lock:
            self.failure = self.failure or text
        self.enough.set()


def run(workers, tally):
    """Until there were kills enough; raises what went wrong."""
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    if tally.failure:
        raise AssertionError(tally.failure)
