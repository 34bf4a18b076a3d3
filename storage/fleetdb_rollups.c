/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/fleetdb_rollups.h"

#include "storage/fleetdb_internal.h"
#include "storage/rollups.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum query {
    ADD,                  /* + rollup_id */
    TRIM = ADD + ROLLUPS, /* + rollup_id */
    DIFFER = TRIM + ROLLUPS,
    ROW = DIFFER + ROLLUPS,
    QUERIES,
};

#define COMMON "type, outcome, code, currency, in_service"
#define KEY(own) "bucket, " own ", " COMMON
#define ADD_MORE                                                                                   \
    " FROM sum_added WHERE true ON CONFLICT DO UPDATE SET"                                         \
    " results = results + excluded.results, amount_minor = amount_minor + excluded.amount_minor"
#define ADD_KEYED(table, own)                                                                      \
    "INSERT INTO " table                                                                           \
    "_sum (id, results, amount_minor) SELECT row, results, amount_minor" ADD_MORE
#define ADD_WIDE(table, own)                                                                       \
    "INSERT INTO " table " (" KEY(own) ", results, amount_minor)"                                  \
                                       " SELECT " KEY(own) ", results, amount_minor" ADD_MORE
#define TRIM_KEYED(table, own)                                                                     \
    "DELETE FROM " table "_sum WHERE id IN (SELECT row FROM sum_added) AND results = 0"
#define TRIM_WIDE(table, own)                                                                      \
    "DELETE FROM " table " WHERE (" KEY(own) ") IN (SELECT " KEY(own) " FROM sum_added)"           \
                                                                      " AND results = 0"
#define OF_ROWS(own, bucket_ms)                                                                    \
    "SELECT at_ms / " #bucket_ms ", " own ", " COMMON ", sum(results), sum(amount_minor)"          \
    " FROM result_counted WHERE at_ms >= :from GROUP BY at_ms / " #bucket_ms ", " own ", " COMMON
#define OF_TABLE(table, own, bucket_ms)                                                            \
    "SELECT bucket, " own ", " COMMON ", results, amount_minor FROM " table                        \
    " WHERE bucket >= :from / " #bucket_ms
#define EXCEPT(a, b) "(SELECT count(*) FROM (SELECT * FROM (" a ") EXCEPT SELECT * FROM (" b ")))"
#define DIFFER_OF(table, own, bucket_ms)                                                           \
    "SELECT " EXCEPT(OF_ROWS(own, bucket_ms), OF_TABLE(table, own, bucket_ms)) " + " EXCEPT(       \
        OF_TABLE(table, own, bucket_ms), OF_ROWS(own, bucket_ms))

