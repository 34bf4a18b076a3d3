/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/floors.h"

#include <inttypes.h>
#include <string.h>

static bool version_check(const struct registry_floors *floors, const struct desired *desired,
                          struct err *err)
{
    if (desired->version < floors->manifest_version)
        return err_set(err, ERR_REFUSED,
                       "manifest %" PRIu64 " is older than %" PRIu64 ", the last one accepted",
                       desired->version, floors->manifest_version);
    if (desired->version == floors->manifest_version &&
        memcmp(desired->digest, floors->manifest_digest, 32) != 0)
        return err_set(err, ERR_CONFLICT,
                       "manifest %" PRIu64 " differs from the one accepted under this version",
                       desired->version);
    return true;
}

bool floors_take(const struct registry_floors *floors, const struct desired *desired,
                 struct registry_floors *ret_floors, struct err *err)
{
    if (!version_check(floors, desired, err))
        return false;
    *ret_floors = *floors;
    for (size_t i = 0; i < desired->wants.count; i++) {
        const struct registry_item *item = &desired->wants.wants[i].item;
        uint64_t floor = registry_floor(floors, item->name);
        if (item->version < floor)
            return err_set(err, ERR_REFUSED,
                           "manifest %" PRIu64 ": %s: version %" PRIu64
                           " is below the floor %" PRIu64,
                           desired->version, item->name, item->version, floor);
        if (!registry_floor_raise(ret_floors, item->name, desired->minimum[i], err))
            return false;
    }
    ret_floors->manifest_version = desired->version;
    memcpy(ret_floors->manifest_digest, desired->digest, 32);
    return true;
}
