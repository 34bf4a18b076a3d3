/* SPDX-License-Identifier: Apache-2.0 */
/* What gives way when room is short, and that the files stay within the quota all the while. */
#include "base/file.h"
#include "tests/unit/spool_world.h"
#include "tests/unit/testing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { BODY = 4000, TIGHT = SPOOL_QUOTA_MIN_BYTES };

static const char body[24 * BODY];

static bool try(struct spool *spool, int lane, size_t length, struct err *err)
{
    struct spool_record record = {.lane = lane, .body = bytes_of(body, length)};
    return spool_push(spool, &record, 1, err);
}

static void must(struct spool *spool, int lane, size_t length)
{
    struct err err = {0};
    if (!try(spool, lane, length, &err))
        fail_msg("%s", err.text);
}

static struct spool_stats stats_of(const struct spool *spool)
{
    struct spool_stats stats;
    spool_stats(spool, &stats);
    return stats;
}

static void open_tight(struct spool_world *world)
{
    world->settings.quota_bytes = TIGHT;
    spool_world_reopen(world);
}

static bool count_one(void *ctx, uint64_t seq, struct bytes record, struct err *err)
{
    (void)seq;
    (void)record;
    (void)err;
    ++*(uint64_t *)ctx;
    return true;
}

/* What a stream of this incarnation still gives, and what it declares lost for `why`. */
static void tally(struct spool *spool, int lane, enum spool_loss why, uint64_t *ret_held,
                  uint64_t *ret_lost)
{
    struct spool_found found = {.count = 1};
    uint64_t from = 1;
    *ret_held = *ret_lost = 0;
    while (found.count > 0) {
        struct err err = {0};
        if (!spool_read(spool, spool_incarnation(spool), lane, from, 1000, 1 << 20, count_one,
                        ret_held, &found, &err))
            fail_msg("%s", err.text);
        if (found.lost != SPOOL_HELD) {
            assert_int_equal(found.lost, why);
            *ret_lost += found.count;
        }
        from = found.first + found.count;
    }
}

/* Health first, then events, then the oldest results: each until nothing of it is left. */
static void test_the_least_worthy_gives_way_oldest_first(void **state)
{
    struct spool_world *world = *state;
    uint64_t held[SPOOL_LANES + 1], lost[SPOOL_LANES + 1], given[SPOOL_LANES + 1] = {0};
    open_tight(world);
    for (int i = 0; i < 100; i++) {
        for (int lane = 1; lane <= SPOOL_LANES; lane++, given[lane - 1]++)
            must(world->spool, lane, BODY);
    }
    for (int i = 0; i <= 1000; i++, given[1]++) {
        must(world->spool, 1, BODY);
        if (i % 50 != 0)
            continue;
        for (int lane = 1; lane <= SPOOL_LANES; lane++) {
            tally(world->spool, lane, SPOOL_LOST_QUOTA, &held[lane], &lost[lane]);
            assert_int_equal(held[lane] + lost[lane], given[lane] + (lane == 1));
        }
        assert_true(lost[2] == 0 || held[3] == 0);
        assert_true(lost[1] == 0 || held[2] == 0);
    }
    assert_true(lost[1] > 0 && held[1] > 300);
    struct spool_found found = {0};
    uint64_t count = 0;
    assert_true(spool_read(world->spool, spool_incarnation(world->spool), 1, 1, 1, BODY, count_one,
                           &count, &found, NULL));
    assert_int_equal(found.lost, SPOOL_LOST_QUOTA); /* the oldest went, in one range */
    assert_int_equal(found.count, lost[1]);
}

static void test_nothing_displaces_what_is_worth_more(void **state)
{
    struct spool_world *world = *state;
    struct err err = {0};
    open_tight(world);
    while (stats_of(world->spool).records_lost == 0)
        must(world->spool, 2, BODY);
    uint64_t events = stats_of(world->spool).records;
    for (int i = 0; i < 60; i++)
        (void)!try(world->spool, 3, BODY, &err);
    assert_int_equal(err.code, ERR_NONE); /* within the slack there was room: its oldest give way */
    uint64_t held = 0, lost = 0;
    tally(world->spool, 2, SPOOL_LOST_QUOTA, &held, &lost);
    assert_int_equal(held, events);
    assert_false(try(world->spool, 3, sizeof body, &err));
    assert_int_equal(err.code, ERR_FULL);
    tally(world->spool, 2, SPOOL_LOST_QUOTA, &held, &lost);
    assert_int_equal(held, events);
    must(world->spool, 1, sizeof body); /* a result may displace events */
    tally(world->spool, 2, SPOOL_LOST_QUOTA, &held, &lost);
    assert_true(held < events);
}

