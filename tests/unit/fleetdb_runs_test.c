/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/fleetdb_runs.h"

#include "storage/fleetdb_keeping.h"
#include "storage/fleetdb_records.h"
#include "tests/unit/collector_world.h"
#include "tests/unit/testing.h"
#include "tests/world/rng.h"

#include <stdio.h>
#include <string.h>

enum { SEQS = 60, ROUNDS = 300 };

static int64_t sql(struct world *world, const char *text)
{
    return temp_fleet_number(world->fleet, text);
}

static int64_t rows(struct world *world)
{
    return sql(world, "SELECT count(*) FROM result");
}

static void runs_name_every_row_once(struct world *world)
{
    assert_int_equal(sql(world, "SELECT count(*) FROM result r WHERE 1 <> (SELECT count(*)"
                                " FROM result_run u WHERE (u.device, u.incarnation)"
                                " = (r.device, r.incarnation) AND r.seq BETWEEN u.first_seq AND"
                                " u.last_seq AND u.first_row + r.seq - u.first_seq = r.id)"),
                     0);
    assert_int_equal(sql(world, "SELECT total(last_seq - first_seq + 1) FROM result_run"),
                     rows(world));
}

static void send(struct world *world, const char *device, uint64_t first, uint64_t last)
{
    struct buf batch = world_seal_results(world, device, 5, first, last, 0);
    world_deliver(world, TOPIC_UP_BATCH, device, buf_bytes(&batch));
    buf_done(&batch);
}

static void a_batch_is_one_run(void **state)
{
    struct world *world = *state;
    send(world, "t1", 1, 20);
    send(world, "t2", 1, 5);
    send(world, "t1", 21, 30);
    (void)collector_turn(world->collector);
    assert_int_equal(sql(world, "SELECT count(*) FROM result_run"), 3);
    runs_name_every_row_once(world);
}

/* When no other device's rows come between. */
static void a_run_goes_on_in_the_next_batch(void **state)
{
    struct world *world = *state;
    for (uint64_t first = 1; first <= 21; first += 10) {
        send(world, "t1", first, first + 9);
        (void)collector_turn(world->collector);
    }
    assert_int_equal(sql(world, "SELECT count(*) FROM result_run"), 1);
    send(world, "t2", 1, 5);
    (void)collector_turn(world->collector);
    send(world, "t1", 31, 40);
    (void)collector_turn(world->collector);
    assert_int_equal(sql(world, "SELECT count(*) FROM result_run"), 3);
    runs_name_every_row_once(world);
}

static void in_any_order_each_is_taken_once(void **state)
{
    struct world *world = *state;
    struct rng rng = rng_of(7);
    uint64_t taken = 0;
    bool has[2][SEQS + 1] = {{false}};
    for (size_t round = 0; round < ROUNDS; round++) {
        size_t device = rng_below(&rng, 2);
        uint64_t first = 1 + rng_below(&rng, SEQS), last = first + rng_below(&rng, 8);
        if (last > SEQS)
            last = SEQS;
        send(world, device == 0 ? "t1" : "t2", first, last);
        for (uint64_t seq = first; seq <= last; seq++) {
            taken += !has[device][seq];
            has[device][seq] = true;
        }
        if (rng_below(&rng, 3) == 0)
            (void)collector_turn(world->collector);
        world_forget_sent(world);
    }
    (void)collector_turn(world->collector);
    assert_int_equal(rows(world), taken);
    assert_int_equal(world->metrics.values[METRIC_CONFLICTS], 0);
    runs_name_every_row_once(world);
}

/* Some have second ids, which have no rows: the runs leave them out. */
static void second_ids_are_in_no_run(void **state)
{
    struct world *world = *state;
    world_send_results(world, 5, 1003, 1004, 0); /* keys 6003, 6004 */
    world_send_results(world, 6, 1, 8, 2000);    /* and again as 3 and 4 */
    world_send_results(world, 6, 1, 8, 2000);
    (void)collector_turn(world->collector);
    assert_int_equal(sql(world, "SELECT count(*) FROM result_duplicate"), 2);
    assert_int_equal(sql(world, "SELECT count(*) FROM result_run"), 3);
    assert_int_equal(world->metrics.values[METRIC_REPEATS], 8);
    runs_name_every_row_once(world);
}

