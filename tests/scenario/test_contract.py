# SPDX-License-Identifier: Apache-2.0
"""What fleet/openapi.json does not name is refused by every operation, made of the file itself, and changes nothing."""
import http.client
import json

import pytest

import contract
from ops import Ops, UnixConnection

OF_TYPE = {"string": "x", "integer": 1, "boolean": True, "array": [], "object": {}}
FILL = {"device": "term-1", "sha256": "0" * 64, "version": "1", "name": "nothing", "action": "nothing", "tid": "00000000"}


@pytest.fixture
def ops(ops):
    ops.add_device("term-1", "12345671")
    return ops


def refused(ops, method, path, body, says):
    connection = UnixConnection(ops.folder / "api.sock")
    try:
        connection.request(method, path, body=body)
        reply = connection.getresponse()
        answer = reply.read()
    finally:
        connection.close()
    contract.check(method, path.replace("%00", ""), reply.status, reply.getheader("Content-Type"), answer)
    assert reply.status == 400 and says in json.loads(answer)["error"]["text"], (method, path, body, reply.status, answer)


def wrong_bodies(said):
    """(body, what the answer has to say) of each way to break this schema."""
    schema = contract.followed(said)
    kind = schema.get("type", "string")
    for other, value in OF_TYPE.items():
        if other != kind:
            yield value, "expected "
    if kind == "array":
        yield from (([value], says) for value, says in wrong_bodies(schema["items"]))
    if kind != "object":
        return
    others = schema.get("additionalProperties")
    assert others is not None and others is not True, f"what a request may hold has to be said: {schema}"
    if others is False:
        yield {"nosuch": "x"}, "nosuch: there is no such member"
    else:
        yield from (({"any": value}, f"any: {says}") for value, says in wrong_bodies(others))
    for name, member in schema.get("properties", {}).items():
        yield from (({name: value}, name) for value, _ in wrong_bodies(member))


def test_a_parameter_that_is_none_or_wrong_or_there_twice(ops):
    before = ops.json("changes")
    for method, template, operation in contract.operations():
        body = b"x" if "requestBody" in operation else None
        path = template.format(**FILL)
        refused(ops, method, f"{path}?nosuch=1", body, "nosuch: there is no such parameter")
        for parameter in operation.get("parameters", []):
            name = parameter["name"]
            if parameter["in"] == "path":
                cut = template.format(**FILL | {name: FILL[name] + "%00x"})
                refused(ops, method, cut, body, "NUL")
                continue
            refused(ops, method, f"{path}?{name}=1&{name}=1", body, f"{name}: it is there twice")
            refused(ops, method, f"{path}?{name}=1%00x", body, "NUL")
            if contract.followed(parameter["schema"]).get("type") == "integer":
                for wrong in ("x", "", "-1", "1x"):
                    refused(ops, method, f"{path}?{name}={wrong}", body, f"{name}: expected a whole number")
    assert ops.json("changes") == before


def test_a_member_that_is_none_or_wrong_or_there_twice(ops):
    before, count = ops.json("changes"), 0
    for method, template, operation in contract.operations():
        body = operation.get("requestBody", {}).get("content", {}).get("application/json")
        if body is None:
            continue
        path = template.format(**FILL)
        for wrong, says in wrong_bodies(body["schema"]):
            refused(ops, method, path, json.dumps(wrong).encode(), says)
            count += 1
        refused(ops, method, path, b'{"why":"x","why":"x"}', "duplicate")
    assert count > 500
    assert ops.json("changes") == before
