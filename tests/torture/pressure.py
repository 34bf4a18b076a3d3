# SPDX-License-Identifier: Apache-2.0
"""Disk pressure: the broker is away, the load goes on, spools run full and give records up, and
agents are killed amid that. In the end every result is committed or declared lost, and the fleet
says the same as the oracle."""
import sys

from killers import SPAWNED, Killer, Tally, run
from scene import play_alone
from victims import results_of, tell_audit, tell_oracle

KILLS = 60
CLIENTS = 6  # of each terminal
RESULTS = 12000  # of one client at the most
SPOOLS = [{"grace": "0ms", "quota": "4M", "txn_quota": "48K"},
          {"grace": "1h", "quota": "4M", "txn_quota": "64K"},
          {"grace": "10s", "quota": "4M"}]  # all of it


def agents_only(world, tally, seed):
    return [Killer(tally, f"{seed}/{number}", [(one.agent,)],
                   [(one.agent, SPAWNED), (one.agent, "ready"), (one.agent, "ready")])
            for number, one in enumerate(world.terminals)]


def press(world, seed):
    """Everything drains before and after, so that what is given up is what the pressure took."""
    world.wait_welcomed()
    world.broker.kill()
    tally = Tally(KILLS)
    world.start_load(seed, RESULTS, pace_ms=0, clients=CLIENTS)
    run(agents_only(world, tally, seed), tally)
    world.wait_status(lambda status: status["lost_records"] > 0, "gives records up")
    world.stop_load()
    world.broker.start()
    world.wait_drained()
    audit = world.audit()
    world.stop()
    oracle, sound = world.ask_oracle()
    print(f"pressure.kills {tally.kills['agent']} kills")
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
