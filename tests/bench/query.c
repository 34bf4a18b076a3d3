/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/api_fleet.h"
#include "fleet/collector.h"
#include "proto/topics.h"
#include "storage/fleetdb_rollups.h"
#include "tests/bench/figures.h"
#include "tests/bench/senders.h"

#include <inttypes.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/*
 * How long questions take, through the API's own module. The first half day of every device goes
 * through the collector; each further one is the same, moved on by whole hours with SQL, rows and
 * sums alike, which fleetdb_rollups_check confirms once. First there are two days, a week apart, a
 * tenth of all; then all twenty, and the same is asked of the same day and the week before.
 * Usage: bench-query [--dir DIR] [DEVICES].
 */
enum {
    SEED = 20260102,
    DEVICES = 10000,
    BATCH = 25,
    COPIES = 40, /* half days in all */
    WEEK = 14,
    RUNS = 9,
    HALF_DAY_HOURS = 12,
    PATH_BYTES = 128,
};
static const int64_t half_day_ms = HALF_DAY_HOURS * INT64_C(3600) * 1000;
static const int64_t day_ms = INT64_C(24) * 3600 * 1000;

struct bench {
    char dir[64], path[PATH_BYTES];
    struct retail retail;
    struct senders *senders;
    struct sign_key *key;
    int64_t clock_ms;
    bool failed;
};

/* ---- the first half day, as it comes ---- */

static int64_t boot_ms(void *ctx)
{
    return ((struct bench *)ctx)->clock_ms;
}

static int64_t wall_ms(void *ctx)
{
    return SENDERS_OPEN_MS + SENDERS_TOLD_MS + boot_ms(ctx);
}

static bool send(void *ctx, const char *topic, struct bytes payload)
{
    (void)ctx, (void)topic, (void)payload;
    return true;
}

static void no_hello(void *ctx, const struct fleetdb_device *device, const Muster__Hello *hello,
                     struct wants *ret_wants, struct buf *ret_manifest)
{
    (void)ctx, (void)device, (void)hello, (void)ret_wants, (void)ret_manifest;
}

static void failed(void *ctx, const struct err *why)
{
    fprintf(stderr, "bench-query: the collector gave up: %s\n", why->text);
    ((struct bench *)ctx)->failed = true;
}

static bool take(struct bench *bench, struct collector *collector, size_t devices, struct err *err)
{
    struct sent_batches batches = {0};
    bool done = senders_batches(bench->senders, devices, 1, BATCH, &batches, err);
    for (size_t i = 0; done && i < batches.count; i++) {
        char topic[TOPIC_CHARS];
        topic_device(TOPIC_UP_BATCH, senders_id(bench->senders, batches.list[i].device), topic);
        collector_message(collector, topic, batches.list[i].sealed);
        if (i % 256 == 255)
            (void)collector_turn(collector);
    }
    for (int64_t wait = 0; done && (wait = collector_turn(collector)) >= 0;)
        bench->clock_ms += wait;
    sent_batches_done(&batches);
    return done && (!bench->failed || err_set(err, ERR_IO, "the collector gave up"));
}

static bool collect(struct bench *bench, size_t devices, struct err *err)
{
    struct fleetdb *db = NULL;
    struct metrics metrics = {0};
    struct collector *collector = NULL;
    const struct clock clock = {wall_ms, boot_ms, bench};
    if (!fleetdb_open(bench->path, &db, err))
        return false;
    const struct collector_settings settings = {.db = db,
                                                .clock = &clock,
                                                .metrics = &metrics,
                                                .receipt_key = bench->key,
                                                .director_key = bench->key,
                                                .receipts = {.coalesce_ms = 200}};
    const struct collector_ports ports = {
        .ctx = bench, .send = send, .hello = no_hello, .failed = failed};
    bool done = senders_open(&bench->retail, SEED, devices, db, &bench->senders, err) &&
                collector_open(&settings, &ports, &collector, err) &&
                take(bench, collector, devices, err);
    collector_close(collector);
    fleetdb_close(db);
    if (done && metrics.values[METRIC_RECORDS_TXN] != devices * BATCH)
        return err_set(err, ERR_IO, "%llu of %zu records were taken",
                       (unsigned long long)metrics.values[METRIC_RECORDS_TXN], devices * BATCH);
    return done;
}

