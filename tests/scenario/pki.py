# SPDX-License-Identifier: Apache-2.0
"""A throw-away certificate authority, made with the openssl command."""
import os
import subprocess

NEW_KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]


class Identity:
    def __init__(self, folder, name):
        self.name = name
        self.certificate = folder / f"{name}.pem"
        self.key = folder / f"{name}.key"


class Pki:
    def __init__(self, folder):
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.ca = folder / "ca.pem"
        self.issued = {}
        self._openssl("req", "-x509", *NEW_KEY, "-days", "30", "-subj", "/CN=throw-away CA",
                      "-addext", "keyUsage=critical,keyCertSign,cRLSign",
                      "-keyout", folder / "ca.key", "-out", self.ca)

    @staticmethod
    def _openssl(*args, env=None):
        subprocess.run(["openssl", *[str(arg) for arg in args]], check=True, capture_output=True,
                       env={**os.environ, **(env or {})})

    def _issue(self, name, extensions, env=None):
        identity = Identity(self.folder, name)
        extras = [part for text in extensions for part in ("-addext", text)]
        self._openssl("req", "-x509", *NEW_KEY, "-days", "30", "-subj", f"/CN={name}",
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

    def server(self, names="DNS:localhost,IP:127.0.0.1,IP:::1", env=None):
        key = f"server:{names}:{env}"
        if key not in self.issued:
            self.issued[key] = self._issue(
                f"server-{len(self.issued)}",
                ["extendedKeyUsage=serverAuth", f"subjectAltName={names}"], env)
        return self.issued[key]
