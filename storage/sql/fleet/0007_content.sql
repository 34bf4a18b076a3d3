-- SPDX-License-Identifier: Apache-2.0
-- Content lies last in its row: SQLite follows a long value's pages to whatever comes after it, so
-- every look at a mark read all content. And deltas that lead a device nowhere.

CREATE TABLE new_blob (
    id INTEGER PRIMARY KEY,
    sha256 BLOB NOT NULL UNIQUE CHECK (length(sha256) = 32),
    stored_ms INTEGER NOT NULL,
    retained INTEGER NOT NULL DEFAULT 0,     -- given to the broker to keep, and not taken back since
    unwanted_ms INTEGER NOT NULL DEFAULT 0,  -- since when no manifest names it; 0: one does, or it
                                             -- was never given
    content BLOB NOT NULL
) STRICT;
INSERT INTO new_blob SELECT id, sha256, stored_ms, retained, unwanted_ms, content FROM blob;

CREATE TABLE new_encoding (
    document INTEGER NOT NULL REFERENCES document (id),
    blob INTEGER NOT NULL REFERENCES new_blob (id),
    coding INTEGER NOT NULL,
    base BLOB NOT NULL DEFAULT x'',          -- delta: hash of the content it starts from
    piece_bytes INTEGER NOT NULL DEFAULT 0,  -- not 0: the blob lists pieces of so many bytes
    pieces_size INTEGER NOT NULL DEFAULT 0,  -- bytes of all of them together
    PRIMARY KEY (document, blob)
) STRICT, WITHOUT ROWID;
INSERT INTO new_encoding SELECT document, blob, coding, base, piece_bytes, pieces_size
    FROM encoding;

-- Pieces of a list, so that nobody else has to read it. A piece may be in several lists.
CREATE TABLE new_piece (
    list INTEGER NOT NULL REFERENCES new_blob (id),
    number INTEGER NOT NULL,                 -- from 0
    blob INTEGER NOT NULL REFERENCES new_blob (id),
    PRIMARY KEY (list, number)
) STRICT, WITHOUT ROWID;
INSERT INTO new_piece SELECT list, number, blob FROM piece;

-- The blobs that a device's newest manifest names and that travel on topics of their own; the
-- pieces of a list are not named again, nor is what the manifest carries itself.
CREATE TABLE new_manifest_blob (
    device INTEGER NOT NULL REFERENCES device (id),
    blob INTEGER NOT NULL REFERENCES new_blob (id),
    PRIMARY KEY (device, blob)
) STRICT, WITHOUT ROWID;
INSERT INTO new_manifest_blob SELECT device, blob FROM manifest_blob;

DROP TABLE manifest_blob;
DROP TABLE piece;
DROP TABLE encoding;
DROP TABLE blob;
ALTER TABLE new_blob RENAME TO blob;
ALTER TABLE new_encoding RENAME TO encoding;
ALTER TABLE new_piece RENAME TO piece;
ALTER TABLE new_manifest_blob RENAME TO manifest_blob;
CREATE INDEX encoding_blob ON encoding (blob);
CREATE INDEX piece_blob ON piece (blob);
CREATE INDEX manifest_blob_blob ON manifest_blob (blob);
CREATE INDEX blob_unwanted ON blob (unwanted_ms) WHERE retained = 1;

-- Not 0: a delta of this document did not reach the device, or did not open there.
ALTER TABLE assignment ADD COLUMN whole INTEGER NOT NULL DEFAULT 0;
