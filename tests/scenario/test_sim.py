# SPDX-License-Identifier: Apache-2.0
"""muster-sim: a fleet of simulated terminals whose every record is held once."""
import signal

import pytest
from processes import free_port
from simulated import SimBroker, SimulatedFleet, folder_in_memory


@pytest.fixture
def terminals():
    with folder_in_memory() as folder:
        yield folder


@pytest.fixture
def make_fleet(bin_dir, terminals, processes, pki, run_dir):
    """make_fleet(count) gives a broker and a fleet that wants something on each terminal."""
    def make(count):
        folder = run_dir / "broker"
        folder.mkdir()
        broker = SimBroker(processes, pki, folder, free_port()).start()
        fleet = SimulatedFleet(bin_dir, processes, run_dir / "fleet", terminals, count)
        fleet.make_keys()
        fleet.start(broker, pki)
        fleet.enrol_all()
        fleet.want()
        return broker, fleet
    return make


def check_account(fleet, results):
    """Nothing is lost, nothing is held twice, and what was asked for was made."""
    end = fleet.figures()["end"]
    assert fleet.differences() == []
    assert sum(row[0] for row in fleet.made().values()) == end["results"] == fleet.results()
    assert end["waiting"] == end["lost"] == end["in_flight"] == 0
    assert 0.7 * results < end["results"] < 1.3 * results
    fleet.ctl_ok("audit")  # or some record is unaccounted for
    return end


def test_every_record_of_a_fleet_is_held_once(make_fleet):
    broker, fleet = make_fleet(60)
    sim = fleet.start_sim(broker, "--rate", "60", "--seconds", "4", "--suspects", "4")
    assert sim.wait(120) == 0, sim.log()
    end = check_account(fleet, 256)
    assert end["sessions"] == 60
    fleet.wait_converged("20s")
    _, answer = fleet.http("GET", "/api/v1/errors?by=code")
    counts = {row["key"]: row["count"] for row in answer["rows"]}
    told = [line.split() for line in sim.log().splitlines() if line.startswith("suspect ")]
    assert counts["57"] == end["suspects"] >= len(told)
    assert 8 <= len(told) <= 17 and len({device for _, device, _, _ in told}) == len(told)


def test_a_broker_that_comes_again_loses_nothing(make_fleet):
    broker, fleet = make_fleet(30)
    sim = fleet.start_sim(broker, "--rate", "40", "--seconds", "4", "--suspects", "4",
                          "--resend", "1s")
    sim.wait_line("sim.quarter_1.lag")
    broker.kill()
    broker.start()
    assert sim.wait(120) == 0, sim.log()
    end = check_account(fleet, 176)
    assert end["sessions"] > 30


def test_it_ends_when_it_is_told_to(make_fleet):
    broker, fleet = make_fleet(10)
    sim = fleet.start_sim(broker, "--rate", "10", "--seconds", "600")
    sim.wait_line("sim.quarter_0.lag")
    sim.signal(signal.SIGTERM)
    assert sim.wait(20) == 0, sim.log()
    assert "sim.end" not in sim.log()


def test_it_says_when_all_tills_are_closed(make_fleet):
    broker, fleet = make_fleet(3)
    sim = fleet.start_sim(broker, "--hour", "3")
    assert sim.wait(60) == 2, sim.log()
    assert "all tills are closed from 3:00 on" in sim.log()


def test_a_terminal_that_does_not_open_is_told(make_fleet):
    broker, fleet = make_fleet(5)
    (fleet.terminals / "sim-00003" / "agent.pem").unlink()
    sim = fleet.start_sim(broker)
    assert sim.wait(20) == 6, sim.log()
    assert "sim-00003: no agent key yet" in sim.log()


@pytest.mark.parametrize("more, said", [
    (["--broker", "192.0.2.1:1883"], "only to 127.0.0.1"),
    (["--policy", "free"], "wired"),
    (["--devices", "10001"], "expected 1 to 10000"),
    (["--rate", "fast"], "expected 0.001 to 10000"),
    (["--colour", "red"], "no such option"),
])
def test_a_wrong_option_is_told(bin_dir, processes, terminals, more, said):
    sim = processes.start("muster-sim", [
        bin_dir / "muster-sim", "run", "--dir", terminals, "--devices", "1", "--broker",
        "127.0.0.1:1", "--root", "root.bin", *more])
    keys = processes.start("muster-sim keys", [
        bin_dir / "muster-sim", "keys", "--dir", terminals, "--devices", "1"])
    assert keys.wait(20) == 0
    assert sim.wait(20) == 2, sim.log()
    assert said in sim.log()
