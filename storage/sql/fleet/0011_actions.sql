-- SPDX-License-Identifier: Apache-2.0
-- What terminals were ordered to do once, and what came of it.
CREATE TABLE action (
    id INTEGER PRIMARY KEY,
    device INTEGER NOT NULL REFERENCES device (id),
    name TEXT NOT NULL UNIQUE,               -- Action.id
    kind INTEGER NOT NULL,
    limit_bytes INTEGER NOT NULL,
    note TEXT NOT NULL,
    made_ms INTEGER NOT NULL,
    expires_ms INTEGER NOT NULL,             -- 0: never
    since_epoch INTEGER NOT NULL DEFAULT 0,  -- the first manifest that named it, 0: none did yet
    since_version INTEGER NOT NULL DEFAULT 0,
    open INTEGER NOT NULL DEFAULT 1,         -- manifests are to name it
    named INTEGER NOT NULL DEFAULT 0,        -- and the device's newest one does
    step INTEGER NOT NULL DEFAULT 0,         -- ActionStep, as it was told last
    told INTEGER NOT NULL DEFAULT 0,         -- the terminal itself said how it ended
    text TEXT NOT NULL DEFAULT '',
    reported_ms INTEGER NOT NULL DEFAULT 0,
    log_bytes INTEGER NOT NULL DEFAULT 0,
    log_pieces INTEGER NOT NULL DEFAULT 0,
    log_sha256 BLOB NOT NULL DEFAULT x''
) STRICT;
CREATE INDEX action_device ON action (device, id);
CREATE INDEX action_retired ON action (device) WHERE named <> 0 AND open = 0;
CREATE INDEX action_expires ON action (expires_ms) WHERE open <> 0 AND expires_ms <> 0;

-- Where the pieces of a log bundle are: the details of these events.
CREATE TABLE log_piece (
    action INTEGER NOT NULL REFERENCES action (id),
    number INTEGER NOT NULL,
    incarnation INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    PRIMARY KEY (action, number)
) STRICT, WITHOUT ROWID;
