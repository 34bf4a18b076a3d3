/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/fleetdb_webhooks.h"

#include "storage/fleetdb_internal.h"

#include <stdio.h>
#include <string.h>

enum query { ADD, COUNT, NAMED, REMOVE, ALL, PASSED, ARRIVED, FAILED, QUERIES };

static const char *const texts[QUERIES] = {
    [ADD] = "INSERT INTO webhook (name, url, secret, kinds, made_ms, made_by, after) VALUES (:name,"
            " :url, :secret, :kinds, :now, :who, (SELECT coalesce(max(id), 0) FROM feed))",
    [COUNT] = "SELECT count(*) FROM webhook",
    [NAMED] = "SELECT count(*) FROM webhook WHERE name = :name",
    [REMOVE] = "DELETE FROM webhook WHERE name = :name RETURNING 1",
    [ALL] = "SELECT id, name, url, secret, kinds, made_ms, made_by, after, missed, delivered,"
            " ok_ms, failing_ms, failures, trouble FROM webhook ORDER BY name",
    [PASSED] = "UPDATE webhook SET after = :after, missed = missed + :missed WHERE id = :webhook",
    [ARRIVED] = "UPDATE webhook SET delivered = delivered + 1, ok_ms = :now, failing_ms = 0,"
                " failures = 0, trouble = '' WHERE id = :webhook",
    [FAILED] = "UPDATE webhook SET failures = failures + 1, trouble = :trouble,"
               " failing_ms = iif(failing_ms = 0, :now, failing_ms) WHERE id = :webhook",
};

const struct fleetdb_queries fleetdb_webhook_queries = {texts, QUERIES};

static sqlite3_stmt *query_of(struct fleetdb *db, enum query query)
{
    return fleetdb_query(db, FLEETDB_PART_WEBHOOKS, query);
}

/* ---- changes ---- */

static bool check_room(struct fleetdb *db, const char *name, struct err *err)
{
    int64_t count = 0, named = 0;
    sqlite3_stmt *statement = query_of(db, NAMED);
    sqlite_bind_text(statement, ":name", name);
    if (!sqlite_value(db->sqlite, statement, 0, &named, err) ||
        !sqlite_value(db->sqlite, query_of(db, COUNT), 0, &count, err))
        return false;
    if (named > 0)
        return err_set(err, ERR_CONFLICT, "there is a webhook %s already; remove it first", name);
    return count < FLEETDB_WEBHOOKS_MAX ||
           err_set(err, ERR_CONFLICT, "there are %d webhooks, and no more are kept",
                   FLEETDB_WEBHOOKS_MAX);
}

static bool add(struct fleetdb *db, const struct fleetdb_webhook *hook, const char *who,
                int64_t now_ms, struct err *err)
{
    char text[FLEETDB_WEBHOOK_NAME_CHARS + FLEETDB_WEBHOOK_URL_CHARS + 8];
    if (!check_room(db, hook->name, err))
        return false;
    sqlite3_stmt *statement = query_of(db, ADD);
    sqlite_bind_text(statement, ":name", hook->name);
    sqlite_bind_text(statement, ":url", hook->url);
    sqlite_bind_bytes(statement, ":secret", bytes_of(hook->secret, sizeof hook->secret));
    sqlite_bind_int(statement, ":kinds", hook->kinds);
    sqlite_bind_int(statement, ":now", now_ms);
    sqlite_bind_text(statement, ":who", who);
    if (!sqlite_run(db->sqlite, statement, err))
        return false;
    (void)snprintf(text, sizeof text, "%s: %s", hook->name, hook->url);
    return fleetdb_audit(db, now_ms, who, "webhook add", 0, text, err);
}

bool fleetdb_webhook_add(struct fleetdb *db, const struct fleetdb_webhook *hook, const char *who,
                         int64_t now_ms, struct err *err)
{
    return fleetdb_begin(db, err) && fleetdb_leave(db, true, add(db, hook, who, now_ms, err), err);
}

