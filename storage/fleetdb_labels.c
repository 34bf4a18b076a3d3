/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/fleetdb_labels.h"

#include "storage/fleetdb_internal.h"

#include <stdlib.h>
#include <string.h>

enum query {
    LABEL_PUT,
    LABEL_REMOVE,
    LABELS,
    GROUP_OTHERS,
    GROUP_PUT,
    GROUP_REMOVE,
    GROUP_READ,
    GROUPS,
    QUERIES,
};

/* Of a device that has left the part, what it always is and no more. */
#define HOLDS                                                                                      \
    "EXISTS (SELECT 1 FROM standing t WHERE t.device = d.id AND " FLEETDB_IN_SCOPE                 \
    " AND (t.to_ms IS NULL OR f.field IN ('device', 'serial', 'model')))"

#define WHOSE(row) "(SELECT s.merchant FROM standing s WHERE s.id = " row ")"

static const char *const texts[QUERIES] = {
    /* Said again with another merchant, it is of there. */
    [LABEL_PUT] = "INSERT INTO device_label (device, name, value, standing) VALUES (:device, :name,"
                  " :value, coalesce((SELECT id FROM standing WHERE device = :device"
                  " AND to_ms IS NULL), 0)) ON CONFLICT (device, name) DO UPDATE"
                  " SET (value, standing) = (excluded.value, excluded.standing)"
                  " WHERE value <> excluded.value OR standing < 0 OR " WHOSE(
                      "device_label.standing") " IS NOT " WHOSE("excluded.standing"),
    [LABEL_REMOVE] = "DELETE FROM device_label WHERE device = :device AND name = :name",
    [LABELS] = "SELECT name, value FROM device_label WHERE device = :device ORDER BY name",
    [GROUP_OTHERS] = "SELECT count(*) FROM device_group WHERE name <> :name",
    [GROUP_PUT] = "INSERT INTO device_group (name, selector, changed_ms, who)"
                  " VALUES (:name, :selector, :now, :who) ON CONFLICT (name) DO UPDATE SET"
                  " (selector, changed_ms, who) = (excluded.selector, excluded.changed_ms,"
                  "  excluded.who) WHERE selector <> excluded.selector",
    [GROUP_REMOVE] = "DELETE FROM device_group WHERE name = :name",
    [GROUP_READ] = "SELECT selector FROM device_group WHERE name = :name",
    [GROUPS] = "SELECT name, selector, who, changed_ms FROM device_group ORDER BY name",
};

static const char facts_page[] =
    "SELECT max(id) FROM (SELECT id FROM device WHERE id > :after ORDER BY id LIMIT :count)";
/* A store's code is its merchant's to give; merchant/store says which one is meant. */
static const char facts_rows[] =
    "SELECT f.device, d.name, f.field, f.value FROM (SELECT device, field, value FROM device_fact"
    "  UNION ALL SELECT d.id, 'store', m.code || '/' || s.code FROM device d"
    "  JOIN store s ON s.id = d.store JOIN merchant m ON m.id = s.merchant) f"
    " JOIN device d ON d.id = f.device"
    " WHERE f.device > :after AND f.device <= :last"
    " AND f.field IN (SELECT value FROM json_each(:fields))"
    " AND (:token = 0 OR " HOLDS ") ORDER BY f.device";

const struct fleetdb_queries fleetdb_label_queries = {texts, QUERIES};

static sqlite3_stmt *query_of(struct fleetdb *db, enum query query)
{
    return fleetdb_query(db, FLEETDB_PART_LABELS, query);
}

/* ---- labels ---- */

bool fleetdb_label_put(struct fleetdb *db, int64_t device, const struct fleetdb_label *label,
                       struct err *err)
{
    sqlite3_stmt *statement = query_of(db, LABEL_PUT);
    sqlite_bind_int(statement, ":device", device);
    sqlite_bind_text(statement, ":name", label->name);
    sqlite_bind_text(statement, ":value", label->value);
    return sqlite_run(db->sqlite, statement, err);
}

