# SPDX-License-Identifier: Apache-2.0
"""A fleet of two merchants in which all that people and terminals can write of the one's has a word in
it that the other is never to read; and how to call each operation of fleet/openapi.json."""
import base64
import contextlib
import json
import re
import sqlite3

import contract
from processes import free_port, wait_for
from terminal import Terminal

CANARY = "canary"  # of the other merchant: places, people, sales, what was ordered and what happened
FINCH = "finch"    # of a device of his, and moves with it: id, serial, model, labels, what it holds
PARROT = "parrot"  # of documents for all, which any terminal may read
OURS, THEIRS = "term-1", "finch-2"
TABLE = b"#bin\tlabel\n" + b"".join(b"%06d\tPARROT\n" % n for n in range(200))

# ---- the fleet ----


def terminal(ops, bin_dir, processes, run_dir, device, **enrolled):
    made = Terminal(bin_dir, processes, run_dir / device, device, ops.root,
                    gate="alone = 0s\nevery = 100ms\n[logs]\nfiles = payapp.log")
    (made.folder / "payapp.log").write_text("a line with a CANARY\n" * 2000)
    ops.ctl_ok("device", "add", device, "--agent-key", made.make_key(),
               *[part for name, value in enrolled.items() for part in (f"--{name.replace('_', '-')}", value)])
    return made


def two_merchants(ops, bin_dir, processes, run_dir, broker, pki):
    ours = terminal(ops, bin_dir, processes, run_dir, OURS, serial="SN-1", model="A920", merchant="m1",
                    store="s1", region="north", terminal="0:unionpay:T0000001:M0001")
    theirs = terminal(
        ops, bin_dir, processes, run_dir, THEIRS, serial="SN-finch", model="finch-920", merchant="canary-m2",
        merchant_name="The Canary", store="canary-s1", store_name="Canary Wharf", region="canary-south",
        terminal="0:canary-acquirer:CANARY02:CANARYMID000002")
    for device in (ours, theirs):
        device.start_agent()
        device.start_link(broker, pki)
        device.wait_connected()
    return ours, theirs


def say(ops, path, **body):
    status, reply = ops.http("POST", f"/api/v1/{path}", json.dumps(body))
    assert status == 200, (path, body, reply)
    return reply


def people_write(ops, theirs, pki):
    """What only people say."""
    say(ops, f"devices/{THEIRS}/move", merchant={"id": "canary-m2"}, why="canary move",
        store={"id": "canary-s2", "name": "Canary Row", "region": "canary-south", "address": "2 Canary Street"})
    say(ops, "stores", merchant={"id": "canary-m2"}, store={"id": "canary-s2", "opening_hours": "Mo-Su 00:00-24:00"},
        why="canary hours")
    say(ops, "regions", name="canary-south", time_zone="Asia/Shanghai")
    say(ops, f"devices/{THEIRS}/labels", set={"finch": "finch-corner"}, why="a canary said so")
    say(ops, f"devices/{OURS}/labels", set={"corner": "left"})
    for name, selector in (("canary-group", "merchant=canary-m2"), ("finch-group", f"device={THEIRS}"),
                           ("both", f"device={OURS}|{THEIRS}|canary-9"), ("own", f"device={OURS}")):
        say(ops, "groups", name=name, selector=selector, why="canary")
    ops.ctl_ok("token", "add", "canary-desk", "--merchant", "canary-m2")
    ops.ctl_ok("webhook", "add", "canary-hook", f"http://127.0.0.1:{free_port()}/canary", "--kinds", "change")
    certificate = pki.sealing(theirs.make_sealing_key(), THEIRS)
    ops.ctl_ok("device", "sealing", THEIRS, certificate, "--device-ca", pki.ca)
    (ops.folder / f"{THEIRS}.secret").write_bytes(b"[canary]\nkey = canary\n")
    ops.ctl_ok("doc", "seal", "finch-params", "{}.secret", "--kind", "params", "--device", THEIRS,
               "--device-ca", pki.ca, "--release-key", "keys/release.pem")
    ops.release("parrot-table", TABLE)
    for device in (OURS, THEIRS):
        say(ops, "actions", kind="logs", devices=[device], note="canary note" if device == THEIRS else "note")
    ops.ctl_ok("assign", "parrot-table", "--device", THEIRS, "--mode", "propose")


