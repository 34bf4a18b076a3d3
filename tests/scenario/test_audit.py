# SPDX-License-Identifier: Apache-2.0
"""The account of every record, with real processes: it adds up after a normal day, and says so when
something is wrong: a database from an older copy, a row that vanished, an id with two contents."""
import contextlib
import hashlib
import shutil
import sqlite3
import subprocess

import pytest

from ops import Ops, UnixConnection
from processes import wait_for
from wire import fields, unseal

PARTS = ("committed", "buffered", "lost", "unknown", "unaccounted")


@pytest.fixture
def ops(bin_dir, processes, pki, broker, run_dir):
    ops = Ops(bin_dir, processes, run_dir / "ops")
    start(ops, broker, pki)
    return ops


def start(ops, broker, pki):
    ops.start(broker, pki).wait_line("connected to")


def stop(ops):
    ops.process.stop()
    return ops.folder / "fleet.db"


def metric(ops, name):
    connection = UnixConnection(ops.folder / "api.sock")
    connection.request("GET", "/metrics")
    text = connection.getresponse().read().decode()
    connection.close()
    return next(float(line.split()[-1]) for line in text.splitlines() if line.startswith(name))


def audit(ops, *args, code=0):
    """The audit as JSON, each of its sums checked to be the sum of its parts."""
    done = ops.ctl("audit", *args, "-o", "json")
    assert done.returncode == code, done.stdout + done.stderr
    status, reply = ops.http("GET", "/api/v1/audit" + (f"?device={args[0]}" if args else ""))
    assert status == 200
    for account in [reply["total"], *reply["devices"],
                    *(lane for device in reply["devices"] for lane in device.get("lanes", []))]:
        assert account["submitted"] == sum(account[part] for part in PARTS), account
        assert account["lost"] == sum(account["lost_by_reason"].values())
    return reply


def settled(ops, terminal):
    """Waits until nothing is on its way any more, receipts included; the terminal's account."""
    def quiet():
        if terminal.status()["health"].get("spool_records", 0) > 0:
            return None
        account = ops.http("GET", f"/api/v1/audit?device={terminal.device}")[1]["devices"][0]
        return account["buffered"] == 0 and account["submitted"] > 0 and account
    return wait_for(quiet, timeout=60, what="all is receipted")


def say_hello(terminal, broker, pki):
    """A new session begins with one."""
    terminal.link.kill()
    terminal.start_link(broker, pki)
    terminal.wait_connected()


@contextlib.contextmanager
def changed(path):
    """The database of a musterd that is stopped, to be tampered with."""
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        yield database


def test_after_a_normal_day_nothing_is_unaccounted(ops, make_terminal, broker, pki):
    terminal, other = make_terminal(), make_terminal("term-2")
    assert other.record(7).returncode == 0
    for part in range(4):
        assert terminal.record(25, first=1 + 25 * part).returncode == 0
        if part == 2:
            ops.process.kill()
            start(ops, broker, pki)
        terminal.agent.kill()
        terminal.start_agent()
        say_hello(terminal, broker, pki)
    ops.wait_results(107)
    settled(ops, terminal)
    settled(ops, other)
    # What is done on both sides is closed at the next start's hello.
    def closed():
        say_hello(terminal, broker, pki)
        return audit(ops, "term-1")["devices"][0]["closed_streams"] >= 4
    wait_for(closed, timeout=60, what="incarnations are closed")
    reply = audit(ops)
    assert [device["id"] for device in reply["devices"]] == ["term-1", "term-2"]
    total = reply["total"]
    assert total["unaccounted"] == total["unknown"] == total["lost"] == total["conflicts"] == 0
    txn = audit(ops, "term-1")["devices"][0]["lanes"][0]
    assert txn["lane"] == "txn" and txn["submitted"] == txn["committed"] == 100
    assert metric(ops, "muster_unaccounted_records") == 0
    shown = ops.ctl_ok("audit")
    assert "UNACCOUNTED" in shown and "term-2" in shown and "total" in shown
    shown = ops.ctl_ok("audit", "term-1")
    assert "OPEN STREAM" in shown or "No streams are open." in shown
    assert "declared lost" in ops.ctl_ok("describe", "device", "term-1")


def test_wrong_questions(ops):
    assert "no device" in ops.fails(7, "audit", "nobody").lower()
    ops.fails(2, "audit", "Not An Id")
    ops.fails(2, "audit", "one", "two")
    empty = audit(ops)
    assert empty["devices"] == [] and empty["total"]["submitted"] == 0