bool fleetdb_label_remove(struct fleetdb *db, int64_t device, const char *name, struct err *err)
{
    sqlite3_stmt *statement = query_of(db, LABEL_REMOVE);
    sqlite_bind_int(statement, ":device", device);
    sqlite_bind_text(statement, ":name", name);
    return sqlite_run(db->sqlite, statement, err);
}

bool fleetdb_labels_each(struct fleetdb *db, int64_t device,
                         bool (*each)(void *ctx, const struct fleetdb_label *label,
                                      struct err *err),
                         void *ctx, struct err *err)
{
    bool more = false;
    sqlite3_stmt *row = query_of(db, LABELS);
    sqlite_bind_int(row, ":device", device);
    while (sqlite_row(db->sqlite, row, &more, err)) {
        if (!more)
            return true;
        const struct fleetdb_label label = {sqlite_column_text(row, 0), sqlite_column_text(row, 1)};
        if (!each(ctx, &label, err)) {
            (void)sqlite3_reset(row);
            return false;
        }
    }
    return false;
}

struct others {
    const struct fleetdb_label *labels;
    size_t count;
    struct buf names; /* of those that are not among them, each with its NUL */
};

static bool note_other(void *ctx, const struct fleetdb_label *label, struct err *err)
{
    struct others *others = ctx;
    for (size_t i = 0; i < others->count; i++) {
        if (strcmp(others->labels[i].name, label->name) == 0)
            return true;
    }
    return buf_append(&others->names, label->name, strlen(label->name) + 1, err);
}

bool fleetdb_labels_only(struct fleetdb *db, int64_t device, const struct fleetdb_label *labels,
                         size_t count, struct err *err)
{
    struct others others = {labels, count, {0}};
    bool done = fleetdb_labels_each(db, device, note_other, &others, err);
    for (size_t i = 0; done && i < count; i++)
        done = fleetdb_label_put(db, device, &labels[i], err);
    const char *name = (const char *)others.names.data;
    for (size_t at = 0; done && at < others.names.length; at += strlen(name + at) + 1)
        done = fleetdb_label_remove(db, device, name + at, err);
    buf_done(&others.names);
    return done;
}

/* ---- what is so ---- */

enum { DEVICES_IN_A_STEP = 250 };

struct fleetdb_facts {
    struct sqlite *sqlite;
    sqlite3_stmt *page, *rows;
    int64_t after; /* devices up to it have been told of */
};

bool fleetdb_facts_open(struct fleetdb *db, const struct fleetdb_snapshot *snapshot,
                        struct fleetdb_scope scope, const char *fields,
                        struct fleetdb_facts **ret_facts, struct err *err)
{
    struct fleetdb_facts *facts = calloc(1, sizeof *facts);
    if (facts == NULL)
        return err_set(err, ERR_NO_MEMORY, "fleet database: out of memory");
    facts->sqlite = fleetdb_read_from(db, snapshot);
    if (!sqlite_compile(facts->sqlite, facts_page, &facts->page, err) ||
        !sqlite_compile(facts->sqlite, facts_rows, &facts->rows, err)) {
        fleetdb_facts_close(facts);
        return false;
    }
    sqlite_bind_int(facts->page, ":count", DEVICES_IN_A_STEP);
    sqlite_bind_text(facts->rows, ":fields", fields);
    sqlite_bind_int(facts->rows, ":token", scope.token);
    *ret_facts = facts;
    return true;
}

