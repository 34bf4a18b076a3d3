-- SPDX-License-Identifier: Apache-2.0
-- How often what happened. Each result is stamped with where its device stood, which logical
-- terminal it carried and which software it ran at the moment of the sale; and a few narrow tables
-- hold sums over results, kept in the transaction that adds, moves or removes a result, so that
-- they always say what the rows say.

-- What a device ran, as its results tell; the model is the device's own.
CREATE TABLE software (
    id INTEGER PRIMARY KEY,
    model TEXT NOT NULL,
    firmware TEXT NOT NULL,
    app TEXT NOT NULL,
    UNIQUE (model, firmware, app)
) STRICT;

ALTER TABLE result ADD COLUMN standing INTEGER NOT NULL DEFAULT 0;
ALTER TABLE result ADD COLUMN carried INTEGER NOT NULL DEFAULT 0;   -- of device_terminal, 0: none
ALTER TABLE result ADD COLUMN software INTEGER NOT NULL DEFAULT 0;

INSERT INTO software (model, firmware, app)
    SELECT DISTINCT d.model, r.firmware_version, r.app_version
    FROM result r JOIN device d ON d.id = r.device;
UPDATE result SET
    standing = coalesce(
        (SELECT t.id FROM standing t WHERE t.device = result.device AND t.from_ms <= result.at_ms
            ORDER BY t.from_ms DESC, t.id DESC LIMIT 1),
        (SELECT t.id FROM standing t WHERE t.device = result.device
            ORDER BY t.from_ms, t.id LIMIT 1)),
    carried = coalesce(
        (SELECT iif(c.to_ms IS NULL OR c.to_ms > result.at_ms, c.id, 0) FROM device_terminal c
            WHERE c.device = result.device AND c.slot = result.terminal
            AND c.from_ms <= result.at_ms AND (c.to_ms IS NULL OR c.to_ms > c.from_ms)
            ORDER BY c.from_ms DESC, c.id DESC LIMIT 1),
        (SELECT iif(EXISTS (SELECT 1 FROM device_terminal o
                WHERE o.logical_terminal = c.logical_terminal AND o.from_ms < c.from_ms), 0, c.id)
            FROM device_terminal c
            WHERE c.device = result.device AND c.slot = result.terminal
            AND (c.to_ms IS NULL OR c.to_ms > c.from_ms) ORDER BY c.from_ms, c.id LIMIT 1),
        0),
    software = (SELECT s.id FROM software s JOIN device d ON d.id = result.device
        WHERE (s.model, s.firmware, s.app)
            = (d.model, result.firmware_version, result.app_version));

-- A result as the sums see it. DE 4 has twelve digits: more is nobody's amount. Texts are as short
-- as the contract has them; a longer one is no word that anybody asks for.
CREATE VIEW result_counted AS SELECT
    r.id, r.at_ms, r.standing, r.carried, r.software, r.acquirer, r.scheme, r.entry_mode AS entry,
    iif(length(CAST(r.issuer_bucket AS BLOB)) <= 24, r.issuer_bucket, '?') AS issuer,
    iif(length(r.generation) <= 8, r.generation, x'') AS generation,
    r.type, r.outcome, iif(length(CAST(r.code AS BLOB)) <= 4, r.code, '?') AS code, r.currency,
    coalesce(t.life = 'in_service', 0) AS in_service, 1 AS results,
    iif(r.amount_minor BETWEEN 0 AND 999999999999, r.amount_minor, 0) AS amount_minor
    FROM result r LEFT JOIN standing t ON t.id = r.standing;

-- All sums hold type, outcome, code, currency and whether the device was in service. bucket is the
-- minute, or the hour, since 1970. amount_minor stays a whole number as long as that is exact: no
-- sender can make it overflow.

-- Which codes, of which acquirer, now and at any time?
CREATE TABLE rollup_code_minute (
    bucket INTEGER NOT NULL,
    acquirer INTEGER NOT NULL,
    type INTEGER NOT NULL,
    outcome INTEGER NOT NULL,
    code TEXT NOT NULL,
    currency INTEGER NOT NULL,
    in_service INTEGER NOT NULL,
    results INTEGER NOT NULL,
    amount_minor ANY NOT NULL,
    PRIMARY KEY (bucket, acquirer, type, outcome, code, currency, in_service)
) STRICT, WITHOUT ROWID;
CREATE TABLE rollup_code_hour (
    bucket INTEGER NOT NULL,
    acquirer INTEGER NOT NULL,
    type INTEGER NOT NULL,
    outcome INTEGER NOT NULL,
    code TEXT NOT NULL,
    currency INTEGER NOT NULL,
    in_service INTEGER NOT NULL,
    results INTEGER NOT NULL,
    amount_minor ANY NOT NULL,
    PRIMARY KEY (bucket, acquirer, type, outcome, code, currency, in_service)
) STRICT, WITHOUT ROWID;

