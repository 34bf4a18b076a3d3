/* SPDX-License-Identifier: Apache-2.0 */
/* Groups by selector, and whom a selector chooses. */
#include "fleet/api_change.h"
#include "fleet/api_places.h"
#include "fleet/api_select.h"
#include "fleet/census.h"
#include "fleet/selector.h"
#include "storage/fleetdb_labels.h"

#include <stdio.h>
#include <stdlib.h>

enum { TURN_MS = 20 }; /* of counting groups, in one turn of the loop */

/* ---- /api/v1/groups ---- */

static bool note_group(void *ctx, const struct fleetdb_group *group, struct err *err)
{
    return api_append(ctx,
                      json_pack("{s:s, s:s, s:I, s:s}", "name", group->name, "selector",
                                group->selector, "changed_ms", (json_int_t)group->changed_ms, "who",
                                group->who),
                      err);
}

/* What is so of the devices is read once, and then one group after the other counted. */
struct counting {
    const struct api_fleet *fleet;
    struct fleetdb_scope scope;
    json_t *list;
    size_t next;
    struct census *census;
    bool read;
};

static const char *selector_of(const struct counting *counting, size_t at)
{
    return json_string_value(json_object_get(json_array_get(counting->list, at), "selector"));
}

/* A selector that is wrong asks about nothing. */
static bool read_census(struct counting *counting, struct fleetdb_scope scope, struct err *err)
{
    struct selector selector;
    const char *field = NULL;
    json_t *fields = json_object();
    bool done = fields != NULL && json_object_set_new(fields, "device", json_null()) == 0;
    for (size_t at = 0; done && at < json_array_size(counting->list); at++) {
        if (!selector_parse(selector_of(counting, at), &selector, NULL))
            continue;
        for (size_t i = 0; done && (field = selector_field(&selector, i)) != NULL; i++)
            done = json_object_set_new(fields, field, json_null()) == 0;
    }
    json_t *names = json_array();
    json_t *unused = NULL;
    json_object_foreach(fields, field, unused)
    {
        done = done && json_array_append_new(names, json_string(field)) == 0;
    }
    char *text = done ? json_dumps(names, JSON_COMPACT) : NULL;
    done = text != NULL ? census_open(counting->fleet->db, scope, text, &counting->census, err)
                        : api_no_memory(err);
    free(text);
    json_decref(names);
    json_decref(fields);
    return done;
}

/* How many it chooses, or why it cannot be told. */
static bool count_group(struct counting *counting, size_t at, struct err *err)
{
    struct err why = {0};
    struct selector selector;
    int64_t count = 0;
    json_t *group = json_array_get(counting->list, at);
    if ((!selector_parse(selector_of(counting, at), &selector, &why) ||
         !census_count(counting->census, &selector, &count, &why)) &&
        why.code != ERR_NOT_FOUND && why.code != ERR_INVALID)
        return err_set(err, why.code, "%s", why.text);
    return (json_object_set_new(group, "devices", json_integer(count)) == 0 &&
            json_object_set_new(group, "trouble", json_string(why.text)) == 0) ||
           api_no_memory(err);
}

/* To a part of the fleet, a group that chooses nobody of it is none, and how it chooses is the
 * whole fleet's to know. */
static void keep_own(json_t *list)
{
    static const char *const of_all[] = {"selector", "who", "trouble"};
    for (size_t at = json_array_size(list); at-- > 0;) {
        json_t *group = json_array_get(list, at);
        for (size_t i = 0; i < sizeof of_all / sizeof *of_all; i++)
            json_object_set_new(group, of_all[i], json_string(""));
        if (json_integer_value(json_object_get(group, "devices")) == 0)
            json_array_remove(list, at);
    }
}

