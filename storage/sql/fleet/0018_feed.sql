-- SPDX-License-Identifier: Apache-2.0
-- What has happened, in the order in which it was committed, for all who follow it: a row is
-- written in the transaction of what it tells of, and names it. The newest 100,000 are kept, of
-- which the newest row is never removed, so that no id is given twice.
CREATE TABLE feed (
    id INTEGER PRIMARY KEY,
    at_ms INTEGER NOT NULL,                  -- when musterd wrote it down
    kind INTEGER NOT NULL,                   -- enum fleetdb_feed_kind
    device INTEGER REFERENCES device (id),
    source INTEGER NOT NULL                  -- row of audit, event or result; 0: none
) STRICT;

-- Whether it was last told to be online: what is only forgotten with a broker is told of nobody.
ALTER TABLE presence ADD COLUMN told INTEGER NOT NULL DEFAULT 0;
