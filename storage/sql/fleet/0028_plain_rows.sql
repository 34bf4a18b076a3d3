-- SPDX-License-Identifier: Apache-2.0
-- To look at the type of each of its columns, and that none is null, was a sixth of what it takes
-- to insert a result. What is bound comes from one table of types (fleet/rows.c), and none of it is
-- ever null. In the file a row is the same with and without: only what the schema says of it
-- changes, in the way that SQLite describes for this (https://sqlite.org/lang_altertable.html,
-- "changes that do not affect the on-disk content").
PRAGMA writable_schema = ON;
UPDATE sqlite_schema SET sql = 'CREATE TABLE result (
    id INTEGER PRIMARY KEY,
    device, incarnation, seq, received_ms, at_ms, bound_ms, digest,
    idempotency_key, wall_ms, boot_ms, terminal, acquirer, code_profile_version, stan, batch_number,
    type, entry_mode, fallback, scheme, aid, issuer_bucket, bin_table_version, card_token,
    token_key_version, rrn, auth_code, amount_minor, currency, outcome, code, code_source,
    host_hint, tvr, tsi, cvm_result, capk_rid, capk_index, online_pin, read_ms, connect_ms, tls_ms,
    host_ms, total_ms, attempts, reversal_pending, network, signal_dbm, generation, app_version,
    firmware_version, table_miss, default_route, issuer_unknown, no_common_aid, key_missing, masked,
    standing, carried, software
)' WHERE type = 'table' AND name = 'result';
PRAGMA writable_schema = RESET;
-- So that whoever else has the file open reads the schema anew.
CREATE TABLE schema_read_anew (id INTEGER PRIMARY KEY) STRICT;
DROP TABLE schema_read_anew;
