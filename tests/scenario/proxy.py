# SPDX-License-Identifier: Apache-2.0
"""A TCP proxy that is a bad network: cuts, resets at a byte, swallows, trickles. It sees ciphertext."""
import socket
import struct
import threading

CHUNK = 65536


def reset(peer):
    """Closes with a RST instead of a FIN."""
    try:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        peer.shutdown(socket.SHUT_RD)  # wakes the thread that reads it
    except OSError:
        pass  # closed already
    peer.close()


class Pair:
    """One connection through the proxy: two threads, one a direction."""

    def __init__(self, proxy, client):
        self.proxy, self.client = proxy, client
        self.server = socket.create_connection(("127.0.0.1", proxy.target))
        for end in (client, self.server):
            if proxy.behind:
                end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, proxy.behind)
                end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, proxy.behind)
        self.lock = threading.Lock()
        self.passed = 0  # bytes, both ways together
        self.silent = False
        self.ended = False  # by a reset, which the other direction has not noticed yet
        self.threads = [threading.Thread(target=self._pump, args=ends, daemon=True) for ends in
                        ((client, self.server), (self.server, client))]
        for thread in self.threads:
            thread.start()

    def _pump(self, source, sink):
        try:
            while True:
                trickle_s = self.proxy.trickle_s if source is self.server else 0
                data = source.recv(1 if trickle_s else self.proxy.chunk)
                if not data:
                    sink.shutdown(socket.SHUT_WR)
                    return
                if self.silent:
                    continue
                if trickle_s:
                    self.proxy.stopped.wait(trickle_s)
                if not self._pass(sink, data):
                    return
        except OSError:
            self.close()

    def _pass(self, sink, data):
        with self.lock:
            if self.ended:
                return False
            if self.proxy.silent_at is not None and self.passed >= self.proxy.silent_at:
                self.silent = True
                return True
            room = None if self.proxy.reset_at is None else self.proxy.reset_at - self.passed
            part = data if room is None else data[:room]
            if part:
                sink.sendall(part)
                self.passed += len(part)
            if room is None or len(data) < room:
                return True
            self.ended = True
            self.proxy.resets += 1
            self.proxy.reset_at = self.proxy.next_reset_at()
        self.reset()
        return False

    def reset(self):
        reset(self.client)
        reset(self.server)

    def close(self):
        for end in (self.client, self.server):
            try:
                end.shutdown(socket.SHUT_RDWR)  # wakes the thread that reads it
            except OSError:
                pass  # closed already
            end.close()


class Proxy:
    """Listens on a port of its own, before the broker at `target`. Set what it is to do at any time."""

    def __init__(self, target):
        self.target = target
        self.chunk = CHUNK        # bytes that are handed on at a time
        self.behind = 0           # bytes that may wait in the network; 0: as the system has it
        self.trickle_s = 0        # wait before each byte that the target sends
        self.reset_at = None      # after so many bytes of one connection, both ways together
        self.silent_at = None     # likewise: nothing passes any more, and nothing ends
        self.next_reset_at = lambda: None
        self.resets = 0
        self.pairs = []
        self.stopped = threading.Event()
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=16)
        self.port = self.listener.getsockname()[1]
        self.address = f"localhost:{self.port}"
        self.thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *why):
        self.stopped.set()
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.cut()
        self.thread.join(20)

    def _serve(self):
        while True:
            try:
                client = self.listener.accept()[0]
            except OSError:
                return
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            try:
                self.pairs.append(self.pair(client))
            except OSError:
                reset(client)  # nobody at the target

    def pair(self, client):
        return Pair(self, client)

    def cut(self):
        """Ends every connection with a FIN; the next ones pass."""
        for pair in self.pairs:
            pair.close()
        self.pairs.clear()

    def silence(self):
        """From now on takes everything of the connections there are, passes and closes nothing."""
        for pair in self.pairs:
            pair.silent = True