static void test_what_is_receipted_goes_before_its_grace_is_over(void **state)
{
    struct spool_world *world = *state;
    open_tight(world);
    struct spool_record first = push(world->spool, 1, "k", "a");
    for (int i = 0; i < 200; i++)
        must(world->spool, 1, BODY);
    receipt(world->spool, first.incarnation, 1, 201);
    for (int i = 0; i < 200; i++)
        must(world->spool, 3, BODY);
    while (stats_of(world->spool).records_kept > 50)
        must(world->spool, 3, BODY); /* health displaces results that the fleet has */
    uint64_t kept = stats_of(world->spool).records_kept;
    assert_int_equal(stats_of(world->spool).records_lost, 0);
    assert_true(push(world->spool, 1, "k", "a").duplicate);
    /* The fleet wants them back: those are gone. */
    assert_true(spool_again(world->spool, first.incarnation, 1, 0, NULL, 0, NULL));
    expect_lost(world->spool, first.incarnation, 1, 1, 1, 201 - kept, SPOOL_LOST_FORGOTTEN);
    assert_int_equal(stats_of(world->spool).records_kept, 0);
}

static void test_a_lane_keeps_to_its_own_quota(void **state)
{
    struct spool_world *world = *state;
    uint64_t held = 0, lost = 0;
    struct err err = {0};
    world->settings.lanes[2].quota_bytes = 20 * BODY;
    spool_world_reopen(world);
    for (int i = 0; i < 10; i++)
        must(world->spool, 2, BODY);
    for (int i = 0; i < 100; i++) {
        must(world->spool, 3, BODY);
        tally(world->spool, 3, SPOOL_LOST_QUOTA, &held, &lost);
        assert_int_equal(held + lost, i + 1);
        assert_true(held * BODY <= 20 * BODY);
    }
    assert_in_range(held, 15, 20);
    spool_world_reopen(world); /* what is held counts after a restart too */
    must(world->spool, 3, 19 * BODY);
    assert_in_range(stats_of(world->spool).records, 11, 13);
    assert_false(try(world->spool, 3, 21 * BODY, &err));
    assert_int_equal(err.code, ERR_FULL);
    tally(world->spool, 3, SPOOL_LOST_QUOTA, &held, &lost);
    assert_int_equal(held, 1); /* and nothing was given up for it */
}

static void test_too_old_is_given_up(void **state)
{
    struct spool_world *world = *state;
    uint64_t held = 0, lost = 0;
    world->settings.lanes[2].age_ms = 1000;
    spool_world_reopen(world);
    must(world->spool, 3, BODY);
    must(world->spool, 1, BODY);
    world->boot_ms += 600;
    must(world->spool, 3, BODY);
    world->boot_ms += 400;
    assert_int_equal(forget(world->spool), 0);
    world->boot_ms += 1;
    assert_int_equal(forget(world->spool), 1);
    tally(world->spool, 3, SPOOL_LOST_AGE, &held, &lost);
    assert_true(held == 1 && lost == 1);
    uint64_t incarnation = spool_incarnation(world->spool);
    spool_world_power_cycle(world, 5); /* powered-on time */
    world->boot_ms += 590;
    assert_int_equal(forget(world->spool), 0);
    world->boot_ms += 10;
    assert_int_equal(forget(world->spool), 1);
    expect_lost(world->spool, incarnation, 3, 1, 1, 2, SPOOL_LOST_AGE);
    assert_int_equal(stats_of(world->spool).records, 1); /* lane 1 has no limit */
}

static void test_keys_outlive_eviction(void **state)
{
    struct spool_world *world = *state;
    char key[16];
    world->settings.key_window = 600;
    open_tight(world);
    uint64_t incarnation = spool_incarnation(world->spool);
    for (int i = 0; i < 1000; i++) {
        snprintf(key, sizeof key, "k%d", i);
        struct spool_record record = {.lane = 1, .key = text(key), .body = bytes_of(body, BODY)};
        assert_true(spool_push(world->spool, &record, 1, NULL));
        assert_false(record.duplicate);
    }
    assert_in_range(stats_of(world->spool).records_lost, 300, 1000);
    for (int restart = 0; restart < 2; restart++) {
        for (int i = 400; i < 1000; i++) {
            snprintf(key, sizeof key, "k%d", i);
            struct spool_record again = push(world->spool, 1, key, "x");
            assert_true(again.duplicate && again.incarnation == incarnation);
            assert_int_equal(again.seq, i + 1);
        }
        spool_world_reopen(world);
    }
    assert_false(push(world->spool, 1, "k399", "x").duplicate);
}

