/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/fleetdb_internal.h"
#include "storage/rollups.h"

#include <string.h>

enum query { FIND, ADD, LATER, UNUSED, QUERIES };

#define OF                                                                                         \
    "name, acquirer, software, scheme, entry, issuer, type, outcome, code, currency, in_service"
#define OF_THIS                                                                                    \
    ":name, :acquirer, :software, :scheme, :entry, :issuer, :type, :outcome, :code, :currency,"    \
    " :in_service"

#define SOME_UNUSED "SELECT id FROM rollup_key WHERE hour < :before LIMIT :rows"

static const char *const texts[QUERIES] = {
    [FIND] = "SELECT id, hour FROM rollup_key WHERE (" OF ") = (" OF_THIS ")",
    /* One more than the highest, or, when that is the last, one that became free. */
    [ADD] =
        "INSERT INTO rollup_key (id, " OF ", hour) SELECT (SELECT iif(max(id) < 1073741823,"
        " NULL, (SELECT k.id + 1 FROM rollup_key k WHERE k.id < 1073741823 AND NOT EXISTS"
        " (SELECT 1 FROM rollup_key n WHERE n.id = k.id + 1) LIMIT 1)) FROM rollup_key), " OF_THIS
        ", :hour",
    [LATER] = "UPDATE rollup_key SET hour = :hour WHERE id = :id",
    [UNUSED] = "DELETE FROM rollup_key WHERE id IN (" SOME_UNUSED ")",
};

const struct fleetdb_queries fleetdb_rollup_number_queries = {texts, QUERIES};

static const int64_t hour_ms = 3600 * 1000;

static sqlite3_stmt *query_of(struct fleetdb *db, enum query query)
{
    return fleetdb_query(db, FLEETDB_PART_ROLLUP_NUMBERS, query);
}

static sqlite3_stmt *query_key(struct fleetdb *db, enum query query, const struct rollup_key *key)
{
    const struct rollup *rollup = &rollups[key->rollup];
    sqlite3_stmt *statement = query_of(db, query);
    int64_t own[ROLLUP_ISSUER] = {0};
    for (size_t i = 0; i < ROLLUP_OWN_MAX; i++) {
        if (rollup->own[i] != ROLLUP_NONE && rollup->own[i] < ROLLUP_ISSUER)
            own[rollup->own[i]] = key->own[i];
    }
    sqlite_bind_text(statement, ":name", rollup->name);
    sqlite_bind_int(statement, ":acquirer", own[ROLLUP_ACQUIRER]);
    sqlite_bind_int(statement, ":software", own[ROLLUP_SOFTWARE]);
    sqlite_bind_int(statement, ":scheme", own[ROLLUP_SCHEME]);
    sqlite_bind_int(statement, ":entry", own[ROLLUP_ENTRY]);
    sqlite_bind_words(statement, ":issuer", bytes_of(key->text, key->text_length));
    sqlite_bind_int(statement, ":type", key->type);
    sqlite_bind_int(statement, ":outcome", key->outcome);
    sqlite_bind_words(statement, ":code", bytes_of(key->code, key->code_length));
    sqlite_bind_int(statement, ":currency", key->currency);
    sqlite_bind_int(statement, ":in_service", key->in_service);
    return statement;
}

/* Sums of one name by the minute and by the hour are of the same things. */
static struct rollup_key without_bucket(const struct rollup_key *key)
{
    struct rollup_key of = *key;
    of.bucket = 0;
    of.rollup = 0;
    while (strcmp(rollups[of.rollup].name, rollups[key->rollup].name) != 0)
        of.rollup++;
    return of;
}

static bool add(struct fleetdb *db, struct rollup_number *number, struct err *err)
{
    sqlite3_stmt *statement = query_key(db, ADD, &number->key);
    sqlite_bind_int(statement, ":hour", number->hour);
    if (!sqlite_run(db->sqlite, statement, err))
        return false;
    number->id = sqlite_last_row(db->sqlite);
    return true;
}

static bool find_or_add(struct fleetdb *db, struct rollup_number *number, struct err *err)
{
    sqlite3_stmt *row = query_key(db, FIND, &number->key);
    bool found = false;
    if (!sqlite_row(db->sqlite, row, &found, err))
        return false;
    if (!found)
        return add(db, number, err);
    number->id = sqlite3_column_int64(row, 0);
    number->hour = sqlite3_column_int64(row, 1);
    (void)sqlite3_reset(row);
    return true;
}

static bool later(struct fleetdb *db, struct rollup_number *number, int64_t hour, struct err *err)
{
    sqlite3_stmt *statement = query_of(db, LATER);
    sqlite_bind_int(statement, ":id", number->id);
    sqlite_bind_int(statement, ":hour", hour);
    number->hour = hour;
    return sqlite_run(db->sqlite, statement, err);
}

bool fleetdb_rollup_find_row(struct fleetdb *db, struct rollup_sum *sum, struct err *err)
{
    const struct rollup_key *key = &sum->key;
    const int64_t hour = key->bucket * rollups[key->rollup].bucket_ms / hour_ms;
    struct rollup_number fresh = {.key = without_bucket(key), .hour = hour};
    struct rollup_number *number = rollup_numbers_find(&db->numbers, &fresh.key);
    if (number == NULL) {
        if (!find_or_add(db, &fresh, err) || !rollup_numbers_add(&db->numbers, &fresh, err))
            return false;
        number = rollup_numbers_find(&db->numbers, &fresh.key);
    }
    if (number->hour < hour && !later(db, number, hour, err))
        return false;
    sum->row = key->bucket * rollup_numbers_max + number->id;
    return true;
}

bool fleetdb_rollup_forget_unused(struct fleetdb *db, int64_t before_ms, int64_t rows,
                                  struct err *err)
{
    sqlite3_stmt *statement = query_of(db, UNUSED);
    sqlite_bind_int(statement, ":before", before_ms / hour_ms);
    sqlite_bind_int(statement, ":rows", rows);
    rollup_numbers_forget(&db->numbers);
    return sqlite_run(db->sqlite, statement, err);
}
