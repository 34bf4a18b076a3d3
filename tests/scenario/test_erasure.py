# SPDX-License-Identifier: Apache-2.0
"""A merchant is erased by a musterd that is killed over it again and again: names, results, sums, and bytes."""
import random
import subprocess

import pytest

import aged
from processes import wait_for

NAMES = (b"Corner Shop", b"Main Street", b"T0000001", b"M00000000000001", b"shop-desk", b"RRNOFSHOP")


@pytest.fixture
def terminal(ops, make_terminal):
    terminal = make_terminal()
    assert terminal.record(40, outcome="declined", code="57", rrn="RRNOFSHOP001").returncode == 0
    ops.wait_results(40)
    return terminal


def left_in(path):
    """What of its names is in the file, or in its WAL."""
    wal = path.with_name(path.name + "-wal")
    held = path.read_bytes() + (wal.read_bytes() if wal.exists() else b"")
    return [name for name in NAMES if name in held]


def erasure(ops):
    return ops.json("get", "erasures")["erasures"][0]


def test_a_merchant_is_erased_whatever_happens_meanwhile(ops, terminal, broker, pki):
    path = ops.folder / "fleet.db"
    ops.ctl_ok("token", "add", "shop-desk", "--role", "operator", "--merchant", "m1")
    ops.ctl_ok("device", "label", "shop=Corner Shop", "--device", "term-1")
    ops.process.stop()
    aged.copies(path, 8000, apart_ms=300000)
    with aged.opened(path) as database:  # a part of it is another's
        database.execute("INSERT INTO merchant (code, name) VALUES ('m2', 'Another')")
        database.execute("INSERT INTO standing (device, merchant, life, from_ms, to_ms, why, who) SELECT device, "
                         "(SELECT id FROM merchant WHERE code = 'm2'), 'in_service', 0, (SELECT max(at_ms) FROM result "
                         "WHERE id <= 2000), '', '' FROM standing")
        database.execute("UPDATE result SET rrn = '', standing = (SELECT max(id) FROM standing) WHERE id < 2000")
        database.execute("UPDATE standing SET from_ms = (SELECT max(to_ms) FROM standing) WHERE to_ms IS NULL")
        aged.sum_up(database)
    aged.check_sums(path)
    assert set(left_in(path)) == set(NAMES)
    ops.start(broker, pki)
    ops.ctl_ok("group", "add", "tills", "merchant=m1")
    looked = ops.ctl_ok("merchant", "erase", "m1")
    assert "1 devices stand with m1" in looked and "In the way: group tills names it" in looked
    ops.ctl_ok("group", "remove", "tills")
    assert "device move" in ops.fails(3, "merchant", "erase", "unassigned", "--confirm", "unassigned")
    looked = ops.ctl_ok("merchant", "erase", "m1", "--force")
    assert "In the way" not in looked
    assert "1 stores, 1 devices" in looked and "Nothing is erased yet" in looked
    assert "term-1: move or retire them" in ops.fails(3, "merchant", "erase", "m1", "--confirm", "m1")
    ops.fails(2, "merchant", "erase", "m1", "--confirm", "m2")
    ops.fails(7, "merchant", "erase", "m9", "--confirm", "m9")
    terminal.link.stop()  # what it holds comes late
    assert terminal.record(5, first=41, outcome="declined", code="57").returncode == 0
    ops.ctl_ok("merchant", "erase", "m1", "--confirm", "m1", "--force")
    dice = random.Random(20261123)
    for _ in range(4):
        done = erasure(ops)["results"]
        goal = done + dice.randrange(1, 1500)
        wait_for(lambda goal=goal: erasure(ops)["results"] >= goal or erasure(ops)["done_ms"], timeout=60,
                 what="some results erased")
        ops.process.kill()
        aged.check_sums(path)
        ops.start(broker, pki)
    wait_for(lambda: erasure(ops)["done_ms"], timeout=100, what="the end of the erasure")
    assert left_in(path) == []
    assert ops.results() == 1999
    assert erasure(ops)["results"] == 8040 - 1999
    aged.check_sums(path)
    audit = ops.json("audit", "term-1")["devices"][0]
    assert audit["unaccounted"] == 0
    assert [row["what"] for row in ops.json("changes")["changes"]].count("merchant erase") == 2
    assert ops.json("token", "list")["tokens"][0]["revoked_ms"] > 0
    # What its terminal still held is nobody's.
    terminal.start_link(broker, pki)
    ops.wait_results(1999 + 5)
    late = ops.json("find", "--device", "term-1", "--limit", "5")["results"]
    assert [(row["merchant"], row["store"], row["tid"]) for row in late] == [("", "", "")] * 5
    aged.check_sums(path)
    assert left_in(path) == []


