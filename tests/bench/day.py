#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What a terminal's line costs on the metered policy: a busy day, and a median terminal's month.

day.py BIN_DIR. Broker, certificates and fleet as in the scenario tests; BIN_DIR/day-run, which
lives through the days, does the rest.
"""
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/scenario"))

from broker import Broker  # noqa: E402
from fleet_side import FleetSide  # noqa: E402
from pki import Pki  # noqa: E402
from processes import Processes  # noqa: E402
from terminal import Terminal  # noqa: E402

CODES = ROOT / "packaging/sample/tables/codes-unionpay.tsv"
DEVICE = "term-0001"
LINK = """[device]
id = {device}
[broker]
servers = 127.0.0.1:{port}
keepalive = 25m
[tls]
ca = {ca}
certificate = {identity.certificate}
key = {identity.key}
[agent]
socket = run/link.sock
"""


def prepare(bin_dir, folder, broker, pki, processes):
    """A fleet that wants its code profile on one terminal; musterd is stopped again."""
    fleet = FleetSide(bin_dir, processes, folder / "fleet")
    fleet.start(broker, pki)
    terminal = Terminal(bin_dir, processes, folder / "term", DEVICE, fleet.root, grace="24h",
                        uplink="policy = metered", probe="every = 15m")
    fleet.enrol(terminal)
    fleet.publish("codes-unionpay", CODES.read_bytes(), kind="code-profile")
    fleet.ctl_ok("assign", "codes-unionpay", "--device", DEVICE, "--mode", "repair")
    fleet.process.stop()
    config = folder / "fleet" / "musterd.conf"
    config.write_text(config.read_text().replace("coalesce = 20ms", "coalesce = 200ms")
                      .replace("servers = localhost", "keepalive = 2h\nservers = 127.0.0.1"))
    (folder / "term" / "link.conf").write_text(LINK.format(
        device=DEVICE, port=broker.port, ca=pki.ca, identity=pki.client(DEVICE)))


def measure(bin_dir, name, days):
    with tempfile.TemporaryDirectory(prefix="muster-day-") as made:
        folder = pathlib.Path(made)
        processes = Processes()
        try:
            pki = Pki(folder / "pki")
            broker = Broker(processes, pki, folder)
            broker.start()
            prepare(bin_dir, folder, broker, pki, processes)
            if name == "rival":
                run = ["day-rival", folder / "term" / "link.conf", f"muster/v1/up/{DEVICE}/batch"]
            else:
                run = ["day-run", folder, str(broker.port), name, str(days)]
            subprocess.run([bin_dir / run[0], *run[1:]], check=True)
        finally:
            processes.end()


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: day.py BIN_DIR")
    bin_dir = pathlib.Path(sys.argv[1])
    print("# one terminal on the metered policy (keepalive 25m), its own agent, link and musterd in")
    print("# simulated time over real mutual TLS to mosquitto on loopback: no loss, segments of 1,348")
    print("# bytes; IPv4 with time stamps, 52 bytes a segment; DNS is not in it")
    print("# results of WORLD.md's retail lane, a day of its own time in 9-21 h, 18-21 h twice as")
    print("# busy; health is this machine's own, sampled every 15 min; one connect a day is in it")
    sys.stdout.flush()
    measure(bin_dir, "busy", 1)
    measure(bin_dir, "rival", 1)
    measure(bin_dir, "median", 10)


if __name__ == "__main__":
    main()
