-- SPDX-License-Identifier: Apache-2.0
-- Of every three results two rows of sums are written, and each took as long as a third of a result:
-- up to nine columns are to be compared, and those of the row before to be read and written again.
-- The narrow sums are of the same few things hour by hour, so each of these gets a number, and what
-- a row is of becomes one: its bucket times 2^30, and that number.
CREATE TABLE rollup_key (
    id INTEGER PRIMARY KEY CHECK (id < 1073741824),
    name TEXT NOT NULL,                      -- the sums': 'code', 'software', 'entry', 'issuer'
    acquirer INTEGER NOT NULL,               -- what its sums have not is 0, or ''
    software INTEGER NOT NULL,
    scheme INTEGER NOT NULL,
    entry INTEGER NOT NULL,
    issuer TEXT NOT NULL,
    type INTEGER NOT NULL,
    outcome INTEGER NOT NULL,
    code TEXT NOT NULL,
    currency INTEGER NOT NULL,
    in_service INTEGER NOT NULL,
    hour INTEGER NOT NULL,                   -- since 1970; there are no sums of it that are later
    UNIQUE (name, acquirer, software, scheme, entry, issuer, type, outcome, code, currency,
        in_service)
) STRICT;
CREATE INDEX rollup_key_hour ON rollup_key (hour);
INSERT INTO rollup_key (name, acquirer, software, scheme, entry, issuer, type, outcome, code,
    currency, in_service, hour)
    SELECT name, acquirer, software, scheme, entry, issuer, type, outcome, code, currency,
        in_service, max(hour) FROM (
        SELECT 'code' AS name, acquirer, 0 AS software, 0 AS scheme, 0 AS entry, '' AS issuer,
            type, outcome, code, currency, in_service, bucket / 60 AS hour FROM rollup_code_minute
        UNION ALL SELECT 'code', acquirer, 0, 0, 0, '', type, outcome, code, currency, in_service,
            bucket FROM rollup_code_hour
        UNION ALL SELECT 'software', 0, software, 0, 0, '', type, outcome, code, currency,
            in_service, bucket FROM rollup_software_hour
        UNION ALL SELECT 'entry', 0, 0, scheme, entry, '', type, outcome, code, currency,
            in_service, bucket FROM rollup_entry_hour
        UNION ALL SELECT 'issuer', 0, 0, 0, 0, issuer, type, outcome, code, currency, in_service,
            bucket FROM rollup_issuer_hour)
    GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11;

CREATE TABLE rollup_code_minute_sum (
    id INTEGER PRIMARY KEY,
    results INTEGER NOT NULL,
    amount_minor ANY NOT NULL
) STRICT;
INSERT INTO rollup_code_minute_sum (id, results, amount_minor)
    SELECT (s.bucket << 30) + k.id, s.results, s.amount_minor FROM rollup_code_minute s
    JOIN rollup_key k ON (k.name, k.acquirer, k.software, k.scheme, k.entry, k.issuer, k.type,
        k.outcome, k.code, k.currency, k.in_service) = ('code', s.acquirer, 0, 0, 0, '', s.type,
        s.outcome, s.code, s.currency, s.in_service)
    ORDER BY 1;
DROP TABLE rollup_code_minute;
CREATE VIEW rollup_code_minute AS SELECT s.id, s.id >> 30 AS bucket, k.acquirer, k.type,
    k.outcome, k.code, k.currency, k.in_service, s.results, s.amount_minor
    FROM rollup_code_minute_sum s LEFT JOIN rollup_key k ON k.id = s.id & 1073741823;

CREATE TABLE rollup_code_hour_sum (
    id INTEGER PRIMARY KEY,
    results INTEGER NOT NULL,
    amount_minor ANY NOT NULL
) STRICT;
INSERT INTO rollup_code_hour_sum (id, results, amount_minor)
    SELECT (s.bucket << 30) + k.id, s.results, s.amount_minor FROM rollup_code_hour s
    JOIN rollup_key k ON (k.name, k.acquirer, k.software, k.scheme, k.entry, k.issuer, k.type,
        k.outcome, k.code, k.currency, k.in_service) = ('code', s.acquirer, 0, 0, 0, '', s.type,
        s.outcome, s.code, s.currency, s.in_service)
    ORDER BY 1;
