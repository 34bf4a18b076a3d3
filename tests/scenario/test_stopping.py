# SPDX-License-Identifier: Apache-2.0
"""musterd is told to stop while more comes than it can take: it ends soon, and what it had taken is stored."""
import re
import signal
import subprocess

import pytest

import aged
from broker import Broker
from fleet_side import FleetSide
from processes import wait_for

DEVICES, ROUNDS, EACH = 40, 50, 20
ALL = DEVICES * ROUNDS * EACH  # in 2,000 messages, of which musterd keeps 512
# Under AddressSanitizer, on a busy machine; systemd's own patience is 90 s.
ENDS_WITHIN_S = 20
TAKEN = "Received PUBACK from musterd"


@pytest.fixture
def broker(processes, pki, run_dir):
    """Keeps all that waits, and does not wait for answers between messages."""
    folder = run_dir / "broker"
    folder.mkdir()
    return Broker(processes, pki, folder, extra="max_queued_messages 0\nmax_inflight_messages 0").start()


@pytest.fixture
def fleet(bin_dir, processes, run_dir):
    """Its devices are those of the batches, whose day is long past."""
    fleet = FleetSide(bin_dir, processes, run_dir / "fleet", extra="[retention]\nsums_minute = 0\nsums_hour = 0")
    subprocess.run([bin_dir / "batches-make", "--database", fleet.folder / "fleet.db", "--batches",
                    run_dir / "batches", "--devices", str(DEVICES), "--senders", str(DEVICES), "--rounds", str(ROUNDS),
                    "--results", str(EACH)], check=True, capture_output=True)
    return fleet


@pytest.fixture
def send(fleet, bin_dir, processes, broker, pki, run_dir):
    """All of them, as terminals do that have no receipt; ends when there are receipts for all."""
    identity = pki.client("ops")
    return lambda: processes.start("batches-send", [
        bin_dir / "batches-send", "--port", broker.port, "--ca", pki.ca, "--cert", identity.certificate, "--key",
        identity.key, "--receipt-key", fleet.folder / "keys/receipt.pem", "--batches", run_dir / "batches"])


def start(fleet, broker, pki):
    heard = len(broker.process.lines)
    fleet.start(broker, pki)
    broker.process.wait_line(" muster/v1/up/+/batch", after=heard)


def said_by_broker(broker, pattern):
    return len(re.findall(pattern, broker.process.log()))


@pytest.mark.parametrize("when", ["as it begins", "in the midst"])
def test_what_it_has_taken_is_stored(fleet, broker, pki, send, when):
    start(fleet, broker, pki)
    # Nothing is read until all has come to the broker.
    fleet.process.signal(signal.SIGSTOP)
    sender = send()
    wait_for(lambda: said_by_broker(broker, r"Received PUBLISH from ops") == DEVICES * ROUNDS,
             what="all sent")
    if when == "as it begins":
        fleet.process.signal(signal.SIGTERM)
        fleet.process.signal(signal.SIGCONT)
    else:
        fleet.process.signal(signal.SIGCONT)
        broker.process.wait_line(f"{TAKEN} (Mid: 700,")
        fleet.process.signal(signal.SIGTERM)
    assert fleet.process.wait(ENDS_WITHIN_S) == 0, fleet.process.log()
    sender.kill()
    taken = said_by_broker(broker, TAKEN)
    stored = fleet.results()
    assert 0 < stored < ALL, "it was not stopped in the midst of it"
    assert taken * EACH <= stored, "what the broker takes for delivered is stored"
    aged.check_sums(fleet.folder / "fleet.db")

    # The rest comes when its terminals, which have no receipt, send it again.
    start(fleet, broker, pki)
    assert send().wait(120) == 0
    assert fleet.results() == ALL
    assert fleet.query("SELECT count(*) FROM (SELECT DISTINCT device, incarnation, seq FROM result)") == [(ALL,)]
    aged.check_sums(fleet.folder / "fleet.db")
    assert fleet.process.stop() == 0, fleet.process.log()
