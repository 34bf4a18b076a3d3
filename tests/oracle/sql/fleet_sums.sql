-- SPDX-License-Identifier: Apache-2.0
-- Do the fleet's sums over results say what its rows say, and do the rows say where their devices
-- stood at that moment? What goes by age is compared from when on both are whole.
CREATE TEMP VIEW IF NOT EXISTS whole AS SELECT
    max(0, coalesce((SELECT whole_from_ms FROM place.kept WHERE kind = 'results'), 0),
        coalesce((SELECT whole_from_ms FROM place.kept WHERE kind = 'sums_minute'), 0)) AS minutes_ms,
    max(0, coalesce((SELECT whole_from_ms FROM place.kept WHERE kind = 'results'), 0),
        coalesce((SELECT whole_from_ms FROM place.kept WHERE kind = 'sums_hour'), 0)) AS hours_ms;
INSERT INTO sale SELECT r.at_ms / 60000, r.at_ms / 3600000, r.acquirer, r.scheme, r.entry_mode,
    CASE WHEN length(CAST(r.issuer_bucket AS BLOB)) > 24 THEN '?' ELSE r.issuer_bucket END,
    r.standing, r.carried, r.software,
    CASE WHEN length(r.generation) > 8 THEN x'' ELSE r.generation END, r.type, r.outcome,
    CASE WHEN length(CAST(r.code AS BLOB)) > 4 THEN '?' ELSE r.code END, r.currency,
    EXISTS (SELECT 1 FROM place.standing t WHERE t.id = r.standing AND t.life = 'in_service'),
    CASE WHEN r.amount_minor < 0 OR r.amount_minor > 999999999999 THEN 0 ELSE r.amount_minor END
    FROM place.result r WHERE r.software <> -1;
-- Beyond what its terminal may tell of within an hour.
INSERT INTO sale SELECT r.at_ms / 60000, r.at_ms / 3600000, 0, 0, 0, '?', r.standing, r.carried, -1,
    x'', 0, CASE WHEN r.outcome IN (0, 1, 2, 3, 4, 5) THEN r.outcome ELSE 0 END, '?', 0,
    EXISTS (SELECT 1 FROM place.standing t WHERE t.id = r.standing AND t.life = 'in_service'), 0
    FROM place.result r WHERE r.software = -1;
INSERT INTO unsummed SELECT printf('result %d of %s stood elsewhere', r.id, d.name)
    FROM place.result r JOIN place.device d ON d.id = r.device
    WHERE NOT EXISTS (SELECT 1 FROM place.standing t WHERE t.id = r.standing
        AND t.device = r.device AND (t.to_ms IS NULL OR r.at_ms < t.to_ms)
        AND (t.from_ms <= r.at_ms
            OR t.from_ms = (SELECT min(f.from_ms) FROM place.standing f WHERE f.device = r.device)));
INSERT INTO unsummed
    WITH rows AS (SELECT minute AS bucket, acquirer, type, outcome, code, currency, in_service,
        count(*), sum(amount) FROM sale
        WHERE minute >= (SELECT minutes_ms / 60000 FROM whole) GROUP BY 1, 2, 3, 4, 5, 6, 7),
    sums AS (SELECT bucket, acquirer, type, outcome, code, currency, in_service,
        results, amount_minor FROM place.rollup_code_minute
        WHERE bucket >= (SELECT minutes_ms / 60000 FROM whole))
    SELECT printf('rollup_code_minute %d code %s', bucket, code)
    FROM (SELECT * FROM rows EXCEPT SELECT * FROM sums)
    UNION ALL SELECT printf('rollup_code_minute %d code %s, of no rows', bucket, code)
    FROM (SELECT * FROM sums EXCEPT SELECT * FROM rows);
