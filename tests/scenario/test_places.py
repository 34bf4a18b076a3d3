# SPDX-License-Identifier: Apache-2.0
"""Where devices stand and who they are: moved, swapped, retired, labelled, chosen, with history."""
import contextlib
import hashlib
import json
import sqlite3
import subprocess


def ids(reply, name="devices"):
    return [device["id"] for device in reply[name]]


def of(rows):
    return {row["device"] for row in rows}


def audit(ops, what):
    return [row[0] for row in ops.query("SELECT text FROM audit WHERE what = ? ORDER BY id", what)]


def acts(ops, *options):
    return [(duty["act"], duty["device"], duty["tid"])
            for duty in ops.json("get", "duties", *options)["duties"]]


def test_a_device_moves_with_its_history(ops):
    ops.add_device("term-1", "11111111")
    dry = ops.json("device", "move", "term-1", "--merchant", "m1", "--store", "s2", "--dry-run")
    assert dry["dry_run"] and dry["changed"]
    assert len(ops.json("device", "history", "term-1")["standings"]) == 1
    assert ops.json("get", "stores")["stores"][0]["store"]["id"] == "s1"

    told = ops.ctl_ok("device", "move", "term-1", "--merchant", "m1", "--store", "s2", "--region",
                      "north", "--address", "2 Side Street", "--why", "the shop has moved")
    assert "term-1 stands at m1/s2." in told and "58 or 97" in told and "2 Side Street" in told
    assert acts(ops) == [("address", "term-1", "11111111")]
    history = ops.json("device", "history", "term-1")
    before, after = history["standings"]
    assert (before["store"], before["region"], after["store"], after["region"]) == (
        "s1", "south", "s2", "north")
    assert before["to_ms"] == after["from_ms"] and after["to_ms"] == 0
    assert after["why"] == "the shop has moved" and after["state"] == "in_service"
    assert history["terminals"][0]["to_ms"] == 0
    assert audit(ops, "move") == ["store: m1/s1 -> m1/s2: the shop has moved"]
    assert "nothing changes" in ops.ctl_ok("device", "move", "term-1", "--merchant", "m1",
                                           "--store", "s2")
    assert len(audit(ops, "move")) == 1
    shown = ops.ctl_ok("describe", "device", "term-1")
    assert "Still to be told" in shown and "register its new address" in shown
    assert "the shop has moved" in ops.ctl_ok("device", "history", "term-1")


def test_a_mid_stays_with_its_merchant(ops):
    ops.add_device("term-1", "11111111")
    move = ["device", "move", "term-1", "--merchant", "m2", "--store", "s1"]
    assert "MIDs stay with that one" in ops.fails(3, *move)
    assert [store["merchant"]["id"] for store in ops.json("get", "stores")["stores"]] == ["m1"]
    ops.ctl_ok(*move, "--terminal", "0:unionpay:22222222:999999999999999")
    assert acts(ops) == [("unbind", "term-1", "11111111")]
    carried = ops.json("device", "history", "term-1")["terminals"]
    assert [row["tid"] for row in carried] == ["11111111", "22222222"]
    ops.fails(2, *move, "--no-terminals", "--terminal", "0:unionpay:22222222:999999999999999")
    ops.fails(2, "device", "move", "term-1", "--store", "s1")
    assert "another merchant" not in ops.ctl_ok(*move, "--no-terminals")
    assert ops.json("describe", "device", "term-1")["terminals"] == []


