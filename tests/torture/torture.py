# SPDX-License-Identifier: Apache-2.0
"""kill -9 of agents, links, musterd and the broker at random moments under load.

MUSTER_TORTURE_KILLS=N  how many (220); in rounds of at most ROUND, each in a world of its own
MUSTER_TORTURE_SEED=S   the choices (their timing is the machine's)

Every process that was killed is started again at once, under load all the time. When a round's
kills are done, the load ends, everything drains, and the oracle judges by the databases' files.
"""
import os
import random
import sys
import time

from killers import AGED, SPAWNED, Killer, Tally, run
from scene import pki, play, seed_of
from victims import tell_oracle

ROUND = 1000
SPOOLS = [{"grace": grace} for grace in ("0ms", "0ms", "10s", "1h")]
PACE_MS = 40
RESULTS = 60000  # of one client in one round at the most
AGED_ONE_IN = 20
KINDS = ("agent", "link", "musterd", "broker")


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


def one_round(world, wanted, seed, total):
    """Adds the figures to `total`; what is wrong."""
    tally = Tally(wanted)
    world.start_load(random.Random(seed).randrange(1 << 32), RESULTS, PACE_MS)
    run(killers(world, tally, seed), tally)
    meanwhile = world.fleet.results()
    load = world.stop_load()
    world.wait_drained()
    audit = world.audit()
    world.stop()
    oracle, sound = world.ask_oracle()
    sums = {f"audit.{word}": sum(one[word] for one in audit.values())
            for word in ("unaccounted", "open_streams", "closed_streams")}
    for figures in (tally.kills, load, oracle, sums, {"load.delivered": meanwhile}):
        add(total, figures)
    return wrong(total, sound)


def add(total, figures):
    for name, value in figures.items():
        total[name] = total.get(name, 0) + value


def print_figures(total, began):
    kills = sum(total.get(kind, 0) for kind in KINDS)
    print(f"torture.kills {kills} kills")
    for kind in KINDS:
        print(f"torture.kills_{kind} {total.get(kind, 0)} kills")
    print(f"torture.restarts {kills} starts")
    print(f"torture.tries {total.get('load.tries', 0)} tries")
    print(f"torture.delivered_meanwhile {total.get('load.delivered', 0)} results")
    tell_oracle("torture", total)
    print(f"torture.unaccounted {total.get('audit.unaccounted', 0)} records")
    for word in ("open_streams", "closed_streams"):
        print(f"torture.{word} {total.get('audit.' + word, 0)} streams")
    print(f"torture.time {time.monotonic() - began:.1f} s", flush=True)


def wrong(total, sound):
    """What of the figures is not as it must be."""
    found = [] if sound else ["the oracle found something"]
    found += [f"no {kind} was killed" for kind in KINDS if total.get(kind, 0) == 0]
    for name in ("oracle.declared", "oracle.unknown", "oracle.buffered", "oracle.repeated",
                 "audit.unaccounted"):
        if total[name] != 0:
            found.append(f"{name} {total[name]}")
    if not total["oracle.submitted"] == total["oracle.answered"] == total["oracle.committed"] > 0:
        found.append("not all that was submitted is answered and committed")
    return found


def main():
    kills = int(os.environ.get("MUSTER_TORTURE_KILLS") or 220)
    began = time.monotonic()
    seed = seed_of("torture")
    total, sound, done = {}, True, 0
    with pki() as authority:
        while sound and done < kills:
            wanted = min(ROUND, kills - done)

            def part(world, name=f"{seed}/{done}", number=wanted):
                return one_round(world, number, name, total)
            sound = play("torture", authority, SPOOLS, part)
            done += wanted
            print_figures(total, began)
    if not sound:
        print(f"torture: failed, seed {seed}")
    return 0 if sound else 1


if __name__ == "__main__":
    sys.exit(main())
