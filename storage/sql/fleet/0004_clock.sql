-- SPDX-License-Identifier: Apache-2.0
-- When things really were. Terminals' clocks are wrong; their time since boot is not, but for the
-- crystal's drift. So what is known of a boot's place in true time is kept as facts, and at_ms of
-- the three lanes is worked out from them, together with how far off it may be.

-- A boot of a device, of which an incarnation said that it ran in it.
CREATE TABLE clock_boot (
    id INTEGER PRIMARY KEY,
    device INTEGER NOT NULL REFERENCES device (id),
    boot_id BLOB NOT NULL,
    before INTEGER NOT NULL DEFAULT 0,       -- the one that ended before it, 0: not known
    heard_ms INTEGER NOT NULL,
    UNIQUE (device, boot_id)
) STRICT;
CREATE INDEX clock_boot_before ON clock_boot (before) WHERE before <> 0;

-- When the boot was boot_ms old, true time was at least, or at most, fleet_ms. Few for each boot:
-- what follows from the others is not kept.
CREATE TABLE clock_fact (
    boot INTEGER NOT NULL REFERENCES clock_boot (id),
    at_least INTEGER NOT NULL CHECK (at_least IN (0, 1)),
    boot_ms INTEGER NOT NULL,
    fleet_ms INTEGER NOT NULL,
    PRIMARY KEY (boot, at_least, boot_ms)
) STRICT, WITHOUT ROWID;

-- Which boot an incarnation ran in; and, after more became known of that boot, from where on its
-- records are still to be judged again.
CREATE TABLE clock_incarnation (
    id INTEGER PRIMARY KEY,
    device INTEGER NOT NULL REFERENCES device (id),
    incarnation INTEGER NOT NULL,
    boot INTEGER NOT NULL REFERENCES clock_boot (id),
    redo_lane INTEGER NOT NULL DEFAULT 0,    -- 0: nothing to do
    redo_seq INTEGER NOT NULL DEFAULT 0,     -- after this one
    UNIQUE (device, incarnation)
) STRICT;
CREATE INDEX clock_incarnation_boot ON clock_incarnation (boot);
CREATE INDEX clock_incarnation_redo ON clock_incarnation (redo_lane) WHERE redo_lane <> 0;

-- The device's clock as last compared with the fleet's.
CREATE TABLE device_clock (
    device INTEGER PRIMARY KEY REFERENCES device (id),
    checked_ms INTEGER NOT NULL,             -- fleet time of the newest welcome that it told of
    offset_ms INTEGER NOT NULL,              -- its clock minus the fleet's then
    width_ms INTEGER NOT NULL,               -- give or take half of this
    drift_ppb INTEGER NOT NULL,              -- of its time since boot, over its boot
    drift_known_ppb INTEGER NOT NULL,        -- give or take this, 0: not known yet
    jumps INTEGER NOT NULL,                  -- how often it was set
    jump_ms INTEGER NOT NULL,                -- by how much the last time
    jumped_ms INTEGER NOT NULL               -- received time of that, 0: never
) STRICT;

-- at_ms is within bound_ms of true time; -1: unknown (at_ms is then the terminal's word where it
-- can be true, else when it was received), -2: from before times were corrected.
ALTER TABLE result ADD COLUMN bound_ms INTEGER NOT NULL DEFAULT -2;
ALTER TABLE event ADD COLUMN bound_ms INTEGER NOT NULL DEFAULT -2;
ALTER TABLE health ADD COLUMN bound_ms INTEGER NOT NULL DEFAULT -2;
CREATE INDEX result_loose ON result (device, incarnation, seq)
    WHERE bound_ms = -1 OR bound_ms > 10000;
CREATE INDEX event_loose ON event (device, incarnation, seq)
    WHERE bound_ms = -1 OR bound_ms > 10000;
CREATE INDEX health_loose ON health (device, incarnation, seq)
    WHERE bound_ms = -1 OR bound_ms > 10000;
