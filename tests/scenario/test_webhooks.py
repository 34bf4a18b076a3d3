# SPDX-License-Identifier: Apache-2.0
"""Webhooks: signed, in order, again and again until they arrive, over restarts, and nobody waits."""
import base64
import contextlib
import hashlib
import hmac
import http.server
import json
import socket
import threading

import pytest

import contract
from ops import Ops
from processes import free_port, wait_for

MESSAGE = {"$ref": "#/components/schemas/WebhookMessage"}


class Server:
    """Keeps what it is sent, and answers with the status that it is told to."""

    def __init__(self, port=0):
        self.messages, self.status, self.secret, self.held = [], 200, None, threading.Event()
        self.endless, self.cut = False, threading.Event()
        self.held.set()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):  # noqa: N802
                outer.take(self)

            def log_message(self, *_):
                pass
        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.http.daemon_threads = True
        self.port = self.http.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}/hook"
        self.thread = threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.02})
        self.thread.start()

    def take(self, request):
        body = request.rfile.read(int(request.headers["Content-Length"]))
        self.held.wait(60)
        if self.secret:
            self.verify(request.headers, body)
        if self.status == 200:
            message = json.loads(body)
            contract.check_json(MESSAGE, message, "a message")
            self.messages.append((request.headers["webhook-id"], message))
        request.send_response(self.status)
        if self.endless:
            request.end_headers()
            with contextlib.suppress(OSError):
                while True:
                    request.wfile.write(b"so be it " * 1000)
            self.cut.set()
            return
        request.send_header("Location", "/elsewhere")
        request.send_header("Content-Length", "0")
        request.end_headers()

    def verify(self, headers, body):
        """As a library of the Standard Webhooks specification does."""
        key = base64.b64decode(self.secret.removeprefix("whsec_"))
        text = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
        wanted = base64.b64encode(hmac.new(key, text, hashlib.sha256).digest()).decode()
        if headers["webhook-signature"] != f"v1,{wanted}":
            self.messages.append(("bad signature", None))

    def events(self):
        return [event for _, message in list(self.messages) for event in message["data"]["events"]]

    def told(self, what):
        return [event["change"]["text"] for event in self.events()
                if event["kind"] == "change" and event["change"]["what"] == what]

    def close(self):
        self.held.set()
        self.http.shutdown()
        self.http.server_close()
        self.thread.join()


@pytest.fixture
def servers():
    made = []

    def make(port=0):
        made.append(Server(port))
        return made[-1]
    yield make
    for server in made:
        server.close()


class Webhooked(Ops):
    def start(self, broker, pki):
        self.write_config(broker, pki)
        config = self.folder / "musterd.conf"
        config.write_text(config.read_text() + "[webhook]\nretry_first = 50ms\nretry_max = 200ms\n")
        # A proxy that is none: who asks it delivers nothing in all of these tests.
        proxies = dict.fromkeys(("http_proxy", "https_proxy", "ALL_PROXY"), "http://127.0.0.1:1")
        self.process = self.processes.start("musterd", [self.bin / "musterd", "--config", config],
                                            cwd=self.folder, env=proxies)
        self.process.wait_line("ready")
        return self.process

    def hook(self, name="desk"):
        return next(row for row in self.json("webhook", "list")["webhooks"] if row["name"] == name)

    def add_hook(self, server, name="desk", *options):
        server.secret = self.json("webhook", "add", name, server.url, *options)["secret"]

    def label(self, number):
        text = json.dumps({"set": {"n": f"v{number}"}}).encode()
        assert self.http("POST", "/api/v1/devices/term-2/labels", text)[0] == 200


@pytest.fixture
def ops(bin_dir, processes, pki, broker, run_dir):
    ops = Webhooked(bin_dir, processes, run_dir / "ops")
    ops.start(broker, pki)
    ops.add_device("term-2", "12345672")
    return ops


def labels(server):
    return [text.removeprefix("set n=") for text in server.told("label")]


def test_what_happens_is_told_signed_and_in_order(ops, servers):
    server = servers()
    ops.add_hook(server)
    for number in range(30):
        ops.label(number)
    wait_for(lambda: len(labels(server)) == 30, what="30 events")
    assert labels(server) == [f"v{number}" for number in range(30)]
    assert not [name for name, _ in server.messages if name == "bad signature"]
    names = [name for name, _ in server.messages]
    assert len(set(names)) == len(names) and all(name.startswith("desk-") for name in names)
    shown = ops.hook()
    assert shown["delivered"] >= 1 and shown["missed"] == 0 and shown["failing_ms"] == 0
    assert "enrol" not in [event["change"]["what"] for event in server.events()], "only what comes from now on"
    assert "desk" in ops.ctl_ok("webhook", "list") and "well" in ops.ctl_ok("webhook", "list")
    assert server.secret.encode() not in ops.process.log().encode()


