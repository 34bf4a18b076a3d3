# SPDX-License-Identifier: Apache-2.0
"""What happens, as server-sent events: by who reads them himself, and by musterctl watch."""
import http.client
import json
import socket

import contract
from ops import UnixConnection
from processes import wait_for
from terminal import Terminal

HAPPENING = {"$ref": "#/components/schemas/Happening"}


class Stream:
    """Reads one stream, event by event; each is held against fleet/openapi.json."""

    def __init__(self, connection, query="", headers=None):
        self.connection, self.last = connection, None
        connection.request("GET", f"/api/v1/events{query}", headers=headers or {})
        self.reply = connection.getresponse()
        assert self.reply.status == 200 and self.reply.getheader("Content-Type") == "text/event-stream"
        assert self.reply.readline() == b"retry: 3000\n" and self.reply.readline() == b"\n"

    def next(self):
        """(name, data) of the next event; None: the stream has ended."""
        said = {}
        while True:
            line = self.reply.readline().decode()
            if line == "":
                return None
            if line == "\n" and "data" in said:
                break
            if line != "\n" and not line.startswith(":"):
                name, _, value = line.rstrip("\n").partition(": ")
                said[name] = value
        self.last, data = said["id"], json.loads(said["data"])
        if said["event"] not in ("missed", "end"):
            contract.check_json(HAPPENING, data, "an event")
            assert data["id"] == said["id"] and data["kind"] == said["event"]
        return said["event"], data

    def until(self, name, **wanted):
        while (event := self.next()) is not None:
            detail = event[1].get(name) or {}
            if event[0] == name and all(detail.get(key) == value for key, value in wanted.items()):
                return event[1]
        raise AssertionError(f"the stream ended before {name} {wanted}")


def stream(ops, query="", **headers):
    return Stream(UnixConnection(ops.folder / "api.sock"), query, headers)


def label(ops, number):
    ops.ctl_ok("device", "label", "--device", "term-2", f"n=v{number}")


def test_a_terminal_is_followed_as_it_lives(ops, bin_dir, processes, run_dir, broker, pki):
    following = stream(ops)
    terminal = Terminal(bin_dir, processes, run_dir / "term-1", "term-1", ops.root)
    ops.enrol(terminal)
    assert following.until("change", what="enrol")["device"] == "term-1"
    terminal.start_agent()
    terminal.start_link(broker, pki)
    terminal.wait_connected()
    assert following.until("online")["device"] == "term-1"
    assert terminal.record(3).returncode == 0
    assert terminal.record(1, first=10, outcome="declined", code="57").returncode == 0
    failed = following.until("result")
    assert (failed["result"]["code"], failed["result"]["outcome"]) == ("57", "declined")
    terminal.link.kill()
    assert following.until("offline")["device"] == "term-1"


def test_who_comes_back_misses_nothing(ops, broker, pki):
    ops.add_device("term-2", "12345672")
    following = stream(ops)
    label(ops, 1)
    following.until("change", what="label")
    place = following.last
    label(ops, 2)
    ops.process.stop()
    assert following.until("change", what="label")
    assert following.next() == ("end", {"why": "musterd stops"})
    assert following.next() is None
    ops.start(broker, pki).wait_line("ready")
    label(ops, 3)
    for way in ({"Last-Event-ID": place}, {}):
        query = "" if way else f"?last_event_id={place}"
        again = Stream(UnixConnection(ops.folder / "api.sock"), query, way)
        assert "v2" in again.until("change", what="label")["change"]["text"]
        assert "v3" in again.until("change", what="label")["change"]["text"]
    asked = stream(ops, **{"Last-Event-ID": "1-1"})
    assert asked.next()[0] == "missed"


def test_only_what_was_asked_for_and_may_be_seen(ops):
    ops.add_device("term-2", "12345672")
    made = ops.json("token", "add", "other", "--region", "south")["token"]
    ops.ctl_ok("device", "label", "--device", "term-2", "a=b")
    part = Stream(http.client.HTTPConnection("127.0.0.1", ops.port, timeout=30), "?kinds=change",
                  {"Authorization": f"Bearer {made}"})
    ops.ctl_ok("token", "add", "third")  # of no device: not for who is for a part
    label(ops, 1)
    assert part.next()[1]["change"]["what"] == "label"
    ops.ctl_ok("token", "revoke", "other")
    assert part.next() == ("end", {"why": "the token is over"})
    assert ops.raw("GET", "/api/v1/events?kinds=colour")[0] == 400
    assert ops.raw("GET", "/api/v1/events?device=nobody")[0] == 404


def test_who_reads_nothing_keeps_nobody_waiting(ops):
    ops.add_device("term-2", "12345672")
    with socket.socket(socket.AF_UNIX) as lazy:
        lazy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        lazy.settimeout(60)
        lazy.connect(str(ops.folder / "api.sock"))
        lazy.sendall(b"GET /api/v1/events?last_event_id=0-0 HTTP/1.1\r\nHost: x\r\n\r\n")
        following = stream(ops)
        for number in range(100):
            text = json.dumps({"set": {"n": f"{number}-" + "x" * 50}}).encode()
            assert ops.http("POST", "/api/v1/devices/term-2/labels", text)[0] == 200
            assert following.until("change", what="label")
    assert ops.http("GET", "/healthz")[0] == 200


def test_there_is_always_room_for_a_question(ops):
    streams = [stream(ops) for _ in range(32)]
    status, reply = ops.http("GET", "/api/v1/events")
    assert status == 429 and "come back" in reply["error"]["text"]
    assert ops.http("GET", "/api/v1/devices")[0] == 200
    streams.pop().connection.close()

    def room():
        ops.http("GET", "/api/v1/devices")
        connection = UnixConnection(ops.folder / "api.sock")
        connection.request("GET", "/api/v1/events")
        status = connection.getresponse().status
        connection.close()
        return status == 200
    # Who has left is noticed when something is to be said to him.
    ops.ctl_ok("token", "add", "something-new")
    wait_for(room, timeout=60, what="room for another")


def test_musterctl_watches(ops, processes):
    ops.add_device("term-2", "12345672")
    out = ops.folder / "watched"
    watching = processes.start("watch", ["/bin/sh", "-c", f"exec {ops.bin}/musterctl watch --kinds change --count 2 "
                                         f"--server unix:{ops.folder}/api.sock > {out}"], cwd=ops.folder)
    wait_for(lambda: b"muster_http_streams_total 1\n" in ops.raw("GET", "/metrics")[1], what="somebody follows")
    label(ops, 1)
    label(ops, 2)
    assert watching.wait() == 0
    lines = out.read_text().splitlines()
    assert len(lines) == 2 and all("change" in line and "term-2" in line and "label" in line for line in lines)
    since = ops.query("SELECT id || '-' || at_ms FROM feed WHERE device <> 0 ORDER BY id LIMIT 1")[0][0]
    rows = [json.loads(line) for line in ops.ctl_ok("watch", "--since", since, "--count", "2", "-o", "json").splitlines()]
    assert [row["change"]["what"] for row in rows] == ["label", "label"]
    assert "kinds" in ops.fails(3, "watch", "--kinds", "colour")
    ops.fails(7, "watch", "--device", "nobody")
