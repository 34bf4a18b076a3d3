-- SPDX-License-Identifier: Apache-2.0
-- Why what a device told of its key slots is not all that is in them; empty: it is.
ALTER TABLE device_keys ADD COLUMN why TEXT NOT NULL DEFAULT '';
