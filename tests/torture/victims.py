# SPDX-License-Identifier: Apache-2.0
"""Terminals, broker and musterd that are killed and started again, many times over."""
import json
import pathlib
import shutil
import tempfile
import threading
import time

from broker import Broker
from fleet_side import FleetSide
from processes import Process, Processes, wait_for
from terminal import LINK, Terminal

LINES_KEPT = 20000  # of one process
FAULTS = ("Sanitizer", "runtime error:", "Assertion", "*** stack smashing")


class BoundedProcess(Process):
    """Keeps its newest lines, so that a run of any length needs no more memory than a short one."""

    def _read(self):
        for raw in self.popen.stdout:
            with self.changed:
                self.lines.append(raw.decode(errors="replace").rstrip("\n"))
                if len(self.lines) > LINES_KEPT:
                    del self.lines[:LINES_KEPT // 2]
                self.changed.notify_all()
        with self.changed:
            self.ended = True
            self.changed.notify_all()

    def fault(self):
        """What it said of a bug of its own, or None."""
        with self.changed:
            return next((line for line in self.lines if any(word in line for word in FAULTS)), None)


class BoundedProcesses(Processes):
    """Forgets processes that ended, but for the last of each name. Used by several threads."""

    def __init__(self):
        super().__init__()
        self.lock = threading.Lock()
        self.over = False

    def start(self, name, argv, cwd=None, env=None):
        with self.lock:
            assert not self.over, "nothing is started any more"
            process = BoundedProcess(name, argv, cwd, env)
            ended = [old for old in self.all if old.name == name and not old.running()]
            self.all = [old for old in self.all if old not in ended[:-1]] + [process]
            return process

    def end(self):
        with self.lock:
            self.over = True
        super().end()

    def tell(self, lines=60):
        """The end of every log."""
        for process in self.all:
            state = "running" if process.running() else f"ended {process.popen.returncode}"
            print(f"---- {process.name} {process.pid} ({state})")
            print("\n".join(process.log().splitlines()[-lines:]))


class Victim:
    """One process that may be killed at any moment and is then started again at once."""

    def __init__(self, kind, spawn, process=None):
        self.kind, self.spawn, self.process = kind, spawn, process
        self.started_s = 0.0

    def start(self):
        self.started_s = time.monotonic()
        self.process = self.spawn()

    def kill(self):
        """False: it was not running any more, by its own doing."""
        alive = self.process.running()
        self.process.kill()
        if not alive or self.process.popen.returncode != -9:
            raise AssertionError(f"{self.process.name} {self.process.pid} ended by itself: "
                                 f"{self.process.popen.returncode}")
        fault = self.process.fault()
        if fault:
            raise AssertionError(f"{self.process.name} {self.process.pid}: {fault}")

    def stop(self):
        code = self.process.stop(timeout=60)
        fault = self.process.fault()
        if code != 0 or fault:
            raise AssertionError(f"{self.process.name}: ended {code}, {fault}")


class World:
    """`spools`: of each terminal what stands in the [spool] section of its agent's settings."""

    def __init__(self, bin_dir, pki, spools):
        self.bin, self.pki, self.spools = bin_dir, pki, spools
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="muster-"))
        self.processes = BoundedProcesses()
        self.log = self.folder / "submissions"
        self.mosquitto = self.fleet = self.broker = self.musterd = self.load = None
        self.terminals = []

    def start(self):
        folder = self.folder / "broker"
        folder.mkdir()
        self.mosquitto = Broker(self.processes, self.pki, folder)
        self.mosquitto.start()
        self.fleet = FleetSide(self.bin, self.processes, self.folder / "fleet")
        self.fleet.start(self.mosquitto, self.pki)
        self.broker = Victim("broker", self.mosquitto.spawn, self.mosquitto.process)
        self.musterd = Victim("musterd", self._spawn_musterd, self.fleet.process)
        for number, spool in enumerate(self.spools, 1):
            self.terminals.append(self._terminal(number, spool))
        for terminal in self.terminals:
            terminal.agent.start()
            terminal.link.start()

    def _terminal(self, number, spool):
        device = f"term-{number:04}"
        settings = "\n".join(f"{name} = {value}" for name, value in spool.items())
        terminal = Terminal(self.bin, self.processes, self.folder / device, device,
                            self.fleet.root, grace=settings.removeprefix("grace = "))
        terminal.quota_bytes = int(spool.get("quota", "64M").removesuffix("M")) << 20
        self._enrol(terminal, number)
        identity = self.pki.client(device)
        retry = "\nretry_first = 20ms\nretry_max = 300ms"
        (terminal.folder / "link.conf").write_text(LINK.format(
            device=device, broker=self.mosquitto.address + retry, extra="", ca=self.pki.ca,
            certificate=identity.certificate, key=identity.key))
        terminal.agent = Victim("agent", self._spawner(terminal, "agent"))
        terminal.link = Victim("link", self._spawner(terminal, "link"))
        return terminal

    def _enrol(self, terminal, number):
        self.fleet.ctl_ok("device", "add", terminal.device, "--serial", f"SN-{terminal.device}",
                          "--model", "A920", "--agent-key", terminal.make_key(),
                          "--merchant", "m1", "--merchant-name", "Corner Shop",
                          "--store", "s1", "--store-name", "Main Street", "--region", "north",
                          "--terminal", f"0:0:T{number:07}:M00000000000001")

    def _spawn_musterd(self):
        return self.processes.start(
            "musterd", [self.bin / "musterd", "--config", self.fleet.folder / "musterd.conf"],
            cwd=self.fleet.folder)

    def _spawner(self, terminal, kind):
        return lambda: self.processes.start(
            f"{kind} {terminal.device}",
            [self.bin / f"muster-{kind}", "--config", terminal.folder / f"{kind}.conf"],
            cwd=terminal.folder)

    def victims(self):
        return [self.musterd, self.broker,
                *[victim for one in self.terminals for victim in (one.agent, one.link)]]

    def start_load(self, seed, results, pace_ms, clients=2):
        self.load = self.processes.start("load", [
            self.bin / "torture-load", "--log", self.log, "--seed", seed, "--pace", pace_ms,
            "--results", results, "--clients", clients,
            *[f"{one.device}={one.socket}" for one in self.terminals]])
        self.load.wait_line("load:")

    def load_some(self, seed, results, pace_ms=3):
        """Until so many more were answered on each terminal."""
        before = self.answered()
        self.start_load(seed, results, pace_ms)
        for terminal in self.terminals:
            def enough(device=terminal.device):
                return self.answered().get(device, 0) >= before.get(device, 0) + results
            wait_for(enough, 60.0, f"{results} results of {terminal.device} are answered")
        self.stop_load()

    def answered(self):
        """How many results of each device were: {device: n}."""
        keys = set()
        if self.log.exists():
            with open(self.log, encoding="ascii") as log:
                keys = {tuple(line.split()[1:3]) for line in log if line.startswith("a ")}
        counts = {}
        for device, _ in keys:
            counts[device] = counts.get(device, 0) + 1
        return counts

    def stop_load(self):
        """Every result that was submitted is answered then."""
        code = self.load.stop(timeout=90)
        assert code == 0, f"the load ended with {code}: {self.load.log()[-2000:]}"
        return figures_of(self.load.log())

    def status(self, terminal):
        """What the agent says of itself; {} while it does not answer."""
        done = terminal.muster("status", "-o", "json")
        return json.loads(done.stdout) if done.returncode == 0 else {}

    def wait_status(self, condition, what, timeout=120.0):
        """For every terminal's."""
        for terminal in self.terminals:
            def holds(one=terminal):
                status = self.status(one)
                return status and condition(status)
            wait_for(holds, timeout, f"{terminal.device} {what}")

    def wait_welcomed(self):
        self.wait_status(lambda status: status["welcomed"], "is welcomed")

    def wait_drained(self):
        """Nothing waits for a receipt any more, neither records nor declarations."""
        self.wait_status(lambda status: status["health"].get("spool_records", 0) == 0
                         and status["lost_records"] == 0, "is drained")

    def audit(self):
        """The fleet's account of each device, held against its rows: {device: {...}}."""
        def account(device):
            done = self.fleet.ctl("audit", device, "-o", "json")
            # 1: records are unaccounted for; else it has only just been started
            return json.loads(done.stdout)["devices"][0] if done.returncode in (0, 1) else None
        return {one.device: wait_for(lambda device=one.device: account(device), 60.0,
                                     "musterd answers") for one in self.terminals}

    def stop(self):
        for terminal in self.terminals:
            terminal.link.stop()
            terminal.agent.stop()
        self.musterd.stop()
        self.broker.stop()

    def ask_oracle(self):
        """Its figures and what it found wrong; everything is stopped."""
        spools = [f"{one.device}={one.folder}/state/spool.db:{one.quota_bytes}" for one in self.terminals]
        process = self.processes.start("oracle", [
            self.bin / "muster-oracle", "--log", self.log,
            "--fleet", self.fleet.folder / "fleet.db",
            *[part for spool in spools for part in ("--spool", spool)]])
        code = process.wait(timeout=600)
        assert code in (0, 1), process.log()
        return figures_of(process.log()), code == 0

    def remove(self):
        self.processes.end()
        shutil.rmtree(self.folder, ignore_errors=True)