DROP TABLE rollup_code_hour;
CREATE VIEW rollup_code_hour AS SELECT s.id, s.id >> 30 AS bucket, k.acquirer, k.type, k.outcome,
    k.code, k.currency, k.in_service, s.results, s.amount_minor
    FROM rollup_code_hour_sum s LEFT JOIN rollup_key k ON k.id = s.id & 1073741823;

CREATE TABLE rollup_software_hour_sum (
    id INTEGER PRIMARY KEY,
    results INTEGER NOT NULL,
    amount_minor ANY NOT NULL
) STRICT;
INSERT INTO rollup_software_hour_sum (id, results, amount_minor)
    SELECT (s.bucket << 30) + k.id, s.results, s.amount_minor FROM rollup_software_hour s
    JOIN rollup_key k ON (k.name, k.acquirer, k.software, k.scheme, k.entry, k.issuer, k.type,
        k.outcome, k.code, k.currency, k.in_service) = ('software', 0, s.software, 0, 0, '', s.type,
        s.outcome, s.code, s.currency, s.in_service)
    ORDER BY 1;
DROP TABLE rollup_software_hour;
CREATE VIEW rollup_software_hour AS SELECT s.id, s.id >> 30 AS bucket, k.software, k.type,
    k.outcome, k.code, k.currency, k.in_service, s.results, s.amount_minor
    FROM rollup_software_hour_sum s LEFT JOIN rollup_key k ON k.id = s.id & 1073741823;

CREATE TABLE rollup_entry_hour_sum (
    id INTEGER PRIMARY KEY,
    results INTEGER NOT NULL,
    amount_minor ANY NOT NULL
) STRICT;
INSERT INTO rollup_entry_hour_sum (id, results, amount_minor)
    SELECT (s.bucket << 30) + k.id, s.results, s.amount_minor FROM rollup_entry_hour s
    JOIN rollup_key k ON (k.name, k.acquirer, k.software, k.scheme, k.entry, k.issuer, k.type,
        k.outcome, k.code, k.currency, k.in_service) = ('entry', 0, 0, s.scheme, s.entry, '', s.type,
        s.outcome, s.code, s.currency, s.in_service)
    ORDER BY 1;
DROP TABLE rollup_entry_hour;
CREATE VIEW rollup_entry_hour AS SELECT s.id, s.id >> 30 AS bucket, k.scheme, k.entry, k.type,
    k.outcome, k.code, k.currency, k.in_service, s.results, s.amount_minor
    FROM rollup_entry_hour_sum s LEFT JOIN rollup_key k ON k.id = s.id & 1073741823;

CREATE TABLE rollup_issuer_hour_sum (
    id INTEGER PRIMARY KEY,
    results INTEGER NOT NULL,
    amount_minor ANY NOT NULL
) STRICT;
INSERT INTO rollup_issuer_hour_sum (id, results, amount_minor)
    SELECT (s.bucket << 30) + k.id, s.results, s.amount_minor FROM rollup_issuer_hour s
    JOIN rollup_key k ON (k.name, k.acquirer, k.software, k.scheme, k.entry, k.issuer, k.type,
        k.outcome, k.code, k.currency, k.in_service) = ('issuer', 0, 0, 0, 0, s.issuer, s.type,
        s.outcome, s.code, s.currency, s.in_service)
    ORDER BY 1;
DROP TABLE rollup_issuer_hour;
CREATE VIEW rollup_issuer_hour AS SELECT s.id, s.id >> 30 AS bucket, k.issuer, k.type, k.outcome,
    k.code, k.currency, k.in_service, s.results, s.amount_minor
    FROM rollup_issuer_hour_sum s LEFT JOIN rollup_key k ON k.id = s.id & 1073741823;
