/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/api_listing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TURN_MS = 20, PAGE = 32, LIST_BYTES = 512 << 20 };

struct work {
    struct api_listing listing;
    struct buf text;
    char after[LIMIT_DEVICE_ID_CHARS + 1];
};

static bool append(struct buf *text, const char *more, struct err *err)
{
    return buf_append(text, more, strlen(more), err);
}

void api_page_see(struct api_page *page, const char *id)
{
    page->seen++;
    (void)snprintf(page->last, sizeof page->last, "%s", id);
}

bool api_page_add(struct api_page *page, json_t *value, struct err *err)
{
    char *text = value != NULL ? json_dumps(value, JSON_COMPACT) : NULL;
    json_decref(value);
    if (text == NULL)
        return api_no_memory(err);
    const bool first = page->text->data[page->text->length - 1] == '[';
    const bool done = (first || append(page->text, ",", err)) && append(page->text, text, err);
    free(text);
    return done;
}

/* {"a":1} goes on after a list as ,"a":1} */
static bool append_beside(struct work *work, struct err *err)
{
    json_t *object = json_object();
    bool done = object != NULL || api_no_memory(err);
    done = done &&
           (work->listing.beside == NULL || work->listing.beside(work->listing.ctx, object, err));
    char *text = done ? json_dumps(object, JSON_COMPACT) : NULL;
    if (done && text == NULL)
        done = api_no_memory(err);
    done = done && append(&work->text, json_object_size(object) > 0 ? "]," : "]", err) &&
           append(&work->text, text + 1, err);
    free(text);
    json_decref(object);
    return done;
}

static bool read_page(struct work *work, bool *ret_done, struct err *err)
{
    struct api_page page = {.after = work->after, .count = PAGE, .text = &work->text};
    if (!work->listing.read(work->listing.ctx, &page, err))
        return false;
    *ret_done = page.seen < page.count;
    memcpy(work->after, page.last, sizeof work->after);
    return true;
}

static bool step(void *ctx, struct api_answer *answer, bool *ret_done, struct err *err)
{
    struct work *work = ctx;
    const struct api_listing *listing = &work->listing;
    const int64_t until_ms = clock_boot_ms(listing->clock) + TURN_MS;
    bool done = false;
    do {
        if (!read_page(work, &done, err))
            return false;
    } while (!done && clock_boot_ms(listing->clock) < until_ms);
    *ret_done = done;
    if (!done)
        return true;
    if (!append_beside(work, err))
        return false;
    answer->text = work->text;
    answer->content_type = "application/json";
    work->text = (struct buf){0};
    return true;
}

static void stop(void *ctx)
{
    struct work *work = ctx;
    work->listing.free(work->listing.ctx);
    buf_done(&work->text);
    free(work);
}

bool api_list_in_turns(const struct api_listing *listing, struct api_answer *answer,
                       struct err *err)
{
    struct work *work = listing->ctx != NULL ? calloc(1, sizeof *work) : NULL;
    if (work == NULL) {
        if (listing->ctx != NULL)
            listing->free(listing->ctx);
        return api_no_memory(err);
    }
    work->listing = *listing;
    work->text.limit = LIST_BYTES;
    if (!append(&work->text, "{\"", err) || !append(&work->text, listing->name, err) ||
        !append(&work->text, "\":[", err)) {
        stop(work);
        return false;
    }
    answer->work = (struct api_work){.step = step, .free = stop, .ctx = work};
    return true;
}
