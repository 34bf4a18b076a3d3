# SPDX-License-Identifier: Apache-2.0
"""All devices out as CSV and in again: a round trip changes nothing, and a bad line nothing either."""
import csv
import io

import pytest


def rows(text):
    return list(csv.DictReader(io.StringIO(text, newline="")))


def write(ops, text, name="fleet.csv"):
    (ops.folder / name).write_bytes(text.encode() if isinstance(text, str) else text)
    return name


def some_fleet(ops):
    for number in range(1, 4):
        ops.add_device(f"term-{number}", f"1111111{number}")
    ops.ctl_ok("store", "set", "--merchant", "m1", "--store", "s1", "--address",
               'Main Street 1, "the corner"', "--opening-hours", "Mo-Fr 09:00-18:00; Sa off",
               "--time-zone", "Asia/Shanghai", "--store-name", "店一")
    ops.ctl_ok("device", "label", "lane=express", "floor=2", "--device", "term-2")
    ops.ctl_ok("device", "suspend", "term-2")
    ops.ctl_ok("device", "retire", "term-3")


def writes(ops):
    return ops.query("SELECT (SELECT count(*) FROM standing), (SELECT count(*) FROM audit),"
                     " (SELECT count(*) FROM device_terminal), (SELECT count(*) FROM agent_key),"
                     " (SELECT count(*) FROM registration_duty)")


def test_a_round_trip_changes_nothing(ops):
    some_fleet(ops)
    exported = ops.ctl_ok("device", "export")
    first, second, third = rows(exported)
    assert list(first) == ["id", "serial", "model", "state", "merchant", "merchant_name", "store",
                           "store_name", "region", "time_zone", "opening_hours", "address",
                           "terminals", "labels", "agent_key"]
    assert first["terminals"] == "0:unionpay:11111111:123456789012345"
    assert first["address"] == 'Main Street 1, "the corner"' and first["merchant_name"] == "商户一"
    assert (second["state"], second["labels"]) == ("suspended", "floor=2;lane=express")
    assert (third["state"], third["terminals"]) == ("retired", "")
    assert all(len(row["agent_key"]) == 60 for row in (first, second, third))
    before = writes(ops)
    done = ops.json("device", "import", write(ops, exported))
    assert (done["new"], done["changed"], done["same"], done["refused"]) == (0, 0, 3, [])
    after = writes(ops)[0]
    assert after == before[0]
    assert ops.ctl_ok("device", "export") == exported
    assert [row["id"] for row in rows(ops.ctl_ok("device", "export", "-l", "lane"))] == ["term-2"]
    assert len(ops.json("device", "export")["devices"]) == 3


def test_another_fleet_is_the_same_after_it(ops, bin_dir, processes, pki, broker, run_dir):
    some_fleet(ops)
    exported = ops.ctl_ok("device", "export")
    ops.process.stop()
    ops.process.wait()
    for name in ("fleet.db", "fleet.db-wal", "fleet.db-shm"):
        (ops.folder / name).unlink(missing_ok=True)
    ops.start(broker, pki)
    done = ops.json("device", "import", write(ops, "\ufeff" + exported))
    assert (done["new"], done["changed"], done["keyless"]) == (3, 0, 0)
    assert ops.ctl_ok("device", "export") == exported
    standings = ops.json("device", "history", "term-2")["standings"]
    assert [(row["state"], row["store"], row["why"]) for row in standings] == [
        ("suspended", "s1", "imported")]


def test_what_a_file_does_not_say_stays(ops):
    some_fleet(ops)
    exported = rows(ops.ctl_ok("device", "export"))
    text = "id,model,serial,labels,state\r\nterm-1,A920,SN-term-1,lane=slow,\r\n"
    dry = ops.json("device", "import", write(ops, text), "--dry-run")
    assert dry["dry_run"] and not dry["kept"] and dry["changed"] == 1
    assert rows(ops.ctl_ok("device", "export")) == exported
    assert "1 changed" in ops.ctl_ok("device", "import", "fleet.csv", "--why", "new labels")
    exported[0]["labels"] = "lane=slow"
    assert rows(ops.ctl_ok("device", "export")) == exported