static bool count_groups(void *ctx, struct api_answer *answer, bool *ret_done, struct err *err)
{
    struct counting *counting = ctx;
    const struct clock *clock = counting->fleet->clock;
    const int64_t until_ms = clock_boot_ms(clock) + TURN_MS;
    if (!counting->read)
        return census_turn(counting->census, clock, &counting->read, err);
    while (counting->next < json_array_size(counting->list)) {
        if (!count_group(counting, counting->next++, err))
            return false;
        if (clock_boot_ms(clock) >= until_ms)
            return true;
    }
    *ret_done = true;
    if (!fleetdb_scope_is_whole(counting->scope))
        keep_own(counting->list);
    return api_give(answer, json_pack("{s:O}", "groups", counting->list), err);
}

static void stop_counting(void *ctx)
{
    struct counting *counting = ctx;
    census_close(counting->census);
    json_decref(counting->list);
    free(counting);
}

bool api_list_groups(void *ctx, const struct api_request *request, struct api_answer *answer,
                     struct err *err)
{
    struct counting *counting = calloc(1, sizeof *counting);
    if (counting == NULL)
        return api_no_memory(err);
    counting->fleet = ctx;
    counting->scope = request->caller->scope;
    counting->list = json_array();
    if (counting->list == NULL ||
        !fleetdb_groups_each(counting->fleet->db, note_group, counting->list, err) ||
        !read_census(counting, request->caller->scope, err)) {
        stop_counting(counting);
        return false;
    }
    answer->work = (struct api_work){.step = count_groups, .free = stop_counting, .ctx = counting};
    return true;
}

static bool put_group(struct api_change *change, struct err *err)
{
    const char *name = NULL, *selector = NULL;
    bool remove = json_is_true(json_object_get(change->object, "remove"));
    if (!api_text(change->object, "name", SELECTOR_NAME_CHARS, &name, err))
        return false;
    if (!selector_group_valid(name))
        return err_set(err, ERR_INVALID, "group \"%s\": expected [a-z][a-z0-9_.-]{0,31}", name);
    change->what = remove ? "group remove" : "group";
    (void)snprintf(change->text, sizeof change->text, "%s", name);
    if (remove)
        return fleetdb_group_remove(change->db, name, err);
    if (!api_text(change->object, "selector", SELECTOR_CHARS, &selector, err) ||
        !select_fit_for_group(selector, err))
        return false;
    (void)snprintf(change->text, sizeof change->text, "%s: %.250s", name, selector);
    return fleetdb_group_put(change->db, name, selector, &change->by, err);
}

bool api_post_group(void *ctx, const struct api_request *request, struct api_answer *answer,
                    struct err *err)
{
    return api_change(ctx, request, answer, put_group, err);
}

/* ---- GET /api/v1/selections ---- */

/* Those of the caller's part of the fleet. */
struct chosen {
    struct fleetdb *db;
    struct fleetdb_scope scope;
    json_t *list; /* borrowed */
};

static bool add_chosen(void *ctx, int64_t device, const char *id, struct err *err)
{
    const struct chosen *chosen = ctx;
    bool holds = false;
    return fleetdb_scope_holds(chosen->db, chosen->scope, device, &holds, err) &&
           (!holds || api_append(chosen->list, json_string(id), err));
}

static bool answer_selection(void *ctx, const struct select *select, struct api_answer *answer,
                             struct err *err)
{
    struct chosen *chosen = ctx;
    chosen->list = api_list(answer, "devices", err);
    return chosen->list != NULL && select_each(select, add_chosen, chosen, err);
}

bool api_show_selection(void *ctx, const struct api_request *request, struct api_answer *answer,
                        struct err *err)
{
    const struct api_fleet *fleet = ctx;
    const char *selector = api_query(request, "selector");
    if (selector == NULL)
        return err_set(err, ERR_INVALID, "selector: whom do you mean?");
    struct chosen *chosen = calloc(1, sizeof *chosen);
    if (chosen != NULL)
        *chosen = (struct chosen){.db = fleet->db, .scope = request->caller->scope};
    const struct api_selection selection = {.db = fleet->db,
                                            .clock = fleet->clock,
                                            .scope = request->caller->scope,
                                            .selector = selector,
                                            .finish = answer_selection,
                                            .ctx = chosen};
    return api_select(&selection, answer, err);
}
