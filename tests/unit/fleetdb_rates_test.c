/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/fleetdb_rates.h"
#include "storage/fleetdb_unsure.h"

#include "tests/unit/collector_world.h"
#include "tests/unit/testing.h"
#include "tests/world/rng.h"

#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

/* Nothing bounds what a terminal calls its firmware: two that end differently are two. */
#define LONG                                                                                       \
    "firmware of a vendor who says all that there is to say of it, at length, as "                 \
    "two stores of one merchant may also be called, the code of each of which has 64 bytes, 7.0."
enum { MINUTE_MS = 60 * 1000, HOUR_MS = 60 * MINUTE_MS, RESULTS = 60, ROUNDS = 300 };
/* Results lie in so many hours before now; where t1 moves, it does in the middle. */
static const int64_t span_ms = 30 * (int64_t)HOUR_MS;
static const int64_t moved_ms = WORLD_WALL_MS - 15 * (int64_t)HOUR_MS;

/* The same by a plain look at the rows, with SQL of the test's own. */
static const char *const plain[FLEETDB_DIMS] = {
    [FLEETDB_DIM_CODE] = "r.code",
    [FLEETDB_DIM_OUTCOME] = "r.outcome",
    [FLEETDB_DIM_TYPE] = "r.type",
    [FLEETDB_DIM_CURRENCY] = "r.currency",
    [FLEETDB_DIM_ACQUIRER] = "r.acquirer",
    [FLEETDB_DIM_SCHEME] = "r.scheme",
    [FLEETDB_DIM_ENTRY] = "r.entry_mode",
    [FLEETDB_DIM_ISSUER] = "r.issuer_bucket",
    [FLEETDB_DIM_MODEL] = "(SELECT model FROM device WHERE id = r.device)",
    [FLEETDB_DIM_FIRMWARE] = "r.firmware_version",
    [FLEETDB_DIM_APP] = "r.app_version",
    [FLEETDB_DIM_GENERATION] = "lower(hex(r.generation))",
    [FLEETDB_DIM_DEVICE] = "(SELECT name FROM device WHERE id = r.device)",
    [FLEETDB_DIM_STORE] = "(SELECT m.code || '/' || s.code FROM device d JOIN store s ON s.id ="
                          " d.store JOIN merchant m ON m.id = s.merchant WHERE d.id = r.device)",
    [FLEETDB_DIM_MERCHANT] = "(SELECT m.code FROM device d JOIN store s ON s.id = d.store"
                             " JOIN merchant m ON m.id = s.merchant WHERE d.id = r.device)",
    [FLEETDB_DIM_REGION] = "coalesce((SELECT g.name FROM device d JOIN store s ON s.id = d.store"
                           " JOIN region g ON g.id = s.region WHERE d.id = r.device), '')",
    [FLEETDB_DIM_TID] = "coalesce((SELECT l.tid FROM device_terminal c JOIN logical_terminal l"
                        " ON l.id = c.logical_terminal WHERE c.device = r.device"
                        " AND c.slot = r.terminal AND c.to_ms IS NULL), '')",
};

struct rates_world {
    struct world *world;
    sqlite3 *db;
    struct rng rng;
};

