# SPDX-License-Identifier: Apache-2.0
"""Every operation of fleet/openapi.json, with every status that it tells of, at a running musterd."""
import base64
import contextlib
import hashlib
import http.client
import json
import sqlite3
import subprocess

import pytest

import contract
from ops import UnixConnection
from processes import free_port, wait_for
from terminal import Terminal

TABLE = b"#bin\tlabel\n" + b"".join(b"%06d\tISSUER\n" % n for n in range(200))
V1 = "/api/v1"


class Asker:
    """Asks, holds each answer against the file, and remembers what has been seen."""

    def __init__(self, ops):
        self.ops, self.seen = ops, set()

    def ask(self, method, path, body=None, token=None, tcp=False, host=None, expect=None):
        if isinstance(body, (dict, list)):
            body = json.dumps(body).encode()
        connection = (http.client.HTTPConnection("127.0.0.1", self.ops.port, timeout=30) if tcp
                      else UnixConnection(self.ops.folder / "api.sock"))
        headers = {}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        if host:
            headers["Host"] = host
        try:
            connection.request(method, path, body=body, headers=headers)
            reply = connection.getresponse()
            # Events have no end.
            streams = reply.getheader("Content-Type") == "text/event-stream"
            answer = reply.readline() if streams else reply.read()
        finally:
            connection.close()
        self.seen.add(contract.check(method, path, reply.status, reply.getheader("Content-Type"), answer, body))
        assert expect is None or reply.status == expect, (method, path, reply.status, answer[:300])
        if reply.status == 401:
            assert reply.getheader("WWW-Authenticate", "").startswith("Bearer")
        if reply.status == 429:
            assert int(reply.getheader("Retry-After")) >= 1
        return json.loads(answer) if reply.getheader("Content-Type") == "application/json" else answer

    def get(self, path, expect=200, **more):
        return self.ask("GET", V1 + path, expect=expect, **more)

    def post(self, path, body, expect=200, **more):
        return self.ask("POST", V1 + path, body, expect=expect, **more)


def filled(path):
    """A path of the file with something in place of each {}."""
    for name, value in (("device", "term-1"), ("sha256", "0" * 64), ("version", "1"), ("name", "nothing"),
                        ("action", "nothing"),
                        ("tid", "00000000")):
        path = path.replace("{%s}" % name, value)
    return path


def a_busy_fleet(ops, bin_dir, processes, run_dir, broker, pki):
    """A terminal that has said all that there is to say, so that no list is empty."""
    terminal = Terminal(bin_dir, processes, run_dir / "term-1", "term-1", ops.root,
                        gate="alone = 0s\nevery = 100ms\n[logs]\nfiles = payapp.log")
    (terminal.folder / "payapp.log").write_text("a line\n" * 2000)
    ops.enrol(terminal)
    request = terminal.make_sealing_key()
    ops.add_device("term-2", "12345672")
    ops.release("bin-table", TABLE)
    ops.ctl_ok("assign", "bin-table", "--device", "term-1", "--mode", "propose")
    terminal.start_agent()
    terminal.start_link(broker, pki)
    terminal.wait_connected()
    assert terminal.record(5, outcome="declined", code="57").returncode == 0
    ops.ctl_ok("action", "term-1", "logs")
    wait_for(lambda: ops.json("get", "proposals")["proposals"], timeout=60, what="a proposal")
    wait_for(lambda: [row for row in ops.json("get", "actions")["actions"]
                      if row["log_pieces"] and row["log_pieces"] == row["log_pieces_held"]],
             timeout=60, what="a log")
    wait_for(lambda: ops.http("GET", "/api/v1/errors?by=code")[1]["total"] == 5, what="5 results")
    return request


# ---- what every operation may answer ----

def unknown(asker, method, path):
    """With what is no token; of those only so many a second are heard."""
    asker.ask(method, path, tcp=True, token="muster_no")
    return (contract.template_of(path), method, "401") in asker.seen


