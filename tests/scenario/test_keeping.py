# SPDX-License-Identifier: Apache-2.0
"""What is old is removed by a musterd that works on, its room is given back, and nobody is told half of an answer."""
import random
import re
import shutil

import pytest

import aged
from processes import wait_for

RETENTION = "[retention]\nresults = 30d\nopen_matters = 400d\nevery = 1s\nspare = 0\n"


@pytest.fixture
def terminal(ops, make_terminal):
    terminal = make_terminal()
    assert terminal.record(40, outcome="declined", code="57").returncode == 0
    ops.wait_results(40)
    return terminal


def start(ops, broker, pki, more=RETENTION):
    write = ops.write_config

    def write_more(*what):
        write(*what)
        with open(ops.folder / "musterd.conf", "a", encoding="utf-8") as config:
            config.write(more)
    ops.write_config = write_more
    try:
        ops.start(broker, pki).wait_line("connected to")
    finally:
        ops.write_config = write


def repeats(ops):
    metrics = ops.raw("GET", "/metrics")[1].decode()
    return int(re.search(r"^muster_record_repeats_total (\d+)$", metrics, re.MULTILINE).group(1))


def kind(ops, name):
    return next(row for row in ops.json("retention")["kinds"] if row["kind"] == name)


def test_rows_go_and_questions_say_so(ops, terminal, broker, pki):
    ops.process.stop()
    aged.time_passes(ops.folder / "fleet.db", 60)
    start(ops, broker, pki)
    wait_for(lambda: kind(ops, "results")["removed"] == 40, what="old results removed")
    assert ops.results() == 0
    assert terminal.record(5, first=41, outcome="declined", code="57").returncode == 0
    ops.wait_results(5)
    # The sums know, the rows do not any more; and each says which it is.
    everything = "--since", "1000d"
    assert ops.json("errors", *everything)["total"] == 45
    assert ops.json("errors", *everything)["kept_from_ms"] == 0
    rows = ops.json("rates", "--by", "device", "--issuer", "ICBC", *everything)
    assert rows["kept_from_ms"] == kind(ops, "results")["whole_from_ms"] > 0
    assert "is not kept for this question" in ops.ctl_ok("rates", "--by", "device", "--issuer", "ICBC", *everything)
    assert len(ops.json("find", "--device", "term-1", *everything)["results"]) == 5
    assert "only results with an open matter are kept" in ops.ctl_ok("find", "--device", "term-1", *everything)
    # The account goes on to count what has no row any more.
    audit = ops.json("audit", "term-1")["devices"][0]
    assert (audit["committed"] >= 45, audit["unaccounted"]) == (True, 0)
    aged.check_sums(ops.folder / "fleet.db")
    table = ops.ctl_ok("retention")
    assert "WHOLE SINCE" in table and "sums_minute" in table and "for ever" in table


def test_what_is_sent_again_is_not_counted_again(ops, terminal, broker, pki):
    """A terminal whose disk is put back to before it was receipted sends what it held once more."""
    state, copy = terminal.folder / "state", terminal.folder / "state.copy"
    terminal.link.stop()
    assert terminal.record(10, first=41, outcome="declined", code="57").returncode == 0
    terminal.agent.stop()
    shutil.copytree(state, copy)
    terminal.start_agent()
    terminal.start_link(broker, pki)
    ops.wait_results(50)
    terminal.link.stop()
    terminal.agent.stop()
    ops.process.stop()
    aged.time_passes(ops.folder / "fleet.db", 60)
    start(ops, broker, pki)
    wait_for(lambda: kind(ops, "results")["removed"] == 50, what="old results removed")
    shutil.rmtree(state)
    copy.rename(state)
    terminal.start_agent()
    terminal.start_link(broker, pki)
    wait_for(lambda: repeats(ops) >= 10, what="records sent again")
    assert terminal.record(1, first=51).returncode == 0
    ops.wait_results(1)
    assert ops.query("SELECT sum(results) FROM rollup_code_hour") == [(51,)]
    aged.check_sums(ops.folder / "fleet.db")


