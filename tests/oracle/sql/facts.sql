-- SPDX-License-Identifier: Apache-2.0
-- What the oracle knows, in a database in memory. u64 values are kept as the signed integer of the
-- same bits, as both stores do.

-- ---- told by whoever puts the load on ----

CREATE TABLE submitted (
    device TEXT, key BLOB, stan INTEGER, amount INTEGER, code TEXT,
    PRIMARY KEY (device, key)
) WITHOUT ROWID;
CREATE TABLE answered (
    device TEXT, key BLOB, incarnation INTEGER, seq INTEGER,
    PRIMARY KEY (device, key, incarnation, seq)
) WITHOUT ROWID;
CREATE TABLE arrived (
    device TEXT, incarnation INTEGER, lane INTEGER, first INTEGER, last INTEGER
);
CREATE INDEX arrived_id ON arrived (device, incarnation, lane);

-- ---- read from the spools ----

CREATE TABLE spool (device TEXT PRIMARY KEY, bytes INTEGER, quota INTEGER);
CREATE TABLE spool_stream (device TEXT, incarnation INTEGER, lane INTEGER, last INTEGER);
CREATE TABLE held (
    device TEXT, incarnation INTEGER, lane INTEGER, seq INTEGER,
    key BLOB, stan INTEGER, amount INTEGER, code TEXT
);
CREATE INDEX held_id ON held (device, incarnation, lane, seq);
CREATE INDEX held_key ON held (device, key) WHERE lane = 1;
CREATE TABLE damaged (device TEXT, incarnation INTEGER, lane INTEGER, seq INTEGER);
CREATE TABLE acked (
    device TEXT, incarnation INTEGER, lane INTEGER, first INTEGER, last INTEGER
);
CREATE INDEX acked_id ON acked (device, incarnation, lane);

-- ---- read from the fleet's database ----

CREATE TABLE result (
    device TEXT, key BLOB, incarnation INTEGER, seq INTEGER, stan INTEGER, amount INTEGER, code TEXT
);
CREATE INDEX result_key ON result (device, key);
-- Every row of every lane, second ids too.
CREATE TABLE stored (device TEXT, incarnation INTEGER, lane INTEGER, seq INTEGER, second INTEGER);
CREATE INDEX stored_id ON stored (device, incarnation, lane, seq);
CREATE TABLE fleet_stream (device TEXT, incarnation INTEGER, lane INTEGER, last INTEGER);
CREATE TABLE committed (
    device TEXT, incarnation INTEGER, lane INTEGER, first INTEGER, last INTEGER
);
CREATE INDEX committed_id ON committed (device, incarnation, lane);

-- All of a closed incarnation's streams: seqs 1..last, of which so many are lost.
CREATE TABLE closed (
    device TEXT, incarnation INTEGER, lane INTEGER, last INTEGER, lost INTEGER,
    PRIMARY KEY (device, incarnation, lane)
) WITHOUT ROWID;
CREATE TABLE counted (device TEXT, lane INTEGER, last INTEGER, lost INTEGER);
CREATE TABLE total (
    device TEXT, lane INTEGER, submitted INTEGER, committed INTEGER, lost INTEGER
);

-- ---- read from both ----

-- side: 'spool' or 'fleet'. reason: LossReason of record.proto.
CREATE TABLE lost (
    side TEXT, device TEXT, incarnation INTEGER, lane INTEGER, first INTEGER, last INTEGER,
    reason INTEGER
);
CREATE INDEX lost_id ON lost (device, incarnation, lane);

-- ---- drawn from all of these ----

CREATE VIEW reached AS
    SELECT device, incarnation, lane, first, last FROM committed
    UNION ALL SELECT device, incarnation, lane, first, last FROM arrived;

-- The highest seq that each stream is known to have given.
CREATE TABLE given (
    device TEXT, incarnation INTEGER, lane INTEGER, last INTEGER,
    PRIMARY KEY (device, incarnation, lane)
) WITHOUT ROWID;

-- A gap in a stream begins at its first seq or right behind something: these seqs.
CREATE TABLE edge (
    device TEXT, incarnation INTEGER, lane INTEGER, seq INTEGER,
    PRIMARY KEY (device, incarnation, lane, seq)
) WITHOUT ROWID;

-- A result as the fleet's sums should have it, and the sums that say something else.
CREATE TABLE sale (
    minute INTEGER, hour INTEGER, acquirer INTEGER, scheme INTEGER, entry INTEGER, issuer TEXT,
    standing INTEGER, carried INTEGER, software INTEGER, generation BLOB, type INTEGER,
    outcome INTEGER, code TEXT, currency INTEGER, in_service INTEGER, amount INTEGER
);
CREATE TABLE unsummed (named TEXT);
CREATE TABLE untyped (named TEXT);
