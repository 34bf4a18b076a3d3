-- SPDX-License-Identifier: Apache-2.0
-- An index row for each result took as much as the result itself. Records come in runs: the results
-- of a batch have seqs that follow one another, and so have the rows that they become. So one row
-- says it of a whole run. The table of results is written anew without the index: that takes a
-- minute or so for ten million, once, and as much room again until it is done.

-- The results of these seqs are, or once were, the rows from first_row on. A run stays when rows of
-- it are removed by age: what comes again is known by it. Runs of an incarnation do not overlap.
CREATE TABLE result_run (
    device INTEGER NOT NULL REFERENCES device (id),
    incarnation INTEGER NOT NULL,
    first_seq INTEGER NOT NULL,
    last_seq INTEGER NOT NULL,
    first_row INTEGER NOT NULL,
    PRIMARY KEY (device, incarnation, first_seq)
) STRICT, WITHOUT ROWID;
INSERT INTO result_run (device, incarnation, first_seq, last_seq, first_row)
    SELECT device, incarnation, min(seq), max(seq), min(id) FROM (SELECT id, device, incarnation,
        seq, seq - row_number() OVER (PARTITION BY device, incarnation, id - seq ORDER BY seq)
            AS gap FROM result)
    GROUP BY device, incarnation, id - seq, gap;

CREATE TABLE new_duplicate (
    device INTEGER NOT NULL REFERENCES device (id),
    incarnation INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    digest INTEGER NOT NULL,
    original INTEGER NOT NULL,               -- a row of result
    received_ms INTEGER NOT NULL,
    PRIMARY KEY (device, incarnation, seq)
) STRICT, WITHOUT ROWID;
INSERT INTO new_duplicate (device, incarnation, seq, digest, original, received_ms)
    SELECT device, incarnation, seq, digest, original, received_ms FROM result_duplicate;

-- That its device is there, its run proves.
CREATE TABLE new_result (
    id INTEGER PRIMARY KEY,
    device INTEGER NOT NULL,
    incarnation INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    received_ms INTEGER NOT NULL,
    at_ms INTEGER NOT NULL,
    bound_ms INTEGER NOT NULL,
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
    standing INTEGER NOT NULL,
    carried INTEGER NOT NULL,                -- of device_terminal, 0: none
    software INTEGER NOT NULL
) STRICT;
INSERT INTO new_result (
    id, device, incarnation, seq, received_ms, at_ms, bound_ms, digest, idempotency_key, wall_ms,
    boot_ms, terminal, acquirer, code_profile_version, stan, batch_number, type, entry_mode,
    fallback, scheme, aid, issuer_bucket, bin_table_version, card_token, token_key_version, rrn,
    auth_code, amount_minor, currency, outcome, code, code_source, host_hint, tvr, tsi, cvm_result,
    capk_rid, capk_index, online_pin, read_ms, connect_ms, tls_ms, host_ms, total_ms, attempts,
    reversal_pending, network, signal_dbm, generation, app_version, firmware_version, table_miss,
    default_route, issuer_unknown, no_common_aid, key_missing, masked, standing, carried, software)
    SELECT
    id, device, incarnation, seq, received_ms, at_ms, bound_ms, digest, idempotency_key, wall_ms,
    boot_ms, terminal, acquirer, code_profile_version, stan, batch_number, type, entry_mode,
    fallback, scheme, aid, issuer_bucket, bin_table_version, card_token, token_key_version, rrn,
    auth_code, amount_minor, currency, outcome, code, code_source, host_hint, tvr, tsi, cvm_result,
    capk_rid, capk_index, online_pin, read_ms, connect_ms, tls_ms, host_ms, total_ms, attempts,
    reversal_pending, network, signal_dbm, generation, app_version, firmware_version, table_miss,
    default_route, issuer_unknown, no_common_aid, key_missing, masked, standing, carried, software
    FROM result ORDER BY id;

DROP VIEW result_counted;
DROP TABLE result_duplicate;
DROP TABLE result;
ALTER TABLE new_duplicate RENAME TO result_duplicate;
CREATE INDEX result_duplicate_original ON result_duplicate (original);
ALTER TABLE new_result RENAME TO result;
CREATE UNIQUE INDEX result_key ON result (device, idempotency_key) WHERE idempotency_key <> x'';
CREATE INDEX result_at ON result (at_ms);
CREATE INDEX result_loose ON result (device, incarnation, seq)
    WHERE bound_ms = -1 OR bound_ms > 10000;
CREATE VIEW result_counted AS SELECT
    r.id, r.at_ms, r.standing, r.carried, r.software, r.acquirer, r.scheme, r.entry_mode AS entry,
    iif(length(CAST(r.issuer_bucket AS BLOB)) <= 24, r.issuer_bucket, '?') AS issuer,
    iif(length(r.generation) <= 8, r.generation, x'') AS generation,
    r.type, r.outcome, iif(length(CAST(r.code AS BLOB)) <= 4, r.code, '?') AS code, r.currency,
    coalesce(t.life = 'in_service', 0) AS in_service, 1 AS results,
    iif(r.amount_minor BETWEEN 0 AND 999999999999, r.amount_minor, 0) AS amount_minor
    FROM result r LEFT JOIN standing t ON t.id = r.standing;