/* ---- I6 ---- */

struct measure {
    const char *dir;
    int64_t bytes;
};

static bool add_size(void *ctx, const char *name)
{
    struct measure *measure = ctx;
    char path[160];
    struct stat held;
    snprintf(path, sizeof path, "%s/%s", measure->dir, name);
    if (stat(path, &held) == 0)
        measure->bytes += held.st_size;
    return true;
}

static void expect_within_quota(const struct spool_world *world)
{
    struct measure measure = {world->dir, 0};
    assert_true(file_list(world->dir, add_size, &measure, NULL));
    assert_in_range(measure.bytes, 1, world->settings.quota_bytes);
}

static void test_the_files_stay_within_the_quota(void **state)
{
    struct spool_world *world = *state;
    unsigned random = 7;
    world->settings.key_window = 5000;
    open_tight(world);
    for (int step = 0; step < 1500; step++) {
        static uint64_t keys[300];
        static struct spool_record records[300];
        size_t count = 1 + (size_t)rand_r(&random) % (step % 10 == 0 ? 300 : 5);
        for (size_t i = 0; i < count; i++) {
            keys[i] = (uint64_t)step << 32 | i;
            records[i] =
                (struct spool_record){.lane = 1 + rand_r(&random) % SPOOL_LANES,
                                      .key = bytes_of(&keys[i], sizeof keys[i]),
                                      .body = bytes_of(body, 1 + (size_t)rand_r(&random) % 1700)};
        }
        struct err err = {0};
        if (!spool_push(world->spool, records, count, &err) && err.code != ERR_FULL)
            fail_msg("%s", err.text);
        expect_within_quota(world);
        uint64_t seq = 1 + (uint64_t)rand_r(&random) % 20000;
        const struct spool_range range = {seq, seq + (uint64_t)rand_r(&random) % 50};
        if (step % 7 == 0)
            (void)!spool_receipt(world->spool, spool_incarnation(world->spool),
                                 1 + rand_r(&random) % SPOOL_LANES, 0, &range, 1, NULL);
        world->boot_ms += 100;
        if (step % 40 == 0)
            forget(world->spool);
        if (step % 400 == 0)
            spool_world_reopen(world);
        expect_within_quota(world);
    }
    assert_true(stats_of(world->spool).records_lost > 0);
}

static void test_a_quota_that_was_lowered_is_kept(void **state)
{
    struct spool_world *world = *state;
    uint64_t incarnation = spool_incarnation(world->spool);
    for (int i = 0; i < 1500; i++) {
        must(world->spool, 1, BODY);
        must(world->spool, 3, BODY);
    }
    assert_true(stats_of(world->spool).bytes > 2 * TIGHT);
    open_tight(world);
    for (int i = 0; i < 100; i++)
        forget(world->spool);
    expect_within_quota(world);
    struct spool_stream streams[2];
    assert_int_equal(spool_streams(world->spool, streams, 2), 2);
    expect_lost(world->spool, incarnation, 3, 1, 1, 1500, SPOOL_LOST_QUOTA);
    assert_in_range(stats_of(world->spool).records, 400, 1000); /* results, as many as fit */
    must(world->spool, 3, 100);
    uint64_t held = stats_of(world->spool).records;
    for (int i = 0; i < 5; i++)
        forget(world->spool);
    assert_int_equal(stats_of(world->spool).records, held);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, spool_world_setup, spool_world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_the_least_worthy_gives_way_oldest_first),
        TEST(test_nothing_displaces_what_is_worth_more),
        TEST(test_what_is_receipted_goes_before_its_grace_is_over),
        TEST(test_a_lane_keeps_to_its_own_quota),
        TEST(test_too_old_is_given_up),
        TEST(test_keys_outlive_eviction),
        TEST(test_a_quota_that_was_lowered_is_kept),
        TEST(test_the_files_stay_within_the_quota),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