def common_answers(asker, tokens, operations):
    for method, path, operation in operations:
        path, limit = filled(path), operation.get("x-muster-max-bytes", 0)
        asker.ask(method, path + "?" + "&".join(f"q{n}=1" for n in range(17)), expect=400)
        asker.ask(method, path, b"x" * (limit + 1), expect=413)
        asker.ask(method, path, tcp=True, host="evil.example", expect=421)
        wait_for(lambda: unknown(asker, method, path), what="an answer to what is no token")
        if "403" in operation["responses"]:
            least = "part" if operation["x-muster-role"] == "viewer" else "viewer"
            asker.ask(method, path, token=tokens[least], expect=403)


def too_many(asker, token, operations):
    """Asked again and again with one token, every operation says so in the end."""
    for method, path, _ in operations:
        wanted = contract.template_of(filled(path)), method, "429"
        for _ in range(2000):
            asker.ask(method, filled(path), token=token)
            if wanted in asker.seen:
                break
        assert wanted in asker.seen


# ---- what each may answer besides ----

def reading(asker):
    for path in ("/devices", "/devices/term-1", "/devices/term-2", "/devices/term-1/manifest", "/keys", "/audit",
                 "/audit?device=term-1", "/documents", "/documents?headers=1&name=bin-table", "/roots", "/roots/1",
                 "/proposals", "/actions", "/whoami", "/changes", "/events", "/tokens", "/presence", "/presence?state=online&limit=1",
                 "/devices/term-1/presence", "/devices/term-2/presence?days=30", "/retention", "/erasures", "/openapi.json"):
        asker.get(path)
    for kind in ("errors", "rates", "top"):
        for by in contract.DOCUMENT["paths"][f"/api/v1/{kind}"]["get"]["parameters"][0]["schema"]["enum"]:
            asker.get(f"/{kind}?by={by}")
        asker.get(f"/{kind}?by=tid&devices=device=term-1&since_ms=700000000")
    assert asker.get("/find?tid=T0000001&code=57&outcome=declined&from_ms=700000000")["results"]
    asker.get("/find?rrn=nothing")
    asker.get("/find?from_ms=1", expect=400)
    asker.ask("GET", "/healthz", expect=200)
    asker.ask("GET", "/metrics", expect=200)
    assert asker.get("/openapi.json") == contract.DOCUMENT
    logs = [row["id"] for row in asker.get("/actions")["actions"]]
    asker.get(f"/actions/{logs[0]}")
    asker.get(f"/actions/{logs[0]}/log")
    asker.get("/blobs/" + asker.get("/documents")["documents"][0]["blob"])
    for path in ("/presence?state=there", "/presence?limit=0", "/devices/term-1/presence?days=0"):
        asker.get(path, expect=400)
    for path in ("/devices/nobody", "/devices/nobody/presence", "/devices/nobody/manifest", "/devices/nobody/sealing-certificate",
                 "/errors?by=code&device=nobody", "/rates?by=code&device=nobody",
                 "/top?by=code&device=nobody", "/find?device=nobody", "/audit?device=nobody", "/blobs/" + "0" * 64, "/roots/99",
                 "/actions?device=nobody", "/events?device=nobody", "/actions/nobody", "/actions/nobody/log", "/changes?device=nobody"):
        asker.get(path, expect=404)


def bounds(asker, operations):
    """Who asks for more rows than there may be is told so, wherever rows are asked for."""
    for method, path, operation in operations:
        for row in operation.get("parameters", []):
            if row["name"] in ("limit", "days"):
                for beyond in (row["schema"]["minimum"] - 1, row["schema"]["maximum"] + 1):
                    asker.ask(method, f"{filled(path)}?{row['name']}={beyond}", expect=400)