def test_the_file_shrinks_and_kills_change_nothing(ops, terminal, broker, pki):
    path = ops.folder / "fleet.db"
    ops.process.stop()
    aged.copies(path, 30000, apart_ms=150000)  # 52 days
    size = path.stat().st_size
    dice = random.Random(20261123)
    left = 30040
    while left > 20000:
        start(ops, broker, pki)
        until = left - dice.randrange(1, 3000)
        wait_for(lambda goal=until: ops.results() <= goal or kind(ops, "results")["rows"] <= 18000, timeout=60,
                 what="some results removed")
        ops.process.kill()
        left = ops.results()
        aged.check_sums(path)
    start(ops, broker, pki)
    wait_for(lambda: ops.json("retention")["phase"] == "rests" and not ops.json("retention")["free_bytes"],
             timeout=60, what="a whole pass")
    aged.check_sums(path)
    assert ops.query("SELECT count(*) FROM result WHERE received_ms < (SELECT max(received_ms) FROM result) - ?",
                     30 * aged.DAY_MS + 600000) == [(0,)]
    ops.process.stop()
    assert path.stat().st_size < size * 3 / 4
    assert ops.query("SELECT sum(results) FROM rollup_code_hour") == [(30040,)]
    assert ops.query("SELECT removed FROM kept WHERE kind = 'results'")[0][0] == 30040 - ops.results()


def test_a_clock_that_is_ahead_removes_nothing(ops, terminal, broker, pki):
    """As after two weeks in which musterd was off, and as after ten years that passed in its clock alone."""
    ops.process.stop()
    aged.time_passes(ops.folder / "fleet.db", 60)
    with aged.opened(ops.folder / "fleet.db") as database:
        database.execute("UPDATE kept_clock SET believed_ms = believed_ms - ?", (14 * aged.DAY_MS,))
    start(ops, broker, pki)
    ops.process.wait_line("nothing is removed until it has gone on like that for 24 h")
    wait_for(lambda: ops.json("retention")["passed_ms"], what="a pass")
    told = ops.json("retention")
    assert told["doubted_ms"] - told["expected_ms"] > 13 * aged.DAY_MS
    assert 0 < told["left_ms"] <= aged.DAY_MS
    assert [row["removed"] for row in told["kinds"] if row["kind"] in ("results", "events")] == [0, 0]
    assert ops.results() == 40
    assert "If it is wrong, set it. If it is right, wait" in ops.ctl_ok("retention")
    sheet = ops.ctl("retention", "-o", "csv")  # to who reads CSV as well, beside it
    assert "If it is wrong" in sheet.stderr and "If it is wrong" not in sheet.stdout
    assert "\nmuster_retention_held 1\n" in ops.raw("GET", "/metrics")[1].decode()
    # It has gone on for a day.
    ops.process.stop()
    with aged.opened(ops.folder / "fleet.db") as database:
        database.execute("UPDATE kept_clock SET held_ms = ?", (aged.DAY_MS - 100,))
    start(ops, broker, pki)
    wait_for(lambda: kind(ops, "results")["removed"] == 40, what="old results removed")
    assert ops.json("retention")["doubted_ms"] == 0


def test_an_old_file_is_written_anew(ops, terminal, broker, pki):
    path = ops.folder / "fleet.db"
    ops.process.stop()
    with aged.opened(path) as database:
        database.execute("PRAGMA journal_mode = DELETE")
        database.execute("PRAGMA auto_vacuum = NONE")
        database.execute("VACUUM")
    start(ops, broker, pki)
    assert ops.json("retention")["shrinks"] is False
    assert "musterd --vacuum" in ops.ctl_ok("retention")
    busy = ops.processes.start("vacuum", [ops.bin / "musterd", "--config", ops.folder / "musterd.conf", "--vacuum"])
    busy.wait_line("another process has it")
    ops.process.stop()
    done = ops.processes.start("vacuum", [ops.bin / "musterd", "--config", ops.folder / "musterd.conf", "--vacuum"])
    done.wait_line("MiB now")
    assert done.wait() == 0
    start(ops, broker, pki)
    assert ops.json("retention")["shrinks"] is True
    assert ops.results() == 40


@pytest.mark.parametrize("line, told", [
    ("results = 3d", "retention.results: expected at least 30d, or 0: for ever"),
    ("audit = 30d", "retention.audit: expected at least 365d"),
    ("sums_hour = 90d", "retention.sums_hour is shorter than retention.results"),
    ("results = 0", "retention.sums_hour is shorter than retention.results"),
    ("open_matters = 40d", "retention.open_matters is shorter than retention.results")])
def test_what_would_be_too_short_is_refused(ops, broker, pki, line, told):
    ops.process.stop()
    ops.write_config(broker, pki)
    with open(ops.folder / "musterd.conf", "a", encoding="utf-8") as config:
        config.write(f"[retention]\n{line}\n")
    refused = ops.processes.start("musterd", [ops.bin / "musterd", "--config", ops.folder / "musterd.conf"],
                                  cwd=ops.folder)
    refused.wait_line(told)
