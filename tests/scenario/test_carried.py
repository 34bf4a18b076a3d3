# SPDX-License-Identifier: Apache-2.0
"""A logical terminal is on one device, and a MID of one merchant: none is taken off in silence."""
import csv
import io
import json

import pytest

TERMINAL = "0:unionpay:11111111:123456789012345"
HEAD = "id,serial,model,merchant,store,terminals\n"


def carried(ops):
    return {row["id"]: row["terminals"] for row in csv.DictReader(
        io.StringIO(ops.ctl_ok("device", "export"), newline=""))}


def changes(ops, device):
    return [row["text"] for row in ops.json("changes", "--device", device)["changes"]]


def add(ops, *said):
    """The words of device add for one that is known: add_device made its key."""
    return ("device", "add", "new", "--serial", "SN-new", "--model", "A920", "--agent-key",
            ops.folder / "new.pem", *said)


@pytest.fixture
def two(ops):
    ops.add_device("old", "11111111")
    ops.add_device("new", "22222222")
    return carried(ops)


@pytest.mark.parametrize("dry", [(), ("--dry-run",)])
def test_what_another_carries_is_not_taken_off_it(ops, two, dry):
    place = ("--merchant", "m1", "--store", "s1", "--terminal", TERMINAL)
    file = ops.folder / "new.csv"
    file.write_text(HEAD + f"new,SN-new,A920,m1,s1,{TERMINAL}\n")
    for words in (("device", "move", "new", *place), add(ops, *place), ("device", "import", file)):
        told = ops.fails(3, *words, *dry)
        assert "11111111 is carried by old: use musterctl device swap, or take it off old first" in told
    status, reply = ops.http("POST", "/api/v1/devices/new/move", json.dumps(
        {"merchant": {"id": "m1"}, "store": {"id": "s1"}, "terminals": [
            {"index": 0, "acquirer": "unionpay", "tid": "11111111", "mid": "123456789012345"}]}))
    assert status == 409, reply
    assert carried(ops) == two and len(changes(ops, "old")) == len(changes(ops, "new")) == 1


def test_lines_hand_terminals_to_one_another(ops, two):
    """Whatever their order, also in a ring; and who loses one has a row that says so."""
    lines = [f"old,SN-old,A920,m1,s1,{two['new']}\n", f"new,SN-new,A920,m1,s1,{two['old']}\n"]
    file = ops.folder / "new.csv"
    for order in (lines, lines[::-1], [lines[0].replace(two["new"], ""), lines[1]]):
        before = carried(ops)
        file.write_text(HEAD + "".join(order))
        told = ops.ctl_ok("device", "import", file, "--dry-run")
        assert carried(ops) == before
        told = ops.ctl_ok("device", "import", file, "--why", "exchanged")
        if carried(ops) == before:
            assert "0 new, 0 changed, 2 as before." in told
    assert carried(ops) == {"old": "", "new": two["old"]}
    assert changes(ops, "old")[0] == f"terminal 0: {two['new'][2:]} -> none: exchanged"
    assert changes(ops, "old")[1] == f"terminal 0: {two['old'][2:]} -> {two['new'][2:]}: exchanged"
    assert len(changes(ops, "old")) == 3 and len(changes(ops, "new")) == 2


def test_add_and_import_say_what_is_to_be_told(ops, two):
    file = ops.folder / "new.csv"
    file.write_text(HEAD + f"old,SN-old,A920,m1,s1,\nnew,SN-new,A920,m1,s1,{two['old']}\n")
    dry = ops.json("device", "import", file, "--dry-run")
    acts = [(duty["act"], duty["device"], duty["tid"]) for duty in dry["duties"]]
    assert sorted(acts) == [("bind", "new", "11111111"), ("unbind", "new", "22222222"),
                            ("unbind", "old", "11111111")] and dry["duty_count"] == 3
    told = ops.ctl_ok("device", "import", file)
    assert "0 new, 2 changed" in told and "58 or 97" in told and "release this serial number" in told
    assert "58 or 97" not in ops.ctl_ok("device", "import", file)
    ops.ctl_ok("duty", "done", *[str(duty["id"]) for duty in ops.json("get", "duties")["duties"]])
    assert "release this serial number" in ops.ctl_ok(*add(ops, "--merchant", "m1", "--store", "s1",
                                                           "--terminal", two["new"], "--dry-run"))
    assert carried(ops) == {"old": "", "new": two["old"]}


