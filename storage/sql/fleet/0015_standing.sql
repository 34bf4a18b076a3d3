-- SPDX-License-Identifier: Apache-2.0
-- Where devices stood and what their life was, from when to when; what people call them by; and
-- what is to be told to acquirers when a device moves.

-- A move, a suspension, a retirement ends one row and begins the next; the spans of a device leave
-- no gap. merchant and region are copied when a row begins, so that a store which gets another
-- region later begins new rows and rewrites no history. device.store and device.life_cycle are the
-- newest row's, written in the same transaction.
CREATE TABLE standing (
    id INTEGER PRIMARY KEY,
    device INTEGER NOT NULL REFERENCES device (id),
    store INTEGER REFERENCES store (id),
    merchant INTEGER REFERENCES merchant (id),
    region INTEGER REFERENCES region (id),
    life TEXT NOT NULL CHECK (life IN
        ('in_service', 'spare', 'lab', 'repair', 'suspended', 'retired')),
    from_ms INTEGER NOT NULL,
    to_ms INTEGER,                           -- NULL: still so
    why TEXT NOT NULL,
    who TEXT NOT NULL
) STRICT;
INSERT INTO standing (device, store, merchant, region, life, from_ms, why, who)
    SELECT d.id, d.store, s.merchant, s.region, d.life_cycle, d.enrolled_ms, 'enrolled', ''
    FROM device d LEFT JOIN store s ON s.id = d.store ORDER BY d.id;
CREATE UNIQUE INDEX standing_now ON standing (device) WHERE to_ms IS NULL;
CREATE INDEX standing_device ON standing (device, from_ms);
CREATE INDEX device_store ON device (store);

-- The story of a slot, and of a logical terminal from device to device.
CREATE INDEX device_terminal_story ON device_terminal (device, slot, from_ms);
CREATE INDEX logical_terminal_story ON device_terminal (logical_terminal, from_ms);
CREATE INDEX logical_terminal_tid ON logical_terminal (tid);

ALTER TABLE store ADD COLUMN address TEXT NOT NULL DEFAULT '';

CREATE TABLE device_label (
    device INTEGER NOT NULL REFERENCES device (id),
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (device, name)
) STRICT, WITHOUT ROWID;

-- Whoever the selector chooses when it is asked (fleet/selector.h).
CREATE TABLE device_group (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    selector TEXT NOT NULL,
    changed_ms INTEGER NOT NULL,
    who TEXT NOT NULL
) STRICT;

-- What an acquirer has to be told because a device moved, was swapped or retired; open until
-- somebody says that it was done.
CREATE TABLE registration_duty (
    id INTEGER PRIMARY KEY,
    device INTEGER NOT NULL REFERENCES device (id),
    logical_terminal INTEGER NOT NULL REFERENCES logical_terminal (id),
    act TEXT NOT NULL CHECK (act IN ('bind', 'unbind', 'address')),
    why TEXT NOT NULL,
    since_ms INTEGER NOT NULL,
    who TEXT NOT NULL,
    done_ms INTEGER NOT NULL DEFAULT 0,      -- 0: not yet
    done_who TEXT NOT NULL DEFAULT '',
    note TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX registration_duty_open ON registration_duty (device) WHERE done_ms = 0;

-- What a selector may ask of a device, as of now.
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
    UNION ALL SELECT device, name, value FROM device_label;
