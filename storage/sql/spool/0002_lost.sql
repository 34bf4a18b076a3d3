-- SPDX-License-Identifier: Apache-2.0

-- Seqs that were given up. The rowid is (lane, number, first) packed as in `segment`; ranges of a
-- stream do not overlap, and neighbours differ in their reason. A range goes when it has been
-- receipted and its grace is over.
CREATE TABLE lost (
    id     INTEGER PRIMARY KEY,
    last   INTEGER NOT NULL,
    reason INTEGER NOT NULL, -- enum spool_loss
    lane   INTEGER AS (4 - (id >> 61)) VIRTUAL,
    number INTEGER AS ((id >> 37) & 16777215) VIRTUAL,
    first  INTEGER AS (id & 137438953471) VIRTUAL
) STRICT;

-- Idempotency keys of segments that are gone: for the keys from record `id` on, each the distance
-- of its seq from the one before as a varint, its length in a byte, and its bytes. The stream may
-- be closed, so the incarnation stands here.
CREATE TABLE spent (
    id          INTEGER PRIMARY KEY,
    incarnation INTEGER NOT NULL,
    keys        BLOB NOT NULL
) STRICT;

-- How often the spool was opened; never less than the chain beside it knows.
ALTER TABLE meta ADD COLUMN starts INTEGER NOT NULL DEFAULT 0;

-- What is held is counted from the segments when they are read in.
ALTER TABLE stream DROP COLUMN removed;
