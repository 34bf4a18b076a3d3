/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/fleetdb_internal.h"
#include "storage/fleetdb_rollups.h"

#include "fleet/truetime.h"
#include "storage/fleetdb_clock.h"
#include "storage/fleetdb_spans.h"
#include "storage/fleetdb_standing.h"
#include "tests/unit/collector_world.h"
#include "tests/unit/testing.h"

#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

enum { BOOT_ID_BYTES = 16, HOUR_MS = 3600 * 1000 };

static void sums_are_right(struct world *world)
{
    char text[120] = "";
    uint64_t wrong = 0;
    struct err err = {0};
    if (!fleetdb_rollups_check(world->fleet->db, &wrong, text, sizeof text, &err))
        fail_msg("%s", err.text);
    if (wrong != 0)
        fail_msg("%s", text);
    assert_true(fleetdb_spans_check(world->fleet->db, &wrong, NULL));
    assert_int_equal(wrong, 0);
}

/* One number, read beside the open database as anybody may. */
static int64_t number(struct world *world, const char *sql)
{
    return temp_fleet_number(world->fleet, sql);
}

static int64_t device_row(struct world *world)
{
    struct fleetdb_device device;
    assert_true(fleetdb_device_find(world->fleet->db, "t1", &device, NULL));
    return device.device;
}

static void each_result_is_in_every_sum(void **state)
{
    static const char *const tables[] = {"rollup_code_minute",   "rollup_code_hour",
                                         "rollup_issuer_hour",   "rollup_entry_hour",
                                         "rollup_software_hour", "rollup_device_hour"};
    struct world *world = *state;
    world_send_results(world, 5, 1, 20, 0);
    (void)collector_turn(world->collector);
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        char sql[96];
        (void)snprintf(sql, sizeof sql, "SELECT sum(results) FROM %s", tables[i]);
        assert_int_equal(number(world, sql), 20);
        (void)snprintf(sql, sizeof sql, "SELECT sum(amount_minor) FROM %s", tables[i]);
        assert_int_equal(number(world, sql), 20 * 21 / 2);
    }
    sums_are_right(world);
}

static void what_comes_twice_counts_once(void **state)
{
    struct world *world = *state;
    world_send_results(world, 5, 1, 20, 0);
    world_send_results(world, 5, 11, 30, 0);
    (void)collector_turn(world->collector);
    world_send_results(world, 5, 1, 30, 0);
    world_send_results(world, 5, 4, 4, 77); /* other content: the first one stays */
    (void)collector_turn(world->collector);
    assert_int_equal(number(world, "SELECT sum(results) FROM rollup_code_hour"), 30);
    assert_int_equal(number(world, "SELECT sum(amount_minor) FROM rollup_code_hour"), 30 * 31 / 2);
    sums_are_right(world);
}

/* A second id under the same idempotency key. */
static void a_second_id_is_not_counted(void **state)
{
    struct world *world = *state;
    world_send_results(world, 5, 1001, 1002, 0); /* keys 6001, 6002 */
    world_send_results(world, 6, 1, 2, 0);       /* the same keys */
    (void)collector_turn(world->collector);
    assert_int_equal(number(world, "SELECT count(*) FROM result_duplicate"), 2);
    assert_int_equal(number(world, "SELECT sum(results) FROM rollup_code_hour"), 2);
    sums_are_right(world);
}

static void a_rollback_takes_its_sums_along(void **state)
{
    struct world *world = *state;
    const struct fleetdb_counted counted = {.at_ms = WORLD_WALL_MS};
    assert_true(fleetdb_begin(world->fleet->db, NULL));
    assert_true(fleetdb_rollup_count(world->fleet->db, &counted, FLEETDB_ADD, NULL));
    fleetdb_rollback(world->fleet->db);
    world_send_results(world, 5, 1, 3, 0);
    (void)collector_turn(world->collector);
    assert_int_equal(number(world, "SELECT sum(results) FROM rollup_code_hour"), 3);
    sums_are_right(world);
}

