-- SPDX-License-Identifier: Apache-2.0
-- Times are corrected one device after the other, so that none has to wait for all work of another.
DROP INDEX clock_incarnation_redo;
CREATE INDEX clock_incarnation_redo ON clock_incarnation (device) WHERE redo_lane <> 0;
