# SPDX-License-Identifier: Apache-2.0
"""Who may sign: keys in files and on tokens, roots that several people sign, lost and stolen keys."""
import contextlib
import os
import pty
import shutil
import sqlite3
import subprocess

import pytest

from ops import Ops
from softhsm import LIBRARY, Tokens
from wire import fields, one

TABLE = b"bin\tissuer\n622000\tbank\n"


class Keepers(Ops):
    """The ops side, with Anna's and Bert's tokens beside the folder of keys."""

    def __init__(self, bin_dir, processes, folder):
        super().__init__(bin_dir, processes, folder)
        self.tokens = Tokens(folder / "hsm")
        self.tokens.add("Anna", "1234-anna")
        self.tokens.add("Bert", "5678-bert")

    def ctl(self, *args, **env):
        if not any("pkcs11:" in str(arg) for arg in args):
            return super().ctl(*args)
        return subprocess.run(
            [str(self.bin / "musterctl"), *[str(arg) for arg in args]], cwd=self.folder,
            env={"MUSTERCTL_SERVER": f"unix:{self.folder}/api.sock", "PATH": "/usr/bin:/bin",
                 **self.tokens.env, **env},
            capture_output=True, text=True, timeout=90, check=False, stdin=subprocess.DEVNULL,
            start_new_session=True)

    def all_files(self):
        return self.tokens.files() | {
            path: path.read_bytes() for path in self.folder.rglob("*")
            if path.is_file() and path.suffix in (".pem", ".bin", ".pub", ".signed")}

    def refused(self, word, *args, code=3):
        """Refused with this word, and nothing has changed for it."""
        before = self.all_files()
        assert word in self.fails(code, *args)
        assert before == self.all_files()


@pytest.fixture
def keepers(bin_dir, processes, run_dir):
    return Keepers(bin_dir, processes, run_dir / "ops")


def verified(root, key, folder):
    """How many of a root's signatures the openssl command verifies by a public key."""
    outer, good = fields(root.read_bytes()), 0
    (folder / "signed").write_bytes(b"muster/v1/root\0\0" + one(outer, 1))
    for signature in outer.get(2, []):
        (folder / "signature").write_bytes(one(fields(signature), 2))
        done = subprocess.run(["openssl", "pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", key,
                               "-in", folder / "signed", "-sigfile", folder / "signature"],
                              capture_output=True, check=False)
        good += done.returncode == 0
    return good


def test_a_ceremony_of_two_of_three(keepers, broker, pki):
    folder, tokens = keepers.folder, keepers.tokens
    shutil.rmtree(folder / "keys")
    anna, bert = tokens.key("Anna", "root"), tokens.key("Bert", "root")
    release = tokens.key("Anna", "release")
    before = tokens.files()
    keepers.ctl_ok("keys", "new", anna, "--dry-run")
    assert before == tokens.files()
    for key, public in ((anna, "anna.pub"), (bert, "bert.pub"), ("carl.pem", "carl.pub"),
                        (release, "release.pub")):
        keepers.ctl_ok("keys", "new", key, "--public", public)
    assert len(tokens.files()) == len(before) + 6
    keepers.refused("never overwritten", "keys", "new", anna)
    keepers.refused("never overwritten", "keys", "new", anna, "--dry-run")

    make = ("keys", "make", "keys", "--role", "root=2/3", "--key", "root=anna.pub", "--key",
            "root=" + tokens.key("Bert", "root", pin=False), "--key", "root=carl.pub", "--key",
            "release=release.pub")
    assert "dry run" in keepers.ctl_ok(*make, "--dry-run")
    assert not (folder / "keys").exists()
    assert "keys sign" in keepers.ctl_ok(*make)
    assert sorted(path.name for path in (folder / "keys").iterdir()) == [
        "custodian.pem", "director.pem", "receipt.pem", "root.bin"]
    root = folder / "keys" / "root.bin"
    keepers.fails(1, "keys", "check", root)
    assert not keepers.json("keys", "show", root)["complete"]

    # Each signs a copy of his own, and one of the copies takes in the other.
    shutil.copy(root, folder / "bert.bin")
    keepers.ctl_ok("keys", "sign", root, "--key", anna)
    keepers.fails(1, "keys", "check", root)
    assert keepers.ctl("keys", "sign", "bert.bin", "--key", tokens.key("Bert", "root", pin=False),
                       MUSTERCTL_PIN="5678-bert").returncode == 0
    assert "omplete" in keepers.ctl_ok("keys", "sign", root, "--merge", "bert.bin")
    keepers.ctl_ok("keys", "check", root)
    assert [verified(root, folder / name, folder) for name in ("anna.pub", "bert.pub", "carl.pub")
            ] == [1, 1, 0]

    # musterd and what it checks documents with take that root; Anna's card signs a release.
    keepers.start(broker, pki)
    (folder / "table").write_bytes(TABLE)
    publish = ("doc", "publish", "bin-table", "table", "--kind", "table", "--release-key")
    assert "release keys" in keepers.fails(3, *publish, "carl.pem")
    keepers.ctl_ok(*publish, release)
    assert keepers.json("get", "documents")["documents"][0]["version"] == 1


