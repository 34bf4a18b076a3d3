/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/api_presence.h"

#include "fleet/availability.h"
#include "fleet/store_hours.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LIMIT = 100, LIMIT_MAX = 10000, DAYS = 7, DAYS_MAX = 400, ABSENCES_SHOWN = 50 };
#define DAY_MS INT64_C(86400000)

/* ---- GET /api/v1/presence ---- */

/* What began before it came to whoever asks began, to him, when it came. */
static struct fleetdb_presence since_it_came(struct fleetdb_presence presence, int64_t came_ms)
{
    if (presence.since_ms < came_ms)
        presence.since_ms = came_ms;
    if (presence.missing_ms != 0 && presence.missing_ms < came_ms)
        presence.missing_ms = came_ms;
    if (presence.seen_ms < came_ms)
        presence.seen_ms = 0;
    return presence;
}

struct listing {
    struct fleetdb *db;
    struct fleetdb_scope scope;
    json_t *list;
};

static bool add_row(void *ctx, const struct fleetdb_presence_row *row, struct err *err)
{
    const struct listing *listing = ctx;
    int64_t came_ms = 0;
    if (!fleetdb_scope_since(listing->db, listing->scope, row->presence.device, &came_ms, err))
        return false;
    const struct fleetdb_presence shown = since_it_came(row->presence, came_ms);
    const struct fleetdb_presence *presence = &shown;
    return api_append(
        listing->list,
        json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:I}", "id", row->id, "model",
                  row->model, "merchant", row->merchant, "store", row->store, "region", row->region,
                  "presence", fleetdb_presence_name(presence->state), "evidence",
                  fleetdb_evidence_name(presence->evidence), "since_ms",
                  (json_int_t)presence->since_ms, "last_seen_ms", (json_int_t)presence->seen_ms,
                  "missing_ms", (json_int_t)presence->missing_ms),
        err);
}

static bool read_state(const struct api_request *request, enum fleetdb_presence_state *ret_state,
                       struct err *err)
{
    const char *word = api_query(request, "state");
    *ret_state = FLEETDB_MISSING;
    return word == NULL || fleetdb_presence_find(word, ret_state) ||
           err_set(err, ERR_INVALID,
                   "state=%.40s: expected missing, unknown, offline, closed or online", word);
}

static json_t *summary_of(const struct api_presence *api,
                          const int64_t counts[FLEETDB_PRESENCE_STATES], int64_t not_in_service)
{
    const struct presence_status status = presence_status(api->presence);
    int64_t in_service = 0;
    for (unsigned i = 0; i < FLEETDB_PRESENCE_STATES; i++)
        in_service += counts[i];
    json_t *summary =
        json_pack("{s:b, s:b, s:I, s:I, s:I}", "line", status.line, "judging", status.judging,
                  "line_ms", (json_int_t)status.line_ms, "in_service", (json_int_t)in_service,
                  "not_in_service", (json_int_t)not_in_service);
    for (unsigned i = 0; summary != NULL && i < FLEETDB_PRESENCE_STATES; i++) {
        if (json_object_set_new(summary, fleetdb_presence_name((enum fleetdb_presence_state)i),
                                json_integer((json_int_t)counts[i])) != 0) {
            json_decref(summary);
            return NULL;
        }
    }
    return summary;
}

static bool list_presence(void *ctx, const struct api_request *request, struct api_answer *answer,
                          struct err *err)
{
    const struct api_presence *api = ctx;
    const struct fleetdb_scope scope = request->caller->scope;
    int64_t counts[FLEETDB_PRESENCE_STATES], others = 0, limit = 0;
    enum fleetdb_presence_state state = FLEETDB_MISSING;
    if (!read_state(request, &state, err) ||
        !api_query_number(request, "limit", LIMIT, &limit, err))
        return false;
    if (limit < 1 || limit > LIMIT_MAX)
        return err_set(err, ERR_INVALID, "limit: expected 1 to %d", LIMIT_MAX);
    json_t *list = json_array();
    struct listing listing = {api->db, scope, list};
    if (!fleetdb_presence_counts(api->db, scope, counts, &others, err) ||
        !fleetdb_presence_list(api->db, scope, state, limit, add_row, &listing, err)) {
        json_decref(list);
        return false;
    }
    answer->json = summary_of(api, counts, others);
    if (answer->json != NULL && json_object_set_new(answer->json, "devices", list) == 0 &&
        json_object_set_new(answer->json, "of", json_string(fleetdb_presence_name(state))) == 0)
        return true;
    return api_no_memory(err);
}

