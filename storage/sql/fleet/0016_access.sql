-- SPDX-License-Identifier: Apache-2.0
-- Who may ask the API from elsewhere than this machine's socket, what he may do, and for which part
-- of the fleet. A name is given once and for all, so that the audit's "token NAME" means one.

CREATE TABLE token (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    sha256 BLOB NOT NULL UNIQUE,             -- of the whole token; it is kept nowhere itself
    role TEXT NOT NULL CHECK (role IN ('viewer', 'operator', 'admin')),
    scope TEXT NOT NULL CHECK (scope IN ('fleet', 'merchant', 'region')),
    made_ms INTEGER NOT NULL,
    made_by TEXT NOT NULL,
    expires_ms INTEGER NOT NULL DEFAULT 0,   -- 0: never
    revoked_ms INTEGER NOT NULL DEFAULT 0,   -- 0: it is good
    used_ms INTEGER NOT NULL DEFAULT 0       -- about; 0: never
) STRICT;

-- The merchants or the regions of a token that is not for the whole fleet; without a row it is for
-- nothing.
CREATE TABLE token_place (
    id INTEGER PRIMARY KEY,
    token INTEGER NOT NULL REFERENCES token (id),
    merchant INTEGER REFERENCES merchant (id),
    region INTEGER REFERENCES region (id),
    CHECK ((merchant IS NULL) <> (region IS NULL))
) STRICT;
CREATE INDEX token_place_token ON token_place (token);
CREATE INDEX audit_device ON audit (device, id) WHERE device IS NOT NULL;