def test_keys_move_from_files_to_tokens(keepers):
    tokens, folder = keepers.tokens, keepers.folder
    anna = tokens.key("Anna", "root") + f"&module-path={LIBRARY}"
    keepers.ctl_ok("keys", "new", anna)
    change = ("keys", "rotate", "keys/root.bin", "next.bin", "--add",
              "root=" + tokens.key("Anna", "root", pin=False), "--remove", "root=keys/root.pem")
    before = keepers.all_files()
    assert "dry run" in keepers.ctl_ok(*change, "--dry-run")
    assert before == keepers.all_files()
    keepers.ctl_ok(*change)
    sign = ("keys", "sign", "next.bin", "--previous", "keys/root.bin")
    keepers.refused("without seeing what it changes", "keys", "sign", "next.bin", "--key",
                    "keys/root.pem", code=2)
    before = keepers.all_files()
    keepers.ctl_ok(*sign, "--key", "keys/root.pem", "--dry-run")
    assert before == keepers.all_files()
    keepers.ctl_ok(*sign, "--key", "keys/root.pem")
    keepers.fails(1, "keys", "check", "next.bin", "--previous", "keys/root.bin")
    shown = keepers.json(*sign, "--key", anna)
    assert shown["complete"] and shown["root_version"] == 2 and shown["epoch"] == 1
    assert {key["change"] for key in shown["roles"][0]["keys"]} == {"added", "removed"}
    assert verified(folder / "next.bin", folder / "keys" / "root.pem", folder) == 0, "a private key"
    keepers.ctl_ok("keys", "check", "next.bin", "--previous", "keys/root.bin", "--key", anna)
    assert "director" in keepers.ctl_ok("keys", "check", "keys/root.bin", "--key",
                                        "keys/director.pem")
    keepers.fails(1, "keys", "check", "keys/root.bin", "--key", anna)


