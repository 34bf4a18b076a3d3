/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/recorder.h"

#include "proto/limits.h"
#include "tests/unit/temp_spool.h"
#include "tests/unit/testing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct world {
    struct temp_spool temp;
    uv_loop_t loop;
    uv_idle_t idle; /* keeps the loop turning, as sockets do in the agent */
    struct recorder *recorder;
    unsigned commits, failures;
    enum haste haste; /* of the last commit */
    unsigned answered, duplicates, refused;
    uint64_t last_seq;
};

static void on_stored(void *ctx, enum haste haste)
{
    struct world *world = ctx;
    world->commits++;
    world->haste = haste;
}

static void on_failed(void *ctx, size_t count, const struct err *err)
{
    struct world *world = ctx;
    assert_int_not_equal(count, 0);
    assert_int_not_equal(err->code, ERR_NONE);
    world->failures += err->code != ERR_FULL;
}

static void on_done(void *ctx, const struct spool_record *record, const struct err *err)
{
    struct world *world = ctx;
    world->answered++;
    if (record == NULL) {
        assert_non_null(err);
        world->refused++;
        return;
    }
    world->duplicates += record->duplicate ? 1 : 0;
    world->last_seq = record->seq;
}

static void on_idle(uv_idle_t *idle)
{
    (void)idle;
}

static int set_up(void **state)
{
    static const struct recorder_events events = {.stored = on_stored, .failed = on_failed};
    struct world *world = calloc(1, sizeof *world);
    struct err err = {0};
    temp_spool_open(&world->temp);
    uv_loop_init(&world->loop);
    uv_idle_init(&world->loop, &world->idle);
    uv_idle_start(&world->idle, on_idle);
    assert_true(
        recorder_open(&world->loop, world->temp.spool, &events, world, &world->recorder, &err));
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;
    recorder_close(world->recorder);
    uv_close((uv_handle_t *)&world->idle, NULL);
    uv_run(&world->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&world->loop), 0);
    temp_spool_close(&world->temp);
    free(world);
    return 0;
}

static void add(struct world *world, const char *key, const char *rrn)
{
    Muster__TxnResult txn = MUSTER__TXN_RESULT__INIT;
    struct err err = {0};
    txn.outcome = MUSTER__OUTCOME__OUTCOME_APPROVED;
    txn.rrn = (char *)(uintptr_t)rrn;
    assert_true(recorder_add(world->recorder, MUSTER__LANE__LANE_TXN, HASTE_LINGERS,
                             bytes_of(key, strlen(key)), &txn.base, on_done, world, &err));
}

static void turn(struct world *world)
{
    uv_run(&world->loop, UV_RUN_NOWAIT);
}

static void test_all_of_one_turn_share_one_commit(void **state)
{
    struct world *world = *state;
    add(world, "a", "1");
    add(world, "b", "2");
    add(world, "c", "3");
    assert_int_equal(world->answered, 0); /* nobody is answered before the commit */
    turn(world);
    assert_int_equal(world->answered, 3);
    assert_int_equal(world->commits, 1);
    assert_int_equal(world->last_seq, 3);
    assert_int_equal(recorder_counts(world->recorder).accepted, 3);
}

static void on_done_more(void *ctx, const struct spool_record *record, const struct err *err)
{
    struct world *world = ctx;
    on_done(ctx, record, err);
    if (world->answered == 1)
        add(world, "b", "2");
}

static void test_what_is_added_with_an_answer_is_committed_too(void **state)
{
    struct world *world = *state;
    Muster__TxnResult txn = MUSTER__TXN_RESULT__INIT;
    struct err err = {0};
    txn.outcome = MUSTER__OUTCOME__OUTCOME_APPROVED;
    assert_true(recorder_add(world->recorder, MUSTER__LANE__LANE_TXN, HASTE_LINGERS,
                             bytes_of("a", 1), &txn.base, on_done_more, world, &err));
    turn(world);
    turn(world);
    assert_int_equal(world->answered, 2);
    assert_int_equal(world->commits, 2);
    turn(world); /* nothing is left to commit */
    add(world, "c", "3");
    turn(world);
    assert_int_equal(world->answered, 3);
}

static void test_a_repeated_key_gets_the_first_answer(void **state)
{
    struct world *world = *state;
    add(world, "a", "1");
    turn(world);
    add(world, "b", "2");
    add(world, "a", "1");
    turn(world);
    assert_int_equal(world->duplicates, 1);
    assert_int_equal(world->last_seq, 1);
    add(world, "a", "1");
    turn(world);
    assert_int_equal(world->duplicates, 2);
    assert_int_equal(world->commits, 2); /* a turn of duplicates alone stores nothing */
    assert_int_equal(recorder_counts(world->recorder).duplicates, 2);
}

static void test_a_full_turn_does_not_wait(void **state)
{
    struct world *world = *state;
    char key[16];
    for (int i = 0; i < 1000; i++) {
        snprintf(key, sizeof key, "key-%d", i);
        add(world, key, "1");
    }
    assert_true(world->answered >= 700);
    turn(world);
    assert_int_equal(world->answered, 1000);
    assert_int_equal(world->last_seq, 1000);
}

struct night {
    struct world *world;
    uv_timer_t record, next;
    bool woken;
};

static void on_night_done(void *ctx, const struct spool_record *record, const struct err *err)
{
    on_done(ctx, record, err);
    uv_stop(&((struct world *)ctx)->loop);
}

static void on_record_timer(uv_timer_t *timer)
{
    struct night *night = timer->data;
    Muster__Health health = MUSTER__HEALTH__INIT;
    struct err err = {0};
    health.wall_ms = 1;
    assert_true(recorder_add(night->world->recorder, MUSTER__LANE__LANE_HEALTH, HASTE_RIDES,
                             bytes_of(NULL, 0), &health.base, on_night_done, night->world, &err));
}

