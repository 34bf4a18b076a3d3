-- SPDX-License-Identifier: Apache-2.0
-- The chain of roots, epochs, what is sealed to one device, content in pieces, and what the broker
-- is given to keep.

-- Every root from the first one known here, without gaps.
CREATE TABLE root (
    version INTEGER PRIMARY KEY CHECK (version > 0),
    epoch INTEGER NOT NULL,
    issued_ms INTEGER NOT NULL,
    envelope BLOB NOT NULL,                  -- as its keepers signed it
    published_ms INTEGER NOT NULL
) STRICT;

-- The newest certificate of the device's sealing key, DER (RFC 5280), as its CA signed it; empty:
-- none. Who seals checks it by himself.
ALTER TABLE device ADD COLUMN sealing_certificate BLOB NOT NULL DEFAULT x'';

-- Versions of a name are ordered by (epoch, version); what is sealed has versions of its own for
-- each device.
CREATE TABLE new_document (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    device INTEGER REFERENCES device (id),   -- NULL: for all
    epoch INTEGER NOT NULL,
    version INTEGER NOT NULL CHECK (version > 0),
    kind INTEGER NOT NULL,
    scope INTEGER NOT NULL DEFAULT 1,
    irreversible INTEGER NOT NULL DEFAULT 0,
    length INTEGER NOT NULL,
    sha256 BLOB NOT NULL CHECK (length(sha256) = 32),
    minimum_version INTEGER NOT NULL,
    header BLOB NOT NULL,                    -- the signed envelope, byte for byte
    published_ms INTEGER NOT NULL
) STRICT;
INSERT INTO new_document SELECT id, name, NULL, epoch, version, kind, 1, 0, length, sha256,
    minimum_version, header, published_ms FROM document;

CREATE TABLE new_encoding (
    document INTEGER NOT NULL REFERENCES new_document (id),
    blob INTEGER NOT NULL REFERENCES blob (id),
    coding INTEGER NOT NULL,
    base BLOB NOT NULL DEFAULT x'',          -- delta: hash of the content it starts from
    piece_bytes INTEGER NOT NULL DEFAULT 0,  -- not 0: the blob lists pieces of so many bytes
    pieces_size INTEGER NOT NULL DEFAULT 0,  -- bytes of all of them together
    PRIMARY KEY (document, blob)
) STRICT, WITHOUT ROWID;
INSERT INTO new_encoding (document, blob, coding, base) SELECT document, blob, coding, base
    FROM encoding;

CREATE TABLE new_assignment (
    device INTEGER NOT NULL REFERENCES device (id),
    name TEXT NOT NULL,
    document INTEGER NOT NULL REFERENCES new_document (id),
    mode INTEGER NOT NULL CHECK (mode BETWEEN 0 AND 2),
    assigned_ms INTEGER NOT NULL,
    PRIMARY KEY (device, name)
) STRICT, WITHOUT ROWID;
INSERT INTO new_assignment SELECT device, name, document, mode, assigned_ms FROM assignment;

DROP TABLE assignment;
DROP TABLE encoding;
DROP TABLE document;
ALTER TABLE new_document RENAME TO document;
ALTER TABLE new_encoding RENAME TO encoding;
ALTER TABLE new_assignment RENAME TO assignment;
CREATE UNIQUE INDEX document_version
    ON document (name, coalesce(device, 0), epoch, version);
CREATE INDEX assignment_document ON assignment (document);
CREATE INDEX encoding_blob ON encoding (blob);

-- Pieces of a list, so that nobody else has to read it. A piece may be in several lists.
CREATE TABLE piece (
    list INTEGER NOT NULL REFERENCES blob (id),
    number INTEGER NOT NULL,                 -- from 0
    blob INTEGER NOT NULL REFERENCES blob (id),
    PRIMARY KEY (list, number)
) STRICT, WITHOUT ROWID;
CREATE INDEX piece_blob ON piece (blob);

ALTER TABLE manifest ADD COLUMN epoch INTEGER NOT NULL DEFAULT 1;
ALTER TABLE manifest ADD COLUMN root_version INTEGER NOT NULL DEFAULT 0;

-- The blobs that a device's newest manifest names and that travel on topics of their own; the
-- pieces of a list are not named again.
CREATE TABLE manifest_blob (
    device INTEGER NOT NULL REFERENCES device (id),
    blob INTEGER NOT NULL REFERENCES blob (id),
    PRIMARY KEY (device, blob)
) STRICT, WITHOUT ROWID;
CREATE INDEX manifest_blob_blob ON manifest_blob (blob);
INSERT INTO manifest_blob SELECT DISTINCT assignment.device, encoding.blob FROM assignment
    JOIN encoding ON encoding.document = assignment.document
    JOIN manifest ON manifest.device = assignment.device;

-- Given to the broker to keep, and not taken back since; and since when no manifest names it, 0:
-- one does, or it was never given.
ALTER TABLE blob ADD COLUMN retained INTEGER NOT NULL DEFAULT 0;
ALTER TABLE blob ADD COLUMN unwanted_ms INTEGER NOT NULL DEFAULT 0;
UPDATE blob SET retained = 1 WHERE id IN (SELECT blob FROM encoding);
CREATE INDEX blob_unwanted ON blob (unwanted_ms) WHERE retained = 1;

ALTER TABLE event ADD COLUMN refusal INTEGER NOT NULL DEFAULT 0;
ALTER TABLE device_report ADD COLUMN manifest_epoch INTEGER NOT NULL DEFAULT 0;
ALTER TABLE device_item ADD COLUMN refusal INTEGER NOT NULL DEFAULT 0;
