/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/api_keeping.h"

#include "storage/fleetdb_erase.h"
#include "storage/fleetdb_room.h"

#include <string.h>

enum { REQUEST_BYTES = 4096, CODE_CHARS = 64, LOOK_MS = 200 };

/* ---- GET /api/v1/retention ---- */

static json_t *kind_json(const struct keeping *keeping, enum fleetdb_kept kept,
                         const struct fleetdb_kept_view *view)
{
    return json_pack("{s:s, s:I, s:I, s:I, s:I, s:o, s:I}", "kind", fleetdb_kept_word(kept),
                     "age_ms", (json_int_t)keeping->settings.age_ms[kept], "from_ms",
                     (json_int_t)keeping_from_ms(keeping, kept), "oldest_ms",
                     (json_int_t)view->oldest_ms, "whole_from_ms", (json_int_t)view->whole_from_ms,
                     "rows", view->rows < 0 ? json_null() : json_integer((json_int_t)view->rows),
                     "removed", (json_int_t)view->removed);
}

static bool add_kinds(const struct api_keeping *keeping, json_t *kinds, struct err *err)
{
    for (enum fleetdb_kept kept = 0; kept < FLEETDB_KEPTS; kept++) {
        struct fleetdb_kept_view view;
        if (!fleetdb_kept_look(keeping->db, kept, &view, err))
            return false;
        if (!api_append(kinds, kind_json(keeping->keeping, kept, &view), err))
            return false;
    }
    return true;
}

/* Wall time of the next pass; while one goes on, now. */
static int64_t next_ms(const struct keeping *keeping, int64_t now_ms)
{
    return keeping->phase != KEEPING_RESTS || keeping->passed_ms == 0
               ? now_ms
               : keeping->passed_ms + keeping->settings.every_ms;
}

static bool show(void *ctx, const struct api_request *request, struct api_answer *answer,
                 struct err *err)
{
    static const char *const phases[] = {
        [KEEPING_RESTS] = "rests", [KEEPING_AGES] = "removes", [KEEPING_GIVES_BACK] = "gives back"};
    const struct api_keeping *api = ctx;
    const struct keeping *keeping = api->keeping;
    struct fleetdb_room room;
    json_t *kinds = json_array();
    if (!add_kinds(api, kinds, err) || !fleetdb_room_look(api->db, &room, err)) {
        json_decref(kinds);
        return false;
    }
    return api_give(
        answer,
        json_pack("{s:o, s:I, s:s, s:I, s:I, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:b}", "kinds",
                  kinds, "open_age_ms", (json_int_t)keeping->settings.open_age_ms, "phase",
                  phases[keeping->phase], "passed_ms", (json_int_t)keeping->passed_ms, "next_ms",
                  (json_int_t)next_ms(keeping, request->now_ms), "trouble", keeping->trouble,
                  "doubted_ms", (json_int_t)keeping->time.note.doubted_ms, "expected_ms",
                  (json_int_t)keeping->time.note.believed_ms, "left_ms",
                  (json_int_t)keeping_clock_left_ms(&keeping->time), "file_bytes",
                  (json_int_t)room.file_bytes, "free_bytes", (json_int_t)room.free_bytes,
                  "spare_bytes", (json_int_t)keeping->settings.spare_bytes, "shrinks",
                  (int)room.shrinks),
        err);
}

/* ---- GET /api/v1/erasures ---- */

static json_t *erasure_json(const struct fleetdb_erasure *erasure)
{
    return json_pack("{s:I, s:s, s:I, s:I, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:b}", "erasure",
                     (json_int_t)erasure->erasure, "who", erasure->who, "begun_ms",
                     (json_int_t)erasure->begun_ms, "done_ms", (json_int_t)erasure->done_ms, "step",
                     fleetdb_erase_word(erasure->step), "stores", (json_int_t)erasure->stores,
                     "devices", (json_int_t)erasure->devices, "terminals",
                     (json_int_t)erasure->terminals, "tokens", (json_int_t)erasure->tokens,
                     "results", (json_int_t)erasure->results, "events", (json_int_t)erasure->events,
                     "texts", (json_int_t)erasure->texts, "in_part", (int)erasure->in_part);
}

static bool add_erasure(void *ctx, const struct fleetdb_erasure *erasure, struct err *err)
{
    return api_append(ctx, erasure_json(erasure), err);
}

static bool list_erasures(void *ctx, const struct api_request *request, struct api_answer *answer,
                          struct err *err)
{
    (void)request;
    const struct api_keeping *api = ctx;
    json_t *list = json_array();
    if (!fleetdb_erasures_each(api->db, add_erasure, list, err)) {
        json_decref(list);
        return false;
    }
    return api_give(
        answer, json_pack("{s:o, s:s}", "erasures", list, "trouble", api->keeping->erasing_trouble),
        err);
}

/* ---- POST /api/v1/erasures ---- */

/* The name is asked for twice: nothing brings it back. */
static bool read_order(const json_t *object, const struct api_request *request,
                       struct fleetdb_erase_order *ret_order, struct err *err)
{
    const char *merchant, *again = json_string_value(json_object_get(object, "confirm"));
    const bool dry_run = json_is_true(json_object_get(object, "dry_run"));
    if (!api_text(object, "merchant", CODE_CHARS, &merchant, err))
        return false;
    if (!dry_run && (again == NULL || strcmp(again, merchant) != 0))
        return err_set(err, ERR_INVALID, "confirm: expected the merchant's id once more");
    *ret_order =
        (struct fleetdb_erase_order){.merchant = merchant,
                                     .who = request->caller->name,
                                     .force = json_is_true(json_object_get(object, "force")),
                                     .dry_run = dry_run,
                                     .look_ms = LOOK_MS};
    return true;
}

static bool add_in_the_way(void *ctx, const char *what, struct err *err)
{
    return api_append(ctx, json_string(what), err);
}

static bool begin_erasure(void *ctx, const struct api_request *request, struct api_answer *answer,
                          struct err *err)
{
    struct api_keeping *api = ctx;
    struct fleetdb_erase_order order;
    struct fleetdb_erasure erasure;
    json_t *object, *in_the_way = json_array();
    if (!api_body(request, &object, err)) {
        json_decref(in_the_way);
        return false;
    }
    bool ok = read_order(object, request, &order, err);
    if (ok) {
        order.in_the_way = add_in_the_way;
        order.ctx = in_the_way;
        ok = fleetdb_erase_begin(api->db, &order, request->now_ms, &erasure, err);
    }
    json_decref(object);
    json_t *told = ok ? erasure_json(&erasure) : NULL;
    if (told == NULL || !order.dry_run)
        json_decref(in_the_way);
    else
        (void)json_object_set_new(told, "in_the_way", in_the_way);
    if (!ok)
        return false;
    keeping_wake(api->keeping);
    return api_give(answer, told, err);
}

struct api_module api_keeping_module(struct api_keeping *keeping)
{
    static const struct api_route routes[] = {
        {"GET", "/api/v1/retention", 0, show, API_VIEWER, API_WHOLE_FLEET},
        {"GET", "/api/v1/erasures", 0, list_erasures, API_VIEWER, API_WHOLE_FLEET},
        {"POST", "/api/v1/erasures", REQUEST_BYTES, begin_erasure, API_ADMIN, API_WHOLE_FLEET},
    };
    return (struct api_module){
        .routes = routes, .route_count = sizeof routes / sizeof *routes, .ctx = keeping};
}
