# SPDX-License-Identifier: Apache-2.0
"""Applications and firmware: fetched in pieces, handed to an installer once, proved by what runs."""
import json
import os
import pathlib
import signal
import subprocess
import tarfile

import pytest

from one_terminal import OneTerminal
from processes import wait_for

SAMPLES = pathlib.Path(__file__).resolve().parents[2] / "packaging" / "sample"
IMAGE = os.urandom(1500000)  # in pieces: no blob holds it
HOOK = """#!/bin/sh
echo "$1 $2 $3" >>{folder}/calls
cmp -s "$4" {folder}/image || exit 1
read -r word <{folder}/line
echo "$3" >{folder}/running
"""
VERSION_HOOK = """#!/bin/sh
cat {folder}/running
"""
SETTINGS = "[install]\nhook = {folder}/hook\nversion_hook = {folder}/version-hook"


class World(OneTerminal):
    def __init__(self, *where):
        self.own = where[2] / "own"  # what is the terminal's own: its hooks, and what runs
        self.own.mkdir()
        super().__init__(*where, registry=SETTINGS.format(folder=self.own))
        os.mkfifo(self.own / "line")
        (self.own / "image").write_bytes(IMAGE)
        (self.own / "running").write_text("4.1.0\n")
        for name, text in (("hook", HOOK), ("version-hook", VERSION_HOOK)):
            (self.own / name).write_text(text.format(folder=self.own))
            (self.own / name).chmod(0o755)

    def calls(self):
        path = self.own / "calls"
        return path.read_text().splitlines() if path.exists() else []

    def item(self):
        items = self.terminal.status()["state"]["items"]
        return items[0] if items else {"state": "", "reason": ""}

    def told(self):
        return [event["text"] for event in
                self.fleet.json("describe", "device", "term-0001")["events"]
                if event["item"] == "os"]


@pytest.fixture
def world(bin_dir, processes, run_dir, broker, pki):
    return World(bin_dir, processes, run_dir, broker, pki)


def test_firmware_is_installed_once_though_the_agent_is_killed(world):
    said = world.fleet.publish("os", IMAGE, "firmware", "--package-version", "4.2.0",
                               "--model", "A920")
    assert "package     version 4.2.0, for model A920" in said
    assert "holds this content already" in world.fleet.publish(
        "os", IMAGE, "firmware", "--package-version", "4.2.0", "--model", "A920")
    (world.fleet.folder / "mended").write_bytes(IMAGE + b"!")
    mended = world.fleet.ctl("doc", "publish", "os", world.fleet.folder / "mended", "--kind",
                             "firmware", "--package-version", "4.2.0", "--release-key",
                             "keys/release.pem")
    assert mended.returncode != 0 and "is that of version 1, which has another" in mended.stderr
    world.fleet.ctl_ok("assign", "os", "--device", "term-0001", "--mode", "repair")
    world.terminal.start_agent()
    world.connect()
    wait_for(world.calls, what="the installer runs")
    wait_for(lambda: world.item()["reason"] == "it is being handed to the installer",
             what="status says so")
    assert world.item()["state"] == "placing"
    assert world.terminal.record(1).returncode == 0, "a sale goes on meanwhile"
    world.terminal.agent.popen.send_signal(signal.SIGKILL)
    world.terminal.agent.popen.wait()
    (world.own / "line").write_text("go\n")  # the installer itself was not killed
    wait_for(lambda: (world.own / "running").read_text() == "4.2.0\n", what="it has ended")
    world.terminal.start_agent()
    world.fleet.wait_converged()
    assert world.item()["state"] == "ok"
    assert world.calls() == ["firmware os 4.2.0"]
    wait_for(lambda: "4.2.0 runs" in world.told(), what="the fleet is told which version runs")
    assert "package      os: 4.2.0 runs" in world.terminal.muster("why").stdout


