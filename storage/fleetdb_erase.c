/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/fleetdb_erase.h"

#include "storage/fleetdb_erase_internal.h"
#include "storage/fleetdb_internal.h"
#include "storage/fleetdb_standing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum query {
    FIND,
    GOES_ON,
    STANDS,
    GROUPS,
    HOOKS,
    COUNT,
    DEVICES,
    LABELS_THERE,
    LABELS,
    LEAVE,
    SPANS,
    TOKENS_RENAME,
    TOKENS_REVOKE,
    TOKEN_PLACES,
    MERCHANT,
    STORES,
    BEGIN,
    LIST,
    QUERIES,
};

#define ITS_STORES "(SELECT id FROM store WHERE merchant = :merchant)"
#define CARRIED_BY_IT_ALONE                                                                        \
    "standing s JOIN device_terminal c ON " FLEETDB_ERASE_WHILE(                                   \
        "c",                                                                                       \
        "s") " WHERE s.merchant = :merchant AND NOT " FLEETDB_ERASE_ANOTHER_CARRIED("c",           \
                                                                                    ":merchant")
#define COUNTS "stores, devices, terminals, tokens, results, events, texts"

static const char *const texts[QUERIES] = {
    [FIND] = "SELECT id FROM merchant WHERE code = :code",
    [GOES_ON] = "SELECT id FROM erasure WHERE done_ms = 0",
    [STANDS] = "SELECT count(*), min(name) FROM device WHERE store IN " ITS_STORES
               " AND life_cycle <> 'retired'",
    [GROUPS] = "SELECT name, selector FROM device_group ORDER BY name",
    [HOOKS] = "SELECT name, url FROM webhook ORDER BY name",
    [COUNT] = "SELECT (SELECT count(*) FROM store WHERE merchant = :merchant),"
              " (SELECT count(*) FROM device WHERE store IN " ITS_STORES "),"
              " (SELECT count(DISTINCT c.logical_terminal) FROM " CARRIED_BY_IT_ALONE "),"
              " (SELECT count(DISTINCT token) FROM token_place WHERE merchant = :merchant)",
    [DEVICES] =
        "SELECT id FROM device WHERE id > :after AND store IN " ITS_STORES " ORDER BY id LIMIT 1",
    [LABELS_THERE] = "DELETE FROM device_label WHERE device IN"
                     " (SELECT id FROM device WHERE store IN " ITS_STORES ")",
    [LABELS] = "DELETE FROM device_label WHERE device = :device",
    [LEAVE] = "UPDATE device SET store = NULL,"
              " life_cycle = iif(life_cycle = 'retired', life_cycle, 'spare') WHERE id = :device",
    /* Before its first standing a device stood there too. */
    [SPANS] = "INSERT INTO erased_standing (standing, device, from_ms, to_ms)"
              " SELECT id, device, iif(EXISTS (SELECT 1 FROM standing o WHERE o.device = t.device"
              "  AND o.from_ms < t.from_ms), from_ms, -9223372036854775807), to_ms"
              " FROM standing t WHERE merchant = :merchant AND to_ms IS NOT NULL",
    [TOKENS_RENAME] =
        "UPDATE token SET name = '" ERASED_NAME "' || id WHERE id IN " FLEETDB_ERASE_ITS_TOKENS,
    [TOKENS_REVOKE] = "UPDATE token SET revoked_ms = :now WHERE revoked_ms = 0 AND id "
                      "IN " FLEETDB_ERASE_ITS_TOKENS,
    [TOKEN_PLACES] = "DELETE FROM token_place WHERE merchant = :merchant",
    [MERCHANT] =
        "UPDATE merchant SET code = '" ERASED_NAME "' || id, name = '' WHERE id = :merchant",
    [STORES] = "UPDATE store SET code = '" ERASED_NAME "' || id, name = '', address = '',"
               " opening_hours = '' WHERE merchant = :merchant",
    [BEGIN] = "INSERT INTO erasure (who, begun_ms, merchant, stores, devices, terminals, tokens,"
              " texts) VALUES (:who, :now, :merchant, :stores, :devices, :terminals, :tokens,"
              " :texts) RETURNING id",
    [LIST] = "SELECT id, who, begun_ms, done_ms, step, " COUNTS " FROM erasure ORDER BY id DESC",
};