/* By age, say; and the numbers of the newest rows are given again. */
static void what_was_removed_is_no_news(void **state)
{
    struct world *world = *state;
    send(world, "t1", 1, 6);
    (void)collector_turn(world->collector);
    temp_fleet_change(world->fleet, "DELETE FROM result WHERE seq > 2");
    world_send_results(world, 5, 1, 6, 0);
    (void)collector_turn(world->collector);
    assert_int_equal(rows(world), 2);
    send(world, "t2", 101, 104);
    world_send_results(world, 5, 1, 6, 0);
    (void)collector_turn(world->collector);
    assert_int_equal(rows(world), 6);
    assert_int_equal(world->metrics.values[METRIC_REPEATS], 12);
    assert_int_equal(world->metrics.values[METRIC_CONFLICTS], 0);
}

/* Open matters, too, if `all`. */
static void age(struct world *world, bool all)
{
    const int64_t later_ms = WORLD_WALL_MS + INT64_C(1000) * 86400000;
    const struct fleetdb_ageing ageing = {later_ms, all ? later_ms : 0, 7};
    int64_t after = 0;
    uint64_t removed = 0;
    bool more = true;
    while (more)
        assert_true(fleetdb_age(world->fleet->db, FLEETDB_KEPT_RESULTS, &ageing, &after, &removed,
                                &more, NULL));
}

static int64_t runs_of(struct world *world, const char *device)
{
    char text[128];
    (void)snprintf(text, sizeof text,
                   "SELECT count(*) FROM result_run u JOIN device d ON d.id = u.device"
                   " WHERE d.name = '%s'",
                   device);
    return sql(world, text);
}

static void runs_whose_rows_are_gone_become_one(void **state)
{
    struct world *world = *state;
    for (uint64_t first = 1; first <= 31; first += 5) {
        send(world, "t1", first, first + 4);
        send(world, "t2", first, first == 16 ? 18 : first + 4); /* 19 and 20 come later */
    }
    (void)collector_turn(world->collector);
    assert_int_equal(runs_of(world, "t1"), 7);
    temp_fleet_change(world->fleet, "UPDATE result SET reversal_pending = 1 WHERE seq = 17"
                                    " AND device = (SELECT id FROM device WHERE name = 't1')");
    age(world, false);
    assert_int_equal(rows(world), 1);
    assert_int_equal(runs_of(world, "t1"), 3); /* before it, its own, and behind it */
    age(world, true);
    assert_int_equal(rows(world), 0);
    assert_int_equal(runs_of(world, "t1"), 1);
    assert_int_equal(runs_of(world, "t2"), 2);
    /* All of them stay known, and what was never there is new. */
    world->metrics.values[METRIC_REPEATS] = 0;
    send(world, "t1", 1, 35);
    send(world, "t2", 1, 35);
    (void)collector_turn(world->collector);
    assert_int_equal(rows(world), 2);
    assert_int_equal(world->metrics.values[METRIC_REPEATS], 68);
    assert_int_equal(world->metrics.values[METRIC_CONFLICTS], 0);
    send(world, "t1", 36, 40);
    (void)collector_turn(world->collector);
    assert_int_equal(rows(world), 7);
    assert_int_equal(runs_of(world, "t1"), 2); /* with rows, and without */
    age(world, true);
    assert_int_equal(sql(world, "SELECT count(*) FROM result_run"), 2);
    assert_int_equal(sql(world, "SELECT total(last_seq - first_seq + 1) FROM result_run"), 75);
}

/* Rows of the same stream that came later have the numbers of its last ones. */
static void a_run_is_gone_whoever_has_its_numbers(void **state)
{
    struct world *world = *state;
    send(world, "t1", 1, 4);
    (void)collector_turn(world->collector);
    temp_fleet_change(world->fleet, "DELETE FROM result WHERE seq > 2");
    send(world, "t1", 5, 8);
    (void)collector_turn(world->collector);
    assert_int_equal(sql(world, "SELECT id FROM result WHERE seq = 5"), 3);
    temp_fleet_change(world->fleet, "UPDATE result SET reversal_pending = 1 WHERE seq = 5");
    age(world, false);
    assert_int_equal(rows(world), 1);
    assert_int_equal(sql(world, "SELECT last_seq FROM result_run WHERE first_row < 0"), 4);
    age(world, true);
    assert_int_equal(sql(world, "SELECT last_seq FROM result_run WHERE first_row < 0"), 8);
    assert_int_equal(runs_of(world, "t1"), 1);
}