def test_what_a_retired_device_sends_is_refused(ops, terminal, broker, pki):
    ops.ctl_ok("device", "retire", "term-1", "--why", "the shop has closed")
    ops.ctl_ok("merchant", "erase", "m1", "--confirm", "m1")
    wait_for(lambda: erasure(ops)["done_ms"], timeout=60, what="the end of the erasure")
    assert left_in(ops.folder / "fleet.db") == []
    assert terminal.record(1, first=41).returncode == 0
    wait_for(lambda: b'muster_refused_total{kind="batch",reason="retired"}' in ops.raw("GET", "/metrics")[1],
             what="a refused batch")
    assert ops.results() == 0


def test_what_comes_late_is_not_the_next_ones(ops, terminal, broker, pki):
    terminal.link.stop()
    assert terminal.record(5, first=41, outcome="declined", code="57").returncode == 0
    ops.ctl_ok("device", "move", "term-1", "--merchant", "m2", "--store", "s2", "--terminal",
               "0:0:T0000002:M00000000000002", "--why", "moved")
    ops.ctl_ok("merchant", "erase", "m1", "--confirm", "m1")
    gone = ops.query("SELECT code FROM merchant WHERE name = ''")
    if gone:  # it may be over already
        assert "is being erased" in ops.fails(3, "device", "move", "term-1", "--merchant", gone[0][0], "--store", "s9",
                                              "--no-terminals")
    wait_for(lambda: erasure(ops)["done_ms"], timeout=60, what="the end of the erasure")
    terminal.start_link(broker, pki)
    ops.wait_results(5)
    late = ops.json("find", "--device", "term-1", "--limit", "5")["results"]
    assert [(row["merchant"], row["store"], row["tid"]) for row in late] == [("", "", "")] * 5
    assert ops.json("find", "--tid", "T0000002")["results"] == []
    aged.check_sums(ops.folder / "fleet.db")


def test_what_only_sounds_like_it_stays(ops, terminal, broker, pki):
    ops.ctl_ok("token", "add", "m1-watch", "--role", "operator")
    ops.ctl_ok("token", "add", "shop-desk", "--role", "operator", "--merchant", "m1")
    for name in ("m1-watch", "shop-desk"):  # who is not there any more has done things too
        ops.ctl_ok("token", "revoke", name)
    watch = ops.json("token", "add", "m1-night", "--role", "operator")["token"]
    desk = ops.json("token", "add", "till", "--role", "operator", "--merchant", "m1")["token"]
    for number, token in enumerate((watch, desk)):
        secret = ops.folder / f"token-{number}"
        secret.write_text(token)
        secret.chmod(0o600)
        ops.ctl_ok("device", "label", f"a=b{number}", "--device", "term-1", "--token-file", secret.name, "--server",
                   f"http://127.0.0.1:{ops.port}")
    ops.process.stop()
    aged.copies(ops.folder / "fleet.db", 2000, apart_ms=300000)
    ops.start(broker, pki)
    looked = ops.http("POST", "/api/v1/erasures", b'{"merchant": "m1", "force": true, "dry_run": true}')[1]
    assert looked["texts"] > 0 and looked["erasure"] == 0
    ops.ctl_ok("merchant", "erase", "m1", "--confirm", "m1", "--force")
    # Another of that name comes before it is over, and its words are its own.
    ops.ctl_ok("store", "set", "--merchant", "m1", "--merchant-name", "Corner Shop", "--store", "s1", "--store-name",
               "Main Street")
    ops.ctl_ok("device", "label", "shop=Corner Shop", "--device", "term-1")
    ops.process.kill()
    ops.start(broker, pki)
    wait_for(lambda: erasure(ops)["done_ms"], timeout=100, what="the end of the erasure")
    tokens = {token["name"]: token["revoked_ms"] for token in ops.json("token", "list")["tokens"]}
    assert set(tokens) == {"m1-watch", "m1-night", "erased-2", "erased-4"} and not tokens["m1-night"]
    changes = {(row["who"], row["what"], row["text"]) for row in ops.json("changes")["changes"]}
    assert {("uid 0", "token add", "m1-watch: operator of the whole fleet"), ("uid 0", "token revoke", "m1-watch"),
            ("uid 0", "token add", "erased"), ("uid 0", "token revoke", "erased"),
            ("token m1-night", "label", "erased"), ("token erased-4", "label", "erased"),
            ("uid 0", "label", "set shop=Corner Shop")} <= changes
    assert ops.query("SELECT code, name FROM merchant") == [("m1", "Corner Shop")]
    assert ops.query("SELECT name, value FROM device_label") == [("shop", "Corner Shop")]