def test_what_runs_is_what_counts_where_it_is_only_proposed(world):
    """From the factory it runs: ops are asked nothing, until something else does."""
    (world.own / "running").write_text("4.2.0\n")
    world.fleet.publish("os", IMAGE, "firmware", "--package-version", "4.2.0", "--model", "A920")
    world.fleet.ctl_ok("assign", "os", "--device", "term-0001", "--mode", "propose")
    world.terminal.start_agent()
    world.connect()
    world.fleet.wait_converged()
    assert world.item()["state"] == "ok"
    assert world.fleet.json("get", "proposals")["proposals"] == []
    (world.own / "running").write_text("4.1.0\n")
    world.terminal.muster("selfcheck")
    wait_for(lambda: world.fleet.json("get", "proposals")["proposals"], what="ops are asked")
    asked, = world.fleet.json("get", "proposals")["proposals"]
    assert asked["reason"] == "4.1.0 runs, 4.2.0 is wanted; proposed to ops, not installed here"
    assert any("4.1.0 runs, 4.2.0 is wanted" in text for text in world.told())
    world.fleet.ctl_ok("propose", "refuse", "term-0001", "os", "--seen", asked["seen"])
    wait_for(lambda: world.item()["state"] == "drift", what="it is only observed")
    assert world.calls() == []
    assert not (world.terminal.registry / "current" / "os").exists()


def test_what_every_terminal_would_refuse_is_not_published(world):
    source = world.fleet.folder / "source"
    keys = (SAMPLES / "tables" / "capk.tsv").read_text()
    for content, more, why in (
            (keys, ["--kind", "ca-keys"], None),
            (keys.replace("03\tC696", "03\tC697", 1), ["--kind", "ca-keys"],
             "row 2: sha1 is not that of its RID, index, modulus and exponent"),
            ("a\tb\n1\n", ["--kind", "table"], "row 2: 1 columns, the header has 2"),
            ("code\tgroup\n57\tcard\n", ["--kind", "code-profile"], "\"meaning\""),
            ("a = 1\na = 2\n", ["--kind", "params"], "row 2: a is in row 1 already"),
            ("aid\nA00\n", ["--kind", "aid-list"], "row 2, column 1: aid is not 5 to 16 bytes"),
            ("image", ["--kind", "firmware"], "--package-version is missing"),
            ("image", ["--kind", "firmware", "--package-version", "4 2"], "its package version"),
            ("a\tb\n1\t2\n", ["--kind", "table", "--package-version", "4"],
             "only an application or firmware has a package version")):
        source.write_text(content)
        done = world.fleet.ctl("doc", "publish", f"doc-{len(more)}-{len(content)}", source,
                               "--release-key", "keys/release.pem", *more)
        assert (done.returncode == 0) == (why is None), done.stderr
        assert why is None or why in done.stderr


# ---- the samples ----

FAKE = """#!/bin/sh
echo "${{0##*/}} $*" >>{folder}/calls
echo "noise on the line"
[ ! -e {folder}/broken ] || {{ cat {folder}/broken; exit 1; }}
"""


@pytest.fixture
def hook(run_dir):
    """Runs a sample as the agent would, beside installers that only say what they were called with."""
    for name in ("rauc", "swupdate-client"):
        (run_dir / name).write_text(FAKE.format(folder=run_dir))
        (run_dir / name).chmod(0o755)

    def run(name, *args, root=None):
        script = (SAMPLES / name).read_text()
        if root is not None:
            assert "root=/opt/payment\n" in script
            script = script.replace("root=/opt/payment\n", f"root={root}\n")
        (run_dir / "sample").write_text(script)
        (run_dir / "sample").chmod(0o755)
        return subprocess.run([run_dir / "sample", *args], capture_output=True, text=True, cwd="/",
                              env={"PATH": f"{run_dir}:/usr/bin:/bin"}, check=False)
    return run


def test_sample_hooks_hand_the_package_on(hook, run_dir):
    package = ("firmware", "os", "4.2.0", "/state/install/os")
    assert hook("install-rauc", *package).returncode == 0
    assert hook("install-swupdate", *package).returncode == 0
    assert (run_dir / "calls").read_text().splitlines() == [
        "rauc install /state/install/os", "swupdate-client /state/install/os"]
    done = hook("install-rauc", "application", *package[1:])
    assert done.returncode == 1 and "firmware here" in done.stdout
    for name, said, first in (
            ("install-rauc", "it said why\n", "rauc: it said why\n"),
            ("install-rauc", "LastError: no slot\nInstalling failed\n", "rauc: LastError: no slot\n"),
            ("install-swupdate", "it said why\n", "swupdate: it said why\n")):
        (run_dir / "broken").write_text(said)
        done = hook(name, *package)
        assert (done.returncode, done.stdout) == (1, first)


