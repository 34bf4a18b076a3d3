-- SPDX-License-Identifier: Apache-2.0
-- What a terminal's line costs, and what it asks of the fleet to keep that low.

-- No more than one receipt in so many seconds, as the newest hello says; 0: at once.
ALTER TABLE device ADD COLUMN receipt_pace_s INTEGER NOT NULL DEFAULT 0;

-- A health record may sum up several samples; its other values are those of the newest.
ALTER TABLE health ADD COLUMN samples INTEGER NOT NULL DEFAULT 0;
ALTER TABLE health ADD COLUMN signal_min_dbm INTEGER NOT NULL DEFAULT 0;
ALTER TABLE health ADD COLUMN temperature_max_mc INTEGER NOT NULL DEFAULT 0;
ALTER TABLE health ADD COLUMN memory_min_bytes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE health ADD COLUMN load_max_permille INTEGER NOT NULL DEFAULT 0;

-- Bytes on the line since the month began, both ways: on IP, and of that MQTT payload.
ALTER TABLE health ADD COLUMN traffic_month INTEGER NOT NULL DEFAULT 0; -- 202611; 0: since install
ALTER TABLE health ADD COLUMN traffic_bytes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE health ADD COLUMN traffic_payload_bytes INTEGER NOT NULL DEFAULT 0;
