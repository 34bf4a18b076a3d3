/* SPDX-License-Identifier: Apache-2.0 */
/* GET /api/v1/find: a shop is on the phone. */
#include "fleet/api_fleet.h"
#include "fleet/code_words.h"
#include "proto/record.pb-c.h"
#include "storage/fleetdb_find.h"
#include "storage/fleetdb_keeping.h"
#include "storage/fleetdb_snapshot.h"
#include "storage/fleetdb_views.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
    LIMIT = 20,
    LIMIT_MAX = 500,
    TURN_MS = 20,   /* of a search, no more in one turn of the loop than one slice beyond so long */
    LOOK_MS = 5000, /* of our time; then it says how far it came */
    DEVICES_SHOWN = 10,
};

enum text { TID, SERIAL, DEVICE, MERCHANT, STORE, RRN, AUTH_CODE, CODE, TEXTS };
static const struct {
    const char *name;
    size_t max_chars;
} texts[TEXTS] = {
    [TID] = {"tid", 64},
    [SERIAL] = {"serial", 64},
    [DEVICE] = {"device", 32},
    [MERCHANT] = {"merchant", 64},
    [STORE] = {"store", 129},
    [RRN] = {"rrn", 12},
    [AUTH_CODE] = {"auth_code", 6},
    [CODE] = {"code", 4},
};
enum { TEXT_BYTES = 4 * 129 + 1 };

struct search {
    struct fleetdb *db;
    const struct clock *clock;
    struct fleetdb_find *find;
    struct fleetdb_snapshot *snapshot; /* NULL: all is read in one turn so far */
    struct fleetdb_wanted wanted;
    char texts[TEXTS][TEXT_BYTES];
    int64_t limit, began_ms;
    int64_t worked_ms; /* while others had their turns, none of it passed */
};

/* ---- the question ---- */

static bool read_texts(struct search *search, const struct api_request *request, bool *ret_any,
                       struct err *err)
{
    const char **const places[TEXTS] = {
        [TID] = &search->wanted.tid,
        [SERIAL] = &search->wanted.serial,
        [DEVICE] = &search->wanted.device,
        [MERCHANT] = &search->wanted.merchant,
        [STORE] = &search->wanted.store,
        [RRN] = &search->wanted.rrn,
        [AUTH_CODE] = &search->wanted.auth_code,
        [CODE] = &search->wanted.code,
    };
    for (enum text i = 0; i < TEXTS; i++) {
        const char *text = api_query(request, texts[i].name);
        if (text == NULL)
            continue;
        if (text[0] == '\0' || strlen(text) > 4 * texts[i].max_chars)
            return err_set(err, ERR_INVALID, "%s: expected 1 to %zu characters", texts[i].name,
                           texts[i].max_chars);
        *places[i] = strcpy(search->texts[i], text);
        *ret_any = true;
    }
    return true;
}

/* A store's code is one of the merchant's: "m1/s1". */
static bool read_store(struct search *search, struct err *err)
{
    if (search->wanted.store == NULL)
        return true;
    char *slash = strchr(search->texts[STORE], '/');
    if (slash == NULL || slash == search->texts[STORE] || slash[1] == '\0' ||
        search->wanted.merchant != NULL)
        return err_set(err, ERR_INVALID, "store: expected MERCHANT/STORE, and no merchant beside");
    *slash = '\0';
    search->wanted.merchant = search->texts[STORE];
    search->wanted.store = slash + 1;
    return true;
}

static bool read_outcome(struct search *search, const struct api_request *request, bool *ret_any,
                         struct err *err)
{
    const char *word = api_query(request, "outcome");
    if (word == NULL)
        return true;
    for (unsigned i = 0; i < muster__outcome__descriptor.n_values; i++) {
        char known[48];
        int value = muster__outcome__descriptor.values[i].value;
        api_word(&muster__outcome__descriptor, "OUTCOME_", value, known);
        if (strcmp(known, word) == 0) {
            search->wanted.outcome = value;
            *ret_any = true;
            return true;
        }
    }
    return err_set(err, ERR_INVALID, "outcome=%.40s: there is no such outcome", word);
}

