# SPDX-License-Identifier: Apache-2.0
"""musterd on a real broker: what it says of itself, what it takes and refuses, how it starts and ends."""
import csv
import http.client
import io
import os
import re
import signal
import socket
import subprocess
import time

import pytest

from ops import Ops, UnixConnection
from processes import wait_for
from terminal import Terminal


@pytest.fixture
def ops(bin_dir, processes, pki, broker, run_dir):
    ops = Ops(bin_dir, processes, run_dir / "ops")
    start(ops, broker, pki)
    return ops


def start(ops, broker, pki):
    ops.start(broker, pki).wait_line("connected to")


def metrics(ops):
    """The metrics as {name with labels: value}, each line checked for its form."""
    connection = UnixConnection(ops.folder / "api.sock")
    connection.request("GET", "/metrics")
    reply = connection.getresponse()
    assert reply.status == 200 and reply.getheader("Content-Type").startswith("text/plain")
    text = reply.read().decode()
    connection.close()
    values, typed = {}, set()
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            typed.add(line.split()[2])
        elif not line.startswith("#"):
            assert re.fullmatch(r'[a-z_]+(\{[a-z_]+="[^"]*"(,[a-z_]+="[^"]*")*\})? [0-9.e+-]+', line), line
            name, _, value = line.rpartition(" ")
            base = re.sub(r"_(bucket|sum|count)$", "", name.partition("{")[0])
            assert {base, name.partition("{")[0]} & typed, f"{name} has no type"
            values[name] = float(value)
    return values


def refused(ops, kind, reason):
    return metrics(ops).get(f'muster_refused_total{{kind="{kind}",reason="{reason}"}}', 0)


def started_terminal(ops, bin_dir, processes, run_dir, broker, pki):
    terminal = Terminal(bin_dir, processes, run_dir / "term-1", "term-1", ops.root)
    ops.enrol(terminal)
    terminal.start_agent()
    terminal.start_link(broker, pki)
    terminal.wait_connected()
    return terminal


def device(ops, name):
    return ops.http("GET", f"/api/v1/devices/{name}")[1]


def results(ops, **query):
    asked = "&".join(f"{key}={value}" for key, value in query.items())
    status, reply = ops.http("GET", f"/api/v1/errors?{asked}")
    assert status == 200, reply
    return reply


# ---- records ----

def test_results_are_counted_and_shown(ops, bin_dir, processes, run_dir, broker, pki):
    terminal = started_terminal(ops, bin_dir, processes, run_dir, broker, pki)
    assert terminal.record(40).returncode == 0
    assert terminal.record(10, first=41, outcome="declined", code="57").returncode == 0
    wait_for(lambda: results(ops, by="code")["total"] == 50, what="50 results")
    reply = results(ops, by="code")
    assert [(row["key"], row["count"], row["declined"]) for row in reply["rows"]] == [
        ("00", 40, 0), ("57", 10, 10)]
    assert reply["rows"][1]["share"] == 0.2
    assert reply["rows"][1]["amounts"] == [{"currency": 156, "amount_minor": sum(100 + n for n in range(41, 51))}]
    assert "amount_minor" not in reply["rows"][1], "a sum over currencies is none"
    assert reply["not_in_service"] == 0
    assert results(ops, by="outcome")["rows"][0]["key"] == "approved"
    assert results(ops, by="device")["rows"][0]["key"] == "term-1"
    assert results(ops, by="code", since_ms=2**45)["total"] == 0
    assert ops.http("GET", "/api/v1/errors?by=colour")[0] == 400
    assert ops.http("GET", "/api/v1/errors?by=code&device=nobody")[0] == 404
    counted = metrics(ops)
    assert counted['muster_records_total{lane="txn"}'] == 50
    assert counted["muster_record_conflicts_total"] == 0
    assert counted['muster_devices{state="in_service"}'] == 1
    assert counted["muster_commit_seconds_count"] == counted['muster_commit_seconds_bucket{le="+Inf"}'] > 0
    shown = device(ops, "term-1")
    assert shown["online"] and shown["last_seen_ms"] > 0
    assert shown["terminals"][0]["tid"] == "T0000001"
    assert any(s["lane"] == "txn" and s["cumulative"] == 50 for s in shown["streams"])
    assert any(event["kind"] == "open" for event in shown["events"])