def test_a_key_lost_or_stolen_at_three_in_the_morning(keepers):
    def key_of(root, role):
        shown = keepers.json("keys", "show", root)["roles"]
        return [key["id"] for entry in shown if entry["role"] == role for key in entry["keys"]][0]

    def signed(name, *options):
        keepers.ctl_ok("keys", "revoke", "keys/root.bin", name, *options)
        return keepers.json("keys", "sign", name, "--previous", "keys/root.bin", "--key",
                            "keys/root.pem")

    for role, epoch in (("release", 2), ("director", 2), ("custodian", 2), ("receipt", 1)):
        old, fresh = key_of("keys/root.bin", role), f"fresh-{role}.pem"
        keepers.ctl_ok("keys", "new", fresh)
        replace = ("--key", old, "--add", f"{role}={fresh}")
        stolen = signed(f"stolen-{role}.bin", "--stolen", *replace)
        assert stolen["complete"] and stolen["epoch"] == epoch and stolen["consequences"], role
        lost = signed(f"lost-{role}.bin", "--lost", *replace)
        assert lost["complete"] and lost["epoch"] == 1, role
        assert key_of(f"lost-{role}.bin", role) != old
    shown = keepers.json("keys", "rotate", "keys/root.bin", "n", "--raise-epoch", "--dry-run")
    assert shown["epoch"] == 2 and "signed again" in shown["consequences"][0]
    old = key_of("keys/root.bin", "release")
    revoke = ("keys", "revoke", "keys/root.bin", "x.bin", "--key")
    keepers.refused("it has 0 keys", *revoke, old, "--stolen")
    # A thief of as many root keys as sign a root follows himself; lost, they are only gone.
    root_key, fresh = key_of("keys/root.bin", "root"), "fresh-root.pem"
    keepers.ctl_ok("keys", "new", fresh)
    keepers.refused("musterd --begin-roots", *revoke, root_key, "--stolen", "--add",
                    f"root={fresh}")
    keepers.ctl_ok(*revoke, root_key, "--lost", "--add", f"root={fresh}", "--dry-run")
    keepers.refused("--stolen", *revoke, old, code=2)
    keepers.refused("names no such key", *revoke, "0" * 16, "--lost", code=2)
    keepers.refused("one of director already", *revoke, old, "--lost", "--add",
                    "release=keys/director.pem")


def with_issued(draft, zigzag):
    """A root's draft that says it was made at another time: field 4, a varint."""
    def varint(value):
        out = bytearray()
        while value >= 0x80:
            out.append(value & 0x7F | 0x80)
            value >>= 7
        return bytes(out + bytes([value]))

    body = one(fields(draft), 1)
    issued = varint(one(fields(body), 4))
    assert body.count(b"\x20" + issued) == 1
    body = body.replace(b"\x20" + issued, b"\x20" + varint(zigzag))
    return b"\x0a" + varint(len(body)) + body


def test_what_is_not_signed(keepers):
    folder, sign = keepers.folder, ("keys", "sign", "next.bin", "--previous", "keys/root.bin")
    keepers.ctl_ok("keys", "rotate", "keys/root.bin", "next.bin", "--raise-epoch")
    draft = (folder / "next.bin").read_bytes()
    keepers.refused("no root key", *sign, "--key", "keys/director.pem")
    keepers.refused("counts once", *sign, "--key", "keys/root.pem", "--key", "keys/root.pem")
    keepers.refused("nothing to sign with", *sign, code=2)
    (folder / "next.bin").write_bytes(with_issued(draft, 2 * 4102444800000))
    keepers.refused("proved time", *sign, "--key", "keys/root.pem")
    (folder / "next.bin").write_bytes(with_issued(draft, 2000))
    keepers.refused("a clock wrong", *sign, "--key", "keys/root.pem")

    # Nobody adds his name to what was changed after another had signed it.
    (folder / "next.bin").write_bytes(draft)
    keepers.ctl_ok(*sign, "--key", "keys/root.pem")
    good = (folder / "next.bin").read_bytes()
    at = good.index(b"\x10\x02", good.index(b"\x08\x02"))
    (folder / "next.bin").write_bytes(good[:at] + b"\x10\x01" + good[at + 2:])
    keepers.refused("changed since", *sign, "--key", "keys/root.pem")
    (folder / "next.bin").write_bytes(good)
    keepers.ctl_ok("keys", "rotate", "keys/root.bin", "other.bin")
    keepers.refused("another root", *sign, "--merge", "other.bin")
    # A root that skips one.
    keepers.ctl_ok("keys", "rotate", "next.bin", "third.bin")
    keepers.refused("no gaps", "keys", "sign", "third.bin", "--previous", "keys/root.bin", "--key",
                    "keys/root.pem")
    keepers.refused("never overwritten", "keys", "rotate", "keys/root.bin", "next.bin")
    keepers.refused("threshold is 1", "keys", "rotate", "keys/root.bin", "x.bin", "--threshold",
                    "director=2", "--add", "director=" + make_public(keepers))
    for wrong in (("--add", "king=x"), ("--add", "root"), ("--threshold", "root=0"),
                  ("--threshold", "root=x"), ("--remove", "root=" + "0" * 16)):
        keepers.refused("", "keys", "rotate", "keys/root.bin", "x.bin", *wrong, code=2)
    for wrong in ("root=0/1", "root=3/2", "root=1/17", "root=", "king=1/1", "root=1/1x"):
        keepers.refused("", "keys", "make", "more", "--role", wrong, code=2)