def test_a_swap_keeps_the_story_of_its_terminals(ops):
    ops.add_device("old", "11111111")
    ops.add_device("new", "22222222")
    assert "carries 1 logical terminals already" in ops.fails(3, "device", "swap", "old", "new")
    ops.ctl_ok("device", "move", "new", "--merchant", "m1", "--store", "depot", "--no-terminals")
    ops.ctl_ok("device", "state", "spare", "new")
    ops.release("bin-table", b"bin\n622000\n")
    ops.ctl_ok("assign", "bin-table", "--device", "old", "--mode", "repair")
    assert "repair" in ops.ctl_ok("device", "swap", "old", "new", "--dry-run")
    assert ops.json("describe", "terminal", "11111111")["carriers"][-1]["device"] == "old"
    ops.ctl_ok("duty", "done", *[str(duty["id"]) for duty in ops.json("get", "duties")["duties"]])

    told = ops.ctl_ok("device", "swap", "old", "new", "--why", "printer jams")
    assert "new takes the place of old, which is now repair." in told
    assert "musterctl assign bin-table@1 --device new" in told
    assert "release this serial number" in told and "register this serial number" in told
    carriers = ops.json("describe", "terminal", "11111111")["carriers"]
    assert [row["device"] for row in carriers] == ["old", "new"]
    assert carriers[0]["to_ms"] == carriers[1]["from_ms"] and carriers[1]["to_ms"] == 0
    devices = {row["id"]: row for row in ops.json("get", "devices")["devices"]}
    assert (devices["old"]["state"], devices["new"]["state"]) == ("repair", "in_service")
    assert devices["new"]["store"] == "s1"
    assert audit(ops, "swap") == ["new takes the place of old: printer jams"] * 2

    duties = ops.json("get", "duties")["duties"]
    assert [(duty["act"], duty["device"]) for duty in duties] == [("unbind", "old"),
                                                                  ("bind", "new")]
    ops.ctl_ok("duty", "done", str(duties[1]["id"]), "--note", "ticket 4711")
    assert acts(ops) == [("unbind", "old", "11111111")]
    assert "is done already" in ops.fails(3, "duty", "done", str(duties[1]["id"]))
    ops.fails(7, "duty", "done", "999")
    assert "done: --note: expected a text" in ops.fails(3, "duty", "done", "999", "--note", "x" * 201)
    ops.fails(2, "duty", "done", "one")
    assert "ticket 4711" in ops.ctl_ok("get", "duties", "--all", "--device", "new")
    ops.fails(7, "describe", "terminal", "99999999")


def test_lives_end_and_begin_again(ops):
    for number in range(1, 4):
        ops.add_device(f"term-{number}", f"1111111{number}")
    ops.ctl_ok("device", "suspend", "term-1", "term-2", "--why", "holidays")
    assert [row["state"] for row in ops.json("get", "devices")["devices"]] == [
        "suspended", "suspended", "in_service"]
    ops.ctl_ok("device", "resume", "--selector", "state=suspended")
    assert ids(ops.json("get", "devices", "-l", "state=in_service")) == ["term-1", "term-2",
                                                                         "term-3"]
    assert "expected in_service, spare" in ops.fails(3, "device", "state", "asleep", "term-1")
    ops.fails(2, "device", "suspend")
    ops.fails(2, "device", "suspend", "term-1", "--selector", "state=spare")
    # Where one would be refused, none is changed: the last one still holds records.
    with contextlib.closing(sqlite3.connect(ops.folder / "fleet.db")) as database:
        with database:
            database.execute(
                "INSERT INTO stream (device, incarnation, lane, last_seq, first_ms, updated_ms)"
                " SELECT id, 7, 1, 12, 0, 0 FROM device WHERE name = 'term-3'")
    refused = ops.fails(3, "device", "retire", "term-1", "term-3")
    assert "term-3 still holds 12 records" in refused
    assert ids(ops.json("get", "devices", "-l", "state=retired|in_service")) == [
        "term-1", "term-2", "term-3"]
    assert audit(ops, "state")[-1] == "suspended -> in_service"
    ops.ctl_ok("device", "retire", "term-1", "term-3", "--give-up-records")
    assert ids(ops.json("get", "devices", "-l", "state=retired")) == ["term-1", "term-3"]
    assert ops.json("describe", "device", "term-1")["terminals"] == []
    assert ("unbind", "term-1", "11111111") in acts(ops)
    assert "make it a spare first" in ops.fails(3, "device", "resume", "term-1")
    ops.ctl_ok("device", "state", "spare", "term-1")
    ops.ctl_ok("device", "resume", "term-1")
    states = [row["state"] for row in ops.json("device", "history", "term-1")["standings"]]
    assert states == ["in_service", "suspended", "in_service", "retired", "spare", "in_service"]


