/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/api_actions.h"
#include "fleet/api_fleet.h"
#include "fleet/api_listing.h"
#include "fleet/api_places.h"
#include "fleet/api_proposals.h"
#include "fleet/device_change.h"
#include "fleet/words.h"
#include "proto/batch.h"
#include "proto/record.pb-c.h"
#include "proto/refusal.h"
#include "proto/seal.h"
#include "proto/topics.h"
#include "storage/fleetdb_clock.h"
#include "storage/fleetdb_views.h"

#include <inttypes.h>
#include <stdio.h>

enum { EVENTS_SHOWN = 20, ACTIONS_SHOWN = 8, NAME_CHARS = 64 };

/* ---- GET /api/v1/devices ---- */

static json_t *device_json(const struct fleetdb_device_view *view)
{
    return json_pack(
        "{s:s, s:s, s:s, s:s, s:s, s:s, s:b, s:s, s:s, s:I, s:I, s:b, s:I, s:I, s:I, s:I, s:I, "
        "s:I, "
        "s:I, s:I, s:I, s:I, s:I, s:I, s:I}",
        "id", view->id, "serial", view->serial, "model", view->model, "state", view->life,
        "merchant", view->merchant, "store", view->store, "online", view->online, "presence",
        fleetdb_presence_name(view->presence), "presence_evidence",
        fleetdb_evidence_name(view->evidence), "presence_since_ms", (json_int_t)view->since_ms,
        "last_seen_ms", (json_int_t)view->seen_ms, "converged", view->converged, "manifest_version",
        (json_int_t)view->manifest_version, "held_manifest_version",
        (json_int_t)view->held_manifest_version, "generation", (json_int_t)view->generation,
        "lacking", (json_int_t)view->lacks, "drift", (json_int_t)view->drift, "records",
        (json_int_t)view->records, "lost", (json_int_t)view->lost, "traffic_month",
        (json_int_t)view->traffic_month, "traffic_bytes", (json_int_t)view->traffic_bytes,
        "traffic_payload_bytes", (json_int_t)view->traffic_payload_bytes, "manifest_epoch",
        (json_int_t)view->manifest_epoch, "held_manifest_epoch",
        (json_int_t)view->held_manifest_epoch, "root_version", (json_int_t)view->root_version);
}

/* Of the time before it came: how it is may be told, since when, and what it had counted, not. */
static bool forget_before(struct fleetdb *db, struct fleetdb_scope scope, int64_t device,
                          json_t *shown, struct err *err)
{
    static const char *const counted[] = {"records", "lost", "traffic_month", "traffic_bytes",
                                          "traffic_payload_bytes"};
    int64_t since_ms = 0;
    bool counts = false, ok = true;
    if (!fleetdb_scope_since(db, scope, device, &since_ms, err) ||
        !fleetdb_scope_counts(db, scope, device, &counts, err))
        return false;
    if (json_integer_value(json_object_get(shown, "presence_since_ms")) < since_ms)
        ok = json_object_set_new(shown, "presence_since_ms", json_integer(since_ms)) == 0;
    if (json_integer_value(json_object_get(shown, "last_seen_ms")) < since_ms)
        ok = ok && json_object_set_new(shown, "last_seen_ms", json_integer(0)) == 0;
    for (size_t i = 0; !counts && i < sizeof counted / sizeof *counted; i++)
        ok = ok && json_object_set_new(shown, counted[i], json_null()) == 0;
    return ok || api_no_memory(err);
}

bool api_device_json(struct fleetdb *db, struct fleetdb_scope scope,
                     const struct fleetdb_device_view *view, json_t **ret_json, struct err *err)
{
    json_t *shown = device_json(view);
    if (shown == NULL)
        return api_no_memory(err);
    if (!fleetdb_scope_is_whole(scope) && !forget_before(db, scope, view->device, shown, err)) {
        json_decref(shown);
        return false;
    }
    *ret_json = shown;
    return true;
}

struct listing {
    struct fleetdb *db;
    struct fleetdb_scope scope;
    struct api_page *page;
};

static bool add_device(void *ctx, const struct fleetdb_device_view *view, struct err *err)
{
    const struct listing *listing = ctx;
    bool holds = false;
    json_t *shown = NULL;
    api_page_see(listing->page, view->id);
    return fleetdb_scope_holds(listing->db, listing->scope, view->device, &holds, err) &&
           (!holds || (api_device_json(listing->db, listing->scope, view, &shown, err) &&
                       api_page_add(listing->page, shown, err)));
}

