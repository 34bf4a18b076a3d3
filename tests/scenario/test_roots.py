# SPDX-License-Identifier: Apache-2.0
"""Roots that follow each other, on real processes: keys replaced while terminals run or are away."""
import json
import subprocess

import fleet_side
import pytest

from ops import Ops
from processes import wait_for
from terminal import Terminal

TABLE = b"prefix\tissuer\n622000\tbank\n"
DIRECTORS = "keys/director.pem, director-2.pem"


class World:
    """A fleet whose musterd holds the director's next key already, and one terminal."""

    def __init__(self, bin_dir, processes, run_dir, broker, pki):
        self.broker, self.pki = broker, pki
        self.fleet = Ops(bin_dir, processes, run_dir / "fleet")
        self.fleet.ctl_ok("keys", "new", "director-2.pem", "--public", "director-2.pub")
        self.fleet.start(broker, pki)
        self.terminal = Terminal(bin_dir, processes, run_dir / "term", "term-0001", self.fleet.root)
        self.fleet.enrol(self.terminal)
        self.terminal.start_agent()
        self.terminal.start_link(broker, pki)
        self.fleet.publish("bins", TABLE)
        self.fleet.ctl_ok("assign", "bins", "--device", "term-0001", "--mode", "repair")
        self.fleet.wait_converged()

    def root(self, before, name, *change):
        """The root after `before`, signed by both sides' keepers."""
        self.fleet.ctl_ok("keys", "rotate", before, name, *change)
        self.fleet.ctl_ok("keys", "sign", name, "--previous", before, "--key", "keys/root.pem")
        return name

    def replace_director(self, before="keys/root.bin", name="root-2.bin", *more):
        return self.root(before, name, "--add", "director=director-2.pub", "--remove",
                         "director=keys/director.pem", *more)

    def manifest(self):
        return self.fleet.query("SELECT epoch, version, root_version FROM manifest")[0]

    def kept_roots(self):
        """Those that came after the installed one, of which a copy lies there too."""
        folder = self.terminal.registry / "roots"
        return sorted(path.name for path in folder.glob("[0-9]*"))


@pytest.fixture
def world(bin_dir, processes, run_dir, broker, pki, monkeypatch):
    monkeypatch.setattr(fleet_side, "CONFIG",
                        fleet_side.CONFIG.replace("keys/director.pem", DIRECTORS))
    return World(bin_dir, processes, run_dir, broker, pki)


def held_version(terminal):
    return int(terminal.status()["state"].get("manifest_version", 0))


def test_a_director_is_replaced_while_terminals_run(world):
    assert world.manifest() == (1, 1, 1)
    root = world.replace_director()
    world.fleet.ctl_ok("root", "publish", root, "--dry-run")
    assert world.fleet.json("get", "roots")["roots"][-1]["version"] == 1
    world.fleet.ctl_ok("root", "publish", root)
    world.terminal.agent.wait_line("trust root 2 is in force")
    wait_for(lambda: world.manifest() == (1, 2, 2), what="the manifest is signed again")
    wait_for(lambda: held_version(world.terminal) == 2, what="the new director is believed")
    assert world.kept_roots() == ["2"]
    world.fleet.wait_converged()
    # And it holds after both have been started again.
    world.fleet.process.stop()
    world.fleet.start(world.broker, world.pki)
    world.terminal.agent.stop()
    world.terminal.start_agent()
    world.fleet.publish("bins", TABLE + b"622001\tother\n")
    world.fleet.ctl_ok("assign", "bins", "--device", "term-0001", "--mode", "repair")
    wait_for(lambda: held_version(world.terminal) == 3, what="it is followed after a restart")
    assert "was published before" in world.fleet.ctl_ok("root", "publish", root)


def test_two_rotations_are_caught_up_with_from_the_broker_alone(world):
    world.terminal.agent.stop()
    world.fleet.ctl_ok("root", "publish", world.root("keys/root.bin", "root-2.bin"))
    world.fleet.ctl_ok("root", "publish", world.replace_director("root-2.bin", "root-3.bin"))
    wait_for(lambda: world.manifest()[2] == 3, what="the manifest is signed again")
    topics = world.broker.subscribe("muster/v1/#")
    topics.wait_line("muster/v1/trust/3")
    (newest,) = world.fleet.query("SELECT lower(hex(envelope)) FROM manifest")[0]
    topics.wait_line(f"muster/v1/down/term-0001/manifest {newest}")
    version = world.manifest()[1]
    world.fleet.process.stop()
    world.terminal.start_agent()
    world.terminal.agent.wait_line("trust root 3 is in force")
    wait_for(lambda: held_version(world.terminal) == version,
             what="the manifest that came before its root is taken after all")
    assert world.kept_roots() == ["2", "3"]
    assert world.terminal.status()["trust"]["refused"] == 0, "it was early, and nobody's forgery"


