/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/fleetdb_records.h"

#include "storage/fleetdb_feed.h"
#include "storage/fleetdb_internal.h"
#include "storage/record_fields.h"

#include <stdlib.h>

#define NAME(field) #field,
#define COLUMN(field) ", " #field
#define PARAMETER(field) ", :" #field
#define INSERT(table, FIELDS)                                                                      \
    "INSERT INTO " table " (" RECORD_OWN_FIELDS FIELDS(                                            \
        COLUMN) ")"                                                                                \
                " VALUES (:device, :incarnation, :seq, :received, :at, :bound, :digest" FIELDS(    \
                    PARAMETER) ")"                                                                 \
                               " ON CONFLICT DO NOTHING"
#define HELD(table)                                                                                \
    "SELECT digest FROM " table                                                                    \
    " WHERE device = :device AND incarnation = :incarnation AND seq = :seq"
#define CONFLICTS_KEPT                                                                             \
    "coalesce((SELECT kept FROM conflict_sum WHERE device = :device AND lane = :lane), 0)"

enum { LANES = 3, LANE_TXN = 1, LANE_EVENT = 2 };
/* An insert's parameters by place: to find one by its name takes longer than to bind it. */
enum { DEVICE = 1, INCARNATION, SEQ, RECEIVED, AT, BOUND, DIGEST, FIRST_FIELD };

enum query {
    INSERT_EVENT,
    INSERT_HEALTH,
    HELD_LANE, /* + lane - 1 */
    HELD_DUPLICATE = HELD_LANE + LANES,
    HELD_KEY,
    DUPLICATE_ADD,
    CONFLICT_AGAIN,
    CONFLICT_ROOM,
    CONFLICT_ADD,
    CONFLICT_BEYOND,
    QUERIES,
};

static const char *const texts[QUERIES] = {
    [INSERT_EVENT] = INSERT("event", EVENT_FIELDS),
    [INSERT_HEALTH] = INSERT("health", HEALTH_FIELDS),
    [HELD_LANE + 0] = HELD("result") " AND id = :row",
    [HELD_LANE + 1] = HELD("event"),
    [HELD_LANE + 2] = HELD("health"),
    [HELD_DUPLICATE] = HELD("result_duplicate"),
    [HELD_KEY] = "SELECT id FROM result WHERE device = :device AND idempotency_key = :key"
                 " AND idempotency_key <> x''",
    [DUPLICATE_ADD] = "INSERT INTO result_duplicate"
                      " (device, incarnation, seq, digest, original, received_ms)"
                      " VALUES (:device, :incarnation, :seq, :digest, :original, :received)",
    [CONFLICT_AGAIN] = "UPDATE conflict SET times = times + 1, last_ms = :now"
                       " WHERE device = :device AND incarnation = :incarnation AND lane = :lane"
                       " AND seq = :seq AND sent_digest = :sent",
    [CONFLICT_ROOM] = "DELETE FROM conflict WHERE " CONFLICTS_KEPT " >= :max AND id ="
                      " (SELECT id FROM conflict WHERE device = :device AND lane = :lane"
                      " AND settled_ms > 0 ORDER BY settled_ms LIMIT 1)",
    [CONFLICT_ADD] =
        "INSERT INTO conflict"
        " (device, incarnation, lane, seq, held_digest, sent_digest, first_ms, last_ms)"
        " SELECT :device, :incarnation, :lane, :seq, :held, :sent, :now, :now"
        " WHERE " CONFLICTS_KEPT " < :max",
    [CONFLICT_BEYOND] = "UPDATE conflict_sum SET beyond = beyond + 1"
                        " WHERE device = :device AND lane = :lane",
};

const struct fleetdb_queries fleetdb_record_queries = {texts, QUERIES};

static const char *const result_fields[] = {RESULT_FIELDS(NAME)};
static const char *const event_fields[] = {EVENT_FIELDS(NAME)};
static const char *const health_fields[] = {HEALTH_FIELDS(NAME)};

static const struct {
    const char *const *names;
    size_t count;
} lanes[LANES] = {
    {result_fields, sizeof result_fields / sizeof result_fields[0]},
    {event_fields, sizeof event_fields / sizeof event_fields[0]},
    {health_fields, sizeof health_fields / sizeof health_fields[0]},
};

const char *const *fleetdb_columns(int lane, size_t *ret_count)
{
    if (lane < 1 || lane > LANES)
        abort();
    *ret_count = lanes[lane - 1].count;
    return lanes[lane - 1].names;
}

static sqlite3_stmt *query_of(struct fleetdb *db, unsigned query)
{
    return fleetdb_query(db, FLEETDB_PART_RECORDS, query);
}

static sqlite3_stmt *query_of_lane(struct fleetdb *db, unsigned query, int lane)
{
    if (lane < 1 || lane > LANES)
        abort();
    return query_of(db, query + (unsigned)lane - 1);
}

static void bind_id(sqlite3_stmt *statement, const struct fleetdb_record *record)
{
    sqlite_bind_int(statement, ":device", record->device);
    sqlite_bind_u64(statement, ":incarnation", record->incarnation);
    sqlite_bind_u64(statement, ":seq", record->seq);
}

