/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/fleetdb_find.h"

#include "storage/fleetdb_internal.h"
#include "storage/rollups.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum query { DEVICES, OF_DEVICE, OF_WINDOW, QUERIES };
enum { MINUTE_MS = 60 * 1000, HOUR_MS = 60 * MINUTE_MS };

#define PLACES " LEFT JOIN store s ON s.id = t.store LEFT JOIN merchant m ON m.id = t.merchant"
#define FIELDS                                                                                     \
    "SELECT r.id, r.device, r.at_ms, r.bound_ms, r.wall_ms, r.received_ms, r.stan,"                \
    " r.batch_number, r.type, r.entry_mode, r.scheme, r.amount_minor, r.currency, r.outcome,"      \
    " r.code_source, r.host_hint, r.acquirer, r.reversal_pending, d.name, d.serial, "              \
    "coalesce(t.life, ''),"                                                                        \
    " coalesce(m.code, ''), coalesce(m.name, ''), coalesce(s.code, ''), coalesce(s.name, ''),"     \
    " coalesce(l.acquirer, ''), coalesce(l.tid, ''), coalesce(l.mid, ''), r.rrn, r.auth_code,"     \
    " r.code, r.issuer_bucket FROM "
/* The joins follow what chooses among the rows, or else they would be made for every row. */
#define JOINS                                                                                      \
    " CROSS JOIN device d ON d.id = r.device LEFT JOIN standing t ON t.id = r.standing" PLACES     \
    " LEFT JOIN device_terminal c ON c.id = r.carried"                                             \
    " LEFT JOIN logical_terminal l ON l.id = c.logical_terminal"

static const char *const texts[QUERIES] = {
    [DEVICES] = "SELECT d.id FROM device d WHERE (:device IS NULL OR d.name = :device)"
                " AND (:serial IS NULL OR d.serial = :serial)"
                " AND (:tid IS NULL OR d.id IN (SELECT c.device FROM logical_terminal l"
                " JOIN device_terminal c ON c.logical_terminal = l.id WHERE l.tid = :tid))"
                " AND (:merchant IS NULL OR d.id IN (SELECT t.device FROM merchant m"
                " JOIN standing t ON t.merchant = m.id LEFT JOIN store s ON s.id = t.store"
                " WHERE m.code = :merchant AND (:store IS NULL OR s.code = :store)))",
    [OF_DEVICE] = "SELECT coalesce(sum(cumulative), 0) FROM stream"
                  " WHERE device = :device AND lane = 1",
    [OF_WINDOW] = "SELECT coalesce(sum(r.results), 0) FROM rollup_code_hour_sum r"
                  " WHERE " ROLLUP_BETWEEN_KEYED,
};

static const char newest_span[] =
    "SELECT max(bucket) FROM result_span WHERE bucket <= (:to - 1) / " FLEETDB_SPAN_MS;

const struct fleetdb_queries fleetdb_find_queries = {texts, QUERIES};

struct fleetdb_find {
    struct fleetdb *db;
    struct sqlite *sqlite; /* where results are read */
    struct fleetdb_wanted wanted;
    size_t limit;
    bool devices_known, by_time;
    int64_t *devices;
    size_t device_count, device_room, device;
    int64_t looked_ms;
    sqlite3_stmt *rows, *newest;
    struct fleetdb_found *list; /* newest first; one more than the limit: there are more */
    size_t count;
};

/* ---- what is looked through ---- */

static bool add_device(struct fleetdb_find *find, int64_t device, struct err *err)
{
    if (find->device_count == find->device_room) {
        size_t room = find->device_room > 0 ? 2 * find->device_room : 64;
        int64_t *devices = realloc(find->devices, room * sizeof *devices);
        if (devices == NULL)
            return err_set(err, ERR_NO_MEMORY, "no memory for the devices");
        find->devices = devices;
        find->device_room = room;
    }
    find->devices[find->device_count++] = device;
    return true;
}

