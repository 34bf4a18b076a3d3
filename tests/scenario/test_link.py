# SPDX-License-Identifier: Apache-2.0
"""muster-link against a real mosquitto, and against a broker that misbehaves."""
import hashlib
import re
import signal
import socket
import subprocess
import time

import pytest

from fake_agent import FakeAgent, Message, Puback, State, field
from hostile_broker import HostileBroker
from link_bench import DEVICE, down, up
from pki import Pki
from processes import free_port, wait_for
from wire import next_word

OTHER = "term-2"


def shown(topic, payload):
    """How a subscriber of broker.py prints a message."""
    return f"{topic} {payload.hex()}"


@pytest.mark.parametrize("protocol", ["5", "3.1.1", "auto"])
def test_a_publish_reaches_the_broker_and_is_acknowledged(bench, broker, protocol):
    subscriber = broker.subscribe(up("#"))
    link = bench.start(broker.address, protocol=protocol)
    assert bench.agent.connected().broker == broker.address
    payload = b"\x00\x01binary\xff"
    bench.agent.publish(7, up("batch"), payload)
    puback = bench.agent.expect(Puback)
    assert (puback.token, puback.accepted) == (7, True)
    birth, seen = next_word(subscriber, up("online"), True)
    subscriber.wait_line(shown(up("batch"), payload))
    assert link.stop() == 0
    goodbye, seen = next_word(subscriber, up("online"), False, after=seen)
    will, _ = next_word(subscriber, up("online"), False, after=seen)
    assert (goodbye.goodbye, will.goodbye) == (True, False)
    assert birth.session == goodbye.session == will.session and all(birth.session)


def test_what_comes_down_is_handed_to_the_agent(bench, broker):
    broker.publish(down("manifest"), b"retained", retain=True)
    bench.start(broker.address)
    bench.agent.connected()
    message = bench.agent.expect(Message)
    assert (message.topic, message.payload) == (down("manifest"), b"retained")
    for leaf in ("receipt", "welcome"):
        broker.publish(down(leaf), leaf.encode())
        message = bench.agent.expect(Message)
        assert (message.topic, message.payload) == (down(leaf), leaf.encode())


def test_blobs_are_fetched_while_they_are_wanted(bench, broker):
    blobs = {hashlib.sha256(content).digest(): content for content in (b"one", b"x" * 1024 * 1024)}
    for digest, content in blobs.items():
        broker.publish(f"muster/v1/blob/{digest.hex()}", content, retain=True)
    bench.start(broker.address)
    bench.agent.connected()
    first, second = blobs
    for digest in (first, second):
        bench.agent.fetch(digest, size=len(blobs[digest]))  # replaces the one before
        message = bench.agent.expect(Message)
        assert message.topic == f"muster/v1/blob/{digest.hex()}"
        assert message.payload == blobs[digest]
    broker.publish(f"muster/v1/blob/{first.hex()}", b"no longer wanted", retain=True)
    broker.publish(down("receipt"), b"a mark behind it")
    assert bench.agent.expect(Message).topic == down("receipt")


def test_the_broker_is_asked_in_few_packets(bench, broker):
    """Each costs a thin line more for TCP and IP than it is long."""
    digests = [hashlib.sha256(bytes([n])).digest() for n in range(3)]
    said = re.compile(r"Received ([A-Z]+) from " + DEVICE)
    bench.start(broker.address)
    bench.agent.connected()
    bench.agent.fetch(*digests)
    bench.agent.fetch()
    bench.agent.publish(1, up("batch"), b"a record")
    assert bench.agent.expect(Puback).accepted
    lines = broker.process.log().splitlines()
    assert [name for name in (match[1] for match in map(said.search, lines) if match)
            if name not in ("PUBACK", "PINGREQ")] == [
        "SUBSCRIBE", "PUBLISH", "SUBSCRIBE", "UNSUBSCRIBE", "PUBLISH"]
    named = [line.split()[1] for line in lines if re.match(r".*\tmuster/v1/blob/[0-9a-f]{64}", line)]
    assert sorted(named) == sorted(2 * [f"muster/v1/blob/{digest.hex()}" for digest in digests])


def test_roots_come_one_by_one_and_the_manifest_after_each(bench, broker):
    for version in (2, 3, 4):
        broker.publish(f"muster/v1/trust/{version}", b"root %d" % version, retain=True)
    broker.publish(down("manifest"), b"retained", retain=True)
    bench.start(broker.address)
    bench.agent.connected()
    assert bench.agent.expect(Message).topic == down("manifest")
    bench.agent.fetch(trust=3)
    assert bench.agent.expect(Message).topic == "muster/v1/trust/3"
    # Signed under a root that came later, the manifest could not be read: here it is again.
    bench.agent.fetch(trust=4)
    seen = {bench.agent.expect(Message).topic for _ in range(2)}
    assert seen == {"muster/v1/trust/4", down("manifest")}
    bench.agent.fetch(trust=5)
    assert bench.agent.expect(Message).topic == down("manifest")
    for version, size in ((4, 10), (6, 10), (5, 33 * 1024), (5, 10)):
        broker.publish(f"muster/v1/trust/{version}", bytes(size))
    message = bench.agent.expect(Message)
    assert (message.topic, len(message.payload)) == ("muster/v1/trust/5", 10)


