# SPDX-License-Identifier: Apache-2.0
"""Every operation of fleet/openapi.json with a token of one merchant, or region: of what is another's no
answer has a word in it, and what is another's is told apart from what there is nowhere by nothing."""
import http.client
import json

import pytest

import canary
import contract
from canary import CANARY, FINCH, OURS, PARROT, THEIRS
from ops import Ops
from processes import wait_for
from test_events import Stream

PUBLIC = {"/api/v1/documents", "/api/v1/blobs/{sha256}"}


@pytest.fixture
def ops(bin_dir, processes, pki, broker, run_dir):
    ops = Ops(bin_dir, processes, run_dir / "ops", extra="[http]\nrate = 100000")
    ops.start(broker, pki).wait_line("connected to")
    return ops


class Desk:
    """Somebody with a token of a part of the fleet."""

    def __init__(self, ops, name, *places):
        self.ops, self.first = ops, None
        self.token = ops.json("token", "add", name, "--role", "admin", *places)["token"]
        self.first = self.follow(None)[0]["id"]

    def stream(self, query):
        return Stream(http.client.HTTPConnection("127.0.0.1", self.ops.port, timeout=30), query,
                      {"Authorization": f"Bearer {self.token}"})

    def follow(self, place):
        """All that it is told of what happened since, up to now."""
        stream = self.stream("" if place is None else f"?last_event_id={place}")
        mark = canary.say(self.ops, f"devices/{OURS}/labels", set={"mark": "here"}, remove=[])
        canary.say(self.ops, f"devices/{OURS}/labels", remove=["mark"])
        assert mark["changed"]
        said = []
        while not said or "removed mark" not in str(said[-1]):
            said.append(stream.next()[1])
        stream.connection.close()
        return said

    def ask(self, method, path, body):
        connection = http.client.HTTPConnection("127.0.0.1", self.ops.port, timeout=60)
        try:
            connection.request(method, path, body=body, headers={"Authorization": f"Bearer {self.token}"})
            reply = connection.getresponse()
            answer = reply.read()
        finally:
            connection.close()
        contract.check(method, path, reply.status, reply.getheader("Content-Type"), answer)
        assert reply.status < 500, (method, path, reply.status, answer)
        return reply.status, answer


def walk(desk, known, hidden, moved=False):
    """What is wrong, a line each."""
    wrong = []
    for own, pair in canary.calls(contract.operations(), known, moved):
        if own is not None:
            status, answer = desk.ask(*own)
            named = PARROT in str(own) or contract.template_of(own[1]) in PUBLIC
            wrong += [f"{own}: {status}: {word} in {answer[:2000]}" for word in canary.words_in(answer) & hidden
                      if word != PARROT or not named]
        if pair is not None:
            wrong += check_alike(desk, known, pair)
    happened = str(desk.follow(desk.first))
    return wrong + [f"events: {word} in {happened}" for word in hidden - {PARROT} if word in happened.lower()]


def walk_about(desk, device):
    """The same of one device that has been here: it may be known, and what was elsewhere may not."""
    for path in canary.about(device):
        answer = desk.ask("GET", path, None)[1]
        if CANARY in canary.words_in(answer):
            yield f"{path}: {CANARY} in {answer[:2000]}"


def check_alike(desk, known, pair):
    theirs, nobodys = (desk.ask(*call) for call in pair)
    said = canary.unnamed(known, theirs[1]), canary.unnamed(known, nobodys[1])
    if (theirs[0], said[0]) != (nobodys[0], said[1]):
        return [f"{pair[0]}: {theirs[0]} {theirs[1][:600]}\n  but {pair[1]}: {nobodys[0]} {nobodys[1][:600]}"]
    return []


@pytest.fixture
def fleet(ops, bin_dir, processes, run_dir, broker, pki):
    """(two desks, one by merchant and one by region, and what can be named; with the other's terminal)"""
    ours, theirs = canary.two_merchants(ops, bin_dir, processes, run_dir, broker, pki)
    desks = Desk(ops, "shop", "--merchant", "m1"), Desk(ops, "north", "--region", "north")
    canary.people_write(ops, theirs, pki)
    canary.terminals_tell(ops, ours, theirs)
    canary.terminals_complain(ops, broker, pki)
    return desks, canary.values(ops), theirs


