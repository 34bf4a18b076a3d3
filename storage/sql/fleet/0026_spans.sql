-- SPDX-License-Identifier: Apache-2.0
-- The index by time took a twentieth of all that the collector does, and where results come late, as
-- from many terminals that were cut off, most of what it writes: each falls into another page. What
-- follows one another mostly is of one quarter of an hour, so one row says it of all of that.

-- All results of a quarter of an hour (bucket: since 1970) lie among these rows; each of them in one
-- span only. Rows in between that are of another one by now, or not there any more, are passed over.
CREATE TABLE result_span (
    bucket INTEGER NOT NULL,
    first_row INTEGER NOT NULL,
    last_row INTEGER NOT NULL,
    PRIMARY KEY (bucket, first_row)
) STRICT, WITHOUT ROWID;
-- A span begins where the row before is missing or of another quarter, and ends with the last row
-- before the next one begins.
INSERT INTO result_span (bucket, first_row, last_row)
    SELECT bucket, first_row, (SELECT max(id) FROM result WHERE id < next)
    FROM (SELECT bucket, first_row,
        lead(first_row, 1, 9223372036854775807) OVER (ORDER BY first_row) AS next
        FROM (SELECT r.id AS first_row, r.at_ms / 900000 AS bucket FROM result r
            LEFT JOIN result b ON b.id = r.id - 1
            WHERE b.id IS NULL OR b.at_ms / 900000 <> r.at_ms / 900000));
DROP INDEX result_at;
