/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/bench/peers/sink.h"

#include "base/clock.h"
#include "tests/bench/peers/load.h"

#include <sqlite3.h>
#include <stdlib.h>

enum { KEY_AT = 2 }; /* behind the tag and length of field 1 */

struct sink {
    sqlite3 *db;
    sqlite3_stmt *add;
    bool open; /* a transaction is */
    int64_t commit_at_ms;
};

static bool run(struct sink *sink, const char *sql, struct err *err)
{
    return sqlite3_exec(sink->db, sql, NULL, NULL, NULL) == SQLITE_OK ||
           err_set(err, ERR_IO, "sink: %s: %s", sql, sqlite3_errmsg(sink->db));
}

bool sink_open(const char *path, struct sink **ret_sink, struct err *err)
{
    static const char schema[] =
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
        "CREATE TABLE IF NOT EXISTS arrived (id INTEGER PRIMARY KEY, key BLOB NOT NULL,"
        " body BLOB NOT NULL) STRICT";
    static const char add[] = "INSERT INTO arrived (key, body) VALUES (?, ?)";
    struct sink *sink = calloc(1, sizeof *sink);
    if (sink == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory for the sink");
    bool done = sqlite3_open(path, &sink->db) == SQLITE_OK ||
                err_set(err, ERR_IO, "sink %s: %s", path, sqlite3_errmsg(sink->db));
    done = done && run(sink, schema, err) &&
           (sqlite3_prepare_v2(sink->db, add, -1, &sink->add, NULL) == SQLITE_OK ||
            err_set(err, ERR_IO, "sink %s: %s", path, sqlite3_errmsg(sink->db)));
    if (!done) {
        sink_close(sink);
        return false;
    }
    *ret_sink = sink;
    return true;
}

void sink_close(struct sink *sink)
{
    struct err err = {0};
    if (sink == NULL)
        return;
    if (sink->open)
        (void)!run(sink, "COMMIT", &err);
    (void)sqlite3_finalize(sink->add);
    (void)sqlite3_close(sink->db);
    free(sink);
}

bool sink_add(struct sink *sink, struct bytes body, struct err *err)
{
    if (body.length < KEY_AT + LOAD_KEY_BYTES)
        return err_set(err, ERR_INVALID, "sink: %zu bytes are no record", body.length);
    if (!sink->open) {
        if (!run(sink, "BEGIN", err))
            return false;
        sink->open = true;
        sink->commit_at_ms = clock_boot_ms(&clock_real) + SINK_COMMIT_MS;
    }
    (void)sqlite3_bind_blob(sink->add, 1, body.data + KEY_AT, LOAD_KEY_BYTES, SQLITE_STATIC);
    (void)sqlite3_bind_blob(sink->add, 2, body.data, (int)body.length, SQLITE_STATIC);
    bool done = sqlite3_step(sink->add) == SQLITE_DONE;
    (void)sqlite3_reset(sink->add);
    return done || err_set(err, ERR_IO, "sink: %s", sqlite3_errmsg(sink->db));
}

bool sink_turn(struct sink *sink, struct err *err)
{
    if (!sink->open || clock_boot_ms(&clock_real) < sink->commit_at_ms)
        return true;
    sink->open = false;
    return run(sink, "COMMIT", err);
}
