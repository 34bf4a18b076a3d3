/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/fleetdb_records.h"

#include "storage/fleetdb_feed.h"
#include "storage/fleetdb_internal.h"
#include "storage/fleetdb_rollups.h"

#include <stdlib.h>

/* The fields of each lane's table, in the order in which they are bound. */
#define RESULT_FIELDS(F)                                                                           \
    F(idempotency_key)                                                                             \
    F(wall_ms)                                                                                     \
    F(boot_ms)                                                                                     \
    F(terminal)                                                                                    \
    F(acquirer)                                                                                    \
    F(code_profile_version)                                                                        \
    F(stan)                                                                                        \
    F(batch_number)                                                                                \
    F(type)                                                                                        \
    F(entry_mode)                                                                                  \
    F(fallback)                                                                                    \
    F(scheme)                                                                                      \
    F(aid)                                                                                         \
    F(issuer_bucket)                                                                               \
    F(bin_table_version)                                                                           \
    F(card_token)                                                                                  \
    F(token_key_version)                                                                           \
    F(rrn)                                                                                         \
    F(auth_code)                                                                                   \
    F(amount_minor)                                                                                \
    F(currency)                                                                                    \
    F(outcome)                                                                                     \
    F(code)                                                                                        \
    F(code_source)                                                                                 \
    F(host_hint)                                                                                   \
    F(tvr)                                                                                         \
    F(tsi)                                                                                         \
    F(cvm_result)                                                                                  \
    F(capk_rid)                                                                                    \
    F(capk_index)                                                                                  \
    F(online_pin)                                                                                  \
    F(read_ms)                                                                                     \
    F(connect_ms)                                                                                  \
    F(tls_ms)                                                                                      \
    F(host_ms)                                                                                     \
    F(total_ms)                                                                                    \
    F(attempts)                                                                                    \
    F(reversal_pending)                                                                            \
    F(network)                                                                                     \
    F(signal_dbm)                                                                                  \
    F(generation)                                                                                  \
    F(app_version)                                                                                 \
    F(firmware_version)                                                                            \
    F(table_miss)                                                                                  \
    F(default_route)                                                                               \
    F(issuer_unknown)                                                                              \
    F(no_common_aid)                                                                               \
    F(key_missing)                                                                                 \
    F(masked)

#define EVENT_FIELDS(F) F(wall_ms) F(boot_ms) F(kind) F(item) F(text) F(detail) F(refusal)

#define HEALTH_FIELDS(F)                                                                           \
    F(wall_ms)                                                                                     \
    F(boot_ms)                                                                                     \
    F(uptime_s)                                                                                    \
    F(disk_free_bytes)                                                                             \
    F(disk_total_bytes)                                                                            \
    F(inodes_free)                                                                                 \
    F(memory_total_bytes)                                                                          \
    F(memory_available_bytes)                                                                      \
    F(load_permille)                                                                               \
    F(temperature_mc)                                                                              \
    F(battery_percent)                                                                             \
    F(battery_mv)                                                                                  \
    F(network)                                                                                     \
    F(signal_dbm)                                                                                  \
    F(net_rx_bytes)                                                                                \
    F(net_tx_bytes)                                                                                \
    F(wal_bytes)                                                                                   \
    F(spool_records)                                                                               \
    F(spool_bytes)                                                                                 \
    F(spool_oldest_ms)                                                                             \
    F(agent_rss_bytes)                                                                             \
    F(link_connected)                                                                              \
    F(link_connects)                                                                               \
    F(clock_offset_ms)                                                                             \
    F(records_accepted)                                                                            \
    F(records_refused)                                                                             \
    F(frames_refused)                                                                              \
    F(receipts_refused)                                                                            \
    F(agent_cpu_ms)                                                                                \
    F(samples)                                                                                     \
    F(signal_min_dbm)                                                                              \
    F(temperature_max_mc)                                                                          \
    F(memory_min_bytes)                                                                            \
    F(load_max_permille)                                                                           \
    F(traffic_month)                                                                               \
    F(traffic_bytes)                                                                               \
    F(traffic_payload_bytes)                                                                       \
    F(printer_paper_out)                                                                           \
    F(swipes_ok)                                                                                   \
    F(swipes_failed)                                                                               \
    F(chip_ok)                                                                                     \
    F(chip_failed)                                                                                 \
    F(contactless_ok)                                                                              \
    F(contactless_failed)                                                                          \
    F(tamper)

