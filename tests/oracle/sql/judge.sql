-- SPDX-License-Identifier: Apache-2.0
-- The questions: judge_NAME for every figure of figures.def. Those that must be 0 give a row with a
-- text for each finding, the others one row with the count.

-- Every place where a gap could begin, and what is there. lost_fleet: as the fleet has it, and so on.
CREATE VIEW spot AS SELECT e.*,
    printf('%s incarnation %016llx lane %d seq %lld', device, incarnation, lane, seq) AS named,
    EXISTS (SELECT 1 FROM held x WHERE (x.device, x.incarnation, x.lane, x.seq)
        = (e.device, e.incarnation, e.lane, e.seq)) AS is_held,
    EXISTS (SELECT 1 FROM stored x WHERE (x.device, x.incarnation, x.lane, x.seq)
        = (e.device, e.incarnation, e.lane, e.seq)) AS is_stored,
    EXISTS (SELECT 1 FROM acked x WHERE (x.device, x.incarnation, x.lane)
        = (e.device, e.incarnation, e.lane) AND e.seq BETWEEN x.first AND x.last) AS is_acked,
    EXISTS (SELECT 1 FROM committed x WHERE (x.device, x.incarnation, x.lane)
        = (e.device, e.incarnation, e.lane) AND e.seq BETWEEN x.first AND x.last) AS is_committed,
    EXISTS (SELECT 1 FROM arrived x WHERE (x.device, x.incarnation, x.lane)
        = (e.device, e.incarnation, e.lane) AND e.seq BETWEEN x.first AND x.last) AS is_arrived,
    EXISTS (SELECT 1 FROM closed x WHERE (x.device, x.incarnation, x.lane)
        = (e.device, e.incarnation, e.lane) AND e.seq <= x.last) AS is_closed,
    EXISTS (SELECT 1 FROM lost x WHERE (x.device, x.incarnation, x.lane)
        = (e.device, e.incarnation, e.lane) AND e.seq BETWEEN x.first AND x.last
        AND x.side = 'spool') AS is_lost_spool,
    EXISTS (SELECT 1 FROM lost x WHERE (x.device, x.incarnation, x.lane)
        = (e.device, e.incarnation, e.lane) AND e.seq BETWEEN x.first AND x.last
        AND x.side = 'fleet') AS is_lost_fleet
    FROM edge e;

-- Every answer, and what has become of it.
CREATE VIEW promise AS SELECT a.*,
    printf('%s key %s incarnation %016llx seq %lld', device, hex(key), incarnation, seq) AS named,
    EXISTS (SELECT 1 FROM result x WHERE (x.device, x.key) = (a.device, a.key)) AS in_fleet,
    EXISTS (SELECT 1 FROM held x WHERE (x.device, x.key) = (a.device, a.key) AND x.lane = 1)
        AS in_spool,
    EXISTS (SELECT 1 FROM arrived x WHERE (x.device, x.incarnation, x.lane)
        = (a.device, a.incarnation, 1) AND a.seq BETWEEN x.first AND x.last) AS is_arrived,
    EXISTS (SELECT 1 FROM lost x WHERE (x.device, x.incarnation, x.lane)
        = (a.device, a.incarnation, 1) AND a.seq BETWEEN x.first AND x.last AND x.reason <> 7)
        -- judge_claimed sees to it that a closed stream lacks as many rows as it says are lost
        OR EXISTS (SELECT 1 FROM closed x WHERE (x.device, x.incarnation, x.lane)
        = (a.device, a.incarnation, 1) AND a.seq <= x.last) AS is_declared,
    EXISTS (SELECT 1 FROM lost x WHERE (x.device, x.incarnation, x.lane)
        = (a.device, a.incarnation, 1) AND a.seq BETWEEN x.first AND x.last AND x.reason = 7)
        AS is_unknown
    FROM answered a;

-- Every result that a database holds, beside what was submitted under its key.
CREATE VIEW copy AS SELECT c.*, s.key IS NOT NULL AS is_submitted,
    (c.stan, c.amount, c.code) IS (s.stan, s.amount, s.code) AS is_same,
    printf('%s key %s in the %s, incarnation %016llx seq %lld', c.device, hex(c.key), c.place,
        c.incarnation, c.seq) AS named
    FROM (SELECT 'fleet' AS place, device, key, incarnation, seq, stan, amount, code FROM result
        UNION ALL
        SELECT 'spool', device, key, incarnation, seq, stan, amount, code FROM held WHERE lane = 1) c
    LEFT JOIN submitted s USING (device, key);

-- ---- how it stands ----

CREATE VIEW judge_submitted AS SELECT count(*) FROM submitted;
CREATE VIEW judge_answered AS SELECT count(*) FROM (SELECT DISTINCT device, key FROM answered);
CREATE VIEW judge_committed AS SELECT count(*) FROM submitted s
    WHERE EXISTS (SELECT 1 FROM result r WHERE (r.device, r.key) = (s.device, s.key));
CREATE VIEW judge_buffered AS SELECT count(*) FROM (SELECT DISTINCT device, key FROM held h
    WHERE lane = 1
    AND NOT EXISTS (SELECT 1 FROM result r WHERE (r.device, r.key) = (h.device, h.key))
    AND NOT EXISTS (SELECT 1 FROM lost x WHERE (x.device, x.incarnation, x.lane)
        = (h.device, h.incarnation, 1) AND h.seq BETWEEN x.first AND x.last));
CREATE VIEW judge_declared AS SELECT count(*) FROM (SELECT DISTINCT device, key FROM promise
    WHERE is_declared AND NOT in_fleet);
