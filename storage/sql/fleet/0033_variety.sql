-- SPDX-License-Identifier: Apache-2.0
-- A terminal that tells of another code, issuer or anything else with each result does not make a
-- row of each sum of it: software -1 says that the result is beyond what its terminal may tell of
-- within an hour, and counts by where, when and how it ended alone. The row itself says what was told.
DROP VIEW result_counted;
CREATE VIEW result_counted AS SELECT
    r.id, r.at_ms, r.standing, r.carried, r.software,
    iif(r.software < 0, 0, r.acquirer) AS acquirer, iif(r.software < 0, 0, r.scheme) AS scheme,
    iif(r.software < 0, 0, r.entry_mode) AS entry,
    iif(r.software < 0 OR length(CAST(r.issuer_bucket AS BLOB)) > 24, '?', r.issuer_bucket) AS issuer,
    iif(r.software < 0 OR length(r.generation) > 8, x'', r.generation) AS generation,
    iif(r.software < 0, 0, r.type) AS type,
    iif(r.software < 0 AND r.outcome > 5, 0, r.outcome) AS outcome,
    iif(r.software < 0 OR length(CAST(r.code AS BLOB)) > 4, '?', r.code) AS code,
    iif(r.software < 0, 0, r.currency) AS currency,
    coalesce(t.life = 'in_service', 0) AS in_service, 1 AS results,
    iif(r.software >= 0 AND r.amount_minor BETWEEN 0 AND 999999999999, r.amount_minor, 0)
        AS amount_minor
    FROM result r LEFT JOIN standing t ON t.id = r.standing;