static const char *const texts[QUERIES] = {
#define ROLLUP(id, name, table, bucket_ms, stored, own, ...)                                       \
    [ADD + ROLLUP_##id] = ADD_##stored(table, own),
#include "storage/rollups.def"
#undef ROLLUP
#define ROLLUP(id, name, table, bucket_ms, stored, own, ...)                                       \
    [TRIM + ROLLUP_##id] = TRIM_##stored(table, own),
#include "storage/rollups.def"
#undef ROLLUP
#define ROLLUP(id, name, table, bucket_ms, stored, own, ...)                                       \
    [DIFFER + ROLLUP_##id] = DIFFER_OF(table, own, bucket_ms),
#include "storage/rollups.def"
#undef ROLLUP
    [ROW] = "SELECT at_ms, standing, carried, software, in_service, acquirer, scheme, entry, type,"
            " outcome, currency, amount_minor, code, issuer, generation FROM result_counted"
            " WHERE id = :id",
};

const struct fleetdb_queries fleetdb_rollup_queries = {texts, QUERIES};

/* So many rows of sums wait at the most. */
enum { SUMS_MAX = 32768 };

/* ISO 8583 DE 4, n 12. */
static const int64_t amount_max_minor = 999999999999;
static const int64_t hour_ms = 3600 * 1000;

/* ---- what a result adds to which row ---- */

static void put_text(struct rollup_key *key, struct bytes text, bool is_text)
{
    if (text.length > sizeof key->text)
        text = bytes_of("?", is_text);
    key->text_length = (uint32_t)text.length;
    if (text.length > 0)
        memcpy(key->text, text.data, text.length);
}

static void put_own(struct rollup_key *key, const enum rollup_column own[ROLLUP_OWN_MAX],
                    const int64_t numbers[ROLLUP_ISSUER], const struct fleetdb_counted *counted)
{
    static const uint8_t generation_bytes = 8;
    for (size_t i = 0; i < ROLLUP_OWN_MAX && own[i] != ROLLUP_NONE; i++) {
        if (own[i] < ROLLUP_ISSUER)
            key->own[i] = numbers[own[i]];
        else if (own[i] == ROLLUP_ISSUER)
            put_text(key, counted->issuer, true);
        else if (counted->generation.length <= generation_bytes)
            put_text(key, counted->generation, false);
    }
}

/* What was removed by age is not begun again: of an hour there are all sums or none. */
static enum fleetdb_kept age_of(unsigned rollup)
{
    return rollups[rollup].bucket_ms < hour_ms ? FLEETDB_KEPT_SUMS_MINUTE : FLEETDB_KEPT_SUMS_HOUR;
}

/* What every rollup has of it. */
static struct rollup_key common_of(const struct fleetdb_counted *counted)
{
    struct bytes code =
        counted->code.length <= ROLLUP_CODE_BYTES ? counted->code : bytes_of("?", 1);
    struct rollup_key key = {
        .type = counted->type,
        .outcome = counted->outcome,
        .currency = counted->currency,
        .in_service = counted->stamp.in_service,
        .code_length = (uint32_t)code.length,
    };
    if (code.length > 0)
        memcpy(key.code, code.data, code.length);
    return key;
}

bool fleetdb_rollup_count(struct fleetdb *db, const struct fleetdb_counted *counted,
                          enum fleetdb_sign sign, struct err *err)
{
    struct fleetdb_counted folded;
    if (counted->stamp.software == FLEETDB_BEYOND) {
        folded = fleetdb_variety_fold(counted);
        counted = &folded;
    }
    const int64_t amount_minor =
        counted->amount_minor > 0 && counted->amount_minor <= amount_max_minor
            ? counted->amount_minor
            : 0;
    const int64_t numbers[ROLLUP_ISSUER] = {
        [ROLLUP_ACQUIRER] = counted->acquirer,     [ROLLUP_SCHEME] = counted->scheme,
        [ROLLUP_ENTRY] = counted->entry,           [ROLLUP_STANDING] = counted->stamp.standing,
        [ROLLUP_CARRIED] = counted->stamp.carried, [ROLLUP_SOFTWARE] = counted->stamp.software,
    };
    const struct rollup_key common = common_of(counted);
    for (uint32_t rollup = 0; rollup < ROLLUPS; rollup++) {
        struct rollup_key key = common;
        key.rollup = rollup;
        key.bucket = counted->at_ms / rollups[rollup].bucket_ms;
        if (key.bucket * rollups[rollup].bucket_ms < db->whole_from_ms[age_of(rollup)])
            continue;
        put_own(&key, rollups[rollup].own, numbers, counted);
        if (!rollup_sums_add(&db->sums, &key, sign, sign * amount_minor, err))
            return false;
    }
    return db->sums.count < SUMS_MAX || fleetdb_rollups_write(db, err);
}

static uint32_t column_u32(sqlite3_stmt *row, int column)
{
    return (uint32_t)sqlite3_column_int64(row, column);
}

bool fleetdb_rollup_row(struct fleetdb *db, int64_t result, enum fleetdb_sign sign, struct err *err)
{
    bool found = false;
    sqlite3_stmt *row = fleetdb_query(db, FLEETDB_PART_ROLLUPS, ROW);
    sqlite_bind_int(row, ":id", result);
    if (!sqlite_row(db->sqlite, row, &found, err))
        return false;
    if (!found)
        return err_set(err, ERR_NOT_FOUND, "fleet database: no result %lld", (long long)result);
    const struct fleetdb_counted counted = {
        .at_ms = sqlite3_column_int64(row, 0),
        .stamp = {.standing = sqlite3_column_int64(row, 1),
                  .carried = sqlite3_column_int64(row, 2),
                  .software = sqlite3_column_int64(row, 3),
                  .in_service = sqlite3_column_int(row, 4) != 0},
        .acquirer = column_u32(row, 5),
        .scheme = column_u32(row, 6),
        .entry = column_u32(row, 7),
        .type = column_u32(row, 8),
        .outcome = column_u32(row, 9),
        .currency = column_u32(row, 10),
        .amount_minor = sqlite3_column_int64(row, 11),
        .code = sqlite_column_bytes(row, 12),
        .issuer = sqlite_column_bytes(row, 13),
        .generation = sqlite_column_bytes(row, 14),
    };
    bool done = fleetdb_rollup_count(db, &counted, sign, err);
    (void)sqlite3_reset(row);
    return done;
}

/* ---- writing ---- */

/* The columns of sum_added: of one rollup at a time, whose own columns are those that it has. */
#define OWN_COLUMNS "acquirer, scheme, entry, standing, carried, software, issuer, generation"
enum {
    SUM_BUCKET,
    SUM_OWN, /* + rollup_column - 1 */
    SUM_TYPE = SUM_OWN + ROLLUP_GENERATION,
    SUM_OUTCOME,
    SUM_CODE,
    SUM_CURRENCY,
    SUM_IN_SERVICE,
    SUM_RESULTS,
    SUM_AMOUNT,
    SUM_ROW,
};

static void own_value(const struct rollup_key *key, enum rollup_column column, sqlite3_context *ret)
{
    if (column == ROLLUP_ISSUER)
        sqlite3_result_text(ret, key->text, (int)key->text_length, SQLITE_STATIC);
    else if (column == ROLLUP_GENERATION)
        sqlite3_result_blob(ret, key->text, (int)key->text_length, SQLITE_STATIC);
    for (size_t i = 0; column < ROLLUP_ISSUER && i < ROLLUP_OWN_MAX; i++) {
        if (rollups[key->rollup].own[i] == column)
            sqlite3_result_int64(ret, key->own[i]);
    }
}

static void sum_value(void *ctx, size_t row, int column, sqlite3_context *ret)
{
    const struct fleetdb *db = ctx;
    const struct rollup_sum *sum = &db->sums.list[db->adding.first + row];
    const struct rollup_key *key = &sum->key;
    const int64_t common[] = {key->type,         key->outcome,    0,
                              key->currency,     key->in_service, sum->results,
                              sum->amount_minor, sum->row};
    if (column == SUM_BUCKET)
        sqlite3_result_int64(ret, key->bucket);
    else if (column < SUM_TYPE)
        own_value(key, (enum rollup_column)(column - SUM_OWN + 1), ret);
    else if (column == SUM_CODE)
        sqlite3_result_text(ret, key->code, (int)key->code_length, SQLITE_STATIC);
    else
        sqlite3_result_int64(ret, common[column - SUM_TYPE]);
}

static size_t sum_count(void *ctx)
{
    return ((const struct fleetdb *)ctx)->adding.count;
}

void fleetdb_sums_to_add(struct fleetdb *db)
{
    db->adding.rows = (struct sqlite_rows){
        .name = "sum_added",
        .columns = "bucket, " OWN_COLUMNS ", " COMMON ", results, amount_minor, row",
        .count = sum_count,
        .value = sum_value,
        .ctx = db,
    };
}

/* Those of one rollup, which lie side by side. */
static bool write_sums(struct fleetdb *db, size_t first, size_t count, struct err *err)
{
    struct rollup_sum *list = &db->sums.list[first];
    const uint32_t rollup = list->key.rollup;
    bool done = true, less = false;
    for (size_t i = 0; done && i < count; i++) {
        less = less || list[i].results < 0;
        done = rollups[rollup].stored == ROLLUP_WIDE || fleetdb_rollup_find_row(db, &list[i], err);
    }
    db->adding.first = first;
    db->adding.count = count;
    return done &&
           sqlite_run(db->sqlite, fleetdb_query(db, FLEETDB_PART_ROLLUPS, ADD + rollup), err) &&
           (!less ||
            sqlite_run(db->sqlite, fleetdb_query(db, FLEETDB_PART_ROLLUPS, TRIM + rollup), err));
}

bool fleetdb_rollups_write(struct fleetdb *db, struct err *err)
{
    struct rollup_sums *sums = &db->sums;
    rollup_sums_sort(sums);
    for (size_t first = 0, next = 0; first < sums->count; first = next) {
        while (next < sums->count && sums->list[next].key.rollup == sums->list[first].key.rollup)
            next++;
        if (!write_sums(db, first, next - first, err))
            return false;
    }
    rollup_sums_clear(sums);
    return true;
}

/* ---- the check ---- */

/* Rows go by age before the sums that they are in: what can be compared is what is whole in both.
 */
static int64_t both_from_ms(const struct fleetdb *db, unsigned rollup)
{
    const int64_t rows_ms = db->whole_from_ms[FLEETDB_KEPT_RESULTS];
    const int64_t sums_ms = db->whole_from_ms[age_of(rollup)];
    return rows_ms > sums_ms ? rows_ms : sums_ms;
}

bool fleetdb_rollups_check(struct fleetdb *db, uint64_t *ret_wrong, char *text, size_t size,
                           struct err *err)
{
    uint64_t wrong = 0;
    for (unsigned rollup = 0; rollup < ROLLUPS; rollup++) {
        int64_t rows = 0;
        sqlite3_stmt *differ = fleetdb_query(db, FLEETDB_PART_ROLLUPS, DIFFER + rollup);
        sqlite_bind_int(differ, ":from", both_from_ms(db, rollup));
        if (!sqlite_value(db->sqlite, differ, 0, &rows, err))
            return false;
        if (rows > 0 && wrong == 0)
            (void)snprintf(text, size, "%s: %lld sums are not those of the rows",
                           rollups[rollup].table, (long long)rows);
        wrong += (uint64_t)rows;
    }
    *ret_wrong = wrong;
    return true;
}
