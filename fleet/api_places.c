/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/api_places.h"

#include "fleet/access.h"
#include "fleet/api_change.h"
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
};

/* ---- /api/v1/stores ---- */

struct stores {
    json_t *list;
    const char *unsaid; /* time zone of those of which nobody has said one */
    int64_t now_ms;
};

/* null: its hours are not known. */
static json_t *open_now(const struct fleetdb_store_view *view, const char *zone_name,
                        int64_t now_ms)
{
    struct zone *zone = NULL;
    struct opening opening;
    if (view->store.opening_hours[0] == '\0' ||
        !opening_parse(view->store.opening_hours, &opening, NULL) ||
        !zone_open(zone_name, &zone, NULL))
        return json_null();
    bool open = zone_open_at(zone, &opening, now_ms);
    zone_close(zone);
    return json_boolean(open);
}

static bool add_store(void *ctx, const struct fleetdb_store_view *view, struct err *err)
{
    const struct stores *stores = ctx;
    const struct fleetdb_store *store = &view->store;
    const char *zone = view->zone[0] != '\0' ? view->zone : stores->unsaid;
    return api_append(stores->list,
                      json_pack("{s:{s:s, s:s}, s:{s:s, s:s, s:s, s:s, s:s, s:s}, s:s, s:o, s:I}",
                                "merchant", "id", store->merchant, "name", store->merchant_name,
                                "store", "id", store->store, "name", store->store_name, "region",
                                store->region, "time_zone", store->time_zone, "opening_hours",
                                store->opening_hours, "address", store->address, "zone_in_force",
                                zone, "open_now", open_now(view, zone, stores->now_ms), "devices",
                                (json_int_t)view->devices),
                      err);
}

static bool list_stores(void *ctx, const struct api_request *request, struct api_answer *answer,
                        struct err *err)
{
    const struct api_fleet *fleet = ctx;
    struct stores stores = {api_list(answer, "stores", err), fleet->zone, request->now_ms};
    return stores.list != NULL && fleetdb_stores_each(fleet->db, add_store, &stores, err);
}

static bool put_store(struct api_change *change, struct err *err)
{
    struct fleetdb_store store;
    int64_t row = 0;
    return place_read(change->object, &store, err) &&
           fleetdb_store_put(change->db, &store, &change->by, &row, err);
}

static bool post_store(void *ctx, const struct api_request *request, struct api_answer *answer,
                       struct err *err)
{
    return api_change(ctx, request, answer, put_store, err);
}

/* ---- /api/v1/regions ---- */

static bool add_region(void *ctx, const char *name, const char *time_zone, struct err *err)
{
    return api_append(ctx, json_pack("{s:s, s:s}", "name", name, "time_zone", time_zone), err);
}

static bool list_regions(void *ctx, const struct api_request *request, struct api_answer *answer,
                         struct err *err)
{
    const struct api_fleet *fleet = ctx;
    json_t *list = api_list(answer, "regions", err);
    return list != NULL &&
           fleetdb_regions_each(fleet->db, request->caller->scope, add_region, list, err);
}

struct region {
    const char *name;
    bool known;
    char zone[ZONE_NAME_CHARS + 1]; /* "": nobody has said one */
};

static bool note_zone(void *ctx, const char *name, const char *time_zone, struct err *err)
{
    struct region *region = ctx;
    (void)err;
    if (strcmp(name, region->name) != 0)
        return true;
    region->known = true;
    (void)snprintf(region->zone, sizeof region->zone, "%s", time_zone);
    return true;
}

static bool put_region(struct api_change *change, struct err *err)
{
    const char *name = NULL, *zone = NULL;
    struct region before = {0};
    if (!api_text(change->object, "name", NAME_CHARS, &name, err) ||
        !api_text(change->object, "time_zone", ZONE_NAME_CHARS, &zone, err) ||
        !place_check_zone(zone, err))
        return false;
    before.name = name;
    if (!fleetdb_regions_each(change->db, (struct fleetdb_scope){0}, note_zone, &before, err) ||
        (!before.known && !place_check_region(name, err)))
        return false;
    change->what = "region";
    (void)snprintf(change->text, sizeof change->text, "%s: time zone: %s%s%s", name,
                   before.known && before.zone[0] == '\0' ? "none" : before.zone,
                   before.known ? " -> " : "", zone);
    return fleetdb_region_put(change->db, name, zone, err);
}

static bool post_region(void *ctx, const struct api_request *request, struct api_answer *answer,
                        struct err *err)
{
    return api_change(ctx, request, answer, put_region, err);
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
    return api_give(answer, json_pack("{s:o}", "duties", list), err);
}

static bool done_duties(struct api_change *change, struct err *err)
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
        if (!fleetdb_duty_done(change->db, json_integer_value(number), &change->by, err))
            return false;
    }
    char *text = json_dumps(list, JSON_COMPACT);
    change->what = "duty done";
    (void)snprintf(change->text, sizeof change->text, "%.200s%s%.100s", text != NULL ? text : "",
                   change->by.why[0] ? ": " : "", change->by.why);
    free(text);
    return true;
}

static bool post_duties(void *ctx, const struct api_request *request, struct api_answer *answer,
                        struct err *err)
{
    return api_change(ctx, request, answer, done_duties, err);
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
        {"GET", "/api/v1/groups", 0, api_list_groups, API_VIEWER, API_OWN_PART},
        {"POST", "/api/v1/groups", REQUEST_BYTES, api_post_group, API_OPERATOR, API_WHOLE_FLEET},
        {"GET", "/api/v1/selections", 0, api_show_selection, API_VIEWER, API_OWN_PART},
        {"GET", "/api/v1/duties", 0, list_duties, API_VIEWER, API_OWN_PART},
        {"POST", "/api/v1/duties", REQUEST_BYTES, post_duties, API_OPERATOR, API_WHOLE_FLEET},
    };
    return (struct api_module){
        .routes = routes, .route_count = sizeof routes / sizeof routes[0], .ctx = fleet};
}
