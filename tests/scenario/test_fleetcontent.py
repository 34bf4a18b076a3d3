# SPDX-License-Identifier: Apache-2.0
"""What musterctl publishes and musterd keeps: deltas both ways, pieces, terms, what is refused."""
import contextlib
import json
import random
import sqlite3

import fleet_side
from ops import Ops
from processes import wait_for
from wire import sha256

ROWS = [b"%06d\tbank %d\n" % (622000 + n, n * n % 997) for n in range(3000)]
MIB = 1024 * 1024


def table(changed=()):
    rows = list(ROWS)
    for row in changed:
        rows[row] = b"%06d\tanother bank\n" % (622000 + row)
    return b"bin\tissuer\n" + b"".join(rows)


def documents(ops, name):
    reply = ops.json("get", "documents")["documents"]
    return {d["version"]: d for d in reply if d["name"] == name}


def deltas(document):
    return {e["base"]: e["size"] for e in document["encodings"] if e["coding"] == "zstd-delta"}


def test_deltas_lead_from_the_last_four_contents_and_back(ops):
    contents = [table(range(n)) for n in range(6)]
    for content in contents:
        ops.release("bins", content)
    held = documents(ops, "bins")
    newest = held[6]
    assert set(deltas(newest)) == {sha256(c) for c in contents[1:5]}
    assert all(size < newest["blob_size"] / 10 for size in deltas(newest).values())
    # An undo costs as little: every version knows its way from those after it.
    assert set(deltas(held[5])) == {sha256(c) for c in contents[0:4] + contents[5:6]}
    # The first left the newest five, and nobody is assigned it: only the whole of it stays.
    assert deltas(held[1]) == {} and held[1]["blob_size"] > 0
    again = ops.json("doc", "publish", "bins", ops.folder / "bins.content", "--kind", "table",
                     "--release-key", "keys/release.pem")
    assert not again["new"]
    # Whoever published it was interrupted before these; saying it again makes up for them.
    with contextlib.closing(sqlite3.connect(ops.folder / "fleet.db")) as database, database:
        database.execute("DELETE FROM encoding WHERE base = ?",
                         (bytes.fromhex(sha256(contents[5])),))
    assert set(deltas(documents(ops, "bins")[5])) == {sha256(c) for c in contents[0:4]}
    assert not ops.json("doc", "publish", "bins", ops.folder / "bins.content", "--kind", "table",
                        "--release-key", "keys/release.pem")["new"]
    mended = documents(ops, "bins")
    for version in (2, 3, 4, 5):
        assert deltas(mended[version]) == deltas(held[version])
    # And a try whose answer was lost is no other version.
    assert not ops.json("doc", "publish", "bins", ops.folder / "bins.content", "--kind", "table",
                        "--release-key", "keys/release.pem", "--version", "6")["new"]
    assert len(documents(ops, "bins")) == len(held)


def test_what_no_manifest_names_is_taken_from_the_broker(bin_dir, processes, pki, broker, run_dir,
                                                         monkeypatch):
    monkeypatch.setattr(fleet_side, "CONFIG",
                        fleet_side.CONFIG + "[content]\nwithdraw_after = 1s\n")
    ops = Ops(bin_dir, processes, run_dir / "ops")
    ops.start(broker, pki)
    ops.add_device("term-1", "12345671")
    first = ops.release("bins", table())["document"]["blob"]
    second = ops.release("aids", table(range(9)))["document"]["blob"]
    watch = broker.subscribe("muster/v1/blob/#")
    for name, blob in (("bins", first), ("aids", second)):
        ops.ctl_ok("assign", name, "--device", "term-1")
        watch.wait_line(f"blob/{blob} 28b52ffd")
    ops.ctl_ok("unassign", "bins", "--device", "term-1")
    wait_for(lambda: b"muster_withdrawn_total 1\n" in ops.raw("GET", "/metrics")[1],
             what="the blob is taken back")
    gone = watch.wait_line(f"'muster/v1/blob/{first}', ... (0 bytes)")
    # Wanted once more, it is given once more.
    ops.ctl_ok("assign", "bins", "--device", "term-1")
    watch.wait_line(f"blob/{first} 28b52ffd", after=gone)
    assert f"'muster/v1/blob/{second}', ... (0 bytes)" not in watch.log()


