/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/api_places.h"
#include "base/utf8.h"

#include "fleet/access.h"
#include "fleet/census.h"
#include "fleet/select.h"
#include "fleet/selector.h"
#include "fleet/zone.h"
#include "storage/fleetdb_labels.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    REQUEST_BYTES = 16 * 1024,
    INVENTORY_BYTES = 16 * 1024 * 1024,
    NAME_CHARS = 64,
    NUMBERS_MAX = 1000,
    TURN_MS = 20, /* of counting groups, in one turn of the loop */
};

static bool no_memory(struct err *err)
{
    return err_set(err, ERR_NO_MEMORY, "no memory for the answer");
}

static bool append(json_t *list, json_t *value, struct err *err)
{
    return json_array_append_new(list, value) == 0 || no_memory(err);
}

/* The answer is an object with an empty list under `name`, which is returned; NULL: no memory. */
static json_t *answer_list(struct api_answer *answer, const char *name, struct err *err)
{
    json_t *list = json_array();
    answer->json = json_pack("{s:o}", name, list);
    if (answer->json != NULL)
        return list;
    no_memory(err);
    return NULL;
}

/* ---- a small change with its audit row, in one transaction ---- */

struct change {
    struct fleetdb *db;
    const json_t *object;
    struct fleetdb_change change;
    const char *what; /* NULL: what was called has told the audit */
    char text[320];
    json_t *answer; /* may be replaced */
};

static bool do_it(struct change *change, bool (*act)(struct change *change, struct err *err),
                  struct err *err)
{
    const int64_t before = fleetdb_writes(change->db);
    if (!act(change, err))
        return false;
    bool changed = fleetdb_writes(change->db) != before;
    utf8_clean(change->text);
    return (json_object_set_new(change->answer, "changed", json_boolean(changed)) == 0 ||
            no_memory(err)) &&
           (!changed || change->what == NULL ||
            fleetdb_audit(change->db, change->change.now_ms, change->change.who, change->what, 0,
                          change->text, err));
}

static bool make_change(void *ctx, const struct api_request *request, struct api_answer *answer,
                        bool (*act)(struct change *change, struct err *err), struct err *err)
{
    const struct api_fleet *fleet = ctx;
    json_t *object = NULL;
    struct change change = {.db = fleet->db,
                            .change = {.who = request->caller->name, .now_ms = request->now_ms}};
    if (!api_body(request, &object, err))
        return false;
    change.object = object;
    change.answer = json_object();
    bool done = place_text(object, "why", PLACE_TEXT_CHARS, &change.change.why, err) &&
                fleetdb_begin(fleet->db, err);
    if (change.change.why == NULL)
        change.change.why = "";
    if (done) {
        done = do_it(&change, act, err);
        if (done)
            done = fleetdb_commit(fleet->db, err);
        else
            fleetdb_rollback(fleet->db);
    }
    json_decref(object);
    if (done)
        answer->json = change.answer;
    else
        json_decref(change.answer);
    return done;
}

/* ---- /api/v1/stores ---- */

struct stores {
    json_t *list;
    int64_t now_ms;
};

/* null: its hours are not known. */
static json_t *open_now(const struct fleetdb_store_view *view, int64_t now_ms)
{
    struct zone *zone = NULL;
    struct opening opening;
    if (view->store.opening_hours[0] == '\0' ||
        !opening_parse(view->store.opening_hours, &opening, NULL) ||
        !zone_open(view->zone, &zone, NULL))
        return json_null();
    bool open = zone_open_at(zone, &opening, now_ms);
    zone_close(zone);
    return json_boolean(open);
}

static bool add_store(void *ctx, const struct fleetdb_store_view *view, struct err *err)
{
    const struct stores *stores = ctx;
    const struct fleetdb_store *store = &view->store;
    return append(stores->list,
                  json_pack("{s:{s:s, s:s}, s:{s:s, s:s, s:s, s:s, s:s, s:s}, s:s, s:o, s:I}",
                            "merchant", "id", store->merchant, "name", store->merchant_name,
                            "store", "id", store->store, "name", store->store_name, "region",
                            store->region, "time_zone", store->time_zone, "opening_hours",
                            store->opening_hours, "address", store->address, "zone_in_force",
                            view->zone, "open_now", open_now(view, stores->now_ms), "devices",
                            (json_int_t)view->devices),
                  err);
}

static bool list_stores(void *ctx, const struct api_request *request, struct api_answer *answer,
                        struct err *err)
{
    const struct api_fleet *fleet = ctx;
    struct stores stores = {answer_list(answer, "stores", err), request->now_ms};
    return stores.list != NULL && fleetdb_stores_each(fleet->db, add_store, &stores, err);
}

