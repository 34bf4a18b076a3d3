# SPDX-License-Identifier: Apache-2.0
"""errors, rates and top for a token of a part of the fleet: of what was made elsewhere it is told
nothing, neither by name nor by number."""
import contextlib
import csv
import io
import json
import sqlite3
import time
import urllib.parse

import pytest

import contract
from terminal import Terminal

KINDS = ("errors", "rates", "top")
DIMS = contract.DOCUMENT["paths"]["/api/v1/errors"]["get"]["parameters"][0]["schema"]["enum"]
# Words and numbers of the other shop that no answer may have in it.
SECRETS = ("term-2", "m2", "s2", "south", "T0000002", "M0002", "THEIRS", "91", "77777")


def shop(ops, bin_dir, processes, run_dir, broker, pki, number, region):
    name = f"term-{number}"
    terminal = Terminal(bin_dir, processes, run_dir / name, name, ops.root)
    ops.ctl_ok("device", "add", name, "--serial", f"SN-{name}", "--model", f"A92{number}",
               "--agent-key", terminal.make_key(), "--merchant", f"m{number}", "--store", f"s{number}",
               "--region", region, "--terminal", f"0:{number}:T000000{number}:M000{number}")
    terminal.start_agent()
    terminal.start_link(broker, pki)
    terminal.wait_connected()
    return terminal


@pytest.fixture
def shops(ops, bin_dir, processes, run_dir, broker, pki):
    """Ours: 30 sales, 3 declined with 57. The other's: 50 sales, 20 declined with 91."""
    more = (bin_dir, processes, run_dir, broker, pki)
    ours, other = shop(ops, *more, 1, "north"), shop(ops, *more, 2, "south")
    assert ours.record(27, issuer_bucket="OURS", scheme=1).returncode == 0
    assert ours.record(3, first=28, issuer_bucket="OURS", scheme=1, outcome="declined", code="57",
                       amount_minor=1000).returncode == 0
    assert other.record(30, issuer_bucket="THEIRS", scheme=2).returncode == 0
    assert other.record(20, first=31, issuer_bucket="THEIRS", scheme=2, outcome="declined", code="91",
                        amount_minor=77777, currency=840).returncode == 0
    ops.wait_results(80)
    return ops


def asker(ops, name, *places):
    file = ops.folder / name
    file.write_text(ops.json("token", "add", name, *places)["token"])
    def ask(kind, **question):
        path = f"/api/v1/{kind}?" + urllib.parse.urlencode({"since_ms": recently(), **question})
        return ops.tcp("GET", path, file.read_text())
    ask.ctl = ("--server", f"http://127.0.0.1:{ops.port}", "--token-file", file)
    return ask


def recently():
    return int((time.time() - 1800) * 1000)


def check_own(reply, hidden=SECRETS):
    """All that it says is of our 30 sales, or of some of them."""
    text = json.dumps({**reply, "from_ms": 0, "to_ms": 0, "since_ms": 0, "took_ms": 0})
    for word in hidden:
        assert f'"{word}' not in text and f" {word}," not in text, (word, text)
    assert reply["total"] <= 30 and reply["errors"] <= 30 and reply["unsure"] <= 30, reply
    for row in reply["rows"]:
        assert all(amount["currency"] == 156 for amount in row["amounts"]), row
        for beside in ("before", "rest"):
            assert row[beside] is None or row[beside]["results"] <= 30, row


def test_a_part_is_told_of_its_own_sales_alone(shops):
    ops = shops
    for ask in (asker(ops, "shop", "--merchant", "m1"), asker(ops, "north", "--region", "north")):
        for kind in KINDS:
            for by in DIMS:
                status, reply = ask(kind, by=by)
                assert status == 200 and reply["total"] == 30, (kind, by, reply)
                check_own(reply)
        reply = ask("rates", by="device")[1]
        row, = reply["rows"]
        assert (row["key"], row["results"], row["errors"], row["amounts"]) == (
            "term-1", 30, 3, [{"currency": 156, "amount_minor": 3000}])
        assert row["rest"] is None and row["verdict"] is None  # nothing else is his to compare with
        # The rest is what else was made in his part.
        for row in ask("errors", by="code", code="57")[1]["rows"]:
            assert (row["key"], row["count"]) == ("57", 3)
            assert (row["rest"]["errors"], row["rest"]["results"]) == (0, 27)
    whole = asker(ops, "whole")
    assert whole("errors", by="code")[1]["total"] == 80
    assert {row["key"] for row in whole("rates", by="device")[1]["rows"]} == {"term-1", "term-2"}