static bool read_numbers(struct search *search, const struct api_request *request, bool *ret_any,
                         struct err *err)
{
    struct fleetdb_wanted *wanted = &search->wanted;
    if (!api_query_number(request, "stan", -1, &wanted->stan, err) ||
        !api_query_number(request, "amount_minor", -1, &wanted->amount_minor, err) ||
        !api_query_number(request, "currency", -1, &wanted->currency, err) ||
        !api_query_ms(request, "from_ms", 0, &wanted->from_ms, err) ||
        !api_query_ms(request, "to_ms", request->now_ms + 1, &wanted->to_ms, err) ||
        !api_query_number(request, "limit", LIMIT, &search->limit, err))
        return false;
    if (search->limit < 1 || search->limit > LIMIT_MAX)
        return err_set(err, ERR_INVALID, "limit: expected 1 to %d", LIMIT_MAX);
    if (wanted->from_ms >= wanted->to_ms)
        return err_set(err, ERR_INVALID, "from_ms: the window ends before it begins");
    *ret_any = *ret_any || wanted->stan >= 0 || wanted->amount_minor >= 0;
    return true;
}

/* "at_ms.result", as an answer's next. */
static bool read_before(struct search *search, const struct api_request *request, struct err *err)
{
    const char *text = api_query(request, "before");
    struct fleetdb_place_in_time *before = &search->wanted.before;
    int length = 0;
    if (text == NULL)
        return true;
    if (sscanf(text, "%15" SCNd64 ".%18" SCNd64 "%n", &before->at_ms, &before->result, &length) !=
            2 ||
        text[length] != '\0' || before->at_ms <= 0 || before->result < 0)
        return err_set(err, ERR_INVALID, "before: expected the next of an answer");
    return true;
}

/* Who asks for what is not there has mistyped it; who sees a part of the fleet is not told whether
 * it is elsewhere. */
static bool check_known(const struct search *search, const struct api_request *request,
                        struct err *err)
{
    const struct fleetdb_wanted *wanted = &search->wanted;
    size_t count = 0;
    bool known = false;
    (void)fleetdb_find_devices(search->find, &count, &known);
    if (!known || count > 0 || !fleetdb_scope_is_whole(request->caller->scope))
        return true;
    return err_set(
        err, ERR_NOT_FOUND, "no device is known%s%.40s%s%.40s%s%.40s%s%.40s%s%.40s",
        wanted->device != NULL ? " as " : "", wanted->device != NULL ? wanted->device : "",
        wanted->serial != NULL ? " with serial number " : "",
        wanted->serial != NULL ? wanted->serial : "",
        wanted->tid != NULL ? " that ever carried TID " : "",
        wanted->tid != NULL ? wanted->tid : "",
        wanted->merchant != NULL ? " that ever stood with merchant " : "",
        wanted->merchant != NULL ? wanted->merchant : "", wanted->store != NULL ? " in store " : "",
        wanted->store != NULL ? wanted->store : "");
}

static bool read_question(struct search *search, const struct api_request *request, struct err *err)
{
    bool any = false;
    search->wanted = (struct fleetdb_wanted){.stan = -1,
                                             .amount_minor = -1,
                                             .currency = -1,
                                             .outcome = -1,
                                             .scope = request->caller->scope};
    if (!read_texts(search, request, &any, err) || !read_store(search, err) ||
        !read_outcome(search, request, &any, err) || !read_numbers(search, request, &any, err) ||
        !read_before(search, request, err))
        return false;
    return any || err_set(err, ERR_INVALID,
                          "say what to find: tid, serial, device, store, merchant, rrn, auth_code,"
                          " stan, amount_minor, code or outcome");
}

/* ---- the answer ---- */

/* A terminal may have sent anything. */
static json_t *text_json(const char *text)
{
    json_t *string = json_string(text);
    return string != NULL ? string : json_string("?");
}

static json_t *word_json(const ProtobufCEnumDescriptor *type, const char *prefix, int64_t value)
{
    char word[48];
    api_word(type, prefix, (int)value, word);
    return json_string(word);
}

