-- SPDX-License-Identifier: Apache-2.0
-- An erasure goes by whose something is where that is known, and by what it is called, now or
-- before, where it is not.

-- What a merchant and its stores were called before, and where they were.
CREATE TABLE former_name (
    merchant INTEGER NOT NULL REFERENCES merchant (id),
    name TEXT NOT NULL,
    PRIMARY KEY (merchant, name)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER former_merchant_name AFTER UPDATE OF name ON merchant
    WHEN old.name <> new.name AND old.name <> '' BEGIN
    INSERT INTO former_name (merchant, name) SELECT old.id, old.name WHERE NOT EXISTS
        (SELECT 1 FROM former_name WHERE merchant = old.id AND name = old.name);
END;
CREATE TRIGGER former_store_name AFTER UPDATE OF name ON store
    WHEN old.name <> new.name AND old.name <> '' BEGIN
    INSERT INTO former_name (merchant, name) SELECT old.merchant, old.name WHERE NOT EXISTS
        (SELECT 1 FROM former_name WHERE merchant = old.merchant AND name = old.name);
END;
CREATE TRIGGER former_store_address AFTER UPDATE OF address ON store
    WHEN old.address <> new.address AND old.address <> '' BEGIN
    INSERT INTO former_name (merchant, name) SELECT old.merchant, old.address WHERE NOT EXISTS
        (SELECT 1 FROM former_name WHERE merchant = old.merchant AND name = old.address);
END;

-- Where the device stood when the label was set; below 0: when is not known, there or before.
ALTER TABLE device_label ADD COLUMN standing INTEGER NOT NULL DEFAULT 0;
UPDATE device_label SET standing = -coalesce((SELECT t.id FROM standing t
    WHERE t.device = device_label.device AND t.to_ms IS NULL), 0);

-- While an erasure goes on: who its tokens were, and what stands there instead; and of each table
-- the newest row of its beginning, for what comes later is another's.
CREATE TABLE erased_author (
    who TEXT PRIMARY KEY,
    becomes TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE erased_table (
    name TEXT PRIMARY KEY,
    newest INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Of one that goes on already, by now: its tokens have lost their names, so who is none of those
-- that are there was one of them. It looks at all texts once more.
INSERT INTO erased_author (who, becomes) SELECT DISTINCT who, 'erased' FROM (
    SELECT who FROM audit UNION SELECT who FROM standing UNION SELECT who FROM registration_duty
    UNION SELECT done_who FROM registration_duty UNION SELECT made_by FROM token
    UNION SELECT who FROM device_group UNION SELECT made_by FROM webhook)
    WHERE who LIKE 'token %' AND substr(who, 7) NOT IN (SELECT name FROM token)
    AND EXISTS (SELECT 1 FROM erasure WHERE done_ms = 0);
INSERT INTO erased_table (name, newest) SELECT name, newest FROM (
    SELECT 'audit' AS name, max(id) AS newest FROM audit
    UNION ALL SELECT 'standing', max(id) FROM standing
    UNION ALL SELECT 'registration_duty', max(id) FROM registration_duty
    UNION ALL SELECT 'action', max(id) FROM action
    UNION ALL SELECT 'token', max(id) FROM token
    UNION ALL SELECT 'device_group', max(id) FROM device_group
    UNION ALL SELECT 'webhook', max(id) FROM webhook
    UNION ALL SELECT 'erasure', max(id) FROM erasure)
    WHERE newest IS NOT NULL AND EXISTS (SELECT 1 FROM erasure WHERE done_ms = 0);
UPDATE erasure SET after = 0 WHERE done_ms = 0 AND step = 3;
