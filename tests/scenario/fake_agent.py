# SPDX-License-Identifier: Apache-2.0
"""The agent's end of the link socket: speaks the delimited frames of proto/local.proto."""
import os
import re
import select
import socket
import time


def varint(value):
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def field(number, value):
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def read_varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def decode(data):
    """Field number -> last value; integers and byte strings are all there is here."""
    fields, at = {}, 0
    while at < len(data):
        tag, at = read_varint(data, at)
        if tag & 7 == 0:
            fields[tag >> 3], at = read_varint(data, at)
        elif tag & 7 == 1:
            fields[tag >> 3], at = int.from_bytes(data[at:at + 8], "little"), at + 8
        else:
            assert tag & 7 == 2, f"wire type {tag & 7}"
            length, at = read_varint(data, at)
            fields[tag >> 3] = data[at:at + length]
            at += length
    return fields


class State:
    def __init__(self, body):
        fields = decode(body)
        self.connected = bool(fields.get(1, 0))
        self.broker = fields.get(2, b"").decode()
        self.reason = fields.get(3, b"").decode()
        self.next_attempt_ms = fields.get(4, 0) >> 1  # sint64, never negative here

        # local.proto, LinkState: payload, MQTT, TLS and TCP/IP bytes, up and down
        layers = ("payload", "mqtt", "tls", "tcpip")
        self.up = {layer: fields.get(5 + 2 * i, 0) for i, layer in enumerate(layers)}
        self.down = {layer: fields.get(6 + 2 * i, 0) for i, layer in enumerate(layers)}
        self.sessions, self.resumed, self.failures = (fields.get(n, 0) for n in (13, 14, 15))
        self.link_start = fields.get(16, 0)
        self.refused, self.content_held = fields.get(17, 0), fields.get(18, b"").decode()

    def __repr__(self):
        return f"State({self.connected}, {self.reason!r}, next {self.next_attempt_ms})"


class Puback:
    def __init__(self, body):
        fields = decode(body)
        self.token, self.accepted = fields.get(1, 0), bool(fields.get(2, 0))


class Message:
    def __init__(self, body):
        fields = decode(body)
        self.topic, self.payload = fields[1].decode(), fields.get(2, b"")


KINDS = {1: State, 2: Puback, 3: Message}


class FakeAgent:
    """Listens; `join` waits for a link. Frames are read when a test waits for one."""

    def __init__(self, path):
        self.path = str(path)
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen(2)
        self.link = None
        self.pending = bytearray()

    def join(self, timeout=20.0):
        assert select.select([self.listener], [], [], timeout)[0], "no link has joined"
        self.link = self.listener.accept()[0]
        self.pending.clear()
        return self

    def close(self):
        for end in (self.link, self.listener):
            if end is not None:
                end.close()
        os.unlink(self.path)

    def send(self, frame):
        self.link.sendall(varint(len(frame)) + frame)

    def publish(self, token, topic, payload):
        self.send(field(1, field(1, token) + field(2, topic) + field(3, payload)))

    def fetch(self, *digests, size=1, trust=0):
        """Each of the blobs is wanted with this size."""
        sizes = b"".join(varint(size) for _ in digests)
        self.send(field(2, b"".join(field(1, digest) for digest in digests) + field(2, sizes)
                        + field(3, trust)))

    def _take_frame(self):
        for head in range(1, min(len(self.pending), 10) + 1):
            if self.pending[head - 1] < 0x80:
                length = read_varint(self.pending, 0)[0]
                if len(self.pending) < head + length:
                    return None
                frame = bytes(self.pending[head:head + length])
                del self.pending[:head + length]
                return frame
        return None

    def next(self, timeout=20.0):
        """The next frame, decoded; None once the link has gone."""
        end = time.monotonic() + timeout
        while True:
            frame = self._take_frame()
            if frame is not None:
                number, body = next(iter(decode(frame).items()))
                return KINDS[number](body)
            left = end - time.monotonic()
            assert left > 0 and select.select([self.link], [], [], left)[0], \
                f"nothing from the link within {timeout} s"
            data = self.link.recv(65536)
            if not data:
                return None
            self.pending += data

    def gone(self, timeout=20.0):
        """Returns when the link has left; frames before that are skipped."""
        while self.next(timeout) is not None:
            pass

    def expect(self, kind, condition=lambda frame: True, timeout=20.0):
        """The next frame of `kind` that fulfils `condition`; others are skipped."""
        end = time.monotonic() + timeout
        skipped = []
        while True:
            try:
                frame = self.next(max(0.001, end - time.monotonic()))
            except AssertionError as error:
                raise AssertionError(f"{error}; skipped {skipped[-5:]}") from None
            assert frame is not None, f"the link has left; skipped {skipped[-5:]}"
            if isinstance(frame, kind) and condition(frame):
                return frame
            skipped.append(frame)

    def connected(self, timeout=20.0):
        return self.expect(State, lambda state: state.connected, timeout)

    def disconnected(self, pattern=": ", timeout=20.0):
        """The end of an attempt or a session; what a link says when it joins is not one."""
        return self.expect(State, lambda state: not state.connected and state.next_attempt_ms > 0
                           and re.search(pattern, state.reason), timeout)

    def publish_until_taken(self, topic, payload, timeout=20.0):
        """As an agent does: offers it again in each session, until the broker has taken it."""
        end = time.monotonic() + timeout
        while True:
            self.connected(end - time.monotonic())
            self.publish(1 << 40, topic, payload)
            frame = self.expect((State, Puback), lambda frame: isinstance(frame, Puback)
                                or not frame.connected, end - time.monotonic())
            if isinstance(frame, Puback):
                assert frame.accepted
                return
