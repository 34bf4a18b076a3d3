/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/device_change.h"

#include "proto/seal.h"

#include <stdio.h>

static void name_key(struct bytes spki, char name[PORTRAIT_KEY_CHARS + 1])
{
    uint8_t digest[32];
    sha256(spki, digest);
    hex_encode(digest, PORTRAIT_KEY_CHARS / 2, name);
}

bool device_change_begin(struct fleetdb *db, int64_t device, struct device_change *change,
                         struct err *err)
{
    return device == 0 || fleetdb_portrait_device(db, device, name_key, &change->before, err);
}

bool device_change_text(struct fleetdb *db, int64_t device, const struct device_change *change,
                        char text[PORTRAIT_TEXT_BYTES], struct err *err)
{
    struct buf after = {0};
    bool done = fleetdb_portrait_device(db, device, name_key, &after, err);
    if (done)
        fleetdb_portrait_tell(&change->before, &after, text);
    buf_done(&after);
    return done;
}

bool device_change_audit(struct fleetdb *db, int64_t device, const struct device_change *change,
                         const char *what, const struct fleetdb_change *by, struct err *err)
{
    char told[PORTRAIT_TEXT_BYTES], text[2 * PORTRAIT_TEXT_BYTES];
    if (!device_change_text(db, device, change, told, err))
        return false;
    const bool has_why = by->why != NULL && by->why[0] != '\0';
    (void)snprintf(text, sizeof text, "%s%s%s", told, has_why ? ": " : "", has_why ? by->why : "");
    return told[0] == '\0' || fleetdb_audit(db, by->now_ms, by->who, what, device, text, err);
}

void device_change_done(struct device_change *change)
{
    buf_done(&change->before);
}
