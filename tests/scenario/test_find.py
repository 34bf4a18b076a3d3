# SPDX-License-Identifier: Apache-2.0
"""musterctl find: a shop is on the phone, and somebody looks for its sale."""
import csv
import io
import time
import urllib.parse

import pytest

from processes import wait_for


@pytest.fixture
def terminal(ops, make_terminal):
    """40 sales, one of which the shop calls for."""
    terminal = make_terminal()
    assert terminal.record(39, rrn="632714000001", auth_code="111111").returncode == 0
    assert terminal.record(1, first=40, rrn="632714000040", outcome="declined", code="57",
                           amount_minor=4500).returncode == 0
    ops.wait_results(40)
    # Times are corrected when more is known of the clock, and pages are by time.
    wait_for(lambda: ops.query("SELECT count(*) FROM result WHERE bound_ms = -1 OR bound_ms > 10000") == [(0,)],
             what="times that are known")
    return terminal


def find(ops, **question):
    status, reply = ops.http("GET", "/api/v1/find?" + urllib.parse.urlencode(question))
    assert status == 200, reply
    return reply


def test_the_sale_of_a_caller(ops, terminal):
    moment = time.strftime("%Y-%m-%dT%H:%M+00:00", time.gmtime())
    for what in (("--tid", "T0000001", "--amount", "45.00"), ("--serial", "SN-term-1", "--code", "57"),
                 ("--store", "m1/s1", "--outcome", "declined"), ("--rrn", "632714000040"), ("--stan", "40"),
                 ("--device", "term-1", "--amount", "4500", "--at", moment, "--within", "10m"),
                 ("--merchant", "m1", "--rrn", "632714000040", "--currency", "156", "--since", "1h")):
        reply = ops.json("find", *what)
        assert reply["complete"] and not reply["more"] and reply["next"] is None, what
        assert len(reply["results"]) == 1, what
        found, device = reply["results"][0], reply["devices"][0]
        assert (found["device"], found["serial"], found["tid"], found["rrn"]) == (
            "term-1", "SN-term-1", "T0000001", "632714000040")
        assert (found["merchant"], found["store"], found["store_name"]) == ("m1", "s1", "Main Street")
        assert (found["amount_minor"], found["currency"], found["outcome"]) == (4500, 156, "declined")
        assert (found["code"], found["code_source"], found["state"]) == ("57", "host", "in_service")
        assert abs(found["at_ms"] - time.time() * 1000) < 600000 and found["bound_ms"] >= -2
        assert device["id"] == "term-1" and device["online"] and len(reply["devices"]) == 1
    table = ops.ctl_ok("find", "--tid", "T0000001", "--amount", "45.00")
    assert "57, from the host" in table and "m1/s1 Main Street" in table and "4,500" in table
    assert "Its terminal now:" in table and "Looked for from " in table
    row, = csv.DictReader(io.StringIO(ops.ctl_ok("find", "--rrn", "632714000040", "-o", "csv")))
    assert (row["DEVICE"], row["AMOUNT (MINOR UNITS)"], row["RRN"]) == ("term-1", "4500", "632714000040")


def test_too_many_are_told_page_by_page(ops, terminal):
    assert "go on with --before" in ops.ctl_ok("find", "--auth", "111111", "--limit", "5")
    seen, question = [], {"auth_code": "111111", "limit": 7}
    while True:
        reply = find(ops, **question)
        seen += [found["stan"] for found in reply["results"]]
        assert reply["more"] == (reply["next"] is not None)
        if not reply["more"]:
            break
        assert len(reply["results"]) == 7
        question["before"] = reply["next"]
    assert sorted(seen) == list(range(1, 40))


PROFILE = b"""code\tgroup\tmeaning_en\tmeaning_zh\tacquirer
57\tambiguous\tthis card is not allowed here\t\xe4\xb8\x8d\xe5\x85\x81\xe8\xae\xb8\t
57\tregistration\tterminal is not open\tx\t3
00\tapproved\tapproved\tx\t
"""


