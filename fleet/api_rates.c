/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/api_rates.h"
#include "fleet/access.h"
#include "fleet/api_fleet.h"
#include "fleet/select.h"
#include "fleet/week_ago.h"
#include "proto/record.pb-c.h"
#include "storage/fleetdb_snapshot.h"
#include "storage/fleetdb_unsure.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Of a question, no more in one turn of the loop than one slice beyond so long. */
enum { TURN_MS = 20, HOUR_MS = 3600 * 1000 };

/* What is asked one after the other. */
enum part { NOW, BEFORE, FLEET, PARTS, UNSURE = PARTS, DONE };

struct asking {
    struct rates_answer answer;
    struct fleetdb *db;
    const struct clock *clock;
    struct fleetdb_question question; /* of the first part */
    struct week_ago ago;              /* the second's window */
    struct fleetdb_choice choices[FLEETDB_CHOICES_MAX];
    char *texts[FLEETDB_CHOICES_MAX], *code; /* of the choices, and of what counts as an error */
    char *zone;                              /* NULL: where all that is asked about is */
    const char *unsaid;                      /* of stores without a zone */
    struct select *select;                   /* NULL: they are chosen, or all are meant */
    struct buf devices;                      /* JSON */
    struct fleetdb_rates *parts[PARTS];
    struct fleetdb_unsure *unsure;
    struct fleetdb_snapshot *snapshot; /* NULL: all is read in one turn so far */
    enum part part;
    int64_t began_ms;
    int64_t worked_ms, limit_ms; /* of our time, that of others' turns left out */
};

/* ---- reading the question ---- */

static bool word_number(const ProtobufCEnumDescriptor *type, const char *prefix, const char *text,
                        int64_t *ret_number)
{
    for (unsigned i = 0; i < type->n_values; i++) {
        char word[48];
        api_word(type, prefix, type->values[i].value, word);
        if (strcmp(word, text) == 0) {
            *ret_number = type->values[i].value;
            return true;
        }
    }
    return false;
}

static bool read_number(enum fleetdb_dim dim, const char *text, int64_t *ret_number,
                        struct err *err)
{
    char *end = NULL;
    if ((dim == FLEETDB_DIM_OUTCOME &&
         word_number(&muster__outcome__descriptor, "OUTCOME_", text, ret_number)) ||
        (dim == FLEETDB_DIM_ENTRY &&
         word_number(&muster__entry_mode__descriptor, "ENTRY_MODE_", text, ret_number)) ||
        (dim == FLEETDB_DIM_TYPE &&
         word_number(&muster__txn_type__descriptor, "TXN_TYPE_", text, ret_number)))
        return true;
    errno = 0;
    *ret_number = strtoll(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0)
        return err_set(err, ERR_INVALID, "%s=%.40s: there is no such %s", fleetdb_dim_word(dim),
                       text, fleetdb_dim_word(dim));
    return true;
}

/* Longer than the question's request is on the line. */
static bool keep(char **ret_copy, const char *text, struct err *err)
{
    *ret_copy = strdup(text);
    return *ret_copy != NULL || err_set(err, ERR_NO_MEMORY, "no memory for the question");
}

static bool add_choice(struct asking *asking, enum fleetdb_dim dim, const char *text,
                       struct err *err)
{
    struct fleetdb_question *question = &asking->question;
    size_t at = question->choice_count;
    if (at == FLEETDB_CHOICES_MAX)
        return err_set(err, ERR_INVALID, "%s: more than %d choices", fleetdb_dim_word(dim),
                       FLEETDB_CHOICES_MAX);
    /* A store's code is one of the merchant's. */
    if (dim == FLEETDB_DIM_STORE && strchr(text, '/') == NULL)
        return err_set(err, ERR_INVALID, "store=%.80s: expected MERCHANT/STORE, such as m1/s1",
                       text);
    if (!keep(&asking->texts[at], text, err))
        return false;
    asking->choices[at] = (struct fleetdb_choice){.dim = dim, .text = asking->texts[at]};
    question->choice_count++;
    return !fleetdb_dim_is_number(dim) || read_number(dim, text, &asking->choices[at].number, err);
}

