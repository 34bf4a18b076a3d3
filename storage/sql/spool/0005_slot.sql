-- SPDX-License-Identifier: Apache-2.0

-- The newest segments of the running incarnation stand here, in slots that are written over and
-- over in place, until they are put into `segment` together: a commit then changes the pages of
-- its own bytes and no others. spool_slots.h says what is in `body`, which always has the same
-- length; slots of a lane follow each other.
CREATE TABLE slot (
    slot INTEGER PRIMARY KEY,
    body BLOB NOT NULL
) STRICT;
