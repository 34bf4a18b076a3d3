#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Memory of one terminal's agent and link, connected to a broker over TLS and idle.

Every page that either process has present counts once: file pages by (file, offset), so a page
of libc that both map is one page, and pages of the broker or of this script are none. Anonymous
pages belong to one process each, for neither forks from the other.
"""
import getpass
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
SETTLE_S = 5  # idle: first timers have run, buffers of the handshake are given back


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
        "[keys]\nagent = agent.pem\nroot = keys/root.bin\n")
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
                return
    finally:
        watchdog.cancel()
    raise RuntimeError(f"{process.args[0]} did not come to \"{words}\":\n{''.join(said[-20:])}")


def stay_idle(process):
    """Returns after a while in which the process did not end."""
    try:
        code = process.wait(SETTLE_S)
    except subprocess.TimeoutExpired:
        return
    raise RuntimeError(f"{process.args[0]} ended with {code}")


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


def measure(directory):
    processes, said = [], []
    try:
        for words, name, *args in (
                ("running", find_broker(), "-c", "mosquitto.conf"),
                ("ready", BIN / "muster-agent", "--config", "agent.conf"),
                ("connected to", BIN / "muster-link", "--config", "link.conf")):
            processes.append(start(directory, name, *args))
            wait_until_said(processes[-1], words, said)
        stay_idle(processes[-1])
        return [pages(process.pid) for process in processes[1:]]
    finally:
        for process in reversed(processes):
            process.terminate()
            process.communicate(timeout=10)


def main():
    with tempfile.TemporaryDirectory(prefix="muster-bench-") as name:
        directory = pathlib.Path(name)
        make_keys(directory)
        (directory / "run").mkdir()
        write_settings(directory, free_port())
        try:
            measured = measure(directory)
        except RuntimeError as error:
            sys.exit(f"bench-memory: {error}")
        except PermissionError as error:
            sys.exit(f"bench-memory: cannot be measured here: {error}")
    print("# agent and link, connected over TLS, idle; every present page once")
    for program, (shared, private) in zip(("agent", "link"), measured):
        print(f"# {program}: {len(shared) * 4} KB of files, {private * 4} KB of its own")
    union = len(measured[0][0] | measured[1][0]) + measured[0][1] + measured[1][1]
    print(f"memory.agent_link_pss_kb {union * PAGE // 1024} kB")


if __name__ == "__main__":
    main()