/* Of rates, a code or an outcome says what counts as an error; elsewhere it chooses. */
static bool read_choices(struct asking *asking, const struct api_request *request, struct err *err)
{
    struct fleetdb_question *question = &asking->question;
    bool errors_named = false;
    for (enum fleetdb_dim dim = 0; dim < FLEETDB_DIMS; dim++) {
        const char *text = api_query(request, fleetdb_dim_word(dim));
        bool names_error = asking->answer.kind != RATES_ERRORS &&
                           (dim == FLEETDB_DIM_CODE || dim == FLEETDB_DIM_OUTCOME);
        if (text == NULL)
            continue;
        if (!names_error && !add_choice(asking, dim, text, err))
            return false;
        if (!names_error)
            continue;
        if (!errors_named)
            question->error_outcome = -1;
        errors_named = true;
        if (dim == FLEETDB_DIM_CODE ? !keep(&asking->code, text, err)
                                    : !read_number(dim, text, &question->error_outcome, err))
            return false;
        question->error_code = asking->code;
    }
    return true;
}

static bool read_by(struct asking *asking, const struct api_request *request, struct err *err)
{
    const char *word = api_query(request, "by");
    enum fleetdb_dim by = 0;
    while (by < FLEETDB_DIMS && (word == NULL || strcmp(word, fleetdb_dim_word(by)) != 0))
        by++;
    if (by < FLEETDB_DIMS) {
        asking->question.by = asking->answer.by = by;
        return true;
    }
    char known[240] = "";
    for (enum fleetdb_dim dim = 0; dim < FLEETDB_DIMS; dim++) {
        strcat(known, dim == 0 ? "" : dim + 1 == FLEETDB_DIMS ? " or " : ", ");
        strcat(known, fleetdb_dim_word(dim));
    }
    return err_set(err, ERR_INVALID, "by: expected %s", known);
}

/* Who asks for what is not there has mistyped it; who sees a part of the fleet is not told whether
 * it is elsewhere. */
static bool check_places(struct asking *asking, struct err *err)
{
    const struct fleetdb_question *question = &asking->question;
    bool known = true;
    for (size_t i = 0; i < question->choice_count && fleetdb_scope_is_whole(question->scope); i++) {
        const struct fleetdb_choice *choice = &question->choices[i];
        if (!fleetdb_dim_known(asking->db, choice->dim, choice->text, &known, err))
            return false;
        if (!known)
            return err_set(err, ERR_NOT_FOUND, "no %s %.80s", fleetdb_dim_word(choice->dim),
                           choice->text);
    }
    return true;
}

/* What never stood in the asker's part of the fleet is not there. */
static bool check_device(struct asking *asking, const struct api_request *request, struct err *err)
{
    const char *id = api_query(request, "device");
    struct fleetdb_device device;
    return id == NULL || (access_check_held(asking->db, request->caller, id, err) &&
                          fleetdb_device_find(asking->db, id, &device, err));
}

static bool read_window(struct asking *asking, const struct api_request *request, struct err *err)
{
    struct fleetdb_question *question = &asking->question;
    const int64_t end_ms = request->now_ms + 1;
    if (api_query(request, "since_ms") != NULL && api_query(request, "from_ms") != NULL)
        return err_set(err, ERR_INVALID, "since_ms: from_ms says the same; say one of them");
    if (!api_query_ms(request, "to_ms", end_ms, &question->to_ms, err))
        return false;
    const int64_t last_ms = question->to_ms < end_ms ? question->to_ms : end_ms;
    question->from_ms = last_ms > HOUR_MS ? last_ms - HOUR_MS : 0;
    if (!api_query_ms(request, "since_ms", question->from_ms, &question->from_ms, err) ||
        !api_query_ms(request, "from_ms", question->from_ms, &question->from_ms, err) ||
        !api_query_number(request, "limit", 0, &asking->answer.limit, err))
        return false;
    asking->answer.since_ms = question->from_ms;
    /* Since a moment to come nothing has been yet. */
    return question->from_ms < question->to_ms || api_query(request, "to_ms") == NULL ||
           err_set(err, ERR_INVALID, "from_ms: the window ends before it begins");
}

static bool read_zone(struct asking *asking, const struct api_request *request, struct err *err)
{
    const char *zone = api_query(request, "zone");
    return zone == NULL || keep(&asking->zone, zone, err);
}

static bool read_question(struct asking *asking, const struct api_request *request, struct err *err)
{
    struct fleetdb_question *question = &asking->question;
    question->choices = asking->choices;
    question->scope = request->caller->scope;
    question->error_outcome = MUSTER__OUTCOME__OUTCOME_DECLINED;
    if (!read_by(asking, request, err) || !read_choices(asking, request, err) ||
        !check_device(asking, request, err) || !check_places(asking, err) ||
        !read_window(asking, request, err) || !read_zone(asking, request, err))
        return false;
    /* By code or outcome each row is a share of all: what it counts is itself. */
    asking->answer.shares = question->by == FLEETDB_DIM_CODE || question->by == FLEETDB_DIM_OUTCOME;
    if (asking->answer.shares && asking->answer.kind != RATES_ERRORS) {
        question->error_outcome = -1;
        question->error_code = NULL;
    }
    const char *selector = api_query(request, "devices");
    asking->answer.chosen = question->choice_count > 0 || selector != NULL;
    return selector == NULL ||
           select_open(asking->db, question->scope, selector, &asking->select, err);
}