/* What a result is stamped with, behind its fields. */
#define STAMPS(F) F(standing) F(carried) F(software)
#define RESULT_COLUMNS(F) RESULT_FIELDS(F) STAMPS(F)

#define NAME(field) #field,
#define PLACE(field) RESULT_##field,
#define COLUMN(field) ", " #field
#define PARAMETER(field) ", :" #field
#define COLUMNS(FIELDS)                                                                            \
    "device, incarnation, seq, received_ms, at_ms, bound_ms, digest" FIELDS(COLUMN)
#define PARAMETERS(FIELDS)                                                                         \
    ":device, :incarnation, :seq, :received, :at, :bound, :digest" FIELDS(PARAMETER)
#define ELSE_NOTHING " ON CONFLICT DO NOTHING"
#define INSERT(table, FIELDS)                                                                      \
    "INSERT INTO " table " (" COLUMNS(FIELDS) ") VALUES (" PARAMETERS(FIELDS) ")" ELSE_NOTHING
#define HELD(table)                                                                                \
    "SELECT digest FROM " table                                                                    \
    " WHERE device = :device AND incarnation = :incarnation AND seq = :seq"

enum { LANES = 3, LANE_TXN = 1, LANE_EVENT = 2 };
enum { OUTCOME_APPROVED = 1, OUTCOME_CANCELLED = 4 }; /* record.proto's */
/* An insert's parameters by place: to find one by its name takes longer than to bind it. */
enum { DEVICE = 1, INCARNATION, SEQ, RECEIVED, AT, BOUND, DIGEST, FIRST_FIELD };

enum query {
    INSERT_LANE, /* + lane - 1 */
    HELD_LANE = INSERT_LANE + LANES,
    HELD_DUPLICATE = HELD_LANE + LANES,
    HELD_KEY,
    DUPLICATE_ADD,
    CONFLICT_ADD,
    QUERIES,
};

static const char *const texts[QUERIES] = {
    [INSERT_LANE + 0] = INSERT("result", RESULT_COLUMNS),
    [INSERT_LANE + 1] = INSERT("event", EVENT_FIELDS),
    [INSERT_LANE + 2] = INSERT("health", HEALTH_FIELDS),
    [HELD_LANE + 0] = HELD("result") " AND id = :row",
    [HELD_LANE + 1] = HELD("event"),
    [HELD_LANE + 2] = HELD("health"),
    [HELD_DUPLICATE] = HELD("result_duplicate"),
    [HELD_KEY] = "SELECT id FROM result WHERE device = :device AND idempotency_key = :key"
                 " AND idempotency_key <> x''",
    [DUPLICATE_ADD] = "INSERT INTO result_duplicate"
                      " (device, incarnation, seq, digest, original, received_ms)"
                      " VALUES (:device, :incarnation, :seq, :digest, :original, :received)",
    [CONFLICT_ADD] =
        "INSERT INTO conflict"
        " (device, incarnation, lane, seq, held_digest, sent_digest, first_ms, last_ms)"
        " VALUES (:device, :incarnation, :lane, :seq, :held, :sent, :now, :now)"
        " ON CONFLICT DO UPDATE SET times = times + 1, last_ms = excluded.last_ms",
};

const struct fleetdb_queries fleetdb_record_queries = {texts, QUERIES};

enum { RESULT_FIELDS(PLACE) RESULT_COUNT };
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

