-- SPDX-License-Identifier: Apache-2.0
-- What a device last said of itself beside its documents. No row of device_apply: nothing waits
-- there, and nothing is on probation.
CREATE TABLE device_apply (
    device INTEGER PRIMARY KEY REFERENCES device (id),
    step INTEGER NOT NULL,
    manifest_version INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    good_generation INTEGER NOT NULL,
    waits_for TEXT NOT NULL,
    waited_ms INTEGER NOT NULL,
    asks_after_ms INTEGER NOT NULL,
    opens_after_ms INTEGER NOT NULL,
    results INTEGER NOT NULL,
    suspect INTEGER NOT NULL,
    before_results INTEGER NOT NULL,
    before_suspect INTEGER NOT NULL,
    results_needed INTEGER NOT NULL,
    probation_left_ms INTEGER NOT NULL,
    why TEXT NOT NULL,
    refusal INTEGER NOT NULL,
    received_ms INTEGER NOT NULL
) STRICT;

-- Events come late and in any order: the moment tells which inventory is the newer one.
CREATE TABLE device_keys (
    device INTEGER PRIMARY KEY REFERENCES device (id),
    incarnation INTEGER NOT NULL,
    boot_ms INTEGER NOT NULL,
    wall_ms INTEGER NOT NULL,
    sign_on_known INTEGER NOT NULL,
    sign_on_age_ms INTEGER NOT NULL,
    received_ms INTEGER NOT NULL
) STRICT;

CREATE TABLE key_slot (
    device INTEGER NOT NULL REFERENCES device (id),
    slot TEXT NOT NULL,
    usage TEXT NOT NULL,
    algorithm TEXT NOT NULL,
    key_version INTEGER NOT NULL,
    kcv_method INTEGER NOT NULL,
    kcv BLOB NOT NULL,
    state INTEGER NOT NULL,
    why TEXT NOT NULL,
    PRIMARY KEY (device, slot)
) STRICT, WITHOUT ROWID;

CREATE TABLE device_package (
    device INTEGER NOT NULL REFERENCES device (id),
    name TEXT NOT NULL,
    incarnation INTEGER NOT NULL,
    boot_ms INTEGER NOT NULL,
    wall_ms INTEGER NOT NULL,
    wanted TEXT NOT NULL,
    running TEXT NOT NULL,
    text TEXT NOT NULL,
    received_ms INTEGER NOT NULL,
    PRIMARY KEY (device, name)
) STRICT, WITHOUT ROWID;