def devices(asker, ops, pki, sealing_request):
    key = base64.b64encode(subprocess.run(
        ["openssl", "pkey", "-in", ops.folder / "term-2.pem", "-pubout", "-outform", "DER"], check=True,
        capture_output=True).stdout).decode()
    enrolment = {"id": "term-2", "serial": "SN-term-2", "model": "A920", "agent_key": key,
                 "merchant": {"id": "m1", "name": "M"}, "store": {"id": "s1", "name": "S", "region": "south"},
                 "terminals": [{"index": 0, "acquirer": "unionpay", "tid": "12345672", "mid": "123456789012345"}]}
    asker.post("/devices", enrolment)
    asker.post("/devices", enrolment | {"dry_run": True})
    asker.post("/devices", enrolment | {"serial": "another"}, expect=409)
    certificate = subprocess.run(
        ["openssl", "x509", "-in", pki.sealing(sealing_request, "term-1"), "-outform", "DER"], check=True,
        capture_output=True).stdout
    path = "/devices/term-1/sealing-certificate"
    asker.ask("PUT", V1 + path, certificate, expect=200)
    asker.get(path)
    asker.ask("PUT", V1 + "/devices/nobody/sealing-certificate", certificate, expect=404)


def signed(ops, version):
    """The header of a version of bin-table that nobody has published, in base64."""
    (ops.folder / "new").write_bytes(TABLE + b"%06d\tISSUER\n" % version)
    ops.ctl_ok("doc", "sign", "bin-table", "new", f"{version}.signed", "--kind", "table", "--version", version,
               "--root", "keys/root.bin", "--key", "keys/release.pem")
    file = (ops.folder / f"{version}.signed").read_bytes()  # field 1 of a SignedDocument
    assert file[0] == 0x0a and file[1] >= 0x80 and file[2] < 0x80
    return base64.b64encode(file[3:3 + (file[1] & 0x7f | file[2] << 7)]).decode()


def documents(asker, ops):
    blob = b"not what anything is made of"
    digest = hashlib.sha256(blob).hexdigest()
    asker.ask("PUT", f"{V1}/blobs/{digest}", blob, expect=200)
    known = asker.get("/documents?headers=1")["documents"][0]
    again = {"header": known["header"], "encodings": [
        {name: value for name, value in way.items() if name in ("coding", "blob", "base", "piece_bytes")}
        for way in known["encodings"]]}
    asker.post("/documents", again)
    asker.post("/documents", again | {"dry_run": True})
    gone = [{"coding": known["encodings"][0]["coding"], "blob": "1" * 64}]
    ways = {"epoch": known["epoch"], "version": known["version"], "encodings": again["encodings"]}
    asker.post("/documents/bin-table/encodings", ways)
    asker.post("/documents/nothing/encodings", ways, expect=404)
    asker.post("/documents", {"header": signed(ops, 1), "encodings": again["encodings"]}, expect=409)
    asker.post("/documents", {"header": signed(ops, 99), "encodings": gone}, expect=404)


def orders(asker):
    order = {"document": "bin-table", "mode": "propose", "devices": ["term-1", "term-2"]}
    asker.post("/assignments", order)
    asker.post("/assignments", order | {"mode": "repair", "dry_run": True})
    asker.post("/assignments", {"document": "bin-table", "remove": True, "devices": ["term-2"]})
    asker.post("/assignments", order | {"devices": ["nobody"]}, expect=404)
    act = {"kind": "selfcheck", "devices": ["term-1"], "note": "why", "expires_in_ms": 60000}
    asker.post("/actions", act)
    asker.post("/actions", act | {"dry_run": True})
    asker.post("/actions", act | {"devices": ["nobody"]}, expect=404)