const struct fleetdb_queries fleetdb_erase_queries = {texts, QUERIES};

static const char *const step_words[FLEETDB_ERASE_STEPS] = {
    [FLEETDB_ERASE_RESULTS] = "results", [FLEETDB_ERASE_SUMS] = "sums",
    [FLEETDB_ERASE_EVENTS] = "events",   [FLEETDB_ERASE_TEXTS] = "texts",
    [FLEETDB_ERASE_ROWS] = "rows",       [FLEETDB_ERASE_BYTES] = "bytes",
    [FLEETDB_ERASE_DONE] = "done"};

const char *fleetdb_erase_word(enum fleetdb_erase_step step)
{
    return step_words[step];
}

bool fleetdb_erasing(const struct fleetdb *db)
{
    return db->erasure != 0;
}

static sqlite3_stmt *query_of(struct fleetdb *db, enum query query)
{
    return fleetdb_query(db, FLEETDB_PART_ERASE, query);
}

static bool run_of(struct fleetdb *db, enum query query, int64_t merchant, struct err *err)
{
    sqlite3_stmt *statement = query_of(db, query);
    sqlite_bind_int(statement, ":merchant", merchant);
    return sqlite_run(db->sqlite, statement, err);
}

/* ---- may it begin? ---- */

static bool in_the_way(const struct fleetdb_erase_order *order, const struct err *what,
                       struct err *err)
{
    if (order->dry_run && order->in_the_way != NULL)
        return order->in_the_way(order->ctx, what->text, err);
    return err_set(err, what->code, "%s", what->text);
}

static bool check_devices(struct fleetdb *db, const struct fleetdb_erase_order *order,
                          int64_t merchant, struct err *err)
{
    bool found = false;
    sqlite3_stmt *row = query_of(db, STANDS);
    sqlite_bind_int(row, ":merchant", merchant);
    if (!sqlite_row(db->sqlite, row, &found, err))
        return false;
    struct err what = {0};
    const int64_t count = sqlite3_column_int64(row, 0);
    const bool may = count == 0 || order->force ||
                     err_set(&what, ERR_CONFLICT,
                             "%lld devices stand with %.40s that are not retired, the first is "
                             "%.40s: move or retire them, or --force makes them spares without a "
                             "store",
                             (long long)count, order->merchant, sqlite_column_text(row, 1));
    (void)sqlite3_reset(row);
    return may || in_the_way(order, &what, err);
}

/* What names it is for people to remove: others may need it. */
static bool check_texts(struct fleetdb *db, const struct fleetdb_erase_order *order,
                        enum query query, struct erase_words *words, const char *what,
                        struct err *err)
{
    bool more = false;
    sqlite3_stmt *row = query_of(db, query);
    while (sqlite_row(db->sqlite, row, &more, err)) {
        if (!more)
            return true;
        const char *name = sqlite_column_text(row, 0), *text = sqlite_column_text(row, 1);
        if (!erase_words_in(words, name) && !erase_words_in(words, text))
            continue;
        struct err names_it = {0};
        (void)err_set(&names_it, ERR_CONFLICT,
                      "%s %.40s names it: remove that first (musterctl %s "
                      "remove %.40s)",
                      what, name, what, name);
        if (!in_the_way(order, &names_it, err))
            break;
    }
    (void)sqlite3_reset(row);
    return false;
}

static bool check_words(struct fleetdb *db, const struct fleetdb_erase_order *order,
                        struct err *err)
{
    struct erase_words *words;
    return fleetdb_erase_words(db, &words, err) &&
           check_texts(db, order, GROUPS, words, "group", err) &&
           check_texts(db, order, HOOKS, words, "webhook", err);
}

static bool check_alone(struct fleetdb *db, struct err *err)
{
    int64_t other = 0;
    return sqlite_value(db->sqlite, query_of(db, GOES_ON), 0, &other, err) &&
           (other == 0 ||
            err_set(err, ERR_CONFLICT, "erasure %lld goes on: see musterctl get erasures",
                    (long long)other));
}

