#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Memory of one terminal's agent and link, connected to a broker over TLS: idle, and with a backlog.

Two figures, for there are two questions. PSS, as the kernel counts it (proc(5), smaps_rollup): what
the two add to a machine where other programs map the same libraries; a page that n processes map is
1/n of a page for each. Alone: what the two would hold if no other process mapped any of it; every
page that either has present counts once, libc included.
"""
import getpass
import json
import os
import pathlib
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading

BIN = pathlib.Path(__file__).resolve().parent
DEVICE = "till-01"
PAGE = 4096
PRESENT = 1 << 63
FILE_PAGE = 1 << 61  # Documentation/admin-guide/mm/pagemap.rst
DEADLINE_S = 30
SAMPLES, SAMPLE_EVERY_S = 12, 5
BACKLOG = 1_000_000
USED = 25_000  # beyond [spool] key_window
SEED = 20260101
WORLD = 20_000  # different results; they come again under new keys
FILL_S = 600


def openssl(directory, *args):
    subprocess.run(["openssl", *args], cwd=directory, check=True, capture_output=True)


def certificate(directory, name, common_name, extensions):
    """A P-256 key and a certificate of the throw-away CA."""
    (directory / f"{name}.ext").write_text(extensions)
    openssl(directory, "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={common_name}")
    openssl(directory, "x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key",
            "-CAcreateserial", "-days", "2", "-out", f"{name}.pem", "-extfile", f"{name}.ext")


def make_keys(directory):
    openssl(directory, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
            "-nodes", "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=bench ca")
    certificate(directory, "server", "localhost", "subjectAltName=DNS:localhost,IP:127.0.0.1\n")
    certificate(directory, "device", DEVICE, "extendedKeyUsage=clientAuth\n")
    openssl(directory, "genpkey", "-algorithm", "ed25519", "-out", "agent.pem")
    for key in directory.glob("*.key"):
        key.chmod(0o600)
    (directory / "agent.pem").chmod(0o600)
    subprocess.run([BIN / "musterctl", "keys", "make", directory / "keys"], check=True,
                   capture_output=True)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def write_settings(directory, port):
    (directory / "mosquitto.conf").write_text(
        f"listener {port} 127.0.0.1\ncafile ca.pem\ncertfile server.pem\nkeyfile server.key\n"
        "require_certificate true\nuse_identity_as_username true\nuse_username_as_clientid true\n"
        "allow_anonymous false\npersistence false\n"
        f"user {getpass.getuser()}\n")
    (directory / "agent.conf").write_text(
        f"[device]\nid = {DEVICE}\nserial = SN-1\nmodel = P1\n[paths]\nstate = state\nrun = run\n"
        "[keys]\nagent = agent.pem\nroot = keys/root.bin\n[client]\nmax = 64\n"
        "[spool]\nquota = 2048M\n")
    (directory / "link.conf").write_text(
        f"[device]\nid = {DEVICE}\n[broker]\nservers = 127.0.0.1:{port}\n"
        "[tls]\nca = ca.pem\ncertificate = device.pem\nkey = device.key\n"
        "[agent]\nsocket = run/link.sock\n")


def start(directory, name, *args):
    """A program whose words, one a line, are what it says of itself."""
    return subprocess.Popen([name, *args], cwd=directory, text=True, stdout=subprocess.DEVNULL,
                            stderr=subprocess.PIPE)


def wait_until_said(process, words, said):
    """Reads on until `words` come; a watchdog ends a process that does not say them in time."""
    watchdog = threading.Timer(DEADLINE_S, process.kill)
    watchdog.start()
    try:
        for line in process.stderr:
            said.append(line)
            if words in line:
                # Whatever else it says is read too: a full pipe would hold it up.
                threading.Thread(target=process.stderr.read, daemon=True).start()
                return
    finally:
        watchdog.cancel()
    raise RuntimeError(f"{process.args[0]} did not come to \"{words}\":\n{''.join(said[-20:])}")


def pages(pid):
    """(file pages as a set of identities, count of anonymous pages)."""
    shared, private = set(), 0
    with open(f"/proc/{pid}/maps", encoding="utf-8") as maps, \
            open(f"/proc/{pid}/pagemap", "rb") as pagemap:
        for line in maps:
            span, _, offset, device, inode = line.split()[:5]
            first, end = (int(part, 16) for part in span.split("-"))
            if "[v" in line:  # vdso, vvar, vsyscall: the kernel's own
                continue
            pagemap.seek(first // PAGE * 8)
            data = pagemap.read((end - first) // PAGE * 8)
            for index, (entry,) in enumerate(struct.iter_unpack("Q", data)):
                if not entry & PRESENT:
                    continue
                if entry & FILE_PAGE:
                    shared.add((device, inode, int(offset, 16) + index * PAGE))
                else:
                    private += 1
    return shared, private


def find_broker():
    # Debian keeps mosquitto where only root's PATH looks.
    return shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin") or \
        sys.exit("bench-memory: mosquitto is not installed")


def start_link(directory, processes):
    said = []
    processes["link"] = start(directory, BIN / "muster-link", "--config", "link.conf")
    wait_until_said(processes["link"], "connected to", said)


def end(process):
    process.terminate()
    process.wait(timeout=30)


def fill(directory, count):
    """Results of one lane, as fast as the agent answers, until it has taken `count` in all."""
    subprocess.run([BIN / "peers-records", "--out", "records", "--count", str(WORLD),
                    "--seed", str(SEED)], cwd=directory, check=True, timeout=FILL_S)
    subprocess.run([BIN / "peers-muster", "--socket", "run/client.sock", "--records", "records",
                    "--marks", "marks", "--count", str(count), "--clients", "64"], cwd=directory,
                   check=True, timeout=FILL_S)


def waiting(directory):
    told = subprocess.run([BIN / "muster", "status", "-o", "json", "--socket", "run/client.sock"],
                          cwd=directory, check=True, capture_output=True, timeout=DEADLINE_S)
    return int(json.loads(told.stdout)["health"]["spool_records"])


def pss_kb(pid):
    with open(f"/proc/{pid}/smaps_rollup", encoding="utf-8") as rollup:
        return next(int(line.split()[1]) for line in rollup if line.startswith("Pss:"))


def both(processes):
    """(PSS, alone) of agent and link together, in kB."""
    pids = [processes[name].pid for name in ("agent", "link")]
    files, private = zip(*map(pages, pids))
    return sum(map(pss_kb, pids)), (len(files[0] | files[1]) + sum(private)) * PAGE // 1024


def settled(processes):
    """The least within a minute: what was taken for a burst is given back when it has been quiet for
    some seconds, and without a fleet that answers there is a burst with every resend."""
    samples = []
    for _ in range(SAMPLES):
        try:
            code = processes["link"].wait(SAMPLE_EVERY_S)
        except subprocess.TimeoutExpired:
            samples.append(both(processes))
        else:
            raise RuntimeError(f"the link ended with {code}")
    return min(samples)


def measure(directory, backlog):
    """[(what, (PSS, alone))]: just started, in use, with the backlog. The link is away while the
    agent takes records, so that it fills as it does while the broker is down. "In use" has taken as
    many results as it remembers keys of, and sent some: what only history adds is in it."""
    processes, said = {}, []
    try:
        processes["broker"] = start(directory, find_broker(), "-c", "mosquitto.conf")
        wait_until_said(processes["broker"], "running", said)
        processes["agent"] = start(directory, BIN / "muster-agent", "--config", "agent.conf")
        wait_until_said(processes["agent"], "ready", said)
        start_link(directory, processes)
        measured = [("just started", settled(processes))]
        for count in (USED, backlog):
            end(processes.pop("link"))
            fill(directory, count)
            if waiting(directory) < count:
                raise RuntimeError(f"{waiting(directory)} records wait where {count} should")
            start_link(directory, processes)
            measured.append((f"{count} results waiting, nobody collects", settled(processes)))
        return measured
    finally:
        for process in reversed(list(processes.values())):
            end(process)


def main():
    backlog = int(sys.argv[1]) if len(sys.argv) > 1 else BACKLOG
    with tempfile.TemporaryDirectory(prefix="muster-bench-") as name:
        directory = pathlib.Path(name)
        make_keys(directory)
        (directory / "run").mkdir()
        write_settings(directory, free_port())
        try:
            measured = measure(directory, backlog)
        except RuntimeError as error:
            sys.exit(f"bench-memory: {error}")
        except PermissionError as error:
            sys.exit(f"bench-memory: cannot be measured here: {error}")
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            sys.exit(f"bench-memory: {error}: {(error.stderr or b'')[-500:]!r}")
    print("# agent and link, connected over TLS:", "; ".join(what for what, _ in measured))
    for name, (_, (pss, alone)) in zip(("fresh", "agent_link", "backlog_1m"), measured):
        print(f"memory.{name}_pss_kb {pss} kB")
        print(f"memory.{name}_alone_kb {alone} kB")
    print(f"memory.backlog_1m_ratio {measured[2][1][0] / measured[1][1][0]:.3f} ratio")
    print(f"memory.backlog_1m_alone_ratio {measured[2][1][1] / measured[1][1][1]:.3f} ratio")


if __name__ == "__main__":
    main()