/* ---- GET /api/v1/devices/{}/presence ---- */

struct spans {
    struct availability_span *list;
    size_t count, room;
};

static bool add_span(struct spans *spans, int64_t from_ms, int64_t to_ms, struct err *err)
{
    if (spans->count == spans->room) {
        size_t room = spans->room > 0 ? 2 * spans->room : 32;
        struct availability_span *list = realloc(spans->list, room * sizeof *list);
        if (list == NULL)
            return api_no_memory(err);
        spans->list = list;
        spans->room = room;
    }
    spans->list[spans->count++] = (struct availability_span){from_ms, to_ms};
    return true;
}

struct story {
    int64_t held_ms; /* since when it is the caller's to know of; 0: all of it */
    struct store_hours_list hours;
    struct spans away, deaf;
    struct availability sum;
    json_t *absences;
};

static json_t *absence_json(int64_t from_ms, int64_t to_ms, enum fleetdb_evidence evidence,
                            int64_t missing_ms)
{
    return json_pack("{s:I, s:I, s:s, s:I}", "from_ms", (json_int_t)from_ms, "to_ms",
                     (json_int_t)to_ms, "evidence", fleetdb_evidence_name(evidence), "missing_ms",
                     (json_int_t)missing_ms);
}

/* The newest come first, and not all are shown. */
static bool take_absence(void *ctx, const struct fleetdb_absence *absence, struct err *err)
{
    struct story *story = ctx;
    const int64_t held_ms = story->held_ms;
    const int64_t from_ms = absence->from_ms > held_ms ? absence->from_ms : held_ms;
    const int64_t missing_ms =
        absence->missing_ms == 0 || absence->missing_ms > held_ms ? absence->missing_ms : held_ms;
    if (!add_span(&story->away, from_ms, absence->to_ms, err))
        return false;
    if (json_array_size(story->absences) == ABSENCES_SHOWN)
        (void)json_array_remove(story->absences, ABSENCES_SHOWN - 1);
    return json_array_insert_new(
               story->absences, 0,
               absence_json(from_ms, absence->to_ms, absence->evidence, missing_ms)) == 0 ||
           api_no_memory(err);
}

static bool take_deaf(void *ctx, const struct fleetdb_absence *absence, struct err *err)
{
    struct story *story = ctx;
    return add_span(&story->deaf, absence->from_ms, absence->to_ms, err);
}

static bool take_stood(void *ctx, const struct fleetdb_stood *stood, struct err *err)
{
    struct story *story = ctx;
    const struct availability_span at = {stood->from_ms, stood->to_ms};
    size_t kind = 0;
    if (!store_hours_find(&story->hours, stood->hours, stood->zone, &kind, err))
        return false;
    const struct store_hours *hours = &story->hours.kinds[kind];
    availability_add(&story->sum, hours->zone, &hours->opening, &at, story->away.list,
                     story->away.count, story->deaf.list, story->deaf.count);
    return true;
}

static bool is_away(const struct fleetdb_presence *presence)
{
    return presence->state == FLEETDB_OFFLINE || presence->state == FLEETDB_CLOSED ||
           presence->state == FLEETDB_MISSING;
}

static bool tell_story(const struct api_presence *api, const struct fleetdb_presence *presence,
                       int64_t from_ms, int64_t now_ms, struct story *story, struct err *err)
{
    const struct fleetdb_absence now = {.from_ms = presence->since_ms,
                                        .to_ms = now_ms,
                                        .evidence = presence->evidence,
                                        .missing_ms = presence->missing_ms};
    return fleetdb_absence_each(api->db, presence->device, from_ms, take_absence, story, err) &&
           (!is_away(presence) || take_absence(story, &now, err)) &&
           fleetdb_absence_each(api->db, 0, from_ms, take_deaf, story, err) &&
           fleetdb_stood_each(api->db, presence->device, from_ms, now_ms, take_stood, story, err);
}

