/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/api_assign.h"

#include "fleet/access.h"
#include "fleet/plan.h"
#include "fleet/words.h"
#include "proto/limits.h"
#include "proto/topics.h"

#include <stdlib.h>
#include <string.h>

enum { DEVICES_MAX = 20000 }; /* in one request */

/* ---- what is ordered ---- */

/* {"document", "devices"} and either "remove": true or "mode" and, unless it is the newest that is
 * meant, "version". */
static bool read_order(const json_t *object, struct director_order *order, struct err *err)
{
    int64_t version = 0;
    const char *word;
    Muster__AssignMode mode = MUSTER__ASSIGN_MODE__MODE_OBSERVE;
    if (!api_text(object, "document", LIMIT_DOCUMENT_NAME_CHARS, &order->document, err))
        return false;
    if (!document_name_valid(order->document))
        return err_set(err, ERR_INVALID, "document: %s is not a document's name", order->document);
    order->remove = json_is_true(json_object_get(object, "remove"));
    if (order->remove)
        return true;
    if (json_object_get(object, "version") != NULL &&
        !api_number(object, "version", 1, INT64_MAX, &version, err))
        return false;
    if (!api_text(object, "mode", 16, &word, err) || !word_to_mode(word, &mode, err))
        return false;
    order->version = (uint64_t)version;
    order->mode = (int)mode;
    return true;
}

static bool read_devices(struct fleetdb *db, const struct api_caller *caller, const json_t *object,
                         const char **ids, size_t count, struct err *err)
{
    const json_t *list = json_object_get(object, "devices");
    for (size_t i = 0; i < count; i++) {
        ids[i] = json_string_value(json_array_get(list, i));
        if (ids[i] == NULL || !device_id_valid(ids[i]))
            return err_set(err, ERR_INVALID, "devices: entry %zu is not a device id", i + 1);
        if (!access_check_device(db, caller, ids[i], err))
            return false;
    }
    return true;
}

static json_t *outcomes_json(const struct director_outcome *outcomes, size_t count)
{
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++) {
        json_t *shown =
            json_pack("{s:s, s:I, s:b, s:s}", "id", outcomes[i].device.id, "manifest_version",
                      (json_int_t)outcomes[i].manifest_version, "changed", (int)outcomes[i].changed,
                      "waits_for", outcomes[i].waits_for);
        if (json_array_append_new(list, shown) == 0)
            continue;
        json_decref(list);
        return NULL;
    }
    return json_pack("{s:o}", "devices", list);
}

