# SPDX-License-Identifier: Apache-2.0
"""What was put in force proves itself by the results that follow, or goes back by itself."""
import pytest

from fleet_side import FleetSide
from processes import wait_for
from terminal import Terminal

DEVICES = [f"term-{n}" for n in range(1, 6)]
GOOD = b"prefix\tissuer\n62\tone\n"
BAD = b"prefix\tissuer\n43\ttwo\n"
WORSE = b"prefix\tissuer\n99\tnine\n"
BETTER = b"prefix\tissuer\n62\tone\n43\ttwo\n"


class Five:
    """Five terminals with a good table that many sales were made with."""

    def __init__(self, bin_dir, processes, run_dir, broker, pki):
        self.fleet = FleetSide(bin_dir, processes, run_dir / "fleet")
        self.fleet.start(broker, pki)
        self.terminals = {}
        self.given = dict.fromkeys(DEVICES, 0)
        for device in DEVICES:
            terminal = Terminal(bin_dir, processes, run_dir / device, device, self.fleet.root)
            self.fleet.enrol(terminal)
            self.terminals[device] = terminal
        self.fleet.publish("bin", GOOD)
        self.assign(*DEVICES)
        for terminal in self.terminals.values():
            terminal.start_agent()
            terminal.start_link(broker, pki)
        self.fleet.wait_converged()
        for device in DEVICES:
            self.sell(device, 60)

    def assign(self, *devices):
        self.fleet.ctl_ok("assign", "bin", "--mode", "repair",
                          *[arg for device in devices for arg in ("--device", device)])

    def sell(self, device, count, **result):
        done = self.terminals[device].record(count, first=self.given[device] + 1, **result)
        assert done.returncode == 0, done.stderr
        self.given[device] += count

    def miss(self, device, count):
        self.sell(device, count, outcome="declined", code="57", table_miss=True)

    def held(self, device):
        return (self.terminals[device].registry / "current" / "bin").read_bytes()

    def wait_held(self, content, *devices):
        wait_for(lambda: all(self.held(device) == content for device in devices),
                 what=f"{devices} hold {content}")

    def probation(self, device):
        return self.terminals[device].status()["state"]["probation"]

    def told(self, device):
        return self.fleet.ctl_ok("describe", "device", device)


@pytest.fixture
def five(bin_dir, processes, run_dir, broker, pki):
    return Five(bin_dir, processes, run_dir, broker, pki)


def test_a_bad_table_goes_back_by_itself_and_says_why(five):
    five.fleet.publish("bin", BAD)
    five.assign(*DEVICES)
    five.wait_held(BAD, *DEVICES)
    for device in DEVICES:
        five.miss(device, 2)
    # Counted once each, whatever becomes of the agent.
    agent = five.terminals[DEVICES[0]].agent
    agent.kill()
    five.terminals[DEVICES[0]].start_agent()
    found = five.probation(DEVICES[0])
    assert (found["step"], found["results"], found["suspect"]) == ("switched", 2, 2), found
    assert (found["before_results"], found["before_suspect"]) == (60, 0), found
    for device in DEVICES:
        five.miss(device, 2)
    five.wait_held(GOOD, *DEVICES)
    for device in DEVICES:
        why = "4 of 4 results with it were suspect, 0 of 60 before: card not in the BIN table (4)"
        found = five.probation(device)
        assert (found["step"], found["refusal"]) == ("returned", "probation_results"), found
        assert found["why"] == why
        assert why in five.terminals[device].muster("status").stdout
        wait_for(lambda at=device: why in five.told(at), what=f"{device} has told why")
        assert "was taken back" in five.told(device)
    # A good one that is under way does not wait for the answer about a bad one.
    doubtful = DEVICES[3:]
    five.fleet.publish("bin", WORSE)
    five.assign(*doubtful)
    five.wait_held(WORSE, *doubtful)
    for device in doubtful:
        five.miss(device, 2)
        assert five.probation(device)["step"] == "switched"
    five.fleet.publish("bin", BETTER)
    five.assign(*DEVICES)
    five.wait_held(BETTER, *DEVICES)
    for device in doubtful:
        five.sell(device, 10)
        assert five.held(device) == BETTER
        assert five.probation(device)["step"] == "switched"
    five.fleet.wait_converged()
