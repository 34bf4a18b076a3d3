# SPDX-License-Identifier: Apache-2.0
"""Looks for secrets in the ways that programs write them down: as they are, in hexadecimal in one
piece or in groups, as base64."""
import base64
import contextlib
import os
import pathlib
import sqlite3

from spool_view import spool_contents


def in_groups(digits, size, between):
    return between.join(digits[i:i + size] for i in range(0, len(digits), size))


def forms_of(secret):
    """Of a key, or a part of one: in base64 it stands at one of three places of a longer text."""
    digits = secret.hex()
    forms = [secret]
    for text in (digits, digits.upper()):
        forms += [text.encode(), *(in_groups(text, size, between).encode()
                                   for size in (2, 4, 8) for between in (" ", ":", "-"))]
        forms.append(", ".join("0x" + text[i:i + 2] for i in range(0, len(text), 2)).encode())
    for at in range(3):
        whole = base64.b64encode(bytes(at) + secret)[(0, 2, 3)[at]:]
        kept = whole.rstrip(b"=")[:-1]  # what follows may change the last one
        forms += [kept, kept.replace(b"+", b"-").replace(b"/", b"_")]
    return forms


class Scan:
    def __init__(self, keys, blocks):
        """Keys in each form, in any 8 bytes that are one half of a TDES key; blocks are text already:
        as they are, their middle, as base64."""
        self.forms = [form for key in keys for at in range(0, len(key), 8)
                      for form in forms_of(key[at:at + 8])]
        for block in blocks:
            self.forms += [block, block[16:48], *forms_of(block)[-6:]]

    def finds(self, content):
        return next((form for form in self.forms if form in content), None)

    def check_itself(self):
        """Each form is found where it is."""
        for form in self.forms:
            assert self.finds(b"before " + form + b" behind") is not None, form
        assert self.finds(b"nothing of it") is None


def contents_of(path):
    """A file as it is; of a database each value whole as well, which pages may part, and of a spool
    what its segments inflate to."""
    contents = [path.read_bytes()]
    if path.name == "spool.db":
        contents.append(spool_contents(path))
    if path.suffix == ".db":
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
            for table, in database.execute(
                    "SELECT name FROM sqlite_schema WHERE type = 'table' AND sql IS NOT NULL"):
                for row in database.execute(f'SELECT * FROM "{table}"'):  # a name of its own schema
                    contents += [value if isinstance(value, bytes) else str(value).encode()
                                 for value in row if value is not None]
    return b"\0".join(contents)


class LeftBehind:
    """What came into the folders for what is temporary."""
    FOLDERS = ("/tmp", "/var/tmp", "/dev/shm")

    def __init__(self, *own):
        self.before = set(self.entries()) | {str(path) for path in own}

    def entries(self):
        for folder in filter(os.path.isdir, self.FOLDERS):
            for name in os.listdir(folder):
                yield os.path.join(folder, name)

    def files(self):
        """Others work in these folders too, and take away what is theirs: os.walk minds that."""
        for entry in set(self.entries()) - self.before:
            found = [entry] + [os.path.join(folder, name) for folder, _, names in os.walk(entry)
                               for name in names]
            yield from (pathlib.Path(path) for path in found
                        if os.path.isfile(path) and not os.path.islink(path))

    def finds(self, scan):
        """What is gone meanwhile is nobody's."""
        for path in self.files():
            with contextlib.suppress(OSError):
                if scan.finds(path.read_bytes()) is not None:
                    return path
        return None
