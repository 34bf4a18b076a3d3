/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/api_actions.h"

#include "fleet/access.h"
#include "fleet/api_select.h"
#include "proto/action.h"
#include "proto/limits.h"
#include "proto/topics.h"
#include "proto/unpack.h"

#include <stdlib.h>
#include <string.h>

enum { DEVICES_MAX = 20000, REQUEST_BYTES = 1024 * 1024, SHOWN = 50, LOOKED_AT_MAX = 100000 };

/* ---- POST /api/v1/actions ---- */

struct order {
    struct director_act act;
    const char **ids;
    size_t count;
    bool dry_run;
};

static bool read_note(const json_t *object, const char **ret_note, struct err *err)
{
    *ret_note = "";
    return json_object_get(object, "note") == NULL ||
           api_text(object, "note", LIMIT_ACTION_NOTE_BYTES, ret_note, err);
}

static bool read_numbers(const json_t *object, int64_t now_ms, struct director_act *act,
                         struct err *err)
{
    int64_t limit = 0, expires_in_ms = 0;
    const int64_t ten_years_ms = INT64_C(10) * 365 * 24 * 3600 * 1000;
    if (json_object_get(object, "limit_bytes") != NULL &&
        !api_number(object, "limit_bytes", 1024, LIMIT_LOG_BUNDLE_BYTES, &limit, err))
        return false;
    if (json_object_get(object, "expires_in_ms") != NULL &&
        !api_number(object, "expires_in_ms", 1, ten_years_ms, &expires_in_ms, err))
        return false;
    act->limit_bytes = (uint64_t)limit;
    act->expires_ms = expires_in_ms == 0 ? 0 : now_ms + expires_in_ms;
    return true;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* A device that is named twice would do it twice. */
static bool check_once(const struct order *order, struct err *err)
{
    const char **sorted = calloc(order->count + 1, sizeof *sorted);
    bool ok = sorted != NULL || api_no_memory(err);
    if (ok) {
        memcpy(sorted, order->ids, order->count * sizeof *sorted);
        qsort(sorted, order->count, sizeof *sorted, by_name);
    }
    for (size_t i = 1; ok && i < order->count; i++)
        ok = strcmp(sorted[i - 1], sorted[i]) != 0 ||
             err_set(err, ERR_INVALID, "devices: %s is there twice", sorted[i]);
    free(sorted);
    return ok;
}

/* {"kind", "devices"}, and if they are wanted "note", "limit_bytes", "expires_in_ms", "dry_run". */
static bool read_order(struct fleetdb *db, const json_t *object, const struct api_request *request,
                       struct order *order, struct err *err)
{
    const char *word;
    const json_t *list = json_object_get(object, "devices");
    if (!api_text(object, "kind", 32, &word, err) || !read_note(object, &order->act.note, err) ||
        !read_numbers(object, request->now_ms, &order->act, err))
        return false;
    order->act.kind = (int)action_of_word(word);
    order->act.who = request->caller->name;
    order->dry_run = json_is_true(json_object_get(object, "dry_run"));
    if (order->act.kind == MUSTER__ACTION_KIND__ACTION_UNKNOWN)
        return err_set(err, ERR_INVALID, "kind %.32s: expected one of %s", word, action_words());
    for (size_t i = 0; i < order->count; i++) {
        order->ids[i] = json_string_value(json_array_get(list, i));
        if (order->ids[i] == NULL || !device_id_valid(order->ids[i]))
            return err_set(err, ERR_INVALID, "devices: entry %zu is not a device id", i + 1);
        if (!access_check_device(db, request->caller, order->ids[i], err))
            return false;
    }
    return check_once(order, err);
}

static json_t *outcomes_json(const struct order *order, const struct director_outcome *outcomes,
                             const struct director_acted *acted)
{
    json_t *list = json_array();
    for (size_t i = 0; i < order->count; i++) {
        json_t *shown =
            json_pack("{s:s, s:s, s:I, s:s}", "device", outcomes[i].device.id, "id",
                      order->dry_run ? "" : acted[i].name, "manifest_version",
                      (json_int_t)outcomes[i].manifest_version, "waits_for", outcomes[i].waits_for);
        if (json_array_append_new(list, shown) == 0)
            continue;
        json_decref(list);
        return NULL;
    }
    return json_pack("{s:b, s:s, s:I, s:o}", "dry_run", (int)order->dry_run, "kind",
                     action_word(order->act.kind), "expires_ms", (json_int_t)order->act.expires_ms,
                     "actions", list);
}

static bool carry_out(struct api_actions *actions, const struct order *order, int64_t now_ms,
                      json_t **ret_json, struct err *err)
{
    struct director_outcome *outcomes = calloc(order->count, sizeof *outcomes);
    struct director_acted *acted = calloc(order->count, sizeof *acted);
    bool ok = outcomes != NULL && acted != NULL;
    if (!ok)
        err_set(err, ERR_NO_MEMORY, "no memory for %zu devices", order->count);
    ok = ok && director_act(actions->director, &order->act, order->ids, order->count, now_ms,
                            order->dry_run, outcomes, acted, err);
    if (ok && !order->dry_run) {
        publisher_changed(actions->publisher, outcomes, order->count);
        if (actions->retirement != NULL)
            retirement_wake(actions->retirement);
    }
    if (ok) {
        *ret_json = outcomes_json(order, outcomes, acted);
        ok = *ret_json != NULL || api_no_memory(err);
    }
    free(acted);
    free(outcomes);
    return ok;
}

static bool post_actions(void *ctx, const struct api_request *request, struct api_answer *answer,
                         struct err *err)
{
    struct api_actions *actions = ctx;
    struct order order = {0};
    json_t *object;
    if (!api_body(request, &object, err))
        return false;
    order.count = json_array_size(json_object_get(object, "devices"));
    bool ok = (order.count > 0 && order.count <= DEVICES_MAX) ||
              err_set(err, ERR_INVALID, "devices: expected an array of 1 to %d", DEVICES_MAX);
    if (ok) {
        order.ids = calloc(order.count, sizeof *order.ids);
        ok = order.ids != NULL ||
             err_set(err, ERR_NO_MEMORY, "no memory for %zu devices", order.count);
    }
    ok = ok && read_order(actions->db, object, request, &order, err) &&
         carry_out(actions, &order, request->now_ms, &answer->json, err);
    free(order.ids);
    json_decref(object);
    return ok;
}

/* ---- GET /api/v1/actions ---- */

static json_t *action_json(const struct fleetdb_action *action)
{
    char sha256[65] = "";
    if (action->log_sha256.length == 32)
        hex_encode(action->log_sha256.data, 32, sha256);
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:s}",
                     "id", action->name, "device", action->device, "kind",
                     action_word(action->kind), "step", action_step_word(action->step), "note",
                     action->note, "text", action->text, "open", (int)action->open, "limit_bytes",
                     (json_int_t)action->limit_bytes, "made_ms", (json_int_t)action->made_ms,
                     "expires_ms", (json_int_t)action->expires_ms, "reported_ms",
                     (json_int_t)action->reported_ms, "log_bytes", (json_int_t)action->log_bytes,
                     "log_pieces", (json_int_t)action->log_pieces, "log_pieces_held",
                     (json_int_t)action->log_held, "log_sha256", sha256);
}