static json_t *found_json(const struct fleetdb_found *found, const struct code_word *word)
{
    return json_pack(
        "{s:I, s:I, s:I, s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:I, s:I,"
        " s:o, s:o, s:I, s:o, s:I, s:I, s:o, s:o, s:o, s:o, s:o, s:I, s:b}",
        "at_ms", (json_int_t)found->at_ms, "bound_ms", (json_int_t)found->bound_ms, "wall_ms",
        (json_int_t)found->wall_ms, "received_ms", (json_int_t)found->received_ms, "device",
        text_json(found->id), "serial", text_json(found->serial), "state", text_json(found->life),
        "merchant", text_json(found->merchant), "merchant_name", text_json(found->merchant_name),
        "store", text_json(found->store), "store_name", text_json(found->store_name), "acquirer",
        text_json(found->acquirer), "tid", text_json(found->tid), "mid", text_json(found->mid),
        "rrn", text_json(found->rrn), "auth_code", text_json(found->auth_code), "stan",
        (json_int_t)found->stan, "batch", (json_int_t)found->batch_number, "type",
        word_json(&muster__txn_type__descriptor, "TXN_TYPE_", found->type), "entry",
        word_json(&muster__entry_mode__descriptor, "ENTRY_MODE_", found->entry), "scheme",
        (json_int_t)found->scheme, "issuer", text_json(found->issuer), "amount_minor",
        (json_int_t)found->amount_minor, "currency", (json_int_t)found->currency, "outcome",
        word_json(&muster__outcome__descriptor, "OUTCOME_", found->outcome), "code",
        text_json(found->code), "code_group", text_json(word->group), "code_meaning",
        text_json(word->meaning), "code_source",
        word_json(&muster__code_source__descriptor, "CODE_SOURCE_", found->code_source),
        "host_hint", (json_int_t)found->host_hint, "reversal_pending",
        (int)found->reversal_pending);
}

struct shown {
    const struct search *search;
    json_t *devices;
};

static bool add_device(void *ctx, const struct fleetdb_device_view *view, struct err *err)
{
    const struct shown *shown = ctx;
    json_t *json = NULL;
    return api_device_json(shown->search->db, shown->search->wanted.scope, view, &json, err) &&
           api_append(shown->devices, json, err);
}

/* As it is now, once, and only if it is his who asks. */
static bool show_device(const struct search *search, json_t *devices, int64_t device,
                        const char *id, struct err *err)
{
    size_t i;
    const json_t *known;
    struct shown shown = {search, devices};
    bool holds = false;
    json_array_foreach(devices, i, known)
    {
        if (id != NULL && strcmp(json_string_value(json_object_get(known, "id")), id) == 0)
            return true;
    }
    return fleetdb_scope_holds(search->db, search->wanted.scope, device, &holds, err) &&
           (!holds || fleetdb_view_device(search->db, device, add_device, &shown, err));
}

/* A code that the terminal made itself is of no acquirer's dialect. */
static bool add_result(struct code_words *words, const struct fleetdb_found *found, json_t *results,
                       struct err *err)
{
    struct code_word word = {0};
    return (found->code_source != MUSTER__CODE_SOURCE__CODE_SOURCE_HOST ||
            code_words_find(words, found->device, found->acquirer_index, found->code, &word,
                            err)) &&
           api_append(results, found_json(found, &word), err);
}

static bool add_found(const struct search *search, struct code_words *words, json_t *results,
                      json_t *devices, struct err *err)
{
    size_t count = 0, asked = 0;
    bool known = false;
    const struct fleetdb_found *list = fleetdb_find_list(search->find, &count);
    const int64_t *rows = fleetdb_find_devices(search->find, &asked, &known);
    for (size_t i = 0; i < count; i++) {
        if (!add_result(words, &list[i], results, err))
            return false;
        if (json_array_size(devices) < DEVICES_SHOWN &&
            !show_device(search, devices, list[i].device, list[i].id, err))
            return false;
    }
    for (size_t i = 0; count == 0 && i < asked && json_array_size(devices) < DEVICES_SHOWN; i++)
        if (!show_device(search, devices, rows[i], NULL, err))
            return false;
    return true;
}