static bool read_page(void *ctx, struct api_page *page, struct err *err)
{
    struct listing *listing = ctx;
    listing->page = page;
    return fleetdb_view_devices(listing->db, page->after, page->count, add_device, listing, err);
}

/* Each as it is in its turn. */
bool api_list_devices(void *ctx, const struct api_request *request, struct api_answer *answer,
                      struct err *err)
{
    const struct api_fleet *fleet = ctx;
    struct listing *listing = calloc(1, sizeof *listing);
    if (listing != NULL)
        *listing = (struct listing){.db = fleet->db, .scope = request->caller->scope};
    const struct api_listing devices = {
        .clock = fleet->clock, .name = "devices", .read = read_page, .free = free, .ctx = listing};
    return api_list_in_turns(&devices, answer, err);
}

/* ---- GET /api/v1/devices/{} ---- */

struct shown {
    struct fleetdb *db;
    struct fleetdb_scope scope;
    json_t *json;
};

static bool take_device(void *ctx, const struct fleetdb_device_view *view, struct err *err)
{
    struct shown *shown = ctx;
    return api_device_json(shown->db, shown->scope, view, &shown->json, err);
}

static bool add_terminal(void *ctx, const struct fleetdb_terminal_view *view, struct err *err)
{
    return api_append(ctx,
                      json_pack("{s:I, s:s, s:s, s:s}", "index", (json_int_t)view->index,
                                "acquirer", view->acquirer, "tid", view->tid, "mid", view->mid),
                      err);
}

/* What of a device is told of the time when it was in the caller's part of the fleet. */
struct story {
    struct fleetdb *db;
    struct fleetdb_scope scope;
    int64_t device, since_ms;
    json_t *list;
};

static json_t *hex_json(struct bytes data)
{
    char hex[65] = "";
    if (data.length <= 32)
        hex_encode(data.data, data.length, hex);
    return json_string(hex);
}

static bool add_item(void *ctx, const struct fleetdb_item_view *view, struct err *err)
{
    const struct story *story = ctx;
    char state[48], refusal[REFUSAL_NAME_CHARS];
    refusal_name((Muster__Refusal)view->refusal, refusal);
    api_word(&muster__item_state__descriptor, "ITEM_", view->state, state);
    return api_append(
        story->list,
        json_pack(
            "{s:s, s:b, s:s, s:s, s:I, s:I, s:o, s:o, s:s, s:s, s:s, s:I, s:o}", "name", view->name,
            "assigned", (int)view->assigned, "kind", view->assigned ? word_of_kind(view->kind) : "",
            "mode", view->assigned ? word_of_mode(view->mode) : "", "wanted_version",
            (json_int_t)view->wanted_version, "held_version", (json_int_t)view->held_version,
            "wanted_sha256", hex_json(view->wanted_sha256), "held_sha256",
            hex_json(view->held_sha256), "state", state, "refusal", refusal, "reason",
            view->told_ms < story->since_ms ? "" : view->reason, "found_version",
            (json_int_t)view->found_version, "difference", api_difference_json(&view->difference)),
        err);
}

static bool add_event(void *ctx, const struct fleetdb_event_view *view, struct err *err)
{
    const struct story *story = ctx;
    bool held = false;
    if (!fleetdb_scope_held_at(story->db, story->scope, story->device, view->at_ms, &held, err))
        return false;
    if (!held)
        return true;
    char kind[48], refusal[REFUSAL_NAME_CHARS];
    refusal_name((Muster__Refusal)view->refusal, refusal);
    api_word(&muster__event_kind__descriptor, "EVENT_", view->kind, kind);
    return api_append(story->list,
                      json_pack("{s:I, s:I, s:I, s:s, s:s, s:s, s:s}", "at_ms",
                                (json_int_t)view->at_ms, "bound_ms", (json_int_t)view->bound_ms,
                                "wall_ms", (json_int_t)view->wall_ms, "kind", kind, "refusal",
                                refusal, "item", view->item, "text", view->text),
                      err);
}

static bool add_stream(void *ctx, const struct fleetdb_stream_view *view, struct err *err)
{
    const struct story *story = ctx;
    char incarnation[17];
    if (view->first_ms < story->since_ms)
        return true;
    (void)snprintf(incarnation, sizeof incarnation, "%016" PRIx64, view->incarnation);
    return api_append(story->list,
                      json_pack("{s:s, s:s, s:I, s:I, s:I, s:I}", "incarnation", incarnation,
                                "lane", lane_name((Muster__Lane)view->lane), "cumulative",
                                (json_int_t)view->cumulative, "last_seq",
                                (json_int_t)view->last_seq, "ranges", (json_int_t)view->ranges,
                                "lost", (json_int_t)view->lost),
                      err);
}

