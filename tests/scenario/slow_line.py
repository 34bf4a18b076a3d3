# SPDX-License-Identifier: Apache-2.0
"""A line of so many bytes a second each way, that breaks again and again."""
import threading
import time

from proxy import Pair, Proxy

SLICE_S = 0.05   # a line hands on a little at a time
BEHIND = 16384   # bytes that may wait in the network behind it


class SlowPair(Pair):
    def __init__(self, proxy, client):
        self.down = 0  # bytes that this connection has carried to the terminal
        super().__init__(proxy, client)

    def _pass(self, sink, data):
        down = sink is self.client
        if not self.proxy.carry(len(data), down):
            return False
        try:
            sink.sendall(data)
        finally:
            with self.lock:
                self.down += len(data) if down else 0
        if self.proxy.break_bytes and self.down >= self.proxy.break_bytes:
            self.proxy.break_line()
        return True


class SlowLine(Proxy):
    """Breaks after each `break_bytes` that a connection has carried down, or each `break_s`."""

    def __init__(self, target, bytes_s, break_bytes=0, break_s=0):
        super().__init__(target)
        self.bytes_s, self.break_bytes, self.break_s = bytes_s, break_bytes, break_s
        self.behind = BEHIND
        self.chunk = max(256, int(bytes_s * SLICE_S))
        self.carried = {True: 0, False: 0}  # down, up
        self.free_at = {True: 0.0, False: 0.0}
        self.breaks = 0
        self.lock = threading.Lock()
        self.breaker = threading.Thread(target=self._break_by_time, daemon=True)

    def __enter__(self):
        self.breaker.start()
        return super().__enter__()

    def pair(self, client):
        return SlowPair(self, client)

    def carry(self, size, down):
        """Waits as long as the line takes for it; false: the test is over."""
        with self.lock:
            now = time.monotonic()
            self.free_at[down] = max(self.free_at[down], now) + size / self.bytes_s
            wait_s = self.free_at[down] - now
            self.carried[down] += size
        return not self.stopped.wait(wait_s)

    def break_line(self):
        """What is on its way is lost; the next connection passes."""
        with self.lock:
            self.breaks += 1
            pairs, self.pairs = self.pairs, []
        for pair in pairs:
            pair.reset()

    def _break_by_time(self):
        while self.break_s and not self.stopped.wait(self.break_s):
            self.break_line()
