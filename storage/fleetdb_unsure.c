/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/fleetdb_unsure.h"

#include "storage/fleetdb_asked.h"
#include "storage/fleetdb_internal.h"

#include <stdlib.h>

enum query { LAST_DEVICE, QUERIES };

static const char *const texts[QUERIES] = {
    [LAST_DEVICE] = "SELECT max(id) FROM device",
};

const struct fleetdb_queries fleetdb_unsure_queries = {texts, QUERIES};

enum { DEVICES_A_SLICE = 500 };

struct fleetdb_unsure {
    struct fleetdb *db;
    struct sqlite *sqlite; /* that is read */
    sqlite3_stmt *slice;
    int64_t device, last_device, count;
};

/* The first condition is that of the schema's partial index. No result was made after it came. */
#define LOOSE                                                                                      \
    " (u.bound_ms = -1 OR u.bound_ms > 10000) AND u.device >= :first AND u.device < :end"          \
    " AND r.id = u.id AND r.in_service"
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
                              " WHERE" LOOSE " AND " EARLIEST " < :to AND " LATEST " >= :from"
                              " AND NOT (" EARLIEST " >= :from AND " LATEST " < :to)",
                              err) &&
           fleetdb_asked_choices(sql, question, err) && buf_append(sql, "", 1, err);
}

static bool prepare(struct fleetdb_unsure *unsure, const struct fleetdb_question *question,
                    struct err *err)
{
    struct buf sql = {0};
    bool done = say(&sql, question, err) &&
                sqlite_compile(unsure->sqlite, (const char *)sql.data, &unsure->slice, err);
    buf_done(&sql);
    if (!done)
        return false;
    fleetdb_asked_bind(unsure->slice, question);
    sqlite_bind_int(unsure->slice, ":from", question->from_ms);
    sqlite_bind_int(unsure->slice, ":to", question->to_ms);
    return sqlite_value(unsure->db->sqlite,
                        fleetdb_query(unsure->db, FLEETDB_PART_UNSURE, LAST_DEVICE), 0,
                        &unsure->last_device, err);
}

bool fleetdb_unsure_open(struct fleetdb *db, const struct fleetdb_question *question,
                         struct fleetdb_unsure **ret_unsure, struct err *err)
{
    struct fleetdb_unsure *unsure = calloc(1, sizeof *unsure);
    if (unsure == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory for the answer");
    unsure->db = db;
    unsure->sqlite = fleetdb_read_from(db, question->snapshot);
    if (!prepare(unsure, question, err)) {
        fleetdb_unsure_close(unsure);
        return false;
    }
    *ret_unsure = unsure;
    return true;
}

bool fleetdb_unsure_step(struct fleetdb_unsure *unsure, bool *ret_done, struct err *err)
{
    int64_t count = 0;
    if (unsure->device <= unsure->last_device) {
        (void)sqlite3_reset(unsure->slice);
        sqlite_bind_int(unsure->slice, ":first", unsure->device);
        unsure->device += DEVICES_A_SLICE;
        sqlite_bind_int(unsure->slice, ":end", unsure->device);
        if (!sqlite_value(unsure->sqlite, unsure->slice, 0, &count, err))
            return false;
        unsure->count += count;
    }
    *ret_done = unsure->device > unsure->last_device;
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
    free(unsure);
}
