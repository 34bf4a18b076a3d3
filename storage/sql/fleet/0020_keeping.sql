-- SPDX-License-Identifier: Apache-2.0
-- Rows go by age, and what is left says since when it is whole.

-- Of each kind (storage/keeping.def) from when on nothing has been removed, in the time that
-- questions are asked in, and how many rows ever were. No row: nothing was.
CREATE TABLE kept (
    kind TEXT PRIMARY KEY,
    whole_from_ms INTEGER NOT NULL,
    removed INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Records that were committed and whose rows were removed since: what is settled of their streams
-- stays, so that none of them is taken for a new one.
CREATE TABLE account_aged (
    device INTEGER NOT NULL REFERENCES device (id),
    lane INTEGER NOT NULL,
    records INTEGER NOT NULL,
    PRIMARY KEY (device, lane)
) STRICT, WITHOUT ROWID;

-- Duplicates go with the result that they are of.
CREATE INDEX result_duplicate_original ON result_duplicate (original);