def test_a_code_is_told_in_the_words_of_its_profile(ops, terminal):
    """Each acquirer has a dialect of its own; what the terminal made itself is of none."""
    assert terminal.record(1, first=41, outcome="declined", code="57", acquirer=3).returncode == 0
    assert terminal.record(1, first=42, outcome="declined", code="57", code_source="offline").returncode == 0
    assert terminal.record(1, first=43, outcome="declined", code="99").returncode == 0
    ops.wait_results(43)
    def said():
        found = ops.json("find", "--device", "term-1", "--outcome", "declined")["results"]
        return {row["stan"]: (row["code_group"], row["code_meaning"]) for row in found}
    nothing = ("", "")
    assert said() == {stan: nothing for stan in (40, 41, 42, 43)}
    ops.release("codes", PROFILE, kind="code-profile")
    ops.release("table", PROFILE)
    assert said()[40] == nothing  # nobody has it yet
    for name in ("codes", "table"):
        ops.ctl_ok("assign", name, "--device", "term-1", "--mode", "repair")
    assert said() == {40: ("ambiguous", "this card is not allowed here"),
                      41: ("registration", "terminal is not open"), 42: nothing, 43: nothing}
    assert "57, from the host: terminal is not open" in ops.ctl_ok("find", "--stan", "41")
    assert "57, the terminal's own" in ops.ctl_ok("find", "--stan", "42")


def test_nothing_matches_or_makes_sense(ops, terminal):
    nothing = ops.ctl_ok("find", "--tid", "T0000001", "--rrn", "632714000099")
    assert "Nothing matches." in nothing and "term-1" in nothing  # and how it is, all the same
    assert "ever carried TID T0000009" in ops.fails(7, "find", "--tid", "T0000009")
    assert "with serial number SN-9" in ops.fails(7, "find", "--serial", "SN-9")
    for wrong in ((), ("--currency", "156"), ("--since", "1h", "--limit", "5")):
        assert "say what to find: --tid, " in ops.fails(2, "find", *wrong)
    for wrong in (("--amount", "45,00"), ("--amount", "1.2.3"), ("--amount", "."), ("--at", "14:05"),
                  ("--at", "2026-11-23T14:05"), ("--within", "5m"), ("--device", "Term 1"),
                  ("--at", "2026-11-23T14:05Z", "--since", "1h"), ("--rrn", "1", "--since", "1h", "--until", "2h")):
        ops.fails(2, "find", *wrong)
    for wrong in ("", "from_ms=5&to_ms=4&stan=1", "limit=0&stan=1", "limit=501&stan=1", "store=s1", "rrn=",
                  "rrn=" + "1" * 49, "stan=-1", "stan=1&before=x", "stan=1&before=5", "stan=1&before=5.5x",
                  "outcome=lost", "merchant=m1&store=m1/s1", "currency=156"):
        assert ops.http("GET", "/api/v1/find?" + wrong)[0] == 400, wrong


def test_a_part_of_the_fleet_finds_its_own(ops, terminal):
    """By where the sale was made; what stands elsewhere by now is not shown beside it."""
    ops.ctl_ok("store", "set", "--merchant", "m2", "--store", "s9", "--region", "south")
    for name in ("m1", "m2"):
        (ops.folder / name).write_text(
            ops.json("token", "add", name, "--role", "viewer", "--merchant", name)["token"])
    def ask(name):
        return ops.json("find", "--stan", "40", "--server", f"http://127.0.0.1:{ops.port}",
                        "--token-file", ops.folder / name)
    assert len(ask("m1")["results"]) == 1 and len(ask("m1")["devices"]) == 1
    assert ask("m2")["results"] == [] and ask("m2")["devices"] == []
    ops.ctl_ok("device", "move", "term-1", "--merchant", "m2", "--store", "s9",
               "--terminal", "0:0:T0000002:M00000000000002")
    wait_for(lambda: ops.json("get", "devices")["devices"][0]["merchant"] == "m2", what="the move")
    assert len(ask("m1")["results"]) == 1 and ask("m1")["devices"] == []
    assert ask("m2")["results"] == []
    assert len(ops.json("find", "--tid", "T0000001", "--stan", "40")["results"]) == 1
    assert ops.json("find", "--tid", "T0000002")["results"] == []