static bool take_away(struct fleetdb *db, const char *name, const char *who, int64_t now_ms,
                      struct err *err)
{
    int64_t gone = 0;
    sqlite3_stmt *statement = query_of(db, REMOVE);
    sqlite_bind_text(statement, ":name", name);
    if (!sqlite_value(db->sqlite, statement, 0, &gone, err))
        return false;
    if (gone == 0)
        return err_set(err, ERR_NOT_FOUND, "no webhook %s; see musterctl webhook list", name);
    return fleetdb_audit(db, now_ms, who, "webhook remove", 0, name, err);
}

bool fleetdb_webhook_remove(struct fleetdb *db, const char *name, const char *who, int64_t now_ms,
                            struct err *err)
{
    return fleetdb_begin(db, err) &&
           fleetdb_leave(db, true, take_away(db, name, who, now_ms, err), err);
}

/* ---- how it goes ---- */

static bool pass(struct fleetdb *db, int64_t webhook, int64_t after, int64_t missed, bool arrived,
                 int64_t now_ms, struct err *err)
{
    sqlite3_stmt *statement = query_of(db, PASSED);
    sqlite_bind_int(statement, ":webhook", webhook);
    sqlite_bind_int(statement, ":after", after);
    sqlite_bind_int(statement, ":missed", missed);
    if (!sqlite_run(db->sqlite, statement, err))
        return false;
    if (!arrived)
        return true;
    statement = query_of(db, ARRIVED);
    sqlite_bind_int(statement, ":webhook", webhook);
    sqlite_bind_int(statement, ":now", now_ms);
    return sqlite_run(db->sqlite, statement, err);
}

bool fleetdb_webhook_passed(struct fleetdb *db, int64_t webhook, int64_t after, int64_t missed,
                            bool arrived, int64_t now_ms, struct err *err)
{
    bool own = false;
    return fleetdb_enter(db, &own, err) &&
           fleetdb_leave(db, own, pass(db, webhook, after, missed, arrived, now_ms, err), err);
}

bool fleetdb_webhook_failed(struct fleetdb *db, int64_t webhook, const char *trouble,
                            int64_t now_ms, struct err *err)
{
    sqlite3_stmt *statement = query_of(db, FAILED);
    sqlite_bind_int(statement, ":webhook", webhook);
    sqlite_bind_text(statement, ":trouble", trouble);
    sqlite_bind_int(statement, ":now", now_ms);
    return sqlite_run(db->sqlite, statement, err);
}

static struct fleetdb_webhook webhook_of(sqlite3_stmt *row)
{
    struct fleetdb_webhook hook = {.webhook = sqlite3_column_int64(row, 0),
                                   .kinds = (unsigned)sqlite3_column_int64(row, 4),
                                   .made_ms = sqlite3_column_int64(row, 5),
                                   .after = sqlite3_column_int64(row, 7),
                                   .missed = sqlite3_column_int64(row, 8),
                                   .delivered = sqlite3_column_int64(row, 9),
                                   .ok_ms = sqlite3_column_int64(row, 10),
                                   .failing_ms = sqlite3_column_int64(row, 11),
                                   .failures = sqlite3_column_int64(row, 12)};
    const struct bytes secret = sqlite_column_bytes(row, 3);
    (void)snprintf(hook.name, sizeof hook.name, "%s", sqlite_column_text(row, 1));
    (void)snprintf(hook.url, sizeof hook.url, "%s", sqlite_column_text(row, 2));
    (void)snprintf(hook.made_by, sizeof hook.made_by, "%s", sqlite_column_text(row, 6));
    (void)snprintf(hook.trouble, sizeof hook.trouble, "%s", sqlite_column_text(row, 13));
    if (secret.length == sizeof hook.secret)
        memcpy(hook.secret, secret.data, secret.length);
    return hook;
}

bool fleetdb_webhooks_read(struct fleetdb *db, struct fleetdb_webhook *ret_hooks, size_t *ret_count,
                           struct err *err)
{
    sqlite3_stmt *rows = query_of(db, ALL);
    size_t count = 0;
    bool row = false;
    while (sqlite_row(db->sqlite, rows, &row, err)) {
        if (!row || count == FLEETDB_WEBHOOKS_MAX) {
            (void)sqlite3_reset(rows);
            *ret_count = count;
            return true;
        }
        ret_hooks[count++] = webhook_of(rows);
    }
    return false;
}