def test_a_raised_epoch_waits_for_documents_and_then_goes_on(world):
    world.fleet.add_device("term-0002", "00000002")
    world.fleet.publish("aids", TABLE)
    world.fleet.ctl_ok("assign", "aids", "--device", "term-0002", "--mode", "repair")
    root = world.replace_director("keys/root.bin", "root-2.bin", "--raise-epoch")
    world.fleet.ctl_ok("root", "publish", root)
    world.terminal.agent.wait_line("trust root 2 is in force")
    wait_for(lambda: world.fleet.json("get", "roots")["devices_waiting"] == 2,
             what="it is told which documents must be signed again")
    world.fleet.ctl_ok("unassign", "aids", "--device", "term-0002")
    wait_for(lambda: world.fleet.json("get", "roots")["devices_waiting"] == 1,
             what="who is assigned nothing waits for nothing")
    # One that waits is no reason to give the others no file.
    file = world.fleet.folder / "state.bundle"
    wait_for(lambda: len(world.fleet.query("SELECT 1 FROM manifest WHERE epoch = 2")) == 1,
             what="a manifest of the new epoch")
    done = world.fleet.ctl("bundle", file, "--all", "-o", "json")
    made = json.loads(done.stdout)
    assert done.returncode == 1 and made["devices"] == 1 and file.exists()
    assert [row["id"] for row in made["waiting"]] == ["term-0001"]
    assert "1 device is left out, beginning with term-0001" in done.stderr
    world.fleet.fails(3, "bundle", file, "--device", "term-0001")
    assert world.manifest() == (1, 1, 1)
    assert "bins" in world.fleet.ctl_ok("get", "roots")
    assert (world.terminal.registry / "current" / "bins").read_bytes() == TABLE
    world.fleet.publish("bins", TABLE)
    wait_for(lambda: world.manifest()[::2] == (2, 2), what="the manifest of the new epoch")
    wait_for(lambda: held_version(world.terminal) == world.manifest()[1], what="it is taken")
    assert (world.terminal.registry / "current" / "bins").read_bytes() == TABLE


def test_a_fleet_whose_root_keys_are_gone_begins_again(world, bin_dir, monkeypatch):
    """Above all that terminals have seen: by hand on each, and then everything is signed again."""
    fleet, terminal, config = world.fleet, world.terminal, fleet_side.CONFIG
    fleet.ctl_ok("keys", "make", "low", "--version", "2", "--epoch", "1")
    fleet.ctl_ok("keys", "make", "new", "--version", "2", "--epoch", "2")
    assert "--begin" in fleet.fails(2, "keys", "sign", "new/root.bin", "--key", "new/root.pem")
    fleet.ctl_ok("keys", "check", "new/root.bin", "--begin")

    def begin(folder):
        monkeypatch.setattr(fleet_side, "CONFIG", config.replace(
            DIRECTORS, "keys/director.pem").replace("keys/", f"{folder}/"))
        fleet.write_config(world.broker, world.pki)
        return subprocess.run([bin_dir / "musterd", "--config", fleet.folder / "musterd.conf",
                               "--begin-roots"], capture_output=True, text=True, check=False)

    assert "another process" in begin("new").stderr
    fleet.process.stop()
    done = begin("low")
    assert done.returncode == 3 and "--version 2 --epoch 2" in done.stderr
    assert begin("new").returncode == 0
    terminal.agent.stop()
    settings = terminal.folder / "agent.conf"
    settings.write_text(settings.read_text().replace(str(fleet.root),
                                                     str(fleet.folder / "new" / "root.bin")))
    terminal.start_agent()
    fleet.start(world.broker, world.pki)
    assert (terminal.registry / "current" / "bins").read_bytes() == TABLE
    fleet.ctl_ok("doc", "resign", "--root", "new/root.bin", "--previous", "keys/root.bin", "--key",
                 "new/release.pem")
    wait_for(lambda: world.manifest() == (2, 1, 2), what="the first manifest of the new chain")
    fleet.wait_converged()
    assert held_version(terminal) == 1
    assert (terminal.registry / "current" / "bins").read_bytes() == TABLE


def test_a_root_that_would_silence_musterd_is_refused(world):
    world.fleet.ctl_ok("keys", "new", "stranger.pem", "--public", "stranger.pub")
    root = world.root("keys/root.bin", "bad.bin", "--add", "director=stranger.pub", "--remove",
                      "director=keys/director.pem")
    assert "keys.director" in world.fleet.fails(3, "root", "publish", root)
    skipped = world.root(world.root("keys/root.bin", "root-2.bin"), "root-3.bin")
    assert "does not follow" in world.fleet.ctl("root", "publish", skipped).stderr
    assert [root["version"] for root in world.fleet.json("get", "roots")["roots"]] == [1]