static void bind_value(sqlite3_stmt *statement, int index, const struct fleetdb_value *value)
{
    const char *data = value->data != NULL ? (const char *)value->data : "";
    int rc = SQLITE_OK;
    if (value->type == FLEETDB_INTEGER)
        rc = sqlite3_bind_int64(statement, index, value->integer);
    else if (value->type == FLEETDB_TEXT)
        rc = sqlite3_bind_text64(statement, index, data, value->length, SQLITE_STATIC, SQLITE_UTF8);
    else
        rc = sqlite3_bind_blob64(statement, index, data, value->length, SQLITE_STATIC);
    if (rc != SQLITE_OK)
        abort();
}

static void bind_number(sqlite3_stmt *statement, int place, int64_t number)
{
    if (sqlite3_bind_int64(statement, place, number) != SQLITE_OK)
        abort();
}

static struct fleetdb_run_id id_of(const struct fleetdb_record *record)
{
    return (struct fleetdb_run_id){record->device, record->incarnation, record->seq};
}

/* An event or a reading of health. */
static bool insert_row(struct fleetdb *db, const struct fleetdb_record *record, bool *ret_new,
                       struct err *err)
{
    sqlite3_stmt *statement =
        query_of(db, record->lane == LANE_EVENT ? INSERT_EVENT : INSERT_HEALTH);
    bind_number(statement, DEVICE, record->device);
    bind_number(statement, INCARNATION, (int64_t)record->incarnation);
    bind_number(statement, SEQ, (int64_t)record->seq);
    bind_number(statement, RECEIVED, record->received_ms);
    bind_number(statement, AT, record->at_ms);
    bind_number(statement, BOUND, record->bound_ms);
    bind_number(statement, DIGEST, (int64_t)record->digest);
    for (size_t i = 0; i < lanes[record->lane - 1].count; i++)
        bind_value(statement, FIRST_FIELD + (int)i, &record->values[i]);
    if (!sqlite_run(db->sqlite, statement, err))
        return false;
    *ret_new = sqlite_changes(db->sqlite) == 1;
    return !*ret_new || record->lane != LANE_EVENT ||
           fleetdb_feed_add(db, FLEETDB_FEED_EVENT, record->device, sqlite_last_row(db->sqlite),
                            record->received_ms, err);
}

static bool held_digest(struct fleetdb *db, sqlite3_stmt *statement,
                        const struct fleetdb_record *record, bool *ret_held, uint64_t *ret_digest,
                        struct err *err)
{
    bind_id(statement, record);
    if (!sqlite_row(db->sqlite, statement, ret_held, err))
        return false;
    if (*ret_held)
        *ret_digest = sqlite_column_u64(statement, 0);
    (void)sqlite3_reset(statement);
    return true;
}

/* A result whose row was removed since is held all the same, and there is nothing to compare. */
static bool find_result(struct fleetdb *db, const struct fleetdb_record *record, bool *ret_held,
                        uint64_t *ret_digest, struct err *err)
{
    const struct fleetdb_run_id id = id_of(record);
    bool there = false;
    int64_t row = 0;
    if (!fleetdb_run_look(db, &id, ret_held, &row, err))
        return false;
    if (!*ret_held)
        return held_digest(db, query_of(db, HELD_DUPLICATE), record, ret_held, ret_digest, err);
    *ret_digest = record->digest;
    sqlite3_stmt *statement = query_of_lane(db, HELD_LANE, LANE_TXN);
    sqlite_bind_int(statement, ":row", row);
    return held_digest(db, statement, record, &there, ret_digest, err);
}

/* Is this id held, as itself or as a duplicate of another? */
static bool find_id(struct fleetdb *db, const struct fleetdb_record *record, bool *ret_held,
                    uint64_t *ret_digest, struct err *err)
{
    return record->lane == LANE_TXN ? find_result(db, record, ret_held, ret_digest, err)
                                    : held_digest(db, query_of_lane(db, HELD_LANE, record->lane),
                                                  record, ret_held, ret_digest, err);
}

static sqlite3_stmt *conflict_query(struct fleetdb *db, unsigned query,
                                    const struct fleetdb_record *record)
{
    sqlite3_stmt *statement = query_of(db, query);
    sqlite_bind_int(statement, ":device", record->device);
    sqlite_bind_int(statement, ":lane", record->lane);
    return statement;
}

static bool run_conflict(struct fleetdb *db, unsigned query, const struct fleetdb_record *record,
                         uint64_t held, struct err *err)
{
    sqlite3_stmt *statement = conflict_query(db, query, record);
    bind_id(statement, record);
    sqlite_bind_u64(statement, ":sent", record->digest);
    sqlite_bind_int(statement, ":now", record->received_ms);
    if (query == CONFLICT_ADD) {
        sqlite_bind_u64(statement, ":held", held);
        sqlite_bind_int(statement, ":max", FLEETDB_CONFLICTS_MAX);
    }
    return sqlite_run(db->sqlite, statement, err);
}