static bool read_devices(struct fleetdb_find *find, struct err *err)
{
    const struct fleetdb_wanted *wanted = &find->wanted;
    find->devices_known = wanted->device != NULL || wanted->serial != NULL || wanted->tid != NULL ||
                          wanted->merchant != NULL;
    if (!find->devices_known)
        return true;
    sqlite3_stmt *row = fleetdb_query(find->db, FLEETDB_PART_FIND, DEVICES);
    sqlite_bind_text(row, ":device", wanted->device);
    sqlite_bind_text(row, ":serial", wanted->serial);
    sqlite_bind_text(row, ":tid", wanted->tid);
    sqlite_bind_text(row, ":merchant", wanted->merchant);
    sqlite_bind_text(row, ":store", wanted->store);
    for (bool more = true; more;) {
        if (!sqlite_row(find->db->sqlite, row, &more, err))
            return false;
        if (more && !add_device(find, sqlite3_column_int64(row, 0), err)) {
            (void)sqlite3_reset(row);
            return false;
        }
    }
    return true;
}

/* The way on which fewer results lie. */
static bool choose_way(struct fleetdb_find *find, struct err *err)
{
    int64_t of_devices = 0, of_window = 0;
    if (!find->devices_known) {
        find->by_time = true;
        return true;
    }
    sqlite3_stmt *sum = fleetdb_query(find->db, FLEETDB_PART_FIND, OF_WINDOW);
    sqlite_bind_int(sum, ":from", find->wanted.from_ms / HOUR_MS);
    sqlite_bind_int(sum, ":to", find->wanted.to_ms / HOUR_MS + 1);
    if (!sqlite_value(find->db->sqlite, sum, 0, &of_window, err))
        return false;
    for (size_t i = 0; i < find->device_count && of_devices <= of_window; i++) {
        int64_t results = 0;
        sqlite3_stmt *stream = fleetdb_query(find->db, FLEETDB_PART_FIND, OF_DEVICE);
        sqlite_bind_int(stream, ":device", find->devices[i]);
        if (!sqlite_value(find->db->sqlite, stream, 0, &results, err))
            return false;
        of_devices += results;
    }
    find->by_time = find->device_count > 0 && of_devices > of_window;
    return true;
}

/* ---- the statement ---- */

static bool say(struct buf *sql, bool asked, const char *text, struct err *err)
{
    return !asked || buf_append(sql, text, strlen(text), err);
}

/* All of it is text of this file; what people ask is bound. A plain comparison would let the
 * planner turn a left join round and begin with its table. */
static bool say_all(struct buf *sql, const struct fleetdb_find *find, struct err *err)
{
    const struct fleetdb_wanted *w = &find->wanted;
    return say(sql, true, FIELDS, err) &&
           say(sql, !find->by_time, "result_run u CROSS JOIN result r ON " FLEETDB_ROWS_OF_RUN,
               err) &&
           say(sql, find->by_time, FLEETDB_RESULTS_BETWEEN("result"), err) &&
           say(sql, true, JOINS, err) &&
           say(sql, find->by_time, " WHERE r.at_ms >= :from AND r.at_ms < :to", err) &&
           /* The unary plus keeps the planner to the device's own runs. */
           say(sql, !find->by_time,
               " WHERE u.device = :one AND +r.at_ms >= :from AND +r.at_ms < :to", err) &&
           say(sql, w->rrn != NULL, " AND r.rrn = :rrn", err) &&
           say(sql, w->auth_code != NULL, " AND r.auth_code = :auth", err) &&
           say(sql, w->code != NULL, " AND r.code = :code", err) &&
           say(sql, w->stan >= 0, " AND r.stan = :stan", err) &&
           say(sql, w->amount_minor >= 0, " AND r.amount_minor = :amount", err) &&
           say(sql, w->currency >= 0, " AND r.currency = :currency", err) &&
           say(sql, w->outcome >= 0, " AND r.outcome = :outcome", err) &&
           say(sql, w->device != NULL, " AND d.name = :device", err) &&
           say(sql, w->serial != NULL, " AND d.serial = :serial", err) &&
           say(sql, w->merchant != NULL, " AND coalesce(m.code, '') = :merchant", err) &&
           say(sql, w->store != NULL, " AND coalesce(s.code, '') = :store", err) &&
           say(sql, w->tid != NULL, " AND coalesce(l.tid, '') = :tid", err) &&
           say(sql, !fleetdb_scope_is_whole(w->scope), " AND " FLEETDB_IN_SCOPE, err) &&
           say(sql, w->before.at_ms > 0, " AND (r.at_ms, r.id) < (:before, :result)", err) &&
           say(sql, true, " ORDER BY r.at_ms DESC, r.id DESC LIMIT :limit", err) &&
           buf_append(sql, "", 1, err);
}

