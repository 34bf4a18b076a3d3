# SPDX-License-Identifier: Apache-2.0
"""A device that moves to another merchant: what happened before is the one's to know, what happens
after the other's, for ever and wherever it is asked."""
import http.client
import subprocess

import pytest

from terminal import Terminal
from test_events import Stream


@pytest.fixture
def terminal(ops, bin_dir, processes, run_dir, broker, pki):
    terminal = Terminal(bin_dir, processes, run_dir / "term-1", "term-1", ops.root)
    ops.ctl_ok("device", "add", "term-1", "--serial", "SN-1", "--model", "A920", "--agent-key",
               terminal.make_key(), "--merchant", "m1", "--store", "s1", "--region", "north",
               "--terminal", "0:unionpay:T0000001:M0001")
    terminal.start_agent()
    terminal.start_link(broker, pki)
    terminal.wait_connected()
    return terminal


class Shop:
    """Somebody with a token for a merchant."""

    def __init__(self, ops, merchant):
        self.ops = ops
        self.token = ops.json("token", "add", f"desk-{merchant}", "--merchant", merchant)["token"]

    def get(self, path):
        return self.ops.tcp("GET", f"/api/v1/{path}", self.token)

    def stream(self, query=""):
        return Stream(http.client.HTTPConnection("127.0.0.1", self.ops.port, timeout=30), query,
                      {"Authorization": f"Bearer {self.token}"})


def move(ops, number):
    ops.ctl_ok("device", "move", "term-1", "--merchant", f"m{number}", "--store", f"s{number}",
               "--region", ("north", "south")[number - 1],
               "--terminal", f"0:unionpay:T000000{number}:M000{number}", "--why", f"off to m{number}")


def in_other_hands(ops):
    """There is an m2, so that a token can be for it."""
    key = ops.folder / "term-2.pem"
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", key], check=True,
                   capture_output=True)
    key.chmod(0o600)
    ops.ctl_ok("device", "add", "term-2", "--serial", "SN-2", "--model", "A920", "--agent-key", key,
               "--merchant", "m2", "--store", "s2", "--region", "south", "--terminal",
               "0:unionpay:T0000008:M0002")


def test_a_sale_that_is_told_late_is_of_where_it_was_made(ops, terminal, broker, pki):
    in_other_hands(ops)
    one, two = Shop(ops, "m1"), Shop(ops, "m2")
    hears = one.stream("?kinds=result,change"), two.stream("?kinds=result,change")
    terminal.link.stop()
    assert terminal.record(2, outcome="declined", code="57", issuer_bucket="OURS").returncode == 0
    move(ops, 2)
    ops.ctl_ok("device", "label", "--device", "term-2", "corner=right")
    assert terminal.record(1, first=10, outcome="declined", code="05", issuer_bucket="THEIRS").returncode == 0
    terminal.start_link(broker, pki)
    for _ in range(2):
        assert hears[0].next()[1]["result"]["issuer"] == "OURS"
    assert hears[1].next()[1]["change"]["what"] == "label"  # and not from where term-1 came
    moved = hears[1].last
    assert hears[1].next()[1]["result"]["issuer"] == "THEIRS"
    # Of what is his he may also ask by the name of the device that left, and of no other.
    again = one.stream(f"?kinds=result&device=term-1&last_event_id={moved}")
    assert [again.next()[1]["result"]["issuer"] for _ in range(2)] == ["OURS"] * 2
    assert one.get("events?device=term-2")[0] == 404


def places(reply):
    return [(row["merchant"], row["store"]) for row in reply[1]["standings"]]


def tids(reply, member="terminals"):
    assert reply[0] == 200, reply
    return [(row["device"], row["tid"]) for row in reply[1][member]]


def test_history_is_of_whoever_it_happened_at(ops, terminal):
    in_other_hands(ops)
    one, two = Shop(ops, "m1"), Shop(ops, "m2")
    ops.ctl_ok("device", "label", "--device", "term-1", "corner=left-of-m1")
    ops.ctl_ok("action", "term-1", "selfcheck")
    move(ops, 2)
    ops.ctl_ok("device", "label", "--device", "term-1", "corner=right-of-m2")
    for who, other, number in ((one, two, 1), (two, one, 2)):
        history = who.get("devices/term-1/history")
        assert places(history) == [(f"m{number}", f"s{number}")]
        assert tids(history) == [("term-1", f"T000000{number}")]
        assert (history[1]["terminals"][0]["to_ms"] == 0) == (number == 2)
        assert tids(who.get(f"terminals/T000000{number}"), "carriers") == [("term-1", f"T000000{number}")]
        assert other.get(f"terminals/T000000{number}")[0] == 404
        changes = [row["text"] for row in who.get("changes?device=term-1")[1]["changes"]]
        assert len([text for text in changes if "corner" in text]) == 1
        assert not any(f"m{3 - number}" in text for text in changes), changes
    assert [row["what"] for row in one.get("changes?device=term-1")[1]["changes"]] == ["action", "label", "enrol"]
    # Who has the device sees it as it is, and of its past what is his.
    assert one.get("devices/term-1")[0] == 404
    described = two.get("devices/term-1")[1]
    assert described["actions"] == [] and two.get("actions")[1]["actions"] == []
    assert [row["kind"] for row in one.get("actions?device=term-1")[1]["actions"]] == ["selfcheck"]
    assert places((200, ops.json("device", "history", "term-1"))) == [("m1", "s1"), ("m2", "s2")]
    assert tids(ops.http("GET", "/api/v1/terminals/T0000001"), "carriers") == [("term-1", "T0000001")]


def test_a_duty_names_the_place_that_it_is_about(ops, terminal):
    in_other_hands(ops)
    one, two = Shop(ops, "m1"), Shop(ops, "m2")
    move(ops, 2)
    move(ops, 1)
    ops.ctl_ok("device", "move", "term-1", "--merchant", "m1", "--store", "s9", "--address", "9 Elm Street")

    def duties(reply):
        return [(row["act"], row["tid"], row["merchant"], row["store"], row["address"])
                for row in reply["duties"]]
    released = ("unbind", "T0000002", "m2", "s2", "")
    open_now = [released, ("address", "T0000001", "m1", "s9", "9 Elm Street")]
    assert duties(ops.json("get", "duties")) == open_now
    assert duties(two.get("duties")[1]) == open_now[:1] and duties(one.get("duties")[1]) == open_now[1:]
    assert "T0000002" not in str(one.get("devices/term-1")) + str(one.get("devices/term-1/history"))
