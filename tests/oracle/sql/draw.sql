-- SPDX-License-Identifier: Apache-2.0
-- When everything has been read.
INSERT INTO given
    SELECT device, incarnation, lane, max(last) FROM (
        SELECT device, incarnation, lane, last FROM spool_stream
        UNION ALL SELECT device, incarnation, lane, last FROM fleet_stream
        UNION ALL SELECT device, incarnation, lane, last FROM reached
        UNION ALL SELECT device, incarnation, lane, last FROM lost
        UNION ALL SELECT device, incarnation, lane, last FROM closed
        UNION ALL SELECT device, incarnation, lane, seq FROM held
        UNION ALL SELECT device, incarnation, 1, seq FROM answered)
    GROUP BY device, incarnation, lane;
INSERT OR IGNORE INTO edge SELECT device, incarnation, lane, 1 FROM given;
INSERT OR IGNORE INTO edge SELECT device, incarnation, lane, first FROM acked;
INSERT OR IGNORE INTO edge SELECT device, incarnation, lane, last + 1 FROM acked;
INSERT OR IGNORE INTO edge SELECT device, incarnation, lane, first FROM reached;
INSERT OR IGNORE INTO edge SELECT device, incarnation, lane, last + 1 FROM reached;
INSERT OR IGNORE INTO edge SELECT device, incarnation, lane, first FROM lost;
INSERT OR IGNORE INTO edge SELECT device, incarnation, lane, last + 1 FROM lost;
INSERT OR IGNORE INTO edge SELECT device, incarnation, lane, last + 1 FROM closed;
INSERT OR IGNORE INTO edge SELECT device, incarnation, lane, seq + 1 FROM held;
INSERT OR IGNORE INTO edge SELECT device, incarnation, lane, seq + 1 FROM stored;