static bool put_store(struct change *change, struct err *err)
{
    struct fleetdb_store store;
    int64_t row = 0;
    return place_read(change->object, &store, err) &&
           fleetdb_store_put(change->db, &store, &change->change, &row, err);
}

static bool post_store(void *ctx, const struct api_request *request, struct api_answer *answer,
                       struct err *err)
{
    return make_change(ctx, request, answer, put_store, err);
}

/* ---- /api/v1/regions ---- */

static bool add_region(void *ctx, const char *name, const char *time_zone, struct err *err)
{
    return append(ctx, json_pack("{s:s, s:s}", "name", name, "time_zone", time_zone), err);
}

static bool list_regions(void *ctx, const struct api_request *request, struct api_answer *answer,
                         struct err *err)
{
    const struct api_fleet *fleet = ctx;
    json_t *list = answer_list(answer, "regions", err);
    return list != NULL &&
           fleetdb_regions_each(fleet->db, request->caller->scope, add_region, list, err);
}

struct region {
    const char *name;
    char zone[ZONE_NAME_CHARS + 1]; /* "": there is no such region */
};

static bool note_zone(void *ctx, const char *name, const char *time_zone, struct err *err)
{
    struct region *region = ctx;
    (void)err;
    if (strcmp(name, region->name) == 0)
        (void)snprintf(region->zone, sizeof region->zone, "%s", time_zone);
    return true;
}

static bool put_region(struct change *change, struct err *err)
{
    const char *name = NULL, *zone = NULL;
    struct region before = {0};
    if (!api_text(change->object, "name", NAME_CHARS, &name, err) ||
        !api_text(change->object, "time_zone", ZONE_NAME_CHARS, &zone, err) ||
        !place_check_zone(zone, err))
        return false;
    before.name = name;
    if (!fleetdb_regions_each(change->db, (struct fleetdb_scope){0}, note_zone, &before, err))
        return false;
    change->what = "region";
    (void)snprintf(change->text, sizeof change->text, "%s: time zone: %s%s%s", name, before.zone,
                   before.zone[0] != '\0' ? " -> " : "", zone);
    return fleetdb_region_put(change->db, name, zone, err);
}

static bool post_region(void *ctx, const struct api_request *request, struct api_answer *answer,
                        struct err *err)
{
    return make_change(ctx, request, answer, put_region, err);
}

/* ---- /api/v1/groups ---- */

