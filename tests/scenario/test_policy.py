# SPDX-License-Identifier: Apache-2.0
"""A line that is paid by the byte: what waits, what does not, and what it has cost."""
import pathlib

import pytest

from one_terminal import OneTerminal
from processes import wait_for

CODES = pathlib.Path(__file__).resolve().parents[2] / "packaging/sample/tables/codes-unionpay.tsv"


class World(OneTerminal):
    def __init__(self, *where, **terminal):
        super().__init__(*where, **terminal)
        self.fleet.publish("codes-unionpay", CODES.read_bytes(), kind="code-profile")
        self.fleet.ctl_ok("assign", "codes-unionpay", "--device", "term-0001", "--mode", "repair")
        self.terminal.start_agent()
        self.connect()
        # That it converged may be told a quarter of an hour later, where each packet is paid for.
        self.terminal.agent.wait_line("code profiles in force name")


@pytest.fixture
def make_world(bin_dir, processes, run_dir, broker, pki):
    return lambda **terminal: World(bin_dir, processes, run_dir, broker, pki, **terminal)


def test_a_suspect_result_takes_along_what_waits(make_world):
    """No time is measured: that one packet carries all says that nothing went before it."""
    world = make_world(uplink="policy = metered\nquiet = 0s")
    terminal, fleet = world.terminal, world.fleet
    # What the start had to tell goes with this one, wherever it is on its way.
    assert terminal.record(1, code="97", outcome="declined").returncode == 0
    fleet.wait_results(1)
    before = terminal.status()["uplink"]
    assert terminal.record(5, first=2).returncode == 0
    assert terminal.record(1, first=7, code="51", outcome="declined").returncode == 0
    assert terminal.record(1, first=8, code="57", outcome="declined").returncode == 0
    fleet.wait_results(8)
    after = terminal.status()["uplink"]
    assert after["batches"] == before["batches"] + 1
    assert after["suspect_results"] == before["suspect_results"] + 1
    assert after["policy"] == "metered"
    # The application's own word needs no profile.
    assert terminal.record(1, first=9, table_miss=True).returncode == 0
    fleet.wait_results(9)
    # Receipts take their time on such a line: nothing is forgotten before.
    assert terminal.status()["health"]["spool_records"] >= 9
    assert "suspect: code of the policy group" in terminal.muster("why").stdout


def test_what_the_line_has_cost_is_told(make_world):
    world = make_world(probe="every = 1s")
    terminal, fleet = world.terminal, world.fleet

    def counted():
        up = terminal.status()["uplink"]["traffic"]["up"]
        return 0 < up["payload"] < up["mqtt"] < up["tls"] < up["tcpip"]
    wait_for(counted, timeout=60, what="the link has said what it spent")
    month = fleet.query("SELECT strftime('%Y%m', 'now')")[0][0]
    text = terminal.muster("status").stdout
    assert f"KB in {month[:4]}-{month[4:]} (up " in text

    def told():
        device = fleet.json("describe", "device", "term-0001")
        return device["traffic_month"] == int(month) and \
            device["traffic_bytes"] > device["traffic_payload_bytes"] > 0
    wait_for(told, timeout=60, what="the fleet has heard of it")
    assert f"KB in {month[:4]}-{month[4:]}, " in fleet.ctl_ok("describe", "device", "term-0001")
    # What was counted outlives the agent.
    spent = terminal.status()["uplink"]["traffic"]["up"]["tcpip"]
    terminal.agent.stop()
    terminal.start_agent()
    assert terminal.status()["uplink"]["traffic"]["up"]["tcpip"] >= spent