def test_the_sample_installer_puts_a_whole_version_in_place(hook, run_dir):
    root = run_dir / "opt"
    root.mkdir()
    for version in ("1.0", "1.1", "1.1"):
        (run_dir / "app").write_text(f"this is {version}")
        with tarfile.open(run_dir / "package", "w") as archive:
            archive.add(run_dir / "app", "app")
        (root / "versions" / f"{version}.part").mkdir(parents=True, exist_ok=True)  # of a cut before
        done = hook("install-own", "application", "till", version, str(run_dir / "package"),
                    root=root)
        assert done.returncode == 0, done.stdout + done.stderr
        assert (root / "current" / "app").read_text() == f"this is {version}"
        assert (root / "current" / "VERSION").read_text() == f"{version}\n"
    (run_dir / "package").write_bytes(b"no archive")
    done = hook("install-own", "application", "till", "1.2", str(run_dir / "package"), root=root)
    assert done.returncode == 1 and done.stdout.startswith("tar: ")
    assert (root / "current" / "VERSION").read_text() == "1.1\n"
    assert sorted(path.name for path in (root / "versions").iterdir()) == ["1.0", "1.1"]
    assert hook("install-own", "firmware", "os", "1", "x", root=root).returncode == 1


def test_the_sample_version_hook_says_what_runs(hook):
    done = hook("version-hook", "firmware", "os")
    said = subprocess.run(["sh", "-c", ". /etc/os-release; echo $VERSION_ID"], check=True,
                          capture_output=True, text=True).stdout
    assert (done.returncode, done.stdout) == (0, said)
    assert hook("version-hook", "table", "x").returncode == 1


def test_a_restart_and_the_installer_wait_for_each_other(bin_dir, processes, run_dir, broker, pki):
    world = World(bin_dir, processes, run_dir, broker, pki)
    (world.own / "reboot").write_text(f"#!/bin/sh\necho reboot >>{world.own}/calls\n")
    (world.own / "reboot").chmod(0o755)
    (world.own / "helper.conf").write_text(
        f"[helper]\nsocket = {world.own}/helper.sock\n[verbs]\nreboot = {world.own}/reboot\n")
    processes.start("helper", [bin_dir / "muster-helper", "--config", world.own / "helper.conf"],
                    cwd=world.own).wait_line("ready")
    with open(world.terminal.folder / "agent.conf", "a", encoding="utf-8") as settings:
        settings.write(f"\n[helper]\nsocket = {world.own}/helper.sock\n")
    world.fleet.publish("os", IMAGE, "firmware", "--package-version", "4.2.0")
    world.fleet.ctl_ok("assign", "os", "--device", "term-0001", "--mode", "repair")
    world.terminal.start_agent()
    world.connect()
    wait_for(world.calls, what="the installer runs")
    world.fleet.ctl_ok("action", "term-0001", "reboot")

    def waits():
        return [action for action in world.terminal.status()["actions"]
                if action["text"] == "the installer"]
    wait_for(waits, what="the restart waits for the installer")
    planned = json.loads(world.terminal.muster("plan", "-o", "json").stdout)["items"][0]
    assert (planned["running_package"], planned["wanted_package"]) == ("4.1.0", "4.2.0")
    assert "reboot" not in world.calls()
    (world.own / "line").write_text("go\n")
    wait_for(lambda: "reboot" in world.calls(), what="the terminal is restarted after it")
    assert world.calls() == ["firmware os 4.2.0", "reboot"]
    # The restart is under way: what comes now waits for its end.
    world.fleet.publish("os", IMAGE + b"!", "firmware", "--package-version", "4.3.0")
    world.fleet.ctl_ok("assign", "os", "--device", "term-0001", "--mode", "repair")
    wait_for(lambda: world.item()["reason"] == "it waits for the end of the restart",
             what="the next package waits for the restart")
    assert world.calls() == ["firmware os 4.2.0", "reboot"]
