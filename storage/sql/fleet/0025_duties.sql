-- SPDX-License-Identifier: Apache-2.0
-- Which place a duty is about: what is to be released, where the device stood when it carried it;
-- what is to be registered, where it stands as long as that is not done.
ALTER TABLE registration_duty ADD COLUMN standing INTEGER REFERENCES standing (id);
UPDATE registration_duty SET standing = coalesce(
    (SELECT t.id FROM standing t WHERE t.device = registration_duty.device
        AND t.from_ms < registration_duty.since_ms + (registration_duty.act <> 'unbind')
        ORDER BY t.from_ms DESC, t.id DESC LIMIT 1),
    (SELECT t.id FROM standing t WHERE t.device = registration_duty.device
        ORDER BY t.from_ms, t.id LIMIT 1));
UPDATE registration_duty SET standing = (SELECT t.id FROM standing t
        WHERE t.device = registration_duty.device AND t.to_ms IS NULL)
    WHERE done_ms = 0 AND act <> 'unbind';