/* ---- the others, by SQL ---- */

static const struct {
    const char *name, *first; /* column, which an hour later is so much more: */
    int64_t an_hour;
} tables[] = {{"rollup_code_minute_sum", "id", INT64_C(60) << 30},
              {"rollup_code_hour_sum", "id", INT64_C(1) << 30},
              {"rollup_issuer_hour_sum", "id", INT64_C(1) << 30},
              {"rollup_entry_hour_sum", "id", INT64_C(1) << 30},
              {"rollup_software_hour_sum", "id", INT64_C(1) << 30},
              {"rollup_device_hour", "bucket", 1}};

static bool do_sql(sqlite3 *db, const char *sql, struct err *err)
{
    return sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK ||
           err_set(err, ERR_IO, "%.80s: %s", sql, sqlite3_errmsg(db));
}

static bool open_bare(const struct bench *bench, sqlite3 **ret_db, struct err *err)
{
    return sqlite3_open_v2(bench->path, ret_db, SQLITE_OPEN_READWRITE, NULL) == SQLITE_OK ||
           err_set(err, ERR_IO, "%s: %s", bench->path, sqlite3_errmsg(*ret_db));
}

/* What a column is filled with in a copy. */
static void value_of(const char *name, int64_t copy, char value[96])
{
    bool moment = strcmp(name, "at_ms") == 0 || strcmp(name, "wall_ms") == 0 ||
                  strcmp(name, "received_ms") == 0 || strcmp(name, "boot_ms") == 0;
    if (moment)
        (void)snprintf(value, 96, ", %s + %" PRId64, name, copy * half_day_ms);
    else if (strcmp(name, "seq") == 0)
        (void)snprintf(value, 96, ", seq + %" PRId64, copy * BATCH);
    else if (strcmp(name, "idempotency_key") == 0)
        (void)snprintf(value, 96, ", CAST(idempotency_key || '%lld' AS BLOB)", (long long)copy);
    else
        (void)snprintf(value, 96, ", %s", name);
}

/* All columns but the first, each behind a comma. */
static bool columns_of(sqlite3 *db, const char *table, int64_t copy, struct buf *names,
                       struct buf *values, struct err *err)
{
    sqlite3_stmt *row = NULL;
    char sql[96];
    (void)snprintf(sql, sizeof sql, "SELECT name FROM pragma_table_info('%s') WHERE cid > 0",
                   table);
    bool done = sqlite3_prepare_v2(db, sql, -1, &row, NULL) == SQLITE_OK;
    while (done && sqlite3_step(row) == SQLITE_ROW) {
        char value[96];
        const char *name = (const char *)sqlite3_column_text(row, 0);
        value_of(name, copy, value);
        done = buf_append(names, ", ", 2, err) && buf_append(names, name, strlen(name), err) &&
               buf_append(values, value, strlen(value), err);
    }
    (void)sqlite3_finalize(row);
    return done && buf_append(names, "", 1, err) && buf_append(values, "", 1, err);
}

static bool copy_table(sqlite3 *db, const char *table, const char *first, int64_t moved,
                       int64_t copy, const char *rest, struct err *err)
{
    struct buf names = {.limit = 8192}, values = {.limit = 8192};
    bool done = columns_of(db, table, copy, &names, &values, err);
    char *sql = done ? sqlite3_mprintf("INSERT INTO main.%s (%s%s) SELECT %s + %lld%s FROM %s",
                                       table, first, (char *)names.data, first, (long long)moved,
                                       (char *)values.data, rest)
                     : NULL;
    done = sql != NULL && do_sql(db, sql, err);
    sqlite3_free(sql);
    buf_done(&names);
    buf_done(&values);
    return done;
}

static bool copy_runs(sqlite3 *db, int64_t copy, int64_t rows, struct err *err)
{
    char sql[256];
    (void)snprintf(sql, sizeof sql,
                   "INSERT INTO result_run SELECT device, incarnation, first_seq + %" PRId64
                   ", last_seq + %" PRId64 ", first_row + %" PRId64
                   " FROM result_run WHERE first_row <= %" PRId64,
                   copy * BATCH, copy * BATCH, copy * rows, rows);
    return do_sql(db, sql, err);
}

