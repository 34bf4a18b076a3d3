-- SPDX-License-Identifier: Apache-2.0
-- Merchants that were erased: that it was done, by whom, when, and how much went. Nothing here
-- names one of them after it is done.

CREATE TABLE erasure (
    id INTEGER PRIMARY KEY,
    who TEXT NOT NULL,
    begun_ms INTEGER NOT NULL,
    done_ms INTEGER NOT NULL DEFAULT 0,      -- 0: it goes on
    merchant INTEGER NOT NULL,               -- its row, as long as there is one
    step INTEGER NOT NULL DEFAULT 0,         -- enum fleetdb_erase_step, and how far in it
    after INTEGER NOT NULL DEFAULT 0,
    stores INTEGER NOT NULL,
    devices INTEGER NOT NULL,                -- that stood there when it began
    terminals INTEGER NOT NULL,
    tokens INTEGER NOT NULL,
    results INTEGER NOT NULL DEFAULT 0,
    events INTEGER NOT NULL DEFAULT 0,
    texts INTEGER NOT NULL DEFAULT 0
) STRICT;

-- While it goes on: what names the merchant, and where devices stood with it.
CREATE TABLE erased_word (
    id INTEGER PRIMARY KEY,
    word TEXT NOT NULL
) STRICT;
CREATE TABLE erased_standing (
    standing INTEGER PRIMARY KEY,
    device INTEGER NOT NULL,
    from_ms INTEGER NOT NULL,
    to_ms INTEGER NOT NULL
) STRICT;
CREATE INDEX erased_standing_device ON erased_standing (device);