def test_new_devices_come_by_the_file(ops):
    some_fleet(ops)
    (ops.folder / "term-9.pub").write_bytes(b"")
    ops.add_device("term-8", "11111118")
    key = ops.folder / "term-8.pem"
    ops.ctl_ok("device", "move", "term-2", "--merchant", "m1", "--store", "s9")
    text = ("id,serial,model,state,merchant,store,region,terminals,agent_key\n"
            "term-4,SN-4,A920,spare,,,,,\n"
            "term-5,SN-5,A920,,m2,s1,north,0:visa:22222221:M1;1:union:22222222:M2,\n"
            f"term-8,SN-term-8,A920,repair,m1,s1,south,,@{key.name}\n"
            "term-2,SN-term-2,A920,in_service,m1,s1,south,0:unionpay:11111112:123456789012345,\n")
    done = ops.json("device", "import", write(ops, text))
    assert (done["new"], done["changed"], done["keyless"]) == (2, 2, 2)
    devices = {row["id"]: row for row in ops.json("get", "devices")["devices"]}
    assert (devices["term-4"]["state"], devices["term-4"]["merchant"]) == ("spare", "unassigned")
    assert [row["tid"] for row in ops.json("describe", "device", "term-5")["terminals"]] == [
        "22222221", "22222222"]
    assert (devices["term-8"]["state"], devices["term-2"]["store"]) == ("repair", "s1")
    assert "no agent key yet" in ops.ctl_ok("device", "import", "fleet.csv")
    # Whoever has one of them work is told, and of none that has a key.
    ops.add_device("term-9", "99999999")
    keyless = "no agent key: nothing it sends is taken"
    assert "term-5 has " + keyless in ops.ctl_ok("device", "move", "term-5", "--merchant", "m1", "--store", "s7",
                                                 "--no-terminals")
    assert "term-5 has " + keyless in ops.ctl_ok("device", "swap", "term-9", "term-5")
    assert keyless not in ops.ctl_ok("device", "move", "term-9", "--merchant", "m1", "--store", "s7")
    assert keyless not in ops.ctl_ok("device", "suspend", "term-5")
    assert "term-5 has " + keyless in ops.ctl_ok("device", "resume", "term-5")
    # A file that moves a device is a registration act like any other.
    acts = [(duty["act"], duty["device"]) for duty in ops.json("get", "duties")["duties"]]
    assert ("unbind", "term-8") in acts and ("address", "term-2") in acts


def test_each_bad_line_is_told_and_nothing_kept(ops):
    some_fleet(ops)
    exported = ops.ctl_ok("device", "export")
    text = ("id,serial,model,state,merchant,store,terminals,labels,opening_hours\n"
            "term-5,SN-5,A920,,m1,s1,,,\n"
            "Term-6,SN-6,A920,,m1,s1,,,\n"
            "term-7,SN-7,A920,asleep,m1,s1,,,\n"
            "term-8,SN-8,A920,,m1,,,,\n"
            "term-9,SN-9,A920,,m1,s1,,store=s1,\n"
            "term-10,SN-10,A920,,m1,s1,,,Mo 9-17\n"
            "term-1,SN-other,A920,,m1,s1,,,\n"
            "term-11,SN-1,A920,retired,m1,s1,0:u:T:M,,\n")
    told = ops.fails(3, "device", "import", write(ops, text))
    for line, what in [(3, "expected 1 to 32 of a-z"), (4, 'state "asleep"'), (5, "store: id"),
                       (6, "label \"store\""), (7, "a time such as 09:30"),
                       (8, "has another model or serial number"), (9, "carries no logical")]:
        assert any(row.startswith(f"fleet.csv:{line}: ") and what in row
                   for row in told.splitlines()), (line, what, told)
    assert "fleet.csv:2:" not in told and "7 of 8 devices are refused: nothing is kept" in told
    assert ops.ctl_ok("device", "export") == exported

    text = ("id,serial,model,terminals,labels\n"
            "term-5,SN-5,A920,nonsense,\n"
            "\"term-6\",SN-6,A920,,lane\n"
            "term-7,SN-7,A920\n"
            "term-8,SN-8,A920,,lane=a;lane=b\n")
    told = ops.fails(3, "device", "import", write(ops, text))
    for line, what in [(2, "expected INDEX:ACQUIRER:TID:MID"), (3, "NAME=VALUE"), (4, "3 cells"),
                       (5, "lane is there twice")]:
        assert any(row.startswith(f"fleet.csv:{line}: ") and what in row
                   for row in told.splitlines()), (line, what, told)
    assert ops.ctl_ok("device", "export") == exported