def test_kinds_are_chosen_and_one_fails_alone(ops, servers):
    good, bad, none = servers(), servers(), servers()
    bad.status = 500
    none.held.clear()  # takes the request, and never answers
    ops.add_hook(good, "good", "--kinds", "change")
    ops.add_hook(none, "silent")
    ops.add_hook(bad, "broken")
    for number in range(5):
        ops.label(number)
    wait_for(lambda: labels(good) == [f"v{number}" for number in range(5)], timeout=10,  # half a request's time
             what="the good one hears all")
    wait_for(lambda: ops.hook("broken")["failures"] >= 3, what="the broken one fails")
    broken = ops.hook("broken")
    assert broken["failing_ms"] > 0 and broken["trouble"] == "answered with status 500"
    wait_for(lambda: good.told("webhook failing"), what="people are told, once")
    wait_for(lambda: ops.hook("broken")["failures"] >= 8, what="it is tried again")
    assert good.told("webhook failing") == ["broken: answered with status 500"]
    assert "failing since" in ops.ctl_ok("webhook", "list")
    assert b"muster_webhooks_failing 1\n" in ops.raw("GET", "/metrics")[1]
    bad.status = 200
    wait_for(lambda: labels(bad) == [f"v{number}" for number in range(5)], what="all that it was not told")
    wait_for(lambda: good.told("webhook well") == ["broken"], what="and that it is well")
    assert ops.hook("broken")["failures"] == 0 and ops.hook("silent")["delivered"] == 0


def test_what_was_not_delivered_survives_a_restart(ops, servers, broker, pki):
    port = free_port()
    away = servers(port)
    ops.add_hook(away)
    secret = away.secret
    ops.label("told-before")
    wait_for(lambda: labels(away) and ops.hook()["behind"] == 0, what="one that is done with")
    away.close()
    for number in range(3):
        ops.label(number)
    wait_for(lambda: ops.hook()["failures"] > 0, what="nobody is there")
    ops.process.kill()
    ops.start(broker, pki)
    assert ops.hook()["failing_ms"] > 0 and ops.hook()["behind"] > 0
    server = servers(port)
    server.secret = secret
    wait_for(lambda: labels(server) == ["v0", "v1", "v2"], what="all three, after the restart")
    assert ops.hook()["failing_ms"] == 0


def test_what_is_no_success_is_sent_again(ops, servers):
    server = servers()
    ops.add_hook(server)
    for status in (302, 404, 410, 429, 503):
        failures = ops.hook()["failures"]
        server.status = status
        ops.label(status)
        wait_for(lambda: ops.hook()["failures"] > failures, what=f"{status} is none")
        server.status = 200
        wait_for(lambda: f"v{status}" in labels(server), what="it arrives")


def test_an_answer_without_end_is_not_read(ops, servers):
    server = servers()
    server.endless = True
    ops.add_hook(server)
    ops.label(1)
    assert server.cut.wait(10), "half a request's time"
    wait_for(lambda: labels(server) and ops.hook()["behind"] == 0, what="2xx is good, whatever follows")
    assert labels(server) == ["v1"] and ops.hook()["failures"] == 0


def test_a_test_says_how_it_went(ops, servers):
    server = servers()
    ops.add_hook(server, "desk", "--kinds", "online")
    assert "answered well" in ops.ctl_ok("webhook", "test", "desk")
    assert server.messages[-1][1]["type"] == "muster.test" and not server.messages[-1][1]["data"]["events"]
    server.status = 418
    assert "status 418" in ops.fails(1, "webhook", "test", "desk")
    ops.fails(7, "webhook", "test", "nobody")


def test_a_removed_one_is_told_nothing(ops, servers):
    server = servers()
    server.held.clear()
    ops.add_hook(server)
    ops.label(1)
    assert "nothing any more" in ops.ctl_ok("webhook", "remove", "desk")  # with a request under way
    ops.fails(7, "webhook", "remove", "desk")
    server.held.set()
    other = servers()
    ops.add_hook(other, "desk", "--kinds", "change")
    ops.label(2)
    wait_for(lambda: labels(other) == ["v2"], what="the new one of that name")
    assert "v2" not in labels(server)
    rows = [row["what"] for row in ops.json("changes")["changes"] if row["what"].startswith("webhook")]
    assert rows == ["webhook add", "webhook remove", "webhook add"]


def test_where_to_and_how_many(ops):
    for url in ("http://example.com/", "ftp://127.0.0.1/", "https://user:pass@example.com/", "file:///etc/passwd",
                "http://127.0.0.1.example.com/", "nothing", "https://", "http://localhost@example.com/",
                "https://bücher.example/", "https://169.254.169.254/latest/", "https://[fe80::1]/"):
        assert "url" in ops.fails(3, "webhook", "add", "desk", url), url
    ops.fails(3, "webhook", "add", "Desk!", "https://example.com/")
    ops.fails(3, "webhook", "add", "desk", "https://example.com/", "--kinds", "colour")
    none = {"name": "desk", "url": "https://example.com/", "kinds": []}
    status, reply = ops.http("POST", "/api/v1/webhooks", json.dumps(none).encode())
    assert status == 400 and "at least one" in reply["error"]["text"]
    nowhere = f"http://127.0.0.1:{free_port()}/"
    for number in range(32):
        ops.ctl_ok("webhook", "add", f"hook-{number}", nowhere, "--kinds", "online")
    assert "no more" in ops.fails(3, "webhook", "add", "hook-32", nowhere)
    assert "already" in ops.fails(3, "webhook", "add", "hook-1", nowhere)


def test_musterd_stops_whatever_a_webhook_does(ops, servers):
    server = servers()
    server.held.clear()
    ops.add_hook(server)
    with socket.socket() as silent:  # takes connections, and says nothing
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        ops.ctl_ok("webhook", "add", "silent", f"http://127.0.0.1:{silent.getsockname()[1]}/")
        ops.label(1)
        assert ops.http("GET", "/healthz")[1]["database"] == "ok"
        ops.process.stop()
