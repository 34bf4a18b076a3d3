# SPDX-License-Identifier: Apache-2.0
"""What scenario tests share: where the programs are, a PKI, brokers, processes that always end."""
import os
import pathlib
import shutil
import tempfile

import pytest

from broker import Broker
from link_bench import Bench
from ops import Ops
from pki import Pki
from processes import Processes
from terminal import Terminal


def pytest_addoption(parser):
    parser.addoption("--part", default="1/1", help="only a part of the tests: 2/3 is the second of"
                     " three, of which each has every third test")


def pytest_collection_modifyitems(config, items):
    part, parts = (int(number) for number in config.getoption("--part").split("/"))
    assert 1 <= part <= parts
    items[:] = items[part - 1::parts]


@pytest.fixture(scope="session")
def bin_dir():
    folder = os.environ.get("MUSTER_BIN")
    assert folder, "MUSTER_BIN must name the folder with the programs"
    return pathlib.Path(folder)


@pytest.fixture
def run_dir():
    """A folder of its own with a short name: unix socket paths end at 107 characters."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="muster-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def session_dir():
    folder = pathlib.Path(tempfile.mkdtemp(prefix="muster-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def pki(session_dir):
    return Pki(session_dir / "pki")


@pytest.fixture
def processes(request):
    started = Processes()
    request.node.muster_processes = started
    yield started
    started.end()


@pytest.fixture
def make_broker(processes, pki, run_dir):
    """make_broker(persistence=..., names=..., extra=...) gives a running broker."""
    def make(**options):
        folder = run_dir / f"broker-{len(processes.all)}"
        folder.mkdir()
        return Broker(processes, options.pop("pki", pki), folder, **options).start()
    return make


@pytest.fixture
def broker(make_broker):
    return make_broker()


@pytest.fixture
def make_bench(bin_dir, processes, pki, run_dir):
    """make_bench() for each agent and link beside others."""
    made = []

    def make():
        folder = run_dir / f"bench-{len(made)}"
        folder.mkdir()
        made.append(Bench(bin_dir, processes, pki, folder))
        return made[-1]
    yield make
    for bench in made:
        bench.agent.close()


@pytest.fixture
def bench(make_bench):
    return make_bench()


@pytest.fixture
def ops(bin_dir, processes, pki, broker, run_dir):
    """A musterd with its keys, connected, and a musterctl beside it."""
    ops = Ops(bin_dir, processes, run_dir / "ops")
    ops.start(broker, pki).wait_line("connected to")
    return ops


@pytest.fixture
def make_terminal(ops, bin_dir, processes, run_dir, broker, pki):
    """make_terminal(name) gives a terminal that is enrolled and connected."""
    def make(name="term-1", **options):
        terminal = Terminal(bin_dir, processes, run_dir / name, name, ops.root, **options)
        ops.enrol(terminal)
        terminal.start_agent()
        terminal.start_link(broker, pki)
        terminal.wait_connected()
        return terminal
    return make


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    if report.failed and hasattr(item, "muster_processes"):
        for process in item.muster_processes.all:
            state = "running" if process.running() else f"ended {process.popen.returncode}"
            report.sections.append((f"log of {process.name} {process.pid} ({state})",
                                    process.log()[-8000:]))
