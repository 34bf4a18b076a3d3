/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/fleetdb_erase_internal.h"
#include "storage/fleetdb_internal.h"

/* Texts that people or musterd wrote, in tables with an id. */
#define TEXTS(F)                                                                                   \
    F(STANDING_WHY, standing, why)                                                                 \
    F(DUTY_WHY, registration_duty, why)                                                            \
    F(DUTY_NOTE, registration_duty, note)                                                          \
    F(ACTION_NOTE, action, note)                                                                   \
    F(ACTION_TEXT, action, text)                                                                   \
    F(WEBHOOK_TROUBLE, webhook, trouble)

/* Who did it. */
#define AUTHORS(F)                                                                                 \
    F(AUDIT_WHO, audit, who)                                                                       \
    F(STANDING_WHO, standing, who)                                                                 \
    F(DUTY_WHO, registration_duty, who)                                                            \
    F(DUTY_DONE_WHO, registration_duty, done_who)                                                  \
    F(TOKEN_MADE_BY, token, made_by)                                                               \
    F(GROUP_WHO, device_group, who)                                                                \
    F(WEBHOOK_MADE_BY, webhook, made_by)                                                           \
    F(ERASURE_WHO, erasure, who)

/* What a device told last, and when: by table, what tells its rows apart, and column. */
#define TOLD(F)                                                                                    \
    F(APPLY_WHY, device_apply, "''", why, "x.received_ms")                                         \
    F(APPLY_WAITS, device_apply, "''", waits_for, "x.received_ms")                                 \
    F(KEYS_WHY, device_keys, "''", why, "x.received_ms")                                           \
    F(SLOT_WHY, key_slot, "x.slot", why,                                                           \
      "(SELECT k.received_ms FROM device_keys k WHERE k.device = x.device)")                       \
    F(PACKAGE_TEXT, device_package, "x.name", text, "x.received_ms")                               \
    F(ITEM_REASON, device_item, "x.name", reason, "x.updated_ms")

#define TABLES(F)                                                                                  \
    F(audit)                                                                                       \
    F(standing) F(registration_duty) F(action) F(token) F(device_group) F(webhook) F(erasure)

/* One walk after the other, each over a column; the last over devices. */
#define WALK_ID(id, ...) WALK_##id,
enum walk { WALK_AUDIT, TEXTS(WALK_ID) AUTHORS(WALK_ID) WALK_DEVICES, WALKS };
#define TOLD_ID(id, ...) TOLD_##id,
enum told { TOLD(TOLD_ID) TOLD_LABEL, TOLDS };

enum query {
    WORDS,
    BEGIN_WORDS,
    BEGIN_AUTHORS,
    BEGIN_TABLES,
    LABELS,
    END_WORDS,
    END_AUTHORS,
    END_TABLES,
    DEVICES,
    READ,
    READ_TOLD = READ + WALK_DEVICES,
    PUT = READ_TOLD + TOLDS,
    PUT_TOLD = PUT + WALK_DEVICES,
    QUERIES = PUT_TOLD + TOLDS,
};

#define NEWEST(table) "(SELECT newest FROM erased_table WHERE name = '" table "')"
#define WALK_OF(table, what, of)                                                                   \
    "SELECT x.id, " what " FROM " table " x" of                                                    \
    " WHERE x.id > :after AND x.id <= " NEWEST(table) " ORDER BY x.id LIMIT :rows"
