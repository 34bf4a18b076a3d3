/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_FLEETDB_SPANS_H
#define STORAGE_FLEETDB_SPANS_H

#include "storage/fleetdb.h"
#include "storage/sqlite_rows.h"

/*
 * For storage/ only. Which rows hold the results of a quarter of an hour: one row of result_span
 * for all that follow one another. Spans of one quarter of an hour share no row. New ones wait in
 * memory until the transaction commits, are written in order then, and forgotten by a rollback.
 */
struct fleetdb_span {
    int64_t bucket, first, last;
};

struct fleetdb_spans {
    struct sqlite_rows rows; /* of the list: span_added */
    struct fleetdb_span *list;
    size_t count, room;
};

/* The table in memory that statements read. */
void fleetdb_spans_open(struct fleetdb_spans *spans);

/* The row is new, and newer than all others. */
bool fleetdb_span_add(struct fleetdb *db, int64_t at_ms, int64_t row, struct err *err) MUSTER_CHECK;
/* The row has another time by now. */
bool fleetdb_span_move(struct fleetdb *db, int64_t was_ms, int64_t at_ms, int64_t row,
                       struct err *err) MUSTER_CHECK;
/* The row is not of this time any more: a span that has none left goes with it. */
bool fleetdb_span_gone(struct fleetdb *db, int64_t was_ms, int64_t row,
                       struct err *err) MUSTER_CHECK;
/* Whether the span of this time that has the row begins with it. */
bool fleetdb_span_begins(struct fleetdb *db, int64_t at_ms, int64_t row, bool *ret_begins,
                         struct err *err) MUSTER_CHECK;
/* How many results are not in just one span of their time, and how many spans have none. */
bool fleetdb_spans_check(struct fleetdb *db, uint64_t *ret_wrong, struct err *err) MUSTER_CHECK;

#define FLEETDB_SPAN_MS "900000"
static const int64_t fleetdb_span_ms = 900000;

/* The results r of the quarters of an hour that :from to before :to touch, each once. */
#define FLEETDB_RESULTS_BETWEEN(results) FLEETDB_RESULTS_IN(results, "p.first_row", "p.last_row")
/* The same of the rows :first to :last alone. */
#define FLEETDB_RESULTS_AMONG(results)                                                             \
    FLEETDB_RESULTS_IN(results, "max(p.first_row, :first)", "min(p.last_row, :last)")
#define FLEETDB_RESULTS_IN(results, first, last)                                                   \
    "result_span p CROSS JOIN " results " r ON p.bucket BETWEEN :from / " FLEETDB_SPAN_MS          \
    " AND (:to - 1) / " FLEETDB_SPAN_MS " AND r.id BETWEEN " first " AND " last                    \
    " AND r.at_ms / " FLEETDB_SPAN_MS " = p.bucket"

#endif