def test_a_broker_that_stops_is_reported_waited_for_and_found_again(bench, broker):
    link = bench.start(broker.address, retry_max="100ms")
    bench.agent.connected()
    broker.stop()
    lost = bench.agent.disconnected()
    assert lost.reason.startswith(broker.address + ": ")
    assert abs(lost.next_attempt_ms - time.time() * 1000) < 60000

    refused = bench.agent.disconnected("Connection refused")
    assert refused.reason.startswith(broker.address + ": ")
    began, cpu_before = time.monotonic(), link.cpu_ms()
    for _ in range(25):
        bench.agent.disconnected("Connection refused")
    elapsed_ms = (time.monotonic() - began) * 1000
    cpu_ms = link.cpu_ms() - cpu_before
    print(f"25 refused attempts: {cpu_ms} ms CPU in {elapsed_ms:.0f} ms")
    assert cpu_ms < elapsed_ms / 2, "it spins"

    broker.start()
    bench.agent.connected()
    bench.agent.publish(1, up("hello"), b"again")
    assert bench.agent.expect(Puback).accepted


def test_a_publish_without_a_session_is_not_kept(bench, broker):
    bench.start(broker.address)
    bench.agent.connected()
    broker.stop()
    bench.agent.disconnected("Connection refused")
    for token in range(1, 100):
        bench.agent.publish(token, up("batch"), b"must not come later")
    broker.start()
    subscriber = broker.subscribe(up("#"))
    bench.agent.connected()
    bench.agent.publish(1000, up("batch"), b"now")
    assert bench.agent.expect(Puback).token == 1000
    subscriber.wait_line(shown(up("batch"), b"now"))
    assert b"must not".hex() not in subscriber.log()


def test_more_than_the_window_is_refused_not_queued(bench):
    with HostileBroker(bench.pki, "silent") as hostile:
        bench.start(f"localhost:{hostile.port}", protocol="5")
        bench.agent.connected()
        for token in range(1, 41):
            bench.agent.publish(token, up("batch"), b"x")
        # The birth message takes one of the 16 places.
        refused = [bench.agent.expect(Puback).token for _ in range(25)]
        assert refused == list(range(16, 41))


def test_an_untrusted_broker_is_refused(bench, broker, run_dir):
    stranger = Pki(run_dir / "stranger")
    link = bench.start(broker.address, ca=stranger.ca)
    state = bench.agent.disconnected()
    assert state.reason.startswith(broker.address + ": TLS: certificate refused: ")
    assert "certificate" in state.reason.partition("refused: ")[2]
    bench.agent.disconnected()
    assert "connected to" not in link.log()


def test_a_broker_of_another_name_is_refused(bench, make_broker):
    broker = make_broker(names="DNS:elsewhere.example,IP:127.0.0.9")
    bench.start(broker.address)
    assert "certificate refused: hostname mismatch (expected localhost)" \
        in bench.agent.disconnected().reason


def test_an_address_is_checked_like_a_name(bench, make_broker):
    named = make_broker(names="DNS:localhost")
    bench.start(f"127.0.0.1:{named.port}")
    assert "IP address mismatch" in bench.agent.disconnected().reason


def test_a_broker_that_refuses_our_certificate_is_quoted(bench, broker, run_dir):
    stranger = Pki(run_dir / "stranger")
    bench.start(broker.address, identity=stranger.client(DEVICE))
    bench.agent.disconnected("TLS: peer sent TLS alert: .*unknown CA")


def test_the_next_broker_of_the_list_is_tried(bench, broker):
    dead = free_port()
    bench.start(f"localhost:{dead}, 127.0.0.1:{broker.port}")
    assert bench.agent.disconnected().reason.startswith(f"localhost:{dead}: ")
    assert bench.agent.connected().broker == f"127.0.0.1:{broker.port}"


def test_a_name_that_does_not_resolve_is_named(bench):
    bench.start("broker.invalid:8883")
    state = bench.agent.disconnected()
    assert state.reason.startswith("broker.invalid:8883: name not resolved")


def hangs_in_connect(port):
    """Whether a TCP connection to this local port is in SYN_SENT (proc_net_tcp(5): state 02)."""
    wanted = f"0100007F:{port:04X} 02 "
    with open("/proc/net/tcp", encoding="ascii") as table:
        return sum(wanted in line for line in table)


