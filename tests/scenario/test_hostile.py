# SPDX-License-Identifier: Apache-2.0
"""Networks that break and brokers that attack: the link lives on, the agent sees but a gap."""
import re
import signal
import threading
import time

import pytest

from fleet_side import FleetSide
from hostile_broker import SAID, HostileBroker
from link_bench import up
from pki import Identity, Pki
from processes import wait_for
from proxy import Proxy
from terminal import Terminal

# In the order of one link's life: the broker's mood, and what the link says of it.
MOODS = {
    "no TLS": "TLS|wrong version",
    "noise for TLS": "TLS",
    "hang up": "TLS handshake failed|reset by peer|broken pipe",
    "no connack": "instead of a CONNACK",
    "refuse": "CONNACK 135",
    "banned": "CONNACK 138",
    "bad password": "CONNACK 134",
    "busy for all": "CONNACK 137",
    "kick": "closed the connection",
    **{mood: "" for mood in SAID},
    "unknown puback": "acknowledged what was never sent",
    "100,000 unknown pubacks": "acknowledged what was never sent",
    "2,000 unknown pubacks with text": "acknowledged what was never sent",
    "qos 2": "QoS 2",
    "pubrec": "QoS 2",
    "pubrel": "QoS 2",
    "pubcomp": "QoS 2",
    "suback": "subscription that was not asked for",
    "unsuback": "subscription that was not asked for",
    "second connack": "a second CONNACK",
    "auth": "AUTH",
    "pingreq": "PINGREQ",
    "disconnects": "ended the session|closed the connection",
    "endless": "longer than",
    "256 MB": "longer than|memory",
}
GROWTH_KB = 40 * 1024  # sanitized: 32 MB of it is the shadow of the 256 MB asked for
# What the sanitizer keeps aside after a free is not the program's. And libmosquitto does not give
# back the properties of a PUBACK that it cannot place: one a session, then the guard ends it.
MEASURED = {"ASAN_OPTIONS":
            "quarantine_size_mb=1:thread_local_quarantine_size_kb=64:detect_leaks=0"}


