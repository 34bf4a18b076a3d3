/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/fleetdb_spans.h"

#include "storage/fleetdb_clock.h"
#include "storage/fleetdb_keeping.h"
#include "tests/unit/temp_fleet.h"
#include "tests/unit/testing.h"
#include "tests/world/rng.h"

#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

enum { ROWS = 400, BUCKETS = 5, STEPS = 1500 };

/* Of when each row is, from row 1 to the last one; 0: it is not there any more. */
struct model {
    int64_t at_ms[ROWS + 1], came_ms[ROWS + 1];
    int64_t count;
};

struct play {
    struct temp_fleet *fleet;
    int64_t device;
    uint64_t seq;
    struct rng rng;
    struct model model, committed;
    uint64_t aged;
};

static int64_t some_time(struct play *play, int64_t bucket)
{
    return bucket * fleetdb_span_ms + (int64_t)rng_below(&play->rng, (uint64_t)fleetdb_span_ms);
}

static int64_t some_bucket(struct play *play)
{
    return 1 + (int64_t)rng_below(&play->rng, BUCKETS);
}

static void add_one(struct play *play, int64_t bucket)
{
    struct model *model = &play->model;
    const int64_t at_ms = some_time(play, bucket);
    const struct fleetdb_record record = {.device = play->device,
                                          .incarnation = 1,
                                          .seq = ++play->seq,
                                          .digest = play->seq,
                                          .received_ms = (int64_t)play->seq * 1000,
                                          .at_ms = at_ms};
    assert_int_equal(temp_fleet_result(play->fleet, record), FLEETDB_NEW);
    model->at_ms[++model->count] = at_ms;
    model->came_ms[model->count] = record.received_ms;
}

/* Mostly as things are: many of one quarter of an hour follow one another. */
static void add(struct play *play)
{
    const int64_t bucket = some_bucket(play);
    const uint64_t most = rng_below(&play->rng, 10) == 0 ? 100 : 6;
    for (uint64_t i = rng_below(&play->rng, most); play->model.count < ROWS && i > 0; i--)
        add_one(play, bucket);
}

static void correct_the_time_of_one(struct play *play)
{
    struct model *model = &play->model;
    const int64_t row = 1 + (int64_t)rng_below(&play->rng, (uint64_t)model->count);
    if (model->at_ms[row] == 0)
        return;
    const struct fleetdb_loose judged = {.id = row, .at_ms = some_time(play, some_bucket(play))};
    assert_true(fleetdb_redo_write(play->fleet->db, 1, &judged, NULL));
    model->at_ms[row] = judged.at_ms;
}

/* The next row has the number behind the last one that is there. */
static void forget_the_end(struct model *model)
{
    while (model->count > 0 && model->at_ms[model->count] == 0)
        model->count--;
}

/* As the erasure of a merchant may. */
static void remove_the_newest(struct play *play, int64_t count)
{
    struct model *model = &play->model;
    sqlite3 *beside = temp_fleet_beside(play->fleet);
    char sql[64];
    const int64_t left = model->count > count ? model->count - count : 0;
    (void)snprintf(sql, sizeof sql, "DELETE FROM result WHERE id > %lld", (long long)left);
    assert_int_equal(sqlite3_exec(beside, sql, NULL, NULL, NULL), SQLITE_OK);
    (void)sqlite3_close(beside);
    assert_true(fleetdb_begin(play->fleet->db, NULL));
    for (; model->count > left; model->count--)
        assert_true(
            model->at_ms[model->count] == 0 ||
            fleetdb_span_gone(play->fleet->db, model->at_ms[model->count], model->count, NULL));
    assert_true(fleetdb_commit(play->fleet->db, NULL));
    forget_the_end(model);
}

/* By age, in steps of a few rows: it goes as far as all came before that time, and what was made
 * later, or is by now, stays. */
static void remove_the_old(struct play *play)
{
    struct model *model = &play->model;
    const int64_t before_ms = some_time(play, some_bucket(play));
    const struct fleetdb_ageing ageing = {.before_ms = before_ms,
                                          .open_before_ms = before_ms,
                                          .rows = 1 + (int64_t)rng_below(&play->rng, 20)};
    uint64_t removed = 0, sum = 0, old = 0;
    int64_t after = 0;
    for (bool more = true; more; sum += removed)
        assert_true(fleetdb_age(play->fleet->db, FLEETDB_KEPT_RESULTS, &ageing, &after, &removed,
                                &more, NULL));
    for (int64_t row = 1; row <= model->count; row++) {
        if (model->at_ms[row] == 0)
            continue;
        if (model->came_ms[row] >= before_ms)
            break;
        if (model->at_ms[row] >= before_ms)
            continue;
        model->at_ms[row] = 0;
        old++;
    }
    assert_int_equal(sum, old);
    play->aged += old;
    forget_the_end(model);
}

static int64_t of_quarter(const struct model *model, int64_t bucket)
{
    int64_t count = 0;
    for (int64_t row = 1; row <= model->count; row++)
        count += model->at_ms[row] / fleetdb_span_ms == bucket;
    return count;
}