def terminals_tell(ops, ours, theirs):
    assert ours.record(5, outcome="declined", code="57", issuer_bucket="OURS").returncode == 0
    assert theirs.record(5, outcome="declined", code="C1", issuer_bucket="CANARY", rrn="CANARY000001", auth_code="CANARY",
                         amount_minor=77777, currency=840, scheme=2).returncode == 0
    wait_for(lambda: ops.results() == 10, timeout=60, what="10 results")
    wait_for(lambda: ops.json("get", "proposals")["proposals"], timeout=60, what="a proposal")
    wait_for(lambda: len([row for row in ops.json("get", "actions")["actions"]
                          if row["log_pieces"] and row["log_pieces"] == row["log_pieces_held"]]) == 2,
             timeout=60, what="two logs")


# Of what a terminal says only when something is wrong with it.
TOLD = """
UPDATE event SET text = 'canary text', item = 'canary item' WHERE device = :device;
UPDATE device_item SET reason = 'canary reason' WHERE device = :device;
INSERT OR REPLACE INTO device_apply VALUES (:device, 1, 1, 1, 1, 'canary waits', 0, 0, 0, 0, 0, 0, 0, 0, 0,
    'canary why', 0, :now, x'');
INSERT OR REPLACE INTO device_keys (device, incarnation, boot_ms, wall_ms, sign_on_known, sign_on_age_ms,
    received_ms, why) VALUES (:device, 1, 1, 1, 0, 0, :now, 'canary keys');
INSERT OR REPLACE INTO key_slot VALUES (:device, 'finch-slot', 'K0', 'AES', 1, 1, x'010203', 1, 'canary slot');
INSERT OR REPLACE INTO device_package VALUES (:device, 'finch-package', 1, 1, 1, '1', '1', 'canary package', :now);
"""


def terminals_complain(ops, broker, pki):
    ops.process.stop()
    with contextlib.closing(sqlite3.connect(ops.folder / "fleet.db")) as database:
        device, now = database.execute("SELECT d.id, max(p.seen_ms) FROM device d JOIN presence p ON p.device = d.id"
                                       " WHERE d.name = ?", (THEIRS,)).fetchone()
        for statement in TOLD.split(";\n")[:-1]:
            database.execute(statement, {"device": device, "now": now})
        database.commit()
    ops.start(broker, pki).wait_line("connected to")


# ---- how each operation is called ----

KNOWN = ("device", "devices", "selector", "merchant", "store", "region", "tid", "serial", "rrn", "auth_code", "issuer",
         "model", "code", "currency", "scheme", "amount_minor", "acquirer", "firmware", "app", "generation", "name",
         "action", "sha256")


def values(ops):
    """Of each parameter what is ours, what is theirs, and what there is nowhere."""
    sales = {row["device"]: row for row in ops.json("get", "actions")["actions"]}
    blob = {row["name"]: row["blob"] for row in ops.json("get", "documents")["documents"]}
    return {
        "device": (OURS, THEIRS, "none-2"),
        "devices": ("device=" + OURS, "device=" + THEIRS, "device=none-2"),
        "selector": ("device=" + OURS, "device=" + THEIRS, "device=none-2"),
        "merchant": ("m1", "canary-m2", "nobody-m2"),
        "store": ("m1/s1", "canary-m2/canary-s2", "nobody-m2/nobody-s2"),
        "region": ("north", "canary-south", "nobody-south"),
        "tid": ("T0000001", "CANARY02", "NOBODY02"),
        "serial": ("SN-1", "SN-finch", "SN-nobody"),
        "rrn": ("000000000001", "CANARY000001", "NOBODY000001"),
        "auth_code": ("000001", "CANARY", "NOBODY"),
        "issuer": ("OURS", "CANARY", "NOBODY"),
        "model": ("A920", "finch-920", "nobody-920"),
        "code": ("57", "C1", "N1"),
        "currency": ("156", "840", "841"),
        "scheme": ("0", "2", "3"),
        "amount_minor": ("101", "77777", "77778"),
        "acquirer": ("0", "8", "9"),
        "firmware": ("", "canary", "nobody"),
        "app": ("", "canary", "nobody"),
        "generation": ("", "0c", "0d"),
        "name": ("parrot-table", "finch-params", "nobody-params"),
        "action": tuple(sales[device]["id"] for device in (OURS, THEIRS)) + ("0" * 16,),
        "sha256": (blob["parrot-table"], blob["finch-params"], "0" * 64),
    }


# Of these there is no other than the fleet's: as they are asked.
PLAIN = {"by": "code", "since_ms": "700000000", "from_ms": "700000000", "to_ms": "9999999999999", "limit": "1000",
         "outcome": "declined", "type": "sale", "entry": "chip", "headers": "1", "stan": "1", "before": None,
         "kinds": None, "zone": "Europe/Berlin", "last_event_id": None, "state": "online", "days": "30", "all": "1",
         "version": "1"}
