# SPDX-License-Identifier: Apache-2.0
"""What no fsync helps against: a spool that is destroyed, damaged, replaced by an older copy or by
another terminal's, and a fleet database that is restored from a backup. Nothing is counted twice,
and what is gone is bounded and said by both sides."""
import shutil
import sys

from processes import wait_for
from scene import play_alone
from victims import results_of, tell_audit, tell_oracle

SPOOLS = [{"grace": "1h"}] * 5 + [{"grace": "0ms"}]
RESULTS = 150  # of each terminal between two disasters


def spool_files(terminal):
    return sorted((terminal.folder / "state").glob("spool.db*"))


def copy_files(files, folder):
    folder.mkdir(exist_ok=True)
    for file in files:
        shutil.copy2(file, folder)


def destroyed(terminal):
    """All but the chain."""
    terminal.agent.kill()
    for file in spool_files(terminal):
        if not file.name.endswith(".chain"):
            file.unlink()
    terminal.agent.start()


def damaged(terminal):
    """The first pages are no database's any more; the records behind them are."""
    terminal.agent.kill()
    path = terminal.folder / "state" / "spool.db"
    with open(path, "r+b") as file:
        file.write(b"\xa5" * 4096)
    terminal.agent.start()


def keep_copy(world, terminal):
    terminal.agent.stop()
    copy_files([file for file in spool_files(terminal) if not file.name.endswith(".chain")],
               world.folder / f"copy-{terminal.device}")
    terminal.agent.start()


def set_back(world, terminal):
    """The older copy takes the place of what has grown meanwhile; the chain stays."""
    terminal.agent.kill()
    for file in spool_files(terminal):
        if not file.name.endswith(".chain"):
            file.unlink()
    copy_files((world.folder / f"copy-{terminal.device}").iterdir(), terminal.folder / "state")
    terminal.agent.start()


def cloned(terminal, original):
    """A disk image of one terminal is put into another that was never used."""
    terminal.agent.stop()
    original.agent.stop()
    shutil.rmtree(terminal.folder / "state")
    copy_files(spool_files(original), terminal.folder / "state")
    original.agent.start()
    terminal.agent.start()


def keep_backup(world):
    world.musterd.stop()
    copy_files(world.fleet.folder.glob("fleet.db*"), world.folder / "backup")
    world.musterd.start()


def restore_backup(world):
    """The terminals connect anew, as they would sooner or later."""
    world.musterd.kill()
    for file in world.fleet.folder.glob("fleet.db*"):
        file.unlink()
    copy_files((world.folder / "backup").iterdir(), world.fleet.folder)
    world.broker.kill()
    world.broker.start()
    world.musterd.start()


def wait_told_again(world):
    """The fleet knows as many results as were ever answered, whatever became of them."""
    answered = world.answered()

    def told():
        audit = world.audit()
        return all(results_of({device: audit[device]}, "submitted") >= answered[device]
                   for device in answered)
    wait_for(told, 90.0, "the fleet is told again what it has lost")


def suffer(world, seed):
    broken, spoiled, older, clone, plain, forgetful = world.terminals
    found = []
    world.wait_welcomed()
    cloned(clone, plain)
    keep_copy(world, older)
    world.load_some(int(seed) + 1, RESULTS)
    world.broker.kill()
    world.load_some(int(seed) + 2, RESULTS)
    destroyed(broken)
    damaged(spoiled)
    set_back(world, older)
    world.load_some(int(seed) + 3, RESULTS)
    world.broker.start()
    world.wait_drained()
    found += tell_audit("disaster", world.audit())
    keep_backup(world)
    world.load_some(int(seed) + 4, RESULTS)
    world.wait_drained()
    wait_for(lambda: world.status(forgetful).get("kept_records") == 0, 60.0,
             "what is receipted is forgotten")
    restore_backup(world)
    wait_told_again(world)
    world.wait_drained()
    audit, answered = world.audit(), world.answered()
    world.stop()
    oracle, sound = world.ask_oracle()
    tell_oracle("disaster", oracle)
    found += tell_audit("disaster", audit) + ([] if sound else ["the oracle found something"])
    for one in (broken, older):
        unknown = results_of({one.device: audit[one.device]}, "unknown")
        # Of each incarnation at most as many as it has given, and 64.
        if not 0 < unknown <= answered[one.device] + 64:
            found.append(f"{one.device} has an unknown tail of {unknown} results")
    given_up = sum(results_of({spoiled.device: audit[spoiled.device]}, why)
                   for why in ("lost", "unknown"))
    if given_up > RESULTS:
        found.append(f"{spoiled.device} salvaged all but {given_up} results")
    found += [f"{one.device} says of losses" for one in (clone, plain)
              if audit[one.device]["lost"] + audit[one.device]["unknown"] > 0]
    forgotten = audit[forgetful.device]["lost_by_reason"]["forgotten"]
    if forgotten < RESULTS:
        found.append(f"{forgetful.device} says of {forgotten} forgotten records")
    return found


if __name__ == "__main__":
    sys.exit(play_alone("disaster", SPOOLS, suffer))
