/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/select.h"

#include "fleet/facts.h"
#include "fleet/selector.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FACTS_MAX = 512, GROUPS_MAX = SELECTOR_VALUES_MAX, CHOSEN_BYTES = 64 << 20 };

struct chosen {
    int64_t device;
    char id[64];
};

struct group {
    char name[SELECTOR_NAME_CHARS + 1];
    struct selector selector;
    bool known, seen; /* there is one; some device is in it */
};

/* The facts of one device after another, and what is asked of them. */
struct select {
    struct fleetdb_scope scope;
    char text[SELECTOR_CHARS + 1];
    struct selector selector;
    struct group *groups;
    size_t group_count;
    bool seen[SELECTOR_TERMS_MAX]; /* some device has this term's field */

    int64_t device; /* whose facts are being gathered, 0: nobody's yet */
    char id[64];
    struct buf texts; /* field, NUL, value, NUL, ... */
    struct selector_fact facts[FACTS_MAX];
    size_t fact_count;

    struct facts *facts_read;
    struct buf chosen; /* struct chosen */
};

/* Groups name no groups. */
static bool in_none(void *ctx, const char *group)
{
    (void)ctx;
    (void)group;
    return false;
}

static bool holds(const struct select *select, const struct group *group)
{
    return group->known &&
           selector_holds(&group->selector, select->facts, select->fact_count, in_none, NULL);
}

static bool in_group(void *ctx, const char *name)
{
    const struct select *select = ctx;
    for (size_t i = 0; i < select->group_count; i++) {
        if (strcmp(select->groups[i].name, name) == 0)
            return holds(select, &select->groups[i]);
    }
    return false;
}

/* All facts of a device are there. */
static bool decide(struct select *select, struct err *err)
{
    if (select->device == 0)
        return true;
    const char *at = (const char *)select->texts.data;
    for (size_t i = 0; i < select->fact_count; i++) {
        select->facts[i].field = at;
        at += strlen(at) + 1;
        select->facts[i].value = at;
        at += strlen(at) + 1;
    }
    for (size_t i = 0; i < select->group_count; i++) {
        struct group *group = &select->groups[i];
        group->seen = group->seen || holds(select, group);
    }
    struct chosen chosen = {.device = select->device};
    (void)snprintf(chosen.id, sizeof chosen.id, "%s", select->id);
    return !selector_holds(&select->selector, select->facts, select->fact_count, in_group,
                           select) ||
           buf_append(&select->chosen, &chosen, sizeof chosen, err);
}

static void mark_seen(struct select *select, const char *field)
{
    const char *asked = NULL;
    for (size_t i = 0; (asked = selector_field(&select->selector, i)) != NULL; i++)
        select->seen[i] = select->seen[i] || strcmp(asked, field) == 0;
}

static bool gather(void *ctx, const struct fleetdb_fact *fact, struct err *err)
{
    struct select *select = ctx;
    if (fact->device != select->device) {
        if (!decide(select, err))
            return false;
        select->device = fact->device;
        (void)snprintf(select->id, sizeof select->id, "%s", fact->id);
        select->fact_count = 0;
        buf_clear(&select->texts);
    }
    if (select->fact_count == FACTS_MAX)
        return err_set(err, ERR_FULL, "%s has more than %d labels and logical terminals", fact->id,
                       FACTS_MAX);
    mark_seen(select, fact->field);
    select->fact_count++;
    return buf_append(&select->texts, fact->field, strlen(fact->field) + 1, err) &&
           buf_append(&select->texts, fact->value, strlen(fact->value) + 1, err);
}

/* ---- groups ---- */

static bool no_group(const char *name, struct err *err)
{
    return err_set(err, ERR_NOT_FOUND, "no group %s", name);
}

/* Who sees a part of the fleet hears of a group that is not there no sooner than of one that
 * chooses nobody of it: when all devices have been looked at. */
static bool read_group(struct fleetdb *db, struct fleetdb_scope scope, const char *name,
                       struct group *group, struct err *err)
{
    struct buf text = {0};
    struct err why = {0};
    group->known = fleetdb_group_read(db, name, &text, &why) &&
                   selector_parse((const char *)text.data, &group->selector, &why);
    (void)snprintf(group->name, sizeof group->name, "%s", name);
    buf_done(&text);
    const bool about_it = why.code == ERR_NOT_FOUND || why.code == ERR_INVALID;
    if (group->known || (about_it && !fleetdb_scope_is_whole(scope)))
        return true;
    return why.code == ERR_NOT_FOUND ? no_group(name, err)
                                     : err_set(err, why.code, "group %s: %s", name, why.text);
}

static bool read_groups(struct fleetdb *db, struct select *select, struct err *err)
{
    const char *field = NULL, *name = NULL;
    for (size_t term = 0; (field = selector_field(&select->selector, term)) != NULL; term++) {
        for (size_t i = 0; strcmp(field, "group") == 0 &&
                           (name = selector_value(&select->selector, term, i)) != NULL;
             i++) {
            if (!selector_group_valid(name))
                return err_set(err, ERR_INVALID, "group=%.40s: expected a group's name", name);
            if (!read_group(db, select->scope, name, &select->groups[select->group_count++], err))
                return false;
        }
    }
    return true;
}

/* As in the list of groups, to a part of the fleet a group that chooses nobody of it is none. */
static bool check_groups(const struct select *select, struct err *err)
{
    for (size_t i = 0; i < select->group_count && !fleetdb_scope_is_whole(select->scope); i++)
        if (!select->groups[i].seen)
            return no_group(select->groups[i].name, err);
    return true;
}