def test_labels_and_groups_choose_devices(ops):
    for number in range(1, 4):
        ops.add_device(f"term-{number}", f"1111111{number}")
    ops.ctl_ok("device", "label", "lane=express", "floor=2", "--device", "term-1", "--device",
               "term-2")
    ops.ctl_ok("device", "label", "floor-", "--device", "term-2")
    assert audit(ops, "label") == ["set lane=express, floor=2"] * 2 + ["removed floor"]
    assert ops.json("describe", "device", "term-1")["labels"] == {"floor": "2", "lane": "express"}
    assert ids(ops.json("get", "devices", "-l", "lane=express,!floor")) == ["term-2"]
    ops.ctl_ok("group", "add", "pilots", "lane=express")
    assert ids(ops.json("get", "devices", "--group", "pilots")) == ["term-1", "term-2"]
    ops.ctl_ok("device", "label", "lane=express", "--selector", "device=term-3")
    groups = ops.json("get", "groups")["groups"]
    assert [(group["name"], group["devices"], group["trouble"]) for group in groups] == [
        ("pilots", 3, "")]

    ops.release("bin-table", b"bin\n622000\n")
    done = ops.json("assign", "bin-table", "--selector", "group=pilots,floor", "--mode", "repair")
    assert ids(done) == ["term-1"]
    planned = ops.json("plan", "bin-table", "--group", "pilots", "--mode", "repair")
    assert ids(planned) == ["term-1", "term-2", "term-3"]
    acted = ops.json("action", "selfcheck", "-l", "floor=2", "--dry-run")
    assert [action["device"] for action in acted["actions"]] == ["term-1"]
    ops.json("get", "keys", "--group", "pilots")
    ops.json("get", "proposals", "-l", "lane")
    for device in ("term-1", "term-2"):
        ops.ctl_ok("action", device, "selfcheck")
    for chosen in (("-l", "floor=2"), ("--device", "term-1"), ("-l", "group=pilots,floor")):
        assert of(ops.json("get", "actions", *chosen)["actions"]) == {"term-1"}, chosen
        assert of(ops.json("changes", *chosen)["changes"]) == {"term-1"}, chosen
    for chosen in (("--group", "pilots"), ("--device", "term-1", "--device", "term-2")):
        assert of(ops.json("get", "actions", "--limit", "2", *chosen)["actions"]) == {"term-1", "term-2"}
        ops.json("errors", *chosen[:2])
    ops.fails(2, "changes", "--device", "term-1", "--group", "pilots")
    ops.fails(2, "errors", "-l", "lane", "--group", "pilots")
    for nobody in (("changes", "--group", "others"), ("changes", "-l", "model=X9"), ("errors", "-l", "model=X9"),
                   ("get", "actions", "-l", "model=X9"), ("errors", "--region", "nort"), ("rates", "--store", "m1/s7"),
                   ("top", "--merchant", "m7"), ("errors", "--tid", "T9")):
        ops.fails(7, *nobody)

    assert "no device has such a label" in ops.fails(7, "get", "devices", "-l", "modle!=A920")
    assert "no device is so" in ops.fails(7, "get", "devices", "-l", "model=X9")
    assert ": no group others\n" in ops.fails(7, "assign", "bin-table", "--group", "others")
    assert ops.fails(7, "assign", "bin-table", "--group", "others").count("others") == 1
    assert ops.fails(7, "device", "suspend", "nobody").count("nobody") == 1
    for command in ("errors", "rates", "top", "find"):
        assert "expected MERCHANT/STORE" in ops.fails(3, command, "--store", "s1")
    assert "at \"model=\"" in ops.fails(3, "get", "devices", "-l", "model=")
    assert "names no other group" in ops.fails(3, "group", "add", "more", "group=pilots")
    ops.fails(3, "group", "add", "More", "lane")
    ops.fails(3, "device", "label", "store=s9", "--device", "term-1")
    ops.fails(3, "device", "label", "lane=a;b", "--device", "term-1")
    assert ops.fails(7, "device", "label", "lane=slow", "--device", "nobody") == (
        "musterctl device label: no device nobody\n")
    ops.fails(2, "device", "label", "lane", "--device", "term-1")
    ops.fails(2, "device", "label", "lane=slow")
    ops.fails(2, "assign", "bin-table", "--device", "term-1", "--group", "pilots")
    ops.ctl_ok("group", "remove", "pilots")
    ops.fails(7, "group", "remove", "pilots")
    assert audit(ops, "group") == ["pilots: lane=express"]
    assert audit(ops, "group remove") == ["pilots"]


