/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/feed_json.h"

#include "fleet/api_fleet.h"
#include "proto/record.pb-c.h"
#include "proto/refusal.h"
#include "storage/fleetdb_presence.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const words[FLEETDB_FEED_KINDS] = {
    [FLEETDB_FEED_ONLINE] = "online", [FLEETDB_FEED_OFFLINE] = "offline",
    [FLEETDB_FEED_CHANGE] = "change", [FLEETDB_FEED_EVENT] = "event",
    [FLEETDB_FEED_RESULT] = "result", [FLEETDB_FEED_MISSING] = "missing",
    [FLEETDB_FEED_BACK] = "back",     [FLEETDB_FEED_MANY] = "many",
};

const char *feed_kind_word(enum fleetdb_feed_kind kind)
{
    return (unsigned)kind < FLEETDB_FEED_KINDS ? words[kind] : NULL;
}

enum fleetdb_feed_kind feed_kind_of(const char *word)
{
    unsigned kind = FLEETDB_FEED_KINDS;
    while (--kind > 0 && strcmp(word, words[kind]) != 0)
        continue;
    return (enum fleetdb_feed_kind)kind;
}

void feed_place(int64_t id, int64_t at_ms, char ret_place[FEED_PLACE_CHARS])
{
    (void)snprintf(ret_place, FEED_PLACE_CHARS, "%" PRId64 "-%" PRId64, id, at_ms);
}

static bool read_number(const char *text, char end, const char **ret_after, int64_t *ret_number)
{
    char *after;
    errno = 0;
    long long number = strtoll(text, &after, 10);
    if (text[0] < '0' || text[0] > '9' || errno != 0 || *after != end)
        return false;
    *ret_after = after + 1;
    *ret_number = number;
    return true;
}

bool feed_place_read(const char *place, int64_t *ret_id, int64_t *ret_at_ms)
{
    const char *after = NULL;
    return read_number(place, '-', &after, ret_id) && read_number(after, '\0', &after, ret_at_ms);
}

static json_t *event_json(const struct fleetdb_feed_row *row)
{
    char kind[48], refusal[REFUSAL_NAME_CHARS];
    refusal_name((Muster__Refusal)row->refusal, refusal);
    api_word(&muster__event_kind__descriptor, "EVENT_", row->event_kind, kind);
    return json_pack("{s:s, s:s, s:s, s:s, s:I}", "kind", kind, "refusal", refusal, "item",
                     row->item, "text", row->text, "at_ms", (json_int_t)row->happened_ms);
}

static json_t *result_json(const struct fleetdb_feed_row *row)
{
    char outcome[48], entry[48];
    api_word(&muster__outcome__descriptor, "OUTCOME_", row->outcome, outcome);
    api_word(&muster__entry_mode__descriptor, "ENTRY_MODE_", row->entry, entry);
    return json_pack("{s:s, s:s, s:s, s:s, s:I, s:I, s:I}", "outcome", outcome, "code", row->code,
                     "entry", entry, "issuer", row->issuer, "amount_minor",
                     (json_int_t)row->amount_minor, "currency", (json_int_t)row->currency, "at_ms",
                     (json_int_t)row->happened_ms);
}

/* Of an older musterd nothing is known but who. */
static json_t *presence_json(const struct fleetdb_feed_row *row)
{
    return row->since_ms == 0
               ? NULL
               : json_pack("{s:I, s:s}", "since_ms", (json_int_t)row->since_ms, "evidence",
                           fleetdb_evidence_name((enum fleetdb_evidence)row->evidence));
}

static json_t *detail_json(const struct fleetdb_feed_row *row)
{
    switch (row->kind) {
    case FLEETDB_FEED_CHANGE:
        return json_pack("{s:s, s:s, s:s}", "who", row->who, "what", row->what, "text", row->text);
    case FLEETDB_FEED_EVENT:
        return event_json(row);
    case FLEETDB_FEED_RESULT:
        return result_json(row);
    case FLEETDB_FEED_MANY:
        return json_loads(row->text, 0, NULL);
    case FLEETDB_FEED_ONLINE:
    case FLEETDB_FEED_OFFLINE:
    case FLEETDB_FEED_MISSING:
    case FLEETDB_FEED_BACK:
        return presence_json(row);
    default:
        return NULL;
    }
}

json_t *feed_json(const struct fleetdb_feed_row *row)
{
    char place[FEED_PLACE_CHARS];
    const char *word = feed_kind_word(row->kind);
    feed_place(row->id, row->at_ms, place);
    json_t *json = json_pack("{s:s, s:I, s:s, s:s}", "id", place, "at_ms", (json_int_t)row->at_ms,
                             "kind", word != NULL ? word : "unknown", "device", row->device_id);
    json_t *detail = row->gone ? json_null() : detail_json(row);
    if (json != NULL && detail != NULL && word != NULL &&
        json_object_set_new(json, word, detail) != 0) {
        json_decref(json);
        return NULL;
    }
    return json;
}
