#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What a terminal's agent and link spend while there is no broker, by how it is away; and the bytes
to connect again once there is one.

offline.py BIN_DIR. Each case is an agent and a link of its own with the settings of a terminal
(first wait 1 s, at most 5 min), side by side, from the first attempt on: the busiest stretch of an
outage. CPU is what the kernel's scheduler counts, of all threads.
"""
import os
import pathlib
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "scenario"))
from broker import Broker  # noqa: E402
from hostile_broker import HostileBroker  # noqa: E402
from link_bench import Bench  # noqa: E402
from pki import Pki  # noqa: E402
from processes import Processes, free_port, wait_for  # noqa: E402
from proxy import Proxy  # noqa: E402
from terminal import Terminal  # noqa: E402

STRETCH_S = 30
RECONNECTS = 5


class Address:
    """What Terminal.start_link asks of a broker."""

    def __init__(self, address):
        self.address = address


def spent(process):
    """(CPU seconds, times it was put to sleep) so far, of all its threads."""
    cpu_ns = wakes = 0
    for task in pathlib.Path(f"/proc/{process.pid}/task").iterdir():
        cpu_ns += int((task / "schedstat").read_text(encoding="ascii").split()[0])
        for line in (task / "status").read_text(encoding="ascii").splitlines():
            if line.startswith("voluntary_ctxt_switches"):
                wakes += int(line.split()[1])
    return cpu_ns / 1e9, wakes


def make_root(bin_dir, processes, folder):
    keys = processes.start("musterctl", [bin_dir / "musterctl", "keys", "make", folder / "keys"])
    if keys.wait(60) != 0:
        sys.exit(f"bench-offline: {keys.log()}")
    return folder / "keys" / "root.bin"


def start(bin_dir, processes, folder, pki, root, device, address):
    terminal = Terminal(bin_dir, processes, folder / device, device, root)
    terminal.make_key()
    terminal.start_agent()
    terminal.start_link(Address(address), pki)
    terminal.link.wait_line("joined at")
    return terminal


def measure_offline(terminals):
    before = {name: (spent(t.agent), spent(t.link)) for name, t in terminals.items()}
    began = time.monotonic()
    wait_for(lambda: time.monotonic() - began >= STRETCH_S, STRETCH_S + 10, "the stretch is over")
    took = time.monotonic() - began
    worst = {"link": 0.0, "agent": 0.0}
    for name, terminal in terminals.items():
        attempts = terminal.status()["link"]["failures"]
        for part, process, (cpu, wakes) in (
                ("link", terminal.link, before[name][1]), ("agent", terminal.agent, before[name][0])):
            now_cpu, now_wakes = spent(process)
            percent = (now_cpu - cpu) / took * 100
            worst[part] = max(worst[part], percent)
            print(f"{part}.offline_cpu_percent.{name} {percent:.3f} %")
            print(f"{part}.offline_wakeups.{name} {(now_wakes - wakes) / took:.2f} 1/s")
        print(f"# {name}: {attempts} attempts failed; {terminal.status()['link_reason']}")
    for part, percent in worst.items():
        print(f"{part}.offline_cpu_percent {percent:.3f} %")


def both(state, layer):
    return state.up[layer] + state.down[layer]


def measure_reconnects(bin_dir, processes, folder, pki):
    """Bytes both ways from the SYN to the CONNACK: the first time, and resumed from then on."""
    home = folder / "broker"
    home.mkdir()
    broker = Broker(processes, pki, home).start()
    bench = Bench(bin_dir, processes, pki, folder)
    with Proxy(broker.port) as line:
        bench.start(line.address, protocol="5", keepalive="5m", retry_max="50ms")
        first = bench.agent.connected()
        for layer in ("tls", "tcpip"):
            print(f"wire.connect_{layer}_bytes {both(first, layer)} B")
        resumed = {"tls": [], "tcpip": []}
        for _ in range(RECONNECTS):
            line.cut()
            lost, state = bench.agent.disconnected(), bench.agent.connected()
            for layer, seen in resumed.items():
                seen.append(both(state, layer) - both(lost, layer))
        print(f"# {state.resumed} of {RECONNECTS} reconnects resumed")
        for layer, seen in resumed.items():
            print(f"wire.reconnect_{layer}_bytes {sorted(seen)[RECONNECTS // 2]} B")
        print(f"wire.reconnect_bytes {sorted(resumed['tcpip'])[RECONNECTS // 2]} B")
    bench.agent.close()


def main(bin_dir):
    processes = Processes()
    with tempfile.TemporaryDirectory(prefix="muster-") as name:
        folder = pathlib.Path(name)
        try:
            pki = Pki(folder / "pki")
            stranger = Pki(folder / "stranger")
            root = make_root(bin_dir, processes, folder)
            with HostileBroker(pki, "mute") as mute, HostileBroker(pki, "hang up") as hang_up, \
                    HostileBroker(pki, "busy") as busy, HostileBroker(stranger, "good") as foreign, \
                    HostileBroker(pki, "kick") as kick, HostileBroker(pki, "refuse") as refuse:
                busy.stuff()
                addresses = {
                    "refused": f"localhost:{free_port()}",
                    "black_hole": f"127.0.0.1:{busy.port}",
                    "no_name": "broker.invalid:8883",
                    "mute": f"localhost:{mute.port}",
                    "hangs_up": f"localhost:{hang_up.port}",
                    "foreign_certificate": f"localhost:{foreign.port}",
                    "kicks": f"localhost:{kick.port}",
                    "not_authorised": f"localhost:{refuse.port}",
                }
                measure_offline({
                    case: start(bin_dir, processes, folder, pki, root,
                                case.replace("_", "-"), address)
                    for case, address in addresses.items()})
            measure_reconnects(bin_dir, processes, folder, pki)
        finally:
            processes.end()


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else os.environ["MUSTER_BIN"]))
