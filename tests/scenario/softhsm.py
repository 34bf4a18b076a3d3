# SPDX-License-Identifier: Apache-2.0
"""PKCS#11 tokens that exist in a folder: SoftHSM2, one token a person."""
import os
import subprocess

LIBRARY = "/usr/lib/softhsm/libsofthsm2.so"


class Tokens:
    def __init__(self, folder):
        self.folder = folder
        (folder / "tokens").mkdir(parents=True)
        config = folder / "softhsm2.conf"
        config.write_text(f"directories.tokendir = {folder}/tokens\nobjectstore.backend = file\n"
                          "log.level = ERROR\n")
        # The library leaks 37 bytes a signature and is gone before the sanitizer looks for whose
        # they are.
        self.env = {"SOFTHSM2_CONF": str(config), "ASAN_OPTIONS": "detect_leaks=0"}

    def add(self, label, pin):
        subprocess.run(["softhsm2-util", "--init-token", "--free", "--label", label, "--so-pin",
                        "so-" + pin, "--pin", pin], check=True, capture_output=True,
                       env={**os.environ, **self.env})
        file = self.folder / f"{label}.pin"
        file.write_text(pin + "\n")
        file.chmod(0o600)

    def key(self, label, name, pin=True):
        """A key's URI, with its PIN in a file."""
        return f"pkcs11:token={label};object={name}" + (
            f"?pin-source=file:{self.folder}/{label}.pin" if pin else "")

    def files(self):
        """The keys; not what a token notes of logins."""
        return {path: path.read_bytes() for path in self.folder.rglob("*.object")
                if path.name != "token.object"}