# Without one of these there is no question.
NEEDED = {"/api/v1/errors": "by", "/api/v1/rates": "by", "/api/v1/top": "by", "/api/v1/find": "device",
          "/api/v1/selections": "selector"}
SELECTORS = ("merchant={merchant}", "store={store}", "region={region}", "tid={tid}", "serial={serial}", "model={model}",
             "group={group}", "group=own|{group}", "group!={group}", "{label}", "{label}={label}", "!{label}",
             "device={device}", "device!={device}", "device={ours},group={group},{label}", "acquirer={acquirer}", "mid={mid}")


NAMES = (
    dict(merchant="canary-m2", store="canary-m2/canary-s2", region="canary-south", tid="CANARY02", serial="SN-finch",
         model="finch-920", group="canary-group", label="finch", device=THEIRS, acquirer="canary-acquirer",
         mid="CANARYMID000002"),
    dict(merchant="nobody-m2", store="nobody-m2/nobody-s2", region="nobody-south", tid="NOBODY02", serial="SN-nobody",
         model="nobody-920", group="nobody-group", label="nobody", device="none-2", acquirer="nobody-acquirer",
         mid="NOBODYMID000002"))


# What a device takes along when it is moved.
MOVES = ("device", "devices", "selector", "serial", "model", "label", "name", "sha256")


def selectors(moved):
    """Each way to choose, by what is theirs and by what there is nowhere."""
    for selector in SELECTORS:
        if not moved or not any("{%s}" % name in selector for name in MOVES):
            yield tuple(selector.format(**names, ours=OURS) for names in NAMES)


# Requests that look and change nothing, where `device` and `other` may be anybody's.
DRY = {
    ("POST", "/api/v1/assignments"): lambda v: [
        {"document": v["name"], "mode": "repair", "devices": [v["device"]], "dry_run": True},
        {"document": v["name"], "mode": "repair", "devices": [OURS], "dry_run": True},
        {"document": v["name"], "remove": True, "devices": [v["device"]], "dry_run": True},
        {"document": "parrot-table", "mode": "repair", "devices": [OURS, v["device"]], "dry_run": True}],
    ("POST", "/api/v1/actions"): lambda v: [
        {"kind": "selfcheck", "devices": [v["device"]], "dry_run": True},
        {"kind": "selfcheck", "devices": [OURS, v["device"]], "dry_run": True}],
    ("POST", "/api/v1/proposals"): lambda v: [
        {"device": v["device"], "document": v["name"], "seen": "0" * 16, "answer": "accept"},
        {"device": OURS, "document": v["name"], "seen": "0" * 16, "answer": "accept"}],
    ("POST", "/api/v1/devices/{device}/state"): lambda v: [{"state": "spare", "dry_run": True}],
    ("POST", "/api/v1/devices/{device}/labels"): lambda v: [{"set": {"corner": "right"}, "dry_run": True}],
    ("POST", "/api/v1/devices/{device}/swap"): lambda v: [{"to": v["device"], "dry_run": True},
                                                          {"to": OURS, "dry_run": True}],
}
# What these are sent is none of what they take: it is refused, whoever sends it.
BYTES = {("PUT", "/api/v1/blobs/{sha256}"), ("PUT", "/api/v1/devices/{device}/sealing-certificate")}


class Unknown(AssertionError):
    """The file has something that this does not know how to call."""


def path_of(template, named, query):
    path = template
    for name, value in named.items():
        path = path.replace("{%s}" % name, value)
    said = "&".join(f"{name}={value.replace('=', '%3D').replace('&', '%26')}" for name, value in query.items())
    return path + ("?" + said if said else "")


def calls(operations, known, moved=False):
    """(method, path, body) of ours, and (ours, theirs, nobody's) of each that can name what is not ours."""
    for method, template, operation in operations:
        parameters = [(row["name"], row["in"]) for row in operation.get("parameters", [])]
        unknown = [name for name, _ in parameters if name not in known and name not in PLAIN]
        if unknown:
            raise Unknown(f"{method} {template}: {unknown}")
        in_path = [name for name, place in parameters if place == "path"]
        needed = NEEDED.get(template)

        def asked(whose, name=None):
            """Of theirs by one parameter; all others are ours."""
            def value(each):
                return known[each][whose if each == name else 0] if each in known else PLAIN[each]
            query = {each: value(each) for each in {needed, name} - {None} - set(in_path)}
            return path_of(template, {each: value(each) for each in in_path}, query)

        if method != "GET":
            yield from changes(method, template, operation, known, in_path)
            continue
        if template == "/api/v1/events":  # it has no end: read by itself
            continue
        yield (method, asked(0), None), None
        for name, _ in parameters:
            if name in known:
                yield (method, asked(0, name), None), [(method, asked(whose, name), None) for whose in (1, 2)]
            elif PLAIN[name] is not None:
                yield (method, asked(0, name), None), None
            if name in ("devices", "selector"):
                for pair in selectors(moved):
                    yield None, [(method, path_of(template, {}, ({needed: PLAIN[needed]} if needed == "by" else {}) | {name: word}), None)
                                 for word in pair]


