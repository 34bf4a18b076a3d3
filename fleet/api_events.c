/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/api_events.h"

#include "fleet/access.h"
#include "fleet/feed_json.h"
#include "storage/fleetdb_tokens.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    BATCH_ROWS = 64,
    LOOKED_AT_MAX = 2048, /* rows of others in one go */
    BEHIND_MAX = 5000,    /* a reader who was there, and is so far behind now, is too slow */
    STILL_HERE_MS = 15000,
};

struct stream {
    const struct api_events *events;
    struct api_caller caller;
    unsigned kinds; /* bits; 0: all */
    int64_t device; /* 0: all */
    int64_t after;  /* the last row that was looked at */
    int64_t said_ms;
    bool begun, caught_up, ended;
    const char *missed; /* why there is a hole before what comes now; NULL: there is none */
};

static bool append(struct buf *out, const char *text, struct err *err)
{
    return buf_append(out, text, strlen(text), err);
}

/* ---- what is said ---- */

static bool say_json(struct buf *out, const char *place, const char *name, json_t *json,
                     struct err *err)
{
    char *data = json != NULL ? json_dumps(json, JSON_COMPACT) : NULL;
    json_decref(json);
    if (data == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory for an event");
    bool ok = append(out, "id: ", err) && append(out, place, err) &&
              append(out, "\nevent: ", err) && append(out, name, err) &&
              append(out, "\ndata: ", err) && append(out, data, err) && append(out, "\n\n", err);
    free(data);
    return ok;
}

/* Of the stream itself: "missed" and "end". Its id is where to go on. */
static bool say_word(struct stream *stream, const char *name, const char *why, struct buf *out,
                     struct err *err)
{
    char place[FEED_PLACE_CHARS];
    int64_t at_ms = 0;
    if (!fleetdb_feed_when(stream->events->db, stream->after, &at_ms, err))
        return false;
    feed_place(stream->after, at_ms, place);
    return say_json(out, place, name, json_pack("{s:s}", "why", why), err);
}

static bool say_end(struct stream *stream, const char *why, struct buf *out, struct err *err)
{
    stream->ended = true;
    return say_word(stream, "end", why, out, err);
}

/* ---- rows ---- */

struct reading {
    struct stream *stream;
    struct buf *out;
    size_t count;
};

static bool wants(const struct stream *stream, const struct fleetdb_feed_row *row)
{
    return (stream->kinds == 0 || (stream->kinds & 1u << (unsigned)row->kind) != 0) &&
           (stream->device == 0 || stream->device == row->device);
}

static bool add_row(void *ctx, const struct fleetdb_feed_row *row, struct err *err)
{
    struct reading *reading = ctx;
    struct stream *stream = reading->stream;
    char place[FEED_PLACE_CHARS];
    bool held = false;
    reading->count++;
    stream->after = row->id;
    if (!wants(stream, row))
        return true;
    if (!fleetdb_feed_held(stream->events->db, stream->caller.scope, row->id, &held, err))
        return false;
    if (!held)
        return true;
    feed_place(row->id, row->at_ms, place);
    const char *word = feed_kind_word(row->kind);
    return say_json(reading->out, place, word != NULL ? word : "unknown", feed_json(row), err);
}

/* Until there is something to say, or nothing more. */
static bool read_rows(struct stream *stream, struct buf *out, struct err *err)
{
    struct reading reading = {.stream = stream, .out = out};
    for (size_t looked_at = 0; out->length == 0 && looked_at < LOOKED_AT_MAX;
         looked_at += BATCH_ROWS) {
        reading.count = 0;
        if (!fleetdb_feed_each(stream->events->db, stream->after, BATCH_ROWS, add_row, &reading,
                               err))
            return false;
        if (reading.count < BATCH_ROWS) {
            stream->caught_up = true;
            return true;
        }
    }
    return out->length > 0 || append(out, ":\n\n", err); /* there is more to look at */
}

/* What was removed before it was read, or of a reader who cannot follow. */
static bool check_place(struct stream *stream, struct buf *out, struct err *err)
{
    int64_t oldest = 0, newest = 0;
    if (!fleetdb_feed_range(stream->events->db, &oldest, &newest, err))
        return false;
    if (stream->caught_up && newest - stream->after > BEHIND_MAX)
        return say_end(stream, "you read too slowly: come back with Last-Event-ID, and faster", out,
                       err);
    if (oldest > stream->after + 1) {
        stream->after = oldest - 1;
        stream->missed = "what came before is not kept any more";
    }
    if (stream->missed == NULL)
        return true;
    const char *why = stream->missed;
    stream->missed = NULL;
    return say_word(stream, "missed", why, out, err);
}

static bool may_go_on(const struct stream *stream, bool *ret_good, struct err *err)
{
    const struct api_events *events = stream->events;
    *ret_good = true;
    return stream->caller.token == 0 ||
           fleetdb_token_good(events->db, stream->caller.token, clock_wall_ms(events->clock),
                              ret_good, err);
}

static bool next(void *ctx, bool stopping, struct buf *out, bool *ret_end, struct err *err)
{
    struct stream *stream = ctx;
    const int64_t now_ms = clock_boot_ms(stream->events->clock);
    const size_t before = out->length;
    bool good = true;
    if (!stream->begun && !append(out, "retry: 3000\n\n", err))
        return false;
    stream->begun = true;
    if (!stream->ended && !may_go_on(stream, &good, err))
        return false;
    bool ok = stream->ended ? true
              : !good       ? say_end(stream, "the token is over", out, err)
              : stopping    ? say_end(stream, "musterd stops", out, err)
                            : check_place(stream, out, err);
    if (ok && !stream->ended && out->length == before)
        ok = read_rows(stream, out, err);
    if (ok && out->length == before && !stream->ended && now_ms - stream->said_ms >= STILL_HERE_MS)
        ok = append(out, ":\n\n", err); /* for whoever is between us, and to find who has left */
    if (out->length > before)
        stream->said_ms = now_ms;
    *ret_end = stream->ended;
    return ok;
}

/* ---- GET /api/v1/events ---- */

static bool read_kinds(const char *text, unsigned *ret_kinds, struct err *err)
{
    unsigned kinds = 0;
    while (text != NULL) {
        char word[16] = "";
        const size_t length = strcspn(text, ",");
        if (length < sizeof word)
            memcpy(word, text, length);
        const enum fleetdb_feed_kind kind = feed_kind_of(word);
        if (kind == 0)
            return err_set(err, ERR_INVALID,
                           "kinds: expected online, offline, missing, back, many, change, event "
                           "or result, set apart by commas");
        kinds |= 1u << (unsigned)kind;
        text = text[length] == ',' ? text + length + 1 : NULL;
    }
    *ret_kinds = kinds;
    return true;
}

/* After the place that it names; a place of another history is none, and so is one of a row that
 * was never made. */
static bool go_to(struct stream *stream, const char *place, struct err *err)
{
    int64_t oldest = 0, newest = 0, id = 0, at_ms = 0, held_ms = 0;
    if (!fleetdb_feed_range(stream->events->db, &oldest, &newest, err))
        return false;
    stream->after = newest;
    if (place == NULL)
        return true;
    if (!feed_place_read(place, &id, &at_ms))
        return err_set(err, ERR_INVALID, "Last-Event-ID: expected an id of an event of this feed");
    if (!fleetdb_feed_when(stream->events->db, id, &held_ms, err))
        return false;
    if (id > newest || (held_ms != at_ms && id >= oldest))
        stream->missed = "that event is of another history: the database was restored";
    else
        stream->after = id;
    return true;
}

/* ?kinds=, ?device=, and Last-Event-ID as a header or as ?last_event_id=. */
static bool begin(struct stream *stream, const struct api_request *request, struct err *err)
{
    const char *id = api_query(request, "device");
    const char *place = request->last_event_id != NULL ? request->last_event_id
                                                       : api_query(request, "last_event_id");
    struct fleetdb_device device = {0};
    if (id != NULL && (!access_check_held(stream->events->db, request->caller, id, err) ||
                       !fleetdb_device_find(stream->events->db, id, &device, err)))
        return false;
    stream->device = device.device;
    return read_kinds(api_query(request, "kinds"), &stream->kinds, err) &&
           go_to(stream, place, err);
}

static bool follow(void *ctx, const struct api_request *request, struct api_answer *answer,
                   struct err *err)
{
    const struct api_events *events = ctx;
    struct stream *stream = calloc(1, sizeof *stream);
    if (stream == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory for a stream");
    stream->events = events;
    stream->caller = *request->caller;
    stream->said_ms = clock_boot_ms(events->clock);
    if (!begin(stream, request, err)) {
        free(stream);
        return false;
    }
    answer->content_type = "text/event-stream";
    answer->stream = (struct api_stream){.next = next, .free = free, .ctx = stream};
    return true;
}

struct api_module api_events_module(struct api_events *events)
{
    static const struct api_route routes[] = {
        {"GET", "/api/v1/events", 0, follow, API_VIEWER, API_OWN_PART},
    };
    return (struct api_module){.routes = routes, .route_count = 1, .ctx = events};
}
