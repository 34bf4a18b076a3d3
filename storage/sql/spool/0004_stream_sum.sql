-- SPDX-License-Identifier: Apache-2.0

-- CRC-32C over number, lane, incarnation and `acked` (spool_stream_sum); null in rows that earlier
-- versions wrote.
ALTER TABLE stream ADD COLUMN sum INTEGER;