static bool note_group(void *ctx, const struct fleetdb_group *group, struct err *err)
{
    return append(ctx,
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
                        : no_memory(err);
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
           no_memory(err);
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
    while (counting->next < json_array_size(counting->list)) {
        if (!count_group(counting, counting->next++, err))
            return false;
        if (clock_boot_ms(clock) >= until_ms)
            return true;
    }
    *ret_done = true;
    if (!fleetdb_scope_is_whole(counting->scope))
        keep_own(counting->list);
    answer->json = json_pack("{s:O}", "groups", counting->list);
    return answer->json != NULL || no_memory(err);
}

static void stop_counting(void *ctx)
{
    struct counting *counting = ctx;
    census_close(counting->census);
    json_decref(counting->list);
    free(counting);
}

static bool list_groups(void *ctx, const struct api_request *request, struct api_answer *answer,
                        struct err *err)
{
    struct counting *counting = calloc(1, sizeof *counting);
    if (counting == NULL)
        return no_memory(err);
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

static bool put_group(struct change *change, struct err *err)
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
    return fleetdb_group_put(change->db, name, selector, &change->change, err);
}

static bool post_group(void *ctx, const struct api_request *request, struct api_answer *answer,
                       struct err *err)
{
    return make_change(ctx, request, answer, put_group, err);
}

/* ---- GET /api/v1/selections ---- */

/* Those of the caller's part of the fleet. */
struct chosen {
    struct fleetdb *db;
    struct fleetdb_scope scope;
    json_t *list;
};

static bool add_chosen(void *ctx, int64_t device, const char *id, struct err *err)
{
    const struct chosen *chosen = ctx;
    bool holds = false;
    return fleetdb_scope_holds(chosen->db, chosen->scope, device, &holds, err) &&
           (!holds || append(chosen->list, json_string(id), err));
}

static bool show_selection(void *ctx, const struct api_request *request, struct api_answer *answer,
                           struct err *err)
{
    const struct api_fleet *fleet = ctx;
    const char *selector = api_query(request, "selector");
    if (selector == NULL)
        return err_set(err, ERR_INVALID, "selector: whom do you mean?");
    struct chosen chosen = {.db = fleet->db, .scope = request->caller->scope};
    chosen.list = answer_list(answer, "devices", err);
    return chosen.list != NULL &&
           select_devices(fleet->db, chosen.scope, selector, add_chosen, &chosen, err);
}

/* ---- /api/v1/duties ---- */

static bool list_duties(void *ctx, const struct api_request *request, struct api_answer *answer,
                        struct err *err)
{
    const struct api_fleet *fleet = ctx;
    const char *id = api_query(request, "device");
    int64_t all = 0;
    struct fleetdb_device device = {0};
    json_t *list = NULL;
    if (!api_query_number(request, "all", 0, &all, err) ||
        (id != NULL && (!access_check_held(fleet->db, request->caller, id, err) ||
                        !fleetdb_device_find(fleet->db, id, &device, err))) ||
        !place_duties(fleet->db, request->caller->scope, device.device, all != 0, &list, err))
        return false;
    answer->json = json_pack("{s:o}", "duties", list);
    return answer->json != NULL || no_memory(err);
}

static bool done_duties(struct change *change, struct err *err)
{
    size_t i = 0;
    const json_t *number = NULL, *list = json_object_get(change->object, "done");
    if (!json_is_array(list) || json_array_size(list) == 0 || json_array_size(list) > NUMBERS_MAX)
        return err_set(err, ERR_INVALID, "done: expected an array of 1 to %d numbers of duties",
                       NUMBERS_MAX);
    json_array_foreach(list, i, number)
    {
        if (!json_is_integer(number))
            return err_set(err, ERR_INVALID, "done: expected numbers of duties");
        if (!fleetdb_duty_done(change->db, json_integer_value(number), &change->change, err))
            return false;
    }
    char *text = json_dumps(list, JSON_COMPACT);
    change->what = "duty done";
    (void)snprintf(change->text, sizeof change->text, "%.200s%s%.100s", text != NULL ? text : "",
                   change->change.why[0] ? ": " : "", change->change.why);
    free(text);
    return true;
}

static bool post_duties(void *ctx, const struct api_request *request, struct api_answer *answer,
                        struct err *err)
{
    return make_change(ctx, request, answer, done_duties, err);
}

struct api_module api_places_module(struct api_fleet *fleet)
{
    static const struct api_route routes[] = {
        {"GET", "/api/v1/devices/{}/history", 0, api_show_history, API_VIEWER, API_OWN_PART},
        {"POST", "/api/v1/devices/{}/state", REQUEST_BYTES, api_set_state, API_OPERATOR,
         API_ONE_DEVICE},
        {"POST", "/api/v1/devices/{}/move", REQUEST_BYTES, api_move_device, API_OPERATOR,
         API_WHOLE_FLEET},
        {"POST", "/api/v1/devices/{}/swap", REQUEST_BYTES, api_swap_device, API_OPERATOR,
         API_ONE_DEVICE},
        {"POST", "/api/v1/devices/{}/labels", REQUEST_BYTES, api_label_device, API_OPERATOR,
         API_ONE_DEVICE},
        {"GET", "/api/v1/inventory", 0, api_show_inventory, API_VIEWER, API_WHOLE_FLEET},
        {"POST", "/api/v1/inventory", INVENTORY_BYTES, api_post_inventory, API_OPERATOR,
         API_WHOLE_FLEET},
        {"GET", "/api/v1/terminals/{}", 0, api_show_terminal, API_VIEWER, API_OWN_PART},
        {"GET", "/api/v1/stores", 0, list_stores, API_VIEWER, API_WHOLE_FLEET},
        {"POST", "/api/v1/stores", REQUEST_BYTES, post_store, API_OPERATOR, API_WHOLE_FLEET},
        {"GET", "/api/v1/regions", 0, list_regions, API_VIEWER, API_OWN_PART},
        {"POST", "/api/v1/regions", REQUEST_BYTES, post_region, API_OPERATOR, API_WHOLE_FLEET},
        {"GET", "/api/v1/groups", 0, list_groups, API_VIEWER, API_OWN_PART},
        {"POST", "/api/v1/groups", REQUEST_BYTES, post_group, API_OPERATOR, API_WHOLE_FLEET},
        {"GET", "/api/v1/selections", 0, show_selection, API_VIEWER, API_OWN_PART},
        {"GET", "/api/v1/duties", 0, list_duties, API_VIEWER, API_OWN_PART},
        {"POST", "/api/v1/duties", REQUEST_BYTES, post_duties, API_OPERATOR, API_WHOLE_FLEET},
    };
    return (struct api_module){
        .routes = routes, .route_count = sizeof routes / sizeof routes[0], .ctx = fleet};
}
