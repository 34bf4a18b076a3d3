-- SPDX-License-Identifier: Apache-2.0
-- All sums of a fleet database anew, from its rows, whatever they were: for databases that tests
-- have changed by hand.
DELETE FROM rollup_code_minute_sum;
DELETE FROM rollup_code_hour_sum;
DELETE FROM rollup_software_hour_sum;
DELETE FROM rollup_entry_hour_sum;
DELETE FROM rollup_issuer_hour_sum;
DELETE FROM rollup_device_hour;
DELETE FROM rollup_key;
INSERT INTO rollup_key (name, acquirer, software, scheme, entry, issuer, type, outcome, code,
    currency, in_service, hour)
    SELECT 'code', acquirer, 0, 0, 0, '', type, outcome, code, currency, in_service, max(at_ms / 3600000)
    FROM result_counted GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11;
INSERT INTO rollup_key (name, acquirer, software, scheme, entry, issuer, type, outcome, code,
    currency, in_service, hour)
    SELECT 'software', 0, software, 0, 0, '', type, outcome, code, currency, in_service, max(at_ms / 3600000)
    FROM result_counted GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11;
INSERT INTO rollup_key (name, acquirer, software, scheme, entry, issuer, type, outcome, code,
    currency, in_service, hour)
    SELECT 'entry', 0, 0, scheme, entry, '', type, outcome, code, currency, in_service, max(at_ms / 3600000)
    FROM result_counted GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11;
INSERT INTO rollup_key (name, acquirer, software, scheme, entry, issuer, type, outcome, code,
    currency, in_service, hour)
    SELECT 'issuer', 0, 0, 0, 0, issuer, type, outcome, code, currency, in_service, max(at_ms / 3600000)
    FROM result_counted GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11;
INSERT INTO rollup_code_minute_sum (id, results, amount_minor)
    SELECT (r.at_ms / 60000 << 30) + k.id, sum(r.results), sum(r.amount_minor) FROM result_counted r
    JOIN rollup_key k ON (k.name, k.acquirer, k.software, k.scheme, k.entry, k.issuer, k.type,
        k.outcome, k.code, k.currency, k.in_service) = ('code', r.acquirer, 0, 0, 0, '', r.type, r.outcome,
        r.code, r.currency, r.in_service)
    GROUP BY 1;
INSERT INTO rollup_code_hour_sum (id, results, amount_minor)
    SELECT (r.at_ms / 3600000 << 30) + k.id, sum(r.results), sum(r.amount_minor) FROM result_counted r
    JOIN rollup_key k ON (k.name, k.acquirer, k.software, k.scheme, k.entry, k.issuer, k.type,
        k.outcome, k.code, k.currency, k.in_service) = ('code', r.acquirer, 0, 0, 0, '', r.type, r.outcome,
        r.code, r.currency, r.in_service)
    GROUP BY 1;
INSERT INTO rollup_software_hour_sum (id, results, amount_minor)
    SELECT (r.at_ms / 3600000 << 30) + k.id, sum(r.results), sum(r.amount_minor) FROM result_counted r
    JOIN rollup_key k ON (k.name, k.acquirer, k.software, k.scheme, k.entry, k.issuer, k.type,
        k.outcome, k.code, k.currency, k.in_service) = ('software', 0, r.software, 0, 0, '', r.type, r.outcome,
        r.code, r.currency, r.in_service)
    GROUP BY 1;
INSERT INTO rollup_entry_hour_sum (id, results, amount_minor)
    SELECT (r.at_ms / 3600000 << 30) + k.id, sum(r.results), sum(r.amount_minor) FROM result_counted r
    JOIN rollup_key k ON (k.name, k.acquirer, k.software, k.scheme, k.entry, k.issuer, k.type,
        k.outcome, k.code, k.currency, k.in_service) = ('entry', 0, 0, r.scheme, r.entry, '', r.type, r.outcome,
        r.code, r.currency, r.in_service)
    GROUP BY 1;
INSERT INTO rollup_issuer_hour_sum (id, results, amount_minor)
    SELECT (r.at_ms / 3600000 << 30) + k.id, sum(r.results), sum(r.amount_minor) FROM result_counted r
    JOIN rollup_key k ON (k.name, k.acquirer, k.software, k.scheme, k.entry, k.issuer, k.type,
        k.outcome, k.code, k.currency, k.in_service) = ('issuer', 0, 0, 0, 0, r.issuer, r.type, r.outcome,
        r.code, r.currency, r.in_service)
    GROUP BY 1;
INSERT INTO rollup_device_hour SELECT at_ms / 3600000, standing, carried, software, generation, type,
    outcome, code, currency, in_service, sum(results), sum(amount_minor)
    FROM result_counted GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10;