bool api_action_json(struct fleetdb *db, struct fleetdb_scope scope,
                     const struct fleetdb_action *action, json_t **ret_json, struct err *err)
{
    struct fleetdb_action told = *action;
    struct fleetdb_device device;
    bool held = true;
    if (action->reported_ms != 0 && !fleetdb_scope_is_whole(scope) &&
        (!fleetdb_device_find(db, action->device, &device, err) ||
         !fleetdb_scope_held_at(db, scope, device.device, action->reported_ms, &held, err)))
        return false;
    if (!held) {
        told.text = "";
        told.log_bytes = told.log_pieces = told.log_held = 0;
        told.log_sha256 = (struct bytes){0};
    }
    *ret_json = action_json(&told);
    return *ret_json != NULL || api_no_memory(err);
}

struct listing {
    struct fleetdb *db;
    struct fleetdb_scope scope;
    json_t *list;   /* borrowed */
    int64_t device; /* 0: of all */
    size_t limit;
};

/* It is of whoever had the device when it was ordered. */
static bool holds_action(struct fleetdb *db, struct fleetdb_scope scope, const char *id,
                         int64_t made_ms, bool *ret_held, struct err *err)
{
    struct fleetdb_device device;
    return fleetdb_device_find(db, id, &device, err) &&
           fleetdb_scope_held_at(db, scope, device.device, made_ms, ret_held, err);
}

static bool add_action(void *ctx, const struct fleetdb_action *action, struct err *err)
{
    const struct listing *listing = ctx;
    bool held = false;
    json_t *json = NULL;
    if (!holds_action(listing->db, listing->scope, action->device, action->made_ms, &held, err))
        return false;
    return !held || json_array_size(listing->list) >= listing->limit ||
           (api_action_json(listing->db, listing->scope, action, &json, err) &&
            api_append(listing->list, json, err));
}

static bool answer_actions(void *ctx, const struct select *chosen, struct api_answer *answer,
                           struct err *err)
{
    struct listing *listing = ctx;
    struct buf devices = {0};
    /* Others' actions may lie between those of a part of the fleet. */
    const int64_t looked_at =
        fleetdb_scope_is_whole(listing->scope) ? (int64_t)listing->limit : LOOKED_AT_MAX;
    listing->list = api_list(answer, "actions", err);
    bool done = listing->list != NULL && (chosen == NULL || select_rows(chosen, &devices, err)) &&
                fleetdb_actions_each(listing->db, listing->device, (const char *)devices.data,
                                     looked_at, add_action, listing, err);
    buf_done(&devices);
    return done;
}

