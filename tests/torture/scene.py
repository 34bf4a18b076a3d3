# SPDX-License-Identifier: Apache-2.0
"""What every program here does around its own part: a seed, a PKI, a world, figures, a clean end."""
import contextlib
import os
import pathlib
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from pki import Pki
from victims import World


def seed_of(name):
    """MUSTER_TORTURE_SEED, or a new one; it is told."""
    seed = os.environ.get("MUSTER_TORTURE_SEED") or str(secrets.randbelow(10**9))
    print(f"{name}: seed {seed}", flush=True)
    return seed


@contextlib.contextmanager
def pki():
    folder = pathlib.Path(tempfile.mkdtemp(prefix="muster-"))
    try:
        yield Pki(folder / "pki")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def failures_of(world, part):
    try:
        world.start()
        return part(world)
    except (AssertionError, subprocess.TimeoutExpired) as failure:
        return [str(failure)]


def play(name, authority, spools, part):
    """part(world) gives what is wrong, as a list of texts. False: something is, and was told."""
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))  # ends in order too
    world = World(pathlib.Path(os.environ["MUSTER_BIN"]), authority, spools)
    try:
        found = failures_of(world, part)
        for text in found:
            print(f"{name}: {text}")
        if found:
            world.processes.tell()
        return not found
    finally:
        world.remove()


def play_alone(name, spools, part):
    """One world, one seed: the exit code."""
    began = time.monotonic()
    seed = seed_of(name)
    with pki() as authority:
        sound = play(name, authority, spools, lambda world: part(world, seed))
    print(f"{name}.time {time.monotonic() - began:.1f} s")
    if not sound:
        print(f"{name}: failed, seed {seed}")
    return 0 if sound else 1
