-- SPDX-License-Identifier: Apache-2.0
-- What the fleet's database holds of losses and of closed incarnations, from `place`.
INSERT INTO lost
    SELECT 'fleet', d.name, s.incarnation, s.lane, l.first, l.last, l.reason
    FROM place.stream_lost l JOIN place.stream s ON s.id = l.stream
        JOIN place.device d ON d.id = s.device;
INSERT INTO closed
    SELECT d.name, c.incarnation, 1, c.txn_last, c.txn_lost
    FROM place.closed_incarnation c JOIN place.device d ON d.id = c.device
    UNION ALL SELECT d.name, c.incarnation, 2, c.event_last, c.event_lost
    FROM place.closed_incarnation c JOIN place.device d ON d.id = c.device
    UNION ALL SELECT d.name, c.incarnation, 3, c.health_last, c.health_lost
    FROM place.closed_incarnation c JOIN place.device d ON d.id = c.device;
INSERT INTO total
    SELECT d.name, a.lane, a.submitted, a.committed,
        (SELECT coalesce(sum(l.records), 0) FROM place.account_lost l
            WHERE l.device = a.device AND l.lane = a.lane)
    FROM place.account a JOIN place.device d ON d.id = a.device;
-- A closed incarnation that went on: what it had is in the totals all the same.
INSERT INTO counted
    SELECT d.name, s.lane, s.counted, s.counted_lost
    FROM place.stream s JOIN place.device d ON d.id = s.device WHERE s.counted > 0;
