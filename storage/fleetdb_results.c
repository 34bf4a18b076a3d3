/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/fleetdb_feed.h"
#include "storage/fleetdb_internal.h"
#include "storage/fleetdb_rollups.h"
#include "storage/fleetdb_spans.h"
#include "storage/record_fields.h"

#include <stdlib.h>

/* The results of a batch go in by one statement: to bind and begin one for each costs as much as
 * the row. */
enum query { INSERT, INSERTED, QUERIES };

#define COLUMN(field) ", " #field
#define RESULT_ROW "id, " RECORD_OWN_FIELDS RESULT_FIELDS(COLUMN) ", standing, carried, software"

static const char *const texts[QUERIES] = {
    [INSERT] = "INSERT INTO result (" RESULT_ROW ") SELECT " RESULT_ROW " FROM result_come"
               " WHERE true ON CONFLICT DO NOTHING",
    [INSERTED] = "SELECT seq FROM result WHERE id > :row ORDER BY id",
};

const struct fleetdb_queries fleetdb_result_queries = {texts, QUERIES};

#define PLACE(field) RESULT_##field,
enum { RESULT_FIELDS(PLACE) RESULT_COUNT };
enum { OUTCOME_APPROVED = 1, OUTCOME_CANCELLED = 4 }; /* record.proto's */

/* ---- the rows that have come ---- */

/* The columns of result_come. */
enum { ID, DEVICE, INCARNATION, SEQ, RECEIVED, AT, BOUND, DIGEST, FIRST_FIELD };
enum { STANDING = FIRST_FIELD + RESULT_COUNT, CARRIED, SOFTWARE };

static int64_t own_number(const struct fleetdb_record *record, const struct fleetdb_stamp *stamp,
                          int column)
{
    switch (column) {
    case DEVICE:
        return record->device;
    case INCARNATION:
        return (int64_t)record->incarnation;
    case SEQ:
        return (int64_t)record->seq;
    case RECEIVED:
        return record->received_ms;
    case AT:
        return record->at_ms;
    case BOUND:
        return record->bound_ms;
    case DIGEST:
        return (int64_t)record->digest;
    case STANDING:
        return stamp->standing;
    case CARRIED:
        return stamp->carried;
    case SOFTWARE:
        return stamp->software;
    default:
        abort();
    }
}

static void put_value(const struct fleetdb_value *value, sqlite3_context *ret)
{
    const char *data = value->data != NULL ? (const char *)value->data : "";
    if (value->type == FLEETDB_INTEGER)
        sqlite3_result_int64(ret, value->integer);
    else if (value->type == FLEETDB_TEXT)
        sqlite3_result_text64(ret, data, value->length, SQLITE_STATIC, SQLITE_UTF8);
    else
        sqlite3_result_blob64(ret, data, value->length, SQLITE_STATIC);
}

static void come_value(void *ctx, size_t row, int column, sqlite3_context *ret)
{
    const struct fleetdb_come *come = ctx;
    const struct fleetdb_record *record = &come->records[row];
    if (column >= FIRST_FIELD && column < STANDING)
        put_value(&record->values[column - FIRST_FIELD], ret);
    else if (column != ID)
        sqlite3_result_int64(ret, own_number(record, &come->counted[row].stamp, column));
}

static size_t come_count(void *ctx)
{
    return ((const struct fleetdb_come *)ctx)->count;
}

void fleetdb_come_open(struct fleetdb_come *come)
{
    come->rows = (struct sqlite_rows){
        .name = "result_come",
        .columns = RESULT_ROW,
        .count = come_count,
        .value = come_value,
        .ctx = come,
    };
}

void fleetdb_come_close(struct fleetdb_come *come)
{
    free(come->counted);
}

