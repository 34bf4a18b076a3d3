/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/fleetdb_rates.h"

#include "storage/fleetdb_asked.h"
#include "storage/fleetdb_internal.h"
#include "storage/rollups.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum query { EDGES, QUERIES };

static const char *const texts[QUERIES] = {
    /* Both in one SELECT would be a walk through the whole table. */
    [EDGES] = "SELECT (SELECT min(id) FROM rollup_code_hour_sum) >> " ROLLUP_BUCKET_BITS
              ", (SELECT max(id) FROM rollup_code_hour_sum) >> " ROLLUP_BUCKET_BITS,
};

const struct fleetdb_queries fleetdb_rate_queries = {texts, QUERIES};

enum { MINUTE_MS = 60 * 1000, HOUR_MS = 60 * MINUTE_MS, SOURCE_CHARS = 32, PIECES_MAX = 3 };
/* A slice is read in one go, some 10 ms, and everybody else waits: of rows no more than so many are
 * looked at, however many a terminal may have sent of one moment; and of sums as many hours as have
 * no more than so many, or one. */
enum { ROWS_A_SLICE = 10000, QUARTER_MS = 15 * MINUTE_MS };

#define SUM_BEYOND_KEYED(table)                                                                    \
    "SELECT r.id >> " ROLLUP_BUCKET_BITS " FROM " table "_sum r WHERE " ROLLUP_BETWEEN_KEYED       \
    " ORDER BY r.id LIMIT 1 OFFSET :sums"
#define SUM_BEYOND_WIDE(table)                                                                     \
    "SELECT r.bucket FROM " table " r WHERE " ROLLUP_BETWEEN_WIDE                                  \
    " ORDER BY r.bucket LIMIT 1 OFFSET :sums"