/* What it is of got a number in a transaction that did not happen. */
static void a_rollback_takes_its_numbers_along(void **state)
{
    struct world *world = *state;
    struct fleetdb *db = world->fleet->db;
    static const struct fleetdb_counted lost = {.at_ms = WORLD_WALL_MS, .acquirer = 7};
    assert_true(fleetdb_begin(db, NULL));
    assert_true(fleetdb_rollup_count(db, &lost, FLEETDB_ADD, NULL));
    assert_true(fleetdb_rollups_write(db, NULL));
    fleetdb_rollback(db);
    assert_int_equal(number(world, "SELECT count(*) FROM rollup_key"), 0);
    assert_true(fleetdb_begin(db, NULL));
    assert_true(fleetdb_rollup_count(db, &lost, FLEETDB_ADD, NULL));
    assert_true(fleetdb_commit(db, NULL));
    assert_int_equal(number(world, "SELECT sum(results) FROM rollup_code_hour WHERE acquirer = 7"),
                     1);
}

static int refuse(void *ctx)
{
    (void)ctx;
    return 1;
}

/* A commit that fails, as of a full disk, gave no numbers. */
static void a_failed_commit_gives_no_numbers(void **state)
{
    struct world *world = *state;
    struct fleetdb *db = world->fleet->db;
    static const struct fleetdb_counted counted = {.at_ms = WORLD_WALL_MS, .acquirer = 7};
    sqlite3 *connection = sqlite3_db_handle(fleetdb_query(db, FLEETDB_PART_ROLLUPS, 0));
    assert_true(fleetdb_begin(db, NULL));
    assert_true(fleetdb_rollup_count(db, &counted, FLEETDB_ADD, NULL));
    (void)sqlite3_commit_hook(connection, refuse, NULL);
    assert_false(fleetdb_commit(db, NULL));
    (void)sqlite3_commit_hook(connection, NULL, NULL);
    assert_int_equal(number(world, "SELECT count(*) FROM rollup_key"), 0);
    assert_true(fleetdb_begin(db, NULL));
    assert_true(fleetdb_rollup_count(db, &counted, FLEETDB_ADD, NULL));
    assert_true(fleetdb_commit(db, NULL));
    assert_int_equal(number(world, "SELECT sum(results) FROM rollup_code_hour WHERE acquirer = 7"),
                     1);
}

/* The last number is taken: those that became free are given again. */
static void numbers_do_not_run_out(void **state)
{
    struct world *world = *state;
    world_send_results(world, 5, 1, 3, 0);
    (void)collector_turn(world->collector);
    temp_fleet_change(
        world->fleet,
        "INSERT INTO rollup_key SELECT 1073741823, 'none', acquirer, software, scheme,"
        " entry, issuer, type, outcome, code, currency, in_service, hour"
        " FROM rollup_key LIMIT 1");
    rollup_numbers_forget(&world->fleet->db->numbers);
    assert_true(fleetdb_begin(world->fleet->db, NULL));
    for (uint32_t i = 0; i < 5; i++) {
        const struct fleetdb_counted fresh = {.at_ms = WORLD_WALL_MS, .acquirer = 70 + i};
        assert_true(fleetdb_rollup_count(world->fleet->db, &fresh, FLEETDB_ADD, NULL));
    }
    assert_true(fleetdb_commit(world->fleet->db, NULL));
    assert_int_equal(number(world, "SELECT count(*) FROM rollup_code_hour WHERE acquirer >= 70"),
                     5);
    assert_int_equal(number(world, "SELECT max(id) FROM rollup_key WHERE name <> 'none'"),
                     number(world, "SELECT count(*) FROM rollup_key WHERE name <> 'none'"));
}