def test_the_window_is_the_one_that_was_asked(ops, make_terminal):
    """Of a fleet where nothing was sold, before its first sale and after its last."""
    hour_ms = 3600000
    now_ms = int(time.time() * 1000)
    nothing = results(ops, by="code")
    assert (nothing["to_ms"] - nothing["from_ms"]) // 60000 in (60, 61) and abs(nothing["to_ms"] - now_ms) < hour_ms
    make_terminal().record(5)
    ops.wait_results(5)
    asked = results(ops, by="code", from_ms=1792879200000, to_ms=1792969200000)  # 25 October 2026, in Berlin
    assert (asked["from_ms"], asked["to_ms"], asked["kept_from_ms"]) == (1792879200000, 1792969200000, 0)
    assert "from 2035-01-01T00:00Z to 2035-01-02T00:00Z" in ops.ctl_ok(
        "errors", "--from", "2035-01-01T00:00Z", "--to", "2035-01-02T00:00Z")
    hour = results(ops, by="code", from_ms=now_ms - hour_ms, to_ms=now_ms)
    assert hour["to_ms"] - hour["from_ms"] == hour["week_ago"]["to_ms"] - hour["week_ago"]["from_ms"] >= hour_ms
    assert ops.http("GET", "/api/v1/errors?by=code&since_ms=1&from_ms=2")[0] == 400


def test_rates_stand_beside_the_rest_of_the_fleet(ops, bin_dir, processes, run_dir, broker, pki):
    terminal = started_terminal(ops, bin_dir, processes, run_dir, broker, pki)
    other = Terminal(bin_dir, processes, run_dir / "term-2", "term-2", ops.root)
    ops.enrol(other)
    other.start_agent()
    other.start_link(broker, pki)
    other.wait_connected()
    assert terminal.record(40).returncode == 0
    assert terminal.record(10, first=41, outcome="declined", code="57").returncode == 0
    assert other.record(200).returncode == 0
    wait_for(lambda: results(ops, by="code")["total"] == 250, what="250 results")
    for what in ("rates", "top"):
        reply = ops.http("GET", f"/api/v1/{what}?by=device&since_ms={7 * 86400000}")[1]
        first, second = reply["rows"]
        assert (first["key"], first["results"], first["errors"]) == ("term-1", 50, 10)
        assert first["rate"] == 0.2 and first["low"] < 0.2 < first["high"] and first["verdict"] == "more"
        assert first["rest"]["results"] == 200 and first["rest"]["errors"] == 0
        assert first["amounts"][0]["amount_minor"] == sum(100 + n for n in range(41, 51))
        assert (second["key"], second["verdict"]) == ("term-2", "less") and reply["total"] == 250
    one_code = ops.http("GET", "/api/v1/rates?by=model&code=57&devices=device=term-1")[1]["rows"][0]
    assert (one_code["results"], one_code["errors"], one_code["rest"]["results"]) == (50, 10, 200)
    chosen = results(ops, by="code", device="term-1")["rows"]
    assert chosen[1]["share"] == 0.2 and chosen[1]["rest"]["rate"] == 0
    week = 7 * 86400000
    now_ms = int(time.time() * 1000)
    hour = ops.http("GET", f"/api/v1/errors?by=code&from_ms={now_ms - 3600000}&to_ms={now_ms + 60000}")[1]
    assert hour["rows"][0]["before"] is None  # nothing was sold then: no rate of it
    assert ops.http("GET", f"/api/v1/errors?by=code&from_ms={now_ms}&to_ms={now_ms - week}")[0] == 400
    assert (hour["week_ago"]["zone"], now_ms - hour["week_ago"]["to_ms"] < week) == ("UTC", True)
    assert "the same hours by the clock of Europe/Berlin" in ops.ctl_ok("errors", "--zone", "Europe/Berlin")
    assert "time zone \"Berlin\"" in ops.ctl("errors", "--zone", "Berlin").stderr
    table = ops.ctl_ok("top", "--by", "device", "--code", "57").splitlines()
    assert table[0].startswith("250 results from ")
    assert [line.split()[:3] for line in table[-2:]] == [["term-1", "50", "10"], ["term-2", "200", "0"]]
    assert "more" in table[-2] and "20.00 %" in table[-2]
    assert "No sum knows all of that: read from rows" in ops.ctl_ok(
        "rates", "--by", "issuer", "--device", "term-1")
    assert ops.ctl("errors", "--by", "code", "--since", "1h", "--until", "2h").returncode == 2
    rows = list(csv.DictReader(io.StringIO(ops.ctl_ok("rates", "--by", "device", "-o", "csv"))))
    assert [(row["DEVICE"], row["RESULTS"], row["WEEK AGO (%)"], row["BESIDE IT"]) for row in rows] == [
        ("term-1", "50", "", "more"), ("term-2", "200", "", "less")]  # nothing was sold then
    seen = next(csv.DictReader(io.StringIO(ops.ctl_ok("get", "devices", "-o", "csv"))))["SEEN"]
    assert re.fullmatch(r"2\d{3}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", seen)
    assert ops.ctl("errors", "--outcome", "no such word").returncode != 0