def test_a_database_from_an_older_copy_is_filled_again(ops, make_terminal, broker, pki):
    terminal = make_terminal(grace="1h")
    assert terminal.record(60).returncode == 0
    ops.wait_results(60)
    settled(ops, terminal)
    database = stop(ops)
    copy = ops.folder / "copy.db"
    shutil.copy(database, copy)
    start(ops, broker, pki)
    assert terminal.record(40, first=61).returncode == 0
    ops.wait_results(100)
    settled(ops, terminal)
    terminal.agent.stop()  # one more incarnation, of which the copy knows nothing
    terminal.start_agent()
    assert terminal.record(20, first=101).returncode == 0
    ops.wait_results(120)
    settled(ops, terminal)

    stop(ops)
    for name in database.parent.glob("fleet.db-*"):
        name.unlink()
    shutil.copy(copy, database)
    start(ops, broker, pki)
    assert ops.results() == 60
    say_hello(terminal, broker, pki)
    ops.wait_results(120, timeout=60)
    settled(ops, terminal)
    account = audit(ops, "term-1")["total"]
    assert account["unaccounted"] == account["lost"] == 0
    assert metric(ops, "muster_restored_streams_total") >= 2
    assert "restored: term-1" in ops.process.log()
    assert ops.query("SELECT count(*) FROM audit WHERE what = 'restored'")[0][0] >= 1
    assert metric(ops, "muster_record_conflicts_total") == 0
    # It is over: another hello is no alarm any more.
    alarms = metric(ops, "muster_restored_streams_total")
    say_hello(terminal, broker, pki)
    wait_for(lambda: metric(ops, "muster_hellos_total") >= 2, what="the hello is heard")
    assert metric(ops, "muster_restored_streams_total") == alarms


def test_a_row_that_vanished_is_unaccounted(ops, make_terminal, broker, pki):
    terminal = make_terminal(grace="1h")
    assert terminal.record(10).returncode == 0
    ops.wait_results(10)
    settled(ops, terminal)
    stop(ops)
    with changed(ops.folder / "fleet.db") as database:
        database.execute("DELETE FROM result WHERE seq IN (3, 4)")
    start(ops, broker, pki)
    assert audit(ops)["total"]["unaccounted"] == 0, "the intervals do not know"
    reply = audit(ops, "term-1", code=1)
    assert reply["devices"][0]["lanes"][0]["unaccounted"] == 2
    assert "2 records are unaccounted for" in ops.fails(1, "audit", "term-1")


def test_an_id_with_two_contents_is_refused_and_given_up(ops, make_terminal, broker, pki):
    terminal = make_terminal()
    assert terminal.record(5).returncode == 0
    ops.wait_results(5)
    database = stop(ops)
    assert terminal.record(3, first=6).returncode == 0
    # What a clone of the terminal would have sent first: other content for 7.
    with changed(database) as forged:
        columns = [row[1] for row in forged.execute("PRAGMA table_info(result)")]
        other = {"id": "NULL", "seq": "7", "digest": "digest + 1", "idempotency_key": "x'c10e'",
                 "amount_minor": "999999"}
        forged.execute(f"INSERT INTO result SELECT {', '.join(other.get(c, c) for c in columns)}"
                       " FROM result WHERE seq = 5")
        forged.execute("INSERT INTO result_run SELECT device, incarnation, seq, seq, id FROM result"
                       " WHERE seq = 7")
    start(ops, broker, pki)
    wait_for(lambda: ops.query("SELECT count(*) FROM conflict WHERE settled_ms > 0")[0][0] == 1,
             timeout=60, what="the conflict is given up")
    account = settled(ops, terminal)
    assert (account["conflicts"], account["refused"], account["unaccounted"]) == (1, 0, 0)
    assert metric(ops, "muster_record_conflicts_total") >= 1
    assert "conflict: term-1" in ops.process.log()
    assert ops.query("SELECT count(*) FROM audit WHERE what = 'conflict'") == [(1,)]
    assert ops.query("SELECT amount_minor FROM result WHERE seq = 7") == [(999999,)], "the first stays"
    assert ops.results() == 8
    audit(ops, "term-1")


def varint(value):
    out = b""
    while value > 0x7f:
        out += bytes([value & 0x7f | 0x80])
        value >>= 7
    return out + bytes([value])


def sealed(body, domain, device, key, folder):
    """An envelope as the device would sign it, made by the openssl command."""
    (folder / "body").write_bytes(b"muster/v1/" + domain.encode() + b"\0" + device.encode() + b"\0" + body)
    subprocess.run(["openssl", "pkeyutl", "-sign", "-rawin", "-inkey", key, "-in", folder / "body",
                    "-out", folder / "sig"], check=True, capture_output=True)
    signature = (folder / "sig").read_bytes()
    signature = b"\x12" + varint(len(signature)) + signature
    return b"\x0a" + varint(len(body)) + body + b"\x12" + varint(len(signature)) + signature


def test_what_nobody_can_decode_is_refused_by_name(ops, broker, pki):
    ops.add_device("term-9", "12345679")
    heard = broker.subscribe("muster/v1/down/term-9/receipt")
    body = b"signed, and still no batch"
    message = sealed(body, "batch", "term-9", ops.folder / "term-9.pem", ops.folder)
    assert broker.publish("muster/v1/up/term-9/batch", message, pki.client("term-9")).returncode == 0
    at = heard.wait_line("muster/v1/down/term-9/receipt ")
    envelope = bytes.fromhex(heard.lines[at - 1].split()[-1])
    receipt = fields(unseal(envelope, "receipt", "term-9", ops.folder / "keys/receipt.pem",
                            ops.folder))
    assert receipt[4] == [hashlib.sha256(body).digest()[:16]]
    assert metric(ops, "muster_undecodable_total") == 1
    assert "undecodable: a batch that term-9 signed" in ops.process.log()