static sqlite3_stmt *insert_of_lane(struct fleetdb *db, int lane)
{
    if (lane < 1 || lane > LANES)
        abort();
    return fleetdb_query_again(db, FLEETDB_PART_RECORDS, INSERT_LANE + (unsigned)lane - 1);
}

static void bind_id(sqlite3_stmt *statement, const struct fleetdb_record *record)
{
    sqlite_bind_int(statement, ":device", record->device);
    sqlite_bind_u64(statement, ":incarnation", record->incarnation);
    sqlite_bind_u64(statement, ":seq", record->seq);
}

static void bind_value(sqlite3_stmt *statement, int index, const struct fleetdb_value *value)
{
    const char *data = value->bytes.data != NULL ? (const char *)value->bytes.data : "";
    int rc = SQLITE_OK;
    if (value->type == FLEETDB_INTEGER)
        rc = sqlite3_bind_int64(statement, index, value->integer);
    else if (value->type == FLEETDB_TEXT)
        rc = sqlite3_bind_text64(statement, index, data, value->bytes.length, SQLITE_STATIC,
                                 SQLITE_UTF8);
    else
        rc = sqlite3_bind_blob64(statement, index, data, value->bytes.length, SQLITE_STATIC);
    if (rc != SQLITE_OK)
        abort();
}

/* A value that is that of the row before stays bound: numbers, and what is empty. */
static void bind_next(sqlite3_stmt *statement, int index, const struct fleetdb_value *value,
                      struct fleetdb_value *was)
{
    const bool known = was->bytes.data != NULL;
    if (known && value->bytes.length == 0 && was->bytes.length == 0 && value->type == was->type &&
        value->integer == was->integer)
        return;
    bind_value(statement, index, value);
    *was = *value;
    was->bytes.data = (const uint8_t *)"";
}

static void bind_number(sqlite3_stmt *statement, int place, int64_t number)
{
    if (sqlite3_bind_int64(statement, place, number) != SQLITE_OK)
        abort();
}

static struct fleetdb_counted counted_of(const struct fleetdb_record *record)
{
    const struct fleetdb_value *values = record->values;
    return (struct fleetdb_counted){
        .at_ms = record->at_ms,
        .acquirer = (uint32_t)values[RESULT_acquirer].integer,
        .scheme = (uint32_t)values[RESULT_scheme].integer,
        .entry = (uint32_t)values[RESULT_entry_mode].integer,
        .type = (uint32_t)values[RESULT_type].integer,
        .outcome = (uint32_t)values[RESULT_outcome].integer,
        .currency = (uint32_t)values[RESULT_currency].integer,
        .amount_minor = values[RESULT_amount_minor].integer,
        .code = values[RESULT_code].bytes,
        .issuer = values[RESULT_issuer_bucket].bytes,
        .generation = values[RESULT_generation].bytes,
    };
}

static bool stamp(struct fleetdb *db, const struct fleetdb_record *record,
                  struct fleetdb_counted *ret_counted, struct err *err)
{
    *ret_counted = counted_of(record);
    return fleetdb_stamp_at(db, record->device, (uint32_t)record->values[RESULT_terminal].integer,
                            record->at_ms, record->values[RESULT_firmware_version].bytes,
                            record->values[RESULT_app_version].bytes, &ret_counted->stamp, err);
}

/* To who follows the feed: each event, and each sale that failed. */
static bool tell(struct fleetdb *db, const struct fleetdb_record *record, struct err *err)
{
    const int64_t row = sqlite_last_row(db->sqlite);
    if (record->lane == LANE_EVENT)
        return fleetdb_feed_add(db, FLEETDB_FEED_EVENT, record->device, row, record->received_ms,
                                err);
    if (record->lane != LANE_TXN || record->values[RESULT_outcome].integer == OUTCOME_APPROVED ||
        record->values[RESULT_outcome].integer == OUTCOME_CANCELLED)
        return true;
    return fleetdb_feed_add(db, FLEETDB_FEED_RESULT, record->device, row, record->received_ms, err);
}