/* The same thing is of one number, whoever has the database open. */
static void what_a_sum_is_of_has_one_number(void **state)
{
    static const char numbers[] = "SELECT count(*) FROM rollup_key";
    struct world *world = *state;
    world_send_results(world, 5, 1, 30, 0);
    (void)collector_turn(world->collector);
    const int64_t before = number(world, numbers);
    assert_in_range(before, 4, 29); /* one of each name, and fewer than results */
    rollup_numbers_forget(&world->fleet->db->numbers); /* as after a restart */
    world_send_results(world, 5, 31, 60, 0);
    (void)collector_turn(world->collector);
    assert_int_equal(number(world, numbers), before);
    sums_are_right(world);
}

/* More things than are known by heart, each an hour later than the one before, and all once more.
 */
static void more_numbers_than_are_kept_in_memory(void **state)
{
    enum { THINGS = ROLLUP_NUMBERS_MAX / 2 + 1000 };
    struct world *world = *state;
    struct fleetdb *db = world->fleet->db;
    struct fleetdb_counted counted = {.stamp = {.in_service = true}};
    for (int round = 0; round < 2; round++) {
        assert_true(fleetdb_begin(db, NULL));
        for (uint32_t i = 0; i < THINGS; i++) {
            counted.acquirer = counted.scheme = i;
            counted.at_ms = (int64_t)(i + 1) * 3600000;
            assert_true(fleetdb_rollup_count(db, &counted, FLEETDB_ADD, NULL));
        }
        assert_true(fleetdb_commit(db, NULL));
    }
    assert_true(db->numbers.count <= ROLLUP_NUMBERS_MAX);
    assert_int_equal(number(world, "SELECT count(*) FROM rollup_key WHERE name = 'code'"), THINGS);
    assert_int_equal(number(world, "SELECT count(*) FROM rollup_code_hour WHERE results = 2"
                                   " AND bucket = acquirer + 1"),
                     THINGS);
    assert_int_equal(number(world, "SELECT count(*) FROM rollup_key WHERE name = 'code'"
                                   " AND hour = acquirer + 1"),
                     THINGS);
}

/* ---- when it was becomes known later ---- */

static void prove_boot(struct world *world, uint64_t incarnation, int64_t began_ms)
{
    static const uint8_t id[BOOT_ID_BYTES] = "the first boot.";
    struct fleetdb *db = world->fleet->db;
    struct fleetdb_boot boot;
    int64_t row = 0;
    assert_true(fleetdb_begin(db, NULL));
    assert_true(fleetdb_boot_find(db, device_row(world), bytes_of(id, sizeof id), WORLD_WALL_MS,
                                  &row, NULL));
    assert_true(fleetdb_boot_claim(db, device_row(world), incarnation, row, NULL));
    assert_true(fleetdb_boot_read(db, row, &boot, NULL));
    (void)truetime_sight(&boot, began_ms, 0, 10, TRUETIME_PPM);
    assert_true(fleetdb_boot_write(db, &boot, NULL));
    assert_true(fleetdb_commit(db, NULL));
}

static void send_with_boot_times(struct world *world, uint64_t incarnation, size_t count)
{
    enum { MAX = 16 };
    Muster__TxnResult txns[MAX];
    ProtobufCMessage *rows[MAX];
    for (size_t i = 0; i < count; i++) {
        muster__txn_result__init(&txns[i]);
        txns[i].wall_ms = 1000;
        txns[i].boot_ms = 60000 * (i + 1);
        txns[i].amount_minor = 100;
        txns[i].outcome = MUSTER__OUTCOME__OUTCOME_DECLINED;
        rows[i] = &txns[i].base;
    }
    const struct lane_rows lane = {.lane = MUSTER__LANE__LANE_TXN,
                                   .incarnation = incarnation,
                                   .first_seq = 1,
                                   .count = count,
                                   .rows = rows};
    struct buf batch = world_seal_lanes(world, "t1", &lane, 1);
    world_deliver(world, TOPIC_UP_BATCH, "t1", buf_bytes(&batch));
    buf_done(&batch);
}