def figures_of(text):
    """{"oracle.lost": 0, ...} of lines `name value unit`."""
    found = {}
    for line in text.splitlines():
        parts = line.split()
        if len(parts) == 3 and "." in parts[0] and parts[1].isdigit():
            found[parts[0]] = int(parts[1])
    return found


LOST = ("lost", "vanished", "damaged", "holes", "claimed", "early", "miscounted", "unsummed")
DOUBLED = ("doubled", "altered", "untyped", "invented", "reanswered", "stray")


def tell_oracle(name, oracle):
    """The oracle's figures in few words."""
    print(f"{name}.records {oracle.get('oracle.submitted', 0)} results")
    for word, parts in (("committed", ("committed",)), ("buffered", ("buffered",)),
                        ("declared", ("declared",)), ("unknown", ("unknown",)),
                        ("repeated", ("repeated",)), ("lost", LOST), ("doubled", DOUBLED),
                        ("oversize", ("oversize",))):
        print(f"{name}.{word} {sum(oracle.get('oracle.' + part, 0) for part in parts)} records")


def tell_audit(name, audit):
    """What the fleet says itself, and what of it is not as it must be once all is drained."""
    for word in ("unaccounted", "buffered", "conflicts"):
        print(f"{name}.audit_{word} {sum(one[word] for one in audit.values())} records")
    return [f"{device}: {one}" for device, one in audit.items()
            if one["unaccounted"] or one["buffered"] or one["conflicts"]]


def results_of(audit, word):
    """A sum over the devices' results alone."""
    return sum(lane[word] for one in audit.values() for lane in one["lanes"]
               if lane["lane"] == "txn")