/* Where there is no room, not even one that was given up, it is only counted. */
static bool add_conflict(struct fleetdb *db, const struct fleetdb_record *record, uint64_t held,
                         struct err *err)
{
    if (!run_conflict(db, CONFLICT_AGAIN, record, held, err))
        return false;
    if (sqlite_changes(db->sqlite) > 0)
        return true;
    sqlite3_stmt *room = conflict_query(db, CONFLICT_ROOM, record);
    sqlite_bind_int(room, ":max", FLEETDB_CONFLICTS_MAX);
    return sqlite_run(db->sqlite, room, err) && run_conflict(db, CONFLICT_ADD, record, held, err) &&
           (sqlite_changes(db->sqlite) > 0 ||
            sqlite_run(db->sqlite, conflict_query(db, CONFLICT_BEYOND, record), err));
}

static bool add_duplicate(struct fleetdb *db, const struct fleetdb_record *record, struct err *err)
{
    sqlite3_stmt *statement = query_of(db, HELD_KEY);
    sqlite_bind_int(statement, ":device", record->device);
    sqlite_bind_bytes(statement, ":key", record->key);
    int64_t original = 0;
    if (!sqlite_value(db->sqlite, statement, 0, &original, err))
        return false;
    if (original == 0)
        return err_set(err, ERR_IO, "fleet database: record %llu is neither new nor held",
                       (unsigned long long)record->seq);
    statement = query_of(db, DUPLICATE_ADD);
    bind_id(statement, record);
    sqlite_bind_u64(statement, ":digest", record->digest);
    sqlite_bind_int(statement, ":original", original);
    sqlite_bind_int(statement, ":received", record->received_ms);
    return sqlite_run(db->sqlite, statement, err);
}

/* What was not inserted is held, or its key is. */
static bool find_outcome(struct fleetdb *db, const struct fleetdb_record *record, bool expect_held,
                         enum fleetdb_insert *ret_outcome, struct err *err)
{
    bool held = false;
    uint64_t digest = 0;
    if (!find_id(db, record, &held, &digest, err))
        return false;
    if (held) {
        *ret_outcome = digest == record->digest ? FLEETDB_SAME : FLEETDB_CONFLICT;
        return digest == record->digest || add_conflict(db, record, digest, err);
    }
    if (!expect_held && !add_duplicate(db, record, err))
        return false;
    /* Committed once and not held any more: old rows may have been removed since. */
    *ret_outcome = expect_held ? FLEETDB_SAME : FLEETDB_DUPLICATE_KEY;
    return true;
}

static bool insert_each(struct fleetdb *db, const struct fleetdb_record *records, size_t count,
                        const bool *expect_held, enum fleetdb_insert *ret_outcomes, struct err *err)
{
    for (size_t i = 0; i < count; i++) {
        bool is_new = false;
        if (!expect_held[i] && !insert_row(db, &records[i], &is_new, err))
            return false;
        ret_outcomes[i] = FLEETDB_NEW;
        if (!is_new && !find_outcome(db, &records[i], expect_held[i], &ret_outcomes[i], err))
            return false;
    }
    return true;
}

/* How many results from the first on are not held. Nothing but its run keeps a result from being
 * inserted twice. */
static bool count_fresh(struct fleetdb *db, const struct fleetdb_record *records, size_t count,
                        const bool *expect_held, size_t *ret_fresh, struct err *err)
{
    size_t fresh = 0;
    for (bool held = false; fresh < count && !expect_held[fresh]; fresh++) {
        const struct fleetdb_run_id id = id_of(&records[fresh]);
        int64_t row = 0;
        if (!fleetdb_run_look(db, &id, &held, &row, err))
            return false;
        if (held)
            break;
    }
    *ret_fresh = fresh;
    return true;
}

static bool insert_results(struct fleetdb *db, const struct fleetdb_record *records, size_t count,
                           const bool *expect_held, enum fleetdb_insert *ret_outcomes,
                           struct err *err)
{
    size_t first = 0, fresh = 0;
    while (first < count) {
        if (!count_fresh(db, &records[first], count - first, &expect_held[first], &fresh, err))
            return false;
        if (fresh == 0 &&
            !find_outcome(db, &records[first], expect_held[first], &ret_outcomes[first], err))
            return false;
        if (!fleetdb_results_insert(db, &records[first], fresh, &ret_outcomes[first], err))
            return false;
        for (size_t i = first; i < first + fresh; i++) {
            if (ret_outcomes[i] != FLEETDB_NEW &&
                !find_outcome(db, &records[i], false, &ret_outcomes[i], err))
                return false;
        }
        first += fresh > 0 ? fresh : 1;
    }
    return true;
}

bool fleetdb_insert(struct fleetdb *db, const struct fleetdb_record *records, size_t count,
                    const bool *expect_held, enum fleetdb_insert *ret_outcomes, struct err *err)
{
    bool own = false;
    if (count == 0)
        return true;
    if (!fleetdb_enter(db, &own, err))
        return false;
    bool done = records[0].lane == LANE_TXN
                    ? insert_results(db, records, count, expect_held, ret_outcomes, err)
                    : insert_each(db, records, count, expect_held, ret_outcomes, err);
    return fleetdb_leave(db, own, done, err);
}
