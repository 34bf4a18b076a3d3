/* SPDX-License-Identifier: Apache-2.0 */
/* Of GET /api/v1/devices/{}: what the device last told of itself beside its documents; and GET
 * /api/v1/keys: the key slots of all. */
#include "fleet/api_fleet.h"
#include "proto/record.pb-c.h"
#include "proto/refusal.h"
#include "proto/seal.h"
#include "storage/fleetdb_told.h"

enum { KCV_BYTES = 16 };

/* What is told, and since when it is the caller's to know. */
struct told {
    json_t *json;
    int64_t since_ms;
    int64_t received_ms; /* all of it */
};

/* How it is goes along with a device, and what it said of it at its last place does not. */
static const char *text_of(const char *text, int64_t received_ms, int64_t since_ms)
{
    return received_ms < since_ms ? "" : text;
}

static bool add_apply(void *ctx, const struct fleetdb_apply *apply, struct err *err)
{
    const struct told *told = ctx;
    if (apply->received_ms < told->since_ms)
        return true;
    char step[48], refusal[REFUSAL_NAME_CHARS];
    refusal_name((Muster__Refusal)apply->refusal, refusal);
    api_word(&muster__apply_step__descriptor, "APPLY_", apply->step, step);
    return api_put(
        told->json, "apply",
        json_pack("{s:s, s:I, s:I, s:I, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, "
                  "s:s, s:s, s:I}",
                  "step", step, "manifest_version", (json_int_t)apply->manifest_version,
                  "generation", (json_int_t)apply->generation, "good_generation",
                  (json_int_t)apply->good_generation, "waits_for", apply->waits_for, "waited_ms",
                  (json_int_t)apply->waited_ms, "asks_after_ms", (json_int_t)apply->asks_after_ms,
                  "opens_after_ms", (json_int_t)apply->opens_after_ms, "results",
                  (json_int_t)apply->results, "suspect", (json_int_t)apply->suspect,
                  "before_results", (json_int_t)apply->before_results, "before_suspect",
                  (json_int_t)apply->before_suspect, "results_needed",
                  (json_int_t)apply->results_needed, "probation_left_ms",
                  (json_int_t)apply->probation_left_ms, "why", apply->why, "refusal", refusal,
                  "received_ms", (json_int_t)apply->received_ms),
        err);
}

static json_t *slot_json(const struct fleetdb_key_slot *slot, const char *why)
{
    char state[48], method[48], kcv[2 * KCV_BYTES + 1] = "";
    api_word(&muster__key_slot_state__descriptor, "KEY_SLOT_", slot->state, state);
    api_word(&muster__kcv_method__descriptor, "KCV_", slot->kcv_method, method);
    if (slot->kcv.length <= KCV_BYTES)
        hex_encode(slot->kcv.data, slot->kcv.length, kcv);
    return json_pack("{s:s, s:s, s:s, s:I, s:s, s:s, s:s, s:s}", "slot", slot->slot, "usage",
                     slot->usage, "algorithm", slot->algorithm, "key_version",
                     (json_int_t)slot->key_version, "kcv_method", method, "kcv", kcv, "state",
                     state, "why", why);
}

static bool add_slot(void *ctx, const struct fleetdb_key_slot *slot, struct err *err)
{
    const struct told *told = ctx;
    return api_append(told->json,
                      slot_json(slot, text_of(slot->why, told->received_ms, told->since_ms)), err);
}

struct slots {
    struct fleetdb *db;
    struct fleetdb_scope scope;
    json_t *list;
};

static bool add_slot_of(void *ctx, const char *device, int64_t received_ms,
                        const struct fleetdb_key_slot *slot, struct err *err)
{
    const struct slots *slots = ctx;
    struct fleetdb_device known;
    int64_t since_ms = 0;
    bool holds = false;
    if (!fleetdb_scope_holds_id(slots->db, slots->scope, device, &holds, err))
        return false;
    if (!holds)
        return true;
    if (!fleetdb_device_find(slots->db, device, &known, err) ||
        !fleetdb_scope_since(slots->db, slots->scope, known.device, &since_ms, err))
        return false;
    json_t *row = slot_json(slot, text_of(slot->why, received_ms, since_ms));
    if (api_append(slots->list, row, err))
        return api_put(row, "device", json_string(device), err) &&
               api_put(row, "received_ms", json_integer((json_int_t)received_ms), err);
    return false;
}

bool api_list_keys(void *ctx, const struct api_request *request, struct api_answer *answer,
                   struct err *err)
{
    const struct api_fleet *fleet = ctx;
    uint64_t silent = 0;
    struct slots slots = {fleet->db, request->caller->scope, json_array()};
    if (!fleetdb_view_all_key_slots(fleet->db, add_slot_of, &slots, &silent, err)) {
        json_decref(slots.list);
        return false;
    }
    /* How many have not told is known of the whole fleet alone. */
    return api_give(answer,
                    json_pack("{s:o, s:o}", "slots", slots.list, "silent",
                              fleetdb_scope_is_whole(slots.scope) ? json_integer((json_int_t)silent)
                                                                  : json_null()),
                    err);
}

static bool add_keys(struct fleetdb *db, int64_t device, int64_t since_ms, json_t *object,
                     struct err *err)
{
    struct fleetdb_keys keys;
    struct err why = {0};
    if (!fleetdb_keys_read(db, device, &keys, &why))
        return why.code == ERR_NOT_FOUND ? api_put(object, "keys", json_null(), err)
                                         : err_set(err, why.code, "%s", why.text);
    json_t *slots = json_array();
    struct told listed = {slots, since_ms, keys.received_ms};
    json_t *told = json_pack("{s:I, s:s, s:o}", "received_ms", (json_int_t)keys.received_ms, "why",
                             text_of(keys.why, keys.received_ms, since_ms), "slots", slots);
    return api_put(object, "keys", told, err) &&
           api_put(told, "sign_on_age_ms",
                   keys.sign_on_known ? json_integer((json_int_t)keys.sign_on_age_ms) : json_null(),
                   err) &&
           fleetdb_view_key_slots(db, device, add_slot, &listed, err);
}

static bool add_package(void *ctx, const struct fleetdb_package *package, struct err *err)
{
    const struct told *told = ctx;
    return api_append(told->json,
                      json_pack("{s:s, s:s, s:s, s:s, s:I}", "name", package->name, "wanted",
                                package->wanted, "running", package->running, "text",
                                text_of(package->text, package->received_ms, told->since_ms),
                                "received_ms", (json_int_t)package->received_ms),
                      err);
}

bool api_add_told(struct fleetdb *db, int64_t device, int64_t since_ms, json_t *object,
                  struct err *err)
{
    json_t *packages = json_array();
    struct told apply = {object, since_ms, 0}, listed = {packages, since_ms, 0};
    return api_put(object, "packages", packages, err) &&
           api_put(object, "apply", json_null(), err) &&
           fleetdb_view_apply(db, device, add_apply, &apply, err) &&
           add_keys(db, device, since_ms, object, err) &&
           fleetdb_view_packages(db, device, add_package, &listed, err);
}