/* The device was moved between the sales and their arrival. */
static void a_corrected_time_moves_them(void **state)
{
    struct world *world = *state;
    const int64_t hour = WORLD_WALL_MS / HOUR_MS - 5;
    char sql[160];
    send_with_boot_times(world, 5, 10);
    (void)collector_turn(world->collector);
    assert_int_equal(number(world, "SELECT count(DISTINCT bucket) FROM rollup_code_minute"), 1);
    prove_boot(world, 5, hour * HOUR_MS);
    collector_close(world->collector);
    world_start(world); /* looks for what a restart left */
    (void)collector_turn(world->collector);
    (void)snprintf(sql, sizeof sql, "SELECT sum(results) FROM rollup_code_hour WHERE bucket = %lld",
                   (long long)hour);
    assert_int_equal(number(world, sql), 10);
    assert_int_equal(number(world, "SELECT count(*) FROM rollup_code_hour"), 1);
    assert_int_equal(number(world, "SELECT count(DISTINCT bucket) FROM rollup_code_minute"), 10);
    sums_are_right(world);
}

static void suspend(struct world *world, int64_t now_ms)
{
    const struct fleetdb_change change = {.who = "test", .why = "suspended", .now_ms = now_ms};
    temp_fleet_change(world->fleet, "UPDATE device SET life_cycle = 'suspended' WHERE name = 't1'");
    assert_true(fleetdb_begin(world->fleet->db, NULL));
    assert_true(fleetdb_standing_follow(world->fleet->db, device_row(world), &change, NULL));
    assert_true(fleetdb_commit(world->fleet->db, NULL));
}

static void a_sale_counts_for_the_life_it_was_made_in(void **state)
{
    struct world *world = *state;
    world_send_results(world, 5, 1, 10, 0);
    (void)collector_turn(world->collector);
    suspend(world, WORLD_WALL_MS - HOUR_MS);
    world_send_results(world, 5, 11, 13, 0);
    (void)collector_turn(world->collector);
    assert_int_equal(
        number(world, "SELECT sum(results) FROM rollup_code_hour WHERE in_service = 0"), 3);
    assert_int_equal(
        number(world, "SELECT sum(results) FROM rollup_code_hour WHERE in_service = 1"), 10);
    /* At the true moment it was in service still. */
    send_with_boot_times(world, 6, 4);
    (void)collector_turn(world->collector);
    prove_boot(world, 6, WORLD_WALL_MS - 3 * HOUR_MS);
    collector_close(world->collector);
    world_start(world);
    (void)collector_turn(world->collector);
    assert_int_equal(
        number(world, "SELECT sum(results) FROM rollup_code_hour WHERE in_service = 1"), 14);
    sums_are_right(world);
}

/* ---- what a lying terminal may send ---- */

static void absurd_values_break_nothing(void **state)
{
    enum { COUNT = 3 };
    struct world *world = *state;
    Muster__TxnResult txns[COUNT];
    ProtobufCMessage *rows[COUNT];
    uint8_t long_generation[40] = {1};
    for (size_t i = 0; i < COUNT; i++) {
        muster__txn_result__init(&txns[i]);
        txns[i].amount_minor = UINT64_MAX - i;
        txns[i].code = (char *)"a code of no host";
        txns[i].issuer_bucket = (char *)"an issuer with far too long a name to be one";
        txns[i].firmware_version = (char *)"a firmware with a name that nobody would ever give to "
                                           "any firmware in this world";
        txns[i].generation = (ProtobufCBinaryData){sizeof long_generation, long_generation};
        txns[i].acquirer = UINT32_MAX;
        txns[i].wall_ms = WORLD_WALL_MS;
        rows[i] = &txns[i].base;
    }
    const struct lane_rows lane = {.lane = MUSTER__LANE__LANE_TXN,
                                   .incarnation = 5,
                                   .first_seq = 1,
                                   .count = COUNT,
                                   .rows = rows};
    struct buf batch = world_seal_lanes(world, "t1", &lane, 1);
    world_deliver(world, TOPIC_UP_BATCH, "t1", buf_bytes(&batch));
    buf_done(&batch);
    (void)collector_turn(world->collector);
    assert_int_equal(number(world, "SELECT sum(results) FROM rollup_device_hour"), COUNT);
    assert_int_equal(number(world, "SELECT count(*) FROM rollup_code_hour WHERE code = '?'"), 1);
    assert_int_equal(number(world, "SELECT sum(amount_minor) FROM rollup_issuer_hour"), 0);
    sums_are_right(world);
}

