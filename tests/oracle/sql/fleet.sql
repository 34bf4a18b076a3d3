-- SPDX-License-Identifier: Apache-2.0
-- The fleet's database, attached as `place`, read into the oracle's tables.
INSERT INTO result
    SELECT d.name, r.idempotency_key, r.incarnation, r.seq, r.stan, r.amount_minor, r.code
    FROM place.result r JOIN place.device d ON d.id = r.device;
INSERT INTO stored
    SELECT d.name, r.incarnation, 1, r.seq, 0
    FROM place.result r JOIN place.device d ON d.id = r.device;
INSERT INTO stored
    SELECT d.name, r.incarnation, 1, r.seq, 1
    FROM place.result_duplicate r JOIN place.device d ON d.id = r.device;
INSERT INTO stored
    SELECT d.name, r.incarnation, 2, r.seq, 0
    FROM place.event r JOIN place.device d ON d.id = r.device;
INSERT INTO stored
    SELECT d.name, r.incarnation, 3, r.seq, 0
    FROM place.health r JOIN place.device d ON d.id = r.device;
INSERT INTO fleet_stream
    SELECT d.name, s.incarnation, s.lane, s.last_seq
    FROM place.stream s JOIN place.device d ON d.id = s.device;
INSERT INTO committed
    SELECT d.name, s.incarnation, s.lane, 1, s.cumulative
    FROM place.stream s JOIN place.device d ON d.id = s.device WHERE s.cumulative > 0;
INSERT INTO committed
    SELECT d.name, s.incarnation, s.lane, r.first, r.last
    FROM place.stream_range r JOIN place.stream s ON s.id = r.stream
        JOIN place.device d ON d.id = s.device;
