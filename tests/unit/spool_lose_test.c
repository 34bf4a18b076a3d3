/* SPDX-License-Identifier: Apache-2.0 */
/* What is given up stands in the records' place until the fleet has heard of it. */
#include "tests/unit/spool_world.h"
#include "tests/unit/testing.h"

static void lose(struct spool *spool, uint64_t incarnation, int lane, uint64_t first, uint64_t last,
                 enum spool_loss why)
{
    struct err err = {0};
    if (!spool_lose(spool, incarnation, lane, first, last, why, &err))
        fail_msg("%s", err.text);
}

static void again(struct spool *spool, uint64_t incarnation, int lane, uint64_t cumulative,
                  const struct spool_range *ranges, size_t count)
{
    struct err err = {0};
    if (!spool_again(spool, incarnation, lane, cumulative, ranges, count, &err))
        fail_msg("%s", err.text);
}

static uint64_t push_many(struct spool *spool, int lane, int count)
{
    uint64_t incarnation = 0;
    for (int i = 0; i < count; i++) {
        const char body[] = {(char)('a' + i), '\0'};
        incarnation = push(spool, lane, "", body).incarnation;
    }
    return incarnation;
}

static struct spool_stats stats_of(const struct spool *spool)
{
    struct spool_stats stats;
    spool_stats(spool, &stats);
    return stats;
}

static void test_a_loss_stands_in_the_records_place(void **state)
{
    struct spool_world *world = *state;
    uint64_t incarnation = push_many(world->spool, 1, 6);
    lose(world->spool, incarnation, 1, 3, 4, SPOOL_LOST_CONFLICT);
    for (int restart = 0; restart < 2; restart++) {
        expect_read(world->spool, incarnation, 1, 1, 10, 100, 1, "a,b,");
        expect_lost(world->spool, incarnation, 1, 3, 3, 2, SPOOL_LOST_CONFLICT);
        expect_lost(world->spool, incarnation, 1, 4, 4, 1, SPOOL_LOST_CONFLICT);
        expect_read(world->spool, incarnation, 1, 5, 10, 100, 5, "e,f,");
        struct spool_stats stats = stats_of(world->spool);
        assert_true(stats.records == 4 && stats.records_lost == 2);
        spool_world_reopen(world);
    }
    struct spool_stream stream = {0};
    receipt(world->spool, incarnation, 1, 2);
    assert_int_equal(spool_streams(world->spool, &stream, 1), 1);
    assert_int_equal(stream.first_unsent, 3); /* a loss is to be sent like a record */
    receipt(world->spool, incarnation, 1, 4);
    assert_int_equal(spool_streams(world->spool, &stream, 1), 1);
    assert_int_equal(stream.first_unsent, 5);
    assert_int_equal(stats_of(world->spool).records_lost, 0);
    receipt(world->spool, incarnation, 1, 6);
    assert_int_equal(spool_streams(world->spool, NULL, 0), 0);
    assert_int_equal(held(world->spool), 6); /* set aside, not deleted */
    world->boot_ms += LONG_AFTER_MS;
    assert_int_equal(forget(world->spool), 6);
    assert_int_equal(spool_unclosed(world->spool, NULL, 0), 0);
}

static void test_losses_join_and_the_first_reason_stays(void **state)
{
    struct spool_world *world = *state;
    uint64_t incarnation = push_many(world->spool, 2, 9);
    lose(world->spool, incarnation, 2, 2, 3, SPOOL_LOST_CONFLICT);
    lose(world->spool, incarnation, 2, 6, 7, SPOOL_LOST_CONFLICT);
    lose(world->spool, incarnation, 2, 3, 5, SPOOL_LOST_UNDECODABLE);
    lose(world->spool, incarnation, 2, 1, 1, SPOOL_LOST_CONFLICT);
    lose(world->spool, incarnation, 2, 8, 99, SPOOL_LOST_CONFLICT);
    for (int restart = 0; restart < 2; restart++) {
        expect_lost(world->spool, incarnation, 2, 1, 1, 3, SPOOL_LOST_CONFLICT);
        expect_lost(world->spool, incarnation, 2, 4, 4, 2, SPOOL_LOST_UNDECODABLE);
        expect_lost(world->spool, incarnation, 2, 6, 6, 4, SPOOL_LOST_CONFLICT);
        spool_world_reopen(world);
    }
}

static void test_what_is_receipted_cannot_be_lost(void **state)
{
    struct spool_world *world = *state;
    uint64_t incarnation = push_many(world->spool, 1, 5);
    const struct spool_range third = {3, 3};
    assert_true(spool_receipt(world->spool, incarnation, 1, 1, &third, 1, NULL));
    lose(world->spool, incarnation, 1, 1, 5, SPOOL_LOST_UNDECODABLE);
    assert_int_equal(stats_of(world->spool).records_lost, 3);
    expect_lost(world->spool, incarnation, 1, 1, 2, 1, SPOOL_LOST_UNDECODABLE);
    expect_lost(world->spool, incarnation, 1, 3, 4, 2, SPOOL_LOST_UNDECODABLE);
    struct err err = {0};
    assert_false(spool_lose(world->spool, incarnation, 1, 1, 1, SPOOL_HELD, &err));
    assert_int_equal(err.code, ERR_INVALID);
    lose(world->spool, 12345, 1, 1, 1, SPOOL_LOST_CONFLICT); /* not known: ignored */
}

