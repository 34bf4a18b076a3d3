-- SPDX-License-Identifier: Apache-2.0
-- Who is told what happens by a request to a server of his: how far he has come in the feed, and
-- how it goes. The secret signs, so it has to be kept as it is.
CREATE TABLE webhook (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    url TEXT NOT NULL,
    secret BLOB NOT NULL,
    kinds INTEGER NOT NULL,                  -- bits by kind of the feed; 0: all
    made_ms INTEGER NOT NULL,
    made_by TEXT NOT NULL,
    after INTEGER NOT NULL,                  -- the last row of the feed that is done with
    missed INTEGER NOT NULL DEFAULT 0,       -- rows that were not kept for so long, of any kind
    delivered INTEGER NOT NULL DEFAULT 0,    -- requests that were answered well
    ok_ms INTEGER NOT NULL DEFAULT 0,        -- the last of them
    failing_ms INTEGER NOT NULL DEFAULT 0,   -- since when nothing arrives; 0: all does
    failures INTEGER NOT NULL DEFAULT 0,     -- since then
    trouble TEXT NOT NULL DEFAULT ''         -- why
) STRICT;