def places(asker):
    store = {"merchant": {"id": "m1"}, "store": {"id": "s2", "region": "south", "opening_hours": "Mo-Fr 09:00-18:00"}}
    asker.post("/stores", store)
    asker.post("/regions", {"name": "south", "time_zone": "Asia/Shanghai"})
    for path in ("/stores", "/regions", "/terminals/12345672", "/devices/term-2/history"):
        asker.get(path)
    asker.get("/terminals/99999999", expect=404)
    asker.get("/devices/nobody/history", expect=404)
    asker.post("/devices/term-2/labels", {"set": {"tier": "gold"}})
    asker.post("/devices/nobody/labels", {"set": {"tier": "gold"}}, expect=404)
    asker.post("/groups", {"name": "golden", "selector": "tier=gold"})
    asker.get("/groups")
    asker.get("/selections?selector=tier=gold")
    asker.get("/selections?selector=group=nobody", expect=404)
    asker.post("/groups", {"name": "golden", "remove": True})
    asker.post("/groups", {"name": "golden", "remove": True}, expect=404)
    for number in range(256):
        asker.post("/groups", {"name": f"g{number}", "selector": "tier=gold"})
    asker.post("/groups", {"name": "golden", "selector": "tier=gold"}, expect=409)
    for number in range(256):
        asker.post("/groups", {"name": f"g{number}", "remove": True})


def moves(asker, ops):
    move = {"merchant": {"id": "m1"}, "store": {"id": "s2", "address": "2 Side Street"}, "why": "the shop has moved"}
    asker.post("/devices/term-2/move", move | {"dry_run": True})
    asker.post("/devices/term-2/move", move)
    asker.post("/devices/nobody/move", move, expect=404)
    ops.add_device("term-3", "12345673")
    asker.post("/devices/term-2/swap", {"to": "term-3"}, expect=409)
    asker.post("/devices/term-3/move", move | {"terminals": []})
    asker.post("/devices/term-2/swap", {"to": "term-3", "state": "repair"})
    asker.post("/devices/term-2/swap", {"to": "nobody"}, expect=404)
    asker.post("/devices/term-2/state", {"state": "retired"})
    asker.post("/devices/nobody/state", {"state": "spare"}, expect=404)
    asker.post("/devices/term-2/state", {"state": "in_service"}, expect=409)
    asker.post("/devices/term-2/move", move, expect=409)
    inventory = asker.get("/inventory")
    asker.post("/inventory", inventory)
    asker.post("/inventory", {"devices": [{"id": "No", "serial": "1", "model": "A920"}]})
    asker.post("/inventory", {"devices": []}, expect=400)
    duties = [row["id"] for row in asker.get("/duties")["duties"]]
    asker.get("/duties?all=1&device=term-3")
    asker.get("/duties?device=nobody", expect=404)
    asker.post("/duties", {"done": duties[:1]})
    asker.post("/duties", {"done": duties[:1]}, expect=409)
    asker.post("/duties", {"done": [99999]}, expect=404)


def proposals(asker):
    answer = {"device": "term-1", "document": "bin-table", "seen": "0" * 16, "answer": "accept"}
    asker.post("/proposals", answer, expect=409)
    asker.post("/proposals", answer | {"device": "nobody"}, expect=404)
    asked = wait_for(lambda: asker.get("/proposals")["proposals"], timeout=60, what="a proposal")
    asker.post("/proposals", answer | {"seen": asked[0]["seen"]})


def access(asker):
    made = asker.post("/tokens", {"name": "desk", "role": "operator", "merchants": ["m1"], "expires_in_ms": 60000})
    asker.get("/whoami", token=made["token"])
    asker.post("/tokens", {"name": "desk", "role": "operator"}, expect=409)
    asker.post("/tokens", {"name": "shop", "role": "operator", "regions": ["nowhere"]}, expect=404)
    refused = asker.post("/tokens", {"name": "desk", "role": "operator", "merchant": ["m1"]}, expect=400)
    assert "merchant: there is no such member here" in refused["error"]["text"]
    assert "no such parameter here" in asker.get("/errors?by=code&hours=1", expect=400)["error"]["text"]
    asker.ask("DELETE", V1 + "/tokens/desk", expect=200)
    asker.ask("DELETE", V1 + "/tokens/desk", expect=409)
    asker.ask("DELETE", V1 + "/tokens/nobody", expect=404)


