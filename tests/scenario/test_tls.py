# SPDX-License-Identifier: Apache-2.0
"""musterctl from elsewhere: with a token, through a server that does TLS before musterd."""
import contextlib
import socket
import ssl
import threading

import pytest

from pki import Pki
from processes import free_port


class Front:
    """TLS outside, musterd's TCP listener inside; what people put there is nginx, HAProxy or the like."""

    def __init__(self, identity, target):
        self.target = target
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(identity.certificate, identity.key)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.threads = []
        self.start(self.accept)

    def start(self, work, *args):
        self.threads.append(threading.Thread(target=work, args=args, daemon=True))
        self.threads[-1].start()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                self.start(self.serve, self.listener.accept()[0])

    def serve(self, plain):
        with contextlib.suppress(OSError), plain:
            with self.context.wrap_socket(plain, server_side=True) as outside, \
                    socket.create_connection(("127.0.0.1", self.target)) as inside:
                back = threading.Thread(target=self.pump, args=(inside, outside), daemon=True)
                back.start()
                self.pump(outside, inside)
                back.join()

    @staticmethod
    def pump(source, sink):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for thread in self.threads:
            thread.join(10)


@pytest.fixture
def ops(ops):
    ops.add_device("term-1", "11111111")
    return ops


@pytest.fixture
def front(ops, pki):
    front = Front(pki.server("DNS:localhost"), ops.port)
    yield front
    front.close()


@pytest.fixture
def token(ops):
    file = ops.folder / "desk.token"
    file.write_text(ops.json("token", "add", "desk", "--role", "operator")["token"])
    return ("--token-file", file)


def test_ops_come_from_elsewhere(ops, front, token, pki):
    url = f"https://localhost:{front.port}"
    held = ("--server", url, "--ca", pki.ca, *token)
    assert [device["id"] for device in ops.json("get", "devices", *held)["devices"]] == ["term-1"]
    ops.ctl_ok("device", "label", "lane=express", "--device", "term-1", *held)
    assert "lane" in ops.ctl_ok("changes", "--server", url + "/", "--ca", pki.ca, *token)
    assert "musterctl token add" in ops.fails(3, "get", "devices", "--server", url, "--ca", pki.ca)
    ops.process.stop()
    assert "does not answer" in ops.fails(4, "get", "devices", *held)


def test_nobody_else_is_given_the_token(ops, front, token, pki, run_dir):
    url = f"https://localhost:{front.port}"
    other = Pki(run_dir / "other")
    for options in ((), ("--ca", other.ca)):  # the system's, another one
        assert "--ca FILE names the CA" in ops.fails(4, "get", "devices", "--server", url, *options, *token)
    # The certificate is localhost's.
    said = ops.fails(4, "get", "devices", "--server", f"https://127.0.0.1:{front.port}", "--ca", pki.ca, *token)
    assert "is not trusted" in said
    assert "No such file" in ops.fails(2, "get", "devices", "--server", url, "--ca", "nowhere.pem", *token)
    port = free_port()
    for wrong in (f"http://fleet.example:{port}", f"http://127.0.0.1:{port}@fleet.example", "https://",
                  f"https://me@localhost:{port}", "https://localhost?x", "ftp://localhost"):
        assert "https://HOST" in ops.fails(2, "get", "devices", "--server", wrong, *token), wrong
