/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/outbox.h"

#include "base/log.h"
#include "proto/limits.h"
#include "storage/fleetdb_roots.h"

#include <string.h>

/* ---- what is to be sent ---- */

bool outbox_is_walking(const struct outbox *outbox)
{
    for (int walk = 0; walk < WALKS; walk++)
        if (outbox->due[walk])
            return true;
    return false;
}

static void begin_round(struct outbox *outbox)
{
    struct round *round = &outbox->blobs;
    memcpy(round->end, round->after, sizeof round->end);
    round->past_the_end = false;
    outbox->due[WALK_BLOBS] = true;
}

void outbox_forget(struct outbox *outbox)
{
    outbox->news_count = 0;
    outbox->overflowed = false;
    outbox->ready = 0;
    row_set_clear(&outbox->changed);
}

void outbox_all(struct outbox *outbox)
{
    for (int walk = 0; walk < WALKS; walk++)
        outbox->due[walk] = true;
    outbox->after_root = 0;
    outbox->blobs = (struct round){0};
    outbox->after_device = 0;
    outbox_forget(outbox);
}

void outbox_give_up(struct outbox *outbox, enum source source)
{
    if (source == SOURCE_CHANGED) {
        row_set_remove(&outbox->changed, row_set_first(&outbox->changed));
        return;
    }
    outbox->overflowed = false;
    for (int walk = 0; walk < WALKS; walk++)
        outbox->due[walk] = false;
}

unsigned outbox_waiting(const struct outbox *outbox)
{
    return outbox->news_count + (unsigned)outbox->changed.count;
}

void outbox_done(struct outbox *outbox)
{
    row_set_done(&outbox->changed);
}

static bool same_item(const struct item *a, const struct item *b)
{
    return a->what == b->what && a->root == b->root &&
           memcmp(a->blob, b->blob, sizeof a->blob) == 0;
}

/* Only of what it is one of is all sent again: manifests and roots reach terminals that have them.
 */
static void overflow(struct outbox *outbox, const struct item *item)
{
    if (item->what == WHAT_TRUST) {
        if (!outbox->due[WALK_TRUST] || item->root <= outbox->after_root)
            outbox->after_root = item->root - 1;
        outbox->due[WALK_TRUST] = true;
        return;
    }
    if (!outbox->overflowed)
        log_info("more than %d blobs wait for the broker: going through all of them",
                 OUTBOX_NEWS_MAX);
    outbox->overflowed = true;
    begin_round(outbox);
}

static struct item *slot(struct outbox *outbox, unsigned number)
{
    return &outbox->news[(outbox->news_first + number) % OUTBOX_NEWS_MAX];
}

void outbox_add(struct outbox *outbox, const struct item *item)
{
    for (unsigned i = 0; i < outbox->news_count; i++)
        if (same_item(slot(outbox, i), item))
            return;
    if (outbox->news_count == OUTBOX_NEWS_MAX)
        overflow(outbox, item);
    else
        *slot(outbox, outbox->news_count++) = *item;
}

void outbox_changed(struct outbox *outbox, int64_t device)
{
    struct err err = {0};
    if (outbox->ready == device)
        outbox->ready = 0; /* this one may name other blobs */
    if (row_set_add(&outbox->changed, device, &err))
        return;
    log_error("publisher: %s; all manifests are sent again", err.text);
    outbox->due[WALK_MANIFESTS] = true;
    outbox->after_device = 0;
}

void outbox_withdraw(struct outbox *outbox, int64_t before_ms)
{
    outbox->withdraw_before_ms = before_ms;
    outbox->unwanted = (struct fleetdb_unwanted){0};
    outbox->due[WALK_WITHDRAWALS] = true;
}

/* ---- what comes next ---- */

/* All of them: a terminal takes them one by one, from the one that it knows. */
static bool peek_root(struct outbox *outbox, struct item *item, bool *ret_found, struct err *err)
{
    struct fleetdb_root root = {0};
    struct buf envelope = {.limit = LIMIT_ROOT_BYTES};
    bool ok = fleetdb_root_next(outbox->db, outbox->after_root, &root, &envelope, ret_found, err);
    buf_done(&envelope);
    item->what = WHAT_TRUST;
    item->root = root.version;
    return ok;
}

/* One after the other: while the broker has not answered, there is no next. */
static bool peek_unwanted(struct outbox *outbox, struct item *item, bool *ret_found,
                          struct err *err)
{
    struct fleetdb_unwanted next = outbox->unwanted;
    *ret_found = false;
    if (outbox->withdrawing)
        return true;
    if (!fleetdb_unwanted_blob_next(outbox->db, outbox->withdraw_before_ms, &next, ret_found, err))
        return false;
    item->what = WHAT_WITHDRAWAL;
    memcpy(item->blob, next.sha256, sizeof item->blob);
    item->unwanted = next;
    return true;
}

