# SPDX-License-Identifier: Apache-2.0
"""What is in a spool's file, inflated: by storage/spool_codec.h and storage/spool_slots.h, and with
nothing of Muster's."""
import contextlib
import sqlite3

import zstandard

MAGIC = bytes.fromhex("28b52ffd")
SLOT_HEAD = 30
ZSTD = 1  # the codec


def inflate(body, dictionaries):
    """The frames behind the list of runs, end to end."""
    out = b""
    at = body.find(MAGIC)
    while at >= 0:
        for content in dictionaries:
            known = zstandard.ZstdCompressionDict(content)
            reader = zstandard.ZstdDecompressor(dict_data=known).decompressobj()
            with contextlib.suppress(zstandard.ZstdError):
                out += reader.decompress(body[at:])
                break
        at = body.find(MAGIC, at + 1)
    return out


def slot_bodies(slots):
    """Segments that are not rows yet; what a round before has left is given too."""
    codec, body, left = 0, b"", 0
    for slot in slots:
        length, part = int.from_bytes(slot[26:28], "little"), slot[28]
        if part == 0:
            if body:
                yield codec, body
            codec, body, left = slot[29], b"", length
        body += slot[SLOT_HEAD:SLOT_HEAD + left]
        left -= min(left, len(slot) - SLOT_HEAD)
    if body:
        yield codec, body


def spool_contents(path):
    """All records there are, as they were packed."""
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        dictionaries = [row[0] for row in database.execute("SELECT content FROM dictionary")]
        bodies = list(database.execute("SELECT codec, body FROM segment"))
        bodies += slot_bodies(row[0] for row in database.execute(
            "SELECT body FROM slot ORDER BY slot"))
    return b"\0".join(inflate(body, dictionaries) if codec == ZSTD else body
                      for codec, body in bodies)