def test_lines_that_contradict_one_another_are_told(ops):
    some_fleet(ops)
    exported = ops.ctl_ok("device", "export")
    for lines, what in (
            (["term-5,SN-5,A920,m3,s1,north,", "term-6,SN-6,A920,m3,s1,south,"], "region of store m3/s1"),
            (["term-5,SN-5,A920,m3,s1,north,0:u:55555555:M", "term-5,SN-5,A920,m3,s2,north,"],
             "store of device term-5")):
        text = "id,serial,model,merchant,store,region,terminals\n" + "\n".join(lines) + "\n"
        told = ops.fails(3, "device", "import", write(ops, text))
        for line, other in (2, 3), (3, 2):
            assert (f"fleet.csv:{line}: another line says otherwise (see fleet.csv:{other}: {what})"
                    in told), told
    file = write(ops, "id,serial,model,merchant,store,terminals\nterm-5,SN-5,A920,m3,s1,0:u:55555555:M\n"
                      "term-6,SN-6,A920,m3,s1,0:u:55555555:M\n")
    told = ops.fails(3, "device", "import", file)
    assert "fleet.csv:3: 55555555 is carried by term-5" in told
    assert "fleet.csv:2: logical terminal u:55555555:M)" in told
    file = write(ops, "id,serial,model\n" + "".join(f"term-{n},SN,A920\n" for n in range(10, 220)))
    told = ops.fails(3, "device", "import", file)
    assert "209 of 210 devices are refused (told are the first 200): nothing is kept" in told
    assert ops.ctl_ok("device", "export") == exported


def test_an_inventory_comes_through_a_pipe(ops):
    ops.add_device("term-1", "11111111")
    text = ops.ctl_ok("device", "export")
    assert "1 as before" in ops.ctl("device", "import", "-", stdin=text).stdout
    told = ops.ctl("device", "import", "-", stdin=text.replace("in_service", "asleep"))
    assert told.returncode == 3 and told.stderr.startswith('stdin:2: state "asleep"')


@pytest.mark.parametrize("text,told", [
    ("", "no device in it"),
    ("id,serial,model\n", "no device in it"),
    ("id,serial\nterm-1,SN-1\n", 'fleet.csv:1: no column "model"'),
    ("id,serial,model,stoer\nterm-1,SN-1,A,s1\n", 'fleet.csv:1: "stoer" is no column'),
    ("id,serial,model,id\nterm-1,SN-1,A,s1\n", 'fleet.csv:1: two columns "id"'),
    ('id,serial,model\nterm-1,SN"1,A920\n', "fleet.csv: line 2: a quote stands"),
    ('id,serial,model\nterm-1,"SN-1,A920\n', "quotes are not closed"),
    (b"id,serial,model\nterm-1,\xff,A920\n", "save the file as UTF-8"),
    ("id,serial,model\nterm-1,SN-1,A920\n".encode("utf-16"), "fleet.csv: line 1: a cell is not UTF-8"),
])
def test_what_is_no_inventory_is_refused(ops, text, told):
    assert told in ops.fails(3, "device", "import", write(ops, text))
    assert ops.ctl_ok("device", "export").count("\n") == 1
