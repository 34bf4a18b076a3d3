/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/registrar_internal.h"

#include "base/backoff.h"
#include "base/log.h"

#include <stdlib.h>
#include <string.h>

enum {
    AGAIN_MS = 1000, /* after a first look that came to nothing, and twice as much each time */
    LOOKS_SURE = 4,
};

/* ---- what is looked at ---- */

static bool is_table(int kind)
{
    return kind == (int)MUSTER__DOCUMENT_KIND__DOCUMENT_TABLE ||
           kind == (int)MUSTER__DOCUMENT_KIND__DOCUMENT_CODE_PROFILE ||
           kind == (int)MUSTER__DOCUMENT_KIND__DOCUMENT_AID_LIST ||
           kind == (int)MUSTER__DOCUMENT_KIND__DOCUMENT_CA_KEYS;
}

/* What is wanted can be made of what is here, so that its rows can be compared. */
static bool is_at_hand(const struct registrar *registrar, const struct sync_want *want,
                       struct content_source *ret_source)
{
    struct sync_blobs lacks = {0};
    if (!is_table(want->item.kind) || want->item.sealed || want->item.length > ROWDIFF_BYTES)
        return false;
    plan_source(registrar, &want->item, ret_source);
    return ret_source->present && ret_source->way.piece_bytes == 0 &&
           have_has(registrar, ret_source->way.blob) &&
           !plan_missing((void *)(uintptr_t)registrar, &want->item, want, &lacks);
}

/* False: there is nothing to look at. */
static bool compare_fill(const struct registrar *registrar, const struct sync_want *want,
                         struct owned_compare *compare)
{
    const char *path = owned_path(&registrar->others.owned, want->item.name);
    const struct registry_item *held = sync_item_of(&registrar->held.current.list, want->item.name);
    *compare = (struct owned_compare){.item = want->item, .owned = path != NULL};
    compare->rows = is_at_hand(registrar, want, &compare->source);
    if (path != NULL) {
        memcpy(compare->path, path, strlen(path) + 1);
        return true;
    }
    compare->generation = registrar->held.current.number;
    return compare->rows && want->mode != MUSTER__ASSIGN_MODE__MODE_REPAIR && held != NULL &&
           !held->sealed && compare->generation > 0 && !sync_same_content(held, &want->item);
}

void owned_looks_fill(const struct registrar *registrar, struct owned_looks *ret_looks)
{
    const struct sync_wants *wants = registrar_wants(registrar);
    *ret_looks = (struct owned_looks){0};
    if (wants == NULL || wants->count == 0)
        return;
    ret_looks->list = calloc(wants->count, sizeof ret_looks->list[0]);
    for (size_t i = 0; ret_looks->list != NULL && i < wants->count; i++)
        if (compare_fill(registrar, &wants->wants[i], &ret_looks->list[ret_looks->count]))
            ret_looks->count++;
}

/* ---- the looks; on a worker ---- */

static void compare_rows(const struct registry *registry, struct owned_compare *compare,
                         struct bytes found, struct blob_set *lost)
{
    struct buf wanted = {0}, copy = {0};
    struct err why = {0};
    const struct content_job job = {.registry = registry,
                                    .sealing_key = "", /* tables that are sealed are left out */
                                    .item = &compare->item,
                                    .source = &compare->source,
                                    .lost = lost};
    if (content_make(&job, &wanted, &copy, &why) == CONTENT_MADE)
        compare->seen.rows = rowdiff_make(found, buf_bytes(&wanted), &compare->seen.diff, &why);
    memcpy(compare->seen.rows_with, compare->item.sha256, 32);
    buf_done(&wanted);
    buf_done(&copy);
}

static void look_at(const struct registry *registry, struct owned_compare *compare,
                    struct blob_set *lost)
{
    char held[REGISTRY_PATH_BYTES];
    struct owned_look look;
    struct buf found = {.limit = ROWDIFF_BYTES};
    const char *path = compare->path;
    if (!compare->owned) {
        if (!registry_document_path(registry, compare->generation, compare->item.name, held, NULL))
            return;
        path = held;
    }
    owned_look(path, compare->item.length, compare->rows ? &found : NULL, &look);
    compare->seen =
        (struct sync_seen){.owned = compare->owned, .kind = look.kind, .length = look.length};
    memcpy(compare->seen.sha256, look.sha256, 32);
    memcpy(compare->seen.why, look.why, sizeof compare->seen.why);
    bool differs = look.kind == MUSTER__DIFFERENCE_KIND__DIFFERENCE_NONE &&
                   memcmp(look.sha256, compare->item.sha256, 32) != 0;
    if (compare->rows && differs && found.length == look.length)
        compare_rows(registry, compare, buf_bytes(&found), lost);
    buf_done(&found);
}

void owned_looks_run(const struct registry *registry, struct owned_looks *looks,
                     struct blob_set *lost)
{
    for (size_t i = 0; i < looks->count; i++)
        look_at(registry, &looks->list[i], lost);
}

/* ---- what was seen ---- */

