/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FLEET_API_LISTING_H
#define FLEET_API_LISTING_H

#include "base/clock.h"
#include "fleet/api.h"
#include "proto/limits.h"

/* Some devices of a list, in the order of their ids. */
struct api_page {
    const char *after; /* the last one before it; "": it is the first page */
    size_t count, seen;
    char last[LIMIT_DEVICE_ID_CHARS + 1]; /* that was seen */
    struct buf *text;
};
/* For each that there is: shown or not, one comes after the other. */
void api_page_see(struct api_page *page, const char *id);
/* `value` is given up in every case; NULL: there was no memory for it. */
bool api_page_add(struct api_page *page, json_t *value, struct err *err) MUSTER_CHECK;

/* Lists of all devices: too long for one turn of the loop. Read a page at a time, others in
 * between, and kept as the text of the answer. */
struct api_listing {
    const struct clock *clock;
    const char *name; /* the list's in the answer, such as "devices" */
    /* Sees page->count of them, or fewer: then there are no more. */
    bool (*read)(void *ctx, struct api_page *page, struct err *err);
    /* What stands beside the list, put into an object; NULL: nothing does. */
    bool (*beside)(void *ctx, json_t *object, struct err *err);
    void (*free)(void *ctx);
    void *ctx; /* given up in every case; NULL: there was no memory */
};
bool api_list_in_turns(const struct api_listing *listing, struct api_answer *answer,
                       struct err *err) MUSTER_CHECK;

#endif