/* Where the next question goes on: behind the last result, or where time ran out. */
static json_t *next_json(const struct search *search, bool complete)
{
    size_t count = 0;
    const struct fleetdb_found *list = fleetdb_find_list(search->find, &count);
    char next[48];
    if (fleetdb_find_more(search->find))
        (void)snprintf(next, sizeof next, "%" PRId64 ".%" PRId64, list[count - 1].at_ms,
                       list[count - 1].result);
    else if (!complete)
        (void)snprintf(next, sizeof next, "%" PRId64 ".0", fleetdb_find_looked_ms(search->find));
    else
        return json_null();
    return json_string(next);
}

/* Before it there may have been more than what is left; 0: nothing was removed from there on. */
static int64_t kept_from_ms(const struct search *search)
{
    const int64_t whole_ms = fleetdb_whole_from_ms(search->db, FLEETDB_KEPT_RESULTS);
    return fleetdb_find_looked_ms(search->find) < whole_ms ? whole_ms : 0;
}

static bool finish(const struct search *search, bool complete, struct api_answer *answer,
                   struct err *err)
{
    json_t *results = json_array(), *devices = json_array();
    bool by_time = fleetdb_find_by_time(search->find);
    answer->json =
        json_pack("{s:I, s:I, s:I, s:I, s:b, s:b, s:o, s:s, s:I, s:o, s:o}", "from_ms",
                  (json_int_t)search->wanted.from_ms, "to_ms", (json_int_t)search->wanted.to_ms,
                  "looked_from_ms", (json_int_t)fleetdb_find_looked_ms(search->find),
                  "kept_from_ms", (json_int_t)kept_from_ms(search), "complete", (int)complete,
                  "more", (int)fleetdb_find_more(search->find), "next", next_json(search, complete),
                  "by", by_time ? "time" : "device", "took_ms",
                  (json_int_t)(clock_boot_ms(search->clock) - search->began_ms), "results", results,
                  "devices", devices);
    struct code_words *words = NULL;
    bool done = (answer->json != NULL || api_no_memory(err)) &&
                code_words_open(search->db, &words, err) &&
                add_found(search, words, results, devices, err);
    code_words_close(words);
    return done;
}

static bool open_find(struct search *search, struct err *err)
{
    return fleetdb_find_open(search->db, &search->wanted, (size_t)search->limit, &search->find,
                             err);
}

/* What takes more than one turn begins again, with what is there at this moment: between two turns
 * a result's time may be corrected, and it would be found twice, or never. */
static bool hold_still(struct search *search, struct err *err)
{
    if (search->snapshot != NULL)
        return true;
    if (!fleetdb_snapshot_open(search->db, &search->snapshot, err))
        return false;
    fleetdb_find_close(search->find);
    search->find = NULL;
    search->wanted.snapshot = search->snapshot;
    return open_find(search, err);
}

static bool step(void *ctx, struct api_answer *answer, bool *ret_done, struct err *err)
{
    struct search *search = ctx;
    const int64_t from_ms = clock_boot_ms(search->clock);
    bool done = false, late = false;
    while (!done && !late) {
        if (!fleetdb_find_step(search->find, &done, err))
            return false;
        const int64_t turn_ms = clock_boot_ms(search->clock) - from_ms;
        late = fleetdb_find_by_time(search->find) && search->worked_ms + turn_ms >= LOOK_MS;
        if (!done && !late && turn_ms >= TURN_MS) {
            search->worked_ms += turn_ms;
            return hold_still(search, err);
        }
    }
    *ret_done = true;
    return finish(search, done, answer, err);
}

static void stop(void *ctx)
{
    struct search *search = ctx;
    fleetdb_find_close(search->find);
    fleetdb_snapshot_close(search->snapshot);
    free(search);
}

bool api_find(void *ctx, const struct api_request *request, struct api_answer *answer,
              struct err *err)
{
    const struct api_fleet *fleet = ctx;
    struct search *search = calloc(1, sizeof *search);
    if (search == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory for the search");
    search->db = fleet->db;
    search->clock = fleet->clock;
    search->began_ms = clock_boot_ms(search->clock);
    if (!read_question(search, request, err) || !open_find(search, err) ||
        !check_known(search, request, err)) {
        stop(search);
        return false;
    }
    answer->work = (struct api_work){.step = step, .free = stop, .ctx = search};
    return true;
}
