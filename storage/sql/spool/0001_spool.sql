-- SPDX-License-Identifier: Apache-2.0

-- One row: whose spool this is, and the clock of powered-on time: base_ms + time since boot while
-- `boot` is the running boot, powered_ms as last written down.
CREATE TABLE meta (
    id         INTEGER PRIMARY KEY CHECK (id = 1),
    device     TEXT NOT NULL,
    boot       BLOB NOT NULL,
    base_ms    INTEGER NOT NULL,
    powered_ms INTEGER NOT NULL
) STRICT;

-- A stream is one lane of one incarnation. `number` is the incarnation's short name in this file,
-- ascending with time. last_seq is exact for earlier incarnations once they are read in at open;
-- in between the segments know better. `acked` is spool_acked.h's encoding.
CREATE TABLE stream (
    number      INTEGER NOT NULL,
    lane        INTEGER NOT NULL,
    incarnation INTEGER NOT NULL,
    last_seq    INTEGER NOT NULL,
    removed     INTEGER NOT NULL,
    acked       BLOB NOT NULL,
    PRIMARY KEY (number, lane)
) STRICT, WITHOUT ROWID;

-- The records of one lane in one commit. The rowid is (lane, number, first_seq) packed, so that
-- one B-tree is table and index at once: a commit appends to one leaf. Lane 1 sorts last, where
-- SQLite appends cheapest.
CREATE TABLE segment (
    id         INTEGER PRIMARY KEY,
    count      INTEGER NOT NULL,
    codec      INTEGER NOT NULL, -- 0: spool_segment.h's framing as it is
    powered_ms INTEGER NOT NULL, -- powered-on time of the commit
    body       BLOB NOT NULL,
    lane       INTEGER AS (4 - (id >> 61)) VIRTUAL,
    number     INTEGER AS ((id >> 37) & 16777215) VIRTUAL,
    first_seq  INTEGER AS (id & 137438953471) VIRTUAL
) STRICT;

CREATE TABLE note (
    name  TEXT NOT NULL PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;