-- Whose cards?
CREATE TABLE rollup_issuer_hour (
    bucket INTEGER NOT NULL,
    issuer TEXT NOT NULL,
    type INTEGER NOT NULL,
    outcome INTEGER NOT NULL,
    code TEXT NOT NULL,
    currency INTEGER NOT NULL,
    in_service INTEGER NOT NULL,
    results INTEGER NOT NULL,
    amount_minor ANY NOT NULL,
    PRIMARY KEY (bucket, issuer, type, outcome, code, currency, in_service)
) STRICT, WITHOUT ROWID;

-- Of which scheme, and how were they read?
CREATE TABLE rollup_entry_hour (
    bucket INTEGER NOT NULL,
    scheme INTEGER NOT NULL,
    entry INTEGER NOT NULL,
    type INTEGER NOT NULL,
    outcome INTEGER NOT NULL,
    code TEXT NOT NULL,
    currency INTEGER NOT NULL,
    in_service INTEGER NOT NULL,
    results INTEGER NOT NULL,
    amount_minor ANY NOT NULL,
    PRIMARY KEY (bucket, scheme, entry, type, outcome, code, currency, in_service)
) STRICT, WITHOUT ROWID;

-- Which model, firmware, application?
CREATE TABLE rollup_software_hour (
    bucket INTEGER NOT NULL,
    software INTEGER NOT NULL,
    type INTEGER NOT NULL,
    outcome INTEGER NOT NULL,
    code TEXT NOT NULL,
    currency INTEGER NOT NULL,
    in_service INTEGER NOT NULL,
    results INTEGER NOT NULL,
    amount_minor ANY NOT NULL,
    PRIMARY KEY (bucket, software, type, outcome, code, currency, in_service)
) STRICT, WITHOUT ROWID;

-- Which device, logical terminal, store, merchant, region, state of life; and on any of them, which
-- software and which generation of its documents?
CREATE TABLE rollup_device_hour (
    bucket INTEGER NOT NULL,
    standing INTEGER NOT NULL,
    carried INTEGER NOT NULL,
    software INTEGER NOT NULL,
    generation BLOB NOT NULL,
    type INTEGER NOT NULL,
    outcome INTEGER NOT NULL,
    code TEXT NOT NULL,
    currency INTEGER NOT NULL,
    in_service INTEGER NOT NULL,
    results INTEGER NOT NULL,
    amount_minor ANY NOT NULL,
    PRIMARY KEY (bucket, standing, carried, software, generation, type, outcome, code, currency,
        in_service)
) STRICT, WITHOUT ROWID;

INSERT INTO rollup_code_minute SELECT at_ms / 60000, acquirer, type, outcome, code, currency,
    in_service, sum(results), sum(amount_minor) FROM result_counted GROUP BY 1, 2, 3, 4, 5, 6, 7;
INSERT INTO rollup_code_hour SELECT at_ms / 3600000, acquirer, type, outcome, code, currency,
    in_service, sum(results), sum(amount_minor) FROM result_counted GROUP BY 1, 2, 3, 4, 5, 6, 7;
INSERT INTO rollup_issuer_hour SELECT at_ms / 3600000, issuer, type, outcome, code, currency,
    in_service, sum(results), sum(amount_minor) FROM result_counted GROUP BY 1, 2, 3, 4, 5, 6, 7;
INSERT INTO rollup_entry_hour SELECT at_ms / 3600000, scheme, entry, type, outcome, code, currency,
    in_service, sum(results), sum(amount_minor) FROM result_counted GROUP BY 1, 2, 3, 4, 5, 6, 7, 8;
INSERT INTO rollup_software_hour SELECT at_ms / 3600000, software, type, outcome, code, currency,
    in_service, sum(results), sum(amount_minor) FROM result_counted GROUP BY 1, 2, 3, 4, 5, 6, 7;
INSERT INTO rollup_device_hour SELECT at_ms / 3600000, standing, carried, software, generation,
    type, outcome, code, currency, in_service, sum(results), sum(amount_minor)
    FROM result_counted GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10;