static bool count(struct fleetdb *db, int64_t merchant, struct fleetdb_erasure *ret_erasure,
                  struct err *err)
{
    bool found = false;
    sqlite3_stmt *row = query_of(db, COUNT);
    sqlite_bind_int(row, ":merchant", merchant);
    if (!sqlite_row(db->sqlite, row, &found, err))
        return false;
    ret_erasure->stores = sqlite3_column_int64(row, 0);
    ret_erasure->devices = sqlite3_column_int64(row, 1);
    ret_erasure->terminals = sqlite3_column_int64(row, 2);
    ret_erasure->tokens = sqlite3_column_int64(row, 3);
    (void)sqlite3_reset(row);
    return true;
}

/* ---- the beginning ---- */

bool fleetdb_erase_leave(struct fleetdb *db, int64_t merchant, const struct fleetdb_change *change,
                         struct err *err)
{
    for (int64_t device = 0;;) {
        sqlite3_stmt *next = query_of(db, DEVICES);
        sqlite_bind_int(next, ":after", device);
        sqlite_bind_int(next, ":merchant", merchant);
        if (!sqlite_value(db->sqlite, next, 0, &device, err))
            return false;
        if (device == 0)
            return true;
        for (enum query query = LABELS; query <= LEAVE; query++) {
            sqlite3_stmt *statement = query_of(db, query);
            sqlite_bind_int(statement, ":device", device);
            if (!sqlite_run(db->sqlite, statement, err))
                return false;
        }
        if (!fleetdb_standing_follow(db, device, change, err))
            return false;
    }
}

static bool take_labels(struct fleetdb *db, int64_t merchant, struct fleetdb_erasure *erasure,
                        struct err *err)
{
    if (!run_of(db, LABELS_THERE, merchant, err))
        return false;
    erasure->texts = sqlite_changes(db->sqlite);
    return true;
}

/* A token that was for nothing else is over, and its name may have been the merchant's. */
static bool take_tokens(struct fleetdb *db, int64_t merchant, int64_t now_ms, struct err *err)
{
    sqlite3_stmt *revoke = query_of(db, TOKENS_REVOKE);
    sqlite_bind_int(revoke, ":merchant", merchant);
    sqlite_bind_int(revoke, ":now", now_ms);
    return sqlite_run(db->sqlite, revoke, err) && run_of(db, TOKENS_RENAME, merchant, err) &&
           run_of(db, TOKEN_PLACES, merchant, err);
}

static bool write_down(struct fleetdb *db, const struct fleetdb_erase_order *order,
                       int64_t merchant, int64_t now_ms, struct fleetdb_erasure *erasure,
                       struct err *err)
{
    char text[160];
    sqlite3_stmt *begin = query_of(db, BEGIN);
    sqlite_bind_text(begin, ":who", order->who);
    sqlite_bind_int(begin, ":now", now_ms);
    sqlite_bind_int(begin, ":merchant", merchant);
    sqlite_bind_int(begin, ":stores", erasure->stores);
    sqlite_bind_int(begin, ":devices", erasure->devices);
    sqlite_bind_int(begin, ":terminals", erasure->terminals);
    sqlite_bind_int(begin, ":tokens", erasure->tokens);
    sqlite_bind_int(begin, ":texts", erasure->texts);
    if (!sqlite_value(db->sqlite, begin, 0, &erasure->erasure, err))
        return false;
    (void)snprintf(text, sizeof text, "erasure %lld begins: %lld stores, %lld devices",
                   (long long)erasure->erasure, (long long)erasure->stores,
                   (long long)erasure->devices);
    return fleetdb_audit(db, now_ms, order->who, "merchant erase", 0, text, err);
}

static bool begin(struct fleetdb *db, const struct fleetdb_erase_order *order, int64_t now_ms,
                  struct fleetdb_erasure *erasure, struct err *err)
{
    int64_t merchant = 0;
    const struct fleetdb_change change = {.who = "musterd", .why = "erased", .now_ms = now_ms};
    sqlite3_stmt *find = query_of(db, FIND);
    sqlite_bind_text(find, ":code", order->merchant);
    if (strcmp(order->merchant, FLEETDB_NOWHERE) == 0)
        return err_set(err, ERR_INVALID,
                       FLEETDB_NOWHERE " is no merchant: devices stand there until somebody says "
                                       "where (musterctl device move)");
    if (!check_alone(db, err) || !sqlite_value(db->sqlite, find, 0, &merchant, err))
        return false;
    if (merchant == 0)
        return err_set(err, ERR_NOT_FOUND, "no merchant %.40s", order->merchant);
    return count(db, merchant, erasure, err) && fleetdb_erase_texts_begin(db, merchant, err) &&
           check_devices(db, order, merchant, err) && check_words(db, order, err) &&
           take_labels(db, merchant, erasure, err) &&
           fleetdb_erase_leave(db, merchant, &change, err) && run_of(db, SPANS, merchant, err) &&
           take_tokens(db, merchant, now_ms, err) && run_of(db, MERCHANT, merchant, err) &&
           run_of(db, STORES, merchant, err) &&
           write_down(db, order, merchant, now_ms, erasure, err);
}