CREATE VIEW judge_unknown AS SELECT count(*) FROM (SELECT DISTINCT device, key FROM promise
    WHERE is_unknown AND NOT is_declared AND NOT in_fleet);
CREATE VIEW judge_repeated AS
    WITH ids AS (SELECT device, key, incarnation, seq FROM copy
        UNION SELECT device, key, incarnation, seq FROM answered)
    SELECT (SELECT count(*) FROM ids)
        - (SELECT count(*) FROM (SELECT DISTINCT device, key FROM ids))
        + (SELECT count(*) FROM stored s WHERE second AND NOT EXISTS (SELECT 1 FROM ids i
            WHERE (i.device, i.incarnation, i.seq) = (s.device, s.incarnation, s.seq)));

-- ---- what must not be ----

CREATE VIEW judge_lost AS SELECT named FROM promise
    WHERE NOT (in_fleet OR in_spool OR is_arrived OR is_declared OR is_unknown);
CREATE VIEW judge_doubled AS
    SELECT named FROM copy WHERE place = 'fleet' GROUP BY device, key HAVING count(*) > 1
    UNION ALL
    SELECT printf('%s incarnation %016llx lane %d seq %lld twice in the %s', device, incarnation,
        lane, seq, place)
    FROM (SELECT 'fleet' AS place, device, incarnation, lane, seq FROM stored
        UNION ALL SELECT 'spool', device, incarnation, lane, seq FROM held)
    GROUP BY place, device, incarnation, lane, seq HAVING count(*) > 1;
CREATE VIEW judge_altered AS SELECT named FROM copy WHERE is_submitted AND NOT is_same;
CREATE VIEW judge_invented AS SELECT named FROM copy WHERE NOT is_submitted;
-- A spool that was destroyed has forgotten the first answer.
CREATE VIEW judge_reanswered AS SELECT named FROM promise WHERE NOT is_unknown
    GROUP BY device, key HAVING count(*) > 1;

CREATE VIEW judge_vanished AS SELECT named
    FROM spot JOIN spool_stream USING (device, incarnation, lane)
    WHERE seq <= last AND NOT (is_held OR is_acked OR is_lost_spool);
CREATE VIEW judge_damaged AS
    SELECT printf('%s incarnation %016llx lane %d seq %lld', device, incarnation, lane, seq)
    FROM damaged d
    WHERE NOT EXISTS (SELECT 1 FROM acked x WHERE (x.device, x.incarnation, x.lane)
        = (d.device, d.incarnation, d.lane) AND d.seq BETWEEN x.first AND x.last)
    AND NOT EXISTS (SELECT 1 FROM lost x WHERE (x.device, x.incarnation, x.lane)
        = (d.device, d.incarnation, d.lane) AND d.seq BETWEEN x.first AND x.last);

-- Of a device whose spool was not given nobody knows what it holds.
CREATE VIEW judge_holes AS SELECT named
    FROM spot JOIN given USING (device, incarnation, lane) JOIN spool USING (device)
    WHERE seq <= last
    AND NOT (is_held OR is_stored OR is_committed OR is_arrived OR is_closed OR is_lost_spool
        OR is_lost_fleet);
CREATE VIEW judge_claimed AS SELECT named FROM spot
    WHERE is_committed AND NOT (is_stored OR is_lost_fleet)
    UNION ALL
    SELECT printf('%s incarnation %016llx lane %d is closed with %lld seqs, %lld of them lost, and'
        || ' %lld rows', device, incarnation, lane, last, lost, rows)
    FROM (SELECT c.*, (SELECT count(DISTINCT s.seq) FROM stored s
            WHERE (s.device, s.incarnation, s.lane) = (c.device, c.incarnation, c.lane)) AS rows
        FROM closed c)
    WHERE last - lost <> rows;
-- `edge` has a place behind every row, not at it.
CREATE VIEW judge_stray AS
    SELECT printf('%s incarnation %016llx lane %d seq %lld', device, incarnation, lane, seq)
    FROM stored s
    WHERE NOT EXISTS (SELECT 1 FROM committed x WHERE (x.device, x.incarnation, x.lane)
        = (s.device, s.incarnation, s.lane) AND s.seq BETWEEN x.first AND x.last)
    AND NOT EXISTS (SELECT 1 FROM closed x WHERE (x.device, x.incarnation, x.lane)
        = (s.device, s.incarnation, s.lane) AND s.seq <= x.last)
    OR EXISTS (SELECT 1 FROM lost x WHERE (x.device, x.incarnation, x.lane)
        = (s.device, s.incarnation, s.lane) AND s.seq BETWEEN x.first AND x.last
        AND x.side = 'fleet');
-- The totals that the fleet keeps of what is closed.
CREATE VIEW judge_miscounted AS
    WITH parts AS (SELECT device, lane, last, lost FROM closed
        UNION ALL SELECT device, lane, last, lost FROM counted)
    SELECT printf('%s lane %d: total %lld committed %lld lost %lld, closed %lld lost %lld', device,
        lane, t.submitted, t.committed, t.lost, sum(p.last), sum(p.lost))
    FROM total t JOIN parts p USING (device, lane) GROUP BY device, lane
    HAVING (t.submitted, t.committed, t.lost) <> (sum(p.last), sum(p.last - p.lost), sum(p.lost));

CREATE VIEW judge_unsummed AS SELECT named FROM unsummed;
CREATE VIEW judge_untyped AS SELECT named FROM untyped;

CREATE VIEW judge_early AS SELECT named FROM spot
    WHERE is_acked AND NOT (is_committed OR is_arrived OR is_closed);
CREATE VIEW judge_oversize AS
    SELECT printf('%s: %lld bytes, quota %lld', device, bytes, quota)
    FROM spool WHERE quota > 0 AND bytes > quota;