/* A sum that cannot be exact any more stays a sum. */
static void a_sum_may_grow_beyond_all_numbers(void **state)
{
    struct world *world = *state;
    world_send_results(world, 5, 1, 5, 0);
    (void)collector_turn(world->collector);
    temp_fleet_change(world->fleet,
                      "UPDATE rollup_code_hour_sum SET amount_minor = 9223372036854775807");
    world_send_results(world, 5, 6, 9, 0);
    (void)collector_turn(world->collector);
    assert_int_equal(world->failures, 0);
    assert_int_equal(number(world, "SELECT sum(results) FROM rollup_code_hour"), 9);
}

/* More rows of sums than wait at once. */
static void a_great_transaction_is_written_in_parts(void **state)
{
    struct world *world = *state;
    struct fleetdb *db = world->fleet->db;
    struct fleetdb_counted counted = {.stamp = {.in_service = true}};
    int64_t sum = 0;
    assert_true(fleetdb_begin(db, NULL));
    for (uint32_t i = 0; i < 20000; i++) {
        counted.acquirer = i;
        counted.at_ms = (int64_t)i * 60000;
        assert_true(fleetdb_rollup_count(db, &counted, FLEETDB_ADD, NULL));
    }
    assert_true(fleetdb_commit(db, NULL));
    sum = number(world, "SELECT sum(results) FROM rollup_code_minute");
    assert_int_equal(sum, 20000);
    assert_true(fleetdb_begin(db, NULL));
    for (uint32_t i = 0; i < 20000; i++) {
        counted.acquirer = i;
        counted.at_ms = (int64_t)i * 60000;
        assert_true(fleetdb_rollup_count(db, &counted, FLEETDB_TAKE, NULL));
    }
    assert_true(fleetdb_commit(db, NULL));
    assert_int_equal(number(world, "SELECT count(*) FROM rollup_code_minute"), 0);
    sums_are_right(world);
}

/* The check itself sees what is wrong. */
static void a_wrong_sum_is_found(void **state)
{
    struct world *world = *state;
    char path[128], text[120] = "";
    sqlite3 *db = NULL;
    uint64_t wrong = 0;
    world_send_results(world, 5, 1, 5, 0);
    (void)collector_turn(world->collector);
    (void)snprintf(path, sizeof path, "%s/fleet.db", world->fleet->dir);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "UPDATE rollup_entry_hour_sum SET results = results + 1",
                                  NULL, NULL, NULL),
                     SQLITE_OK);
    (void)sqlite3_close(db);
    assert_true(fleetdb_rollups_check(world->fleet->db, &wrong, text, sizeof text, NULL));
    assert_int_equal(wrong, 2); /* the one that is there, and the one that should be */
    assert_non_null(strstr(text, "rollup_entry_hour"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, world_open, world_close)
    const struct CMUnitTest tests[] = {
        TEST(each_result_is_in_every_sum),
        TEST(what_comes_twice_counts_once),
        TEST(a_second_id_is_not_counted),
        TEST(a_rollback_takes_its_sums_along),
        TEST(a_rollback_takes_its_numbers_along),
        TEST(a_failed_commit_gives_no_numbers),
        TEST(numbers_do_not_run_out),
        TEST(what_a_sum_is_of_has_one_number),
        TEST(more_numbers_than_are_kept_in_memory),
        TEST(a_corrected_time_moves_them),
        TEST(a_sale_counts_for_the_life_it_was_made_in),
        TEST(absurd_values_break_nothing),
        TEST(a_sum_may_grow_beyond_all_numbers),
        TEST(a_great_transaction_is_written_in_parts),
        TEST(a_wrong_sum_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
