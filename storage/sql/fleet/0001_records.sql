-- SPDX-License-Identifier: Apache-2.0
-- Who is who, and what terminals have said. Times are milliseconds since 1970 UTC unless the name
-- says otherwise; u64 values (incarnation, seq) are kept as the signed integer of the same bits.

CREATE TABLE region (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    time_zone TEXT NOT NULL DEFAULT 'UTC'
) STRICT;

CREATE TABLE merchant (
    id INTEGER PRIMARY KEY,
    code TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL
) STRICT;

CREATE TABLE store (
    id INTEGER PRIMARY KEY,
    merchant INTEGER NOT NULL REFERENCES merchant (id),
    code TEXT NOT NULL,
    name TEXT NOT NULL,
    region INTEGER REFERENCES region (id),
    time_zone TEXT NOT NULL DEFAULT '',      -- empty: the region's
    opening_hours TEXT NOT NULL DEFAULT '',  -- empty: unknown
    UNIQUE (merchant, code)
) STRICT;

-- A device is a machine with a certificate. What it is registered as is a logical terminal.
CREATE TABLE device (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,               -- the certificate's CN
    serial TEXT NOT NULL,
    model TEXT NOT NULL,
    life_cycle TEXT NOT NULL DEFAULT 'in_service' CHECK (life_cycle IN
        ('in_service', 'spare', 'lab', 'repair', 'suspended', 'retired')),
    store INTEGER REFERENCES store (id),
    enrolled_ms INTEGER NOT NULL,
    updated_ms INTEGER NOT NULL,
    UNIQUE (model, serial)
) STRICT;

-- Keys that a device may sign with; a key is replaced by giving it an end and adding the next.
CREATE TABLE agent_key (
    id INTEGER PRIMARY KEY,
    device INTEGER NOT NULL REFERENCES device (id),
    spki BLOB NOT NULL UNIQUE,
    from_ms INTEGER NOT NULL,
    to_ms INTEGER                            -- NULL: still good
) STRICT;
CREATE INDEX agent_key_device ON agent_key (device);

CREATE TABLE logical_terminal (
    id INTEGER PRIMARY KEY,
    acquirer TEXT NOT NULL,
    tid TEXT NOT NULL,
    mid TEXT NOT NULL,
    merchant INTEGER REFERENCES merchant (id),
    UNIQUE (acquirer, tid, mid)
) STRICT;

-- Which device carried which logical terminal when: a swap ends one row and begins another.
CREATE TABLE device_terminal (
    id INTEGER PRIMARY KEY,
    device INTEGER NOT NULL REFERENCES device (id),
    slot INTEGER NOT NULL,                   -- the index that its records name
    logical_terminal INTEGER NOT NULL REFERENCES logical_terminal (id),
    from_ms INTEGER NOT NULL,
    to_ms INTEGER
) STRICT;
CREATE UNIQUE INDEX device_terminal_slot ON device_terminal (device, slot) WHERE to_ms IS NULL;
CREATE UNIQUE INDEX device_terminal_one ON device_terminal (logical_terminal) WHERE to_ms IS NULL;

-- One lane of one incarnation: every seq 1..cumulative is held, and the ranges beyond.
CREATE TABLE stream (
    id INTEGER PRIMARY KEY,
    device INTEGER NOT NULL REFERENCES device (id),
    incarnation INTEGER NOT NULL,
    lane INTEGER NOT NULL CHECK (lane BETWEEN 1 AND 3),
    cumulative INTEGER NOT NULL DEFAULT 0,
    last_seq INTEGER NOT NULL DEFAULT 0,     -- highest that the device says it gave, 0: not said
    boot_id BLOB,                            -- of the boot that made it, where known
    first_ms INTEGER NOT NULL,
    updated_ms INTEGER NOT NULL,
    UNIQUE (device, incarnation, lane)
) STRICT;

CREATE TABLE stream_range (
    stream INTEGER NOT NULL REFERENCES stream (id),
    first INTEGER NOT NULL,
    last INTEGER NOT NULL,
    PRIMARY KEY (stream, first)
) STRICT, WITHOUT ROWID;