def test_stores_have_hours_and_a_zone(ops):
    ops.add_device("term-1", "11111111")
    ops.ctl_ok("region", "set", "south", "--time-zone", "Asia/Shanghai")
    ops.ctl_ok("store", "set", "--merchant", "m1", "--store", "s1", "--opening-hours",
               "Mo-Fr 09:00-18:00; Sa 10:00-02:00")
    store = ops.json("get", "stores")["stores"][0]
    assert store["zone_in_force"] == "Asia/Shanghai" and store["devices"] == 1
    assert store["store"]["opening_hours"] == "Mo-Fr 09:00-18:00; Sa 10:00-02:00"
    assert store["merchant"]["name"] == "商户一"
    ops.ctl_ok("store", "set", "--merchant", "m1", "--store", "s1", "--time-zone", "Europe/Berlin")
    assert "nothing changed" in ops.ctl_ok("store", "set", "--merchant", "m1", "--store", "s1")
    assert "Europe/Berlin" in ops.ctl_ok("get", "stores")
    wrong = ["store", "set", "--merchant", "m1", "--store", "s1"]
    assert "expected a time such as 09:30" in ops.fails(3, *wrong, "--opening-hours", "Mo 9-17")
    told = ops.fails(3, *wrong, "--time-zone", "UTC+8")
    assert 'time zone "UTC+8": not in this machine\'s tzdata' in told
    ops.ctl_ok(*wrong, "--time-zone", "CET")
    ops.fails(3, "region", "set", "west", "--time-zone", "Mars/Olympus")
    ops.fails(2, "store", "set", "--merchant", "m1")
    assert store["open_now"] in (True, False)
    for hours, is_open in (("24/7", True), ("24/7; Mo-Su off", False), ("", None)):
        ops.ctl_ok("store", "set", "--merchant", "m1", "--store", "s1", "--opening-hours", hours)
        assert ops.json("get", "stores")["stores"][0]["open_now"] is is_open
    # A store's new region takes its devices along, and rewrites nothing.
    ops.ctl_ok("store", "set", "--merchant", "m1", "--store", "s1", "--region", "west")
    assert [row["region"] for row in ops.json("device", "history", "term-1")["standings"]] == [
        "south", "west"]
    assert {row["name"]: row["time_zone"] for row in ops.json("get", "regions")["regions"]} == {
        "south": "Asia/Shanghai", "west": ""}


def test_what_is_cut_off_is_still_text(ops):
    ops.add_device("term-1", "11111111")
    for blanks in range(3):
        ops.ctl_ok("device", "move", "term-1", "--merchant", "m1", "--store", f"s{blanks + 2}",
                   "--why", "-" * blanks + "搬" * 66)
    ops.ctl_ok("device", "label", *[f"label-{n}={'快' * 21}" for n in range(9)], "--device",
               "term-1")
    assert len(audit(ops, "move")) == 3
    assert len(ops.json("changes")["changes"]) >= 5


def test_what_device_add_does_not_say_stays(ops):
    ops.add_device("term-1", "11111111")
    again = ["device", "add", "term-1", "--serial", "SN-term-1", "--model", "A920", "--agent-key",
             ops.folder / "term-1.pem"]
    assert "logical terminals: as before" in ops.ctl_ok(*again)
    device = ops.json("describe", "device", "term-1")
    assert (device["merchant"], device["store"]) == ("m1", "s1")
    assert [terminal["tid"] for terminal in device["terminals"]] == ["11111111"]
    assert len(audit(ops, "enrol")) == 1