/* ---- without a collector before it ---- */

static enum fleetdb_insert insert(struct world *world, uint64_t seq, uint64_t digest)
{
    struct fleetdb_device device;
    assert_true(fleetdb_device_find(world->fleet->db, "t1", &device, NULL));
    return temp_fleet_result(world->fleet, (struct fleetdb_record){.device = device.device,
                                                                   .incarnation = UINT64_MAX,
                                                                   .seq = seq,
                                                                   .digest = digest,
                                                                   .received_ms = WORLD_WALL_MS,
                                                                   .at_ms = WORLD_WALL_MS});
}

/* The caller thinks that all of them are new. */
static void an_id_is_held_once(void **state)
{
    struct world *world = *state;
    assert_int_equal(insert(world, 7, 1), FLEETDB_NEW);
    assert_int_equal(insert(world, 7, 1), FLEETDB_SAME);
    assert_int_equal(insert(world, 7, 2), FLEETDB_CONFLICT);
    assert_true(fleetdb_begin(world->fleet->db, NULL));
    for (uint64_t seq = 5; seq <= 9; seq++)
        assert_int_equal(insert(world, seq, 1), seq == 7 ? FLEETDB_SAME : FLEETDB_NEW);
    for (uint64_t seq = 9; seq >= 5; seq--)
        assert_int_equal(insert(world, seq, 2), FLEETDB_CONFLICT);
    assert_true(fleetdb_commit(world->fleet->db, NULL));
    for (uint64_t seq = 5; seq <= 9; seq++)
        assert_int_equal(insert(world, seq, 1), FLEETDB_SAME);
    assert_int_equal(sql(world, "SELECT count(*) FROM result_run"), 3);
    runs_name_every_row_once(world);
}

static void a_rollback_forgets_the_run(void **state)
{
    struct world *world = *state;
    for (size_t round = 0; round < 2; round++) {
        assert_true(fleetdb_begin(world->fleet->db, NULL));
        for (uint64_t seq = 1; seq <= 3; seq++)
            assert_int_equal(insert(world, seq, 1), FLEETDB_NEW);
        if (round == 0)
            fleetdb_rollback(world->fleet->db);
        else
            assert_true(fleetdb_commit(world->fleet->db, NULL));
    }
    assert_int_equal(sql(world, "SELECT count(*) FROM result_run"), 1);
    runs_name_every_row_once(world);
}

/* Whatever came between. */
static void rows_apart_are_runs_apart(void **state)
{
    struct world *world = *state;
    static const int64_t rows[] = {0, 10, 11, 13, 14};
    struct fleetdb_run_id id = {1, 5, 0};
    bool held = true;
    int64_t row = 0;
    assert_true(fleetdb_begin(world->fleet->db, NULL));
    for (id.seq = 1; id.seq <= 4; id.seq++) {
        assert_true(fleetdb_run_look(world->fleet->db, &id, &held, &row, NULL) && !held);
        assert_true(fleetdb_run_add(world->fleet->db, &id, rows[id.seq], NULL));
    }
    assert_true(fleetdb_commit(world->fleet->db, NULL));
    for (id.seq = 1; id.seq <= 4; id.seq++) {
        assert_true(fleetdb_run_look(world->fleet->db, &id, &held, &row, NULL) && held);
        assert_int_equal(row, rows[id.seq]);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, world_open, world_close)
    const struct CMUnitTest tests[] = {
        TEST(a_run_goes_on_in_the_next_batch),
        TEST(runs_whose_rows_are_gone_become_one),
        TEST(a_run_is_gone_whoever_has_its_numbers),
        TEST(a_batch_is_one_run),
        TEST(in_any_order_each_is_taken_once),
        TEST(second_ids_are_in_no_run),
        TEST(what_was_removed_is_no_news),
        TEST(an_id_is_held_once),
        TEST(a_rollback_forgets_the_run),
        TEST(rows_apart_are_runs_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