static const char *const sum_beyond[ROLLUPS] = {
#define ROLLUP(id, name, table, bucket_ms, stored, own, ...)                                       \
    [ROLLUP_##id] = SUM_BEYOND_##stored(table),
#include "storage/rollups.def"
#undef ROLLUP
};
/* Sums by device are joined with more. */
static const int64_t sums_a_slice[] = {[ROLLUP_KEYED] = 10000, [ROLLUP_WIDE] = 4000};

static const char *const between[] = {
    [ROLLUP_KEYED] = ROLLUP_BETWEEN_KEYED, [ROLLUP_WIDE] = ROLLUP_BETWEEN_WIDE};

/* A part of the window, and what it is read from. */
struct piece {
    enum rollup_id rollup; /* ROLLUPS: the rows */
    int64_t from_ms, at_ms, to_ms;
    int64_t row; /* from that one on, of the rows of its slice */
    sqlite3_stmt *statement, *beyond;
};

struct window {
    int64_t from_ms, to_ms;
};

struct fleetdb_rates {
    struct fleetdb *db;
    struct sqlite *sqlite; /* that is read */
    struct fleetdb_question question;
    struct window asked;    /* in whole minutes or hours, of what is kept: what is answered */
    int64_t from_ms, to_ms; /* the same between the fleet's first and last hour: what is read */
    int64_t kept_from_ms;
    bool widened;
    char source[SOURCE_CHARS];
    struct piece pieces[PIECES_MAX];
    size_t piece, piece_count;
    sqlite3_stmt *spans; /* of a slice of rows */
    struct fleetdb_rate *list;
    size_t count, room, merged; /* so many at the head are in order, each once */
};

/* ---- the window and where it is read ---- */

static bool knows(enum rollup_id rollup, unsigned needs)
{
    for (size_t i = 0; i < ROLLUP_OWN_MAX; i++)
        needs &= ~(1u << rollups[rollup].own[i]);
    return needs == 0;
}

/* The narrowest that knows all of it; ROLLUPS: none does. */
static enum rollup_id find_rollup(int64_t bucket_ms, unsigned needs)
{
    enum rollup_id rollup = 0;
    while (rollup < ROLLUPS && (rollups[rollup].bucket_ms != bucket_ms || !knows(rollup, needs)))
        rollup++;
    return rollup;
}

static void add_piece(struct fleetdb_rates *rates, enum rollup_id rollup, int64_t from_ms,
                      int64_t to_ms)
{
    if (from_ms < to_ms)
        rates->pieces[rates->piece_count++] =
            (struct piece){.rollup = rollup, .from_ms = from_ms, .at_ms = from_ms, .to_ms = to_ms};
}

static int64_t floor_to(int64_t at_ms, int64_t unit_ms)
{
    return at_ms / unit_ms * unit_ms;
}

/* What is left of the window of what is kept. */
static void clip(struct fleetdb_rates *rates, enum rollup_id hours)
{
    const int64_t kept_ms = fleetdb_whole_from_ms(
        rates->db, hours == ROLLUPS ? FLEETDB_KEPT_RESULTS : FLEETDB_KEPT_SUMS_HOUR);
    if (rates->question.from_ms < kept_ms)
        rates->kept_from_ms = kept_ms;
    if (rates->from_ms < kept_ms)
        rates->from_ms = kept_ms;
    if (rates->asked.from_ms < kept_ms)
        rates->asked.from_ms = kept_ms;
    if (rates->to_ms < rates->from_ms)
        rates->to_ms = rates->from_ms;
    if (rates->asked.to_ms < rates->asked.from_ms)
        rates->asked.to_ms = rates->asked.from_ms;
}

/* What tells minutes of the time from `at_ms` on; false: nothing is kept that does. */
static bool find_ends(const struct fleetdb_rates *rates, int64_t at_ms, enum rollup_id *ret_ends)
{
    *ret_ends = find_rollup(MINUTE_MS, fleetdb_asked_needs(&rates->question));
    if (*ret_ends < ROLLUPS && at_ms < fleetdb_whole_from_ms(rates->db, FLEETDB_KEPT_SUMS_MINUTE))
        *ret_ends = ROLLUPS;
    return *ret_ends < ROLLUPS || at_ms >= fleetdb_whole_from_ms(rates->db, FLEETDB_KEPT_RESULTS);
}

/* An end that nothing tells the minutes of becomes the whole hour. */
static struct window widen(const struct fleetdb_rates *rates, struct window window)
{
    enum rollup_id ends;
    const int64_t from_ms = floor_to(window.from_ms, HOUR_MS);
    const int64_t last_ms = floor_to(window.to_ms, HOUR_MS);
    if (window.from_ms == window.to_ms)
        return window;
    if (last_ms < window.to_ms && !find_ends(rates, last_ms, &ends))
        window.to_ms = last_ms + HOUR_MS;
    if (from_ms < window.from_ms && !find_ends(rates, from_ms, &ends))
        window.from_ms = from_ms;
    return window;
}

static void widen_both(struct fleetdb_rates *rates)
{
    const struct window asked = rates->asked;
    const struct window read = widen(rates, (struct window){rates->from_ms, rates->to_ms});
    rates->from_ms = read.from_ms;
    rates->to_ms = read.to_ms;
    rates->asked = widen(rates, asked);
    rates->widened = rates->asked.from_ms != asked.from_ms || rates->asked.to_ms != asked.to_ms;
}

static void add_end(struct fleetdb_rates *rates, int64_t from_ms, int64_t to_ms)
{
    enum rollup_id ends;
    (void)find_ends(rates, floor_to(from_ms, HOUR_MS), &ends);
    add_piece(rates, ends, from_ms, to_ms);
}

/* Whole hours from sums by the hour; what is left at the ends from sums by the minute, where there
 * are some, or else from the rows. */
static void plan(struct fleetdb_rates *rates)
{
    enum rollup_id hours = find_rollup(HOUR_MS, fleetdb_asked_needs(&rates->question));
    clip(rates, hours);
    if (hours < ROLLUPS)
        widen_both(rates);
    int64_t first_ms = floor_to(rates->from_ms + HOUR_MS - 1, HOUR_MS);
    int64_t last_ms = floor_to(rates->to_ms, HOUR_MS);
    if (hours == ROLLUPS || first_ms >= last_ms)
        first_ms = last_ms = rates->to_ms;
    add_end(rates, rates->from_ms, first_ms);
    add_piece(rates, hours, first_ms, last_ms);
    add_end(rates, last_ms, rates->to_ms);
    bool rows = false, sums = false;
    for (size_t i = 0; i < rates->piece_count; i++) {
        rows = rows || rates->pieces[i].rollup == ROLLUPS;
        sums = sums || rates->pieces[i].rollup != ROLLUPS;
    }
    const char *name = hours < ROLLUPS ? rollups[hours].name : "";
    (void)snprintf(rates->source, sizeof rates->source, "%s%s%s", sums ? name : "",
                   sums && rows ? " and " : "",
                   rows   ? "rows"
                   : sums ? ""
                          : "nothing");
}

/* Nothing was ever before the first hour or after the last one: that is not read. */
static bool set_window(struct fleetdb_rates *rates, struct err *err)
{
    const struct fleetdb_question *question = &rates->question;
    sqlite3_stmt *row = fleetdb_query(rates->db, FLEETDB_PART_RATES, EDGES);
    bool found = false;
    if (!sqlite_row(rates->db->sqlite, row, &found, err))
        return false;
    int64_t first_ms = sqlite3_column_int64(row, 0) * HOUR_MS;
    int64_t end_ms = (sqlite3_column_int64(row, 1) + 1) * HOUR_MS;
    (void)sqlite3_reset(row);
    int64_t to_ms = question->to_ms < end_ms ? question->to_ms : end_ms;
    rates->from_ms =
        floor_to(question->from_ms > first_ms ? question->from_ms : first_ms, MINUTE_MS);
    rates->to_ms = floor_to(to_ms + MINUTE_MS - 1, MINUTE_MS);
    rates->asked = (struct window){floor_to(question->from_ms, MINUTE_MS),
                                   floor_to(question->to_ms + MINUTE_MS - 1, MINUTE_MS)};
    return true;
}

/* ---- the statement ---- */

static bool say(struct buf *sql, const struct fleetdb_question *question, enum rollup_id rollup,
                struct err *err)
{
#define IS_ERROR "(:outcome < 0 OR r.outcome = :outcome) AND (:code IS NULL OR r.code = :code)"
    static const char values[] = ", r.currency, sum(iif(r.in_service, r.results, 0)),"
                                 " sum(iif(r.in_service AND " IS_ERROR ", r.results, 0)),"
                                 " total(iif(r.in_service AND " IS_ERROR ", r.amount_minor, 0)),"
                                 " sum(iif(r.in_service, 0, r.results)) FROM ";
    bool sums = rollup < ROLLUPS;
    return fleetdb_asked_text(sql, "SELECT ", err) && fleetdb_asked_key(sql, question->by, err) &&
           fleetdb_asked_text(sql, values, err) &&
           fleetdb_asked_text(
               sql, sums ? rollups[rollup].table : FLEETDB_RESULTS_AMONG("result_counted"), err) &&
           fleetdb_asked_text(sql, sums ? " r" : "", err) &&
           fleetdb_asked_joins(sql, question, err) && fleetdb_asked_text(sql, " WHERE ", err) &&
           fleetdb_asked_text(
               sql, sums ? between[rollups[rollup].stored] : "r.at_ms >= :from AND r.at_ms < :to",
               err) &&
           fleetdb_asked_choices(sql, question, err) &&
           fleetdb_asked_text(sql, " GROUP BY 1, 2", err) && buf_append(sql, "", 1, err);
}

static bool prepare(struct fleetdb_rates *rates, struct piece *piece, struct err *err)
{
    struct buf sql = {0};
    bool done = say(&sql, &rates->question, piece->rollup, err) &&
                sqlite_compile(rates->sqlite, (const char *)sql.data, &piece->statement, err) &&
                (piece->rollup == ROLLUPS ||
                 sqlite_compile(rates->sqlite, sum_beyond[piece->rollup], &piece->beyond, err));
    buf_done(&sql);
    if (!done)
        return false;
    sqlite_bind_int(piece->statement, ":outcome", rates->question.error_outcome);
    sqlite_bind_text(piece->statement, ":code", rates->question.error_code);
    fleetdb_asked_bind(piece->statement, &rates->question);
    return true;
}

/* ---- the answer ---- */

static int in_order(const void *left, const void *right)
{
    const struct fleetdb_rate *a = left, *b = right;
    int order = strcmp(a->key, b->key);
    return order != 0 ? order : (a->currency > b->currency) - (a->currency < b->currency);
}

static int64_t plus(int64_t a, int64_t b)
{
    int64_t sum = 0;
    return __builtin_add_overflow(a, b, &sum) ? INT64_MAX : sum;
}

static void merge(struct fleetdb_rates *rates)
{
    if (rates->count == 0)
        return;
    qsort(rates->list, rates->count, sizeof *rates->list, in_order);
    size_t last = 0;
    for (size_t i = 1; i < rates->count; i++) {
        struct fleetdb_rate *to = &rates->list[last];
        const struct fleetdb_rate *from = &rates->list[i];
        if (in_order(to, from) != 0) {
            rates->list[++last] = *from;
            continue;
        }
        free(from->key);
        to->results += from->results;
        to->errors += from->errors;
        to->error_amount_minor = plus(to->error_amount_minor, from->error_amount_minor);
        to->not_in_service += from->not_in_service;
    }
    rates->count = rates->merged = last + 1;
}

static bool make_room(struct fleetdb_rates *rates, struct err *err)
{
    if (rates->count < rates->room)
        return true;
    if (rates->count > 2 * rates->merged + 1024)
        merge(rates);
    if (rates->count < rates->room / 2)
        return true;
    size_t room = rates->room == 0 ? 256 : 2 * rates->room;
    struct fleetdb_rate *list = realloc(rates->list, room * sizeof *list);
    if (list == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory for the answer");
    rates->list = list;
    rates->room = room;
    return true;
}

static int64_t whole(double amount)
{
    return amount >= 9.2e18 ? INT64_MAX : (int64_t)amount;
}

static bool read_list(struct fleetdb_rates *rates, sqlite3_stmt *row, struct err *err)
{
    bool more = false;
    while (sqlite_row(rates->sqlite, row, &more, err)) {
        if (!more)
            return true;
        if (!make_room(rates, err))
            break;
        struct fleetdb_rate rate = {
            .key = strdup(sqlite_column_text(row, 0)),
            .currency = sqlite3_column_int64(row, 1),
            .results = sqlite3_column_int64(row, 2),
            .errors = sqlite3_column_int64(row, 3),
            .error_amount_minor = whole(sqlite3_column_double(row, 4)),
            .not_in_service = sqlite3_column_int64(row, 5),
        };
        if (rate.key == NULL) {
            (void)err_set(err, ERR_NO_MEMORY, "no memory for the answer");
            break;
        }
        rates->list[rates->count++] = rate;
    }
    (void)sqlite3_reset(row);
    return false;
}

/* ---- slices ---- */

static sqlite3_stmt *bind_slice(struct piece *piece, int64_t from, int64_t to)
{
    (void)sqlite3_reset(piece->statement);
    sqlite_bind_int(piece->statement, ":from", from);
    sqlite_bind_int(piece->statement, ":to", to);
    return piece->statement;
}

/* Before the bucket that has the first sum too many. */
static bool find_end(struct fleetdb_rates *rates, const struct piece *piece, int64_t *ret_end_ms,
                     struct err *err)
{
    const struct rollup *rollup = &rollups[piece->rollup];
    const int64_t first = piece->at_ms / rollup->bucket_ms;
    const int64_t last = (piece->to_ms - 1) / rollup->bucket_ms + 1;
    int64_t end = 0;
    (void)sqlite3_reset(piece->beyond);
    sqlite_bind_int(piece->beyond, ":from", first);
    sqlite_bind_int(piece->beyond, ":to", last);
    sqlite_bind_int(piece->beyond, ":sums", sums_a_slice[rollup->stored]);
    if (!sqlite_value(rates->sqlite, piece->beyond, last, &end, err))
        return false;
    end = end > first ? end : first + 1;
    *ret_end_ms = end * rollup->bucket_ms < piece->to_ms ? end * rollup->bucket_ms : piece->to_ms;
    return true;
}

static bool read_sums(struct fleetdb_rates *rates, struct piece *piece, struct err *err)
{
    const int64_t unit_ms = rollups[piece->rollup].bucket_ms;
    int64_t end_ms = 0;
    if (!find_end(rates, piece, &end_ms, err) ||
        !read_list(rates, bind_slice(piece, piece->at_ms / unit_ms, end_ms / unit_ms), err))
        return false;
    piece->at_ms = end_ms;
    return true;
}

/* The row up to which spans of this quarter of an hour have as many as one slice may; INT64_MAX:
 * they have no more. */
static bool find_last(struct fleetdb_rates *rates, const struct piece *piece, int64_t *ret_last,
                      struct err *err)
{
    sqlite3_stmt *span = rates->spans;
    int64_t left = ROWS_A_SLICE;
    bool more = false;
    (void)sqlite3_reset(span);
    sqlite_bind_int(span, ":bucket", piece->at_ms / fleetdb_span_ms);
    sqlite_bind_int(span, ":row", piece->row);
    *ret_last = INT64_MAX;
    while (sqlite_row(rates->sqlite, span, &more, err)) {
        if (!more)
            return true;
        const int64_t first = sqlite3_column_int64(span, 0), last = sqlite3_column_int64(span, 1);
        const int64_t begin = first > piece->row ? first : piece->row;
        if (last - begin >= left) {
            *ret_last = begin + left - 1;
            (void)sqlite3_reset(span);
            return true;
        }
        left -= last - begin + 1;
    }
    return false;
}

static bool read_rows(struct fleetdb_rates *rates, struct piece *piece, struct err *err)
{
    int64_t last = 0, end_ms = (piece->at_ms / QUARTER_MS + 1) * QUARTER_MS;
    if (end_ms > piece->to_ms)
        end_ms = piece->to_ms;
    if (!find_last(rates, piece, &last, err))
        return false;
    sqlite3_stmt *slice = bind_slice(piece, piece->at_ms, end_ms);
    sqlite_bind_int(slice, ":first", piece->row);
    sqlite_bind_int(slice, ":last", last);
    if (!read_list(rates, slice, err))
        return false;
    piece->row = last < INT64_MAX ? last + 1 : 0;
    piece->at_ms = last < INT64_MAX ? piece->at_ms : end_ms;
    return true;
}

/* ---- one after the other ---- */

bool fleetdb_rates_open(struct fleetdb *db, const struct fleetdb_question *question,
                        struct fleetdb_rates **ret_rates, struct err *err)
{
    struct fleetdb_rates *rates = calloc(1, sizeof *rates);
    if (rates == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory for the answer");
    rates->db = db;
    rates->sqlite = fleetdb_read_from(db, question->snapshot);
    rates->question = *question;
    bool done = set_window(rates, err) &&
                sqlite_compile(rates->sqlite,
                               "SELECT first_row, last_row FROM result_span WHERE bucket = :bucket"
                               " AND last_row >= :row ORDER BY first_row",
                               &rates->spans, err);
    if (done)
        plan(rates);
    for (size_t i = 0; done && i < rates->piece_count; i++)
        done = prepare(rates, &rates->pieces[i], err);
    if (!done) {
        fleetdb_rates_close(rates);
        return false;
    }
    *ret_rates = rates;
    return true;
}

bool fleetdb_rates_step(struct fleetdb_rates *rates, bool *ret_done, struct err *err)
{
    if (rates->piece < rates->piece_count) {
        struct piece *piece = &rates->pieces[rates->piece];
        if (!(piece->rollup < ROLLUPS ? read_sums(rates, piece, err)
                                      : read_rows(rates, piece, err)))
            return false;
        rates->piece += piece->at_ms == piece->to_ms;
    }
    *ret_done = rates->piece == rates->piece_count;
    return true;
}

const struct fleetdb_rate *fleetdb_rates_list(struct fleetdb_rates *rates, size_t *ret_count)
{
    merge(rates);
    *ret_count = rates->count;
    return rates->list;
}

void fleetdb_rates_window(const struct fleetdb_rates *rates, int64_t *ret_from_ms,
                          int64_t *ret_to_ms)
{
    *ret_from_ms = rates->asked.from_ms;
    *ret_to_ms = rates->asked.to_ms;
}

int64_t fleetdb_rates_kept_from_ms(const struct fleetdb_rates *rates)
{
    return rates->kept_from_ms;
}

bool fleetdb_rates_widened(const struct fleetdb_rates *rates)
{
    return rates->widened;
}

const char *fleetdb_rates_source(const struct fleetdb_rates *rates)
{
    return rates->source;
}

void fleetdb_rates_progress(const struct fleetdb_rates *rates, int64_t *ret_read_ms,
                            int64_t *ret_all_ms)
{
    *ret_read_ms = *ret_all_ms = 0;
    for (size_t i = 0; i < rates->piece_count; i++) {
        *ret_read_ms += rates->pieces[i].at_ms - rates->pieces[i].from_ms;
        *ret_all_ms += rates->pieces[i].to_ms - rates->pieces[i].from_ms;
    }
}

void fleetdb_rates_close(struct fleetdb_rates *rates)
{
    if (rates == NULL)
        return;
    for (size_t i = 0; i < rates->piece_count; i++) {
        (void)sqlite3_finalize(rates->pieces[i].statement);
        (void)sqlite3_finalize(rates->pieces[i].beyond);
    }
    (void)sqlite3_finalize(rates->spans);
    for (size_t i = 0; i < rates->count; i++)
        free(rates->list[i].key);
    free(rates->list);
    free(rates);
}