def test_a_connection_that_takes_long_is_waited_for_without_spinning(bench):
    with HostileBroker(bench.pki, "busy") as busy:
        busy.stuff()
        waiting_before = wait_for(lambda: hangs_in_connect(busy.port))
        link = bench.start(f"127.0.0.1:{busy.port}")
        wait_for(lambda: hangs_in_connect(busy.port) > waiting_before)
        cpu_before = link.cpu_ms()
        busy.relent()  # the kernel sends the SYN again after a second
        bench.agent.connected()
        cpu_ms = link.cpu_ms() - cpu_before
        print(f"slow connect: {cpu_ms} ms CPU")
        assert cpu_ms < 400


def test_a_connection_that_never_comes_is_given_up(bench):
    with HostileBroker(bench.pki, "busy") as busy:
        busy.stuff()
        wait_for(lambda: hangs_in_connect(busy.port))
        link = bench.start(f"127.0.0.1:{busy.port}", connect_limit="1s")
        bench.agent.disconnected("no session within 1000 ms")
        assert link.cpu_ms() < 600


def test_a_restarted_agent_is_joined_again(bench, broker):
    link = bench.start(broker.address)
    bench.agent.connected()
    subscriber = broker.subscribe(up("online"))
    bench.agent.close()
    # Without an agent there is no session: nobody could take what comes down.
    will, seen = next_word(subscriber, up("online"), False)
    bench.agent = FakeAgent(bench.socket)
    bench.agent.join()
    bench.agent.connected()
    birth, _ = next_word(subscriber, up("online"), True, after=seen)
    assert birth.session[0] == will.session[0] and birth.session[1] > will.session[1]
    bench.agent.publish(3, up("hello"), b"new life")
    assert bench.agent.expect(Puback).token == 3
    assert link.stop() == 0


def test_a_link_that_is_killed_is_seen_offline(bench, broker):
    subscriber = broker.subscribe(up("online"))
    link = bench.start(broker.address)
    bench.agent.connected()
    birth, seen = next_word(subscriber, up("online"), True)
    link.signal(signal.SIGKILL)
    will, _ = next_word(subscriber, up("online"), False, after=seen)
    assert will.session == birth.session and not will.goodbye
    assert link.wait() == -signal.SIGKILL


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_an_oversized_message_neither_kills_nor_bloats(bench, broker, protocol):
    digest = hashlib.sha256(b"whatever").digest()
    topic = f"muster/v1/blob/{digest.hex()}"
    assert broker.publish(topic, bytes(32 * 1024 * 1024), retain=True).returncode == 0
    link = bench.start(broker.address, protocol=protocol, content_hold="10ms")
    bench.agent.connected()
    peak_before = link.peak_kb()
    bench.agent.fetch(digest)
    if protocol == "3.1.1":  # there the broker cannot be told, so it sends
        bench.agent.disconnected("a message longer than")
        bench.agent.connected()
        bench.agent.disconnected("a message longer than")
    bench.agent.fetch()
    wait_for(lambda: broker.publish(down("receipt"), b"still here").returncode == 0)
    # Retained blob gone: what follows is a session that stays.
    broker.publish(topic, b"", retain=True)
    bench.agent.publish(9, up("batch"), b"x")
    while not (bench.agent.expect((Puback, State)).__class__ is Puback):
        bench.agent.publish(9, up("batch"), b"x")
    grown = link.peak_kb() - peak_before
    print(f"peak grew by {grown} KiB")
    assert grown < 20 * 1024
    assert link.running()


def test_what_the_agent_may_not_publish_is_refused(bench, broker):
    subscriber = broker.subscribe("muster/v1/#")
    link = bench.start(broker.address)
    bench.agent.connected()
    bench.agent.publish(1, up("batch", OTHER), b"for another device")
    bench.agent.publish(2, down("manifest"), b"upside down")
    bench.agent.publish(3, up("online"), b"1")
    bench.agent.publish(4, "muster/v1/up/#", b"wild")
    bench.agent.publish(0, up("batch"), b"no token")
    bench.agent.send(b"\xff\xff\xff not protobuf")
    bench.agent.send(field(9, b"unknown"))
    bench.agent.fetch(b"short digest")
    bench.agent.publish(5, up("batch"), b"good")
    assert bench.agent.expect(Puback).token == 5
    subscriber.wait_line(shown(up("batch"), b"good"))
    published = [line for line in subscriber.log().splitlines() if line.startswith("muster/")]
    assert [line.split()[0] for line in published] == [up("online"), up("batch")]
    wait_for(lambda: link.log().count("refused:") == 8, what="each is told")


