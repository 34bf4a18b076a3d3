# SPDX-License-Identifier: Apache-2.0
"""Places with the longest names there may be, each told and found for itself; and names that would be two's."""
import json
import urllib.parse

from processes import wait_for

LONG = [("m" * 64, "s" * 59 + "-east"), ("m" * 64, "s" * 59 + "-west"), ("商" * 21, "店" * 21), ("m1", "s1")]


def asked(ops, path, **choices):
    status, reply = ops.http("GET", "&".join([path, *(urllib.parse.urlencode({name: value}) for name, value in choices.items())]))
    assert status == 200, reply
    return reply


def test_the_longest_names_are_told_each_for_itself(ops, make_terminal):
    terminal = make_terminal()
    total = 0
    for count, (merchant, store) in enumerate(LONG, start=1):
        ops.ctl_ok("device", "move", "term-1", "--merchant", merchant, "--store", store, "--region", f"{'r' * 60}{count}", "--no-terminals")
        assert terminal.record(count, first=total + 1, outcome="declined", code="57").returncode == 0
        total += count
        wait_for(lambda: asked(ops, "/api/v1/rates?by=outcome")["total"] == total, what="all results")
    wanted = {f"{merchant}/{store}": count for count, (merchant, store) in enumerate(LONG, start=1)}
    for question in ("rates", "errors", "top"):
        rows = asked(ops, f"/api/v1/{question}?by=store")["rows"]
        assert {row["key"]: row["count" if question == "errors" else "results"] for row in rows} == wanted
        regions = asked(ops, f"/api/v1/{question}?by=region")["rows"]
        assert len(regions) == len(LONG)
    for place, count in wanted.items():
        assert asked(ops, "/api/v1/errors?by=code", store=place)["total"] == count
        assert len(asked(ops, "/api/v1/find?limit=500", store=place)["results"]) == count
        assert [row["key"] for row in asked(ops, "/api/v1/rates?by=store", store=place)["rows"]] == [place]
    assert terminal.record(1, first=total + 1, currency=48).returncode == 0
    wait_for(lambda: "048" in {row["key"] for row in asked(ops, "/api/v1/rates?by=currency")["rows"]}, what="a dinar")
    assert asked(ops, "/api/v1/errors?by=outcome", currency="048")["total"] == 1


def test_a_code_names_one_place_and_selectors_can_say_it(ops):
    ops.add_device("term-1", "12345671")
    before = ops.json("get", "stores")
    key = ops.json("device", "export")["devices"][0]["agent_key"]
    for wrong in ("a/b", "  ", "m1 ", " m1", "x,y|z*", "a=b", "a;b", "a[b", "a?", "m" * 65):
        for merchant, store in ((wrong, "s"), ("m", wrong)):
            said = ops.fails(3, "device", "move", "term-1", "--merchant", merchant, "--store", store)
            assert ("merchant: " if merchant == wrong else "store: ") in said and "id" in said
            sheet = ops.folder / "fleet.csv"
            sheet.write_text(f'id,serial,model,merchant,store\nterm-9,9,A920,"{merchant}","{store}"\n', encoding="utf-8")
            ops.fails(3, "device", "import", sheet)
            order = {"merchant": {"id": merchant}, "store": {"id": store}}
            assert ops.http("POST", "/api/v1/stores", json.dumps(order).encode())[0] == 400
            enrolment = order | {"id": "term-9", "serial": "9", "model": "A920", "agent_key": key}
            assert ops.http("POST", "/api/v1/devices", json.dumps(enrolment).encode())[0] == 400
    assert ops.json("get", "stores") == before


def test_what_is_refused_is_told_although_it_is_cut_inside_a_character(ops):
    devices = [{"id": f"term-{n}", "serial": f"{n}", "model": "A920", "labels": {"店" * 14: "x"}} for n in range(3)]
    status, reply = ops.http("POST", "/api/v1/inventory", json.dumps({"devices": devices}).encode())
    assert status == 200 and reply["refused_count"] == 3
    assert [row["row"] for row in reply["refused"]] == [0, 1, 2] and all("店" * 13 in row["text"] for row in reply["refused"])
