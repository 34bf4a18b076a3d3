# SPDX-License-Identifier: Apache-2.0
"""Disk pressure: the broker is away, the load goes on, spools run full and give records up, and
agents are killed amid that; then the broker is back, and everything is killed while declarations
and records are on their way. In the end every result is committed or declared lost, and the fleet
says the same as the oracle."""
import contextlib
import sys
import threading

from killers import SPAWNED, Killer, Tally, run
from scene import play_alone
from torture import killers
from victims import results_of, tell_audit, tell_oracle

KILLS = 40  # before the broker is back, and after
CLIENTS = 6  # of each terminal
RESULTS = 12000  # of one client at the most
SPOOLS = [{"grace": "0ms", "quota": "4M", "txn_quota": "48K"},
          {"grace": "1h", "quota": "4M", "txn_quota": "64K"},
          {"grace": "10s", "quota": "4M"}]  # all of it


def agents_only(world, tally, seed):
    return [Killer(tally, f"{seed}/{number}", [(one.agent,)],
                   [(one.agent, SPAWNED), (one.agent, "ready"), (one.agent, "ready")])
            for number, one in enumerate(world.terminals)]


class Sizes(threading.Thread):
    """The most bytes that each spool was seen to take at any moment."""

    def __init__(self, terminals):
        super().__init__(daemon=True)
        self.folders = {one.device: one.folder / "state" for one in terminals}
        self.most = {}
        self.end = threading.Event()

    def run(self):
        while not self.end.wait(0.02):
            for device, folder in self.folders.items():
                self.most[device] = max(self.most.get(device, 0), size_of(folder))


def size_of(folder):
    total = 0
    for file in folder.glob("spool.db*"):
        with contextlib.suppress(FileNotFoundError):  # the ballast comes and goes
            total += file.stat().st_size
    return total


def press(world, seed):
    sizes = Sizes(world.terminals)
    sizes.start()
    try:
        return under_pressure(world, seed) + [
            f"{one.device} took {sizes.most[one.device]} bytes, quota {one.quota_bytes}"
            for one in world.terminals if sizes.most[one.device] > one.quota_bytes]
    finally:
        sizes.end.set()
        print(f"pressure.most_bytes {max(sizes.most.values(), default=0)} B")


def under_pressure(world, seed):
    world.wait_welcomed()
    world.broker.kill()
    tally = Tally(KILLS)
    world.start_load(seed, RESULTS, pace_ms=0, clients=CLIENTS)
    run(agents_only(world, tally, seed), tally)
    world.wait_status(lambda status: status["lost_records"] > 0, "gives records up")
    world.broker.start()
    tally = Tally(2 * KILLS, tally.kills)
    run(killers(world, tally, f"{seed}/all"), tally)
    world.stop_load()
    world.wait_drained()
    audit = world.audit()
    world.stop()
    oracle, sound = world.ask_oracle()
    print(f"pressure.kills {sum(tally.kills.values())} kills")
    tell_oracle("pressure", oracle)
    found = tell_audit("pressure", audit) + ([] if sound else ["the oracle found something"])
    if oracle["oracle.declared"] == 0:
        found.append("nothing was given up: that was no pressure")
    if oracle["oracle.unknown"] + oracle["oracle.buffered"] > 0:
        found.append("something is unknown, or still buffered")
    if results_of(audit, "lost") != oracle["oracle.declared"]:
        found.append(f"the fleet says that {results_of(audit, 'lost')} results are lost")
    return found


if __name__ == "__main__":
    sys.exit(play_alone("pressure", SPOOLS, press))