static struct fleetdb_run_id id_of(const struct fleetdb_record *record)
{
    return (struct fleetdb_run_id){record->device, record->incarnation, record->seq};
}

static bool insert_row(struct fleetdb *db, const struct fleetdb_record *record, bool *ret_new,
                       struct err *err)
{
    const bool is_result = record->lane == LANE_TXN;
    struct fleetdb_counted counted;
    if (is_result && !stamp(db, record, &counted, err))
        return false;
    sqlite3_stmt *statement = insert_of_lane(db, record->lane);
    bind_number(statement, DEVICE, record->device);
    bind_number(statement, INCARNATION, (int64_t)record->incarnation);
    bind_number(statement, SEQ, (int64_t)record->seq);
    bind_number(statement, RECEIVED, record->received_ms);
    bind_number(statement, AT, record->at_ms);
    bind_number(statement, BOUND, record->bound_ms);
    bind_number(statement, DIGEST, (int64_t)record->digest);
    for (size_t i = 0; i < lanes[record->lane - 1].count; i++)
        bind_next(statement, FIRST_FIELD + (int)i, &record->values[i],
                  &db->bound[record->lane - 1][i]);
    if (is_result) {
        bind_number(statement, FIRST_FIELD + RESULT_COUNT, counted.stamp.standing);
        bind_number(statement, FIRST_FIELD + RESULT_COUNT + 1, counted.stamp.carried);
        bind_number(statement, FIRST_FIELD + RESULT_COUNT + 2, counted.stamp.software);
    }
    if (!sqlite_run(db->sqlite, statement, err))
        return false;
    *ret_new = sqlite_changes(db->sqlite) == 1;
    if (!*ret_new)
        return true;
    const struct fleetdb_run_id id = id_of(record);
    const int64_t row = sqlite_last_row(db->sqlite);
    return (!is_result || (fleetdb_run_add(db, &id, row, err) &&
                           fleetdb_span_add(db, record->at_ms, row, err))) &&
           tell(db, record, err) &&
           (!is_result || fleetdb_rollup_count(db, &counted, FLEETDB_ADD, err));
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

static bool add_conflict(struct fleetdb *db, const struct fleetdb_record *record, uint64_t held,
                         struct err *err)
{
    sqlite3_stmt *statement = query_of(db, CONFLICT_ADD);
    bind_id(statement, record);
    sqlite_bind_int(statement, ":lane", record->lane);
    sqlite_bind_u64(statement, ":held", held);
    sqlite_bind_u64(statement, ":sent", record->digest);
    sqlite_bind_int(statement, ":now", record->received_ms);
    return sqlite_run(db->sqlite, statement, err);
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

/* Nothing but its run keeps a result from being inserted twice. */
static bool insert_new(struct fleetdb *db, const struct fleetdb_record *record, bool *ret_new,
                       struct err *err)
{
    const struct fleetdb_run_id id = id_of(record);
    bool held = false;
    int64_t row = 0;
    *ret_new = false;
    if (record->lane == LANE_TXN && !fleetdb_run_look(db, &id, &held, &row, err))
        return false;
    return held || insert_row(db, record, ret_new, err);
}

static bool insert(struct fleetdb *db, const struct fleetdb_record *record, bool expect_held,
                   enum fleetdb_insert *ret_outcome, struct err *err)
{
    bool is_new = false, held = false;
    uint64_t digest = 0;
    if (!expect_held && !insert_new(db, record, &is_new, err))
        return false;
    if (is_new) {
        *ret_outcome = FLEETDB_NEW;
        return true;
    }
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

bool fleetdb_insert(struct fleetdb *db, const struct fleetdb_record *record, bool expect_held,
                    enum fleetdb_insert *ret_outcome, struct err *err)
{
    bool own = false;
    if (!fleetdb_enter(db, &own, err))
        return false;
    return fleetdb_leave(db, own, insert(db, record, expect_held, ret_outcome, err), err);
}