def changes(method, template, operation, known, in_path):
    """Those that look; and of those for the whole fleet, that they are refused before anything is looked at."""
    def path(whose):
        return path_of(template, {name: known[name][whose] for name in in_path}, {})

    if operation["x-muster-reach"] == "fleet" or (method, template) in BYTES:
        body = b"{}" if "requestBody" in operation else None
        yield (method, path(0), body), [(method, path(whose), body) for whose in (1, 2)]
        return
    if (method, template) not in DRY:
        raise Unknown(f"{method} {template}")
    bodies = [DRY[method, template]({name: value[whose] for name, value in known.items()}) for whose in range(3)]
    for ours, theirs, nobodys in zip(*bodies):
        yield (method, path(0), json.dumps(ours).encode()), [
            (method, path(whose), json.dumps(body).encode()) for whose, body in ((1, theirs), (2, nobodys))]
        if in_path:
            yield None, [(method, path(whose), json.dumps(ours).encode()) for whose in (1, 2)]


# ---- what an answer says ----

def texts(value):
    """All strings in it, and what those that are base64 stand for."""
    if isinstance(value, dict):
        for name, member in value.items():
            yield name
            yield from texts(member)
    elif isinstance(value, list):
        for member in value:
            yield from texts(member)
    elif isinstance(value, str):
        yield value
        if re.fullmatch(r"[A-Za-z0-9+/]{24,}={0,2}", value) and len(value) % 4 == 0:
            yield base64.b64decode(value).decode("latin-1")


def words_in(answer):
    """Those of CANARY, FINCH, PARROT that are in an answer."""
    try:
        said = "\n".join(texts(json.loads(answer)))
    except ValueError:
        said = answer.decode("latin-1")
    return {word for word in (CANARY, FINCH, PARROT) if word in said.lower()}


def without_time(answer):
    return re.sub(rb'"(took_ms|to_ms|from_ms|looked_from_ms|since_ms)": ?\d+', rb'"\1":0', answer)


def unnamed(known, answer):
    """As it would be of what there is nowhere: a name that was asked for says nothing, where it is told back."""
    pairs = [(theirs, nobodys) for _, theirs, nobodys in known.values()]
    pairs += [(theirs, NAMES[1][name]) for name, theirs in NAMES[0].items()]
    for theirs, nobodys in sorted(pairs, key=lambda pair: -len(pair[0])):
        if len(theirs) > 3:
            answer = answer.replace(theirs.encode(), nobodys.encode())
    return without_time(answer)


# ---- the device goes to us, and back ----

def goes_to_us(ops):
    """With an order that it has not had yet."""
    say(ops, "actions", kind="logs", devices=[THEIRS], note="canary order")
    say(ops, f"devices/{THEIRS}/move", merchant={"id": "m1"}, store={"id": "s1"}, why="ours now",
        terminals=[{"index": 0, "acquirer": "unionpay", "tid": "T0000002", "mid": "M0001"}])


def goes_back(ops):
    """With words that are new."""
    say(ops, f"devices/{THEIRS}/move", merchant={"id": "canary-m2"}, store={"id": "canary-s2"}, why="canary again",
        terminals=[{"index": 0, "acquirer": "canary-acquirer", "tid": "CANARY03", "mid": "CANARYMID000002"}])
    say(ops, f"devices/{THEIRS}/labels", set={"finch": "canary-corner", "canary": "left"})
    say(ops, f"devices/{THEIRS}/state", state="suspended", why="canary repair")
    say(ops, "actions", kind="selfcheck", devices=[THEIRS], note="canary again")


def still_theirs(known):
    """What can be named, when their device is ours."""
    return {name: (three[0], three[2], three[2]) if name in MOVES else three for name, three in known.items()}


def about(device):
    """Every question that can be about one device."""
    for method, template, operation in contract.operations():
        if method == "GET" and "{device}" in template:
            yield template.replace("{device}", device)
        elif method == "GET" and template != "/api/v1/events":
            needed = "by=code&" if NEEDED.get(template) == "by" else ""
            yield from (f"{template}?{needed}{row['name']}={'device%3D' if row['name'] != 'device' else ''}{device}"
                        for row in operation.get("parameters", []) if row["name"] in ("device", "devices", "selector"))