static void send_random(struct rates_world *rates, const char *device, uint64_t incarnation)
{
    static const char *const codes[] = {"00", "00", "00", "57", "51", "05"};
    static const char *const issuers[] = {"", "ICBC", "CCB", "VISA OTHER"};
    static const char *const firmwares[] = {LONG "1", LONG "2"};
    Muster__TxnResult txns[RESULTS];
    ProtobufCMessage *rows[RESULTS];
    uint8_t generations[RESULTS];
    for (size_t i = 0; i < RESULTS; i++) {
        Muster__TxnResult *txn = &txns[i];
        muster__txn_result__init(txn);
        txn->wall_ms = WORLD_WALL_MS - (int64_t)rng_below(&rates->rng, (uint64_t)span_ms);
        txn->code = (char *)(uintptr_t)codes[rng_below(&rates->rng, 6)];
        txn->outcome = strcmp(txn->code, "00") == 0 ? MUSTER__OUTCOME__OUTCOME_APPROVED
                                                    : MUSTER__OUTCOME__OUTCOME_DECLINED;
        txn->type = (Muster__TxnType)(1 + rng_below(&rates->rng, 2));
        txn->currency = rng_below(&rates->rng, 2) == 0 ? 156 : 840;
        txn->acquirer = (uint32_t)rng_below(&rates->rng, 3);
        txn->terminal = (uint32_t)rng_below(&rates->rng, 3);
        txn->scheme = (uint32_t)rng_below(&rates->rng, 3);
        txn->entry_mode = (Muster__EntryMode)rng_below(&rates->rng, 4);
        txn->issuer_bucket = (char *)(uintptr_t)issuers[rng_below(&rates->rng, 4)];
        txn->firmware_version = (char *)(uintptr_t)firmwares[rng_below(&rates->rng, 2)];
        txn->app_version = (char *)"2.4.1";
        txn->amount_minor = rng_below(&rates->rng, 100000);
        generations[i] = (uint8_t)rng_below(&rates->rng, 2);
        txn->generation = (ProtobufCBinaryData){1, &generations[i]};
        rows[i] = &txn->base;
    }
    const struct lane_rows lane = {.lane = MUSTER__LANE__LANE_TXN,
                                   .incarnation = incarnation,
                                   .first_seq = 1,
                                   .count = RESULTS,
                                   .rows = rows};
    struct buf batch = world_seal_lanes(rates->world, device, &lane, 1);
    world_deliver(rates->world, TOPIC_UP_BATCH, device, buf_bytes(&batch));
    buf_done(&batch);
    (void)collector_turn(rates->world->collector);
}