def test_nothing_of_another_is_told(ops, fleet):
    desks, known, _ = fleet
    # The words are there: who has the whole fleet reads them.
    whole = Desk(ops, "whole")
    told = {path: canary.words_in(whole.ask("GET", f"/api/v1/{path}", None)[1]) for path in
            ("devices", f"devices/{THEIRS}", "proposals", "changes", "regions", "groups", "keys", "tokens", "webhooks",
             "errors?by=issuer", "duties?all=1", f"devices/{THEIRS}/history", "stores", "actions", "presence?state=online")}
    assert all(words & {CANARY, FINCH} for words in told.values()), told
    wrong = [line for desk in desks for line in walk(desk, known, {CANARY, FINCH, PARROT})]
    assert not wrong, "\n".join(wrong)
    # Nor any number of it.
    roots = json.loads(desks[0].ask("GET", "/api/v1/roots", None)[1])
    assert {root["devices"] for root in roots["roots"]} == {None} and roots["manifests_behind"] is None
    assert json.loads(whole.ask("GET", "/api/v1/roots", None)[1])["manifests_behind"] == 0


def presence_of(ops, device):
    return ops.http("GET", f"/api/v1/devices/{device}")[1]["presence"]


def test_what_was_before_it_came_and_is_after_it_went(ops, fleet, broker, pki):
    desks, known, theirs = fleet
    left = ops.json("token", "add", "canary-left", "--role", "operator", "--merchant", "canary-m2")["token"]
    theirs.link.stop()
    wait_for(lambda: presence_of(ops, THEIRS) == "offline", what="it is away")
    canary.goes_to_us(ops)
    assert "has no manifest of its time here" in str(desks[0].ask("GET", f"/api/v1/devices/{THEIRS}/manifest", None))
    wrong = [line for desk in desks for line in [
        *walk(desk, canary.still_theirs(known), {CANARY}, moved=True), *walk_about(desk, THEIRS)]]
    assert not wrong, "\n".join(wrong)
    # It can be worked with, and what is counted over a life is not told in part.
    device = json.loads(desks[0].ask("GET", f"/api/v1/devices/{THEIRS}", None)[1])
    assert device["labels"] == {"finch": "finch-corner"} and device["keys"]["slots"] and device["streams"] == []
    assert (device["records"], device["lost"], device["traffic_bytes"], device["apply"]) == (None,) * 4
    came_ms = ops.query("SELECT max(from_ms) FROM standing")[0][0]
    present = json.loads(desks[0].ask("GET", "/api/v1/presence?state=offline", None)[1])["devices"]
    since = [device["presence_since_ms"]] + [row["since_ms"] for row in present if row["id"] == THEIRS]
    assert len(since) == 2 and min(since) >= came_ms
    audit = json.loads(desks[0].ask("GET", f"/api/v1/audit?device={THEIRS}", None)[1])
    assert (audit["devices"], audit["elsewhere"], audit["total"]["submitted"]) == ([], 1, 0)
    # What was ordered there it does here, and brings a log of here, which is not for who ordered it.
    theirs.start_link(broker, pki)
    order = ops.http("GET", f"/api/v1/actions?device={THEIRS}")[1]["actions"][0]["id"]
    wait_for(lambda: ops.http("GET", f"/api/v1/actions/{order}")[1]["log_pieces_held"], timeout=60, what="a log")
    status, told = ops.tcp("GET", f"/api/v1/actions/{order}", left)
    assert (status, told["note"], told["text"], told["log_bytes"], told["log_sha256"]) == (200, "canary order", "", 0, "")
    assert ops.tcp("GET", f"/api/v1/actions/{order}/log", left)[0] == 404
    assert ops.tcp("GET", f"/api/v1/actions/{known['action'][1]}", left)[1]["log_bytes"] > 0
    canary.goes_back(ops)
    wrong = [line for desk in desks for line in [
        *walk(desk, canary.still_theirs(known), {CANARY}, moved=True), *walk_about(desk, THEIRS)]]
    assert not wrong, "\n".join(wrong)
    assert desks[0].ask("GET", f"/api/v1/devices/{THEIRS}", None)[0] == 404


def test_what_the_walk_does_not_know_it_says():
    """The walk itself: an operation or a parameter that is new has to be told how it is called."""
    known = {name: ("x", "y", "z") for name in canary.KNOWN}
    assert len(list(canary.calls(contract.operations(), known))) > 200
    for method, operation in (("GET", {"parameters": [{"name": "nosuch", "in": "query"}]}),
                              ("POST", {"x-muster-reach": "part", "parameters": []})):
        with pytest.raises(canary.Unknown):
            list(canary.calls([(method, "/api/v1/nosuch", operation)], known))