INSERT INTO unsummed
    WITH rows AS (SELECT hour AS bucket, acquirer, type, outcome, code, currency, in_service,
        count(*), sum(amount) FROM sale
        WHERE hour >= (SELECT hours_ms / 3600000 FROM whole) GROUP BY 1, 2, 3, 4, 5, 6, 7),
    sums AS (SELECT bucket, acquirer, type, outcome, code, currency, in_service,
        results, amount_minor FROM place.rollup_code_hour
        WHERE bucket >= (SELECT hours_ms / 3600000 FROM whole))
    SELECT printf('rollup_code_hour %d code %s', bucket, code)
    FROM (SELECT * FROM rows EXCEPT SELECT * FROM sums)
    UNION ALL SELECT printf('rollup_code_hour %d code %s, of no rows', bucket, code)
    FROM (SELECT * FROM sums EXCEPT SELECT * FROM rows);
INSERT INTO unsummed
    WITH rows AS (SELECT hour AS bucket, issuer, type, outcome, code, currency, in_service,
        count(*), sum(amount) FROM sale
        WHERE hour >= (SELECT hours_ms / 3600000 FROM whole) GROUP BY 1, 2, 3, 4, 5, 6, 7),
    sums AS (SELECT bucket, issuer, type, outcome, code, currency, in_service,
        results, amount_minor FROM place.rollup_issuer_hour
        WHERE bucket >= (SELECT hours_ms / 3600000 FROM whole))
    SELECT printf('rollup_issuer_hour %d code %s', bucket, code)
    FROM (SELECT * FROM rows EXCEPT SELECT * FROM sums)
    UNION ALL SELECT printf('rollup_issuer_hour %d code %s, of no rows', bucket, code)
    FROM (SELECT * FROM sums EXCEPT SELECT * FROM rows);
INSERT INTO unsummed
    WITH rows AS (SELECT hour AS bucket, scheme, entry, type, outcome, code, currency, in_service,
        count(*), sum(amount) FROM sale
        WHERE hour >= (SELECT hours_ms / 3600000 FROM whole) GROUP BY 1, 2, 3, 4, 5, 6, 7, 8),
    sums AS (SELECT bucket, scheme, entry, type, outcome, code, currency, in_service,
        results, amount_minor FROM place.rollup_entry_hour
        WHERE bucket >= (SELECT hours_ms / 3600000 FROM whole))
    SELECT printf('rollup_entry_hour %d code %s', bucket, code)
    FROM (SELECT * FROM rows EXCEPT SELECT * FROM sums)
    UNION ALL SELECT printf('rollup_entry_hour %d code %s, of no rows', bucket, code)
    FROM (SELECT * FROM sums EXCEPT SELECT * FROM rows);
INSERT INTO unsummed
    WITH rows AS (SELECT hour AS bucket, software, type, outcome, code, currency, in_service,
        count(*), sum(amount) FROM sale
        WHERE hour >= (SELECT hours_ms / 3600000 FROM whole) GROUP BY 1, 2, 3, 4, 5, 6, 7),
    sums AS (SELECT bucket, software, type, outcome, code, currency, in_service,
        results, amount_minor FROM place.rollup_software_hour
        WHERE bucket >= (SELECT hours_ms / 3600000 FROM whole))
    SELECT printf('rollup_software_hour %d code %s', bucket, code)
    FROM (SELECT * FROM rows EXCEPT SELECT * FROM sums)
    UNION ALL SELECT printf('rollup_software_hour %d code %s, of no rows', bucket, code)
    FROM (SELECT * FROM sums EXCEPT SELECT * FROM rows);
INSERT INTO unsummed
    WITH rows AS (SELECT hour AS bucket, standing, carried, software, generation,
        type, outcome, code, currency, in_service,
        count(*), sum(amount) FROM sale
        WHERE hour >= (SELECT hours_ms / 3600000 FROM whole) GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10),
    sums AS (SELECT bucket, standing, carried, software, generation,
        type, outcome, code, currency, in_service,
        results, amount_minor FROM place.rollup_device_hour
        WHERE bucket >= (SELECT hours_ms / 3600000 FROM whole))
    SELECT printf('rollup_device_hour %d code %s', bucket, code)
    FROM (SELECT * FROM rows EXCEPT SELECT * FROM sums)
    UNION ALL SELECT printf('rollup_device_hour %d code %s, of no rows', bucket, code)
    FROM (SELECT * FROM sums EXCEPT SELECT * FROM rows);
DELETE FROM sale;
