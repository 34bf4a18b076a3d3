/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/fleetdb_spans.h"

#include "storage/fleetdb_internal.h"

#include <stdlib.h>

enum query { GROW, REACH, ADD, ADD_ALL, LEFT, REMOVE, BEGINS, WRONG, QUERIES };
enum { SPANS_MAX = 32768 }; /* so many wait at the most */

#define LAST_BEFORE                                                                                \
    "(SELECT max(first_row) FROM result_span WHERE bucket = :bucket AND first_row <= :first)"
#define RESULTS_OF                                                                                 \
    "(SELECT 1 FROM result r WHERE r.id BETWEEN p.first_row AND p.last_row"                        \
    " AND r.at_ms / " FLEETDB_SPAN_MS " = p.bucket)"
#define LAST_THAT_REACHES                                                                          \
    " WHERE bucket = :bucket AND first_row = " LAST_BEFORE " AND last_row >= :first - 1"

static const char *const texts[QUERIES] = {
    /* The newest rows may have been removed, and their numbers be given again: what the span said
     * of them is over. */
    [GROW] = "UPDATE result_span SET last_row = :last" LAST_THAT_REACHES,
    [REACH] = "UPDATE result_span SET last_row = max(last_row, :last)" LAST_THAT_REACHES,
    [ADD] = "INSERT INTO result_span (bucket, first_row, last_row)"
            " VALUES (:bucket, :first, :last)",
    [ADD_ALL] = "INSERT INTO result_span (bucket, first_row, last_row)"
                " SELECT bucket, first_row, last_row FROM span_added",
    [LEFT] = "SELECT p.first_row, EXISTS " RESULTS_OF " FROM result_span p"
             " WHERE p.bucket = :bucket AND p.first_row = " LAST_BEFORE " AND p.last_row >= :first",
    [REMOVE] = "DELETE FROM result_span WHERE bucket = :bucket AND first_row = :first",
    [BEGINS] = "SELECT count(*) FROM result_span WHERE bucket = :bucket AND first_row = :first",
    [WRONG] = "SELECT (SELECT count(*) FROM result r WHERE 1 <> (SELECT count(*)"
              " FROM result_span p WHERE p.bucket = r.at_ms / " FLEETDB_SPAN_MS
              " AND r.id BETWEEN p.first_row AND p.last_row)) + (SELECT count(*)"
              " FROM result_span p WHERE NOT EXISTS " RESULTS_OF ")",
};

const struct fleetdb_queries fleetdb_span_queries = {texts, QUERIES};

static sqlite3_stmt *query_of(struct fleetdb *db, enum query query, const struct fleetdb_span *span)
{
    sqlite3_stmt *statement = fleetdb_query(db, FLEETDB_PART_SPANS, query);
    sqlite_bind_int(statement, ":bucket", span->bucket);
    sqlite_bind_int(statement, ":first", span->first);
    return statement;
}

static bool write(struct fleetdb *db, enum query query, const struct fleetdb_span *span,
                  struct err *err)
{
    sqlite3_stmt *statement = query_of(db, query, span);
    sqlite_bind_int(statement, ":last", span->last);
    return sqlite_run(db->sqlite, statement, err);
}

static bool grow_or_add(struct fleetdb *db, enum query grow, const struct fleetdb_span *span,
                        struct err *err)
{
    return write(db, grow, span, err) &&
           (sqlite_changes(db->sqlite) > 0 || write(db, ADD, span, err));
}

static int in_order(const void *left, const void *right)
{
    const struct fleetdb_span *a = left, *b = right;
    int order = (a->bucket > b->bucket) - (a->bucket < b->bucket);
    return order != 0 ? order : (a->first > b->first) - (a->first < b->first);
}

static size_t added_count(void *ctx)
{
    return ((const struct fleetdb_spans *)ctx)->count;
}

static void added_value(void *ctx, size_t row, int column, sqlite3_context *ret)
{
    const struct fleetdb_span *span = &((const struct fleetdb_spans *)ctx)->list[row];
    const int64_t values[] = {span->bucket, span->first, span->last};
    sqlite3_result_int64(ret, values[column]);
}

void fleetdb_spans_open(struct fleetdb_spans *spans)
{
    spans->rows = (struct sqlite_rows){
        .name = "span_added",
        .columns = "bucket, first_row, last_row",
        .count = added_count,
        .value = added_value,
        .ctx = spans,
    };
}

/* Leaves those in the list that are to be added: only the first of a quarter of an hour meets what
 * was written before, and may be a part of that by now. */