static bool peek_blob(struct outbox *outbox, struct item *item, bool *ret_found, struct err *err)
{
    static const uint8_t first[32];
    struct fleetdb *db = outbox->db;
    struct round *round = &outbox->blobs;
    item->what = WHAT_BLOB;
    if (!fleetdb_wanted_blob_next(db, round->after, item->blob, ret_found, err))
        return false;
    if (!*ret_found && !round->past_the_end) {
        round->past_the_end = true;
        memcpy(round->after, first, sizeof first);
        if (!fleetdb_wanted_blob_next(db, first, item->blob, ret_found, err))
            return false;
    }
    *ret_found = *ret_found &&
                 (!round->past_the_end || memcmp(item->blob, round->end, sizeof item->blob) <= 0);
    outbox->overflowed = outbox->overflowed && *ret_found;
    return true;
}

/* The manifest of the first device after that one. */
static bool peek_manifest(struct outbox *outbox, int64_t after, struct item *item, bool *ret_found,
                          struct err *err)
{
    struct fleetdb_manifest_at at = {.device = after};
    item->what = WHAT_MANIFEST;
    if (!fleetdb_manifest_next(outbox->db, after, &at, ret_found, err))
        return false;
    item->device = at.device;
    item->retired = at.retired;
    memcpy(item->device_id, at.id, sizeof at.id);
    return true;
}

static bool peek_of(struct outbox *outbox, enum walk walk, struct item *item, bool *ret_found,
                    struct err *err)
{
    switch (walk) {
    case WALK_TRUST:
        return peek_root(outbox, item, ret_found, err);
    case WALK_BLOBS:
        return peek_blob(outbox, item, ret_found, err);
    case WALK_MANIFESTS:
        return peek_manifest(outbox, outbox->after_device, item, ret_found, err);
    default:
        return peek_unwanted(outbox, item, ret_found, err);
    }
}

/* The first walk's next message; one that has come to its end is not due any more. */
static bool peek_walk(struct outbox *outbox, struct item *item, bool *ret_found, struct err *err)
{
    *ret_found = false;
    for (int walk = 0; walk < WALKS && !*ret_found; walk++) {
        if (!outbox->due[walk])
            continue;
        if (!peek_of(outbox, (enum walk)walk, item, ret_found, err))
            return false;
        outbox->due[walk] = *ret_found || (walk == WALK_WITHDRAWALS && outbox->withdrawing);
    }
    return true;
}

/* ---- what has changed ---- */

static bool add_named_blob(void *ctx, const uint8_t blob[32], struct err *err)
{
    struct item item = {.what = WHAT_BLOB};
    (void)err;
    memcpy(item.blob, blob, sizeof item.blob);
    outbox_add(ctx, &item);
    return true;
}

/* What the manifest names and the broker was not given yet becomes news before it. */
static void make_ready(struct outbox *outbox, int64_t device)
{
    struct err err = {0};
    outbox->ready = device;
    if (!fleetdb_named_blob_each(outbox->db, device, add_named_blob, outbox, &err))
        log_error("publisher: %s; the broker's blobs follow at the next connect", err.text);
}

/* The first device's that changed, unless blobs have to go before. */
static bool peek_changed(struct outbox *outbox, struct item *item, bool *ret_found, struct err *err)
{
    *ret_found = false;
    for (int64_t device; !*ret_found && (device = row_set_first(&outbox->changed)) != 0;) {
        if (outbox->ready != device)
            make_ready(outbox, device);
        if (outbox->news_count > 0)
            return true;
        if (!peek_manifest(outbox, device - 1, item, ret_found, err))
            return false;
        *ret_found = *ret_found && item->device == device;
        if (!*ret_found)
            row_set_remove(&outbox->changed, device);
    }
    return true;
}

/* News, or else what changed, unless that waits for a walk. */
static bool peek_new(struct outbox *outbox, struct item *item, enum source *ret_source,
                     bool *ret_found, struct err *err)
{
    *ret_source = SOURCE_CHANGED;
    if (outbox->news_count == 0 && !outbox->overflowed &&
        !peek_changed(outbox, item, ret_found, err))
        return false;
    if (!*ret_found && outbox->news_count > 0) {
        *ret_source = SOURCE_NEWS;
        *ret_found = true;
        *item = *slot(outbox, 0);
    }
    return true;
}

bool outbox_peek(struct outbox *outbox, struct item *ret_item, enum source *ret_source,
                 bool *ret_found, struct err *err)
{
    *ret_found = false;
    for (bool waits = true; waits && !*ret_found;) {
        if (!peek_new(outbox, ret_item, ret_source, ret_found, err))
            return false;
        if (*ret_found)
            return true;
        waits = outbox->overflowed;
        *ret_source = SOURCE_WALK;
        if (!peek_walk(outbox, ret_item, ret_found, err))
            return false;
    }
    return true;
}

void outbox_advance(struct outbox *outbox, const struct item *item, enum source source)
{
    if (source == SOURCE_NEWS) {
        outbox->news_first = (outbox->news_first + 1) % OUTBOX_NEWS_MAX;
        outbox->news_count--;
    } else if (item->what == WHAT_MANIFEST) {
        row_set_remove(&outbox->changed, item->device);
        if (source == SOURCE_WALK)
            outbox->after_device = item->device;
    } else if (item->what == WHAT_TRUST) {
        outbox->after_root = item->root;
    } else if (item->what == WHAT_BLOB) {
        memcpy(outbox->blobs.after, item->blob, sizeof item->blob);
    } else {
        outbox->unwanted = item->unwanted;
    }
}
