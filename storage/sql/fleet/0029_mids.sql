-- SPDX-License-Identifier: Apache-2.0
-- Whether another merchant has a MID is asked of each logical terminal that a device is given.
CREATE INDEX logical_terminal_mid ON logical_terminal (acquirer, mid, merchant);
