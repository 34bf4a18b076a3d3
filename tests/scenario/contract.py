# SPDX-License-Identifier: Apache-2.0
"""fleet/openapi.json as a judge: every answer that a test gets from musterd is held against it."""
import json
import pathlib
import re

import jsonschema

FILE = pathlib.Path(__file__).resolve().parents[2] / "fleet" / "openapi.json"
DOCUMENT = json.loads(FILE.read_text(encoding="utf-8"))
ERROR = {"$ref": "#/components/schemas/Error"}


class Broken(AssertionError):
    """musterd and its file disagree."""


def resolver():
    """One for each use: it remembers where it is, and tests ask from several threads."""
    return jsonschema.RefResolver("", DOCUMENT)


def followed(thing):
    """What a {"$ref": ...} stands for."""
    return resolver().resolve(thing["$ref"])[1] if "$ref" in thing else thing


def check_json(schema, value, what):
    found = next(iter(jsonschema.Draft202012Validator(schema, resolver=resolver()).iter_errors(value)), None)
    if found is not None:
        raise Broken(f"{what}: at {'/'.join(map(str, found.absolute_path)) or 'the top'}: {found.message}")


def template_of(path):
    """The path of the file that stands for this one, without a query; None: there is none."""
    for template in DOCUMENT["paths"]:
        pattern = re.sub(r"\\\{\w+\\\}", "[^/]{1,79}", re.escape(template))
        if re.fullmatch(pattern, path.partition("?")[0]):
            return template
    return None


def operations():
    """(method, path, operation) of all."""
    return [(method.upper(), path, operation) for path, item in DOCUMENT["paths"].items()
            for method, operation in item.items()]


def check(method, path, status, content_type, body, sent=None):
    """The operation and the status, as the file names them, after a look at the answer."""
    what = f"{method} {path}: {status}"
    template = template_of(path)
    operation = DOCUMENT["paths"].get(template, {}).get("get" if method == "HEAD" else method.lower())
    if operation is None:
        if status not in ({404, 421} if template is None else {405, 421}):
            raise Broken(f"{what}, and the file knows no such operation")
        check_json(ERROR, json.loads(body), what)
        return None
    named = next((name for name in (str(status), f"{status // 100}XX") if name in operation["responses"]), None)
    if named is None:
        raise Broken(f"{what}, which the file does not tell of")
    content = followed(operation["responses"][named]).get("content", {})
    kind = content_type.partition(";")[0]
    if kind not in content:
        raise Broken(f"{what}: {kind}, where the file says {', '.join(content)}")
    if kind == "application/json" and method != "HEAD":
        check_json(content[kind]["schema"], json.loads(body), what)
    request = operation.get("requestBody", {}).get("content", {}).get("application/json")
    if request and status == 200 and sent is not None:
        check_json(request["schema"], json.loads(sent), f"{what}: what was sent")
    return template, method, named