def make_public(keepers):
    keepers.ctl_ok("keys", "new", "spare.pem", "--public", "spare.pub")
    return "spare.pub"


def test_what_a_token_refuses(keepers):
    anna, plain = keepers.tokens.key("Anna", "root"), keepers.tokens.key("Anna", "root", pin=False)
    keepers.ctl_ok("keys", "new", anna)
    check = ("keys", "check", "keys/root.bin", "--key")
    for word, code, uri in (
            ("no such key", 2, keepers.tokens.key("Anna", "nobody")),
            ("no token here fits", 2, "pkcs11:token=Carl;object=root"),
            ("2 tokens here fit", 3, "pkcs11:manufacturer=SoftHSM%20project;object=root"),
            ("names no key", 3, "pkcs11:token=Anna"),
            ("not a PKCS#11 URI", 3, "pkcs11:token"),
            ("not a PKCS#11 URI", 3, "pkcs11:colour=red;object=root"),
            ("command line is everybody's", 3, plain + "?pin-value=1234-anna"),
            ("no terminal to ask on", 3, plain),
            ("pin-source", 2, plain + "?pin-source=/nowhere"),
            ("module-path", 2, plain + "?module-path=/nowhere.so")):
        keepers.refused(word, *check, uri, code=code)
    done = keepers.ctl(*check, plain, MUSTERCTL_PIN="wrong")
    assert done.returncode == 3 and "login" in done.stderr and "Anna" in done.stderr
    assert "1234" not in done.stderr + done.stdout
    keepers.refused("no name", "keys", "new", "pkcs11:token=Anna;id=%01" +
                    anna[anna.index("?"):])