/* Half a day is 48 quarters of an hour. */
static bool copy_spans(sqlite3 *db, int64_t copy, int64_t rows, struct err *err)
{
    char sql[256];
    (void)snprintf(sql, sizeof sql,
                   "INSERT INTO result_span SELECT bucket + %" PRId64 ", first_row + %" PRId64
                   ", last_row + %" PRId64 " FROM result_span WHERE first_row <= %" PRId64,
                   copy * 4 * HALF_DAY_HOURS, copy * rows, copy * rows, rows);
    return do_sql(db, sql, err);
}

static bool copy_one(sqlite3 *db, int64_t copy, int64_t rows, struct err *err)
{
    char rest[256];
    (void)snprintf(rest, sizeof rest, "main.result WHERE id <= %lld ORDER BY id", (long long)rows);
    bool done = copy_table(db, "result", "id", copy * rows, copy, rest, err) &&
                copy_runs(db, copy, rows, err) && copy_spans(db, copy, rows, err);
    for (size_t i = 0; done && i < sizeof tables / sizeof *tables; i++) {
        (void)snprintf(rest, sizeof rest,
                       "temp.base_%s WHERE true ON CONFLICT DO UPDATE SET"
                       " results = results + excluded.results,"
                       " amount_minor = amount_minor + excluded.amount_minor",
                       tables[i].name);
        done = copy_table(db, tables[i].name, tables[i].first,
                          copy * HALF_DAY_HOURS * tables[i].an_hour, copy, rest, err);
    }
    (void)snprintf(rest, sizeof rest,
                   "UPDATE rollup_key SET hour = max(hour, %" PRId64
                   " + (SELECT max(bucket) FROM temp.base_rollup_device_hour))",
                   copy * HALF_DAY_HOURS);
    return done && do_sql(db, rest, err);
}

/* The sums of the first half day, which the copies add to. */
static bool keep_base(sqlite3 *db, struct err *err)
{
    bool done = true;
    for (size_t i = 0; done && i < sizeof tables / sizeof *tables; i++) {
        char sql[160];
        (void)snprintf(sql, sizeof sql, "CREATE TABLE temp.base_%s AS SELECT * FROM main.%s",
                       tables[i].name, tables[i].name);
        done = do_sql(db, sql, err);
    }
    return done;
}

static bool is_first(int64_t copy)
{
    return copy < 2 || copy == WEEK || copy == WEEK + 1;
}

/* A file that is thrown away need not wait for the disk. */
static bool copy_some(sqlite3 *db, bool first, int64_t rows, struct err *err)
{
    char sql[96];
    bool done = do_sql(db, "PRAGMA synchronous = OFF; PRAGMA cache_size = -2000000; BEGIN", err);
    for (int64_t copy = 1; done && copy < COPIES; copy++)
        done = is_first(copy) != first || copy_one(db, copy, rows, err);
    (void)snprintf(sql, sizeof sql, "UPDATE stream SET cumulative = %d WHERE lane = 1; COMMIT",
                   first ? 4 * BATCH : COPIES * BATCH);
    return done && do_sql(db, sql, err) && do_sql(db, "PRAGMA wal_checkpoint(TRUNCATE)", err);
}

/* ---- asking ---- */

static bool connected(void *ctx, char *why, size_t size)
{
    (void)ctx;
    if (size > 0)
        why[0] = '\0';
    return true;
}

struct asked {
    const char *path;
    struct api_query query[8];
    size_t count;
};

