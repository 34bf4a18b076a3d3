# SPDX-License-Identifier: Apache-2.0
"""musterctl and musterd: from signing keys to what a device really finds on the broker."""
import base64
import csv
import io
import json
import re
import stat

from ops import Ops
from wire import Manifest, sha256

OBSERVE, PROPOSE, REPAIR = 0, 1, 2
TABLE = b"bin\tissuer\n" + b"".join(b"%06d\tbank %d\n" % (622000 + n, n) for n in range(500))


class Inbox:
    """All that the broker gives to a device with its own certificate, message by message."""

    def __init__(self, broker, pki, device):
        self.device = device
        self.process = broker.subscribe("muster/v1/#", pki.client(device))
        self.seen = {}

    def next(self, part):
        """The next message whose topic contains `part`: its topic and payload."""
        pattern = re.compile(r"^(muster/v1/\S*) ([0-9a-f]*)$")
        while True:
            self.seen[part] = self.process.wait_line("muster/v1/", after=self.seen.get(part, 0))
            match = pattern.match(self.process.lines[self.seen[part] - 1])
            if match and part in match[1]:
                return match[1], bytes.fromhex(match[2])

    def manifest(self, ops, version):
        """The manifest of that version; older ones may come before it."""
        while True:
            manifest = Manifest(self.next("/manifest")[1], self.device, ops)
            if manifest.version == version:
                return manifest
            assert manifest.version < version


