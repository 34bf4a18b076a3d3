-- SPDX-License-Identifier: Apache-2.0
-- Accounting for every record. From here on what a stream says to be held (cumulative and
-- stream_range) is what has been settled: committed, or declared lost, which stream_lost names.
-- So of a stream's seqs 1..last_seq: lost = stream_lost, committed = settled - lost, and the holes
-- are still with the device, or nobody knows where.

-- Seqs that will never come: part of what is settled, not touching one another with one reason.
CREATE TABLE stream_lost (
    stream INTEGER NOT NULL REFERENCES stream (id),
    first INTEGER NOT NULL,
    last INTEGER NOT NULL,
    reason INTEGER NOT NULL,                 -- LossReason
    PRIMARY KEY (stream, first)
) STRICT, WITHOUT ROWID;

-- Number of the newest complete hello that named the stream as not closed (hello.number); a new
-- stream has the number of its day.
ALTER TABLE stream ADD COLUMN listed INTEGER NOT NULL DEFAULT 0;
-- Of an incarnation that was closed and went on all the same: 1..counted are in the totals below
-- already, and so many of them are lost.
ALTER TABLE stream ADD COLUMN counted INTEGER NOT NULL DEFAULT 0;
ALTER TABLE stream ADD COLUMN counted_lost INTEGER NOT NULL DEFAULT 0;
-- When it was noticed that a receipt says more than is held here, 0: it does not.
ALTER TABLE stream ADD COLUMN restored_ms INTEGER NOT NULL DEFAULT 0;

-- last_seq is never below what is settled.
UPDATE stream SET last_seq = max(last_seq, cumulative,
    coalesce((SELECT max(last) FROM stream_range WHERE stream = stream.id), 0));
CREATE INDEX stream_incomplete ON stream (device) WHERE cumulative < last_seq;

-- When the device said that it will not send that content again, 0: not yet.
ALTER TABLE conflict ADD COLUMN settled_ms INTEGER NOT NULL DEFAULT 0;
CREATE INDEX conflict_open ON conflict (device, incarnation, lane, seq) WHERE settled_ms = 0;

-- The newest hello of each device, by its starts and its monotonic clock.
CREATE TABLE hello (
    device INTEGER PRIMARY KEY REFERENCES device (id),
    number INTEGER NOT NULL,                 -- of complete ones, counted
    incarnation INTEGER NOT NULL,
    starts INTEGER NOT NULL,
    boot_ms INTEGER NOT NULL,
    received_ms INTEGER NOT NULL,
    reset_ms INTEGER NOT NULL,               -- when its starts began anew, 0: never
    before_incarnation INTEGER NOT NULL,     -- the newest hello before that
    before_boot_ms INTEGER NOT NULL
) STRICT;

-- All that is left of an incarnation that neither side has anything open of: its last seqs, and how
-- many of them were declared lost.
CREATE TABLE closed_incarnation (
    device INTEGER NOT NULL REFERENCES device (id),
    incarnation INTEGER NOT NULL,
    txn_last INTEGER NOT NULL,
    event_last INTEGER NOT NULL,
    health_last INTEGER NOT NULL,
    txn_lost INTEGER NOT NULL,
    event_lost INTEGER NOT NULL,
    health_lost INTEGER NOT NULL,
    closed_ms INTEGER NOT NULL,
    PRIMARY KEY (device, incarnation)
) STRICT, WITHOUT ROWID;

-- Totals of the closed ones.
CREATE TABLE account (
    device INTEGER NOT NULL REFERENCES device (id),
    lane INTEGER NOT NULL,
    streams INTEGER NOT NULL,
    submitted INTEGER NOT NULL,
    committed INTEGER NOT NULL,
    PRIMARY KEY (device, lane)
) STRICT, WITHOUT ROWID;

CREATE TABLE account_lost (
    device INTEGER NOT NULL REFERENCES device (id),
    lane INTEGER NOT NULL,
    reason INTEGER NOT NULL,
    records INTEGER NOT NULL,
    PRIMARY KEY (device, lane, reason)
) STRICT, WITHOUT ROWID;
