-- SPDX-License-Identifier: Apache-2.0
-- Is each value of a result what it was when the table itself refused all others? The table says
-- nothing of types any more: who writes it does.
CREATE TEMP VIEW IF NOT EXISTS typed AS SELECT r.id, r.device,
    typeof(r.idempotency_key) || typeof(r.aid) || typeof(r.card_token) || typeof(r.tvr)
        || typeof(r.tsi) || typeof(r.cvm_result) || typeof(r.capk_rid) || typeof(r.generation) AS blobs,
    typeof(r.issuer_bucket) || typeof(r.rrn) || typeof(r.auth_code) || typeof(r.code)
        || typeof(r.app_version) || typeof(r.firmware_version) AS texts,
    typeof(r.device) || typeof(r.incarnation) || typeof(r.seq) || typeof(r.received_ms)
        || typeof(r.at_ms) || typeof(r.bound_ms) || typeof(r.digest) || typeof(r.wall_ms)
        || typeof(r.boot_ms) || typeof(r.terminal) || typeof(r.acquirer)
        || typeof(r.code_profile_version) || typeof(r.stan) || typeof(r.batch_number)
        || typeof(r.type) || typeof(r.entry_mode) || typeof(r.fallback) || typeof(r.scheme)
        || typeof(r.bin_table_version) || typeof(r.token_key_version) || typeof(r.amount_minor)
        || typeof(r.currency) || typeof(r.outcome) || typeof(r.code_source) || typeof(r.host_hint)
        || typeof(r.capk_index) || typeof(r.online_pin) || typeof(r.read_ms)
        || typeof(r.connect_ms) || typeof(r.tls_ms) || typeof(r.host_ms) || typeof(r.total_ms)
        || typeof(r.attempts) || typeof(r.reversal_pending) || typeof(r.network)
        || typeof(r.signal_dbm) || typeof(r.table_miss) || typeof(r.default_route)
        || typeof(r.issuer_unknown) || typeof(r.no_common_aid) || typeof(r.key_missing)
        || typeof(r.masked) || typeof(r.standing) || typeof(r.carried) || typeof(r.software) AS integers
    FROM place.result r;
INSERT INTO untyped SELECT printf('result %d of %s: a value of another type', t.id, d.name)
    FROM typed t JOIN place.device d ON d.id = t.device
    WHERE t.blobs <> replace(hex(zeroblob(8)), '00', 'blob')
        OR t.texts <> replace(hex(zeroblob(6)), '00', 'text')
        OR t.integers <> replace(hex(zeroblob(45)), '00', 'integer');
-- A new column is to be looked at, too.
INSERT INTO untyped SELECT printf('a result has %d columns, not 60', count(*))
    FROM pragma_table_info('result', 'place') HAVING count(*) <> 60;
