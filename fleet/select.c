/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/select.h"

#include "fleet/selector.h"
#include "storage/fleetdb_labels.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FACTS_MAX = 512, GROUPS_MAX = SELECTOR_VALUES_MAX };

struct group {
    char name[SELECTOR_NAME_CHARS + 1];
    struct selector selector;
    bool known, seen; /* there is one; some device is in it */
};

/* The facts of one device after another, and what is asked of them. */
struct question {
    struct fleetdb_scope scope;
    struct selector selector;
    struct group *groups;
    size_t group_count;
    bool seen[SELECTOR_TERMS_MAX]; /* some device has this term's field */

    int64_t device; /* whose facts are being gathered, 0: nobody's yet */
    char id[64];
    struct buf texts; /* field, NUL, value, NUL, ... */
    struct selector_fact facts[FACTS_MAX];
    size_t fact_count;

    bool (*each)(void *ctx, int64_t device, const char *id, struct err *err);
    void *ctx;
};

/* Groups name no groups. */
static bool in_none(void *ctx, const char *group)
{
    (void)ctx;
    (void)group;
    return false;
}

static bool holds(const struct question *question, const struct group *group)
{
    return group->known &&
           selector_holds(&group->selector, question->facts, question->fact_count, in_none, NULL);
}

static bool in_group(void *ctx, const char *name)
{
    const struct question *question = ctx;
    for (size_t i = 0; i < question->group_count; i++) {
        if (strcmp(question->groups[i].name, name) == 0)
            return holds(question, &question->groups[i]);
    }
    return false;
}

/* All facts of a device are there. */
static bool decide(struct question *question, struct err *err)
{
    if (question->device == 0)
        return true;
    const char *at = (const char *)question->texts.data;
    for (size_t i = 0; i < question->fact_count; i++) {
        question->facts[i].field = at;
        at += strlen(at) + 1;
        question->facts[i].value = at;
        at += strlen(at) + 1;
    }
    for (size_t i = 0; i < question->group_count; i++) {
        struct group *group = &question->groups[i];
        group->seen = group->seen || holds(question, group);
    }
    bool chosen = selector_holds(&question->selector, question->facts, question->fact_count,
                                 in_group, question);
    return !chosen || question->each(question->ctx, question->device, question->id, err);
}

static void mark_seen(struct question *question, const char *field)
{
    const char *asked = NULL;
    for (size_t i = 0; (asked = selector_field(&question->selector, i)) != NULL; i++)
        question->seen[i] = question->seen[i] || strcmp(asked, field) == 0;
}

static bool gather(void *ctx, const struct fleetdb_fact *fact, struct err *err)
{
    struct question *question = ctx;
    if (fact->device != question->device) {
        if (!decide(question, err))
            return false;
        question->device = fact->device;
        (void)snprintf(question->id, sizeof question->id, "%s", fact->id);
        question->fact_count = 0;
        buf_clear(&question->texts);
    }
    if (question->fact_count == FACTS_MAX)
        return err_set(err, ERR_FULL, "%s has more than %d labels and logical terminals", fact->id,
                       FACTS_MAX);
    mark_seen(question, fact->field);
    question->fact_count++;
    return buf_append(&question->texts, fact->field, strlen(fact->field) + 1, err) &&
           buf_append(&question->texts, fact->value, strlen(fact->value) + 1, err);
}

/* ---- groups ---- */