/* It is begun, looked at, and taken back. */
static bool look(struct fleetdb *db, const struct fleetdb_erase_order *order, int64_t now_ms,
                 struct fleetdb_erasure *erasure, struct err *err)
{
    struct err ignored = {0};
    const bool looked = begin(db, order, now_ms, erasure, err) &&
                        fleetdb_erase_look(db, order->look_ms, erasure, err);
    fleetdb_rollback(db);
    erasure->erasure = 0;
    return fleetdb_secure(db, fleetdb_erasing(db), looked ? err : &ignored) && looked;
}

static bool begin_for_good(struct fleetdb *db, const struct fleetdb_erase_order *order,
                           int64_t now_ms, struct fleetdb_erasure *erasure, struct err *err)
{
    struct err ignored = {0};
    if (begin(db, order, now_ms, erasure, err)) {
        if (!fleetdb_commit(db, err))
            return false;
        db->erasure = erasure->erasure;
        return true;
    }
    fleetdb_rollback(db);
    (void)!fleetdb_secure(db, fleetdb_erasing(db), &ignored);
    return false;
}

bool fleetdb_erase_begin(struct fleetdb *db, const struct fleetdb_erase_order *order,
                         int64_t now_ms, struct fleetdb_erasure *ret_erasure, struct err *err)
{
    struct fleetdb_erasure erasure = {.begun_ms = now_ms};
    (void)snprintf(erasure.who, sizeof erasure.who, "%s", order->who);
    if (!fleetdb_secure(db, true, err) || !fleetdb_begin(db, err))
        return false;
    if (!fleetdb_erasing(db))
        fleetdb_erase_words_forget(db);
    const bool done = order->dry_run ? look(db, order, now_ms, &erasure, err)
                                     : begin_for_good(db, order, now_ms, &erasure, err);
    if (!fleetdb_erasing(db))
        fleetdb_erase_words_forget(db);
    if (done)
        *ret_erasure = erasure;
    return done;
}

/* ---- what was done ---- */

static struct fleetdb_erasure erasure_of(sqlite3_stmt *row)
{
    struct fleetdb_erasure erasure = {
        .erasure = sqlite3_column_int64(row, 0),
        .begun_ms = sqlite3_column_int64(row, 2),
        .done_ms = sqlite3_column_int64(row, 3),
        .step = (enum fleetdb_erase_step)sqlite3_column_int(row, 4),
        .stores = sqlite3_column_int64(row, 5),
        .devices = sqlite3_column_int64(row, 6),
        .terminals = sqlite3_column_int64(row, 7),
        .tokens = sqlite3_column_int64(row, 8),
        .results = sqlite3_column_int64(row, 9),
        .events = sqlite3_column_int64(row, 10),
        .texts = sqlite3_column_int64(row, 11),
    };
    (void)snprintf(erasure.who, sizeof erasure.who, "%s", sqlite_column_text(row, 1));
    return erasure;
}

bool fleetdb_erasures_each(struct fleetdb *db,
                           bool (*each)(void *ctx, const struct fleetdb_erasure *erasure,
                                        struct err *err),
                           void *ctx, struct err *err)
{
    bool more = false;
    sqlite3_stmt *row = query_of(db, LIST);
    while (sqlite_row(db->sqlite, row, &more, err)) {
        if (!more)
            return true;
        const struct fleetdb_erasure erasure = erasure_of(row);
        if (!each(ctx, &erasure, err)) {
            (void)sqlite3_reset(row);
            return false;
        }
    }
    return false;
}

bool fleetdb_erasure_load(struct fleetdb *db, struct err *err)
{
    return sqlite_value(db->sqlite, query_of(db, GOES_ON), 0, &db->erasure, err) &&
           fleetdb_secure(db, fleetdb_erasing(db), err);
}