static void test_a_restored_fleet_gets_all_of_it_again(void **state)
{
    struct spool_world *world = *state;
    uint64_t incarnation = push_many(world->spool, 1, 8);
    receipt(world->spool, incarnation, 1, 3);
    world->boot_ms += LONG_AFTER_MS;
    assert_int_equal(forget(world->spool), 3);
    receipt(world->spool, incarnation, 1, 7);
    const struct spool_range sixth = {6, 6};
    again(world->spool, incarnation, 1, 1, &sixth, 1);
    for (int restart = 0; restart < 2; restart++) {
        expect_lost(world->spool, incarnation, 1, 1, 2, 2, SPOOL_LOST_FORGOTTEN);
        expect_read(world->spool, incarnation, 1, 4, 10, 100, 4, "d,e,");
        expect_read(world->spool, incarnation, 1, 6, 10, 100, 7, "g,h,");
        struct spool_stats stats = stats_of(world->spool);
        assert_true(stats.records == 4 && stats.records_kept == 1 && stats.records_lost == 2);
        spool_world_reopen(world);
    }
    receipt(world->spool, incarnation, 1, 8);
    assert_int_equal(spool_streams(world->spool, NULL, 0), 0);
    again(world->spool, incarnation, 1, 8, NULL, 0); /* all is there: nothing to do */
    again(world->spool, incarnation, 1, UINT64_MAX, NULL, 0);
    assert_int_equal(spool_streams(world->spool, NULL, 0), 0);
    world->boot_ms += LONG_AFTER_MS;
    assert_int_equal(forget(world->spool), 5);
    assert_int_equal(spool_unclosed(world->spool, NULL, 0), 0);
    again(world->spool, incarnation, 1, 0, NULL, 0); /* closed: ignored */
    assert_int_equal(spool_unclosed(world->spool, NULL, 0), 0);
}

static void test_a_loss_asked_for_again_keeps_its_reason(void **state)
{
    struct spool_world *world = *state;
    uint64_t incarnation = push_many(world->spool, 1, 4);
    struct err err = {0};
    lose(world->spool, incarnation, 1, 2, 2, SPOOL_LOST_CONFLICT);
    receipt(world->spool, incarnation, 1, 4);
    world->boot_ms += GRACE_MS / 2;
    assert_int_equal(forget(world->spool), 0);
    again(world->spool, incarnation, 1, 0, NULL, 0);
    expect_read(world->spool, incarnation, 1, 1, 10, 100, 1, "a,");
    expect_lost(world->spool, incarnation, 1, 2, 2, 1, SPOOL_LOST_CONFLICT);
    const struct spool_range backwards = {2, 1};
    assert_false(spool_again(world->spool, incarnation, 1, 0, &backwards, 1, &err));
    assert_int_equal(err.code, ERR_INVALID);
}

static void test_unclosed_streams_come_newest_first(void **state)
{
    struct spool_world *world = *state;
    struct spool_stream streams[8];
    uint64_t first = push_many(world->spool, 2, 2);
    push_many(world->spool, 1, 1);
    spool_world_reopen(world);
    uint64_t second = push_many(world->spool, 3, 1);
    receipt(world->spool, first, 1, 1);
    receipt(world->spool, first, 2, 2);
    assert_int_equal(spool_streams(world->spool, streams, 8), 1);
    assert_int_equal(spool_unclosed(world->spool, streams, 8), 3);
    assert_true(streams[0].incarnation == second && streams[0].lane == 3);
    assert_true(streams[1].incarnation == first && streams[1].lane == 1);
    assert_true(streams[2].incarnation == first && streams[2].lane == 2);
    assert_int_equal(streams[2].receipted_to, 2);
    assert_int_equal(streams[2].first_unsent, 3);
    streams[1].lane = 0;
    assert_int_equal(spool_unclosed(world->spool, streams, 1), 3);
    assert_int_equal(streams[1].lane, 0);
    receipt(world->spool, second, 3, 1);
    world->boot_ms += LONG_AFTER_MS;
    forget(world->spool);
    assert_int_equal(spool_unclosed(world->spool, streams, 8), 1); /* the running one stays */
    assert_true(streams[0].incarnation == second && streams[0].last_seq == 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, spool_world_setup, spool_world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_loss_stands_in_the_records_place),
        TEST(test_losses_join_and_the_first_reason_stays),
        TEST(test_what_is_receipted_cannot_be_lost),
        TEST(test_a_restored_fleet_gets_all_of_it_again),
        TEST(test_a_loss_asked_for_again_keeps_its_reason),
        TEST(test_unclosed_streams_come_newest_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
