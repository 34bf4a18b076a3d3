-- SPDX-License-Identifier: Apache-2.0

-- The zstd dictionaries that bodies of segments name (segment.codec 1: spool_codec.h), so that
-- this file can be read without the program that wrote it, and by one that is older.
CREATE TABLE dictionary (
    version INTEGER PRIMARY KEY,
    content BLOB NOT NULL
) STRICT;