static void open_world(void **state, struct rates_world *rates)
{
    char path[128];
    *rates = (struct rates_world){.world = *state, .rng = rng_of(20261123)};
    (void)snprintf(path, sizeof path, "%s/fleet.db", rates->world->fleet->dir);
    assert_int_equal(sqlite3_open_v2(path, &rates->db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
    for (uint64_t i = 1; i <= 4; i++)
        send_random(rates, i % 2 == 0 ? "t1" : "t2", i);
}

/* Of one key, or of all (NULL), in the window. */
static void look(struct rates_world *rates, const struct fleetdb_question *question,
                 const char *key, int64_t currency, int64_t ret_values[3])
{
    sqlite3_stmt *statement = NULL;
    char where[1024] = "", *sql = NULL;
    for (size_t i = 0; i < question->choice_count; i++) {
        size_t length = strlen(where);
        const struct fleetdb_choice *choice = &question->choices[i];
        if (fleetdb_dim_is_number(choice->dim))
            (void)snprintf(where + length, sizeof where - length, " AND %s = %lld",
                           plain[choice->dim], (long long)choice->number);
        else
            (void)snprintf(where + length, sizeof where - length, " AND %s = '%s'",
                           plain[choice->dim], choice->text);
    }
    sql = sqlite3_mprintf("SELECT count(*), coalesce(sum(r.outcome = 2), 0),"
                          " coalesce(sum(iif(r.outcome = 2, r.amount_minor, 0)), 0) FROM result r"
                          " WHERE r.at_ms >= %lld AND r.at_ms < %lld%s AND (%Q IS NULL OR"
                          " (CAST(%s AS TEXT) = %Q AND r.currency = %lld))"
                          " AND (%d OR (r.at_ms >= %lld AND r.device ="
                          " (SELECT id FROM device WHERE name = 't1')))",
                          question->from_ms, question->to_ms, where, key, plain[question->by], key,
                          currency, question->scope.token == 0, moved_ms);
    if (sqlite3_prepare_v2(rates->db, sql, -1, &statement, NULL) != SQLITE_OK)
        fail_msg("%s: %s", sql, sqlite3_errmsg(rates->db));
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    for (int i = 0; i < 3; i++)
        ret_values[i] = sqlite3_column_int64(statement, i);
    (void)sqlite3_finalize(statement);
    sqlite3_free(sql);
}

static void compare(struct rates_world *rates, const struct fleetdb_question *question)
{
    struct fleetdb_rates *answer = NULL;
    struct err err = {0};
    int64_t all[3], sum = 0, values[3];
    size_t count = 0;
    bool done = false;
    if (!fleetdb_rates_open(rates->world->fleet->db, question, &answer, &err))
        fail_msg("%s", err.text);
    while (!done)
        assert_true(fleetdb_rates_step(answer, &done, NULL));
    const struct fleetdb_rate *list = fleetdb_rates_list(answer, &count);
    for (size_t i = 0; i < count; i++) {
        look(rates, question, list[i].key, list[i].currency, values);
        const int64_t said[3] = {list[i].results, list[i].errors, list[i].error_amount_minor};
        for (int v = 0; v < 3; v++)
            if (said[v] != values[v])
                fail_msg("by %s from %s, key %s: %lld, not %lld", fleetdb_dim_word(question->by),
                         fleetdb_rates_source(answer), list[i].key, (long long)said[v],
                         (long long)values[v]);
        sum += list[i].results;
    }
    look(rates, question, NULL, 0, all);
    assert_int_equal(sum, all[0]);
    fleetdb_rates_close(answer);
}

static struct fleetdb_choice random_choice(struct rates_world *rates)
{
    static const struct fleetdb_choice some[] = {
        {FLEETDB_DIM_CODE, "57", 0},         {FLEETDB_DIM_DEVICE, "t1", 0},
        {FLEETDB_DIM_FIRMWARE, LONG "2", 0}, {FLEETDB_DIM_ISSUER, "ICBC", 0},
        {FLEETDB_DIM_ACQUIRER, NULL, 1},     {FLEETDB_DIM_ENTRY, NULL, 2},
        {FLEETDB_DIM_CURRENCY, NULL, 840},   {FLEETDB_DIM_GENERATION, "01", 0},
        {FLEETDB_DIM_MERCHANT, "none", 0},   {FLEETDB_DIM_TYPE, NULL, 1},
    };
    return some[rng_below(&rates->rng, sizeof some / sizeof *some)];
}

static void ask_at_random(struct rates_world *rates, struct fleetdb_scope scope)
{
    for (size_t round = 0; round < ROUNDS; round++) {
        const struct fleetdb_choice choices[2] = {random_choice(rates), random_choice(rates)};
        int64_t minutes = 1 + (int64_t)rng_below(&rates->rng, (uint64_t)(span_ms / MINUTE_MS));
        int64_t from = (WORLD_WALL_MS - span_ms) / MINUTE_MS +
                       (int64_t)rng_below(&rates->rng, (uint64_t)(span_ms / MINUTE_MS));
        const struct fleetdb_question question = {
            .by = (enum fleetdb_dim)(round % FLEETDB_DIMS),
            .choices = choices,
            .choice_count = (size_t)rng_below(&rates->rng, 3),
            .error_outcome = 2,
            .scope = scope,
            .from_ms = from * MINUTE_MS,
            .to_ms = (from + minutes) * MINUTE_MS,
        };
        compare(rates, &question);
    }
}

/* Any dimension, any choice, any window: what the sums say is what the rows say. */
static void every_answer_is_that_of_the_rows(void **state)
{
    struct rates_world rates;
    open_world(state, &rates);
    ask_at_random(&rates, (struct fleetdb_scope){0});
    (void)sqlite3_close(rates.db);
}

/* What was made in it, by whoever stood there then; neither what t1 sold before nor what t2 did. */
static void a_part_of_the_fleet_is_told_of_its_own(void **state)
{
    struct rates_world rates;
    struct world *world = *state;
    world_move_t1(world, moved_ms);
    const struct fleetdb_scope scope = world_scope(world);
    open_world(state, &rates);
    ask_at_random(&rates, scope);
    (void)sqlite3_close(rates.db);
}

static void assert_window(struct world *world, struct fleetdb_scope scope, int64_t from_ms,
                          int64_t to_ms)
{
    struct fleetdb_rates *answer = NULL;
    int64_t said_from_ms = -1, said_to_ms = -1;
    const struct fleetdb_question question = {
        .by = FLEETDB_DIM_CODE, .scope = scope, .from_ms = from_ms, .to_ms = to_ms};
    assert_true(fleetdb_rates_open(world->fleet->db, &question, &answer, NULL));
    fleetdb_rates_window(answer, &said_from_ms, &said_to_ms);
    assert_int_equal(said_from_ms, from_ms);
    assert_int_equal(said_to_ms, to_ms);
    assert_int_equal(fleetdb_rates_kept_from_ms(answer), 0);
    fleetdb_rates_close(answer);
}

/* Where nothing was made as well, before the first result and after the last; to a part of the
 * fleet it is not told by that when the fleet began. */
static void the_window_is_the_one_that_was_asked(void **state)
{
    struct rates_world rates;
    struct world *world = *state;
    const int64_t end_ms = WORLD_WALL_MS / MINUTE_MS * MINUTE_MS + 50 * (int64_t)HOUR_MS;
    assert_window(world, (struct fleetdb_scope){0}, 0, end_ms); /* nothing has come */
    world_move_t1(world, moved_ms);
    const struct fleetdb_scope scopes[] = {{0}, world_scope(world)};
    open_world(state, &rates);
    for (size_t i = 0; i < sizeof scopes / sizeof *scopes; i++) {
        assert_window(world, scopes[i], 0, end_ms);
        assert_window(world, scopes[i], HOUR_MS, 2 * HOUR_MS);
        assert_window(world, scopes[i], end_ms, end_ms + HOUR_MS);
        assert_window(world, scopes[i], end_ms - 100 * (int64_t)HOUR_MS + MINUTE_MS,
                      end_ms - MINUTE_MS);
    }
    (void)sqlite3_close(rates.db);
}

/* ---- what may lie in the window, or not ---- */

static int64_t unsure(struct rates_world *rates, const struct fleetdb_choice *choice,
                      struct fleetdb_scope scope, int64_t from_ms, int64_t to_ms)
{
    struct fleetdb_unsure *answer = NULL;
    const struct fleetdb_question question = {.choices = choice,
                                              .choice_count = choice != NULL,
                                              .scope = scope,
                                              .from_ms = from_ms,
                                              .to_ms = to_ms};
    assert_true(fleetdb_unsure_open(rates->world->fleet->db, &question, &answer, NULL));
    for (bool done = false; !done;)
        assert_true(fleetdb_unsure_step(answer, &done, NULL));
    int64_t count = fleetdb_unsure_count(answer);
    fleetdb_unsure_close(answer);
    return count;
}

/* Every result of t2 is known to the hour, none of t1's at all. */
static void loosen(struct rates_world *rates)
{
    static const char sql[] =
        "UPDATE result SET bound_ms = iif(device = (SELECT id FROM device WHERE name = 't1'), -1,"
        " 3600000)";
    temp_fleet_change(rates->world->fleet, sql);
}

static int64_t counted(struct rates_world *rates, const char *where)
{
    sqlite3_stmt *row = NULL;
    char sql[512];
    (void)snprintf(sql, sizeof sql,
                   "SELECT count(*) FROM result r JOIN device d ON d.id = r.device WHERE %s",
                   where);
    assert_int_equal(sqlite3_prepare_v2(rates->db, sql, -1, &row, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(row), SQLITE_ROW);
    int64_t count = sqlite3_column_int64(row, 0);
    (void)sqlite3_finalize(row);
    return count;
}

static void what_may_lie_elsewhere_is_told(void **state)
{
    static const struct fleetdb_choice t2 = {FLEETDB_DIM_DEVICE, "t2", 0},
                                       code = {FLEETDB_DIM_CODE, "57", 0};
    const struct fleetdb_scope whole = {0};
    struct rates_world rates;
    char where[256];
    world_move_t1(*state, moved_ms);
    const struct fleetdb_scope part = world_scope(*state);
    open_world(state, &rates);
    loosen(&rates);
    const int64_t from = WORLD_WALL_MS - 20 * (int64_t)HOUR_MS, to = from + 10 * (int64_t)HOUR_MS;
    /* Of t1 nothing is known but that it was made before it came, which was after the window. */
    const int64_t t1s = counted(&rates, "d.name = 't1'");
    (void)snprintf(where, sizeof where,
                   "d.name = 't2' AND (abs(r.at_ms - %lld) <= 3600000 OR"
                   " abs(r.at_ms - %lld) <= 3600000)",
                   (long long)from, (long long)to);
    const int64_t t2s = counted(&rates, where);
    assert_true(t1s > 0 && t2s > 0 && t2s < t1s);
    assert_in_range(unsure(&rates, &t2, whole, from, to), t2s - 1, t2s + 1);
    assert_int_equal(unsure(&rates, NULL, whole, from, to),
                     t1s + unsure(&rates, &t2, whole, from, to));
    assert_int_equal(unsure(&rates, NULL, whole, WORLD_WALL_MS + HOUR_MS, INT64_MAX / 2), 0);
    /* Where it was made, and in which state, is of that moment. */
    (void)snprintf(where, sizeof where, "d.name = 't1' AND r.at_ms >= %lld", (long long)moved_ms);
    assert_int_equal(unsure(&rates, NULL, part, from, to), counted(&rates, where));
    assert_in_range(unsure(&rates, &code, whole, from, to), 1, t1s + t2s - 1);
    (void)sqlite3_close(rates.db);
}

static const char *source_of(struct rates_world *rates, enum fleetdb_dim by,
                             const struct fleetdb_choice *choice, int64_t from_ms, int64_t to_ms,
                             char text[32])
{
    struct fleetdb_rates *answer = NULL;
    const struct fleetdb_question question = {.by = by,
                                              .choices = choice,
                                              .choice_count = choice != NULL,
                                              .from_ms = from_ms,
                                              .to_ms = to_ms};
    assert_true(fleetdb_rates_open(rates->world->fleet->db, &question, &answer, NULL));
    (void)snprintf(text, 32, "%s", fleetdb_rates_source(answer));
    fleetdb_rates_close(answer);
    return text;
}

static void the_narrowest_sum_is_asked(void **state)
{
    static const struct fleetdb_choice device = {FLEETDB_DIM_DEVICE, "t1", 0};
    struct rates_world rates;
    char text[32];
    open_world(state, &rates);
    int64_t hour = WORLD_WALL_MS / HOUR_MS * HOUR_MS - 5 * HOUR_MS;
#define SOURCE(by, choice, from, to) source_of(&rates, FLEETDB_DIM_##by, choice, from, to, text)
    assert_string_equal(SOURCE(CODE, NULL, hour, hour + HOUR_MS), "code");
    assert_string_equal(SOURCE(CODE, NULL, hour + MINUTE_MS, hour + 3 * MINUTE_MS), "code");
    assert_string_equal(SOURCE(MODEL, NULL, hour, hour + HOUR_MS), "software");
    assert_string_equal(SOURCE(ENTRY, NULL, hour, hour + HOUR_MS), "entry");
    assert_string_equal(SOURCE(ISSUER, NULL, hour, hour + HOUR_MS), "issuer");
    assert_string_equal(SOURCE(TID, NULL, hour, hour + HOUR_MS), "device");
    assert_string_equal(SOURCE(CODE, &device, hour, hour + HOUR_MS), "device");
    assert_string_equal(SOURCE(MODEL, &device, hour, hour + HOUR_MS + MINUTE_MS),
                        "device and rows");
    assert_string_equal(SOURCE(ISSUER, &device, hour, hour + HOUR_MS), "rows");
    assert_string_equal(SOURCE(DEVICE, NULL, hour + MINUTE_MS, hour + HOUR_MS), "rows");
    (void)sqlite3_close(rates.db);
}

static void an_error_is_what_is_asked_for(void **state)
{
    struct rates_world rates;
    struct fleetdb_rates *answer = NULL;
    int64_t errors = 0, hits = 0;
    size_t count = 0;
    open_world(state, &rates);
    const struct fleetdb_question question = {.by = FLEETDB_DIM_CODE,
                                              .error_code = "57",
                                              .error_outcome = -1,
                                              .to_ms = WORLD_WALL_MS + HOUR_MS};
    assert_true(fleetdb_rates_open(rates.world->fleet->db, &question, &answer, NULL));
    for (bool done = false; !done;)
        assert_true(fleetdb_rates_step(answer, &done, NULL));
    const struct fleetdb_rate *list = fleetdb_rates_list(answer, &count);
    for (size_t i = 0; i < count; i++) {
        errors += list[i].errors;
        hits += strcmp(list[i].key, "57") == 0 ? list[i].results : 0;
    }
    assert_int_equal(errors, hits);
    assert_true(hits > 0);
    fleetdb_rates_close(answer);
    (void)sqlite3_close(rates.db);
}

/* ---- what a question costs ---- */

static int64_t steps; /* of SQLite's machine, in hundreds, on any connection */

static int count_step(void *ctx)
{
    (void)ctx;
    steps++;
    return 0;
}

static int count_steps(sqlite3 *db, const char **error, const struct sqlite3_api_routines *api)
{
    (void)error;
    (void)api;
    sqlite3_progress_handler(db, 100, count_step, NULL);
    return SQLITE_OK;
}

/* A day among ten years of them costs what a day costs. */
static void the_first_and_the_last_hour_are_looked_up(void **state)
{
    static const char years[] =
        "WITH RECURSIVE hour (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM hour WHERE n < 87600)"
        " INSERT INTO rollup_code_hour_sum SELECT (n << 30) + k.id, 1, 100 FROM hour,"
        " (SELECT min(id) AS id FROM rollup_key WHERE name = 'code') k";
    struct rates_world rates;
    struct fleetdb_rates *answer = NULL;
    open_world(state, &rates);
    temp_fleet_change(rates.world->fleet, years);
    const struct fleetdb_question question = {
        .by = FLEETDB_DIM_CODE,
        .from_ms = WORLD_WALL_MS - 24 * (int64_t)HOUR_MS,
        .to_ms = WORLD_WALL_MS,
    };
    steps = 0;
    assert_true(fleetdb_rates_open(rates.world->fleet->db, &question, &answer, NULL));
    for (bool done = false; !done;)
        assert_true(fleetdb_rates_step(answer, &done, NULL));
    assert_in_range(steps, 0, 500);
    fleetdb_rates_close(answer);
    (void)sqlite3_close(rates.db);
}

int main(void)
{
    (void)sqlite3_auto_extension((void (*)(void))count_steps);
#define TEST(name) cmocka_unit_test_setup_teardown(name, world_open, world_close)
    const struct CMUnitTest tests[] = {
        TEST(every_answer_is_that_of_the_rows),     TEST(a_part_of_the_fleet_is_told_of_its_own),
        TEST(what_may_lie_elsewhere_is_told),       TEST(the_narrowest_sum_is_asked),
        TEST(an_error_is_what_is_asked_for),        TEST(the_first_and_the_last_hour_are_looked_up),
        TEST(the_window_is_the_one_that_was_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
