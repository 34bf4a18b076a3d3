-- SPDX-License-Identifier: Apache-2.0
-- By which time rows go.

-- One row. The newest time that was believed, and of another that was seen since how long it has
-- gone on (fleet/keeping_clock.h).
CREATE TABLE kept_clock (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    believed_ms INTEGER NOT NULL,
    doubted_ms INTEGER NOT NULL,             -- 0: none
    held_ms INTEGER NOT NULL
) STRICT;
-- Of a database that has a past, its newest time.
INSERT INTO kept_clock (id, believed_ms, doubted_ms, held_ms)
    SELECT 1, newest, 0, 0 FROM (SELECT max(
        coalesce((SELECT received_ms FROM result ORDER BY id DESC LIMIT 1), 0),
        coalesce((SELECT received_ms FROM event ORDER BY id DESC LIMIT 1), 0),
        coalesce((SELECT at_ms FROM audit ORDER BY id DESC LIMIT 1), 0)) AS newest)
    WHERE newest > 0;