static const struct owned_seen *seen_named(const struct owned_state *others, const char *name)
{
    for (size_t i = 0; i < others->count; i++)
        if (strcmp(others->list[i].name, name) == 0)
            return &others->list[i];
    return NULL;
}

static bool came_to_nothing(const struct registrar *registrar, const struct owned_compare *compare)
{
    const struct sync_want *want = sync_want_of(registrar_wants(registrar), compare->item.name);
    return want != NULL && compare->owned &&
           (compare->seen.kind == MUSTER__DIFFERENCE_KIND__DIFFERENCE_CHANGING ||
            sync_untaken(&registrar->held.current.list, want, &compare->seen));
}

static struct owned_seen take_look(struct registrar *registrar, const struct owned_compare *compare)
{
    struct owned_seen seen = {.seen = compare->seen};
    const struct owned_seen *before = seen_named(&registrar->others, compare->item.name);
    memcpy(seen.name, compare->item.name, sizeof seen.name);
    memcpy(seen.wanted, compare->item.sha256, sizeof seen.wanted);
    if (came_to_nothing(registrar, compare))
        seen.looks =
            1 +
            (before != NULL && memcmp(before->wanted, seen.wanted, 32) == 0 ? before->looks : 0);
    return seen;
}

static void look_again(uv_timer_t *timer)
{
    struct registrar *registrar = timer->data;
    owned_look_soon(registrar);
    registrar_wake(registrar);
}

/* Soon at first, for he may be at it, and then ever more seldom. */
static void plan_again(struct registrar *registrar)
{
    struct owned_state *others = &registrar->others;
    unsigned fewest = 0;
    for (size_t i = 0; i < others->count; i++)
        if (others->list[i].looks > 0 && (fewest == 0 || others->list[i].looks < fewest))
            fewest = others->list[i].looks;
    const struct backoff wait = {
        .first_ms = AGAIN_MS, .max_ms = others->longest_ms, .failures = fewest - 1};
    (void)uv_timer_stop(&others->timer);
    if (fewest > 0 && others->longest_ms > 0 && !registrar->closing)
        (void)uv_timer_start(&others->timer, look_again, (uint64_t)backoff_ceiling_ms(&wait), 0);
}

void owned_looks_done(struct registrar *registrar, struct owned_looks *looks)
{
    struct owned_state *others = &registrar->others;
    struct owned_seen *list = looks->list != NULL ? calloc(looks->count + 1, sizeof list[0]) : NULL;
    for (size_t i = 0; list != NULL && i < looks->count; i++)
        list[i] = take_look(registrar, &looks->list[i]);
    if (list != NULL) {
        memcpy(others->list, list, looks->count * sizeof list[0]);
        others->count = looks->count;
        plan_again(registrar);
    }
    free(list);
    free(looks->list);
    *looks = (struct owned_looks){0};
}

static const struct sync_seen *seen_of(const struct owned_state *others, const char *name)
{
    static const struct sync_seen not_looked = {
        .owned = true, .kind = MUSTER__DIFFERENCE_KIND__DIFFERENCE_NOT_LOOKED};
    const struct owned_seen *seen = seen_named(others, name);
    if (seen != NULL)
        return &seen->seen;
    return owned_path(&others->owned, name) != NULL ? &not_looked : NULL;
}

void owned_view(const struct registrar *registrar, struct owned_view *ret_view)
{
    const struct sync_wants *wants = registrar_wants(registrar);
    for (size_t i = 0; wants != NULL && i < wants->count; i++)
        ret_view->wants[i] = seen_of(&registrar->others, wants->wants[i].item.name);
}

bool owned_is_sure(const struct registrar *registrar, const struct sync_report *row)
{
    const struct owned_seen *seen = seen_named(&registrar->others, row->name);
    const unsigned looks = seen != NULL ? seen->looks : 0;
    return looks >= LOOKS_SURE || (looks == 0 && row->mode != MUSTER__ASSIGN_MODE__MODE_REPAIR);
}

void owned_look_anew(struct registrar *registrar)
{
    struct owned_state *others = &registrar->others;
    for (size_t i = 0; i < others->count; i++)
        if (others->list[i].looks < LOOKS_SURE)
            others->list[i].looks = 0;
    owned_look_soon(registrar);
}

void owned_note_keys(const struct registrar *registrar)
{
    const struct sync_wants *wants = registrar_wants(registrar);
    for (size_t i = 0; wants != NULL && i < wants->count; i++)
        if (wants->wants[i].item.kind == (int)MUSTER__DOCUMENT_KIND__DOCUMENT_KEY_BLOCK &&
            owned_path(&registrar->others.owned, wants->wants[i].item.name) != NULL)
            log_warn("owned.%s: it is a key block, which is compared by its slot and not by a "
                     "file: take the line away",
                     wants->wants[i].item.name);
}

void owned_look_soon(struct registrar *registrar)
{
    struct owned_compare compare;
    const struct sync_wants *wants = registrar_wants(registrar);
    for (size_t i = 0; wants != NULL && i < wants->count; i++)
        if (registrar->check_due == CHECK_NONE &&
            compare_fill(registrar, &wants->wants[i], &compare))
            registrar->check_due = CHECK_UNSOUND;
}