bool api_assign(struct api_desired *desired, const struct director_order *order,
                const char *const *ids, size_t count, int64_t now_ms, json_t **ret_answer,
                struct err *err)
{
    struct director_outcome *outcomes = calloc(count, sizeof *outcomes);
    if (outcomes == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory for %zu devices", count);
    bool ok = director_assign(desired->director, order, ids, count, now_ms, outcomes, err);
    if (ok) {
        publisher_changed(desired->publisher, outcomes, count);
        renewal_changed(desired->renewal);
        *ret_answer = outcomes_json(outcomes, count);
        ok = *ret_answer != NULL || api_no_memory(err);
    }
    free(outcomes);
    return ok;
}

/* ---- a dry run ---- */

/* One way to the content of what is not published: {"size"} and, for a delta, {"base"}. */
static bool read_candidate_encoding(const json_t *json, struct fleetdb_encoding *encoding,
                                    struct err *err)
{
    int64_t size;
    const char *base = json_string_value(json_object_get(json, "base"));
    if (!api_number(json, "size", 1, LIMIT_CONTENT_BYTES, &size, err))
        return false;
    *encoding = (struct fleetdb_encoding){.size = (uint64_t)size, .delta = base != NULL};
    encoding->coding = base != NULL ? MUSTER__CONTENT_CODING__CONTENT_ZSTD_DELTA
                                    : MUSTER__CONTENT_CODING__CONTENT_ZSTD;
    if (base != NULL && !hex_decode(base, strlen(base), encoding->base, sizeof encoding->base))
        return err_set(err, ERR_INVALID, "base: expected a SHA-256 in 64 hex digits");
    return true;
}

/* What would be published, before anybody has signed it. */
static bool read_candidate(const json_t *json, const struct director *director, const char *name,
                           struct fleetdb_encoding encodings[FLEETDB_ENCODINGS_MAX],
                           struct fleetdb_document *document, struct err *err)
{
    int64_t version, minimum;
    const char *sha256;
    const json_t *list = json_object_get(json, "encodings");
    size_t count = json_array_size(list);
    if (count == 0 || count > FLEETDB_ENCODINGS_MAX)
        return err_set(err, ERR_INVALID, "encodings: expected an array of 1 to %d",
                       FLEETDB_ENCODINGS_MAX);
    *document = (struct fleetdb_document){
        .epoch = trust_epoch(director->trust), .encodings = encodings, .encoding_count = count};
    for (size_t i = 0; i < count; i++)
        if (!read_candidate_encoding(json_array_get(list, i), &encodings[i], err))
            return false;
    if (!api_number(json, "version", 1, (int64_t)LIMIT_VERSION - 1, &version, err) ||
        !api_number(json, "minimum_version", 0, version, &minimum, err) ||
        !api_text(json, "sha256", 64, &sha256, err))
        return false;
    if (!hex_decode(sha256, strlen(sha256), document->sha256, sizeof document->sha256))
        return err_set(err, ERR_INVALID, "sha256: expected 64 hex digits");
    (void)snprintf(document->name, sizeof document->name, "%s", name);
    document->version = (uint64_t)version;
    document->minimum_version = (uint64_t)minimum;
    document->irreversible = json_is_true(json_object_get(json, "irreversible"));
    return true;
}

static json_t *version_json(const struct plan_version *version)
{
    if (!version->is)
        return json_null();
    return json_pack("{s:I, s:I, s:s, s:b}", "epoch", (json_int_t)version->epoch, "version",
                     (json_int_t)version->version, "mode", word_of_mode(version->mode),
                     "irreversible", (int)version->irreversible);
}

static json_t *refusal_json(const struct plan_device *device)
{
    char reason[REFUSAL_NAME_CHARS] = "";
    if (!device->refused)
        return json_null();
    bool terminal = device->reason != MUSTER__REFUSAL__REFUSAL_NONE;
    if (terminal)
        refusal_name(device->reason, reason);
    return json_pack("{s:s, s:s, s:s, s:b}", "by", terminal ? "terminal" : "fleet", "reason",
                     reason, "text", device->why, "not_found", (int)device->not_found);
}

static bool add_planned(void *ctx, const struct plan_device *device, struct err *err)
{
    json_t *json = json_pack(
        "{s:s, s:s, s:b, s:I, s:o, s:o, s:I, s:b, s:b, s:b, s:s, s:I, s:I, s:s, s:o}", "id",
        device->id, "state", device->life, "online", (int)device->online, "last_seen_ms",
        (json_int_t)device->seen_ms, "from", version_json(&device->from), "to",
        version_json(&device->to), "held_version", (json_int_t)device->held_version, "changed",
        (int)device->changed, "deletes", (int)device->deletes, "needs_roots", (int)device->behind,
        "way", plan_way_word(device->way), "bytes", (json_int_t)device->bytes, "manifest_version",
        (json_int_t)device->manifest_version, "waits_for", device->waits_for, "refused",
        refusal_json(device));
    return json_array_append_new(ctx, json) == 0 ||
           err_set(err, ERR_NO_MEMORY, "no memory for the plan of %s", device->id);
}

static bool plan(struct api_desired *desired, const json_t *object,
                 const struct director_order *order, const char *const *ids, size_t count,
                 int64_t now_ms, json_t **ret_answer, struct err *err)
{
    struct fleetdb_encoding encodings[FLEETDB_ENCODINGS_MAX];
    struct fleetdb_document candidate;
    const json_t *json = json_object_get(object, "candidate");
    struct plan_order planned = {.order = *order, .candidate = json == NULL ? NULL : &candidate};
    if (json != NULL && (order->remove || !json_is_object(json)))
        return err_set(err, ERR_INVALID, "candidate: an object that says what would be published");
    if (json != NULL &&
        !read_candidate(json, desired->director, order->document, encodings, &candidate, err))
        return err_context(err, "candidate");
    json_t *list = json_array();
    if (!plan_each(desired->director, &planned, ids, count, now_ms, add_planned, list, err)) {
        json_decref(list);
        return false;
    }
    *ret_answer =
        json_pack("{s:b, s:s, s:o}", "dry_run", 1, "document", order->document, "devices", list);
    return true;
}

/* ---- the request ---- */

static bool answer_order(struct api_desired *desired, const json_t *object, size_t count,
                         const struct api_request *request, json_t **ret_answer, struct err *err)
{
    const int64_t now_ms = request->now_ms;
    struct director_order order = {.who = request->caller->name};
    bool ok = false;
    const char **ids = calloc(count, sizeof *ids);
    if (ids == NULL)
        err_set(err, ERR_NO_MEMORY, "no memory for %zu devices", count);
    else if (read_order(object, &order, err) &&
             read_devices(desired->db, request->caller, object, ids, count, err))
        ok = json_is_true(json_object_get(object, "dry_run"))
                 ? plan(desired, object, &order, ids, count, now_ms, ret_answer, err)
                 : api_assign(desired, &order, ids, count, now_ms, ret_answer, err);
    free(ids);
    if (ok && *ret_answer == NULL)
        return api_no_memory(err);
    return ok;
}

bool api_post_assignment(void *ctx, const struct api_request *request, struct api_answer *answer,
                         struct err *err)
{
    json_t *object;
    if (!api_body(request, &object, err))
        return false;
    size_t count = json_array_size(json_object_get(object, "devices"));
    bool ok = count == 0 || count > DEVICES_MAX
                  ? err_set(err, ERR_INVALID, "devices: expected an array of 1 to %d", DEVICES_MAX)
                  : answer_order(ctx, object, count, request, &answer->json, err);
    json_decref(object);
    return ok;
}