-- The three lanes. The first seven columns are the same in each; the rest are the fields of the
-- record's message by name and in any order (fleet/rows.c binds them by name, a unit test compares
-- the two). Absent is the type's default, as on the wire, so nothing is NULL.
--   digest: first 8 bytes of SHA-256 over the packed record, to tell a repeat from a conflict
--   at_ms:  the fleet's best word on when it was: wall_ms where plausible, else received_ms
CREATE TABLE result (
    id INTEGER PRIMARY KEY,
    device INTEGER NOT NULL REFERENCES device (id),
    incarnation INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    received_ms INTEGER NOT NULL,
    at_ms INTEGER NOT NULL,
    digest INTEGER NOT NULL,
    idempotency_key BLOB NOT NULL,
    wall_ms INTEGER NOT NULL,
    boot_ms INTEGER NOT NULL,
    terminal INTEGER NOT NULL,
    acquirer INTEGER NOT NULL,
    code_profile_version INTEGER NOT NULL,
    stan INTEGER NOT NULL,
    batch_number INTEGER NOT NULL,
    type INTEGER NOT NULL,
    entry_mode INTEGER NOT NULL,
    fallback INTEGER NOT NULL,
    scheme INTEGER NOT NULL,
    aid BLOB NOT NULL,
    issuer_bucket TEXT NOT NULL,
    bin_table_version INTEGER NOT NULL,
    card_token BLOB NOT NULL,
    token_key_version INTEGER NOT NULL,
    rrn TEXT NOT NULL,
    auth_code TEXT NOT NULL,
    amount_minor INTEGER NOT NULL,
    currency INTEGER NOT NULL,
    outcome INTEGER NOT NULL,
    code TEXT NOT NULL,
    code_source INTEGER NOT NULL,
    host_hint INTEGER NOT NULL,
    tvr BLOB NOT NULL,
    tsi BLOB NOT NULL,
    cvm_result BLOB NOT NULL,
    capk_rid BLOB NOT NULL,
    capk_index INTEGER NOT NULL,
    online_pin INTEGER NOT NULL,
    read_ms INTEGER NOT NULL,
    connect_ms INTEGER NOT NULL,
    tls_ms INTEGER NOT NULL,
    host_ms INTEGER NOT NULL,
    total_ms INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    reversal_pending INTEGER NOT NULL,
    network INTEGER NOT NULL,
    signal_dbm INTEGER NOT NULL,
    generation BLOB NOT NULL,
    app_version TEXT NOT NULL,
    firmware_version TEXT NOT NULL,
    table_miss INTEGER NOT NULL,
    default_route INTEGER NOT NULL,
    issuer_unknown INTEGER NOT NULL,
    no_common_aid INTEGER NOT NULL,
    key_missing INTEGER NOT NULL,
    masked INTEGER NOT NULL,
    UNIQUE (device, incarnation, seq)
) STRICT;
CREATE UNIQUE INDEX result_key ON result (device, idempotency_key) WHERE idempotency_key <> x'';
CREATE INDEX result_at ON result (at_ms);