static bool grow_first(struct fleetdb *db, struct err *err)
{
    struct fleetdb_spans *spans = &db->spans;
    size_t left = 0;
    int64_t bucket = 0;
    for (size_t i = 0; i < spans->count; i++) {
        const struct fleetdb_span span = spans->list[i];
        const bool first = i == 0 || span.bucket != bucket;
        bucket = span.bucket;
        if (first && !write(db, GROW, &span, err))
            return false;
        if (!first || sqlite_changes(db->sqlite) == 0)
            spans->list[left++] = span;
    }
    spans->count = left;
    return true;
}

bool fleetdb_spans_write(struct fleetdb *db, struct err *err)
{
    struct fleetdb_spans *spans = &db->spans;
    if (spans->count > 1)
        qsort(spans->list, spans->count, sizeof *spans->list, in_order);
    const bool done = grow_first(db, err) &&
                      (spans->count == 0 ||
                       sqlite_run(db->sqlite, fleetdb_query(db, FLEETDB_PART_SPANS, ADD_ALL), err));
    spans->count = 0;
    return done;
}

static bool make_room(struct fleetdb *db, struct err *err)
{
    struct fleetdb_spans *spans = &db->spans;
    if (spans->list != NULL && spans->count < spans->room)
        return true;
    if (spans->list != NULL && spans->room == SPANS_MAX)
        return fleetdb_spans_write(db, err);
    const size_t room = spans->room == 0 ? 64 : 2 * spans->room;
    struct fleetdb_span *list = realloc(spans->list, room * sizeof *list);
    if (list == NULL)
        return err_set(err, ERR_NO_MEMORY, "fleet database: out of memory");
    spans->list = list;
    spans->room = room;
    return true;
}

bool fleetdb_span_add(struct fleetdb *db, int64_t at_ms, int64_t row, struct err *err)
{
    struct fleetdb_spans *spans = &db->spans;
    const int64_t bucket = at_ms / fleetdb_span_ms;
    struct fleetdb_span *last = spans->count > 0 ? &spans->list[spans->count - 1] : NULL;
    if (last != NULL && last->bucket == bucket && last->last + 1 == row) {
        last->last = row;
        return true;
    }
    if (!make_room(db, err))
        return false;
    spans->list[spans->count++] = (struct fleetdb_span){bucket, row, row};
    return true;
}

bool fleetdb_span_gone(struct fleetdb *db, int64_t was_ms, int64_t row, struct err *err)
{
    struct fleetdb_span span = {was_ms / fleetdb_span_ms, row, row};
    bool found = false;
    if (!fleetdb_spans_write(db, err))
        return false;
    sqlite3_stmt *left = query_of(db, LEFT, &span);
    if (!sqlite_row(db->sqlite, left, &found, err))
        return false;
    const bool stays = !found || sqlite3_column_int(left, 1) != 0;
    if (found)
        span.first = sqlite3_column_int64(left, 0);
    (void)sqlite3_reset(left);
    return stays || sqlite_run(db->sqlite, query_of(db, REMOVE, &span), err);
}

bool fleetdb_span_begins(struct fleetdb *db, int64_t at_ms, int64_t row, bool *ret_begins,
                         struct err *err)
{
    const struct fleetdb_span span = {at_ms / fleetdb_span_ms, row, row};
    int64_t count = 0;
    if (!fleetdb_spans_write(db, err) ||
        !sqlite_value(db->sqlite, query_of(db, BEGINS, &span), 0, &count, err))
        return false;
    *ret_begins = count > 0;
    return true;
}

bool fleetdb_span_move(struct fleetdb *db, int64_t was_ms, int64_t at_ms, int64_t row,
                       struct err *err)
{
    const struct fleetdb_span span = {at_ms / fleetdb_span_ms, row, row};
    return fleetdb_spans_write(db, err) && grow_or_add(db, REACH, &span, err) &&
           (span.bucket == was_ms / fleetdb_span_ms || fleetdb_span_gone(db, was_ms, row, err));
}

bool fleetdb_spans_check(struct fleetdb *db, uint64_t *ret_wrong, struct err *err)
{
    int64_t wrong = 0;
    sqlite3_stmt *count = fleetdb_query(db, FLEETDB_PART_SPANS, WRONG);
    if (!sqlite_value(db->sqlite, count, 0, &wrong, err))
        return false;
    *ret_wrong = (uint64_t)wrong;
    return true;
}