bool fleetdb_facts_step(struct fleetdb_facts *facts,
                        bool (*each)(void *ctx, const struct fleetdb_fact *fact, struct err *err),
                        void *ctx, bool *ret_done, struct err *err)
{
    int64_t last = 0;
    bool more = true;
    sqlite_bind_int(facts->page, ":after", facts->after);
    if (!sqlite_value(facts->sqlite, facts->page, facts->after, &last, err))
        return false;
    sqlite_bind_int(facts->rows, ":after", facts->after);
    sqlite_bind_int(facts->rows, ":last", last);
    while (more) {
        if (!sqlite_row(facts->sqlite, facts->rows, &more, err))
            return false;
        const struct fleetdb_fact fact = {
            sqlite3_column_int64(facts->rows, 0), sqlite_column_text(facts->rows, 1),
            sqlite_column_text(facts->rows, 2), sqlite_column_text(facts->rows, 3)};
        if (more && !each(ctx, &fact, err)) {
            (void)sqlite3_reset(facts->rows);
            return false;
        }
    }
    *ret_done = last == facts->after;
    facts->after = last;
    return true;
}

void fleetdb_facts_close(struct fleetdb_facts *facts)
{
    if (facts == NULL)
        return;
    (void)sqlite3_finalize(facts->page);
    (void)sqlite3_finalize(facts->rows);
    free(facts);
}

/* ---- groups ---- */

static bool check_room(struct fleetdb *db, const char *name, struct err *err)
{
    int64_t others = 0;
    sqlite3_stmt *statement = query_of(db, GROUP_OTHERS);
    sqlite_bind_text(statement, ":name", name);
    if (!sqlite_value(db->sqlite, statement, 0, &others, err))
        return false;
    return others < FLEETDB_GROUPS_MAX ||
           err_set(err, ERR_CONFLICT,
                   "there are %d groups, and no more are kept: remove one first (musterctl get "
                   "groups, group remove)",
                   FLEETDB_GROUPS_MAX);
}

bool fleetdb_group_put(struct fleetdb *db, const char *name, const char *selector,
                       const struct fleetdb_change *change, struct err *err)
{
    if (!check_room(db, name, err))
        return false;
    sqlite3_stmt *statement = query_of(db, GROUP_PUT);
    sqlite_bind_text(statement, ":name", name);
    sqlite_bind_text(statement, ":selector", selector);
    sqlite_bind_text(statement, ":who", change->who);
    sqlite_bind_int(statement, ":now", change->now_ms);
    return sqlite_run(db->sqlite, statement, err);
}

static bool no_group(const char *name, struct err *err)
{
    return err_set(err, ERR_NOT_FOUND, "no group %s", name);
}

bool fleetdb_group_remove(struct fleetdb *db, const char *name, struct err *err)
{
    sqlite3_stmt *statement = query_of(db, GROUP_REMOVE);
    sqlite_bind_text(statement, ":name", name);
    return sqlite_run(db->sqlite, statement, err) &&
           (sqlite_changes(db->sqlite) > 0 || no_group(name, err));
}

bool fleetdb_group_read(struct fleetdb *db, const char *name, struct buf *out, struct err *err)
{
    bool found = false;
    sqlite3_stmt *statement = query_of(db, GROUP_READ);
    sqlite_bind_text(statement, ":name", name);
    if (!sqlite_row(db->sqlite, statement, &found, err))
        return false;
    if (!found)
        return no_group(name, err);
    const char *selector = sqlite_column_text(statement, 0);
    bool done = buf_append(out, selector, strlen(selector) + 1, err);
    (void)sqlite3_reset(statement);
    return done;
}

bool fleetdb_groups_each(struct fleetdb *db,
                         bool (*each)(void *ctx, const struct fleetdb_group *group,
                                      struct err *err),
                         void *ctx, struct err *err)
{
    bool more = false;
    sqlite3_stmt *row = query_of(db, GROUPS);
    while (sqlite_row(db->sqlite, row, &more, err)) {
        if (!more)
            return true;
        const struct fleetdb_group group = {sqlite_column_text(row, 0), sqlite_column_text(row, 1),
                                            sqlite_column_text(row, 2),
                                            sqlite3_column_int64(row, 3)};
        if (!each(ctx, &group, err)) {
            (void)sqlite3_reset(row);
            return false;
        }
    }
    return false;
}