static void bind_text(sqlite3_stmt *rows, const char *name, const char *text)
{
    if (text != NULL)
        sqlite_bind_text(rows, name, text);
}

static void bind_number(sqlite3_stmt *rows, const char *name, int64_t number)
{
    if (number >= 0)
        sqlite_bind_int(rows, name, number);
}

static bool prepare(struct fleetdb_find *find, struct err *err)
{
    const struct fleetdb_wanted *w = &find->wanted;
    struct buf sql = {0};
    bool done = say_all(&sql, find, err) &&
                sqlite_compile(find->sqlite, (const char *)sql.data, &find->rows, err) &&
                sqlite_compile(find->sqlite, newest_span, &find->newest, err);
    buf_done(&sql);
    if (!done)
        return false;
    bind_text(find->rows, ":rrn", w->rrn);
    bind_text(find->rows, ":auth", w->auth_code);
    bind_text(find->rows, ":code", w->code);
    bind_number(find->rows, ":stan", w->stan);
    bind_number(find->rows, ":amount", w->amount_minor);
    bind_number(find->rows, ":currency", w->currency);
    bind_number(find->rows, ":outcome", w->outcome);
    bind_text(find->rows, ":device", w->device);
    bind_text(find->rows, ":serial", w->serial);
    bind_text(find->rows, ":merchant", w->merchant);
    bind_text(find->rows, ":store", w->store);
    bind_text(find->rows, ":tid", w->tid);
    if (!fleetdb_scope_is_whole(w->scope))
        sqlite_bind_int(find->rows, ":token", w->scope.token);
    if (w->before.at_ms > 0) {
        sqlite_bind_int(find->rows, ":before", w->before.at_ms);
        sqlite_bind_int(find->rows, ":result", w->before.result);
    }
    return true;
}

/* ---- the answer ---- */

#define TAKE_TEXT(found, field, column)                                                            \
    (void)snprintf((found)->field, sizeof(found)->field, "%s", sqlite_column_text(row, column))

static struct fleetdb_found found_of(sqlite3_stmt *row)
{
    struct fleetdb_found found = {0};
    int64_t *const numbers[] = {
        &found.result,         &found.device,      &found.at_ms,       &found.bound_ms,
        &found.wall_ms,        &found.received_ms, &found.stan,        &found.batch_number,
        &found.type,           &found.entry,       &found.scheme,      &found.amount_minor,
        &found.currency,       &found.outcome,     &found.code_source, &found.host_hint,
        &found.acquirer_index,
    };
    int column = 0;
    for (; column < (int)(sizeof numbers / sizeof *numbers); column++)
        *numbers[column] = sqlite3_column_int64(row, column);
    found.reversal_pending = sqlite3_column_int(row, column++) != 0;
    TAKE_TEXT(&found, id, column++);
    TAKE_TEXT(&found, serial, column++);
    TAKE_TEXT(&found, life, column++);
    TAKE_TEXT(&found, merchant, column++);
    TAKE_TEXT(&found, merchant_name, column++);
    TAKE_TEXT(&found, store, column++);
    TAKE_TEXT(&found, store_name, column++);
    TAKE_TEXT(&found, acquirer, column++);
    TAKE_TEXT(&found, tid, column++);
    TAKE_TEXT(&found, mid, column++);
    TAKE_TEXT(&found, rrn, column++);
    TAKE_TEXT(&found, auth_code, column++);
    TAKE_TEXT(&found, code, column++);
    TAKE_TEXT(&found, issuer, column++);
    return found;
}

static int newest_first(const void *left, const void *right)
{
    const struct fleetdb_found *a = left, *b = right;
    int order = (a->at_ms < b->at_ms) - (a->at_ms > b->at_ms);
    return order != 0 ? order : (a->result < b->result) - (a->result > b->result);
}

/* The list has room for as many again as it may keep. */
static bool read_rows(struct fleetdb_find *find, int64_t from_ms, int64_t to_ms, int64_t device,
                      struct err *err)
{
    bool more = true;
    (void)sqlite3_reset(find->rows);
    sqlite_bind_int(find->rows, ":from", from_ms);
    sqlite_bind_int(find->rows, ":to", to_ms);
    sqlite_bind_int(find->rows, ":limit", (int64_t)find->limit + 1);
    if (!find->by_time)
        sqlite_bind_int(find->rows, ":one", device);
    while (more) {
        if (!sqlite_row(find->sqlite, find->rows, &more, err))
            return false;
        if (more)
            find->list[find->count++] = found_of(find->rows);
    }
    qsort(find->list, find->count, sizeof *find->list, newest_first);
    if (find->count > find->limit + 1)
        find->count = find->limit + 1;
    return true;
}