/* ?device=ID, ?devices=SELECTOR, ?limit=N. Newest first. */
static bool get_actions(void *ctx, const struct api_request *request, struct api_answer *answer,
                        struct err *err)
{
    struct api_actions *actions = ctx;
    struct fleetdb_device device = {0};
    const char *id = api_query(request, "device");
    const struct fleetdb_scope scope = request->caller->scope;
    int64_t limit = 0;
    if ((id != NULL && (!access_check_held(actions->db, request->caller, id, err) ||
                        !fleetdb_device_find(actions->db, id, &device, err))) ||
        !api_query_number(request, "limit", SHOWN, &limit, err))
        return false;
    struct listing *listing = calloc(1, sizeof *listing);
    if (listing != NULL)
        *listing = (struct listing){
            .db = actions->db, .scope = scope, .device = device.device, .limit = (size_t)limit};
    const struct api_selection selection = {.db = actions->db,
                                            .clock = actions->clock,
                                            .scope = scope,
                                            .selector = api_query(request, "devices"),
                                            .finish = answer_actions,
                                            .ctx = listing};
    return api_select(&selection, answer, err);
}

/* ---- GET /api/v1/actions/{} ---- */

struct taken {
    struct fleetdb *db;
    struct fleetdb_scope scope;
    json_t *json;
};

static bool take_action(void *ctx, const struct fleetdb_action *action, struct err *err)
{
    struct taken *taken = ctx;
    return api_action_json(taken->db, taken->scope, action, &taken->json, err);
}

/* One that is out of the caller's reach is none. */
static bool read_action(struct api_actions *actions, const struct api_request *request,
                        json_t **ret_json, struct err *err)
{
    bool holds = false;
    struct taken taken = {.db = actions->db, .scope = request->caller->scope};
    if (!fleetdb_action_get(actions->db, request->args[0], take_action, &taken, err))
        return false;
    json_t *json = taken.json;
    const char *device = json_string_value(json_object_get(json, "device"));
    const int64_t made_ms = json_integer_value(json_object_get(json, "made_ms"));
    bool ok = holds_action(actions->db, request->caller->scope, device, made_ms, &holds, err) &&
              (holds || err_set(err, ERR_NOT_FOUND, "there is no action %s", request->args[0]));
    if (ok)
        *ret_json = json;
    else
        json_decref(json);
    return ok;
}

static bool get_action(void *ctx, const struct api_request *request, struct api_answer *answer,
                       struct err *err)
{
    return read_action(ctx, request, &answer->json, err);
}

/* ---- GET /api/v1/actions/{}/log ---- */

struct log {
    struct buf *out;
    uint64_t next;
};

static bool add_piece(void *ctx, uint64_t number, struct bytes detail, struct err *err)
{
    static const struct unpack_limits limits = {.max_bytes = LIMIT_RECORD_BYTES};
    struct log *log = ctx;
    struct arena arena = {0};
    ProtobufCMessage *message = NULL;
    bool ok = number == log->next || err_set(err, ERR_CONFLICT, "piece %llu has not come yet",
                                             (unsigned long long)log->next + 1);
    ok = ok && unpack(&muster__log_piece__descriptor, detail, &limits, &arena, &message, err);
    if (ok) {
        const Muster__LogPiece *piece = (const Muster__LogPiece *)message;
        ok = buf_append(log->out, piece->data.data, piece->data.len, err);
    }
    arena_done(&arena);
    log->next++;
    return ok;
}

/* The frame as the terminal made it; who asks compares it with the action's log_sha256. */
static bool get_log(void *ctx, const struct api_request *request, struct api_answer *answer,
                    struct err *err)
{
    struct api_actions *actions = ctx;
    struct log log = {.out = &answer->text};
    json_t *action = NULL;
    if (!read_action(actions, request, &action, err))
        return false;
    const int64_t pieces = json_integer_value(json_object_get(action, "log_pieces"));
    const int64_t came = json_integer_value(json_object_get(action, "log_pieces_held"));
    json_decref(action);
    if (pieces == 0)
        return err_set(err, ERR_NOT_FOUND, "action %s has brought no log (yet)", request->args[0]);
    answer->content_type = "application/zstd";
    if (!fleetdb_action_pieces(actions->db, request->args[0], add_piece, &log, err))
        return false;
    if (log.next < (uint64_t)pieces && came == pieces)
        return err_set(err, ERR_NOT_FOUND,
                       "the log is too old to be kept: see musterctl retention");
    return log.next == (uint64_t)pieces ||
           err_set(err, ERR_CONFLICT, "%llu of its %lld pieces have come yet",
                   (unsigned long long)log.next, (long long)pieces);
}

struct api_module api_actions_module(struct api_actions *actions)
{
    static const struct api_route routes[] = {
        {"POST", "/api/v1/actions", REQUEST_BYTES, post_actions, API_OPERATOR, API_OWN_PART},
        {"GET", "/api/v1/actions", 0, get_actions, API_VIEWER, API_OWN_PART},
        {"GET", "/api/v1/actions/{}", 0, get_action, API_VIEWER, API_OWN_PART},
        {"GET", "/api/v1/actions/{}/log", 0, get_log, API_OPERATOR, API_OWN_PART},
    };
    return (struct api_module){
        .routes = routes, .route_count = sizeof routes / sizeof *routes, .ctx = actions};
}
