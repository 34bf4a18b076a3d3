# SPDX-License-Identifier: Apache-2.0
"""The smallest world: a fleet side, a broker, and one terminal that the fleet knows."""
from fleet_side import FleetSide
from processes import wait_for
from terminal import Terminal


class OneTerminal:
    def __init__(self, bin_dir, processes, run_dir, broker, pki, **terminal):
        self.broker, self.pki, self.run_dir = broker, pki, run_dir
        self.fleet = FleetSide(bin_dir, processes, run_dir / "fleet")
        self.prepare()
        self.fleet.start(broker, pki)
        self.terminal = Terminal(bin_dir, processes, run_dir / "term", "term-0001", self.fleet.root,
                                 **terminal)
        self.fleet.enrol(self.terminal)

    def prepare(self):
        """Before musterd is started."""

    def connect(self):
        self.terminal.start_link(self.broker, self.pki)
        self.terminal.wait_connected()

    def wait_drained(self):
        def drained():
            status = self.terminal.status()
            return status["health"].get("spool_records", 0) == status["lost_records"] == 0
        wait_for(drained, timeout=60, what="everything is receipted, losses too")
