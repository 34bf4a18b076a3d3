-- SPDX-License-Identifier: Apache-2.0
-- A terminal that sends other content under ids that are held, again and again, does not fill the
-- database: of a device and lane so many rows are kept at a time, and each goes with its record.

-- How many contents were sent under ids that held another.
CREATE TABLE conflict_sum (
    device INTEGER NOT NULL REFERENCES device (id),
    lane INTEGER NOT NULL,
    kept INTEGER NOT NULL,                   -- rows of conflict
    gone INTEGER NOT NULL DEFAULT 0,         -- rows that were
    beyond INTEGER NOT NULL DEFAULT 0,       -- sendings for which there was no room
    PRIMARY KEY (device, lane)
) STRICT, WITHOUT ROWID;
INSERT INTO conflict_sum (device, lane, kept) SELECT device, lane, count(*) FROM conflict
    GROUP BY device, lane;
CREATE TRIGGER conflict_comes AFTER INSERT ON conflict BEGIN
    INSERT INTO conflict_sum (device, lane, kept) VALUES (new.device, new.lane, 1)
        ON CONFLICT DO UPDATE SET kept = kept + 1;
END;
CREATE TRIGGER conflict_goes AFTER DELETE ON conflict BEGIN
    UPDATE conflict_sum SET kept = kept - 1, gone = gone + 1
        WHERE device = old.device AND lane = old.lane;
END;

-- The one that was given up first makes room for a new one.
CREATE INDEX conflict_settled ON conflict (device, lane, settled_ms) WHERE settled_ms > 0;

CREATE TRIGGER result_goes AFTER DELETE ON result BEGIN
    DELETE FROM conflict WHERE device = old.device AND incarnation = old.incarnation AND lane = 1
        AND seq = old.seq;
END;
CREATE TRIGGER result_duplicate_goes AFTER DELETE ON result_duplicate BEGIN
    DELETE FROM conflict WHERE device = old.device AND incarnation = old.incarnation AND lane = 1
        AND seq = old.seq;
END;
CREATE TRIGGER event_goes AFTER DELETE ON event BEGIN
    DELETE FROM conflict WHERE device = old.device AND incarnation = old.incarnation AND lane = 2
        AND seq = old.seq;
END;
CREATE TRIGGER health_goes AFTER DELETE ON health BEGIN
    DELETE FROM conflict WHERE device = old.device AND incarnation = old.incarnation AND lane = 3
        AND seq = old.seq;
END;
