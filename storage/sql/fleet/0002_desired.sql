-- SPDX-License-Identifier: Apache-2.0
-- What terminals should hold. Versions are kept as positive signed integers; enumerations are
-- those of desired.proto.

-- Content as it is sent, named by its hash.
CREATE TABLE blob (
    id INTEGER PRIMARY KEY,
    sha256 BLOB NOT NULL UNIQUE CHECK (length(sha256) = 32),
    content BLOB NOT NULL,
    stored_ms INTEGER NOT NULL
) STRICT;

-- What release has signed; never changed, never removed.
CREATE TABLE document (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    version INTEGER NOT NULL CHECK (version > 0),
    kind INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    length INTEGER NOT NULL,
    sha256 BLOB NOT NULL CHECK (length(sha256) = 32),
    minimum_version INTEGER NOT NULL,
    header BLOB NOT NULL,                    -- the signed envelope, byte for byte
    published_ms INTEGER NOT NULL,
    UNIQUE (name, version)
) STRICT;

-- The ways to get a document's content.
CREATE TABLE encoding (
    document INTEGER NOT NULL REFERENCES document (id),
    blob INTEGER NOT NULL REFERENCES blob (id),
    coding INTEGER NOT NULL,
    base BLOB NOT NULL DEFAULT x'',          -- delta: hash of the content it starts from
    PRIMARY KEY (document, blob)
) STRICT, WITHOUT ROWID;

-- One document of a name for each device at the most.
CREATE TABLE assignment (
    device INTEGER NOT NULL REFERENCES device (id),
    name TEXT NOT NULL,
    document INTEGER NOT NULL REFERENCES document (id),
    mode INTEGER NOT NULL CHECK (mode BETWEEN 0 AND 2),
    assigned_ms INTEGER NOT NULL,
    PRIMARY KEY (device, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX assignment_document ON assignment (document);

-- The newest manifest of each device, written in the transaction that changes its assignments.
CREATE TABLE manifest (
    device INTEGER PRIMARY KEY REFERENCES device (id),
    version INTEGER NOT NULL CHECK (version > 0),
    issued_ms INTEGER NOT NULL,
    envelope BLOB NOT NULL                   -- as the director signed it
) STRICT;