def test_what_it_was_called_and_what_moved_away(ops, terminal):
    path = ops.folder / "fleet.db"
    ops.ctl_ok("device", "label", "sign=the red one", "--device", "term-1")
    ops.ctl_ok("store", "set", "--merchant", "m1", "--store", "s2", "--address", "Hauptstraße 7")
    ops.ctl_ok("store", "set", "--merchant", "m1", "--merchant-name", "New Shop", "--store", "s2", "--address", "Hof 8")
    ops.ctl_ok("device", "state", "repair", "term-1", "--why", "CORNER shop called from HAUPTSTRASSE 7")
    ops.ctl_ok("device", "move", "term-1", "--merchant", "m2", "--store", "s2", "--no-terminals")
    ops.ctl_ok("device", "label", "counter=the left one", "--device", "term-1")
    ops.ctl_ok("merchant", "erase", "m1", "--confirm", "m1")
    wait_for(lambda: erasure(ops)["done_ms"], timeout=60, what="the end of the erasure")
    wal = path.with_name(path.name + "-wal")
    held = path.read_bytes() + (wal.read_bytes() if wal.exists() else b"")
    left = [name for name in ("Corner Shop", "CORNER", "Hauptstraße", "HAUPTSTRASSE", "Hof 8", "New Shop", "the red one",
                              "T0000001") if name.encode() in held]
    assert left == []
    assert ops.query("SELECT name, value FROM device_label") == [("counter", "the left one")]


def test_erasing_one_leaves_the_tid_of_anothers_sales(ops, terminal):
    """A slip took m1's TID off its device and to m3; then m3 is erased."""
    key = terminal.folder / "other.pub"
    private = terminal.folder / "other.pem"
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", private], check=True)
    subprocess.run(["openssl", "pkey", "-in", private, "-pubout", "-out", key], check=True)
    ops.ctl_ok("device", "move", "term-1", "--merchant", "m1", "--store", "s1", "--no-terminals")
    ops.ctl_ok("device", "add", "slip", "--serial", "T1", "--model", "A920", "--agent-key", key, "--merchant", "m3",
               "--store", "x1", "--terminal", "0:0:T0000001:M00000000000001")
    ops.ctl_ok("device", "retire", "slip")
    ops.ctl_ok("device", "state", "lab", "term-1", "--why", "T0000001 of M00000000000001 called")
    history = ops.json("device", "history", "term-1")
    looked = ops.http("POST", "/api/v1/erasures", b'{"merchant": "m3", "dry_run": true}')[1]
    assert (looked["results"], looked["terminals"]) == (0, 0)
    ops.ctl_ok("merchant", "erase", "m3", "--confirm", "m3")
    wait_for(lambda: erasure(ops)["done_ms"], timeout=60, what="the end of the erasure")
    assert len(ops.json("find", "--tid", "T0000001", "--limit", "50")["results"]) == 40
    by_tid = ops.json("errors", "--by", "tid")["rows"]
    assert [row["key"] for row in by_tid] == ["T0000001"]
    assert ops.json("device", "history", "term-1") == history
    assert "T0000001" in str(history) and "T0000001" not in str(ops.json("device", "history", "slip"))


def test_a_store_without_a_name_is_no_word(ops):
    """Its name is its code then, and codes such as s1 or a are every merchant's."""
    for store in ("s1", "a"):
        ops.ctl_ok("store", "set", "--merchant", "m7", "--store", store)
    ops.ctl_ok("store", "set", "--merchant", "m7", "--store", "s1", "--store-name", "Market Hall")  # was called s1
    ops.ctl_ok("group", "add", "tills", "lane=a|b")
    ops.add_device("term-9", "11111111")  # of m1/s1
    ops.ctl_ok("device", "label", "note=s1", "--device", "term-9")
    ops.ctl_ok("device", "state", "lab", "term-9", "--why", "went to a workshop, says m1/s1")
    before = {row["id"]: row["text"] for row in ops.json("changes")["changes"]}
    ops.ctl_ok("merchant", "erase", "m7", "--confirm", "m7")
    wait_for(lambda: erasure(ops)["done_ms"], timeout=60, what="the end of the erasure")
    after = {row["id"]: row["text"] for row in ops.json("changes")["changes"]}
    assert {before[row] for row in before if after[row] != before[row]} == {
        text for text in before.values() if "m7" in text}