/* A word that no device knows is more likely mistyped than meant. */
static bool check_labels(const struct select *select, struct err *err)
{
    const char *field = NULL;
    for (size_t i = 0; (field = selector_field(&select->selector, i)) != NULL; i++) {
        if (!select->seen[i] && selector_label_valid(field))
            return err_set(err, ERR_NOT_FOUND,
                           "selector: %s is no field of a device, and no device has such a label",
                           field);
    }
    return true;
}

static bool add_fields(const struct selector *selector, struct buf *out, struct err *err)
{
    const char *field = NULL;
    for (size_t i = 0; (field = selector_field(selector, i)) != NULL; i++) {
        if (!buf_append(out, ",\"", 2, err) || !buf_append(out, field, strlen(field), err) ||
            !buf_append(out, "\"", 1, err))
            return false;
    }
    return true;
}

/* The fields that are asked about, and each device's own, so that none is passed over. */
static bool list_fields(const struct select *select, struct buf *out, struct err *err)
{
    static const char first[] = "[\"device\"";
    bool done =
        buf_append(out, first, sizeof first - 1, err) && add_fields(&select->selector, out, err);
    for (size_t i = 0; done && i < select->group_count; i++)
        done = add_fields(&select->groups[i].selector, out, err);
    return done && buf_append(out, "]", sizeof "]", err);
}

static void again(void *ctx)
{
    struct select *select = ctx;
    memset(select->seen, 0, sizeof select->seen);
    for (size_t i = 0; i < select->group_count; i++)
        select->groups[i].seen = false;
    select->device = 0;
    buf_clear(&select->chosen);
}

bool select_open(struct fleetdb *db, struct fleetdb_scope scope, const char *selector,
                 struct select **ret_select, struct err *err)
{
    struct buf fields = {0};
    struct select *select = calloc(1, sizeof *select);
    struct group *groups = calloc(GROUPS_MAX, sizeof *groups);
    if (select == NULL || groups == NULL) {
        free(select);
        free(groups);
        return err_set(err, ERR_NO_MEMORY, "no memory to choose devices");
    }
    const struct facts_reader reader = {.ctx = select, .each = gather, .again = again};
    select->scope = scope;
    select->groups = groups;
    select->chosen.limit = CHOSEN_BYTES;
    (void)snprintf(select->text, sizeof select->text, "%s", selector);
    bool done = selector_parse(selector, &select->selector, err) && read_groups(db, select, err) &&
                list_fields(select, &fields, err) &&
                facts_open(db, scope, (const char *)fields.data, &reader, &select->facts_read, err);
    buf_done(&fields);
    if (!done) {
        select_close(select);
        return false;
    }
    *ret_select = select;
    return true;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct chosen *)a)->id, ((const struct chosen *)b)->id);
}

static size_t count_of(const struct select *select)
{
    return select->chosen.length / sizeof(struct chosen);
}

/* Whom it chooses is known only when the whole question turned out to be a good one. */
bool select_turn(struct select *select, const struct clock *clock, bool *ret_done, struct err *err)
{
    if (!facts_turn(select->facts_read, clock, ret_done, err))
        return false;
    if (!*ret_done)
        return true;
    if (!decide(select, err) || !check_groups(select, err) || !check_labels(select, err))
        return false;
    if (count_of(select) > 0)
        qsort(select->chosen.data, count_of(select), sizeof(struct chosen), by_name);
    return true;
}

bool select_each(const struct select *select,
                 bool (*each)(void *ctx, int64_t device, const char *id, struct err *err),
                 void *ctx, struct err *err)
{
    const struct chosen *chosen = (const void *)select->chosen.data;
    for (size_t i = 0; i < count_of(select); i++) {
        if (!each(ctx, chosen[i].device, chosen[i].id, err))
            return false;
    }
    return true;
}

struct fleetdb_snapshot *select_take_snapshot(struct select *select)
{
    return facts_take_snapshot(select->facts_read);
}

void select_close(struct select *select)
{
    if (select == NULL)
        return;
    facts_close(select->facts_read);
    buf_done(&select->texts);
    buf_done(&select->chosen);
    free(select->groups);
    free(select);
}

static bool add_row(void *ctx, int64_t device, const char *id, struct err *err)
{
    struct buf *rows = ctx;
    char number[24];
    (void)id;
    int length =
        snprintf(number, sizeof number, "%s%lld", rows->length > 1 ? "," : "", (long long)device);
    return buf_append(rows, number, (size_t)length, err);
}

bool select_rows(const struct select *select, struct buf *ret_rows, struct err *err)
{
    if (count_of(select) == 0)
        return err_set(err, ERR_NOT_FOUND, "no device is so: %.200s", select->text);
    return buf_append(ret_rows, "[", 1, err) && select_each(select, add_row, ret_rows, err) &&
           buf_append(ret_rows, "]", sizeof "]", err);
}

bool select_fit_for_group(const char *selector, struct err *err)
{
    struct selector read;
    const char *field = NULL;
    if (!selector_parse(selector, &read, err))
        return false;
    for (size_t i = 0; (field = selector_field(&read, i)) != NULL; i++) {
        if (strcmp(field, "group") == 0)
            return err_set(err, ERR_INVALID, "a group's selector names no other group");
    }
    return true;
}