static json_t *story_json(const char *id, const struct fleetdb_presence *presence, int64_t from_ms,
                          int64_t now_ms, const struct story *story)
{
    double share = availability_share(&story->sum);
    return json_pack(
        "{s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:O}", "id", id,
        "presence", fleetdb_presence_name(presence->state), "evidence",
        fleetdb_evidence_name(presence->evidence), "since_ms", (json_int_t)presence->since_ms,
        "last_seen_ms", (json_int_t)presence->seen_ms, "missing_ms",
        (json_int_t)presence->missing_ms, "silence_s", (json_int_t)presence->silence_s, "from_ms",
        (json_int_t)from_ms, "to_ms", (json_int_t)now_ms, "open_ms", (json_int_t)story->sum.open_ms,
        "away_ms", (json_int_t)story->sum.away_ms, "unheard_ms", (json_int_t)story->sum.unheard_ms,
        "availability", share < 0 ? json_null() : json_real(share), "absences", story->absences);
}

/* What is asked for: of which device, over how many days, and since when it is the caller's. */
static bool read_story(const struct api_presence *api, const struct api_request *request,
                       struct fleetdb_device *device, struct fleetdb_presence *presence,
                       int64_t *ret_days, int64_t *ret_held_ms, struct err *err)
{
    struct err why = {0};
    if (!fleetdb_device_find(api->db, request->args[0], device, err) ||
        !api_query_number(request, "days", DAYS, ret_days, err))
        return false;
    if (*ret_days < 1 || *ret_days > DAYS_MAX)
        return err_set(err, ERR_INVALID, "days: expected 1 to %d", DAYS_MAX);
    if (!fleetdb_presence_read(api->db, device->device, presence, &why) &&
        why.code != ERR_NOT_FOUND)
        return err_set(err, why.code, "%s", why.text);
    presence->device = device->device;
    return fleetdb_scope_since(api->db, request->caller->scope, device->device, ret_held_ms, err);
}

/* What was before it was first heard nobody knows. */
static int64_t story_begins(const struct fleetdb_presence *presence, int64_t held_ms,
                            int64_t asked_ms, int64_t now_ms)
{
    int64_t from_ms = asked_ms > presence->known_ms ? asked_ms : presence->known_ms;
    if (held_ms > from_ms)
        from_ms = held_ms;
    return presence->seen_ms == 0 || from_ms > now_ms ? now_ms : from_ms;
}

static bool show_presence(void *ctx, const struct api_request *request, struct api_answer *answer,
                          struct err *err)
{
    const struct api_presence *api = ctx;
    struct story story = {.absences = json_array()};
    struct fleetdb_device device;
    struct fleetdb_presence presence = {.state = FLEETDB_UNKNOWN};
    const int64_t now_ms = request->now_ms;
    int64_t days = 0;
    bool done = read_story(api, request, &device, &presence, &days, &story.held_ms, err);
    if (done) {
        int64_t from_ms = story_begins(&presence, story.held_ms, now_ms - days * DAY_MS, now_ms);
        done = store_hours_begin(&story.hours, api->hours, api->zone, err) &&
               tell_story(api, &presence, from_ms, now_ms, &story, err);
        presence = since_it_came(presence, story.held_ms);
        answer->json = done ? story_json(device.id, &presence, from_ms, now_ms, &story) : NULL;
        done = done && (answer->json != NULL || api_no_memory(err));
    }
    store_hours_done(&story.hours);
    json_decref(story.absences);
    free(story.away.list);
    free(story.deaf.list);
    return done;
}

struct api_module api_presence_module(struct api_presence *presence)
{
    static const struct api_route routes[] = {
        {"GET", "/api/v1/presence", 0, list_presence, API_VIEWER, API_OWN_PART},
        {"GET", "/api/v1/devices/{}/presence", 0, show_presence, API_VIEWER, API_ONE_DEVICE},
    };
    return (struct api_module){routes, sizeof routes / sizeof *routes, presence};
}