/* One question through the API; its answer too, when `ret_json` is not NULL. */
static bool ask(struct fleetdb *db, const struct asked *asked, int64_t now_ms, double *ret_ms,
                json_t **ret_json, struct err *err)
{
    struct metrics metrics = {0};
    struct api_fleet fleet = {.db = db,
                              .zone = "UTC",
                              .metrics = &metrics,
                              .clock = &clock_real,
                              .question_limit_ms = INT64_MAX,
                              .connected = connected};
    const struct api_module module = api_fleet_module(&fleet);
    const struct api api = {&module, 1};
    const struct api_caller caller = {.name = "bench", .role = API_VIEWER};
    struct api_request request = {.method = "GET",
                                  .path = asked->path,
                                  .query = asked->query,
                                  .query_count = asked->count,
                                  .now_ms = now_ms,
                                  .caller = &caller};
    struct api_answer answer = {0};
    unsigned status = 0;
    void *ctx = NULL;
    const struct api_route *route = api_route_find(&api, &request, &ctx, &status);
    if (route == NULL)
        return err_set(err, ERR_NOT_FOUND, "%s: no such route", asked->path);
    const int64_t began_ns = figures_now_ns();
    api_run(route, ctx, &request, &answer);
    while (answer.work.step != NULL)
        api_continue(&request, &answer);
    *ret_ms = (double)(figures_now_ns() - began_ns) / 1e6;
    bool done = answer.status == 0 || answer.status == 200;
    if (!done) {
        char *text = json_dumps(answer.json, JSON_COMPACT);
        err_set(err, ERR_IO, "%s: %u: %.200s", asked->path, answer.status, text ? text : "");
        free(text);
    } else if (ret_json != NULL) {
        *ret_json = json_incref(answer.json);
    }
    api_answer_done(&answer);
    return done;
}

static bool median(struct fleetdb *db, const struct asked *asked, int64_t now_ms, double *ret_ms,
                   struct err *err)
{
    double values[RUNS];
    for (size_t i = 0; i < RUNS; i++)
        if (!ask(db, asked, now_ms, &values[i], NULL, err))
            return false;
    *ret_ms = figures_median(values, RUNS);
    return true;
}

/* ---- the same answer by an indexed scan of the rows ---- */

static bool scan(sqlite3 *db, int64_t from_ms, int64_t to_ms, const json_t *said, double *ret_ms,
                 struct err *err)
{
    static const char sql[] =
        "SELECT r.code, sum(coalesce(t.life = 'in_service', 0)), sum(iif(t.life = 'in_service' AND"
        " r.outcome = 2, 1, 0)), total(iif(r.outcome = 2, r.amount_minor, 0)) FROM result r"
        " LEFT JOIN standing t ON t.id = r.standing WHERE r.at_ms >= ?1 AND r.at_ms < ?2"
        " GROUP BY r.code ORDER BY 2 DESC, 3 DESC, 1";
    sqlite3_stmt *row = NULL;
    size_t at = 0;
    const json_t *rows = json_object_get(said, "rows");
    if (sqlite3_prepare_v2(db, sql, -1, &row, NULL) != SQLITE_OK)
        return err_set(err, ERR_IO, "%s", sqlite3_errmsg(db));
    const int64_t began_ns = figures_now_ns();
    (void)sqlite3_bind_int64(row, 1, from_ms);
    (void)sqlite3_bind_int64(row, 2, to_ms);
    bool same = true;
    while (sqlite3_step(row) == SQLITE_ROW) {
        const json_t *one = json_array_get(rows, at++);
        const char *key = json_string_value(json_object_get(one, "key"));
        same = same && key != NULL && strcmp(key, (const char *)sqlite3_column_text(row, 0)) == 0 &&
               json_integer_value(json_object_get(one, "count")) == sqlite3_column_int64(row, 1) &&
               json_integer_value(json_object_get(one, "declined")) == sqlite3_column_int64(row, 2);
    }
    *ret_ms = (double)(figures_now_ns() - began_ns) / 1e6;
    (void)sqlite3_finalize(row);
    return (same && at == json_array_size(rows) && at > 0) ||
           err_set(err, ERR_IO, "the rows say something else than the answer");
}

/* ---- one size ---- */

struct figures {
    double errors_ms, devices_ms, scan_ms, find_ms, rrn_ms;
};