def test_a_killed_musterd_loses_and_doubles_nothing(ops, bin_dir, processes, run_dir, broker, pki):
    terminal = started_terminal(ops, bin_dir, processes, run_dir, broker, pki)
    for part in range(6):
        assert terminal.record(50, first=1 + 50 * part).returncode == 0
        ops.process.kill()
        start(ops, broker, pki)
    wait_for(lambda: results(ops, by="code")["total"] >= 300, timeout=60, what="300 results")
    assert results(ops, by="code")["total"] == 300
    assert metrics(ops)["muster_record_conflicts_total"] == 0
    wait_for(lambda: terminal.status()["health"].get("spool_records", 0) == 0, timeout=60,
             what="all is receipted")


def test_who_was_lost_with_the_broker_is_not_online(ops, bin_dir, processes, run_dir, broker, pki):
    terminal = started_terminal(ops, bin_dir, processes, run_dir, broker, pki)
    wait_for(lambda: device(ops, "term-1")["online"], what="online")
    broker.kill()
    terminal.link.kill()
    broker.start()
    wait_for(lambda: not device(ops, "term-1")["online"], what="offline, though no will was sent")
    terminal.start_link(broker, pki)
    wait_for(lambda: device(ops, "term-1")["online"], what="online again")

def test_presence_follows_the_will(ops, bin_dir, processes, run_dir, broker, pki):
    terminal = started_terminal(ops, bin_dir, processes, run_dir, broker, pki)
    wait_for(lambda: device(ops, "term-1")["online"], what="online")
    terminal.link.kill()
    wait_for(lambda: not device(ops, "term-1")["online"], what="offline by its will")


# ---- bad input ----

def test_foreign_bytes_are_refused_and_counted(ops, broker, pki):
    ops.add_device("term-1", "T0000001")
    identity = pki.client("term-1")
    for payload in (b"\x00", b"\xff" * 5000, os.urandom(60000)):
        for kind in ("batch", "hello"):
            broker.publish(f"muster/v1/up/term-1/{kind}", payload, identity)
    broker.publish("muster/v1/up/term-1/batch", bytes(200 * 1024), identity)
    broker.publish("muster/v1/up/term-1/online", b"maybe", identity)
    broker.publish("muster/v1/up/term-1/online", b"\x08\x01" + bytes(100), identity)
    broker.publish("muster/v1/up/term-2/batch", b"\x0a\x00", pki.client("term-2"))
    wait_for(lambda: refused(ops, "batch", "unknown_device") == 1, what="the last one is refused")
    assert refused(ops, "batch", "not_an_envelope") + refused(ops, "batch", "signature") == 3
    assert refused(ops, "hello", "not_an_envelope") + refused(ops, "hello", "signature") == 3
    assert refused(ops, "batch", "too_long") == 1
    assert refused(ops, "online", "malformed") == refused(ops, "online", "too_long") == 1
    assert ops.process.running()
    assert ops.http("GET", "/healthz") == (200, {"ok": True, "database": "ok", "broker": "ok"})


def test_a_flood_of_refusals_does_not_fill_the_log(ops, broker, pki):
    identity = pki.client("stranger")
    source = broker.folder / "flood"
    source.write_text("x\n" * 800)
    with source.open() as lines:
        subprocess.run([str(arg) for arg in broker._client(
            "mosquitto_pub", identity, "-t", "muster/v1/up/stranger/batch", "-l")],
            stdin=lines, check=True, timeout=60)
    wait_for(lambda: refused(ops, "batch", "unknown_device") == 800, what="800 refusals")
    assert ops.process.log().count("refused batch") < 100
    assert ops.process.peak_kb() < 512 * 1024


@pytest.mark.parametrize("body, status", [
    (b"", 400), (b"[]", 400), (b"{", 400), (b"[" * 60000, 400), (b"x" * (65 * 1024), 413),
    (b'{"id":"UPPER"}', 400), (b'{"id":"a","id":"b"}', 400), (b'\xff', 400),
    (b'{"id":"a\\u0000b"}', 400), (b'{"i\\u0000d":"a"}', 400)],
    ids=["empty", "array", "cut", "deep", "long", "incomplete", "twice", "no-utf8", "nul", "nul-name"])
def test_bad_requests_are_answered(ops, body, status):
    got, reply = ops.http("POST", "/api/v1/devices", body)
    assert got == status
    assert set(reply["error"]) == {"code", "text"} and "JSON_" not in reply["error"]["text"]
    assert ops.http("GET", "/api/v1/devices") == (200, {"devices": []})