static bool make_room(struct fleetdb_come *come, size_t count, struct err *err)
{
    if (count <= come->room)
        return true;
    struct fleetdb_counted *counted = realloc(come->counted, count * sizeof *counted);
    if (counted == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory for the results of a batch");
    come->counted = counted;
    come->room = count;
    return true;
}

/* ---- what comes with a row ---- */

static bool stamp(struct fleetdb *db, const struct fleetdb_record *record,
                  struct fleetdb_counted *ret_counted, struct err *err)
{
    const struct fleetdb_value *values = record->values;
    *ret_counted = (struct fleetdb_counted){
        .at_ms = record->at_ms,
        .acquirer = (uint32_t)values[RESULT_acquirer].integer,
        .scheme = (uint32_t)values[RESULT_scheme].integer,
        .entry = (uint32_t)values[RESULT_entry_mode].integer,
        .type = (uint32_t)values[RESULT_type].integer,
        .outcome = (uint32_t)values[RESULT_outcome].integer,
        .currency = (uint32_t)values[RESULT_currency].integer,
        .amount_minor = values[RESULT_amount_minor].integer,
        .code = fleetdb_bytes_of(&values[RESULT_code]),
        .issuer = fleetdb_bytes_of(&values[RESULT_issuer_bucket]),
        .generation = fleetdb_bytes_of(&values[RESULT_generation]),
    };
    const struct fleetdb_sale sale = {
        .device = record->device,
        .at_ms = record->at_ms,
        .received_ms = record->received_ms,
        .slot = (uint32_t)values[RESULT_terminal].integer,
        .firmware = fleetdb_bytes_of(&values[RESULT_firmware_version]),
        .app = fleetdb_bytes_of(&values[RESULT_app_version]),
    };
    return fleetdb_stamp_at(db, &sale, &ret_counted->stamp, err) &&
           fleetdb_variety_look(db, record->device, record->received_ms, ret_counted, err);
}

static bool stamp_all(struct fleetdb *db, struct err *err)
{
    struct fleetdb_come *come = &db->come;
    if (!make_room(come, come->count, err))
        return false;
    for (size_t i = 0; i < come->count; i++) {
        if (!stamp(db, &come->records[i], &come->counted[i], err))
            return false;
    }
    return true;
}

/* To who follows the feed: each sale that failed. */
static bool tell(struct fleetdb *db, const struct fleetdb_record *record, int64_t row,
                 struct err *err)
{
    const int64_t outcome = record->values[RESULT_outcome].integer;
    return outcome == OUTCOME_APPROVED || outcome == OUTCOME_CANCELLED ||
           fleetdb_feed_add(db, FLEETDB_FEED_RESULT, record->device, row, record->received_ms, err);
}

static bool follow(struct fleetdb *db, size_t index, int64_t row, struct err *err)
{
    const struct fleetdb_record *record = &db->come.records[index];
    const struct fleetdb_run_id id = {record->device, record->incarnation, record->seq};
    bool held = false;
    int64_t ignored = 0;
    return fleetdb_run_look(db, &id, &held, &ignored, err) && fleetdb_run_add(db, &id, row, err) &&
           fleetdb_span_add(db, record->at_ms, row, err) && tell(db, record, row, err) &&
           fleetdb_rollup_count(db, &db->come.counted[index], FLEETDB_ADD, err);
}

/* ---- all of them ---- */

/* Which of them are rows now, when not all are: those that are found behind `row`, in their order.
 */
static bool find_new(struct fleetdb *db, int64_t row, enum fleetdb_insert *ret_outcomes,
                     struct err *err)
{
    const struct fleetdb_come *come = &db->come;
    sqlite3_stmt *found = fleetdb_query(db, FLEETDB_PART_RESULTS, INSERTED);
    bool more = false;
    sqlite_bind_int(found, ":row", row);
    if (!sqlite_row(db->sqlite, found, &more, err))
        return false;
    for (size_t i = 0; more && i < come->count; i++) {
        if (sqlite_column_u64(found, 0) != come->records[i].seq)
            continue;
        ret_outcomes[i] = FLEETDB_NEW;
        if (!sqlite_row(db->sqlite, found, &more, err))
            return false;
    }
    (void)sqlite3_reset(found);
    return true;
}

bool fleetdb_results_insert(struct fleetdb *db, const struct fleetdb_record *records, size_t count,
                            enum fleetdb_insert *ret_outcomes, struct err *err)
{
    db->come.records = records;
    db->come.count = count;
    if (count == 0)
        return true;
    if (!stamp_all(db, err) ||
        !sqlite_run(db->sqlite, fleetdb_query(db, FLEETDB_PART_RESULTS, INSERT), err))
        return false;
    const int64_t inserted = sqlite_changes(db->sqlite);
    const bool all = inserted == (int64_t)count;
    int64_t row = sqlite_last_row(db->sqlite) - inserted;
    for (size_t i = 0; i < count; i++)
        ret_outcomes[i] = all ? FLEETDB_NEW : FLEETDB_DUPLICATE_KEY;
    if (!all && inserted > 0 && !find_new(db, row, ret_outcomes, err))
        return false;
    for (size_t i = 0; i < count; i++) {
        if (ret_outcomes[i] == FLEETDB_NEW && !follow(db, i, ++row, err))
            return false;
    }
    return true;
}