def typed_at_the_prompt(keepers, keys):
    """What a terminal shows when these keys are typed as the PIN of Anna's token; the exit code."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(keepers.folder)
        os.execve(keepers.bin / "musterctl",
                  ["musterctl", "keys", "check", "keys/root.bin", "--key",
                   keepers.tokens.key("Anna", "root", pin=False)],
                  {"PATH": "/usr/bin:/bin", **keepers.tokens.env})
    said, typed = b"", False
    while True:
        try:
            part = os.read(terminal, 4096)
        except OSError:
            break
        said += part
        if not typed and b'PIN of the token "Anna": ' in said:
            os.write(terminal, keys)
            typed = True
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    os.close(terminal)
    assert typed, said
    return code, said[said.index(b"PIN of"):]


def test_the_pin_is_asked_for_and_not_shown(keepers):
    keepers.ctl_ok("keys", "new", keepers.tokens.key("Anna", "root"))
    code, said = typed_at_the_prompt(keepers, b"wrong\x159\x7f1234-annb\x7fa\n")
    assert code == 1 and b"is not named by this root" in said, said
    assert b"1234" not in said and b"anna" not in said.replace(b"Anna", b"")
    for keys in (b"\n", b"123\x03", b"\x04"):
        code, said = typed_at_the_prompt(keepers, keys)
        assert code == 3 and b"no PIN was given" in said and b"123" not in said


def test_two_sign_a_document_away_from_musterd(keepers, broker, pki):
    folder, tokens = keepers.folder, keepers.tokens
    shutil.rmtree(folder / "keys")
    bert = tokens.key("Bert", "release")
    keepers.ctl_ok("keys", "new", bert, "--public", "bert.pub")
    keepers.ctl_ok("keys", "make", "keys", "--role", "release=2/2", "--key", "release=bert.pub")
    keepers.start(broker, pki)
    (folder / "table").write_bytes(TABLE)
    (folder / "other").write_bytes(TABLE + b"623000\tbank\n")
    by = ("--root", "keys/root.bin", "--key")
    sign = ("doc", "sign", "bin-table", "table", "one.signed", "--kind", "table", "--version", "7",
            *by, "keys/release.pem")
    publish = ("doc", "publish", "bin-table", "table", "--signed", "one.signed")

    before = keepers.all_files()
    assert keepers.json(*sign, "--dry-run")["dry_run"]
    assert before == keepers.all_files()
    assert "doc cosign" in keepers.ctl_ok(*sign)
    keepers.refused("never overwritten", *sign)
    assert "release keys" in keepers.fails(3, *publish)
    cosign = ("doc", "cosign", "one.signed")
    keepers.refused("has not seen", *cosign, *by, bert)
    keepers.refused("not the content", *cosign, "other", *by, bert)
    keepers.refused("no release key", *cosign, "table", *by, "keys/director.pem")
    assert keepers.json(*cosign, "table", *by, bert, "--dry-run")["complete"]
    assert "release keys" in keepers.fails(3, *publish)
    assert "doc publish" in keepers.ctl_ok(*cosign, "table", *by, bert)
    assert (folder / "one.signed").stat().st_size < 1024
    keepers.refused("not the content", "doc", "publish", "bin-table", "other", "--signed",
                    "one.signed")
    keepers.refused("was signed as", "doc", "publish", "aid-table", "table", "--signed",
                    "one.signed", code=2)
    assert keepers.json(*publish)["document"]["version"] == 7
    # Both at once, where both are in the room.
    assert keepers.json("doc", "publish", "bin-table", "other", "--kind", "table", "--release-key",
                        "keys/release.pem", "--release-key", bert)["document"]["version"] == 8
    assert "release keys" in keepers.fails(3, "doc", "publish", "bin-table", "table", "--kind",
                                           "table", "--release-key", "keys/release.pem")

    # What was changed on the way, or signed before the epoch rose, gathers no more signatures.
    good = (folder / "one.signed").read_bytes()
    at = good.index(b"bin-table")
    (folder / "one.signed").write_bytes(good[:at] + b"aid" + good[at + 3:])
    keepers.refused("changed since", *cosign, "table", *by, bert)
    (folder / "one.signed").write_bytes(good)
    keepers.ctl_ok("keys", "rotate", "keys/root.bin", "next.bin", "--raise-epoch")
    keepers.ctl_ok("keys", "sign", "next.bin", "--previous", "keys/root.bin", "--key",
                   "keys/root.pem")
    keepers.refused("of epoch 2", *cosign, "table", "--root", "next.bin", "--key", bert)
    options = {"--kind": "table", "--version": "1", "--root": "keys/root.bin",
               "--key": "keys/release.pem"}
    for option, value, word in (("--kind", "hat", "not known"), ("--version", "0", "whole number"),
                                ("--root", "/nowhere", "/nowhere"), ("--device", "D", "device id"),
                                ("--device", "term-1", "certificate")):
        wrong = [part for pair in {**options, option: value}.items() for part in pair]
        keepers.refused(word, "doc", "sign", "x", "table", "x.signed", *wrong, code=2)


def seal_offline(keepers, pki, device):
    """A key block, sealed to the device and signed without musterd: the content, and how it opens."""
    folder = keepers.folder
    block = b"D0112P0AE01E0000" + b"0123456789ABCDEF" * 6
    (folder / "block").write_bytes(block)
    subprocess.run(["openssl", "req", "-new", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={device}", "-addext",
                    "keyUsage=critical,keyAgreement", "-keyout", folder / "sealing.pem", "-out",
                    folder / "sealing.csr"], check=True, capture_output=True)
    certificate = pki.sealing(folder / "sealing.csr", device)
    sign = ["doc", "sign", "tmk.key", "block", "block.signed", "--kind", "key-block", "--version",
            "1", "--root", "keys/root.bin", "--certificate", certificate, "--device-ca", pki.ca,
            "--slot", "tmk", "--kcv", "aes-cmac:010203"]
    keepers.refused("add --device", *sign, "--key", "keys/custodian.pem", code=2)
    keepers.refused("no custodian key", *sign, "--device", device, "--key", "keys/release.pem")
    keepers.refused("term-9", *sign, "--device", "term-9", "--key", "keys/custodian.pem")
    shown = keepers.json(*sign, "--device", device, "--key", "keys/custodian.pem")["key"]
    assert (shown["slot"], shown["kcv"]) == ("tmk", "aes-cmac:010203")
    assert (shown["usage"] + shown["algorithm"] + shown["mode"]).encode() == block[5:9]
    signed = (folder / "block.signed").read_bytes()
    assert block not in signed and b"0123456789ABCDEF" not in signed
    opened = subprocess.run(["openssl", "cms", "-decrypt", "-inform", "DER", "-inkey",
                             folder / "sealing.pem"], input=one(fields(signed), 2),
                            capture_output=True, check=True)
    assert opened.stdout == block
    (folder / "block.signed").write_bytes(signed[:-1] + bytes([signed[-1] ^ 1]))
    keepers.refused("not what was signed", "doc", "publish", "tmk.key", "--signed", "block.signed")
    (folder / "block.signed").write_bytes(signed)
    keepers.refused("in the signed file", "doc", "publish", "tmk.key", "block", "--signed",
                    "block.signed", code=2)
    keepers.ctl_ok("doc", "publish", "tmk.key", "--signed", "block.signed")
    keepers.ctl_ok("assign", "tmk.key", "--device", device)


def test_what_terminals_hold_is_signed_again(keepers, broker, pki):
    """After the epoch rose, and after the release key was replaced: by who checks what was signed."""
    folder = keepers.folder
    old = folder / "keys" / "root.bin"

    def next_root(name, *change, meanwhile=None):
        keepers.ctl_ok("keys", "rotate", old, name, *change)
        keepers.ctl_ok("keys", "sign", name, "--previous", old, "--key", "keys/root.pem")
        shutil.copy(old, folder / f"before-{name}")
        keepers.process.stop()
        if meanwhile is not None:
            with contextlib.closing(sqlite3.connect(folder / "fleet.db")) as database, database:
                database.executescript(meanwhile)
        shutil.copy(folder / name, old)
        keepers.start(broker, pki)

    def wanted(device):
        return {item["name"]: (item["wanted_version"], item["mode"])
                for item in keepers.json("describe", "device", device)["items"]}

    keepers.start(broker, pki)
    for device in ("term-1", "term-2", "term-3"):
        keepers.add_device(device, "1234567" + device[-1])
    keepers.release("bin-table", TABLE)
    keepers.ctl_ok("assign", "bin-table", "--device", "term-1", "--mode", "repair")
    keepers.release("bin-table", TABLE + b"623000\tnew\n")
    keepers.release("bin-table", TABLE + b"624000\tnobody's\n")
    keepers.release("aid-table", TABLE + b"625000\taid\n")
    keepers.ctl_ok("assign", "bin-table@2", "--device", "term-2", "--device", "term-3")
    keepers.ctl_ok("assign", "aid-table", "--all")
    seal_offline(keepers, pki, "term-3")
    before = [wanted(device) for device in ("term-1", "term-2", "term-3")]
    # One is stolen and says that it wants what nobody assigned; another is retired.
    keepers.add_device("term-4", "12345674")
    keepers.add_device("term-5", "12345675")
    keepers.ctl_ok("assign", "bin-table@3", "--device", "term-5")
    next_root("two.bin", "--raise-epoch", meanwhile=(
        "INSERT INTO device_item (device, name, wanted_version, held_version, wanted_sha256,"
        " held_sha256, state, source, reason, updated_ms) SELECT v.id, d.name, 3, 0, d.sha256, x'',"
        " 0, 0, '', 0 FROM device v, document d WHERE v.name = 'term-4' AND d.version = 3;"
        " UPDATE device SET life_cycle = 'retired' WHERE name = 'term-5'"))
    assert wanted("term-4") == {"bin-table": (0, "")}
    shown = keepers.ctl_ok("describe", "device", "term-4")
    assert "not assigned" in shown

    resign = ("doc", "resign", "--root", old, "--previous", "before-two.bin", "--key")
    rows = keepers.query("SELECT count(*) FROM document")
    both = ("keys/release.pem", "--key", "keys/custodian.pem")
    dry = keepers.json(*resign, *both, "--dry-run")
    assert dry["dry_run"] and dry["retired"] == 1
    assert rows == keepers.query("SELECT count(*) FROM document")
    assert "1 documents are left to" in keepers.fails(1, *resign, "keys/release.pem")
    assert rows[0][0] + 3 == keepers.query("SELECT count(*) FROM document")[0][0]
    done = keepers.json(*resign, *both)["documents"]
    assert [(row["name"], row["epoch"], row["version"], row["devices"], row["result"])
            for row in done] == [("tmk.key", 2, 1, 1, "signed again"),
                                 ("bin-table", 2, 1, 1, "was signed already"),
                                 ("bin-table", 2, 2, 2, "was signed already"),
                                 ("aid-table", 2, 1, 3, "was signed already")]
    assert before == [wanted(device) for device in ("term-1", "term-2", "term-3")]
    assert keepers.query("SELECT DISTINCT document.epoch FROM assignment JOIN document ON"
                         " document.id = assignment.document JOIN device ON device.id ="
                         " assignment.device WHERE life_cycle <> 'retired'") == [(2,)]

    # Another release key in the same epoch: the numbers go on.
    keepers.ctl_ok("keys", "new", "fresh.pem")
    next_root("three.bin", "--add", "release=fresh.pem", "--remove", "release=keys/release.pem")
    resign = ("doc", "resign", "aid-table", "--root", old, "--previous", "before-three.bin")
    assert "left to" in keepers.fails(1, *resign, "--key", "keys/release.pem")
    done = keepers.json(*resign, "--key", "fresh.pem")["documents"]
    assert [(row["name"], row["version"]) for row in done] == [("aid-table", 2)]
    # A musterd in other hands: what it lists was not signed by the keys that count.
    keepers.ctl_ok("keys", "make", "others")
    said = keepers.fails(3, "doc", "resign", "bin-table", "--root", old, "--previous",
                         "others/root.bin", "--key", "fresh.pem")
    assert "refused" in said
    assert wanted("term-2") == {"bin-table": (2, "observe"), "aid-table": (2, "observe")}
    # What was undone is signed again too, though the minimum has risen since.
    keepers.ctl_ok("doc", "publish", "bin-table", folder / "aid-table.content", "--kind", "table",
                   "--release-key", "fresh.pem", "--minimum-version", "3")
    resign = ("doc", "resign", "bin-table", "--root", old, "--previous", "before-three.bin")
    done = keepers.json(*resign, "--key", "fresh.pem")["documents"]
    assert [(row["version"], row["devices"], row["result"]) for row in done] == [
        (4, 1, "signed again"), (5, 2, "signed again")]
    # The epoch that is signed for is the root's, whatever musterd says.
    publish = ("doc", "publish", "bin-table", folder / "bin-table.content", "--kind", "table",
               "--release-key", "fresh.pem", "--minimum-version", "4", "--root")
    assert "epoch 2 and the root of --root in epoch 1" in keepers.fails(3, *publish,
                                                                       "before-two.bin")
    assert "no release key of that root" in keepers.fails(3, *publish, "before-three.bin")
    shown = keepers.ctl_ok(*publish, old)
    assert "version 6 is published" in shown
    assert "epoch       2" in shown and "minimum     4" in shown
