# SPDX-License-Identifier: Apache-2.0
"""Tokens: who may ask and change what, over TCP with a real musterd; and who did, in the audit."""
import http.client
import json
import os
import socket
import subprocess

import pytest

import contract
from processes import wait_for

TABLE = b"#bin\tlabel\n" + b"".join(b"%06d\tISSUER\n" % n for n in range(200))


def enrol(ops, device, merchant, region):
    key = ops.folder / f"{device}.pem"
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", key], check=True,
                   capture_output=True)
    key.chmod(0o600)
    ops.ctl_ok("device", "add", device, "--serial", f"SN-{device}", "--model", "A920",
               "--agent-key", key, "--merchant", merchant, "--store", "s1", "--region", region)


@pytest.fixture
def two_shops(ops):
    enrol(ops, "term-1", "m1", "north")
    enrol(ops, "term-2", "m2", "south")
    ops.release("bin-table", TABLE)
    return ops


class Asking:
    """Somebody with a token, or without, at musterd's TCP port."""

    def __init__(self, ops, token=None):
        self.ops, self.token = ops, token

    def ask(self, method, path, body=None, headers=()):
        connection = http.client.HTTPConnection("127.0.0.1", self.ops.port, timeout=30)
        try:
            sent = dict(headers)
            if self.token:
                sent["Authorization"] = f"Bearer {self.token}"
            connection.request(method, path, headers=sent,
                               body=None if body is None else json.dumps(body).encode())
            reply = connection.getresponse()
            text = reply.read()
            contract.check(method, path, reply.status, reply.getheader("Content-Type"), text)
            if reply.getheader("Content-Type") == "application/json":
                text = json.loads(text)
            return reply.status, text
        finally:
            connection.close()

    def get(self, path):
        return self.ask("GET", path)

    def post(self, path, body):
        return self.ask("POST", path, body)


def token(ops, name, *options):
    return Asking(ops, ops.json("token", "add", name, *options)["token"])


def ids(reply, member, key="id"):
    assert reply[0] == 200, reply
    return sorted(row[key] for row in reply[1][member])


# ---- who ----

def test_a_token_is_shown_once_and_kept_as_a_hash(ops):
    asking = token(ops, "grafana")
    assert asking.get("/api/v1/whoami") == (
        200, {"name": "token grafana", "role": "viewer", "whole_fleet": True})
    listed = ops.json("token", "list")["tokens"]
    assert [row["name"] for row in listed] == ["grafana"] and listed[0]["used_ms"] > 0
    assert listed[0]["expires_ms"] - listed[0]["made_ms"] == 90 * 24 * 3600 * 1000
    secret = asking.token.removeprefix("muster_").encode()
    for file in ops.folder.glob("fleet.db*"):
        assert secret not in file.read_bytes()
    assert secret not in ops.process.log().encode()
    assert "grafana" in ops.ctl_ok("token", "list") and "viewer" in ops.ctl_ok("token", "list")


def test_a_file_with_a_secret_is_its_owners_alone(ops):
    for name, *words in (("robot", "token", "add", "robot"),
                         ("hook", "webhook", "add", "hook", "http://127.0.0.1:9/")):
        file = ops.folder / f"{name}.secret"
        with file.open("wb") as out:
            file.chmod(0o644)
            done = subprocess.run([ops.bin / "musterctl", "--server", f"unix:{ops.folder}/api.sock", *words],
                                  stdout=out, stderr=subprocess.PIPE, timeout=90, check=False)
        assert (done.returncode, oct(file.stat().st_mode & 0o777)) == (0, "0o600"), done.stderr
        assert len(file.read_text().split()) == 1


def test_a_revoked_token_is_good_for_nothing(ops):
    asking = token(ops, "robot", "--role", "operator", "--expires", "never")
    assert asking.get("/api/v1/devices")[0] == 200
    assert "robot" in ops.ctl_ok("token", "revoke", "robot")
    status, reply = asking.get("/api/v1/devices")
    assert status == 401 and "revoked" in reply["error"]["text"]
    assert "revoked" in ops.fails(3, "token", "revoke", "robot")
    assert "given once" in ops.fails(3, "token", "add", "robot")
    ops.fails(7, "token", "revoke", "nobody")
    ops.fails(7, "token", "add", "shop", "--merchant", "nobody")
    ops.fails(3, "token", "add", "shop", "--role", "king")
    ops.fails(3, "token", "add", "Shop Floor")
    ops.fails(3, "token", "add", "shop", "--merchant", "m1", "--region", "north")
    ops.fails(2, "token", "add", "shop", "--expires", "soon")