static void on_next_timer(uv_timer_t *timer)
{
    struct night *night = timer->data;
    night->woken = true;
}

/* On an idle terminal the next event may be long in coming. */
static void test_what_a_timer_records_is_committed_before_the_loop_sleeps(void **state)
{
    struct world *world = *state;
    struct night night = {.world = world};
    uv_idle_stop(&world->idle);
    uv_timer_init(&world->loop, &night.record);
    uv_timer_init(&world->loop, &night.next);
    night.record.data = night.next.data = &night;
    uv_timer_start(&night.record, on_record_timer, 0, 0);
    uv_timer_start(&night.next, on_next_timer, 500, 0);
    uv_run(&world->loop, UV_RUN_ONCE);
    assert_int_equal(world->answered, 1);
    assert_false(night.woken);
    uv_close((uv_handle_t *)&night.record, NULL);
    uv_close((uv_handle_t *)&night.next, NULL);
    uv_run(&world->loop, UV_RUN_NOWAIT);
}

static void test_closing_commits_what_waits(void **state)
{
    struct world *world = *state;
    struct spool_stats stats;
    add(world, "a", "1");
    recorder_flush(world->recorder);
    add(world, "b", "2");
    recorder_close(world->recorder);
    assert_int_equal(world->answered, 2);
    spool_stats(world->temp.spool, &stats);
    assert_int_equal(stats.records, 2);
    struct err err = {0};
    static const struct recorder_events events = {.stored = on_stored};
    assert_true(
        recorder_open(&world->loop, world->temp.spool, &events, world, &world->recorder, &err));
}

/* A retry of a suspect result has been sent at once before; and so has what shares its commit. */
static void test_the_greatest_haste_of_a_commit_is_told(void **state)
{
    struct world *world = *state;
    struct err err = {0};
    const enum haste hastes[] = {HASTE_RIDES, HASTE_URGENT, HASTE_LINGERS};
    Muster__TxnResult txn = MUSTER__TXN_RESULT__INIT;
    for (size_t i = 0; i < 3; i++) {
        char key[2] = {(char)('a' + i), '\0'};
        txn.stan = 17;
        assert_true(recorder_add(world->recorder, MUSTER__LANE__LANE_TXN, hastes[i],
                                 bytes_of(key, 1), &txn.base, on_done, world, &err));
    }
    recorder_flush(world->recorder);
    assert_int_equal(world->haste, HASTE_URGENT);
    assert_true(recorder_add(world->recorder, MUSTER__LANE__LANE_TXN, HASTE_URGENT,
                             bytes_of("b", 1), &txn.base, on_done, world, &err));
    assert_true(recorder_add(world->recorder, MUSTER__LANE__LANE_TXN, HASTE_LINGERS,
                             bytes_of("d", 1), &txn.base, on_done, world, &err));
    recorder_flush(world->recorder);
    assert_int_equal(world->haste, HASTE_LINGERS);
}

static void test_an_oversized_record_is_refused_and_the_rest_kept(void **state)
{
    struct world *world = *state;
    struct err err = {0};
    size_t length = LIMIT_RECORD_BYTES + 1;
    char *text = calloc(1, length + 1);
    assert_non_null(text);
    memset(text, 'x', length);
    Muster__Event event = MUSTER__EVENT__INIT;
    event.text = text;
    add(world, "a", "1");
    assert_false(recorder_add(world->recorder, MUSTER__LANE__LANE_EVENT, HASTE_RIDES,
                              bytes_of(NULL, 0), &event.base, on_done, world, &err));
    assert_int_equal(err.code, ERR_INVALID);
    free(text);
    add(world, "b", "2");
    turn(world);
    assert_int_equal(world->answered, 2);
    assert_int_equal(world->refused, 0);
}

static void add_sample(struct world *world)
{
    Muster__Health health = MUSTER__HEALTH__INIT;
    struct err err = {0};
    health.wall_ms = 1;
    assert_true(recorder_add(world->recorder, MUSTER__LANE__LANE_HEALTH, HASTE_RIDES,
                             bytes_of(NULL, 0), &health.base, NULL, NULL, &err));
}

/* When the spool is full a result displaces older ones, a sample only samples: in one commit with
 * it, the sample would keep the result out. */
static void test_a_sample_does_not_keep_a_result_out(void **state)
{
    enum { FILL = 3000, TURNS = 150 };
    struct world *world = *state;
    static char long_text[1500];
    char key[16];
    memset(long_text, 'x', sizeof long_text - 1);
    for (unsigned i = 0; i < FILL + TURNS; i++) {
        snprintf(key, sizeof key, "%u", i);
        add(world, key, long_text);
        if (i >= FILL) {
            add_sample(world);
            turn(world);
        }
    }
    struct spool_stats stats;
    spool_stats(world->temp.spool, &stats);
    assert_true(stats.records_lost > 0); /* it was full */
    assert_int_equal(world->answered, FILL + TURNS);
    assert_int_equal(world->refused, 0);
    assert_int_equal(world->failures, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_all_of_one_turn_share_one_commit, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_is_added_with_an_answer_is_committed_too, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_a_repeated_key_gets_the_first_answer, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_a_full_turn_does_not_wait, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            test_what_a_timer_records_is_committed_before_the_loop_sleeps, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_sample_does_not_keep_a_result_out, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_closing_commits_what_waits, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_the_greatest_haste_of_a_commit_is_told, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_an_oversized_record_is_refused_and_the_rest_kept,
                                        set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