def webhooks(asker):
    hook = {"name": "desk", "url": f"http://127.0.0.1:{free_port()}/", "kinds": ["change"]}
    asker.post("/webhooks", hook)
    asker.post("/webhooks", hook, expect=409)
    asker.get("/webhooks")
    asker.post("/webhooks/desk/test", {})
    asker.post("/webhooks/nobody/test", {}, expect=404)
    asker.ask("DELETE", V1 + "/webhooks/desk", expect=200)
    asker.ask("DELETE", V1 + "/webhooks/desk", expect=404)


def erasures(asker):
    order = {"merchant": "m1", "confirm": "m1"}
    asker.post("/erasures", {"merchant": "m1", "force": True, "dry_run": True})
    asker.post("/erasures", {"merchant": "m1", "dry_run": True})
    asker.post("/erasures", {"merchant": "unassigned", "confirm": "unassigned"}, expect=400)
    asker.post("/erasures", {"merchant": "m1", "force": True}, expect=400)
    asker.post("/erasures", order | {"confirm": "m2", "force": True}, expect=400)
    asker.post("/erasures", order, expect=409)
    asker.post("/erasures", {"merchant": "nobody", "confirm": "nobody"}, expect=404)


def half_a_log(asker, broker, pki):
    """As it is while its pieces are still coming."""
    ops = asker.ops
    ops.process.stop()
    with contextlib.closing(sqlite3.connect(ops.folder / "fleet.db")) as database:
        name, = database.execute("SELECT a.name FROM action a JOIN log_piece p ON p.action = a.id").fetchone()
        database.execute("DELETE FROM log_piece")
        database.commit()
    ops.start(broker, pki).wait_line("connected to")
    asker.get(f"/actions/{name}/log", expect=409)


def test_every_answer_is_as_the_file_says(ops, bin_dir, processes, run_dir, broker, pki):
    sealing_request = a_busy_fleet(ops, bin_dir, processes, run_dir, broker, pki)
    asker, operations = Asker(ops), contract.operations()
    tokens = {"viewer": ops.json("token", "add", "viewer")["token"],
              "part": ops.json("token", "add", "part", "--role", "admin", "--merchant", "m1")["token"]}
    common_answers(asker, tokens, operations)
    reading(asker)
    bounds(asker, operations)
    proposals(asker)
    devices(asker, ops, pki, sealing_request)
    documents(asker, ops)
    orders(asker)
    places(asker)
    moves(asker, ops)
    access(asker)
    webhooks(asker)
    erasures(asker)
    root = base64.b64encode(ops.root.read_bytes()).decode()
    asker.post("/roots", {"root": root})
    half_a_log(asker, broker, pki)
    too_many(asker, ops.json("token", "add", "busy", "--role", "admin")["token"], operations)
    broker.stop()
    wait_for(lambda: asker.ask("GET", "/healthz")["ok"] is False, what="unhealthy")
    told = {(path, method, status) for method, path, operation in operations
            for status in operation["responses"]}
    missed = {row for row in told - asker.seen if row[2] != "5XX"}  # which it takes a broken machine for
    assert not missed, f"never seen: {sorted(missed)}"


def test_a_wrong_answer_is_noticed():
    """The judge itself: what the file does not say does not pass."""
    good = {"ok": True, "database": "ok", "broker": "ok"}
    def check(status, body, kind="application/json", path="/healthz", method="GET"):
        return contract.check(method, path, status, kind, json.dumps(body).encode())
    assert check(200, good) == ("/healthz", "GET", "200")
    for wrong in ((200, good | {"more": 1}), (200, {"ok": True}), (200, good | {"ok": "yes"}), (201, good),
                  (404, {"error": {"code": "not_found", "text": ""}}), (400, good), (200, good, "text/plain"),
                  (200, good, "application/json", "/nothing"), (200, good, "application/json", "/healthz", "PUT")):
        with pytest.raises(contract.Broken):
            check(*wrong)
