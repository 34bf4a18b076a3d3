-- SPDX-License-Identifier: Apache-2.0
-- Who is there, by what is known of it; and who was away, from when to when.

CREATE TABLE presence_now (
    device INTEGER PRIMARY KEY REFERENCES device (id),
    state TEXT NOT NULL CHECK (state IN ('online', 'offline', 'closed', 'missing', 'unknown')),
    evidence INTEGER NOT NULL DEFAULT 0,     -- enum fleetdb_evidence
    since_ms INTEGER NOT NULL,               -- online or away since
    seen_ms INTEGER NOT NULL,                -- last message of any kind of its own; 0: never
    missing_ms INTEGER NOT NULL DEFAULT 0,   -- when it was found to be missing; 0: it is not
    known_ms INTEGER NOT NULL,               -- since when this is kept
    silence_s INTEGER NOT NULL DEFAULT 0,    -- it is silent for so long at the most; 0: not said
    boot INTEGER NOT NULL DEFAULT 0,         -- its newest session with the broker: proto/online.proto
    began_ms INTEGER NOT NULL DEFAULT 0,
    boot_before INTEGER NOT NULL DEFAULT 0,  -- of the sessions before that
    told INTEGER NOT NULL DEFAULT 0          -- whether the feed was last told that it is online
) STRICT;
INSERT INTO presence_now (device, state, since_ms, seen_ms, known_ms, told)
    SELECT device, 'unknown', since_ms, seen_ms,
        CAST(strftime('%s', 'now') AS INTEGER) * 1000, told FROM presence;
DROP TABLE presence;
ALTER TABLE presence_now RENAME TO presence;
CREATE INDEX presence_state ON presence (state) WHERE state <> 'online';

-- Written when it is over. Of a device the newest are kept, and none that is too old.
CREATE TABLE absence (
    id INTEGER PRIMARY KEY,
    device INTEGER REFERENCES device (id),   -- NULL: musterd itself had no line, and heard nobody
    from_ms INTEGER NOT NULL,
    to_ms INTEGER NOT NULL,
    evidence INTEGER NOT NULL,
    missing_ms INTEGER NOT NULL              -- when it was found to be missing; 0: nobody missed it
) STRICT;
CREATE INDEX absence_device ON absence (device, to_ms);

-- What the feed tells of presence; bounded as the feed is.
CREATE TABLE presence_news (
    id INTEGER PRIMARY KEY,
    since_ms INTEGER NOT NULL,
    evidence INTEGER NOT NULL,
    detail TEXT NOT NULL                     -- of many devices at once: JSON
) STRICT;

DROP VIEW device_fact;
CREATE VIEW device_fact (device, field, value) AS
    SELECT id, 'device', name FROM device
    UNION ALL SELECT id, 'serial', serial FROM device
    UNION ALL SELECT id, 'model', model FROM device
    UNION ALL SELECT id, 'state', life_cycle FROM device
    UNION ALL SELECT d.id, 'store', s.code FROM device d JOIN store s ON s.id = d.store
    UNION ALL SELECT d.id, 'merchant', m.code FROM device d JOIN store s ON s.id = d.store
        JOIN merchant m ON m.id = s.merchant
    UNION ALL SELECT d.id, 'region', r.name FROM device d JOIN store s ON s.id = d.store
        JOIN region r ON r.id = s.region
    UNION ALL SELECT c.device, 'tid', l.tid FROM device_terminal c
        JOIN logical_terminal l ON l.id = c.logical_terminal WHERE c.to_ms IS NULL
    UNION ALL SELECT c.device, 'mid', l.mid FROM device_terminal c
        JOIN logical_terminal l ON l.id = c.logical_terminal WHERE c.to_ms IS NULL
    UNION ALL SELECT c.device, 'acquirer', l.acquirer FROM device_terminal c
        JOIN logical_terminal l ON l.id = c.logical_terminal WHERE c.to_ms IS NULL
    UNION ALL SELECT d.id, 'presence', coalesce(p.state, 'unknown') FROM device d
        LEFT JOIN presence p ON p.device = d.id
    UNION ALL SELECT device, name, value FROM device_label;
