/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/fleetdb_unsure.h"

#include "storage/fleetdb_asked.h"
#include "storage/fleetdb_internal.h"

#include <stdlib.h>

/* A slice is read in one go, and everybody else waits. */
enum { ROWS_A_SLICE = 2000 };

/* A result by its place in the schema's index of those whose time is not sure. */
struct place {
    int64_t device, incarnation, seq;
};

struct fleetdb_unsure {
    struct sqlite *sqlite; /* that is read */
    sqlite3_stmt *slice, *end;
    struct place after; /* so far it was read */
    int64_t count;
    bool done;
};

/* The condition of the schema's partial index. */
#define LOOSE(u) "(" u "bound_ms = -1 OR " u "bound_ms > 10000)"
#define PLACE(u) "(" u "device, " u "incarnation, " u "seq)"
#define AFTER "(:device, :incarnation, :seq)"
#define SLICE                                                                                      \
    LOOSE("u.")                                                                                    \
    " AND " PLACE("u.") " > " AFTER " AND " PLACE(                                                 \
        "u.") " <= (:to_device, :to_incarnation, :to_seq) AND r.id = u.id AND r.in_service"
/* No result was made after it came. */
#define EARLIEST "iif(u.bound_ms = -1, -1, u.at_ms - u.bound_ms)"
#define LATEST                                                                                     \
    "iif(u.bound_ms = -1, u.received_ms,"                                                          \
    " max(u.at_ms, min(u.at_ms + u.bound_ms, u.received_ms)))"

static bool say(struct buf *sql, const struct fleetdb_question *question, struct err *err)
{
    return fleetdb_asked_text(sql, "SELECT count(*) FROM result u CROSS JOIN result_counted r",
                              err) &&
           fleetdb_asked_joins(sql, question, err) &&
           fleetdb_asked_text(sql,
                              " WHERE " SLICE " AND " EARLIEST " < :to AND " LATEST " >= :from"
                              " AND NOT (" EARLIEST " >= :from AND " LATEST " < :to)",
                              err) &&
           fleetdb_asked_choices(sql, question, err) && buf_append(sql, "", 1, err);
}

static bool prepare(struct fleetdb_unsure *unsure, const struct fleetdb_question *question,
                    struct err *err)
{
    struct buf sql = {0};
    bool done = say(&sql, question, err) &&
                sqlite_compile(unsure->sqlite, (const char *)sql.data, &unsure->slice, err) &&
                sqlite_compile(
                    unsure->sqlite,
                    "SELECT device, incarnation, seq FROM result WHERE " LOOSE("") " AND " PLACE(
                        "") " > " AFTER " ORDER BY device, incarnation, seq LIMIT 1 OFFSET :rows",
                    &unsure->end, err);
    buf_done(&sql);
    if (!done)
        return false;
    fleetdb_asked_bind(unsure->slice, question);
    sqlite_bind_int(unsure->slice, ":from", question->from_ms);
    sqlite_bind_int(unsure->slice, ":to", question->to_ms);
    sqlite_bind_int(unsure->end, ":rows", ROWS_A_SLICE - 1);
    return true;
}

bool fleetdb_unsure_open(struct fleetdb *db, const struct fleetdb_question *question,
                         struct fleetdb_unsure **ret_unsure, struct err *err)
{
    struct fleetdb_unsure *unsure = calloc(1, sizeof *unsure);
    if (unsure == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory for the answer");
    unsure->after.incarnation = unsure->after.seq = INT64_MIN;
    unsure->sqlite = fleetdb_read_from(db, question->snapshot);
    if (!prepare(unsure, question, err)) {
        fleetdb_unsure_close(unsure);
        return false;
    }
    *ret_unsure = unsure;
    return true;
}

static void bind_place(sqlite3_stmt *statement, const struct place *place)
{
    sqlite_bind_int(statement, ":device", place->device);
    sqlite_bind_int(statement, ":incarnation", place->incarnation);
    sqlite_bind_int(statement, ":seq", place->seq);
}

/* Up to where the next slice goes; it is the last one where there are fewer. */
static bool find_end(struct fleetdb_unsure *unsure, struct place *ret_end, struct err *err)
{
    bool found = false;
    (void)sqlite3_reset(unsure->end);
    bind_place(unsure->end, &unsure->after);
    if (!sqlite_row(unsure->sqlite, unsure->end, &found, err))
        return false;
    *ret_end = (struct place){INT64_MAX, INT64_MAX, INT64_MAX};
    if (found)
        *ret_end = (struct place){sqlite3_column_int64(unsure->end, 0),
                                  sqlite3_column_int64(unsure->end, 1),
                                  sqlite3_column_int64(unsure->end, 2)};
    unsure->done = !found;
    (void)sqlite3_reset(unsure->end);
    return true;
}

bool fleetdb_unsure_step(struct fleetdb_unsure *unsure, bool *ret_done, struct err *err)
{
    struct place end;
    int64_t count = 0;
    *ret_done = unsure->done;
    if (unsure->done)
        return true;
    if (!find_end(unsure, &end, err))
        return false;
    (void)sqlite3_reset(unsure->slice);
    bind_place(unsure->slice, &unsure->after);
    sqlite_bind_int(unsure->slice, ":to_device", end.device);
    sqlite_bind_int(unsure->slice, ":to_incarnation", end.incarnation);
    sqlite_bind_int(unsure->slice, ":to_seq", end.seq);
    if (!sqlite_value(unsure->sqlite, unsure->slice, 0, &count, err))
        return false;
    unsure->count += count;
    unsure->after = end;
    *ret_done = unsure->done;
    return true;
}

int64_t fleetdb_unsure_count(const struct fleetdb_unsure *unsure)
{
    return unsure->count;
}

void fleetdb_unsure_close(struct fleetdb_unsure *unsure)
{
    if (unsure == NULL)
        return;
    (void)sqlite3_finalize(unsure->slice);
    (void)sqlite3_finalize(unsure->end);
    free(unsure);
}