static void each_is_found_once(struct play *play)
{
    sqlite3 *beside = temp_fleet_beside(play->fleet);
    sqlite3_stmt *count = NULL;
    uint64_t wrong = 1;
    assert_int_equal(sqlite3_prepare_v2(beside,
                                        "SELECT count(*) FROM " FLEETDB_RESULTS_BETWEEN("result"),
                                        -1, &count, NULL),
                     SQLITE_OK);
    for (int64_t bucket = 1; bucket <= BUCKETS; bucket++) {
        (void)sqlite3_bind_int64(count, 1, bucket * fleetdb_span_ms);
        (void)sqlite3_bind_int64(count, 2, (bucket + 1) * fleetdb_span_ms);
        assert_int_equal(sqlite3_step(count), SQLITE_ROW);
        assert_int_equal(sqlite3_column_int64(count, 0), of_quarter(&play->model, bucket));
        (void)sqlite3_reset(count);
    }
    (void)sqlite3_finalize(count);
    (void)sqlite3_close(beside);
    assert_true(fleetdb_spans_check(play->fleet->db, &wrong, NULL));
    assert_int_equal(wrong, 0);
}

/* Results come, their times are corrected, the old go by age and the newest are removed, so that
 * their numbers are given again; some of it is rolled back. */
static void whatever_happens_each_is_found_once(void **state)
{
    struct play play = {.fleet = *state, .rng = rng_of(99)};
    struct fleetdb *db = play.fleet->db;
    play.device = temp_fleet_device(play.fleet, "t1");
    assert_true(fleetdb_begin(db, NULL));
    for (size_t step = 0; step < STEPS; step++) {
        if (rng_below(&play.rng, 3) > 0)
            add(&play);
        else if (play.model.count > 0)
            correct_the_time_of_one(&play);
        if (rng_below(&play.rng, 6) > 0)
            continue;
        if (rng_below(&play.rng, 4) == 0) {
            fleetdb_rollback(db);
            play.model = play.committed;
        } else {
            assert_true(fleetdb_commit(db, NULL));
        }
        if (play.model.count > ROWS / 2)
            remove_the_newest(&play, (int64_t)rng_below(&play.rng, ROWS / 4));
        if (rng_below(&play.rng, 3) == 0)
            remove_the_old(&play);
        play.committed = play.model;
        each_is_found_once(&play);
        assert_true(fleetdb_begin(db, NULL));
    }
    fleetdb_rollback(db);
    assert_true(play.aged > 1000);
}

/* What comes under numbers that are given again is of another time: what is left of a span that
 * went on over them must not say that it has them. */
static void numbers_given_again_are_of_what_came_last(void **state)
{
    static const int64_t comes[] = {1, 2, 1};
    struct play play = {.fleet = *state, .rng = rng_of(1)};
    struct fleetdb *db = play.fleet->db;
    play.device = temp_fleet_device(play.fleet, "t1");
    assert_true(fleetdb_begin(db, NULL));
    for (size_t i = 0; i < 6; i++)
        add_one(&play, 1);
    assert_true(fleetdb_commit(db, NULL));
    remove_the_newest(&play, sizeof comes / sizeof *comes);
    assert_true(fleetdb_begin(db, NULL));
    for (size_t i = 0; i < sizeof comes / sizeof *comes; i++)
        add_one(&play, comes[i]);
    assert_true(fleetdb_commit(db, NULL));
    each_is_found_once(&play);
}

static int64_t number(const struct play *play, const char *sql)
{
    return temp_fleet_number(play->fleet, sql);
}

/* Live results are mostly of one quarter of an hour: it goes on over batches. */
static void what_follows_is_one_span(void **state)
{
    struct play play = {.fleet = *state, .rng = rng_of(1)};
    struct fleetdb *db = play.fleet->db;
    play.device = temp_fleet_device(play.fleet, "t1");
    for (uint64_t seq = 1; seq <= 90; seq++) {
        const struct fleetdb_record record = {.device = play.device,
                                              .incarnation = 1,
                                              .seq = seq,
                                              .at_ms = (int64_t)seq * fleetdb_span_ms / 30};
        if (seq % 7 == 1)
            assert_true(fleetdb_begin(db, NULL));
        assert_int_equal(temp_fleet_result(play.fleet, record), FLEETDB_NEW);
        if (seq % 7 == 0)
            assert_true(fleetdb_commit(db, NULL));
    }
    assert_true(fleetdb_commit(db, NULL));
    assert_int_equal(number(&play, "SELECT count(*) FROM result_span"), 4);
    assert_int_equal(number(&play, "SELECT total(last_row - first_row + 1) FROM result_span"), 90);
}

/* A check that finds nothing proves nothing. */
static void what_is_wrong_is_seen(void **state)
{
    static const char *const wrongs[] = {"DELETE FROM result_span",
                                         "INSERT INTO result_span VALUES (0, 1, 3)",
                                         "INSERT INTO result_span VALUES (0, 2, 2), (9, 1, 3)"};
    struct play play = {.fleet = *state};
    play.device = temp_fleet_device(play.fleet, "t1");
    for (uint64_t seq = 1; seq <= 3; seq++)
        (void)temp_fleet_result(
            play.fleet,
            (struct fleetdb_record){.device = play.device, .incarnation = 1, .seq = seq});
    for (size_t i = 0; i < sizeof wrongs / sizeof *wrongs; i++) {
        uint64_t wrong = 0;
        sqlite3 *beside = temp_fleet_beside(play.fleet);
        assert_int_equal(sqlite3_exec(beside, wrongs[i], NULL, NULL, NULL), SQLITE_OK);
        (void)sqlite3_close(beside);
        assert_true(fleetdb_spans_check(play.fleet->db, &wrong, NULL));
        assert_int_equal(wrong, i == 0 ? 3 : i == 1 ? 0 : 2);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, temp_fleet_open, temp_fleet_close)
    const struct CMUnitTest tests[] = {
        TEST(whatever_happens_each_is_found_once),
        TEST(numbers_given_again_are_of_what_came_last),
        TEST(what_follows_is_one_span),
        TEST(what_is_wrong_is_seen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