def test_musterctl_shows_a_token(two_shops):
    ops = two_shops
    asking = token(ops, "desk", "--role", "operator")
    tcp = ("--server", f"http://127.0.0.1:{ops.port}")
    assert "Authorization: Bearer" in ops.fails(3, "get", "devices", *tcp)
    file = ops.folder / "desk.token"
    file.write_text(asking.token + "\n")
    held = (*tcp, "--token-file", file)
    assert len(ops.json("get", "devices", *held)["devices"]) == 2
    ops.ctl_ok("assign", "bin-table", "--device", "term-1", *held)
    assert "operator" in ops.fails(3, "token", "list", *held)
    file.write_text("")
    assert "desk.token" in ops.fails(2, "get", "devices", *held)
    done = subprocess.run([str(ops.bin / "musterctl"), "get", "devices", *tcp], check=False,
                          env={"MUSTERCTL_TOKEN": asking.token, "PATH": "/usr/bin:/bin"},
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and "term-2" in done.stdout


# ---- what ----

# Every route that changes something, with the least role, and a body that is good where that is
# easily had: what counts is whether it is let through to the handler.
CHANGES = [
    ("POST", "/api/v1/devices", "operator"), ("PUT", "/api/v1/blobs/" + "0" * 64, "operator"),
    ("PUT", "/api/v1/devices/term-1/sealing-certificate", "operator"),
    ("POST", "/api/v1/documents", "operator"), ("POST", "/api/v1/documents/x/encodings", "operator"),
    ("POST", "/api/v1/assignments", "operator"), ("POST", "/api/v1/proposals", "operator"),
    ("POST", "/api/v1/actions", "operator"), ("POST", "/api/v1/roots", "admin"),
    ("POST", "/api/v1/devices/term-1/state", "operator"),
    ("POST", "/api/v1/devices/term-1/move", "operator"),
    ("POST", "/api/v1/devices/term-1/swap", "operator"),
    ("POST", "/api/v1/devices/term-1/labels", "operator"),
    ("POST", "/api/v1/stores", "operator"), ("POST", "/api/v1/regions", "operator"),
    ("POST", "/api/v1/groups", "operator"), ("POST", "/api/v1/inventory", "operator"),
    ("POST", "/api/v1/duties", "operator"),
    ("POST", "/api/v1/tokens", "admin"), ("DELETE", "/api/v1/tokens/nobody", "admin"),
]


def test_roles_are_what_they_say(two_shops):
    ops = two_shops
    nobody, asking = Asking(ops), {role: token(ops, role, "--role", role)
                                   for role in ("viewer", "operator", "admin")}
    for method, path, least in CHANGES:
        assert nobody.ask(method, path, {})[0] == 401, path
        for role, who in asking.items():
            allowed = list(asking).index(role) >= list(asking).index(least)
            status, reply = who.ask(method, path, {})
            assert (status != 403) == allowed, (role, method, path, status, reply)
            assert allowed or f"token {role} is {role}" in reply["error"]["text"]
    for path in ("/api/v1/devices", "/api/v1/errors?by=code", "/api/v1/audit", "/api/v1/changes",
                 "/api/v1/documents", "/api/v1/roots", "/api/v1/keys", "/api/v1/actions",
                 "/api/v1/proposals", "/api/v1/devices/term-1"):
        assert nobody.get(path)[0] == 401, path
        assert asking["viewer"].get(path)[0] == 200, path
    assert asking["operator"].get("/api/v1/tokens")[0] == 403


def test_a_token_for_a_part_sees_and_changes_no_other(two_shops):
    ops = two_shops
    for asking in (token(ops, "shop", "--role", "operator", "--merchant", "m1"),
                   token(ops, "north", "--role", "operator", "--region", "north")):
        assert ids(asking.get("/api/v1/devices"), "devices") == ["term-1"]
        assert asking.get("/api/v1/devices/term-1")[0] == 200
        for path in ("", "/manifest", "/sealing-certificate"):
            assert asking.get(f"/api/v1/devices/term-2{path}")[0] == 404
        assert asking.ask("PUT", "/api/v1/devices/term-2/sealing-certificate", {})[0] == 404
        order = {"document": "bin-table", "mode": "repair", "devices": ["term-2"]}
        assert asking.post("/api/v1/assignments", order)[0] == 404
        assert asking.post("/api/v1/assignments", order | {"dry_run": True})[0] == 404
        assert asking.post("/api/v1/assignments", order | {"devices": ["term-1", "term-2"]})[0] == 404
        assert asking.post("/api/v1/actions", {"kind": "selfcheck", "devices": ["term-2"]})[0] == 404
        assert asking.post("/api/v1/proposals", {"device": "term-2", "document": "bin-table",
                                                 "seen": "0", "answer": "accept"})[0] == 404
        assert asking.post("/api/v1/assignments", order | {"devices": ["term-1"]})[0] == 200
        assert asking.post("/api/v1/actions", {"kind": "selfcheck", "devices": ["term-1"]})[0] == 200
        assert ids(asking.get("/api/v1/audit"), "devices") == ["term-1"]
        assert asking.get("/api/v1/audit?device=term-2")[0] == 404
        assert asking.get("/api/v1/changes?device=term-2")[0] == 404
        assert set(ids(asking.get("/api/v1/changes"), "changes", "device")) == {"term-1"}
        # What is about the whole fleet is not for him, whatever his role.
        assert asking.get("/api/v1/stores")[0] == 403
        assert asking.get("/api/v1/inventory")[0] == 403
        assert asking.post("/api/v1/devices/term-1/move", {})[0] == 403
        assert asking.post("/api/v1/groups", {})[0] == 403
        assert asking.post("/api/v1/documents", {})[0] == 403
        assert asking.post("/api/v1/devices", {})[0] == 403
    assert ops.json("get", "devices")["devices"][1]["manifest_version"] == 0


def test_places_of_another_part_are_not_shown(two_shops):
    ops = two_shops
    for number in (1, 2):
        ops.ctl_ok("device", "move", f"term-{number}", "--merchant", f"m{number}", "--store", "s2",
                   "--region", ("north", "south")[number - 1],
                   "--terminal", f"0:unionpay:1111111{number}:12345678901234{number + 4}")
    ops.ctl_ok("device", "retire", "term-1", "term-2")
    ops.ctl_ok("group", "add", "all", "model=*")
    ops.ctl_ok("group", "add", "theirs", "store=s2,region=south")
    ops.ctl_ok("device", "label", "--device", "term-2", "corner=left")
    for asking in (token(ops, "shop", "--role", "operator", "--merchant", "m1"),
                   token(ops, "north", "--role", "operator", "--region", "north")):
        assert asking.get("/api/v1/selections?selector=group%3dall") == (200,
                                                                         {"devices": ["term-1"]})
        group, = asking.get("/api/v1/groups")[1]["groups"]
        assert (group["name"], group["devices"], group["selector"], group["who"]) == ("all", 1, "", "")
        assert asking.get("/api/v1/selections?selector=corner%3d*")[0] == 404
        assert ids(asking.get("/api/v1/duties"), "duties", "device") == ["term-1"]
        assert asking.get("/api/v1/duties?device=term-2")[0] == 404
        assert ids(asking.get("/api/v1/terminals/11111111"), "carriers", "device") == ["term-1"]
        assert asking.get("/api/v1/terminals/11111112")[0] == 404
        assert asking.get("/api/v1/devices/term-2/history")[0] == 404
        for path in ("state", "labels", "swap"):
            assert asking.post(f"/api/v1/devices/term-2/{path}", {"state": "spare"})[0] == 404
        assert asking.post("/api/v1/devices/term-1/swap", {"to": "term-2"})[0] == 404
        assert asking.post("/api/v1/devices/term-1/state",
                           {"state": "spare", "dry_run": True})[0] == 200


def test_an_action_of_another_part_is_none(two_shops):
    ops = two_shops
    ops.ctl_ok("action", "term-1", "term-2", "selfcheck")
    by_device = {row["device"]: row["id"] for row in ops.json("get", "actions")["actions"]}
    asking = token(ops, "shop", "--role", "operator", "--merchant", "m1")
    assert ids(asking.get("/api/v1/actions"), "actions", "device") == ["term-1"]
    assert ids(asking.get("/api/v1/actions?limit=1"), "actions", "device") == ["term-1"]
    assert asking.get("/api/v1/actions?device=term-2")[0] == 404
    assert asking.get(f"/api/v1/actions/{by_device['term-1']}")[0] == 200
    assert asking.get(f"/api/v1/actions/{by_device['term-2']}")[0] == 404
    assert asking.get(f"/api/v1/actions/{by_device['term-2']}/log")[0] == 404


# ---- who did it ----

def test_every_change_says_who(two_shops):
    ops = two_shops
    asking = token(ops, "desk", "--role", "operator")
    assert asking.post("/api/v1/assignments", {"document": "bin-table", "mode": "repair",
                                               "devices": ["term-1"]})[0] == 200
    assert asking.post("/api/v1/actions", {"kind": "selfcheck", "devices": ["term-1"]})[0] == 200
    ops.ctl_ok("assign", "bin-table", "--device", "term-2")
    local = f"uid {os.getuid()}"
    rows = [(row["who"], row["what"], row["device"]) for row in ops.json("changes")["changes"]]
    assert rows == [(local, "assign", "term-2"), ("token desk", "action", "term-1"),
                    ("token desk", "assign", "term-1"), (local, "token add", ""),
                    (local, "publish", ""), (local, "enrol", "term-2"), (local, "store", ""),
                    (local, "enrol", "term-1"), (local, "store", "")]
    page = ops.json("changes", "--limit", "2")["changes"]
    then = ops.json("changes", "--limit", "2", "--before", page[-1]["id"])["changes"]
    assert [row["what"] for row in then] == ["assign", "token add"]
    assert "token desk" in ops.ctl_ok("changes", "--device", "term-1")
    # What was refused has changed nothing, and is no change.
    assert asking.post("/api/v1/tokens", {"name": "x", "role": "admin"})[0] == 403
    assert len(ops.json("changes")["changes"]) == len(rows)


# ---- how much ----

def test_a_token_that_asks_too_often_is_told_when_to_come_back(ops):
    asking = token(ops, "busy")
    connection = http.client.HTTPConnection("127.0.0.1", ops.port, timeout=30)
    headers = {"Authorization": f"Bearer {asking.token}"}
    for _ in range(5000):
        connection.request("GET", "/api/v1/whoami", headers=headers)
        reply = connection.getresponse()
        text = reply.read()
        if reply.status != 200:
            break
    connection.close()
    assert reply.status == 429 and int(reply.getheader("Retry-After")) >= 1
    assert json.loads(text)["error"]["code"] == "too_many"
    assert ops.http("GET", "/api/v1/whoami")[0] == 200
    # musterctl waits as it is told, and gets there.
    file = ops.folder / "busy.token"
    file.write_text(asking.token)
    ops.ctl_ok("get", "devices", "--server", f"http://127.0.0.1:{ops.port}", "--token-file", file)


def test_a_request_that_never_ends_is_ended(ops, broker, pki):
    ops.process.stop()
    ops.write_config(broker, pki)
    config = ops.folder / "musterd.conf"
    config.write_text(config.read_text().replace("[http]", "[http]\nrequest_limit = 20s"))
    ops.process = ops.processes.start("musterd", [ops.bin / "musterd", "--config", config],
                                      cwd=ops.folder)
    ops.process.wait_line("ready")
    with socket.create_connection(("127.0.0.1", ops.port), timeout=60) as client:
        client.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")

        def ended():
            try:
                client.sendall(b"x")
                client.settimeout(1)
                return client.recv(1000) == b""
            except TimeoutError:
                return False
            except OSError:
                return True
        wait_for(ended, timeout=60, what="musterd hangs up")
    assert ops.raw("GET", "/metrics")[1].count(b"muster_http_too_slow_total 1\n") == 1
