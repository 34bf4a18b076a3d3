#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What a change of the big table costs a terminal's line, beside zsync and casync.

sync.py BIN_DIR. musterd, broker, agent and link of a terminal on a metered line; bytes are IP packets
both ways as the link counts them, from the order until the fleet knows that it is done and the line
has been still: announcement, content, report and receipt. Of the manifest's message only the bytes
that are not content are left out; content that it carries inside counts. The loopback's packets are
long: where they are of 1,500 bytes, the 27,878 bytes of the new table are 18 more, and with their
acknowledgements cost up to 1,900 bytes more.
The others' bytes are what their HTTP client and its server exchange, without TCP and IP, TLS, news
that there is something new, and word that it has come: each would cost them more in use. casync's
are those of a store with many small chunks, as it makes it without options; neither is given
anything but the version before as a seed, nor kept from reusing its connection.
"""
import collections
import hashlib
import http.server
import pathlib
import random
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/scenario"))

from broker import Broker  # noqa: E402
from fleet_side import FleetSide  # noqa: E402
from pki import Pki  # noqa: E402
from processes import Processes, wait_for  # noqa: E402
from terminal import Terminal  # noqa: E402

TABLE = ROOT / "packaging/sample/tables/bin-world.tsv"
DEVICE = "term-0001"
NAME = "bin-world.tsv"
STILL_S = 6  # without a byte: the exchange is over (the link counts for the agent every 5 s)
FIVE = 5  # documents that a terminal holds, of which one is changed
LAYERS = ("payload", "mqtt", "tls", "tcpip")
UPLINK = "linger = 50ms\nquiet = 50ms\nresend = 30s"


# ---- the changes ----

def change_row(line, mark):
    """Another issuer in the same row."""
    cells = line.split(b"\t")
    cells[-1] = b"issuer%04d\n" % mark
    return b"\t".join(cells)


def versions(table):
    """(name, content), each following the one before."""
    lines = table.splitlines(keepends=True)
    draw = random.Random(5)
    yield "new_table", table
    middle = len(lines) // 2
    lines[middle] = change_row(lines[middle], 1)
    yield "changed_row", b"".join(lines)
    third = len(lines) // 3
    lines.insert(third, change_row(lines[third], 2))
    yield "inserted_row", b"".join(lines)
    for at in sorted(draw.sample(range(1, len(lines)), len(lines) // 100)):
        lines[at] = change_row(lines[at], at)
    yield "one_percent", b"".join(lines)


# ---- this system ----

def layers(terminal):
    """Bytes that have gone over the line, both ways, as each layer counts them."""
    traffic = terminal.status()["uplink"]["traffic"]
    return {layer: sum((traffic[way] or {}).get(layer, 0) for way in ("up", "down"))
            for layer in LAYERS}


def line_bytes(terminal):
    return layers(terminal)["tcpip"]


def packets(lines):
    """What the broker had from the terminal and sent to it: "up: 2 PUBACK, 1 PUBLISH 345 B"."""
    said = []
    for way, form in (("up", f"Received ([A-Z]+) from {DEVICE}"),
                      ("down", f"Sending ([A-Z]+) to {DEVICE}")):
        count, payload = collections.Counter(), collections.Counter()
        for line in lines:
            found = re.search(form, line)
            if found:
                count[found[1]] += 1
                payload[found[1]] += sum(map(int, re.findall(r"\((\d+) bytes\)", line)))
        said.append(f"{way}: " + ", ".join(
            f"{count[kind]} {kind}" + (f" {payload[kind]} B" if payload[kind] else "")
            for kind in sorted(count)))
    return "; ".join(said)


def still_bytes(terminal):
    """What the line has cost, once nothing has moved on it for a while."""
    seen, since = line_bytes(terminal), time.monotonic()

    def still():
        nonlocal seen, since
        now = line_bytes(terminal)
        if now != seen:
            seen, since = now, time.monotonic()
        return time.monotonic() - since >= STILL_S
    wait_for(still, 60, "a line that is still")
    return seen


def manifest_only(fleet, terminal):
    """Bytes of the newest manifest's envelope, less the content that it carries inside."""
    envelope, = fleet.query("SELECT envelope FROM manifest ORDER BY rowid DESC LIMIT 1")[0]
    path = terminal.folder / "manifest.bin"
    path.write_bytes(envelope)
    said = subprocess.run([terminal.bin / "muster", "decode", "--as", "manifest", "--json", path],
                          capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stderr
    inside = sum(len(found) // 2 for found in re.findall(r'"data": *"([0-9a-f]*)"', said.stdout))
    return len(envelope) - inside, inside


class Line:
    """A fleet and one terminal on a metered line."""

    def __init__(self, bin_dir, processes, folder):
        pki = Pki(folder / "pki")
        (folder / "broker").mkdir()
        self.broker = Broker(processes, pki, folder / "broker").start()
        self.fleet = FleetSide(bin_dir, processes, folder / "fleet")
        self.fleet.start(self.broker, pki)
        self.terminal = Terminal(bin_dir, processes, folder / "term", DEVICE, self.fleet.root,
                                 grace="24h", uplink=UPLINK, probe="every = 24h")
        self.fleet.enrol(self.terminal)
        self.terminal.start_agent()
        self.terminal.start_link(self.broker, pki, extra="keepalive = 40s")
        self.terminal.wait_connected()

    def order(self, name):
        self.fleet.ctl_ok("assign", name, "--device", DEVICE, "--mode", "repair")

    def holds(self, content):
        held = self.terminal.registry / "current" / NAME
        return held.exists() and held.read_bytes() == content

    def push(self, change, content):
        """Gives the terminal another version of the table. Returns what that cost its line without
        the manifest, and the manifest."""
        self.fleet.publish(NAME, content)
        still_bytes(self.terminal)
        before, logged = layers(self.terminal), len(self.broker.process.lines)
        self.order(NAME)
        wait_for(lambda: self.holds(content), 60, f"{change} is held")
        self.fleet.wait_converged()
        still_bytes(self.terminal)
        spent = {layer: bytes_now - before[layer]
                 for layer, bytes_now in layers(self.terminal).items()}
        manifest, inside = manifest_only(self.fleet, self.terminal)
        print(f"# {change}: {spent['tcpip']} B on the line, {manifest} of them the manifest's, which "
              f"carries {inside} B of content")
        print(f"# {change}: {spent['payload']} B of messages, {spent['mqtt'] - spent['payload']} of "
              f"MQTT, {spent['tls'] - spent['mqtt']} of TLS, {spent['tcpip'] - spent['tls']} of "
              f"TCP and IP")
        print(f"# {change}: {packets(self.broker.process.lines[logged:])}")
        return spent["tcpip"] - manifest, manifest


def measure(bin_dir, processes, folder, table):
    line = Line(bin_dir, processes, folder)
    for change, content in versions(table):
        spent, _ = line.push(change, content)
        print(f"sync.{change}.bytes {spent} B", flush=True)
    for n in range(FIVE - 1):
        line.fleet.publish(f"table-{n}.tsv", b"prefix\tbank\n4%d\tbank\n" % n)
        line.order(f"table-{n}.tsv")
    line.fleet.wait_converged()
    lines = content.splitlines(keepends=True)
    lines[FIVE] = change_row(lines[FIVE], FIVE)
    spent, manifest = line.push("one of five documents", b"".join(lines))
    print(f"sync.one_of_five.bytes {spent} B")
    print(f"sync.one_of_five.manifest_bytes {manifest} B", flush=True)


# ---- the others ----

class Counting(http.server.SimpleHTTPRequestHandler):
    """Serves files, also parts of them, and counts what it takes and gives."""
    protocol_version = "HTTP/1.1"
    total = 0

    def parts(self, size):
        asked = self.headers.get("Range", "")
        if not asked.startswith("bytes="):
            return None
        found = []
        for part in asked[6:].split(","):
            first, last = part.strip().split("-")
            found.append((int(first), min(int(last) if last else size - 1, size - 1)))
        return found

    def do_GET(self):
        Counting.total += len(self.raw_requestline) + len(bytes(self.headers))
        path = pathlib.Path(self.translate_path(self.path))
        content = path.read_bytes() if path.is_file() else b""
        head = [("Content-Type", "application/octet-stream")]
        parts = self.parts(len(content))
        if not path.is_file():
            status, body = 404, b""
        elif parts is None:
            status, body = 200, content
        elif len(parts) == 1:
            first, last = parts[0]
            status, body = 206, content[first:last + 1]
            head.append(("Content-Range", f"bytes {first}-{last}/{len(content)}"))
        else:
            status, body = 206, b""
            for first, last in parts:
                body += (f"\r\n--part\r\nContent-Range: bytes {first}-{last}/{len(content)}\r\n\r\n"
                         .encode() + content[first:last + 1])
            body += b"\r\n--part--\r\n"
            head = [("Content-Type", "multipart/byteranges; boundary=part")]
        head.append(("Content-Length", str(len(body))))
        Counting.total += 17 + sum(len(name) + len(value) + 4 for name, value in head) + len(body)
        self.send_response_only(status)
        for name, value in head:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


def tool(*argv, cwd):
    done = subprocess.run([str(arg) for arg in argv], cwd=cwd, capture_output=True, text=True,
                          timeout=120, check=False)
    if done.returncode != 0:
        sys.exit(f"bench-sync: {argv[0]}: {done.stderr[-400:]}")


def with_zsync(served, here, address, before, after):
    (served / "table").write_bytes(after)
    tool("zsyncmake", "-u", "table", "-o", "table.zsync", "table", cwd=served)
    (here / "old").write_bytes(before)
    tool("zsync", "-q", "-i", "old", "-o", "new", f"{address}/table.zsync", cwd=here)
    return (here / "new").read_bytes() == after


def with_casync(served, here, address, before, after):
    (served / "table").write_bytes(after)
    tool("casync", "make", "--store=default.castr", "table.caibx", "table", cwd=served)
    (here / "old").write_bytes(before)
    tool("casync", "make", "--store=seed.castr", "seed.caibx", "old", cwd=here)
    tool("casync", "extract", f"--store={address}/default.castr", "--seed=old",
         f"{address}/table.caibx", "new", cwd=here)
    return (here / "new").read_bytes() == after


def measure_others(folder, table):
    served = folder / "served"
    served.mkdir()

    def handler(*args):
        return Counting(*args, directory=str(served))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    for name, way in (("zsync", with_zsync), ("casync", with_casync)):
        if shutil.which(name) is None:
            print(f"# {name} is not installed: packaging/setup bench")
            continue
        before = b"\n"
        for change, after in versions(table):
            with tempfile.TemporaryDirectory(dir=folder) as here:
                Counting.total = 0
                if not way(served, pathlib.Path(here), address, before, after):
                    sys.exit(f"bench-sync: {name} did not make {change}")
            print(f"sync.{change}.{name}_bytes {Counting.total} B", flush=True)
            before = after
    server.shutdown()


def main(bin_dir):
    table = TABLE.read_bytes()
    print(f"# {TABLE.name}: {len(table)} bytes, {hashlib.sha256(table).hexdigest()[:16]}")
    processes = Processes()
    with tempfile.TemporaryDirectory(prefix="muster-sync-") as made:
        folder = pathlib.Path(made)
        try:
            measure(bin_dir, processes, folder, table)
        finally:
            processes.end()
        subprocess.run([bin_dir / "sync-verify", TABLE], check=True)
        measure_others(folder, table)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
