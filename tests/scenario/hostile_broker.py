# SPDX-License-Identifier: Apache-2.0
"""A broker that misbehaves in one chosen way, on a thread, with a certificate that is in order."""
import random
import socket
import ssl
import struct
import threading

CONNACK_5 = b"\x20\x03\x00\x00\x00"
CONNACK_311 = b"\x20\x02\x00\x00"


def read_exactly(peer, count):
    data = b""
    while len(data) < count:
        part = peer.recv(count - len(data))
        if not part:
            raise ConnectionError("closed")
        data += part
    return data


def read_packet(peer):
    head = read_exactly(peer, 1)
    length = shift = 0
    while True:
        byte = read_exactly(peer, 1)[0]
        length |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return head[0], read_exactly(peer, length)


def length(count):
    """The variable byte integer of MQTT."""
    head = b""
    while True:
        count, low = count >> 7, count & 0x7F
        head += bytes([low | (0x80 if count else 0)])
        if not count:
            return head


def packet(kind, body=b""):
    return bytes([kind]) + length(len(body)) + body


def publish(qos, topic, payload, properties=b""):
    body = struct.pack(">H", len(topic)) + topic + (b"\x00\x01" if qos else b"") + \
        length(len(properties)) + properties + payload
    return packet(0x30 | qos << 1, body)


REFUSALS = {"refuse": 0x87, "banned": 0x8A, "bad password": 0x86, "busy for all": 0x89}
RECEIPT = b"muster/v1/down/term-1/receipt"
NOISE = random.Random(4).randbytes(4096)

# libmosquitto 2.0.11 ends its process over it (an assertion in property__read).
KILLS = publish(0, RECEIPT, b"x", b"\x7f\x00")
# What is said after a CONNACK that is in order.
SAID = {
    "unknown puback": b"\x40\x02\x30\x39" * 100,
    "puback 0": b"\x40\x02\x00\x00",
    "100,000 unknown pubacks": b"\x40\x02\x30\x39" * 100_000,
    # Each with a property of 16 KB, which libmosquitto does not give back.
    "2,000 unknown pubacks with text": packet(
        0x40, b"\x30\x39\x00" + length(16003) + b"\x1f" + struct.pack(">H", 16000) + b"x" * 16000)
    * 2000,
    "qos 2": publish(2, RECEIPT, b"x"),
    "qos 3": publish(3, RECEIPT, b"x"),
    "pubrec": packet(0x50, b"\x00\x01"),
    "pubrel": packet(0x62, b"\x00\x01"),
    "pubcomp": packet(0x70, b"\x00\x01"),
    "suback": packet(0x90, b"\x30\x39\x00" + b"\x87" * 50_000) * 5,
    "unsuback": packet(0xB0, b"\x30\x39\x00\x00") * 100,
    "second connack": CONNACK_5,
    "auth": packet(0xF0, b"\x18\x00"),
    "connect": packet(0x10, b"\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x00"),
    "pingreq": packet(0xC0) * 100_000,
    "disconnects": packet(0xE0, b"\x8e\x00") * 1000,
    "garbage": b"\xf7\x00\x00\x00",
    "noise": NOISE,
    "type 0": packet(0x00, b"\x00"),
    "length of 5 bytes": b"\x30\xff\xff\xff\xff\x7f",
    "no topic": publish(0, b"", b"x"),
    "topic beyond the packet": packet(0x30, b"\xff\xffx"),
    "topic not UTF-8": publish(0, b"\xc3\x28", b"x"),
    "properties beyond the packet": packet(0x30, b"\x00\x01a\xff\x7f"),
    "packet id 0": packet(0x32, b"\x00\x01a\x00\x00\x00x"),
}


def subscribed(body):
    """The filters of a SUBSCRIBE of MQTT 5, without properties."""
    found, at = [], 3
    while at < len(body):
        end = at + 2 + int.from_bytes(body[at:at + 2], "big")
        found.append(body[at + 2:end])
        at = end + 1  # and its options
    return found