/* ---- asking ---- */

static bool open_before(struct asking *asking, struct err *err)
{
    struct fleetdb_question question = asking->question;
    question.from_ms = asking->ago.from_ms;
    question.to_ms = asking->ago.to_ms;
    return question.from_ms >= question.to_ms ||
           fleetdb_rates_open(asking->db, &question, &asking->parts[BEFORE], err);
}

/* All that the asker may see of the fleet, beside what was chosen of it. */
static bool open_fleet(struct asking *asking, struct err *err)
{
    struct fleetdb_question question = asking->question;
    /* Of what is kept of that time, as the chosen part was. */
    fleetdb_rates_window(asking->parts[NOW], &question.from_ms, &question.to_ms);
    question.choice_count = 0;
    question.devices = NULL;
    if (!asking->answer.shares && asking->answer.kind != RATES_ERRORS)
        question.by = FLEETDB_DIM_OUTCOME;
    return !asking->answer.chosen ||
           fleetdb_rates_open(asking->db, &question, &asking->parts[FLEET], err);
}

/* Of the time whose results were counted. */
static bool open_unsure(struct asking *asking, struct err *err)
{
    struct fleetdb_question question = asking->question;
    fleetdb_rates_window(asking->parts[NOW], &question.from_ms, &question.to_ms);
    return fleetdb_unsure_open(asking->db, &question, &asking->unsure, err);
}

static bool read_part(struct asking *asking, bool *ret_done, struct err *err)
{
    *ret_done = true;
    if (asking->part == UNSURE)
        return fleetdb_unsure_step(asking->unsure, ret_done, err);
    return asking->parts[asking->part] == NULL ||
           fleetdb_rates_step(asking->parts[asking->part], ret_done, err);
}

static struct rates_list list_of(struct fleetdb_rates *rates)
{
    struct rates_list list = {.known = rates != NULL};
    if (rates != NULL)
        list.rates = fleetdb_rates_list(rates, &list.count);
    return list;
}

/* Whether a week before is as whole as the window itself. */
static bool is_like_now(const struct asking *asking)
{
    const struct fleetdb_rates *now = asking->parts[NOW], *before = asking->parts[BEFORE];
    return fleetdb_rates_kept_from_ms(before) == 0 &&
           fleetdb_rates_widened(before) == fleetdb_rates_widened(now);
}

static bool finish(struct asking *asking, struct api_answer *answer, struct err *err)
{
    struct rates_answer *said = &asking->answer;
    said->now = list_of(asking->parts[NOW]);
    said->before = list_of(asking->parts[BEFORE]);
    said->before.known = said->before.known && is_like_now(asking);
    said->ago = &asking->ago;
    if (said->before.known)
        fleetdb_rates_window(asking->parts[BEFORE], &asking->ago.from_ms, &asking->ago.to_ms);
    said->kept_from_ms = fleetdb_rates_kept_from_ms(asking->parts[NOW]);
    said->fleet = list_of(asking->parts[FLEET]);
    said->source = fleetdb_rates_source(asking->parts[NOW]);
    fleetdb_rates_window(asking->parts[NOW], &said->from_ms, &said->to_ms);
    said->took_ms = clock_boot_ms(asking->clock) - asking->began_ms;
    said->unsure = fleetdb_unsure_count(asking->unsure);
    return api_give(answer, rates_json(said), err);
}

/* Half an answer would be read as a whole one. */
static bool give_up(const struct asking *asking, struct err *err)
{
    static const double hour_ms = 3600.0 * 1000;
    int64_t read_ms = 0, all_ms = 0;
    for (size_t i = 0; i < PARTS; i++) {
        int64_t part_read_ms = 0, part_all_ms = 0;
        if (asking->parts[i] != NULL)
            fleetdb_rates_progress(asking->parts[i], &part_read_ms, &part_all_ms);
        read_ms += part_read_ms;
        all_ms += part_all_ms;
    }
    return err_set(
        err, ERR_TIMEOUT,
        "ended after %.1f s of musterd's time, with %.1f of %.1f hours read from %s (the "
        "window, and what it is compared with): ask about less time, or with fewer "
        "conditions; http.question_limit says how long a question may take",
        (double)asking->worked_ms / 1000, (double)read_ms / hour_ms, (double)all_ms / hour_ms,
        fleetdb_rates_source(asking->parts[NOW]));
}

