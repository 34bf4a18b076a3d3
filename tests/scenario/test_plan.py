# SPDX-License-Identifier: Apache-2.0
"""What a push would change, told before it is signed: nothing may change for the asking."""
import contextlib
import json
import pathlib
import sqlite3

from terminal import Terminal

TABLE = b"bin\tissuer\n" + b"".join(b"%06d\tbank %d\n" % (622000 + n, n) for n in range(500))


def all_rows(ops):
    """Everything that the fleet database holds."""
    path = ops.folder / "fleet.db"
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        return list(database.iterdump())


def all_files(ops):
    """Everything an operator has on his disk; the database has its own look."""
    return {path.relative_to(ops.folder): path.read_bytes()
            for path in pathlib.Path(ops.folder).rglob("*")
            if path.is_file() and not path.name.startswith("fleet.db")}


@contextlib.contextmanager
def unchanged(ops):
    rows, files = all_rows(ops), all_files(ops)
    yield
    assert all_rows(ops) == rows
    assert all_files(ops) == files


def device_add(ops, device, *more, serial=None):
    return ("device", "add", device, "--serial", serial or f"SN-{device}", "--model", "A920",
            "--agent-key", ops.folder / "term-1.pem", *more)


def test_a_dry_enrolment_is_checked_and_changes_nothing(ops):
    ops.add_device("term-1", "12345671")
    (ops.folder / "term-2.pem").write_bytes((ops.folder / "term-1.pem").read_bytes())
    with unchanged(ops):
        told = ops.ctl_ok(*device_add(ops, "term-1", "--dry-run"))
        assert "would be brought up to date" in told and "Nothing was changed" in told
        assert ops.json(*device_add(ops, "term-1", "--dry-run")) == {
            "id": "term-1", "new": False, "dry_run": True, "duties": []}
        # What would be refused is refused, with the same words.
        dry = ops.fails(3, *device_add(ops, "term-2", "--dry-run"))
        assert "the agent key is another device's" in dry
        assert ops.fails(3, *device_add(ops, "term-2")) == dry
    assert ops.json(*device_add(ops, "term-1"))["dry_run"] is False


def refused(ops, code, *args):
    """The JSON of a plan that would be refused, which its exit code says as well."""
    done = ops.ctl(*args, "-o", "json")
    assert done.returncode == code, f"{args}: {done.returncode}: {done.stderr}"
    assert "refused as a whole" in done.stderr
    return json.loads(done.stdout)


def by_device(plan):
    return {device["id"]: device for device in plan["devices"]}


def test_a_dry_assignment_tells_of_each_device_and_changes_nothing(ops):
    for n in range(1, 5):
        ops.add_device(f"term-{n}", f"1234567{n}")
    ops.release("bin-table", TABLE)
    ops.ctl_ok("assign", "bin-table", "--device", "term-1", "--mode", "repair")
    ops.release("bin-table", TABLE + b"999999\tnew\n", "--minimum-version", "2")
    ops.ctl_ok("assign", "bin-table", "--device", "term-2", "--mode", "observe")
    order = ("assign", "bin-table", "--all", "--mode", "repair")
    with unchanged(ops):
        plan = by_device(ops.json(*order, "--dry-run"))
        told = ops.ctl_ok(*order, "--dry-run")
        old = by_device(refused(ops, 3, "assign", "bin-table@1", "--device", "term-3", "--mode",
                                "repair", "--dry-run"))["term-3"]
        some = ops.ctl("assign", "bin-table@1", "--all", "--mode", "repair", "--dry-run")
        missing = by_device(refused(ops, 7, "assign", "bin-table", "--device", "term-1",
                                    "--device", "nobody", "--dry-run"))
        ops.fails(2, "assign", "no-such-table", "--dry-run")
        strange = by_device(refused(ops, 7, "assign", "no-such-table", "--device", "term-1",
                                    "--dry-run"))
        away = by_device(ops.json("unassign", "bin-table", "--all", "--dry-run"))
        # What is planned must be said whole.
        for wrong in ({}, [], {"version": 2}, {"version": 0, "sha256": "00" * 32,
                                               "minimum_version": 0, "encodings": [{"size": 1}]},
                      {"version": 2, "sha256": "zz", "minimum_version": 0,
                       "encodings": [{"size": 1}]},
                      {"version": 2, "sha256": "00" * 32, "minimum_version": 3,
                       "encodings": [{"size": 1}]},
                      {"version": 2, "sha256": "00" * 32, "minimum_version": 0,
                       "encodings": [{"size": 1, "base": "x"}]}):
            request = {"document": "bin-table", "mode": "repair", "devices": ["term-1"],
                       "dry_run": True, "candidate": wrong}
            assert ops.http("POST", "/api/v1/assignments", json.dumps(request))[0] == 400, wrong
    assert plan["term-1"]["from"]["version"] == 1 and plan["term-1"]["to"]["version"] == 2
    assert plan["term-1"]["changed"] and plan["term-1"]["way"] == "whole"
    assert plan["term-1"]["manifest_version"] == 2 and not plan["term-1"]["online"]
    assert plan["term-2"]["from"]["mode"] == "observe" and plan["term-2"]["changed"]
    assert plan["term-3"]["from"] is None and plan["term-3"]["bytes"] > 0
    assert "observe -> repair" in told and "once it connects (offline, last seen never)" in told
    assert "4 would change" in told and "Nothing was changed" in told
    # What a terminal would say no to, and what the fleet does.
    assert old["refused"]["by"] == "terminal" and old["refused"]["reason"] == "document_floor"
    assert old["bytes"] == 0
    # For all or for none: that is said, and what the order itself would end with.
    assert some.returncode == 3 and "the whole order would be refused" in some.stdout
    assert ops.fails(3, "assign", "bin-table@1", "--all", "--mode", "repair")
    assert missing["nobody"]["refused"]["not_found"] and missing["term-1"]["refused"] is None
    assert strange["term-1"]["refused"]["by"] == "fleet"
    assert away["term-1"]["changed"] and away["term-1"]["to"] is None
    assert not away["term-3"]["changed"]
    # And it comes as it was said.
    done = by_device(ops.json(*order))
    for device, said in plan.items():
        assert done[device] == {"id": device, "manifest_version": said["manifest_version"],
                                "changed": said["changed"], "waits_for": ""}
    again = by_device(ops.json(*order, "--dry-run"))
    assert not any(device["changed"] for device in again.values())