/* A list of its own under `name` in `object`; NULL: no memory. */
static json_t *list_in(json_t *object, const char *name)
{
    json_t *list = json_array();
    return json_object_set_new(object, name, list) == 0 ? list : NULL;
}

/* Nothing is said of what was never seen. */
static bool add_clock(struct fleetdb *db, int64_t device, json_t *object, struct err *err)
{
    struct fleetdb_device_clock clock;
    if (!fleetdb_clock_read(db, device, &clock, err))
        return false;
    json_t *json = json_object();
    bool ok = json_object_set_new(object, "clock", json) == 0 &&
              json_object_set_new(json, "jumps", json_integer((json_int_t)clock.jumps)) == 0;
    if (clock.checked_ms != 0)
        ok = ok &&
             json_object_update_new(json, json_pack("{s:I, s:I, s:I}", "checked_ms",
                                                    (json_int_t)clock.checked_ms, "offset_ms",
                                                    (json_int_t)clock.offset_ms, "bound_ms",
                                                    (json_int_t)((clock.width_ms + 1) / 2))) == 0;
    if (clock.drift_known_ppb != 0)
        ok = ok &&
             json_object_update_new(
                 json, json_pack("{s:f, s:f}", "drift_ppm", (double)clock.drift_ppb / 1000,
                                 "drift_bound_ppm", (double)clock.drift_known_ppb / 1000)) == 0;
    if (clock.jumps != 0)
        ok = ok && json_object_update_new(json, json_pack("{s:I, s:I}", "jump_ms",
                                                          (json_int_t)clock.jump_ms, "jumped_ms",
                                                          (json_int_t)clock.jumped_ms)) == 0;
    return ok || api_no_memory(err);
}

static bool add_action(void *ctx, const struct fleetdb_action *action, struct err *err)
{
    const struct story *story = ctx;
    bool held = false;
    json_t *json = NULL;
    return fleetdb_scope_held_at(story->db, story->scope, story->device, action->made_ms, &held,
                                 err) &&
           (!held || (api_action_json(story->db, story->scope, action, &json, err) &&
                      api_append(story->list, json, err)));
}

/* What people call it, and what acquirers are still to be told of it. */
static bool add_registration(struct fleetdb *db, struct fleetdb_scope scope, int64_t device,
                             json_t *object, struct err *err)
{
    json_t *duties = NULL, *labels = place_labels(db, device, err);
    if (labels == NULL || json_object_set_new(object, "labels", labels) != 0)
        return api_no_memory(err);
    return place_duties(db, scope, device, false, &duties, err) &&
           api_put(object, "duties", duties, err);
}

static bool add_details(struct fleetdb *db, struct fleetdb_scope scope, int64_t device,
                        json_t *object, struct err *err)
{
    json_t *terminals = list_in(object, "terminals"), *items = list_in(object, "items");
    json_t *events = list_in(object, "events"), *streams = list_in(object, "streams");
    json_t *actions = list_in(object, "actions");
    if (terminals == NULL || items == NULL || events == NULL || streams == NULL || actions == NULL)
        return api_no_memory(err);
    int64_t since_ms = 0;
    if (!fleetdb_scope_since(db, scope, device, &since_ms, err))
        return false;
    struct story happened = {db, scope, device, since_ms, events};
    struct story done = {db, scope, device, since_ms, actions};
    struct story held = {db, scope, device, since_ms, items};
    struct story counted = {db, scope, device, since_ms, streams};
    return add_clock(db, device, object, err) && add_registration(db, scope, device, object, err) &&
           fleetdb_view_terminals(db, device, add_terminal, terminals, err) &&
           fleetdb_view_items(db, device, add_item, &held, err) &&
           fleetdb_view_events(db, device, EVENTS_SHOWN, add_event, &happened, err) &&
           fleetdb_actions_each(db, device, NULL, ACTIONS_SHOWN, add_action, &done, err) &&
           fleetdb_view_streams(db, device, add_stream, &counted, err) &&
           api_add_told(db, device, since_ms, object, err);
}