static bool open_parts(struct asking *asking, struct err *err)
{
    return fleetdb_rates_open(asking->db, &asking->question, &asking->parts[NOW], err) &&
           open_before(asking, err) && open_fleet(asking, err) && open_unsure(asking, err);
}

static void close_parts(struct asking *asking)
{
    for (size_t i = 0; i < PARTS; i++) {
        fleetdb_rates_close(asking->parts[i]);
        asking->parts[i] = NULL;
    }
    fleetdb_unsure_close(asking->unsure);
    asking->unsure = NULL;
}

/* What takes more than one turn begins again, with what is there at this moment: between two turns
 * a result may be moved, and would count twice, or never. */
static bool hold_still(struct asking *asking, struct err *err)
{
    if (asking->snapshot != NULL)
        return true;
    if (!fleetdb_snapshot_open(asking->db, &asking->snapshot, err))
        return false;
    close_parts(asking);
    asking->question.snapshot = asking->snapshot;
    asking->part = NOW;
    return open_parts(asking, err);
}

/* When the devices are known. */
static bool begin_parts(struct asking *asking, struct err *err)
{
    return week_ago_find(asking->db, &asking->question, asking->zone, asking->unsaid, &asking->ago,
                         err) &&
           open_parts(asking, err);
}

/* In turns of their own. */
static bool choose_devices(struct asking *asking, struct err *err)
{
    const int64_t from_ms = clock_boot_ms(asking->clock);
    bool done = false;
    if (!select_turn(asking->select, asking->clock, &done, err))
        return false;
    asking->worked_ms += clock_boot_ms(asking->clock) - from_ms;
    if (!done)
        return true;
    if (!select_rows(asking->select, &asking->devices, err))
        return false;
    asking->question.devices = (const char *)asking->devices.data;
    asking->question.snapshot = asking->snapshot = select_take_snapshot(asking->select);
    select_close(asking->select);
    asking->select = NULL;
    return begin_parts(asking, err);
}

static bool step(void *ctx, struct api_answer *answer, bool *ret_done, struct err *err)
{
    struct asking *asking = ctx;
    if (asking->select != NULL)
        return choose_devices(asking, err);
    const int64_t from_ms = clock_boot_ms(asking->clock);
    while (asking->part < DONE) {
        bool done = false;
        if (!read_part(asking, &done, err))
            return false;
        asking->part += done;
        const int64_t turn_ms = clock_boot_ms(asking->clock) - from_ms;
        const bool late = asking->worked_ms + turn_ms >= asking->limit_ms;
        if (asking->part == DONE || (turn_ms < TURN_MS && !late))
            continue;
        asking->worked_ms += turn_ms;
        return late ? give_up(asking, err) : hold_still(asking, err);
    }
    *ret_done = true;
    return finish(asking, answer, err);
}

static void stop(void *ctx)
{
    struct asking *asking = ctx;
    close_parts(asking);
    select_close(asking->select);
    fleetdb_snapshot_close(asking->snapshot);
    for (size_t i = 0; i < FLEETDB_CHOICES_MAX; i++)
        free(asking->texts[i]);
    free(asking->code);
    free(asking->zone);
    buf_done(&asking->devices);
    free(asking);
}

static bool ask(struct asking *asking, const struct api_request *request, struct err *err)
{
    return read_question(asking, request, err) &&
           (asking->select != NULL || begin_parts(asking, err));
}

static bool show(void *ctx, const struct api_request *request, enum rates_kind kind,
                 struct api_answer *answer, struct err *err)
{
    const struct api_fleet *fleet = ctx;
    struct asking *asking = calloc(1, sizeof *asking);
    if (asking == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory for the question");
    asking->db = fleet->db;
    asking->limit_ms = fleet->question_limit_ms;
    asking->answer.kind = kind;
    asking->clock = fleet->clock;
    asking->unsaid = fleet->zone;
    asking->began_ms = clock_boot_ms(asking->clock);
    if (!ask(asking, request, err)) {
        stop(asking);
        return false;
    }
    answer->work = (struct api_work){.step = step, .free = stop, .ctx = asking};
    return true;
}

bool api_show_errors(void *ctx, const struct api_request *request, struct api_answer *answer,
                     struct err *err)
{
    return show(ctx, request, RATES_ERRORS, answer, err);
}

bool api_show_rates(void *ctx, const struct api_request *request, struct api_answer *answer,
                    struct err *err)
{
    return show(ctx, request, RATES_RATES, answer, err);
}

bool api_show_top(void *ctx, const struct api_request *request, struct api_answer *answer,
                  struct err *err)
{
    return show(ctx, request, RATES_TOP, answer, err);
}