-- A second id for a result that is held under the same idempotency key: committed, not counted.
CREATE TABLE result_duplicate (
    device INTEGER NOT NULL REFERENCES device (id),
    incarnation INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    digest INTEGER NOT NULL,
    original INTEGER NOT NULL REFERENCES result (id),
    received_ms INTEGER NOT NULL,
    PRIMARY KEY (device, incarnation, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE event (
    id INTEGER PRIMARY KEY,
    device INTEGER NOT NULL REFERENCES device (id),
    incarnation INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    received_ms INTEGER NOT NULL,
    at_ms INTEGER NOT NULL,
    digest INTEGER NOT NULL,
    wall_ms INTEGER NOT NULL,
    boot_ms INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    item TEXT NOT NULL,
    text TEXT NOT NULL,
    detail BLOB NOT NULL,
    UNIQUE (device, incarnation, seq)
) STRICT;
CREATE INDEX event_newest ON event (device, at_ms);

CREATE TABLE health (
    id INTEGER PRIMARY KEY,
    device INTEGER NOT NULL REFERENCES device (id),
    incarnation INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    received_ms INTEGER NOT NULL,
    at_ms INTEGER NOT NULL,
    digest INTEGER NOT NULL,
    wall_ms INTEGER NOT NULL,
    boot_ms INTEGER NOT NULL,
    uptime_s INTEGER NOT NULL,
    disk_free_bytes INTEGER NOT NULL,
    disk_total_bytes INTEGER NOT NULL,
    inodes_free INTEGER NOT NULL,
    memory_total_bytes INTEGER NOT NULL,
    memory_available_bytes INTEGER NOT NULL,
    load_permille INTEGER NOT NULL,
    temperature_mc INTEGER NOT NULL,
    battery_percent INTEGER NOT NULL,
    battery_mv INTEGER NOT NULL,
    network INTEGER NOT NULL,
    signal_dbm INTEGER NOT NULL,
    net_rx_bytes INTEGER NOT NULL,
    net_tx_bytes INTEGER NOT NULL,
    wal_bytes INTEGER NOT NULL,
    spool_records INTEGER NOT NULL,
    spool_bytes INTEGER NOT NULL,
    spool_oldest_ms INTEGER NOT NULL,
    agent_rss_bytes INTEGER NOT NULL,
    link_connected INTEGER NOT NULL,
    link_connects INTEGER NOT NULL,
    clock_offset_ms INTEGER NOT NULL,
    records_accepted INTEGER NOT NULL,
    records_refused INTEGER NOT NULL,
    frames_refused INTEGER NOT NULL,
    receipts_refused INTEGER NOT NULL,
    agent_cpu_ms INTEGER NOT NULL,
    printer_paper_out INTEGER NOT NULL,
    swipes_ok INTEGER NOT NULL,
    swipes_failed INTEGER NOT NULL,
    chip_ok INTEGER NOT NULL,
    chip_failed INTEGER NOT NULL,
    contactless_ok INTEGER NOT NULL,
    contactless_failed INTEGER NOT NULL,
    tamper INTEGER NOT NULL,
    UNIQUE (device, incarnation, seq)
) STRICT;
CREATE INDEX health_newest ON health (device, at_ms);

-- Same id, other content: never overwritten, always somebody's question.
CREATE TABLE conflict (
    id INTEGER PRIMARY KEY,
    device INTEGER NOT NULL REFERENCES device (id),
    incarnation INTEGER NOT NULL,
    lane INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    held_digest INTEGER NOT NULL,
    sent_digest INTEGER NOT NULL,
    first_ms INTEGER NOT NULL,
    last_ms INTEGER NOT NULL,
    times INTEGER NOT NULL DEFAULT 1,
    UNIQUE (device, incarnation, lane, seq, sent_digest)
) STRICT;

-- What the device last said of itself, in a hello or a state event.
CREATE TABLE device_report (
    device INTEGER PRIMARY KEY REFERENCES device (id),
    received_ms INTEGER NOT NULL,
    hello_ms INTEGER NOT NULL,               -- received time of the last hello, 0: none yet
    incarnation INTEGER NOT NULL,
    boot_id BLOB NOT NULL,
    wall_ms INTEGER NOT NULL,
    boot_ms INTEGER NOT NULL,
    agent_version TEXT NOT NULL,
    root_version INTEGER NOT NULL,
    manifest_version INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    generation_digest BLOB NOT NULL,
    converged INTEGER NOT NULL,
    lacks INTEGER NOT NULL                   -- blobs it still needs
) STRICT;

CREATE TABLE device_item (
    device INTEGER NOT NULL REFERENCES device (id),
    name TEXT NOT NULL,
    wanted_version INTEGER NOT NULL,
    held_version INTEGER NOT NULL,
    wanted_sha256 BLOB NOT NULL,
    held_sha256 BLOB NOT NULL,
    state INTEGER NOT NULL,
    source INTEGER NOT NULL,
    reason TEXT NOT NULL,
    updated_ms INTEGER NOT NULL,
    PRIMARY KEY (device, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE presence (
    device INTEGER PRIMARY KEY REFERENCES device (id),
    online INTEGER NOT NULL,
    since_ms INTEGER NOT NULL,
    seen_ms INTEGER NOT NULL                 -- last message of any kind
) STRICT;

CREATE TABLE audit (
    id INTEGER PRIMARY KEY,
    at_ms INTEGER NOT NULL,
    who TEXT NOT NULL,
    what TEXT NOT NULL,
    device INTEGER REFERENCES device (id),
    text TEXT NOT NULL
) STRICT;