def test_requests_that_are_none(ops):
    for raw in (b"\r\n\r\n", b"GET /" + b"a" * 100000 + b" HTTP/1.1\r\n\r\n", b"\x16\x03\x01" * 100,
                b"GET / HTTP/9.9\r\n\r\n", b"POST /api/v1/devices HTTP/1.1\r\nContent-Length: -5\r\n\r\n"):
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(20)
            client.connect(str(ops.folder / "api.sock"))
            try:
                client.sendall(raw)
                client.shutdown(socket.SHUT_WR)
                client.recv(65536)
            except (BrokenPipeError, ConnectionResetError):
                pass
    assert ops.http("GET", "/nothing")[0] == 404
    assert ops.http("DELETE", "/api/v1/devices")[0] == 405
    assert ops.http("GET", "/api/v1/devices/" + "x" * 200)[0] == 404


def test_tcp_serves_only_health_and_metrics_without_a_token(ops):
    def ask(method, path):
        connection = http.client.HTTPConnection("127.0.0.1", ops.port, timeout=20)
        connection.request(method, path, body=b"{}" if method == "POST" else None)
        status = connection.getresponse().status
        connection.close()
        return status
    assert ask("GET", "/healthz") == ask("GET", "/metrics") == 200
    assert ask("GET", "/api/v1/devices") == ask("POST", "/api/v1/devices") == 401
    assert ask("DELETE", "/api/v1/devices") == 405


# ---- the broker ----

def test_health_says_what_is_wrong(ops, broker):
    assert ops.http("GET", "/healthz")[0] == 200
    broker.stop()
    wait_for(lambda: ops.http("GET", "/healthz")[0] == 503, what="unhealthy")
    reply = ops.http("GET", "/healthz")[1]
    assert reply["database"] == "ok" and str(broker.port) in reply["broker"] and not reply["ok"]
    assert metrics(ops)["muster_broker_connected"] == 0
    broker.start()
    wait_for(lambda: ops.http("GET", "/healthz")[0] == 200, what="healthy again")


# ---- start and end ----

def test_wrong_settings_stop_the_start(ops, bin_dir):
    ops.process.stop()
    config = ops.folder / "musterd.conf"
    good = config.read_text()
    (ops.folder / "fleet.db").unlink()

    def run(text, *options):
        config.write_text(text)
        return subprocess.run([bin_dir / "musterd", "--config", config, *options],
                              capture_output=True, text=True, timeout=60, check=False)
    assert run(good, "--check-config").returncode == 0
    lines = good.splitlines()
    for wrong, line in ((good + "colour = red\n", len(lines) + 1),
                        (good.replace("retry_max = 200ms", "retry_max = soon"),
                         lines.index("retry_max = 200ms") + 1),
                        (good.replace("[http]", "[htpp]"),  # its first key is where it is noticed
                         lines.index("[http]") + 2)):
        done = run(wrong)
        assert done.returncode == 2
        assert f"musterd.conf:{line}:" in done.stderr, done.stderr
    # A key that the root does not know would sign for nothing.
    swapped = good.replace("director = keys/director.pem", "director = keys/receipt.pem")
    for options in (["--check-config"], []):
        done = run(swapped, *options)
        assert done.returncode == 2 and "keys.director" in done.stderr
    assert not (ops.folder / "fleet.db").exists(), "nothing is touched before settings are right"
    assert subprocess.run([bin_dir / "musterd", "--colour"], capture_output=True,
                          check=False).returncode == 2
    printed = subprocess.run([bin_dir / "musterd", "--print-settings"], capture_output=True,
                             text=True, check=True).stdout
    for key in ("servers", "director", "coalesce", "listen"):
        assert re.search(rf"^[;# ]*{key} =", printed, re.M), key


def test_it_says_ready_and_ends_on_sigterm(ops, bin_dir, processes, run_dir):
    ops.process.stop()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(str(run_dir / "notify"))
        notify.settimeout(20)
        musterd = processes.start("musterd", [bin_dir / "musterd", "--config",
                                              ops.folder / "musterd.conf"], cwd=ops.folder,
                                  env={"NOTIFY_SOCKET": str(run_dir / "notify")})
        assert notify.recv(100) == b"READY=1"
        musterd.signal(signal.SIGTERM)
        assert notify.recv(100) == b"STOPPING=1"
        assert musterd.wait() == 0
    assert not (ops.folder / "api.sock").exists()


def test_a_second_musterd_does_not_start(ops, bin_dir):
    second = subprocess.run([bin_dir / "musterd", "--config", ops.folder / "musterd.conf"],
                            capture_output=True, text=True, timeout=60, check=False)
    assert second.returncode != 0 and "another process" in second.stderr
    assert ops.http("GET", "/healthz")[0] == 200