def test_asking_for_what_is_elsewhere_finds_nothing(shops):
    ops = shops
    ask = asker(ops, "shop", "--merchant", "m1")
    for kind in KINDS:
        for choice in ({"merchant": "m2"}, {"store": "m2/s2"}, {"region": "south"}, {"tid": "T0000002"},
                       {"issuer": "THEIRS"}, {"currency": 840}, {"model": "A922"}, {"scheme": 2}):
            status, reply = ask(kind, by="type", **choice)
            assert status == 200 and (reply["total"], reply["rows"]) == (0, []), (kind, choice, reply)
            check_own(reply)
        for devices in ("device=term-2", "merchant=m2", "merchant=m9"):
            status, reply = ask(kind, by="type", devices=devices)
            assert status == 404 and reply["error"]["text"] == f"no device is so: {devices}"
        # A device of somebody else's and one that there is not are told apart by nothing.
        answers = [ask(kind, by="code", device=device) for device in ("term-2", "term-9")]
        assert [status for status, _ in answers] == [404, 404]
        texts = {json.dumps(reply).replace("term-2", "term-9") for _, reply in answers}
        assert len(texts) == 1, texts
        assert ask(kind, by="code", device="term-1")[1]["total"] == 30
    # What left keeps what it sold here, and where it is now is the other's to know.
    ops.ctl_ok("device", "move", "term-1", "--merchant", "m2", "--store", "s2", "--terminal", "0:2:T0000009:M0002")
    for kind in KINDS:
        assert ask(kind, by="device")[1]["total"] == 30
        assert ask(kind, by="device", devices="model=A92*")[1]["total"] == 30
        assert ask(kind, by="device", devices="state=in_service")[0] == 404
        assert ask(kind, by="code", devices="merchant=m2")[0] == 404
        check_own(ask(kind, by="tid", device="term-1")[1])


def test_musterctl_with_a_token_of_a_part(shops):
    ops = shops
    ask = asker(ops, "north", "--region", "north")
    table = ops.ctl_ok("errors", "--since", "1h", *ask.ctl)
    assert table.startswith("30 results from ") and "91" not in table.splitlines()[-2:]
    assert "REST is -" in table
    # Of the others' declined sales he is told nothing, and of his own that were not chosen all.
    table = ops.ctl_ok("errors", "--by", "tid", "--code", "57", "--since", "1h", *ask.ctl)
    assert "REST is -" not in table and table.splitlines()[-1].split()[:9] == [
        "T0000001", "3", "100.00", "%", "43.85-100.00", "%", "-", "100.00", "%"], table
    row, = csv.DictReader(io.StringIO(ops.ctl_ok("rates", "--by", "merchant", "--since", "1h", "-o", "csv",
                                                 *ask.ctl)))
    assert (row["MERCHANT"], row["RESULTS"], row["ERRORS"], row["REST (%)"]) == ("m1", "30", "3", "")
    assert "no device term-2" in ops.fails(7, "top", "--device", "term-2", *ask.ctl)


def test_last_week_too_is_of_the_part(shops, broker, pki):
    """Some sales of both are taken back by a week; no sum knows both issuer and place."""
    ops = shops
    ops.process.stop()
    with contextlib.closing(sqlite3.connect(ops.folder / "fleet.db")) as database:
        database.execute("UPDATE result SET at_ms = at_ms - 604800000 WHERE stan % 2 = 0")
        database.execute("INSERT INTO result_span SELECT bucket - 672, first_row, last_row FROM result_span")
        database.execute("UPDATE rollup_code_hour_sum SET id = id - (169 << 30) WHERE id IN "
                         "(SELECT id FROM rollup_code_hour WHERE code = '57')")
        database.commit()
    ops.start(broker, pki)
    status, reply = asker(ops, "shop", "--merchant", "m1")("errors", by="issuer")
    assert status == 200 and reply["source"] == "rows", reply
    check_own(reply)
    row, = reply["rows"]
    assert (row["key"], row["count"], row["before"]["results"], row["before"]["errors"]) == ("OURS", 15, 15, 15)