def test_terms_are_signed_and_kept(ops):
    first = ops.release("limits", table(), "--irreversible", "--minimum-version", "1")["document"]
    assert first["irreversible"] and first["minimum_version"] == 1 and first["epoch"] == 1
    assert not ops.release("limits", table(), "--irreversible")["new"]
    second = ops.release("limits", table())
    assert second["new"] and not second["document"]["irreversible"], "other terms are a new version"
    assert second["document"]["version"] == 2
    # Nobody gets there by counting: who is asked for so much says it himself.
    assert ops.release("limits", table([1]), "--version", str(2**32))["new"]
    file = ops.folder / "limits.content"
    file.write_bytes(table([2]))
    publish = ("doc", "publish", "limits", file, "--kind", "table", "--release-key",
               "keys/release.pem")
    said = ops.fails(3, *publish)
    assert f"musterd says that version {2**32} of limits is the newest" in said
    assert ops.fails(3, *publish, "--version", str(2**32 + 1))
    assert ops.json(*publish, "--version", str(2**32 + 1), "--minimum-version", "1")["new"]


def test_a_long_file_goes_in_pieces(ops):
    noise = random.Random(5).randbytes(2 * MIB + 77)
    content = noise + bytes(15 * MIB)
    published = ops.release("firmware", content, kind="file")["document"]
    assert published["length"] == len(content) and published["sha256"] == sha256(content)
    (encoding,) = published["encodings"]
    assert encoding["piece_bytes"] == 128 * 1024
    assert 2 * MIB < encoding["pieces_size"] < 2.1 * MIB
    assert encoding["size"] == 32 * -(-encoding["pieces_size"] // (128 * 1024))
    assert ops.fails(3, "doc", "publish", "long", ops.folder / "firmware.content", "--kind", "table",
                     "--release-key", "keys/release.pem")
    # No delta is made of what does not fit in a terminal's memory.
    assert len(ops.release("firmware", content + b"!", kind="file")["document"]["encodings"]) == 1
    # Nor is it compared; what is shorter is planned all the same, without deltas from it.
    ops.add_device("paper-1", "12345671")
    (ops.folder / "short.bin").write_bytes(b"short")
    planned = ("firmware", "--device", "paper-1", "--mode", "repair", "--file")
    assert ops.json("plan", *planned, "short.bin")["devices"][0]["way"] == "whole"
    for asked in (("plan", *planned, "firmware.content"), ("diff", "firmware", "./short.bin"),
                  ("diff", "firmware", "./short.bin", "./firmware.content")):
        assert "not compared" in ops.fails(3, *asked)


def test_a_dry_run_tells_and_changes_nothing(ops):
    ops.release("bins", table())
    before = (documents(ops, "bins"), ops.json("audit"))
    told = ops.release("bins", table([7]), "--dry-run")
    assert told["dry_run"] and told["new"] and told["document"]["version"] == 2
    assert len(told["document"]["encodings"]) == 2
    blobs = [e["blob"] for e in told["document"]["encodings"]]
    assert (documents(ops, "bins"), ops.json("audit")) == before
    for blob in blobs:
        status, reply = ops.http("GET", f"/api/v1/blobs/{blob}")
        assert status == 404 and reply["error"]["code"] == "not_found"


def test_encodings_that_lead_elsewhere_are_refused(ops):
    ops.release("bins", table())
    ops.release("bins", table([3]))
    ops.release("other", b"a\tb\n1\t2\n")
    held = documents(ops, "bins")
    delta = next(e for e in held[2]["encodings"] if e["coding"] == "zstd-delta")
    whole = next(e for e in held[1]["encodings"] if e["coding"] == "zstd")

    def add(name, version, **encoding):
        body = json.dumps({"epoch": 1, "version": version, "encodings": [encoding]}).encode()
        return ops.http("POST", f"/api/v1/documents/{name}/encodings", body)

    assert add("bins", 2, **delta) == (200, {"added": 0})
    for version, encoding, word in (
            (2, {**delta, "base": held[2]["sha256"]}, "to itself"),
            (2, {**delta, "base": "0" * 64}, "no public document"),
            (2, {**delta, "base": documents(ops, "other")[1]["sha256"]}, ""),
            (1, delta, ""), (2, whole, "the header"),
            (2, {**whole, "piece_bytes": 128 * 1024, "pieces_size": 5}, "list"),
            (2, {**whole, "coding": "cms"}, "sealed"),
            (2, {**whole, "blob": "1" * 64}, "upload")):
        status, reply = add("bins", version, **encoding)
        assert status in (400, 404) and word in reply["error"]["text"], reply
    assert add("bins", 9, **delta)[0] == 404
    assert documents(ops, "bins") == held


def test_blobs_come_back_as_they_were(ops):
    published = ops.release("bins", table())["document"]
    status, blob = ops.raw("GET", f"/api/v1/blobs/{published['blob']}")
    assert status == 200 and sha256(blob) == published["blob"]
    assert ops.http("GET", "/api/v1/blobs/xyz")[0] == 400
