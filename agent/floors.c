/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/floors.h"

#include "proto/refusal.h"

#include <inttypes.h>
#include <string.h>

static bool manifest_check(const struct registry_floors *floors, const struct desired *desired,
                           struct err *err)
{
    if (desired->epoch < floors->epoch)
        return refuse(err, MUSTER__REFUSAL__REFUSAL_MANIFEST_EPOCH, ERR_REFUSED,
                      "manifest %" PRIu64 " is of epoch %" PRIu64
                      ", the last one accepted of %" PRIu64,
                      desired->version, desired->epoch, floors->epoch);
    if (desired->epoch > floors->epoch)
        return true;
    if (desired->version < floors->manifest_version)
        return refuse(err, MUSTER__REFUSAL__REFUSAL_MANIFEST_OLD, ERR_REFUSED,
                      "manifest %" PRIu64 " is older than %" PRIu64 ", the last one accepted",
                      desired->version, floors->manifest_version);
    if (desired->version == floors->manifest_version &&
        memcmp(desired->digest, floors->manifest_digest, 32) != 0)
        return refuse(err, MUSTER__REFUSAL__REFUSAL_MANIFEST_OTHER, ERR_CONFLICT,
                      "manifest %" PRIu64 " differs from the one accepted under this version",
                      desired->version);
    return true;
}

/* What stands in a row of a lower epoch counts no more. */
static const struct registry_floor *floor_of(const struct registry_floors *floors, const char *name,
                                             uint64_t epoch)
{
    const struct registry_floor *row = registry_floor_of(floors, name);
    return row != NULL && row->epoch == epoch ? row : NULL;
}

static bool item_check(const struct registry_floors *floors, const struct desired *desired,
                       const struct sync_want *want, struct err *err)
{
    const struct registry_item *item = &want->item;
    const struct registry_floor *row = floor_of(floors, item->name, desired->epoch);
    if (row == NULL)
        return true;
    if (item->version < row->minimum)
        return refuse(err, MUSTER__REFUSAL__REFUSAL_DOCUMENT_FLOOR, ERR_REFUSED,
                      "%s: version %" PRIu64 " is below the floor %" PRIu64, item->name,
                      item->version, row->minimum);
    if (item->version < row->final)
        return refuse(err, MUSTER__REFUSAL__REFUSAL_DOCUMENT_IRREVERSIBLE, ERR_REFUSED,
                      "%s: version %" PRIu64 " would take back %" PRIu64 ", which cannot go back",
                      item->name, item->version, row->final);
    if (item->version == row->version && memcmp(item->sha256, row->sha256, 32) != 0)
        return refuse(err, MUSTER__REFUSAL__REFUSAL_DOCUMENT_OTHER, ERR_REFUSED,
                      "%s: other content was accepted as version %" PRIu64
                      "; sign this under a higher one",
                      item->name, item->version);
    return true;
}

/* A name that cannot go back does not go away either, until a newer version of it may. */
static bool dropped_check(const struct registry_floors *floors, const struct desired *desired,
                          struct err *err)
{
    for (size_t i = 0; i < floors->count; i++) {
        const struct registry_floor *row = &floors->rows[i];
        if (row->epoch == desired->epoch && row->final != 0 && row->final == row->version &&
            sync_want_of(&desired->wants, row->name) == NULL)
            return refuse(err, MUSTER__REFUSAL__REFUSAL_DOCUMENT_IRREVERSIBLE, ERR_REFUSED,
                          "%s: it is not named any more, and version %" PRIu64
                          " cannot go back; a newer one that can may go",
                          row->name, row->final);
    }
    return true;
}

static bool items_check(const struct registry_floors *floors, const struct desired *desired,
                        struct err *err)
{
    for (size_t i = 0; i < desired->wants.count; i++) {
        if (!item_check(floors, desired, &desired->wants.wants[i], err))
            return err_context(err, "manifest %" PRIu64, desired->version);
    }
    return dropped_check(floors, desired, err) ||
           err_context(err, "manifest %" PRIu64, desired->version);
}

/* A row without a minimum only remembers which content was accepted: the first to go. */
static bool may_forget(const struct registry_floor *row, const struct desired *desired)
{
    return row->epoch < desired->epoch || (row->minimum == 0 && row->final == 0 &&
                                           sync_want_of(&desired->wants, row->name) == NULL);
}

static void forget_some(struct registry_floors *floors, const struct desired *desired)
{
    size_t kept = 0;
    for (size_t i = 0; i < floors->count; i++) {
        if (!may_forget(&floors->rows[i], desired))
            floors->rows[kept++] = floors->rows[i];
    }
    floors->count = kept;
}

static void row_raise(struct registry_floor *row, const struct desired *desired, size_t at)
{
    const struct sync_want *want = &desired->wants.wants[at];
    const struct registry_item *item = &want->item;
    if (row->epoch < desired->epoch) {
        row->epoch = desired->epoch;
        row->minimum = row->final = row->version = 0;
    }
    if (desired->minimum[at] > row->minimum)
        row->minimum = desired->minimum[at];
    /* What is only looked at is not put in force, so nothing of it can be taken back. */
    if (desired->final[at] && want->mode == MUSTER__ASSIGN_MODE__MODE_REPAIR &&
        item->version > row->final)
        row->final = item->version;
    if (item->version > row->version) {
        row->version = item->version;
        memcpy(row->sha256, item->sha256, sizeof row->sha256);
    }
}

bool floors_check(const struct registry_floors *floors, const struct desired *desired,
                  struct err *err)
{
    return manifest_check(floors, desired, err) && items_check(floors, desired, err);
}

bool floors_take(const struct registry_floors *floors, const struct desired *desired,
                 struct registry_floors *ret_floors, struct err *err)
{
    if (!floors_check(floors, desired, err))
        return false;
    *ret_floors = *floors;
    if (floors->count + desired->wants.count > REGISTRY_FLOORS)
        forget_some(ret_floors, desired);
    for (size_t i = 0; i < desired->wants.count; i++) {
        const char *name = desired->wants.wants[i].item.name;
        struct registry_floor *row = registry_floor_row(ret_floors, name);
        if (row == NULL)
            return refuse(err, MUSTER__REFUSAL__REFUSAL_MANIFEST_QUOTA, ERR_FULL,
                          "%s: the floors of %d names are kept, no more fit", name,
                          REGISTRY_FLOORS);
        row_raise(row, desired, i);
    }
    ret_floors->epoch = desired->epoch;
    ret_floors->manifest_version = desired->version;
    memcpy(ret_floors->manifest_digest, desired->digest, 32);
    return true;
}
