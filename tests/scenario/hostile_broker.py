# SPDX-License-Identifier: Apache-2.0
"""A broker that misbehaves in one chosen way, on a thread, with a certificate that is in order."""
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


def publish(qos, topic, payload):
    body = struct.pack(">H", len(topic)) + topic + (b"\x00\x01" if qos else b"") + b"\x00" + payload
    length, head = len(body), b""
    while True:
        length, low = length >> 7, length & 0x7F
        head += bytes([low | (0x80 if length else 0)])
        if not length:
            return bytes([0x30 | qos << 1]) + head + body


class HostileBroker:
    """The moods are the branches of `_answer`; every connection is treated the same."""

    def __init__(self, pki, mood):
        self.mood = mood
        identity = pki.server()
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
        try:
            if self.mood == "mute":
                raw.recv(1 << 20)
                raw.recv(1 << 20)  # until the other side gives up
            elif self.mood != "hang up":
                peer = self.context.wrap_socket(raw, server_side=True)
                self.open.add(peer)
                self._answer(peer, read_packet(peer)[1][6])
        except (OSError, ConnectionError):
            pass
        finally:
            raw.close()

    def _answer(self, peer, level):
        if self.mood.startswith("no 5") and level == 5:
            if self.mood == "no 5, says so":
                peer.sendall(b"\x20\x02\x00\x01")
            peer.close()
            return
        if self.mood == "refuse":
            peer.sendall(b"\x20\x03\x00\x87\x00")
        else:
            peer.sendall(CONNACK_5 if level == 5 else CONNACK_311)
        if self.mood == "unknown puback":
            peer.sendall(b"\x40\x02\x30\x39" * 100)
        elif self.mood == "qos 2":
            peer.sendall(publish(2, b"muster/v1/down/term-1/receipt", b"x"))
        elif self.mood == "garbage":
            peer.sendall(b"\xf7\x00\x00\x00")
        elif self.mood == "endless":
            peer.sendall(b"\x32\xff\xff\xff\x0f")  # a packet of 32 MiB
            while True:
                peer.sendall(bytes(1 << 20))
        while True:
            read_packet(peer)