def test_what_a_known_device_carries_is_said_without_its_store(ops, two):
    ops.ctl_ok(*add(ops, "--terminal", "3:unionpay:33333333:123456789012345"))
    assert carried(ops)["new"] == "3:unionpay:33333333:123456789012345"
    file = ops.folder / "new.csv"
    file.write_text("id,serial,model,terminals\nnew,SN-new,A920,\n")
    assert "1 changed" in ops.ctl_ok("device", "import", file)
    assert carried(ops) == {"old": two["old"], "new": ""}
    assert ops.json("describe", "device", "new")["store"] == "s1"


def test_a_mid_that_another_merchant_has_is_not_taken(ops, two):
    file = ops.folder / "new.csv"
    file.write_text(HEAD + "x1,X1,A920,m3,s1,0:unionpay:99999999:123456789012345\n")
    place = ("--merchant", "m3", "--store", "s1", "--terminal")
    for words in (("device", "import", file), add(ops, *place, two["new"]),
                  ("device", "move", "new", *place, "0:unionpay:99999999:123456789012345", "--dry-run")):
        told = ops.fails(3, *words)
        assert "MID 123456789012345 is merchant m1's" in told and "stays with its merchant" in told
    assert carried(ops) == two
    # One of another acquirer's is another; and one that nobody carries any more is free.
    ops.ctl_ok("device", "move", "new", *place, "0:visa:99999999:123456789012345")
    ops.ctl_ok("device", "move", "old", "--merchant", "m1", "--store", "s1", "--no-terminals")
    assert "x1" not in carried(ops)
    ops.ctl_ok("device", "import", file)
    assert carried(ops)["x1"] == "0:unionpay:99999999:123456789012345"


def test_a_device_that_stands_nowhere_yet_keeps_its_mid(ops):
    file = ops.folder / "new.csv"
    file.write_text(HEAD + f"x1,X1,A920,,,{TERMINAL}\n")
    ops.ctl_ok("device", "import", file)
    ops.ctl_ok("device", "move", "x1", "--merchant", "m1", "--store", "s1", "--terminal", TERMINAL)
    assert carried(ops) == {"x1": TERMINAL}


def test_one_terminal_twice_on_a_device(ops, two):
    same = "unionpay:33333333:123456789012345"
    place = ("--merchant", "m1", "--store", "s1", "--terminal", f"0:{same}", "--terminal", f"1:{same}")
    file = ops.folder / "new.csv"
    file.write_text(HEAD + f"new,SN-new,A920,m1,s1,0:{same};1:{same}\n")
    for words in (("device", "move", "new", *place), add(ops, *place), ("device", "import", file)):
        assert f"{same} has index 0 and index 1" in ops.fails(3, *words)
    assert carried(ops) == two


def test_a_regions_name_can_be_selected(ops, two):
    file = ops.folder / "new.csv"
    for name in ("n,orth", "*", "=SUM(1)", "a|b", "n?", " north"):
        for words in (("region", "set", name, "--time-zone", "UTC"),
                      ("store", "set", "--merchant", "m1", "--store", "s1", "--region", name),
                      ("device", "move", "new", "--merchant", "m1", "--store", "s1", "--region", name)):
            assert f'region "{name}": a name has none of' in ops.fails(3, *words)
        file.write_text(f'id,serial,model,merchant,store,region\nnew,SN-new,A920,m1,s1,"{name}"\n')
        assert f'region "{name}": a name has none of' in ops.fails(3, "device", "import", file)
    assert [row["name"] for row in ops.json("get", "regions")["regions"]] == ["south"]
    ops.ctl_ok("region", "set", "华南 south-1", "--time-zone", "Asia/Shanghai")
    ops.ctl_ok("device", "move", "new", "--merchant", "m1", "--store", "s2", "--region", "华南 south-1")
    assert len(ops.json("get", "devices", "--selector", "region=华南 south-1")["devices"]) == 1
