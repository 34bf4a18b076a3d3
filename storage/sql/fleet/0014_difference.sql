-- SPDX-License-Identifier: Apache-2.0
-- What a device told of the difference in a document that is not Muster's to write there, as in
-- ItemDifference; difference 0: it told of none.
ALTER TABLE device_item ADD COLUMN difference INTEGER NOT NULL DEFAULT 0;
ALTER TABLE device_item ADD COLUMN owned INTEGER NOT NULL DEFAULT 0;
ALTER TABLE device_item ADD COLUMN wanted_bytes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE device_item ADD COLUMN found_bytes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE device_item ADD COLUMN rows_compared INTEGER NOT NULL DEFAULT 0;
ALTER TABLE device_item ADD COLUMN rows_only_found INTEGER NOT NULL DEFAULT 0;
ALTER TABLE device_item ADD COLUMN rows_only_wanted INTEGER NOT NULL DEFAULT 0;
ALTER TABLE device_item ADD COLUMN first_row INTEGER NOT NULL DEFAULT 0;

-- What terminals ask ops about, over all of them (state: ITEM_PROPOSED).
CREATE INDEX device_item_proposed ON device_item (device, name) WHERE state = 12;
