/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/registrar_internal.h"

#include <stdlib.h>
#include <string.h>

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

void owned_looks_done(struct registrar *registrar, struct owned_looks *looks)
{
    struct owned_state *others = &registrar->others;
    if (looks->list == NULL)
        return;
    others->count = looks->count;
    for (size_t i = 0; i < looks->count; i++) {
        memcpy(others->list[i].name, looks->list[i].item.name, sizeof others->list[i].name);
        others->list[i].seen = looks->list[i].seen;
    }
    free(looks->list);
    *looks = (struct owned_looks){0};
}

static const struct sync_seen *seen_of(const struct owned_state *others, const char *name)
{
    static const struct sync_seen not_looked = {
        .owned = true, .kind = MUSTER__DIFFERENCE_KIND__DIFFERENCE_NOT_LOOKED};
    for (size_t i = 0; i < others->count; i++)
        if (strcmp(others->list[i].name, name) == 0)
            return &others->list[i].seen;
    return owned_path(&others->owned, name) != NULL ? &not_looked : NULL;
}

void owned_view(const struct registrar *registrar, struct owned_view *ret_view)
{
    const struct sync_wants *wants = registrar_wants(registrar);
    for (size_t i = 0; wants != NULL && i < wants->count; i++)
        ret_view->wants[i] = seen_of(&registrar->others, wants->wants[i].item.name);
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