def test_the_audit_tells_what_was_and_what_is(ops):
    """A row for each device and store that changes, and none where nothing does."""
    ops.add_device("term-1", "11111111")
    ops.add_device("term-2", "11111112")
    assert len(audit(ops, "store")) == 1 and audit(ops, "store")[0].startswith("m1/s1: new; ")
    ops.ctl_ok("store", "set", "--merchant", "m1", "--store", "s1", "--merchant-name", "Gull",
               "--region", "west", "--opening-hours", "Mo-Fr 09:00-18:00")
    assert audit(ops, "store")[1:] == ['m1/s1: merchant name: "商户一" -> "Gull"; opening hours: '
                                       'none -> Mo-Fr 09:00-18:00; region: south -> west']
    ops.ctl_ok("region", "set", "west", "--time-zone", "Europe/Berlin")
    assert audit(ops, "region") == ["west: time zone: none -> Europe/Berlin"]

    # A new key is told by the SHA-256 of each: who swaps keys cannot do it unseen.
    def fingerprint(device):
        return hashlib.sha256(ops.query("SELECT k.spki FROM agent_key k JOIN device d ON d.id = k.device"
                                        " WHERE d.name = ? AND k.to_ms IS NULL", device)[0][0]).hexdigest()[:16]
    before = fingerprint("term-1")
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", ops.folder / "new.pem"], check=True,
                   capture_output=True)
    again = ["device", "add", "term-1", "--serial", "SN-term-1", "--model", "A920"]
    ops.ctl_ok(*again, "--agent-key", ops.folder / "new.pem")
    assert before != fingerprint("term-1")
    assert audit(ops, "enrol")[2:] == [f"agent key: {before} -> {fingerprint('term-1')}"]

    # A move that renames says both.
    ops.ctl_ok("device", "move", "term-2", "--merchant", "m1", "--store", "s2", "--store-name", "Quay",
               "--merchant-name", "Tern", "--no-terminals")
    assert audit(ops, "move") == ["store: m1/s1 -> m1/s2; terminal 0: unionpay:11111112:123456789012345 -> none"]
    assert 'm1/s2: new; merchant name: "Tern"; name: "Quay"' in audit(ops, "store")
    ops.ctl_ok("device", "move", "term-2", "--merchant", "m1", "--store", "s2", "--merchant-name", "Skua")
    assert audit(ops, "store")[-1] == 'm1/s2: merchant name: "Tern" -> "Skua"'
    assert len(audit(ops, "move")) == 1

    # An import has a row for each device; the scope of a token sees it, and the feed.
    file = ops.folder / "fleet.csv"
    file.write_text("id,model,serial,state,labels\r\nterm-1,A920,SN-term-1,lab,lane=fast\r\n"
                    "term-2,A920,SN-term-2,in_service,\r\n")
    ops.ctl_ok("device", "import", file, "--why", "as counted")
    assert ops.query("SELECT d.name, a.text FROM audit a LEFT JOIN device d ON d.id = a.device"
                     " WHERE what = 'import' ORDER BY a.id") == [
        ("term-1", 'label lane: none -> "fast"; state: in_service -> lab: as counted'),
        (None, "0 new, 1 changed, 1 as before")]
    rows = ops.query("SELECT count(*) FROM audit")
    ops.ctl_ok("device", "import", file, "--why", "as counted")
    ops.ctl_ok(*again, "--agent-key", ops.folder / "new.pem")
    ops.ctl_ok("store", "set", "--merchant", "m1", "--store", "s1", "--region", "west")
    assert ops.query("SELECT count(*) FROM audit") == rows
    assert "import" in [row["what"] for row in ops.json("changes", "--device", "term-1")["changes"]]


def test_the_api_refuses_what_is_wrong(ops):
    ops.add_device("term-1", "11111111")
    for path, body, status in [
            ("devices/term-1/state", {}, 400),
            ("devices/term-1/state", {"state": "asleep"}, 400),
            ("devices/nobody/state", {"state": "spare"}, 404),
            ("devices/term-1/move", {"merchant": {"id": "m1"}}, 400),
            ("devices/term-1/swap", {"to": "term-1"}, 400),
            ("devices/term-1/swap", {"to": "nobody"}, 404),
            ("devices/term-1/swap", {"to": "term-1", "state": "in_service"}, 400),
            ("devices/term-1/labels", {"set": {"lane": 7}}, 400),
            ("devices/term-1/labels", {"remove": "lane"}, 400),
            ("stores", {"merchant": {"id": "m1"}, "store": {"id": "s1", "region": 7}}, 400),
            ("duties", {"done": []}, 400),
            ("duties", {"done": ["1"]}, 400),
    ]:
        got, reply = ops.http("POST", f"/api/v1/{path}", json.dumps(body))
        assert (got, "error" in reply) == (status, True), (path, body, reply)
    assert ops.http("GET", "/api/v1/selections")[0] == 400
    assert ops.http("GET", "/api/v1/devices/nobody/history")[0] == 404
    assert len(ops.json("device", "history", "term-1")["standings"]) == 1