/* A sale in the middle of the newest day: what its shop would say of it on the phone. */
static bool pick(sqlite3 *db, int64_t at_ms, char tid[32], char rrn[32], char amount[32],
                 int64_t *ret_ms, struct err *err)
{
    sqlite3_stmt *row = NULL;
    bool found = sqlite3_prepare_v2(db,
                                    "SELECT r.at_ms, l.tid, r.rrn, r.amount_minor FROM result r"
                                    " JOIN device_terminal c ON c.id = r.carried"
                                    " JOIN logical_terminal l ON l.id = c.logical_terminal"
                                    " WHERE r.at_ms >= ? ORDER BY r.at_ms LIMIT 1",
                                    -1, &row, NULL) == SQLITE_OK &&
                 sqlite3_bind_int64(row, 1, at_ms) == SQLITE_OK && sqlite3_step(row) == SQLITE_ROW;
    if (found) {
        *ret_ms = sqlite3_column_int64(row, 0);
        (void)snprintf(tid, 32, "%s", (const char *)sqlite3_column_text(row, 1));
        (void)snprintf(rrn, 32, "%s", (const char *)sqlite3_column_text(row, 2));
        (void)snprintf(amount, 32, "%lld", (long long)sqlite3_column_int64(row, 3));
    }
    (void)sqlite3_finalize(row);
    return found || err_set(err, ERR_NOT_FOUND, "no sale to look for");
}

static bool find_one(struct fleetdb *db, const struct asked *asked, int64_t now_ms, double *ret_ms,
                     struct err *err)
{
    json_t *said = NULL;
    double first_ms = 0;
    if (!ask(db, asked, now_ms, &first_ms, &said, err))
        return false;
    bool found = json_array_size(json_object_get(said, "results")) > 0;
    json_decref(said);
    if (!found)
        return err_set(err, ERR_NOT_FOUND, "the sale was not found");
    return median(db, asked, now_ms, ret_ms, err);
}

static bool measure(const struct bench *bench, sqlite3 *bare, struct figures *ret, struct err *err)
{
    const int64_t end_ms = SENDERS_OPEN_MS + (WEEK + 2) * half_day_ms, from_ms = end_ms - day_ms;
    struct fleetdb *db = NULL;
    json_t *said = NULL;
    char from[24], to[24], tid[32], rrn[32], amount[32], near[2][24];
    int64_t sold_ms = 0;
    double once_ms = 0, scans[3];
    (void)snprintf(from, sizeof from, "%lld", (long long)from_ms);
    (void)snprintf(to, sizeof to, "%lld", (long long)end_ms);
    const struct asked errors = {
        "/api/v1/errors", {{"by", "code"}, {"from_ms", from}, {"to_ms", to}}, 3};
    const struct asked devices = {
        "/api/v1/errors", {{"by", "device"}, {"from_ms", from}, {"to_ms", to}}, 3};
    bool done = fleetdb_open(bench->path, &db, err) &&
                ask(db, &errors, end_ms, &once_ms, &said, err) &&
                median(db, &errors, end_ms, &ret->errors_ms, err) &&
                median(db, &devices, end_ms, &ret->devices_ms, err);
    done = done && do_sql(bare, "CREATE INDEX rows_at ON result (at_ms)", err);
    for (size_t i = 0; done && i < sizeof scans / sizeof *scans; i++)
        done = scan(bare, from_ms, end_ms, said, &scans[i], err);
    ret->scan_ms = figures_median(scans, sizeof scans / sizeof *scans);
    json_decref(said);
    done = done && pick(bare, end_ms - day_ms / 2, tid, rrn, amount, &sold_ms, err) &&
           do_sql(bare, "DROP INDEX rows_at", err);
    (void)snprintf(near[0], sizeof near[0], "%" PRId64, sold_ms - 30 * 60000);
    (void)snprintf(near[1], sizeof near[1], "%" PRId64, sold_ms + 30 * 60000);
    const struct asked sale = {"/api/v1/find", {{"tid", tid}, {"amount_minor", amount}}, 2};
    const struct asked bare_rrn = {
        "/api/v1/find", {{"rrn", rrn}, {"from_ms", near[0]}, {"to_ms", near[1]}}, 3};
    done = done && find_one(db, &sale, end_ms, &ret->find_ms, err) &&
           find_one(db, &bare_rrn, end_ms, &ret->rrn_ms, err);
    fleetdb_close(db);
    return done;
}