def rss_kb(process):
    with open(f"/proc/{process.pid}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))


def test_one_link_survives_every_hostile_broker(bench):
    with HostileBroker(bench.pki, "good") as hostile:
        link = bench.start(f"localhost:{hostile.port}", protocol="5", retry_max="50ms", env=MEASURED)
        bench.agent.connected()
        before = rss_kb(link)
        for mood, reason in MOODS.items():
            hostile.mood = mood
            hostile.end_all()
            peak = link.peak_kb()
            state = bench.agent.disconnected(f"^localhost:{hostile.port}: .*({reason})")
            assert state.next_attempt_ms > 0
            print(f"{mood}: {state.reason.partition(': ')[2]}; peak +{link.peak_kb() - peak} KiB")
        assert link.peak_kb() - before < GROWTH_KB
        hostile.mood = "good"
        hostile.end_all()
        bench.agent.publish_until_taken(up("batch"), b"as if nothing had been")
        after = rss_kb(link)
        print(f"RSS {before} KiB before, {after} KiB after, peak {link.peak_kb()} KiB")
        assert link.stop() == 0


def test_a_link_that_a_broker_kills_is_started_again(bench, run_dir):
    """An assertion in libmosquitto: no guard of ours comes before it, so the supervisor does. Each
    start knows of those before it, so that a crash does not reset the back-off."""
    supervised = {"RUNTIME_DIRECTORY": str(run_dir)}
    with HostileBroker(bench.pki, "kills") as hostile:
        for times in range(4):
            hostile.mood = "kills" if times < 3 else "good"
            link = bench.start(f"localhost:{hostile.port}", protocol="5", env=supervised)
            link.wait_line("agent: joined")  # said after it
            assert (f"ended {times} times before a session" in link.log()) == (times > 0)
            if times == 3:
                break
            bench.agent.gone()
            assert link.wait() == -signal.SIGABRT
        bench.agent.publish_until_taken(up("batch"), b"after the gap")
        # stable = 1s in these settings
        wait_for(lambda: not (run_dir / "restarts").exists(), what="the starts are forgotten")


@pytest.mark.parametrize("mood", ["kick", "refuse"])
def test_the_wait_grows_until_a_session_was_stable(bench, mood):
    with HostileBroker(bench.pki, mood) as hostile:
        link = bench.start(f"localhost:{hostile.port}", protocol="5", retry_first="10ms",
                           retry_max="1h", stable="30s")
        for _ in range(8):
            bench.agent.disconnected()
        waits = [int(wait) for wait in re.findall(r"next attempt in (\d+) ms", link.log())]
        print(f"{mood}: waits of {waits} ms")
        # With 10 ms again after each CONNACK none could be above; by chance all are once in 10^6.
        assert max(waits[3:8]) > 20


# ---- certificates ----

NAMED = "DNS:localhost,IP:127.0.0.1"
FAR = "DNS:localhostZ.evil.example"


def server(pki, kind):
    good = pki.server(NAMED)
    if kind == "expired":
        return pki.dated(good, "010101000000Z", "020101000000Z")
    if kind == "not yet valid":
        return pki.dated(good, "300101000000Z", "360101000000Z")
    if kind == "NUL in the SAN":
        return pki.forged(pki.server(FAR), (b"localhostZ", b"localhost\0"))
    if kind == "NUL in the CN":
        return pki.forged(pki.named("localhostZ.evil.example", "DNS:evil.example"),
                          (b"localhostZ", b"localhost\0"))
    return pki.named("localhost", "DNS:evil.example")  # right in the CN, which is not looked at


@pytest.mark.parametrize("kind, complaint", [
    ("NUL in the SAN", "hostname mismatch|invalid or inconsistent"),
    ("NUL in the CN", "hostname mismatch"),
    ("the name in the CN alone", "hostname mismatch"),
    ("expired", "has expired"),
    ("not yet valid", "not yet valid"),
])
def test_a_certificate_that_is_not_the_brokers_is_refused(bench, pki, kind, complaint):
    with HostileBroker(pki, "good", server(pki, kind)) as hostile:
        link = bench.start(f"localhost:{hostile.port}", protocol="5")
        state = bench.agent.disconnected(f"^localhost:{hostile.port}: .*({complaint})")
        print(f"{kind}: {state.reason}")
        bench.agent.disconnected(complaint)
        assert "connected to" not in link.log()


def test_a_clock_that_is_behind_is_judged_by_the_floor(bench, run_dir):
    """A terminal in 1970 must neither refuse a good certificate nor take one that has expired."""
    bench.pki = Pki(run_dir / "lasting", days=6000)
    with HostileBroker(bench.pki, "good", server(bench.pki, "not yet valid")) as hostile:
        bench.start(f"localhost:{hostile.port}", protocol="5",
                    time_floor=1956528000)  # 2032, between its dates
        bench.agent.publish_until_taken(up("batch"), b"x")


# ---- the network ----

def test_a_line_that_goes_dead_is_noticed(make_bench, broker):
    """Half-open, a byte a second, and a broker that sends and never reads: side by side, for each
    takes its time."""
    dead, slow, flooded = make_bench(), make_bench(), make_bench()
    with Proxy(broker.port) as dead_line, Proxy(broker.port) as slow_line, \
            HostileBroker(flooded.pki, "flood") as flood:
        link = flooded.start(f"localhost:{flood.port}", protocol="5", keepalive="5s", env=MEASURED)
        flooded.agent.connected()
        before = rss_kb(link)
        for bench, line in ((dead, dead_line), (slow, slow_line)):
            bench.start(line.address, protocol="5", keepalive="5s",
                        identity=bench.pki.client(f"term-{len(line.address)}-{line.port}"[:32]))
            bench.agent.connected()
        began = time.monotonic()
        dead_line.silence()
        slow_line.trickle_s = 1
        slow.agent.publish(1, up("batch"), bytes(64))  # is taken, a byte a second
        dead.agent.disconnected("no answer to a ping within")
        print(f"half-open: noticed after {time.monotonic() - began:.1f} s, keepalive 5 s")
        dead.agent.connected()
        slow.agent.disconnected("at less than 100 bytes a second")
        print(f"a byte a second: given up after {time.monotonic() - began:.1f} s")
        flooded.agent.disconnected("no answer to a ping within")
        print(f"flood without an end: peak +{link.peak_kb() - before} KiB")
        assert link.peak_kb() - before < GROWTH_KB
        slow_line.trickle_s = 0
        slow_line.cut()
        slow.agent.connected()


def test_a_connack_at_a_byte_a_second_is_not_waited_for(bench, broker):
    with Proxy(broker.port) as line:
        line.trickle_s = 1
        link = bench.start(line.address, protocol="5", connect_limit="1s")
        bench.agent.disconnected("no session within 1000 ms")
        assert link.cpu_ms() < 600


def test_a_session_is_resumed_for_half_of_the_bytes(bench, broker):
    with Proxy(broker.port) as line:
        bench.start(line.address, protocol="5", retry_max="50ms")
        before = bench.agent.connected()
        full = before.up["tls"] + before.down["tls"]
        for resumed in range(1, 4):
            line.cut()
            lost = bench.agent.disconnected()
            state = bench.agent.connected()
            assert (state.resumed, state.sessions) == (resumed, resumed + 1)
            half = state.up["tls"] + state.down["tls"] - lost.up["tls"] - lost.down["tls"]
            assert half < full * 0.6
        print(f"TLS bytes to connect: {full} in full, {half} resumed; with TCP/IP "
              f"{before.up['tcpip'] + before.down['tcpip']} in full")
        for way in (state.up, state.down):
            assert way["payload"] <= way["mqtt"] < way["tls"] < way["tcpip"]


def test_a_session_is_not_resumed_with_another_certificate_or_authority(bench, broker, run_dir):
    with Proxy(broker.port) as line:
        ca = run_dir / "ca.pem"
        ca.write_bytes(bench.pki.ca.read_bytes())
        own = run_dir / "own.pem"
        own.write_bytes(bench.pki.client("term-1").certificate.read_bytes())
        identity = Identity(run_dir, "own")
        identity.certificate = own
        identity.key = bench.pki.client("term-1").key
        bench.start(line.address, protocol="5", retry_max="50ms", ca=ca, identity=identity)
        bench.agent.connected()
        own.write_bytes(bench.pki.renewed("term-1").certificate.read_bytes())
        line.cut()
        bench.agent.disconnected()
        assert bench.agent.connected().resumed == 0, "with a renewed certificate of ours"
        ca.write_bytes(Pki(run_dir / "stranger").ca.read_bytes())
        line.cut()
        bench.agent.disconnected("closed the connection")
        # A ticket is at hand, and it must not get past an authority that vouches no more.
        bench.agent.disconnected("certificate refused")
        ca.write_bytes(bench.pki.ca.read_bytes())
        assert bench.agent.connected().resumed == 0, "the session was forgotten"


# ---- a whole terminal ----

FAST = "retry_first = 10ms\nretry_max = 20ms\nkeepalive = 5s\nprotocol = 5"
STEP = 149  # bytes; the conversation is some 5,000 long


class Till(threading.Thread):
    """Hands results over, without a pause, until it is told to stop."""

    def __init__(self, terminal):
        super().__init__(daemon=True)
        self.terminal, self.count, self.refused = terminal, 0, []
        self.enough = threading.Event()

    def run(self):
        while not self.enough.is_set():
            done = self.terminal.record(5, first=1 + self.count)
            self.count += 5
            if done.returncode != 0:
                self.refused.append(done.stderr)

    def stop(self):
        self.enough.set()
        self.join(60)
        assert self.refused == [], "the agent must answer whatever the broker does"
        return self.count


def test_resets_all_over_and_broker_restarts_lose_and_double_nothing(
        bin_dir, processes, run_dir, broker, pki):
    fleet = FleetSide(bin_dir, processes, run_dir / "fleet")
    fleet.start(broker, pki)
    terminal = Terminal(bin_dir, processes, run_dir / "term", "term-0001", fleet.root)
    fleet.enrol(terminal)
    places = iter(range(1, 5200, STEP))
    with Proxy(broker.port) as line:
        line.next_reset_at = lambda: next(places, None)
        line.reset_at = line.next_reset_at()
        terminal.start_agent()
        link = terminal.start_link(line, pki, extra=FAST)
        till = Till(terminal)
        till.start()
        wait_for(lambda: line.reset_at is None, timeout=90, what="the sweep is over")
        print(f"{line.resets} resets, {till.count} results meanwhile")
        terminal.wait_connected()
        # The last reset is felt some time after it was sent, by both ends.
        wait_for(lambda: terminal.status()["link"]["failures"] >= line.resets,
                 what="each reset is counted")
        terminal.wait_connected()
        for _ in range(2):  # in the midst of traffic
            seen = fleet.results()
            broker.kill()
            wait_for(lambda: not terminal.status()["connected"], what="the outage is seen")
            shown = terminal.muster("status").stdout
            assert f"not connected: {line.address}: " in shown and "what to do: " in shown
            broker.start()
            wait_for(lambda before=seen: fleet.results() > before, timeout=60,
                     what="results arrive again")
        count = till.stop()
        fleet.wait_results(count, timeout=60)
        terminal.wait_connected()
        keys = fleet.query("SELECT count(DISTINCT idempotency_key) FROM result")
        assert keys == [(count,)], "each once"
        assert link.running(), "one and the same link"
        shown = terminal.muster("status").stdout
        print(shown)
        assert f"connected to {line.address}" in shown and "last failure" in shown