def test_what_a_terminal_holds_is_known(bin_dir, processes, run_dir, pki, broker, ops):
    terminal = Terminal(bin_dir, processes, run_dir / "till", "till-1", ops.root)
    ops.enrol(terminal)
    ops.release("bin-table", TABLE)
    ops.ctl_ok("assign", "bin-table", "--device", "till-1", "--mode", "repair")
    terminal.start_agent()
    terminal.start_link(broker, pki)
    ops.wait_converged()
    ops.release("bin-table", TABLE + b"999999\tnew\n")
    push = ("assign", "bin-table", "--device", "till-1", "--mode", "repair", "--dry-run")
    plan = by_device(ops.json(*push))["till-1"]
    assert plan["online"] and plan["held_version"] == 1 and plan["to"]["version"] == 2
    back = by_device(ops.json("assign", "bin-table@1", "--device", "till-1", "--mode", "repair",
                              "--dry-run"))["till-1"]
    assert back["way"] == "held" and back["bytes"] == 0 and not back["changed"]
    away = by_device(ops.json("unassign", "bin-table", "--device", "till-1", "--dry-run"))
    assert away["till-1"]["deletes"]
    assert "the file is deleted" in ops.ctl_ok("unassign", "bin-table", "--device", "till-1",
                                               "--dry-run")
    assert ops.query("SELECT count(*) FROM assignment") == [(1,)]


def test_a_dry_publish_changes_nothing(ops):
    ops.release("bin-table", TABLE)
    (ops.folder / "bin-table.content").write_bytes(TABLE + b"999999\tnew\n")
    publish = ("doc", "publish", "bin-table", ops.folder / "bin-table.content", "--kind", "table",
               "--release-key", "keys/release.pem")
    with unchanged(ops):
        told = ops.ctl_ok(*publish, "--dry-run")
        assert "version 2 would be published" in told and "Nothing was changed" in told
        # What would be refused is refused, with the same words.
        file = tuple("file" if word == "table" else word for word in publish)
        for wrong in ((*publish, "--version", "1"), (*publish, "--minimum-version", "9"), file):
            said = ops.fails(3, *wrong, "--dry-run")
            assert "document bin-table" in said
        other = [*publish[:-1], "keys/custodian.pem"]
        assert "not signed as root 1 wants it" in ops.fails(3, *other, "--dry-run")
        dry = ops.json(*publish, "--dry-run")
        assert dry["new"] and dry["dry_run"] and dry["document"]["version"] == 2
    done = ops.json(*publish)
    assert done["document"]["version"] == 2 and not done["dry_run"]
    assert done["document"]["sha256"] == dry["document"]["sha256"]