def test_a_device_cannot_write_for_another(broker, pki):
    subscriber = broker.subscribe("muster/v1/up/#")
    denied = broker.publish(up("batch", OTHER), b"forged", identity=pki.client(DEVICE))
    assert "Not authorized" in denied.stdout + denied.stderr
    broker.publish(up("batch"), b"own", identity=pki.client(DEVICE))
    subscriber.wait_line(shown(up("batch"), b"own"))
    assert b"forged".hex() not in subscriber.log()


def test_a_device_cannot_take_the_client_id_of_another(bench, broker, pki):
    bench.start(broker.address)
    bench.agent.connected()
    thief = broker.publish(up("batch", OTHER), b"mine", identity=pki.client(OTHER),
                           extra=["-i", DEVICE])
    assert thief.returncode == 0
    bench.agent.publish(11, up("batch"), b"undisturbed")
    frame = bench.agent.expect((State, Puback), lambda frame: isinstance(frame, Puback)
                               or not frame.connected)
    assert isinstance(frame, Puback) and frame.token == 11, "the session was taken over"


def test_an_agent_that_does_not_read_slows_the_broker_not_us(bench, broker):
    link = bench.start(broker.address)
    bench.agent.connected()
    peak_before = link.peak_kb()
    count = 40
    broker.publish_lines(down("receipt"), [b"%04d" % number + b"x" * 512 * 1024
                                           for number in range(count)])
    grown = link.peak_kb() - peak_before
    print(f"20 MiB sent, peak grew by {grown} KiB")
    assert grown < 24 * 1024
    seen = [int(bench.agent.expect(Message).payload[:4]) for _ in range(count)]
    assert seen == list(range(count))


@pytest.mark.parametrize("mood, reason", [
    ("mute", "no session within 1000 ms"),
    ("hang up", "TLS handshake failed|reset by peer"),
    ("refuse", "CONNACK 135"),
    ("unknown puback", "acknowledged what was never sent"),
    ("qos 2", "QoS 2"),
    ("endless", "longer than"),
    ("garbage", "broker"),
])
def test_a_hostile_broker_is_left_with_a_reason(bench, mood, reason):
    with HostileBroker(bench.pki, mood) as hostile:
        link = bench.start(f"localhost:{hostile.port}", protocol="5", connect_limit="1s")
        peak_before = link.peak_kb()
        state = bench.agent.disconnected(reason)
        assert state.reason.startswith(f"localhost:{hostile.port}: ")
        bench.agent.disconnected(reason)
        assert link.peak_kb() - peak_before < 20 * 1024
        assert link.stop() == 0


@pytest.mark.parametrize("mood", ["no 5, says so", "no 5, hangs up"])
def test_a_broker_without_mqtt_5_is_spoken_to_in_3_1_1(bench, mood):
    with HostileBroker(bench.pki, mood) as hostile:
        bench.start(f"localhost:{hostile.port}", protocol="auto")
        bench.agent.disconnected()
        bench.agent.connected()


@pytest.mark.parametrize("change, complaint", [
    ({"servers": "localhost"}, "expected host:port"),
    ({"device": "Term_1"}, "device.id"),
    ({"protocol": "4"}, "link.conf:5: broker.protocol"),
    ({"retry_max": "soon"}, "link.conf:10: broker.retry_max"),
    ({"ca": "missing.pem"}, "missing.pem"),
])
def test_a_wrong_setting_stops_the_start(bench, change, complaint):
    servers = change.pop("servers", "localhost:8883")
    device = change.pop("device", None)
    config = bench.config(servers, **change)
    if device:
        config.write_text(config.read_text().replace(f"id = {DEVICE}", f"id = {device}"))
    for extra in ([], ["--check-config"]):
        result = subprocess.run([bench.bin_dir / "muster-link", "--config", config, *extra],
                                capture_output=True, text=True, timeout=20, check=False)
        assert result.returncode == 2
        assert complaint in result.stderr


def test_good_settings_are_called_good(bench):
    result = subprocess.run([bench.bin_dir / "muster-link", "--config",
                             bench.config("localhost:8883"), "--check-config"],
                            capture_output=True, text=True, timeout=20, check=False)
    assert (result.returncode, result.stdout) == (0, "settings are good\n")


def test_readiness_is_told_to_the_service_manager(bench, processes, broker, run_dir):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.settimeout(20)
        manager.bind(str(run_dir / "notify"))
        processes.start("muster-link", [bench.bin_dir / "muster-link", "--config",
                                        bench.config(broker.address)],
                        env={"NOTIFY_SOCKET": str(run_dir / "notify")})
        told = []
        while not any(text.startswith(b"STATUS=connected to") for text in told):
            told.append(manager.recv(4096))
        assert b"READY=1" in told