#define PUT_OF(table, column) "UPDATE " table " SET " column " = :becomes WHERE id = :id"
#define TEXT_READ(id, table, column)                                                               \
    [READ + WALK_##id] = WALK_OF(#table, "x." #column ", NULL", ""),
#define AUTHOR_READ(id, table, column)                                                             \
    [READ + WALK_##id] =                                                                           \
        WALK_OF(#table, "'', a.becomes", " LEFT JOIN erased_author a ON a.who = x." #column),
#define TEXT_PUT(id, table, column) [PUT + WALK_##id] = PUT_OF(#table, #column),

#define WHILE_THERE(device, at)                                                                    \
    "EXISTS (SELECT 1 FROM erased_standing e WHERE e.device = " device " AND " at                  \
    " >= e.from_ms AND " at " < e.to_ms)"
#define TOLD_READ(id, table, key, column, at)                                                      \
    [READ_TOLD + TOLD_##id] = "SELECT " key ", x." #column ", iif(" WHILE_THERE(                   \
        "x.device", at) ", 'erased', NULL) FROM " #table " x WHERE x.device = :device"             \
                        " AND x." #column " <> '' AND " at                                         \
                        " <= (SELECT begun_ms FROM erasure WHERE id = :erasure)",
#define TOLD_PUT(id, table, key, column, at)                                                       \
    [PUT_TOLD + TOLD_##id] = "UPDATE " #table " AS x SET " #column                                 \
                             " = :becomes WHERE device = :device AND " key " = :key",

/* "NAME: role of PLACE", or "NAME", of its own token or of another's, whose name is its own. */
#define ABOUT_TOKEN "x.what IN ('token add', 'token revoke')"
#define AFTER_NAME "instr(x.text || ':', ':')"
/* A label goes with what was told of it. */
#define ABOUT_LABEL "(x.what = 'label' OR x.text LIKE '%label %')"

/* A store without a name is called by its code, as others' are: after its merchant's, that names
 * it well enough. */
#define NO_CODE "name COLLATE NOCASE NOT IN (SELECT code FROM store WHERE merchant = :merchant)"
/* By what it carried; not what another merchant carried too. */
#define CARRIED                                                                                    \
    "(SELECT c.logical_terminal FROM standing s JOIN device_terminal c"                            \
    " ON " FLEETDB_ERASE_WHILE("c", "s") " WHERE s.merchant = :merchant)"
#define ITS_ALONE(number)                                                                          \
    " UNION SELECT * FROM (SELECT " number " FROM logical_terminal WHERE id IN " CARRIED           \
    " EXCEPT SELECT l." number " FROM device_terminal c JOIN logical_terminal l"                   \
    " ON l.id = c.logical_terminal WHERE l." number " IN (SELECT " number                          \
    " FROM logical_terminal WHERE id IN " CARRIED ")"                                              \
    " AND " FLEETDB_ERASE_ANOTHERS("c", ":merchant") ")"

static const char *const texts[QUERIES] = {
    [WORDS] = "SELECT word FROM erased_word WHERE word <> ''",
    [BEGIN_WORDS] =
        "INSERT INTO erased_word (word) SELECT code FROM merchant WHERE id = :merchant"
        " UNION SELECT name FROM merchant WHERE id = :merchant"
        " UNION SELECT name FROM store WHERE merchant = :merchant AND " NO_CODE
        " UNION SELECT address FROM store WHERE merchant = :merchant"
        " UNION SELECT name FROM former_name WHERE merchant = :merchant AND " NO_CODE ITS_ALONE(
            "tid") ITS_ALONE("mid"),
    [BEGIN_AUTHORS] = "INSERT INTO erased_author (who, becomes) SELECT 'token ' || name,"
                      " 'token " ERASED_NAME "' || id FROM token"
                      " WHERE id IN " FLEETDB_ERASE_ITS_TOKENS,
#define TABLE_NEWEST(table)                                                                        \
    " UNION ALL SELECT '" #table "', coalesce((SELECT max(id) FROM " #table "), 0)"
    [BEGIN_TABLES] =
        "INSERT INTO erased_table (name, newest) SELECT '', 0 WHERE :merchant IS NULL" TABLES(
            TABLE_NEWEST),
    [LABELS] = "DELETE FROM device_label AS x WHERE :erasure AND EXISTS (SELECT 1"
               " FROM erased_standing e WHERE e.device = x.device AND (e.standing = x.standing"
               " OR (x.standing < 0 AND e.standing <= -x.standing)))",
    [END_WORDS] = "DELETE FROM erased_word",
    [END_AUTHORS] = "DELETE FROM erased_author",
    [END_TABLES] = "DELETE FROM erased_table",
    [DEVICES] = "SELECT id FROM device WHERE id > :after ORDER BY id LIMIT 1",
    [READ + WALK_AUDIT] = WALK_OF("audit",
                                  "iif(" ABOUT_TOKEN ", substr(x.text, " AFTER_NAME "), x.text),"
                                  " iif(a.who IS NOT NULL OR (" ABOUT_LABEL
                                  " AND " WHILE_THERE("x.device", "x.at_ms") "),"
                                                                             "  'erased', NULL)",
                                  " LEFT JOIN erased_author a ON " ABOUT_TOKEN
                                  " AND a.who = 'token ' || substr(x.text, 1, " AFTER_NAME " - 1)"),
    [PUT + WALK_AUDIT] = PUT_OF("audit", "text"),
    TEXTS(TEXT_READ) TEXTS(TEXT_PUT) AUTHORS(AUTHOR_READ) AUTHORS(TEXT_PUT) TOLD(TOLD_READ) TOLD(
        TOLD_PUT)
        /* Of one that stood there; set elsewhere. */
        [READ_TOLD + TOLD_LABEL] =
            "SELECT x.name, x.value, NULL FROM device_label x WHERE x.device = :device AND :erasure"
            " AND EXISTS (SELECT 1 FROM erased_standing e WHERE e.device = x.device)"
            " AND x.standing <= " NEWEST("standing"),
    [PUT_TOLD + TOLD_LABEL] =
        "UPDATE device_label SET value = :becomes WHERE device = :device AND name = :key",
};

const struct fleetdb_queries fleetdb_erase_text_queries = {texts, QUERIES};

static sqlite3_stmt *query_of(struct fleetdb *db, unsigned query)
{
    return fleetdb_query(db, FLEETDB_PART_ERASE_TEXTS, query);
}

/* ---- what it is called ---- */

static bool read_words(struct fleetdb *db, struct erase_words *words, struct err *err)
{
    bool more = false;
    sqlite3_stmt *row = query_of(db, WORDS);
    while (sqlite_row(db->sqlite, row, &more, err)) {
        if (!more)
            return true;
        erase_words_add(words, sqlite_column_text(row, 0));
    }
    return false;
}

bool fleetdb_erase_words(struct fleetdb *db, struct erase_words **ret_words, struct err *err)
{
    if (db->erased_words == NULL) {
        struct erase_words *words = erase_words_new();
        if (!read_words(db, words, err)) {
            erase_words_free(words);
            return false;
        }
        db->erased_words = words;
    }
    *ret_words = db->erased_words;
    return true;
}

void fleetdb_erase_words_forget(struct fleetdb *db)
{
    erase_words_free(db->erased_words);
    db->erased_words = NULL;
}

/* ---- the beginning and the end ---- */

bool fleetdb_erase_texts_begin(struct fleetdb *db, int64_t merchant, struct err *err)
{
    for (enum query query = BEGIN_WORDS; query <= BEGIN_TABLES; query++) {
        sqlite3_stmt *statement = query_of(db, query);
        sqlite_bind_int(statement, ":merchant", merchant);
        if (!sqlite_run(db->sqlite, statement, err))
            return false;
    }
    return true;
}

bool fleetdb_erase_texts_end(struct fleetdb *db, struct err *err)
{
    for (enum query query = END_WORDS; query <= END_TABLES; query++) {
        if (!sqlite_run(db->sqlite, query_of(db, query), err))
            return false;
    }
    return true;
}

bool fleetdb_erase_labels(struct fleetdb *db, struct fleetdb_erase_mark *mark, struct err *err)
{
    sqlite3_stmt *labels = query_of(db, LABELS);
    sqlite_bind_int(labels, ":erasure", mark->erasure);
    if (!sqlite_run(db->sqlite, labels, err))
        return false;
    mark->texts += sqlite_changes(db->sqlite);
    return true;
}

/* ---- the walks ---- */

/* Of a row with a text and, where it is known whose it is, what is to stand there: that, or
 * 'erased' where the text names it. NULL: the row stays as it is. */
static const char *becomes(sqlite3_stmt *row, struct erase_words *words)
{
    if (sqlite3_column_type(row, 2) != SQLITE_NULL)
        return sqlite_column_text(row, 2);
    return erase_words_in(words, sqlite_column_text(row, 1)) ? "erased" : NULL;
}

static bool put(struct fleetdb *db, enum walk walk, int64_t id, const char *text, struct err *err)
{
    sqlite3_stmt *statement = query_of(db, PUT + walk);
    sqlite_bind_int(statement, ":id", id);
    sqlite_bind_text(statement, ":becomes", text);
    return sqlite_run(db->sqlite, statement, err);
}

static bool walk_rows(struct fleetdb *db, enum walk walk, int64_t limit, struct erase_words *words,
                      struct fleetdb_erase_mark *mark, int64_t *id, bool *ret_end, struct err *err)
{
    bool more = false;
    sqlite3_stmt *row = query_of(db, READ + walk);
    sqlite_bind_int(row, ":after", *id);
    sqlite_bind_int(row, ":rows", limit);
    for (int64_t seen = 0; sqlite_row(db->sqlite, row, &more, err); seen++) {
        if (!more) {
            *ret_end = seen < limit;
            return true;
        }
        *id = sqlite3_column_int64(row, 0);
        const char *text = becomes(row, words);
        if (text == NULL)
            continue;
        if (!put(db, walk, *id, text, err))
            break;
        mark->texts++;
    }
    (void)sqlite3_reset(row);
    return false;
}

static bool put_told(struct fleetdb *db, enum told told, int64_t device, const char *key,
                     const char *text, struct err *err)
{
    sqlite3_stmt *statement = query_of(db, PUT_TOLD + told);
    sqlite_bind_int(statement, ":device", device);
    sqlite_bind_text(statement, ":key", key);
    sqlite_bind_text(statement, ":becomes", text);
    return sqlite_run(db->sqlite, statement, err);
}

static bool walk_told(struct fleetdb *db, enum told told, int64_t device, struct erase_words *words,
                      struct fleetdb_erase_mark *mark, struct err *err)
{
    bool more = false;
    sqlite3_stmt *row = query_of(db, READ_TOLD + told);
    sqlite_bind_int(row, ":device", device);
    sqlite_bind_int(row, ":erasure", mark->erasure);
    while (sqlite_row(db->sqlite, row, &more, err)) {
        if (!more)
            return true;
        const char *text = becomes(row, words);
        if (text == NULL)
            continue;
        if (!put_told(db, told, device, sqlite_column_text(row, 0), text, err))
            break;
        mark->texts++;
    }
    (void)sqlite3_reset(row);
    return false;
}

static bool walk_devices(struct fleetdb *db, int64_t limit, struct erase_words *words,
                         struct fleetdb_erase_mark *mark, int64_t *device, bool *ret_end,
                         struct err *err)
{
    for (int64_t seen = 0; seen < limit; seen++) {
        int64_t next = 0;
        sqlite3_stmt *row = query_of(db, DEVICES);
        sqlite_bind_int(row, ":after", *device);
        if (!sqlite_value(db->sqlite, row, 0, &next, err))
            return false;
        *ret_end = next == 0;
        if (next == 0)
            return true;
        for (enum told told = 0; told < TOLDS; told++) {
            if (!walk_told(db, told, next, words, mark, err))
                return false;
        }
        *device = next;
    }
    return true;
}

/* `after` counts the walks that are done with in its upper part. */
static const int64_t walk_unit = INT64_C(1) << 52;

bool fleetdb_erase_texts(struct fleetdb *db, int64_t limit, struct fleetdb_erase_mark *mark,
                         struct err *err)
{
    const enum walk walk = (enum walk)(mark->after / walk_unit);
    int64_t id = mark->after % walk_unit;
    struct erase_words *words;
    bool end = false;
    if (walk >= WALKS) {
        fleetdb_erase_next(mark);
        return true;
    }
    if (!fleetdb_erase_words(db, &words, err))
        return false;
    const bool done = walk == WALK_DEVICES
                          ? walk_devices(db, limit, words, mark, &id, &end, err)
                          : walk_rows(db, walk, limit, words, mark, &id, &end, err);
    mark->after = end ? (walk + 1) * walk_unit : walk * walk_unit + id;
    return done;
}
