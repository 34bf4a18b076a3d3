# SPDX-License-Identifier: Apache-2.0
"""What `cmake --install` puts in place is whole: programs run, and a till builds against libmuster."""
import pathlib
import subprocess

import pytest

from fleet_side import FleetSide
from terminal import Terminal

HERE = pathlib.Path(__file__).parent


def run(*argv, **options):
    done = subprocess.run([str(arg) for arg in argv], capture_output=True, text=True, timeout=120,
                          check=False, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def prefix(bin_dir, run_dir):
    run("cmake", "--install", bin_dir.parent, "--prefix", run_dir / "usr")
    return run_dir / "usr"


def library(prefix):
    return next(prefix.glob("lib/**/libmuster.so"))


def build_till(prefix, to):
    """With the sanitizers that the library was built with: their runtime must come first."""
    needed = run("readelf", "-d", library(prefix))
    sanitizers = ["-fsanitize=address,undefined"] if "libasan" in needed else []
    run("cc", "-std=c17", "-Wall", "-Werror", *sanitizers, "-I", prefix / "include",
        HERE / "till.c", "-o", to, "-L", library(prefix).parent, "-lmuster",
        f"-Wl,-rpath,{library(prefix).parent}")
    return to


def test_a_till_built_against_the_installed_library_hands_over_a_result(
        prefix, bin_dir, processes, run_dir):
    till = build_till(prefix, run_dir / "till")
    fleet = FleetSide(bin_dir, processes, run_dir / "fleet")
    terminal = Terminal(bin_dir, processes, run_dir / "term", "term-0001", fleet.root)
    terminal.make_key()
    told = subprocess.run([till, terminal.socket], capture_output=True, text=True, timeout=60,
                          check=False)
    assert told.returncode == 1 and str(terminal.socket) in told.stdout, "no agent: told at once"
    terminal.start_agent()
    assert run(till, terminal.socket) == "leased, stored\n"
    assert terminal.status()["health"]["spool_records"] >= 1


def test_the_library_exports_libmuster_alone(prefix):
    names = run("nm", "-D", "--defined-only", library(prefix)).split()
    exported = {name.split("@")[0] for name in names if name.startswith("muster_")}
    assert exported == {"muster_client_open", "muster_client_close", "muster_record",
                        "muster_lease_begin", "muster_lease_end", "muster_lease_set"}
    assert not any(name.startswith(("muster__", "pack", "buf_")) for name in names)


@pytest.mark.parametrize("program", ["muster-agent", "muster-link", "muster",
                                     "muster-keys-pkcs11", "musterd", "musterctl"])
def test_installed_programs_run(prefix, program):
    assert "usage" in run(prefix / "bin" / program, "--help").lower()