static bool sums_are_right(const struct bench *bench, struct err *err)
{
    struct fleetdb *db = NULL;
    uint64_t wrong = 0;
    char text[160] = "";
    bool done = fleetdb_open(bench->path, &db, err) &&
                fleetdb_rollups_check(db, &wrong, text, sizeof text, err);
    fleetdb_close(db);
    return done && (wrong == 0 || err_set(err, ERR_IO, "%s", text));
}

/* ---- all of it ---- */

static bool run(struct bench *bench, size_t devices, struct err *err)
{
    const int64_t rows = (int64_t)devices * BATCH;
    sqlite3 *bare = NULL;
    struct figures tenth = {0}, all = {0};
    bool done = collect(bench, devices, err) && open_bare(bench, &bare, err) &&
                keep_base(bare, err) && copy_some(bare, true, rows, err) &&
                sums_are_right(bench, err) && measure(bench, bare, &tenth, err) &&
                copy_some(bare, false, rows, err) && measure(bench, bare, &all, err);
    (void)sqlite3_close(bare);
    if (!done)
        return false;
    printf("# world: %zu devices, %" PRId64
           " results, a twentieth on each day, seed %d; medians of %d\n",
           devices, COPIES * rows, SEED, RUNS);
    figure("query.results", (double)(COPIES * rows), "count");
    figure("query.errors_24h_ms", all.errors_ms, "ms");
    figure("query.errors_24h_rows_ms", all.scan_ms, "ms");
    figure("query.errors_24h_ratio", all.scan_ms / all.errors_ms, "ratio");
    figure("query.errors_24h_tenth_ms", tenth.errors_ms, "ms");
    figure("query.growth_ratio", all.errors_ms / tenth.errors_ms, "ratio");
    figure("query.errors_24h_by_device_ms", all.devices_ms, "ms");
    figure("query.by_device_growth_ratio", all.devices_ms / tenth.devices_ms, "ratio");
    figure("query.find_ms", all.find_ms, "ms");
    figure("query.find_growth_ratio", all.find_ms / tenth.find_ms, "ratio");
    figure("query.find_rrn_in_an_hour_ms", all.rrn_ms, "ms");
    return true;
}

static bool open_bench(struct bench *bench, const char *dir, struct err *err)
{
    char path[PATH_BYTES];
    const struct retail_settings world = {
        .routing = MUSTER_ROUTING_TABLE, .ca_keys = MUSTER_CA_KEYS_TABLE, .seed = SEED};
    (void)snprintf(bench->dir, sizeof bench->dir, "%s/muster-bench-XXXXXX", dir);
    if (mkdtemp(bench->dir) == NULL)
        return err_set(err, ERR_IO, "%s: no directory can be made there", dir);
    (void)snprintf(bench->path, sizeof bench->path, "%s/fleet.db", bench->dir);
    (void)snprintf(path, sizeof path, "%s/fleet.key", bench->dir);
    bool done = retail_open(&bench->retail, &world, err) && sign_key_make(path, &bench->key, err);
    (void)unlink(path);
    return done;
}

static void close_bench(struct bench *bench)
{
    static const char *const names[] = {"fleet.db", "fleet.db-lock", "fleet.db-wal",
                                        "fleet.db-shm"};
    senders_close(bench->senders);
    sign_key_free(bench->key);
    retail_close(&bench->retail);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[PATH_BYTES];
        (void)snprintf(path, sizeof path, "%s/%s", bench->dir, names[i]);
        (void)unlink(path);
    }
    (void)rmdir(bench->dir);
}

int main(int argc, char **argv)
{
    const char *dir = getenv("TMPDIR") != NULL ? getenv("TMPDIR") : "/tmp";
    size_t devices = DEVICES;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--dir") == 0 && i + 1 < argc)
            dir = argv[++i];
        else
            devices = strtoul(argv[i], NULL, 10);
    }
    if (devices == 0 || devices > 100000) {
        fprintf(stderr, "usage: bench-query [--dir DIR] [DEVICES]\n");
        return 2;
    }
    struct bench bench = {0};
    struct err err = {0};
    bool done = open_bench(&bench, dir, &err) && run(&bench, devices, &err);
    if (!done)
        fprintf(stderr, "bench-query: %s\n", err.text);
    close_bench(&bench);
    return done ? 0 : 1;
}