bool api_show_device(void *ctx, const struct api_request *request, struct api_answer *answer,
                     struct err *err)
{
    const struct api_fleet *fleet = ctx;
    struct fleetdb_device device;
    if (!fleetdb_device_find(fleet->db, request->args[0], &device, err))
        return false;
    struct shown shown = {.db = fleet->db, .scope = request->caller->scope};
    if (!fleetdb_view_device(fleet->db, device.device, take_device, &shown, err))
        return false;
    answer->json = shown.json;
    return add_details(fleet->db, request->caller->scope, device.device, answer->json, err);
}

/* ---- POST /api/v1/devices ---- */

/* What is not said of a known device stays; a new one stands nowhere yet. */
static bool read_place(const json_t *object, bool is_new, struct fleetdb_enrolment *enrolment,
                       struct err *err)
{
    struct fleetdb_store store = {.merchant = is_new ? FLEETDB_NOWHERE : NULL,
                                  .store = FLEETDB_NOWHERE};
    if (json_object_get(object, "merchant") != NULL && !place_read(object, &store, err))
        return false;
    place_enrol(&store, enrolment);
    return true;
}

static bool check_key(struct bytes spki, struct err *err)
{
    struct verify_key *key = NULL;
    if (!verify_key_of_spki(spki, &key, err))
        return err_context(err, "agent_key");
    verify_key_free(key);
    return true;
}

/* With the audit's row, and what is to be told of the device; a dry run goes all the way, and back.
 */
static bool enrol_told(struct fleetdb *db, const struct fleetdb_enrolment *enrolment, int64_t known,
                       const struct fleetdb_change *change, bool dry_run, json_t **ret_duties,
                       struct err *err)
{
    struct device_change told = {0};
    const struct fleetdb_scope all = {0};
    int64_t device = 0;
    if (!fleetdb_begin(db, err))
        return false;
    bool done = device_change_begin(db, known, &told, err) &&
                fleetdb_enrol(db, enrolment, change->now_ms, &device, err) &&
                device_change_audit(db, device, &told, "enrol", change, err) &&
                place_duties(db, all, device, false, ret_duties, err);
    device_change_done(&told);
    if (done && !dry_run)
        return fleetdb_commit(db, err);
    fleetdb_rollback(db);
    return done;
}

static bool enrol(const struct api_fleet *fleet, const json_t *object,
                  const struct api_request *request, struct buf *key, json_t **ret_answer,
                  struct err *err)
{
    struct fleetdb_terminal terminals[PLACE_TERMINALS_MAX];
    struct fleetdb_enrolment enrolment = {.terminals = terminals};
    struct fleetdb_device known;
    json_t *duties = NULL;
    const struct fleetdb_change change = {.who = request->caller->name, .now_ms = request->now_ms};
    const json_t *list = json_object_get(object, "terminals");
    enrolment.keep_terminals = list == NULL;
    if (!api_text(object, "id", 32, &enrolment.id, err) ||
        !api_text(object, "serial", NAME_CHARS, &enrolment.serial, err) ||
        !api_text(object, "model", NAME_CHARS, &enrolment.model, err) ||
        !api_base64(object, "agent_key", FLEETDB_KEY_BYTES, key, err) ||
        !check_key(buf_bytes(key), err) ||
        (list != NULL && !place_read_terminals(list, terminals, &enrolment.terminal_count, err)))
        return false;
    if (!device_id_valid(enrolment.id))
        return err_set(err, ERR_INVALID, "id: expected 1 to 32 of a-z, 0-9 and '-'");
    enrolment.agent_key = buf_bytes(key);
    enrolment.who = request->caller->name;
    const bool dry_run = json_is_true(json_object_get(object, "dry_run"));
    bool is_new = !fleetdb_device_find(fleet->db, enrolment.id, &known, NULL);
    if (!read_place(object, is_new, &enrolment, err) ||
        !enrol_told(fleet->db, &enrolment, is_new ? 0 : known.device, &change, dry_run, &duties,
                    err))
        return false;
    *ret_answer = json_pack("{s:s, s:b, s:b, s:o}", "id", enrolment.id, "new", (int)is_new,
                            "dry_run", (int)dry_run, "duties", duties);
    return *ret_answer != NULL || api_no_memory(err);
}

bool api_enrol_device(void *ctx, const struct api_request *request, struct api_answer *answer,
                      struct err *err)
{
    const struct api_fleet *fleet = ctx;
    json_t *object = NULL;
    struct buf key = {0};
    if (!api_body(request, &object, err))
        return false;
    bool done = enrol(fleet, object, request, &key, &answer->json, err);
    buf_done(&key);
    json_decref(object);
    return done;
}
