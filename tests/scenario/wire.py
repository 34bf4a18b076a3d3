# SPDX-License-Identifier: Apache-2.0
"""Protobuf and seals, read without the code under test."""
import hashlib
import subprocess


def fields(data):
    """The fields of a message as {number: [values]}; integers, and bytes."""
    found, at = {}, 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(data):
        tag = varint()
        kind = tag & 7
        if kind == 0:
            value = varint()
        elif kind == 1:
            value, at = int.from_bytes(data[at:at + 8], "little"), at + 8
        elif kind == 2:
            length = varint()
            value, at = data[at:at + length], at + length
            assert len(value) == length, "cut off"
        else:
            raise AssertionError(f"wire type {kind}")
        found.setdefault(tag >> 3, []).append(value)
    return found


def one(message, number, default=None):
    return message.get(number, [default])[-1]


def unseal(envelope, domain, context, private_key, folder):
    """The body of an Envelope, its one signature verified by the openssl command."""
    outer = fields(envelope)
    body, signature = one(outer, 1, b""), one(fields(one(outer, 2)), 2)
    (folder / "signed").write_bytes(
        b"muster/v1/" + domain.encode() + b"\0" + context.encode() + b"\0" + body)
    (folder / "signature").write_bytes(signature)
    done = subprocess.run(["openssl", "pkeyutl", "-verify", "-rawin", "-inkey", private_key, "-in",
                           folder / "signed", "-sigfile", folder / "signature"],
                          capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return body


class Online:
    """A word of whether a terminal has a session, as mosquitto_sub shows it: in hex."""

    def __init__(self, shown):
        word = fields(bytes.fromhex(shown))
        self.online, self.goodbye = bool(one(word, 1, 0)), bool(one(word, 4, 0))
        self.session = (one(word, 2, 0), one(word, 3, 0))


def next_word(subscriber, topic, online, after=0):
    """The next word on the topic that says so, and where in the log it is, from `after` on."""
    at = after
    while True:
        at = subscriber.wait_line(f"{topic} ", after=at)
        shown = subscriber.lines[at - 1].split()
        if shown[0] == topic and Online(shown[1]).online == online:
            return Online(shown[1]), at


class Manifest:
    """A manifest as a device gets it, all its signatures verified."""

    def __init__(self, envelope, device, ops):
        body = fields(unseal(envelope, "manifest", device, ops.folder / "keys/director.pem",
                             ops.folder))
        assert one(body, 1).decode() == device
        self.version = one(body, 3)
        self.root_version = one(body, 4)
        self.items = {}
        names = []
        for raw in body.get(7, []):
            item = fields(raw)
            header = fields(unseal(one(item, 1), "document", "", ops.folder / "keys/release.pem",
                                   ops.folder))
            name = one(header, 1).decode()
            encoding = fields(one(item, 3))
            names.append(name)
            self.items[name] = {
                "version": one(header, 4), "length": one(header, 5),
                "sha256": one(header, 6).hex(), "mode": one(item, 2, 0),
                "blob": one(encoding, 2).hex(), "size": one(encoding, 3)}
        assert names == sorted(names), "items must rise by name"


def sha256(data):
    return hashlib.sha256(data).hexdigest()