static bool no_group(const char *name, struct err *err)
{
    return err_set(err, ERR_NOT_FOUND, "group %s: no group %s", name, name);
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

static bool read_groups(struct fleetdb *db, struct question *question, struct err *err)
{
    const char *field = NULL, *name = NULL;
    for (size_t term = 0; (field = selector_field(&question->selector, term)) != NULL; term++) {
        for (size_t i = 0; strcmp(field, "group") == 0 &&
                           (name = selector_value(&question->selector, term, i)) != NULL;
             i++) {
            if (!selector_group_valid(name))
                return err_set(err, ERR_INVALID, "group=%.40s: expected a group's name", name);
            if (!read_group(db, question->scope, name, &question->groups[question->group_count++],
                            err))
                return false;
        }
    }
    return true;
}

/* As in the list of groups, to a part of the fleet a group that chooses nobody of it is none. */
static bool check_groups(const struct question *question, struct err *err)
{
    for (size_t i = 0; i < question->group_count && !fleetdb_scope_is_whole(question->scope); i++)
        if (!question->groups[i].seen)
            return no_group(question->groups[i].name, err);
    return true;
}

/* A word that no device knows is more likely mistyped than meant. */
static bool check_labels(const struct question *question, struct err *err)
{
    const char *field = NULL;
    for (size_t i = 0; (field = selector_field(&question->selector, i)) != NULL; i++) {
        if (!question->seen[i] && selector_label_valid(field))
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
static bool list_fields(const struct question *question, struct buf *out, struct err *err)
{
    static const char first[] = "[\"device\"";
    bool done =
        buf_append(out, first, sizeof first - 1, err) && add_fields(&question->selector, out, err);
    for (size_t i = 0; done && i < question->group_count; i++)
        done = add_fields(&question->groups[i].selector, out, err);
    return done && buf_append(out, "]", sizeof "]", err);
}

static bool note(void *ctx, int64_t device, const char *id, struct err *err)
{
    struct buf *chosen = ctx;
    return buf_append(chosen, &device, sizeof device, err) &&
           buf_append(chosen, id, strlen(id) + 1, err);
}

/* Whom it chooses is told only when the whole question turned out to be a good one. */
static bool tell(const struct buf *chosen,
                 bool (*each)(void *ctx, int64_t device, const char *id, struct err *err),
                 void *ctx, struct err *err)
{
    for (size_t at = 0; at < chosen->length;) {
        int64_t device = 0;
        memcpy(&device, chosen->data + at, sizeof device);
        const char *id = (const char *)chosen->data + at + sizeof device;
        if (!each(ctx, device, id, err))
            return false;
        at += sizeof device + strlen(id) + 1;
    }
    return true;
}

bool select_devices(struct fleetdb *db, struct fleetdb_scope scope, const char *selector,
                    bool (*each)(void *ctx, int64_t device, const char *id, struct err *err),
                    void *ctx, struct err *err)
{
    struct buf chosen = {.limit = (size_t)64 << 20}, fields = {0};
    struct question *question = calloc(1, sizeof *question);
    struct group *groups = calloc(GROUPS_MAX, sizeof *groups);
    bool done = false;
    if (question == NULL || groups == NULL) {
        err_set(err, ERR_NO_MEMORY, "no memory to choose devices");
    } else {
        question->scope = scope;
        question->groups = groups;
        question->each = note;
        question->ctx = &chosen;
        done = selector_parse(selector, &question->selector, err) &&
               read_groups(db, question, err) && list_fields(question, &fields, err) &&
               fleetdb_facts_each(db, scope, (const char *)fields.data, gather, question, err) &&
               decide(question, err) && check_groups(question, err) &&
               check_labels(question, err) && tell(&chosen, each, ctx, err);
        buf_done(&question->texts);
    }
    buf_done(&chosen);
    buf_done(&fields);
    free(groups);
    free(question);
    return done;
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

bool select_rows(struct fleetdb *db, struct fleetdb_scope scope, const char *selector,
                 struct buf *ret_rows, struct err *err)
{
    if (!buf_append(ret_rows, "[", 1, err) ||
        !select_devices(db, scope, selector, add_row, ret_rows, err))
        return false;
    if (ret_rows->length == 1)
        return err_set(err, ERR_NOT_FOUND, "no device is so: %.200s", selector);
    return buf_append(ret_rows, "]", sizeof "]", err);
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