ROW = b"622007\tbank 7\n"


def test_a_diff_names_rows_and_weighs_bytes(ops):
    ops.release("bin-table", TABLE)
    ops.release("bin-table", TABLE.replace(ROW, b"622007\tbank seven\n") + b"700000\tnew\n")
    new = ops.folder / "new.tsv"
    new.write_bytes(TABLE.replace(ROW, b""))
    with unchanged(ops):
        two = ops.json("diff", "bin-table", "1", "2")
        assert two["rows"] == {"added": 1, "removed": 0, "changed": 1, "same": 499,
                               "reordered": False, "columns_changed": False}
        assert {"what": "changed", "section": "", "before": ROW.decode().strip(),
                "after": "622007\tbank seven"} in two["changes"]
        assert two["bytes"]["before"] == len(TABLE)
        assert 0 < two["bytes"]["delta"] < two["bytes"]["whole"] < two["bytes"]["after"]
        # From the newest published one to a file; and back again, by a column's name.
        file = ops.json("diff", "bin-table", "./new.tsv", "--key", "bin")
        assert file["rows"]["removed"] == 2 and file["rows"]["added"] == 0
        told = ops.ctl_ok("diff", "bin-table", "./new.tsv", "1")
        assert "1 added, 0 removed, 0 changed, 499 the same" in told and f"+ {ROW.decode()}" in told
        assert ops.json("diff", "bin-table", "1", "1")["changes"] == []
        few = ops.ctl_ok("diff", "bin-table", "./new.tsv", "--rows", "1")
        assert "... and 1 more rows" in few
        ops.fails(7, "diff", "bin-table", "9")
        ops.fails(7, "diff", "no-such-table", "./new.tsv")
        ops.fails(2, "diff", "bin-table", "./nowhere.tsv")
        ops.fails(2, "diff", "bin-table", "1", "2", "--key", "iin")


def test_a_file_is_planned_before_anybody_signs_it(bin_dir, processes, run_dir, pki, broker, ops):
    terminal = Terminal(bin_dir, processes, run_dir / "till", "till-1", ops.root)
    ops.enrol(terminal)
    ops.release("bin-table", TABLE)
    ops.ctl_ok("assign", "bin-table", "--device", "till-1", "--mode", "repair")
    terminal.start_agent()
    terminal.start_link(broker, pki)
    ops.wait_converged()
    ops.add_device("term-2", "12345672")
    new = ops.folder / "new.tsv"
    new.write_bytes(TABLE.replace(ROW, b"622007\tbank seven\n"))
    push = ("plan", "bin-table", "--file", new, "--all", "--mode", "repair")
    files = all_files(ops)
    plan = ops.json(*push)
    told = ops.ctl_ok(*push)
    assert all_files(ops) == files and ops.query("SELECT count(*) FROM document") == [(1,)]
    devices = by_device(plan)
    assert devices["till-1"]["way"] == "delta" and devices["term-2"]["way"] == "whole"
    assert 0 < devices["till-1"]["bytes"] < devices["term-2"]["bytes"]
    assert devices["till-1"]["to"]["version"] == 2
    assert plan["content"] == [{
        "from": 1, "devices": 1, "bytes": plan["content"][0]["bytes"],
        "rows": {"added": 0, "removed": 0, "changed": 1, "same": 499, "reordered": False,
                 "columns_changed": False}}]
    assert "2 would change" in told and "Nothing was changed" in told
    # Published, it is planned the same, byte for byte; assigned, it is what comes.
    ops.release("bin-table", new.read_bytes())
    published = by_device(ops.json("plan", "bin-table@2", "--all", "--mode", "repair"))
    assert published["till-1"]["bytes"] == devices["till-1"]["bytes"]
    assert published["term-2"]["bytes"] == devices["term-2"]["bytes"]
    away = by_device(ops.json("plan", "bin-table", "--remove", "--device", "till-1"))
    assert away["till-1"]["deletes"]
    ops.fails(2, "plan", "bin-table@1", "--file", new, "--all")
    ops.fails(2, "plan", "bin-table@1", "--remove", "--all")
    ops.fails(2, "plan", "new-table", "--file", new, "--all")  # of what kind?
    first = by_device(ops.json("plan", "new-table", "--file", new, "--kind", "table", "--all",
                               "--mode", "repair"))
    assert first["till-1"]["from"] is None and first["till-1"]["way"] == "whole"
