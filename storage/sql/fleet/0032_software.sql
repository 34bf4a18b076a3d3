-- SPDX-License-Identifier: Apache-2.0
-- A terminal that says something else of its software with each result does not fill the database:
-- so many firmwares and applications of a device are told apart at a time, the others are '?'.
CREATE TABLE device_software (
    device INTEGER NOT NULL REFERENCES device (id),
    software INTEGER NOT NULL REFERENCES software (id),
    used_ms INTEGER NOT NULL,                -- a result of it came last then, to the day
    PRIMARY KEY (device, software)
) STRICT, WITHOUT ROWID;
INSERT INTO device_software (device, software, used_ms)
    SELECT t.device, h.software, max(h.bucket) * 3600000
    FROM rollup_device_hour h JOIN standing t ON t.id = h.standing
        JOIN software s ON s.id = h.software GROUP BY t.device, h.software;
