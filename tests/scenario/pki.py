# SPDX-License-Identifier: Apache-2.0
"""A throw-away certificate authority, made with the openssl command."""
import collections
import os
import re
import subprocess

NEW_KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]


Element = collections.namedtuple("Element", "start end")  # of the content, in DER


def _element(der, at):
    length, start = der[at + 1], at + 2
    if length & 0x80:
        start += length & 0x7F
        length = int.from_bytes(der[at + 2:start], "big")
    return Element(start, start + length)


def _length(count):
    if count < 0x80:
        return bytes([count])
    size = (count.bit_length() + 7) // 8
    return bytes([0x80 | size]) + count.to_bytes(size, "big")


def _sequence(content):
    return b"\x30" + _length(len(content)) + content


class Identity:
    def __init__(self, folder, name):
        self.name = name
        self.certificate = folder / f"{name}.pem"
        self.key = folder / f"{name}.key"


class Pki:
    def __init__(self, folder, days=30):
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.ca = folder / "ca.pem"
        self.issued = {}
        self._openssl("req", "-x509", *NEW_KEY, "-days", days, "-subj", "/CN=throw-away CA",
                      "-addext", "keyUsage=critical,keyCertSign,cRLSign",
                      "-keyout", folder / "ca.key", "-out", self.ca)

    @staticmethod
    def _openssl(*args, env=None):
        subprocess.run(["openssl", *[str(arg) for arg in args]], check=True, capture_output=True,
                       env={**os.environ, **(env or {})})

    def _issue(self, name, extensions, env=None, subject=None):
        identity = Identity(self.folder, name)
        extras = [part for text in extensions for part in ("-addext", text)]
        self._openssl("req", "-x509", *NEW_KEY, "-days", "30", "-subj", f"/CN={subject or name}",
                      "-CA", self.ca, "-CAkey", self.folder / "ca.key",
                      "-addext", "basicConstraints=critical,CA:FALSE", *extras,
                      "-keyout", identity.key, "-out", identity.certificate, env=env)
        identity.key.chmod(0o600)
        return identity

    def client(self, name):
        """A device (its id is the CN), or an operator's program."""
        if name not in self.issued:
            self.issued[name] = self._issue(name, ["extendedKeyUsage=clientAuth"])
        return self.issued[name]

    def renewed(self, name):
        """Another certificate for the same key."""
        old, new = self.client(name), Identity(self.folder, f"{name}-renewed")
        self._openssl("req", "-x509", "-key", old.key, "-days", "60", "-subj", f"/CN={name}",
                      "-CA", self.ca, "-CAkey", self.folder / "ca.key",
                      "-addext", "basicConstraints=critical,CA:FALSE",
                      "-addext", "extendedKeyUsage=clientAuth", "-out", new.certificate)
        new.key = old.key
        return new

    def sealing(self, request, name):
        """The certificate of a device's sealing key, as its request asks for it."""
        certificate = self.folder / f"{name}.sealing.pem"
        self._openssl("x509", "-req", "-in", request, "-CA", self.ca, "-CAkey",
                      self.folder / "ca.key", "-days", "30", "-copy_extensions", "copy",
                      "-out", certificate)
        return certificate

    def named(self, common_name, names):
        """A broker with a common name of its own choice."""
        return self._issue(f"named-{len(self.issued)}",
                           ["extendedKeyUsage=serverAuth", f"subjectAltName={names}"],
                           subject=common_name)

    def server(self, names="DNS:localhost,IP:127.0.0.1,IP:::1", env=None):
        key = f"server:{names}:{env}"
        if key not in self.issued:
            self.issued[key] = self._issue(
                f"server-{len(self.issued)}",
                ["extendedKeyUsage=serverAuth", f"subjectAltName={names}"], env)
        return self.issued[key]

    def forged(self, identity, *changes):
        """A copy of `identity` with bytes of its certificate changed, and signed again by the CA:
        for names and dates that the openssl command does not make. Lengths must stay."""
        der = subprocess.run(["openssl", "x509", "-in", identity.certificate, "-outform", "DER"],
                             check=True, capture_output=True).stdout
        body = _element(der, 0)
        signed = _element(der, body.start)
        algorithm = _element(der, signed.end)
        content = der[body.start:signed.end]
        for old, new in changes:
            assert len(old) == len(new) and content.count(old) >= 1, (old, new)
            content = content.replace(old, new)
        made = Identity(self.folder, f"forged-{len(self.issued)}")
        self.issued[made.name] = made
        (self.folder / "signed").write_bytes(content)
        signature = subprocess.run(
            ["openssl", "dgst", "-sha256", "-sign", self.folder / "ca.key", self.folder / "signed"],
            check=True, capture_output=True).stdout
        whole = _sequence(content + der[signed.end:algorithm.end] + b"\x03" +
                          _length(len(signature) + 1) + b"\0" + signature)
        subprocess.run(["openssl", "x509", "-inform", "DER", "-out", made.certificate],
                       input=whole, check=True, capture_output=True)
        made.key.write_bytes(identity.key.read_bytes())
        made.key.chmod(0o600)
        return made

    def dated(self, identity, first, last):
        """The same, valid from `first` to `last`: "YYMMDDHHMMSSZ"."""
        der = subprocess.run(["openssl", "x509", "-in", identity.certificate, "-outform", "DER"],
                             check=True, capture_output=True).stdout
        dates = re.findall(rb"\x17\x0d(\d{12}Z)", der)
        assert len(dates) == 2, dates
        return self.forged(identity, *zip(dates, (first.encode(), last.encode())))
