-- SPDX-License-Identifier: Apache-2.0
-- What terminals remember of documents that cannot be taken back, for as long as they do.

-- The highest irreversible version of a name that a manifest of the device put in force, in the
-- highest epoch; and the first manifest after it that named a newer version, which may go again.
CREATE TABLE final (
    device INTEGER NOT NULL REFERENCES device (id),
    name TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    version INTEGER NOT NULL,
    passed INTEGER NOT NULL DEFAULT 0,       -- manifest version; 0: none did
    PRIMARY KEY (device, name)
) STRICT, WITHOUT ROWID;
INSERT INTO final (device, name, epoch, version) SELECT a.device, a.name, d.epoch, d.version
    FROM assignment a JOIN document d ON d.id = a.document
    WHERE d.irreversible <> 0 AND a.mode = 2;
