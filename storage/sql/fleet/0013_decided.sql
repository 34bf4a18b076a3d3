-- SPDX-License-Identifier: Apache-2.0
-- Which generation waits on a device, and which one the order to put it in force is about.
ALTER TABLE device_apply ADD COLUMN digest BLOB NOT NULL DEFAULT x'';
ALTER TABLE action ADD COLUMN digest BLOB NOT NULL DEFAULT x'';