def test_keys_are_private_and_never_overwritten(bin_dir, processes, run_dir):
    ops = Ops(bin_dir, processes, run_dir / "ops")
    keys = ops.folder / "keys"
    made = sorted(path.name for path in keys.iterdir())
    assert made == ["custodian.pem", "director.pem", "receipt.pem", "release.pem", "root.bin",
                    "root.pem"]
    for path in keys.glob("*.pem"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    before = {path: path.read_bytes() for path in keys.iterdir()}
    assert "never overwritten" in ops.fails(3, "keys", "make", keys)
    assert before == {path: path.read_bytes() for path in keys.iterdir()}
    shown = ops.json("keys", "show", keys)
    assert [role["role"] for role in shown["roles"]] == ["root", "release", "custodian", "director",
                                                             "receipt"]
    assert all(role["keys"][0]["file"].endswith(f"{role['role']}.pem") for role in shown["roles"])
    assert ops.json("keys", "show", keys / "root.bin")["root_version"] == 1
    damaged = bytearray((keys / "root.bin").read_bytes())
    damaged[len(damaged) // 2] ^= 1
    (ops.folder / "damaged.bin").write_bytes(damaged)
    ops.fails(3, "keys", "show", ops.folder / "damaged.bin")
    ops.ctl_ok("keys", "make", ops.folder / "more", "--root-threshold", "2", "--root-keys", "3")
    root = ops.json("keys", "show", ops.folder / "more")["roles"][0]
    assert root["threshold"] == 2 and len(root["keys"]) == 3


def test_one_documents_way_to_the_broker(ops, broker, pki):
    ops.add_device("term-1", "12345671")
    ops.add_device("term-2", "12345672")
    published = ops.release("bin-table", TABLE)
    assert published["new"] and published["document"]["version"] == 1
    assert published["document"]["sha256"] == sha256(TABLE)
    again = ops.release("bin-table", TABLE)
    assert not again["new"] and again["document"]["version"] == 1

    assigned = ops.json("assign", "bin-table", "--device", "term-1", "--device", "term-2")
    assert [(d["id"], d["manifest_version"]) for d in assigned["devices"]] == [
        ("term-1", 1), ("term-2", 1)]
    inbox = Inbox(broker, pki, "term-1")
    first = inbox.manifest(ops, 1)
    item = first.items["bin-table"]
    assert item["mode"] == OBSERVE, "observe is the default"
    assert item["version"] == 1 and item["sha256"] == sha256(TABLE)
    assert first.root_version == 1

    topic, blob = inbox.next(f"/blob/{item['blob']}")
    assert published["document"]["blob_size"] == len(blob)
    assert topic.endswith(sha256(blob)) and len(blob) == item["size"]
    assert len(blob) < len(TABLE) / 4, "it travels compressed"
    assert inbox.next("/trust/1")[1] == ops.root.read_bytes()

    ops.ctl_ok("assign", "bin-table@1", "--device", "term-1", "--mode", "repair")
    assert inbox.manifest(ops, 2).items["bin-table"]["mode"] == REPAIR
    ops.release("aid-list", b"aid\nA000000333\n")
    ops.release("bin-table", TABLE + b"629999\tnew bank\n")
    ops.ctl_ok("assign", "aid-list", "--all", "--mode", "propose")
    items = inbox.manifest(ops, 3).items
    assert items["aid-list"]["mode"] == PROPOSE
    assert items["bin-table"]["version"] == 1, "a new version is not assigned by being published"
    unchanged = ops.json("assign", "aid-list", "--device", "term-1", "--mode", "propose")
    assert unchanged["devices"][0] == {"id": "term-1", "manifest_version": 3, "changed": False,
                                       "waits_for": ""}
    ops.ctl_ok("assign", "bin-table", "--device", "term-1", "--mode", "repair")
    assert inbox.manifest(ops, 4).items["bin-table"]["version"] == 2
    ops.ctl_ok("unassign", "aid-list", "--device", "term-1")
    assert list(inbox.manifest(ops, 5).items) == ["bin-table"]

    status, reply = ops.http("GET", "/api/v1/devices/term-1/manifest")
    assert status == 200
    assert Manifest(base64.b64decode(reply["envelope"]), "term-1", ops).version == 5


def test_a_broker_that_forgot_is_told_again(ops, broker, pki):
    ops.add_device("term-1", "12345671")
    blob = ops.release("bin-table", TABLE)["document"]["blob"]
    broker.stop()
    ops.ctl_ok("assign", "bin-table", "--device", "term-1")
    broker.start()
    ops.process.wait_line("connected to", after=ops.process.wait_line("no broker"))
    inbox = Inbox(broker, pki, "term-1")
    inbox.manifest(ops, 1)
    inbox.next(f"/blob/{blob}")


def test_a_device_sees_only_its_own_manifest(ops, broker, pki):
    ops.add_device("term-1", "12345671")
    ops.add_device("term-2", "12345672")
    ops.release("bin-table", TABLE)
    ops.ctl_ok("assign", "bin-table", "--all")
    inbox = Inbox(broker, pki, "term-2")
    assert inbox.next("/manifest")[0] == "muster/v1/down/term-2/manifest"
    ops.ctl_ok("assign", "bin-table", "--device", "term-1", "--mode", "repair")
    ops.ctl_ok("assign", "bin-table", "--device", "term-2", "--mode", "repair")
    assert inbox.next("/manifest")[0] == "muster/v1/down/term-2/manifest"
    assert "term-1/manifest" not in inbox.process.log()


def test_what_release_did_not_sign_is_refused(ops, run_dir):
    ops.release("bin-table", TABLE)
    ops.ctl_ok("keys", "make", run_dir / "others")
    content = ops.folder / "evil"
    content.write_bytes(TABLE + b"400000\tevil\n")
    for key in (run_dir / "others" / "release.pem", "keys/director.pem"):
        said = ops.fails(3, "doc", "publish", "bin-table", content, "--kind", "table",
                         "--release-key", key)
        assert "release keys" in said
    assert [d["version"] for d in ops.json("get", "documents")["documents"]] == [1]


def test_tampered_uploads_are_refused(ops):
    good = ops.release("bin-table", TABLE)["document"]
    status, reply = ops.http("PUT", f"/api/v1/blobs/{good['blob']}", b"other bytes")
    assert status == 400 and reply["error"]["code"] == "invalid"
    status, _ = ops.http("PUT", "/api/v1/blobs/xyz", b"bytes")
    assert status == 400
    status, _ = ops.http("PUT", "/api/v1/blobs/" + "0" * 64, bytes(1024 * 1024 + 1))
    assert status == 413
    junk = b"not a zstd frame"
    status, _ = ops.http("PUT", f"/api/v1/blobs/{sha256(junk)}", junk)
    assert status == 200, "a blob is only bytes until a document names it"
    for body in (b"", b"[]", b"{", b'{"header":"AA=="}', b'{"header":1,"encodings":[]}',
                 json.dumps({"header": "!!!!", "encodings": [
                     {"coding": "zstd", "blob": sha256(junk)}]}).encode()):
        status, reply = ops.http("POST", "/api/v1/documents", body)
        assert status == 400, body
        assert reply["error"]["text"]
    status, _ = ops.http("POST", "/api/v1/assignments", b'{"document":"bin-table"}')
    assert status == 400
    assert len(ops.json("get", "documents")["documents"]) == 1


def test_versions_only_rise(ops):
    assert ops.release("params", b"[a]\nb = 1\n", "--version", "7", kind="params")["new"]
    content = ops.folder / "new"
    content.write_bytes(b"[a]\nb = 2\n")
    args = ("doc", "publish", "params", content, "--release-key", "keys/release.pem")
    for version in ("7", "6"):
        assert "not above the newest" in ops.fails(3, *args, "--kind", "params", "--version", version)
    assert "stays so" in ops.fails(3, *args, "--kind", "table")
    raised = ops.release("params", b"[a]\nb = 3\n", "--minimum-version", "8", kind="params")
    assert raised["document"]["version"] == 8 and raised["document"]["minimum_version"] == 8
    assert "never goes down" in ops.fails(3, *args, "--kind", "params", "--minimum-version", "7")
    assert ops.release("params", b"[a]\nb = 4\n", kind="params")["document"]["minimum_version"] == 8


def test_content_is_checked_before_it_is_signed(ops):
    for content, kind, word in ((b"", "table", "empty"), (b"\xff\xfe", "params", "UTF-8"),
                                (b"a\0b", "code-profile", "control character 0x00"),
                                (b"a\tb\n1\n", "table", "row 2: 1 columns, the header has 2")):
        file = ops.folder / "bad"
        file.write_bytes(content)
        assert word in ops.fails(3, "doc", "publish", "bad", file, "--kind", kind, "--release-key",
                                 "keys/release.pem")
    assert ops.release("any", b"\xff\0\xfe", kind="file")["new"]


def test_exit_codes(ops):
    ops.add_device("term-1", "12345671")
    ops.release("bin-table", TABLE)
    for wrong in ((), ("no", "such"), ("get", "devices", "extra"), ("errors", "--by", "colour"),
                  ("errors", "--since", "soon"), ("assign", "bin-table"), ("get", "devices", "-o", "xml"),
                  ("assign", "bin-table", "--all", "--mode", "force"), ("assign", "../x", "--all"),
                  ("assign", "bin-table@0", "--all"), ("describe", "device", "Not An Id"),
                  ("device", "add", "x", "--serial", "s", "--model", "m", "--agent-key", "/nowhere"),
                  ("doc", "publish", "x", "/nowhere", "--kind", "file", "--release-key", "/nowhere"),
                  ("get", "devices", "--server", "http://example.org")):
        assert ops.fails(2, *wrong)
    for missing in (("describe", "device", "nobody"), ("get", "devices", "--device", "nobody"),
                    ("assign", "bin-table", "--device", "nobody"),
                    ("assign", "bin-table@9", "--device", "term-1"),
                    ("assign", "nothing", "--device", "term-1"),
                    ("errors", "--device", "nobody")):
        assert ops.fails(7, *missing)
    assert "musterd" in ops.fails(
        4, "get", "devices", "--server", f"unix:{ops.folder}/none.sock")
    ops.ctl_ok("assign", "bin-table", "--device", "term-1")
    said = ops.fails(5, "get", "devices", "--wait", "converged", "--timeout", "300ms")
    assert "term-1" in said
    for see, *wrong in (("", "got"), ("", "got", "it"), (" get", "get", "nothing"), (" duty", "duty", "don")):
        assert ops.fails(2, *wrong).splitlines() == [f'musterctl: there is no command "{" ".join(wrong)}"',
                                                     f"See: musterctl{see} --help"]
    # A word that several commands begin with lists them; all of them are in the overview, once.
    assert "  device swap  " in ops.fails(2, "device") and ops.fails(2) == ops.ctl_ok("help")
    assert ops.ctl_ok("device", "--help") == ops.fails(2, "device")
    overview = ops.ctl_ok("--help")
    assert overview.count("\n  device swap ") == 1 and "\nDevices:\n" in overview
    assert "serial number (required)" in ops.ctl_ok("device", "add", "--help")
    assert "DURATION is 250ms" in ops.ctl_ok("errors", "--help")
    assert "-o csv is refused" in ops.ctl_ok("watch", "--help")
    assert ops.ctl_ok("token", "add", "--help").count("may be repeated") == 2
    for command in ((), ("get", "devices"), ("doc", "publish"), ("keys", "make")):
        assert "usage: musterctl" in ops.ctl_ok(*command, "--help")


def test_what_is_printed(ops):
    ops.add_device("term-1", "12345671")
    ops.release("bin-table", TABLE)
    ops.ctl_ok("assign", "bin-table", "--device", "term-1")
    devices = ops.ctl_ok("get", "devices").splitlines()
    assert devices[0].split()[:3] == ["DEVICE", "MODEL", "STATE"]
    assert devices[1].split()[:3] == ["term-1", "A920", "in_service"]
    assert "m1" in devices[1] and "never" in devices[1]
    documents = ops.ctl_ok("get", "documents").splitlines()
    assert f"{len(TABLE):,}" in documents[1]
    described = ops.ctl_ok("describe", "device", "term-1")
    assert "SN-term-1" in described and "unionpay" in described and "\033" not in described
    assert ops.json("describe", "device", "term-1")["id"] == "term-1"
    assert not re.search(r" +$", described, re.M)
    assert "0 results" in ops.ctl_ok("errors", "--by", "code", "--since", "1h")
    for by in ("code", "device", "outcome", "issuer", "entry", "acquirer", "store", "tid", "firmware"):
        for what in ("errors", "rates", "top"):
            assert ops.json(what, "--by", by, "--since", "7d")["by"] == by
    devices = ops.json("--server", f"unix:{ops.folder}/api.sock", "get", "devices", "--device", "term-1")["devices"]
    assert devices[0]["manifest_version"] == 1 and not devices[0]["converged"]


def test_csv_of_nothing_has_its_headings(ops):
    """Of a fleet in which nothing is yet. What prints no table refuses CSV before it does anything."""
    lists = re.findall(r"^  ((?:get|token|webhook) (?:\w+s|list)) ", ops.ctl_ok("--help"), re.MULTILINE)
    assert {"get duties", "get devices", "get actions", "token list", "webhook list"} <= set(lists)
    for words in [name.split() for name in lists] + [["errors"], ["find", "--rrn", "1"], ["presence"], ["changes"], ["retention"]]:
        headings = next(csv.reader(io.StringIO(ops.ctl_ok(*words, "-o", "csv"), newline="")))
        assert len(headings) > 1 and len(set(headings)) == len(headings), (words, headings)
    assert ops.ctl_ok("get", "duties", "-o", "csv").startswith("DUTY,")
    assert ops.ctl_ok("webhook", "list", "-o", "csv").startswith("WEBHOOK,")
    assert ops.ctl_ok("device", "export", "-o", "csv") == ops.ctl_ok("device", "export")
    assert "prints no table" in ops.fails(2, "group", "add", "all", "model=A*", "-o", "csv")
    assert ops.json("get", "groups")["groups"] == []


def test_what_is_not_listed_is_told(ops):
    """In CSV too, beside it: half a list would be read as a whole one."""
    for number in range(3):
        ops.add_device(f"d-{number}", f"1234567{number}")
    for words, told in ((("presence", "--state", "unknown", "--limit", "2"), "And 1 more: --limit."),
                        (("changes", "--limit", "2"), "These are the newest 2; for older ones: --limit, or --before CHANGE.")):
        assert told in ops.ctl_ok(*words)
        done = ops.ctl(*words, "-o", "csv")
        assert done.returncode == 0 and told in done.stderr, done
        assert len(list(csv.reader(io.StringIO(done.stdout, newline="")))) == 3
        assert told not in ops.ctl_ok(*words[:-1], "1000")
    assert "--state: it is of the list of devices" in ops.fails(2, "presence", "d-1", "--state", "missing")
    assert "--days: it is of one device" in ops.fails(2, "presence", "--days", "3")


def test_why_there_is_no_week_ago_is_told(ops):
    assert "WEEK AGO is from " in ops.ctl_ok("errors", "--since", "7d")
    assert "WEEK AGO is -: more than 7 days would overlap" in ops.ctl_ok("errors", "--since", "8d")
    skipped = ("errors", "--from", "2026-04-05T00:00Z", "--to", "2026-04-05T01:00Z", "--zone", "Europe/Berlin")
    assert "WEEK AGO is -: a week before there were no such hours" in ops.ctl_ok(*skipped)
    assert "WEEK AGO is empty: " in ops.ctl(*skipped, "-o", "csv").stderr
