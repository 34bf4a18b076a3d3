/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "storage/fleetdb_erase_internal.h"
#include "storage/fleetdb_internal.h"

enum { ROWS = 256 };

enum query { EVENTS, RESULTS, QUERIES };

static const char *const texts[QUERIES] = {
    [EVENTS] = "SELECT max(id), total(its) FROM (" FLEETDB_ERASE_NEXT_EVENTS ")",
    [RESULTS] = "SELECT max(id), total(its) FROM (" FLEETDB_ERASE_NEXT_RESULTS ")",
};

const struct fleetdb_queries fleetdb_erase_look_queries = {texts, QUERIES};

struct look {
    struct fleetdb *db;
    int64_t until_ms;
    bool in_part; /* its time was over before its end */
};

static bool has_time(struct look *look)
{
    look->in_part = look->in_part || clock_boot_ms(&clock_real) >= look->until_ms;
    return !look->in_part;
}

/* Does it, for it is taken back. */
static bool count_texts(struct look *look, struct fleetdb_erasure *erasure, struct err *err)
{
    struct fleetdb_erase_mark mark = {.erasure = erasure->erasure, .step = FLEETDB_ERASE_TEXTS};
    bool done = fleetdb_erase_places(look->db, err) && fleetdb_erase_labels(look->db, &mark, err);
    while (done && mark.step == FLEETDB_ERASE_TEXTS && has_time(look))
        done = fleetdb_erase_texts(look->db, ROWS, &mark, err);
    erasure->texts += mark.texts;
    return done;
}

static bool count_rows(struct look *look, enum query query, int64_t *count, struct err *err)
{
    for (int64_t after = 0; has_time(look);) {
        bool found = false;
        sqlite3_stmt *row = fleetdb_query(look->db, FLEETDB_PART_ERASE_LOOK, query);
        sqlite_bind_int(row, ":after", after);
        sqlite_bind_int(row, ":rows", ROWS);
        if (!sqlite_row(look->db->sqlite, row, &found, err))
            return false;
        after = sqlite3_column_int64(row, 0);
        *count += sqlite3_column_int64(row, 1);
        (void)sqlite3_reset(row);
        if (after == 0)
            return true;
    }
    return true;
}

bool fleetdb_erase_look(struct fleetdb *db, int64_t look_ms, struct fleetdb_erasure *erasure,
                        struct err *err)
{
    struct look look = {.db = db, .until_ms = clock_boot_ms(&clock_real) + look_ms};
    const bool done = count_texts(&look, erasure, err) &&
                      count_rows(&look, EVENTS, &erasure->events, err) &&
                      count_rows(&look, RESULTS, &erasure->results, err);
    erasure->in_part = look.in_part;
    return done;
}