class HostileBroker:
    """The moods are the branches of `_talk` and `_answer`, and what is in SAID. `mood` may be
    changed at any time: it holds for the connections that come after."""

    def __init__(self, pki, mood, identity=None):
        self.mood = mood
        self.retained = {}  # topic: payload, for who subscribes to just that
        identity = identity or pki.server()
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(identity.certificate, identity.key)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.open = set()
        self.thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self):
        if self.mood != "busy":
            self.thread.start()
        return self

    def stuff(self):
        """Fills the accept queue, so that further connections hang in SYN_SENT until `relent`."""
        self.listener.listen(0)
        for _ in range(3):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", self.port))
            self.open.add(filler)

    def end_all(self):
        for peer in list(self.open):
            self.open.discard(peer)
            try:
                peer.shutdown(socket.SHUT_RDWR)  # wakes the thread that reads it
            except OSError:
                pass  # closed already
            peer.close()

    def relent(self):
        for peer in list(self.open):
            peer.close()
        self.thread.start()

    def __exit__(self, *why):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for peer in list(self.open):
            peer.close()

    def _serve(self):
        while True:
            try:
                raw, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._talk, args=(raw,), daemon=True).start()

    def _talk(self, raw):
        self.open.add(raw)
        mood = self.mood
        try:
            if mood == "mute":
                raw.recv(1 << 20)
                raw.recv(1 << 20)  # until the other side gives up
            elif mood == "no TLS":
                raw.sendall(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
                raw.recv(1 << 20)
            elif mood == "noise for TLS":
                raw.sendall(NOISE)
                raw.recv(1 << 20)
            elif mood != "hang up":
                peer = self.context.wrap_socket(raw, server_side=True)
                self.open.add(peer)
                self._answer(peer, mood, read_packet(peer)[1][6])
        except (OSError, ConnectionError):
            pass
        finally:
            raw.close()

    def _answer(self, peer, mood, level):
        if mood.startswith("no 5") and level == 5:
            if mood == "no 5, says so":
                peer.sendall(b"\x20\x02\x00\x01")
            peer.close()
            return
        if mood in REFUSALS:
            peer.sendall(packet(0x20, bytes([0, REFUSALS[mood], 0])))
        elif mood == "no connack":
            peer.sendall(publish(0, RECEIPT, b"x"))
        else:
            peer.sendall(CONNACK_5 if level == 5 else CONNACK_311)
        if mood == "kick":
            peer.close()
            return
        if mood in SAID:
            peer.sendall(SAID[mood])
            if mood == "noise":  # it may begin a packet that is never complete
                peer.close()
        elif mood == "kills":
            peer.sendall(KILLS)
        elif mood == "endless":
            peer.sendall(b"\x32\xff\xff\xff\x0f")  # a packet of 32 MiB
            while True:
                peer.sendall(bytes(1 << 20))
        elif mood == "256 MB":
            peer.sendall(b"\x30\xff\xff\xff\x7f")
            while True:
                peer.sendall(bytes(1 << 20))
        elif mood == "flood":  # with answers that nobody reads
            self._flood(peer)
        while True:
            self._serve_packet(peer, mood, *read_packet(peer))

    @staticmethod
    def _flood(peer):
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        # Not for this device, so that no agent behind the link slows it down.
        burst = publish(1, b"muster/v1/down/term-2/receipt", b"") * 1000
        while True:
            peer.sendall(burst)

    def _serve_packet(self, peer, mood, head, body):
        """A broker that is in order acknowledges what it gets."""
        if mood not in ("good", "endless content", "keeps nothing"):
            return
        if mood == "keeps nothing" and head & 0xF1 == 0x31:  # and says so too late
            peer.sendall(packet(0xE0, b"\x9a\x00"))
        elif head & 0xF0 == 0x30:
            at = 2 + int.from_bytes(body[:2], "big")
            peer.sendall(packet(0x40, body[at:at + 2]))
        elif head & 0xF0 == 0x80:
            topics = subscribed(body)
            peer.sendall(packet(0x90, body[:2] + b"\x00" + b"\x01" * len(topics)))
            while mood == "endless content" and any(b"/blob/" in topic for topic in topics):
                peer.sendall(b"\x30\xff\xff\xff\x7f" + bytes(1 << 20))
            for topic in topics:
                if topic in self.retained:
                    peer.sendall(publish(0, topic, self.retained[topic]))
        elif head & 0xF0 == 0xC0:
            peer.sendall(packet(0xD0))