/* ---- one after the other ---- */

bool fleetdb_find_open(struct fleetdb *db, const struct fleetdb_wanted *wanted, size_t limit,
                       struct fleetdb_find **ret_find, struct err *err)
{
    struct fleetdb_find *find = calloc(1, sizeof *find);
    struct fleetdb_found *list = calloc(2 * (limit + 1), sizeof *list);
    if (find == NULL || list == NULL) {
        free(find);
        free(list);
        return err_set(err, ERR_NO_MEMORY, "no memory for the answer");
    }
    *find = (struct fleetdb_find){.db = db,
                                  .sqlite = fleetdb_read_from(db, wanted->snapshot),
                                  .wanted = *wanted,
                                  .limit = limit,
                                  .list = list};
    if (wanted->before.at_ms > 0 && wanted->before.at_ms < find->wanted.to_ms)
        find->wanted.to_ms = wanted->before.at_ms + 1;
    find->looked_ms = find->wanted.to_ms;
    if (!read_devices(find, err) || !choose_way(find, err) || !prepare(find, err)) {
        fleetdb_find_close(find);
        return false;
    }
    *ret_find = find;
    return true;
}

/* Where nothing was, nothing is looked through. */
static bool skip_gap(struct fleetdb_find *find, struct err *err)
{
    int64_t newest = 0;
    sqlite_bind_int(find->newest, ":to", find->looked_ms);
    if (!sqlite_value(find->sqlite, find->newest, -1, &newest, err))
        return false;
    const int64_t end_ms = (newest + 1) * fleetdb_span_ms;
    if (end_ms < find->looked_ms)
        find->looked_ms = end_ms > find->wanted.from_ms ? end_ms : find->wanted.from_ms;
    return true;
}

static bool step_in_time(struct fleetdb_find *find, struct err *err)
{
    if (!skip_gap(find, err))
        return false;
    int64_t to_ms = find->looked_ms, from_ms = (to_ms - 1) / fleetdb_span_ms * fleetdb_span_ms;
    if (from_ms < find->wanted.from_ms)
        from_ms = find->wanted.from_ms;
    if (from_ms < to_ms && !read_rows(find, from_ms, to_ms, 0, err))
        return false;
    find->looked_ms = from_ms;
    return true;
}

bool fleetdb_find_step(struct fleetdb_find *find, bool *ret_done, struct err *err)
{
    const struct fleetdb_wanted *wanted = &find->wanted;
    if (find->by_time) {
        if (!step_in_time(find, err))
            return false;
        *ret_done = find->looked_ms <= wanted->from_ms || find->count > find->limit;
        return true;
    }
    if (find->device < find->device_count &&
        !read_rows(find, wanted->from_ms, wanted->to_ms, find->devices[find->device++], err))
        return false;
    *ret_done = find->device == find->device_count;
    if (*ret_done)
        find->looked_ms = wanted->from_ms;
    return true;
}

const struct fleetdb_found *fleetdb_find_list(const struct fleetdb_find *find, size_t *ret_count)
{
    *ret_count = find->count < find->limit ? find->count : find->limit;
    return find->list;
}

bool fleetdb_find_more(const struct fleetdb_find *find)
{
    return find->count > find->limit;
}

int64_t fleetdb_find_looked_ms(const struct fleetdb_find *find)
{
    return find->looked_ms;
}

const int64_t *fleetdb_find_devices(const struct fleetdb_find *find, size_t *ret_count,
                                    bool *ret_known)
{
    *ret_count = find->device_count;
    *ret_known = find->devices_known;
    return find->devices;
}

bool fleetdb_find_by_time(const struct fleetdb_find *find)
{
    return find->by_time;
}

void fleetdb_find_close(struct fleetdb_find *find)
{
    if (find == NULL)
        return;
    (void)sqlite3_finalize(find->rows);
    (void)sqlite3_finalize(find->newest);
    free(find->devices);
    free(find->list);
    free(find);
}
