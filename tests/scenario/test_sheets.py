# SPDX-License-Identifier: Apache-2.0
"""Each report as CSV, read as people's programs read it: a name a column, and a value a cell."""
import csv
import datetime
import io
import re

import pytest

FORMULA = '=HYPERLINK("//x")'
REPORTS = (["errors"], ["rates", "--by", "device"], ["top", "--by", "issuer"], ["find", "--tid", "T0000001"], ["presence"], ["changes"],
           ["get", "devices"], ["get", "stores"], ["get", "regions"], ["get", "groups"], ["get", "duties"],
           ["get", "documents"], ["device", "history", "term-1"], ["describe", "device", "term-1"], ["retention"],
           ["token", "list"], ["audit"], ["webhook", "list"])
MOMENT = re.compile(r"2\d{3}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
FOR_PEOPLE = re.compile(r"\bago\b|^in \d|^\d{1,3}(,\d{3})+$|^\d+ (d|ms)$|^(now|never|not known|for ever|the beginning)$")


@pytest.fixture
def ops(ops, make_terminal):
    terminal = make_terminal()
    assert terminal.record(30, issuer_bucket="BANK").returncode == 0
    for first, currency in ((31, 392), (41, 48), (51, 156)):
        assert terminal.record(10, first=first, issuer_bucket=FORMULA, currency=currency, outcome="declined", code="57",
                               amount_minor=1000 + currency).returncode == 0
    assert terminal.record(1, first=61, code="").returncode == 0
    ops.wait_results(61)
    ops.terminal = terminal
    return ops


def sheet(ops, *words):
    return list(csv.DictReader(io.StringIO(ops.ctl_ok(*words, "-o", "csv"), newline="")))


def test_a_report_is_read_by_its_headings(ops):
    for words in REPORTS:
        text = ops.ctl_ok(*words, "-o", "csv").replace("\r\n", "\n")
        for table in filter(None, text.split("\n\n")):  # what is told in words alone is no table
            headings, *rows = list(csv.reader(io.StringIO(table, newline="")))
            assert len(set(headings)) == len(headings), (words, headings)
            assert all(len(row) == len(headings) for row in rows), (words, rows)
            for row in csv.DictReader(io.StringIO(table, newline="")):
                assert None not in row and None not in row.values(), (words, row)
                for cell in row.values():
                    assert not cell.startswith(("=", "+", "@")) and not cell.endswith(" %"), (words, row)
                    assert cell not in ("-", "(none)"), (words, row)
                    assert not FOR_PEOPLE.search(cell), (words, row)


def test_a_result_has_a_column_for_each_thing(ops):
    assert ops.terminal.record(1, first=9007, rrn="632714009007", outcome="declined", code="57").returncode == 0
    ops.wait_results(62)
    told = ops.json("find", "--stan", "9007")["results"][0]
    row, = sheet(ops, "find", "--stan", "9007")
    assert MOMENT.fullmatch(row["AT"])
    at = datetime.datetime.fromisoformat(row["AT"].replace("Z", "+00:00"))
    assert round(at.timestamp() * 1000) == told["at_ms"]
    assert row["BOUND (MS)"] == (str(told["bound_ms"]) if told["bound_ms"] >= 0 else "")
    assert [row[name] for name in ("DEVICE", "SERIAL", "MERCHANT", "STORE", "STORE NAME", "TID")] == [
        "term-1", "SN-term-1", "m1", "s1", "Main Street", "T0000001"]
    assert [row[name] for name in ("OUTCOME", "REVERSAL PENDING", "CODE", "CODE SOURCE", "CODE MEANING", "RRN")] == [
        "declined", "no", "57", "host", "", "632714009007"]
    assert row["STAN"] == "009007"  # as on the slip
    assert ops.ctl_ok("find", "--stan", "9007").splitlines()[1].endswith("009007")


def test_what_a_report_is_of_is_told_beside_it(ops):
    told = ops.ctl("errors", "--since", "1h", "-o", "csv").stderr
    assert told.startswith("61 results from ") and "REST is empty" in told
    assert "No sum knows all of that: read from rows" in ops.ctl("rates", "--by", "issuer", "--device", "term-1",
                                                                 "-o", "csv").stderr
    assert "Looked for from " in ops.ctl("find", "--tid", "T0000001", "-o", "csv").stderr


def test_moments_are_moments(ops):
    facts = {row["FACT"]: row["VALUE"]
             for row in csv.DictReader(io.StringIO(ops.ctl_ok("describe", "device", "term-1", "-o", "csv").split("\n\r\n")[0]))}
    assert MOMENT.fullmatch(facts["last seen"]) and (facts["id"], facts["merchant"]) == ("term-1", "m1")
    assert int(facts["records"]) >= 61 and facts["converged"] in ("yes", "no")
    row = sheet(ops, "device", "history", "term-1")[0]
    assert row["TO"] == "" and MOMENT.fullmatch(row["FROM"])
    ops.ctl_ok("token", "add", "short", "--expires", "1h")
    ops.ctl_ok("token", "add", "long", "--expires", "never")
    tokens = {row["TOKEN"]: row for row in sheet(ops, "token", "list")}
    assert MOMENT.fullmatch(tokens["short"]["EXPIRES"]) and tokens["short"]["STATE"] == "good"
    assert tokens["long"]["EXPIRES"] == "" and tokens["long"]["USED"] == ""
    for row in sheet(ops, "retention"):
        assert all(re.fullmatch(r"\d*", row[name]) for name in ("KEPT (DAYS)", "ROWS", "REMOVED")), row
        assert all(not row[name] or MOMENT.fullmatch(row[name]) for name in ("OLDEST", "WHOLE SINCE")), row
    assert [row["HOURS"] for row in sheet(ops, "get", "stores")] == [""]


def test_figures_are_numbers(ops):
    rows = {row["CODE"]: row for row in sheet(ops, "errors", "--since", "1h")}
    assert set(rows) == {"00", "57", ""}
    row = rows["57"]
    assert float(row["SHARE (%)"]) == round(100 * 30 / 61, 4)
    assert float(row["FROM (%)"]) < float(row["SHARE (%)"]) < float(row["TO (%)"])
    assert {name: row[name] for name in row if name.startswith("AT RISK")} == {
        "AT RISK (MINOR UNITS OF 048)": "10480", "AT RISK (MINOR UNITS OF 156)": "11560",
        "AT RISK (MINOR UNITS OF 392)": "13920"}
    assert rows["00"]["AT RISK (MINOR UNITS OF 392)"] == "0" and rows["00"]["WEEK AGO (%)"] == ""
    row, = sheet(ops, "rates", "--by", "device")
    assert (row["DEVICE"], row["RESULTS"], row["ERRORS"]) == ("term-1", "61", "30")
    assert (row["REST (%)"], row["BESIDE IT"], row["WEEK AGO (%)"]) == ("", "", "")  # it is all that there is
    assert float(row["RATE (%)"]) == round(100 * 30 / 61, 4)
    store, = sheet(ops, "get", "stores")
    assert {"MERCHANT NAME", "STORE NAME"} <= set(store)


def test_a_terminal_writes_no_formula(ops):
    assert [row["ISSUER"] for row in sheet(ops, "top", "--by", "issuer")][0] == "'" + FORMULA
    assert FORMULA in [row["key"] for row in ops.json("top", "--by", "issuer")["rows"]], "JSON has it as it is"
    assert sheet(ops, "errors", "--by", "issuer", "--issuer", FORMULA)[0]["RESULTS"] == "30"


def test_a_figure_is_never_cut(ops):
    """The table has room for a dozen currencies; what does not fit is counted, not shortened."""
    for n in range(20):
        assert ops.terminal.record(1, first=100 + n, issuer_bucket="MANY", currency=900 + n, outcome="declined",
                                   code="57", amount_minor=9876543).returncode == 0
    ops.wait_results(81)
    line = ops.ctl_ok("rates", "--by", "issuer", "--issuer", "MANY").splitlines()[-1]
    named = re.findall(r"([0-9,]+) \((\d{3})\)", line)
    more = int(re.search(r", and (\d+) more$", line).group(1))
    assert len(named) + more == 20 and {amount.strip(",") for amount, _ in named} == {"9,876,543"}
    row, = sheet(ops, "rates", "--by", "issuer", "--issuer", "MANY")
    assert [row[f"AT RISK (MINOR UNITS OF {900 + n})"] for n in range(20)] == ["9876543"] * 20


def moment(seconds, offset=0):
    zone = datetime.timezone(datetime.timedelta(hours=offset))
    return (datetime.datetime.now(zone) + datetime.timedelta(seconds=seconds)).isoformat(timespec="seconds")


def test_a_window_is_said_in_moments(ops):
    def total(*words):
        return ops.json("errors", *words)["total"]
    assert total("--from", moment(-3600), "--to", moment(3600)) == 61
    assert total("--from", moment(-3600, offset=8), "--to", moment(3600, offset=-5)) == 61
    assert total("--from", moment(-7200), "--to", moment(-3600)) == 0
    assert total("--from", moment(-3600)) == total("--since", "2h", "--to", moment(3600)) == 61
    for words in (("--from", moment(-60), "--since", "1h"), ("--to", moment(0), "--until", "1m"),
                  ("--from", moment(0), "--to", moment(-60)), ("--from", "yesterday"),
                  ("--from", "2026-11-23T14:05")):
        for command in ("errors", "rates", "top"):
            ops.fails(2, command, *words)
