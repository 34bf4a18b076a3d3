/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/spool_state.h"
#include "tests/unit/spool_world.h"
#include "tests/unit/testing.h"

#include <stdio.h>
#include <string.h>

static void test_seqs_count_from_one_in_each_lane(void **state)
{
    struct spool_world *world = *state;
    struct spool *spool = world->spool;
    struct spool_record records[] = {
        {.lane = 1, .body = text("a")},
        {.lane = 3, .body = text("h")},
        {.lane = 1, .body = text("b")},
        {.lane = 2, .body = text("e")},
    };
    assert_true(spool_push(spool, records, 4, NULL));
    assert_int_equal(records[0].seq, 1);
    assert_int_equal(records[1].seq, 1);
    assert_int_equal(records[2].seq, 2);
    assert_int_equal(records[3].seq, 1);
    assert_true(records[0].incarnation == spool_incarnation(spool));
    assert_int_equal(push(spool, 1, "", "c").seq, 3);
    struct spool_stream streams[3];
    assert_int_equal(spool_streams(spool, streams, 3), 3);
    assert_int_equal(streams[0].lane, 1);
    assert_int_equal(streams[0].last_seq, 3);
    assert_int_equal(streams[2].lane, 3);
    assert_int_equal(spool_streams(spool, streams, 1), 3);
}

static void test_a_restart_is_a_new_incarnation_after_the_old_ones(void **state)
{
    struct spool_world *world = *state;
    uint64_t first = push(world->spool, 2, "", "e1").incarnation;
    spool_world_reopen(world);
    uint64_t second = push(world->spool, 2, "", "e2").incarnation;
    push(world->spool, 1, "", "t1");
    struct spool_stream streams[8];
    assert_int_equal(spool_streams(world->spool, streams, 8), 3);
    assert_true(streams[1].lane == 1 && streams[2].lane == 2);
    spool_world_reopen(world);
    assert_true(first != second && second != spool_incarnation(world->spool));
    assert_int_equal(spool_streams(world->spool, streams, 8), 3);
    assert_true(streams[0].incarnation == first && streams[0].lane == 2);
    assert_true(streams[1].incarnation == second && streams[1].lane == 1);
    assert_true(streams[2].incarnation == second && streams[2].lane == 2);
    expect_read(world->spool, first, 2, 1, 10, 100, 1, "e1,");
    expect_read(world->spool, second, 2, 1, 10, 100, 1, "e2,");
    expect_read(world->spool, 12345, 2, 1, 10, 100, 0, "");
}

static void test_a_repeated_key_gets_the_first_answer(void **state)
{
    struct spool_world *world = *state;
    struct spool_record records[] = {
        {.lane = 1, .key = text("k1"), .body = text("a")},
        {.lane = 1, .key = text("k2"), .body = text("b")},
        {.lane = 1, .key = text("k1"), .body = text("other content")},
        {.lane = 1, .body = text("c")},
    };
    assert_true(spool_push(world->spool, records, 4, NULL));
    assert_true(!records[1].duplicate && records[2].duplicate && !records[3].duplicate);
    assert_int_equal(records[2].seq, 1);
    assert_int_equal(records[3].seq, 3);
    struct spool_record again = push(world->spool, 1, "k2", "b");
    assert_true(again.duplicate && again.seq == 2);
    spool_world_reopen(world);
    struct spool_record later = push(world->spool, 1, "k2", "b");
    assert_true(later.duplicate && later.seq == 2);
    assert_true(later.incarnation == again.incarnation);
    assert_false(push(world->spool, 1, "k3", "d").duplicate);
    assert_false(push(world->spool, 1, "", "e").duplicate);
    assert_int_equal(held(world->spool), 5);
}

static void test_the_key_window_is_bounded(void **state)
{
    struct spool_world *world = *state;
    world->settings.key_window = 20;
    spool_world_reopen(world);
    char key[16];
    for (int restart = 0; restart < 2; restart++) {
        for (int i = 0; i < 50; i++) {
            snprintf(key, sizeof key, "%d-%d", restart, i);
            assert_false(push(world->spool, 1, key, "x").duplicate);
        }
        for (int i = 30; i < 50; i++) {
            snprintf(key, sizeof key, "%d-%d", restart, i);
            assert_true(push(world->spool, 1, key, "x").duplicate);
        }
        snprintf(key, sizeof key, "%d-29", restart);
        assert_false(push(world->spool, 1, key, "x").duplicate);
        spool_world_reopen(world);
        assert_true(push(world->spool, 1, key, "x").duplicate);
        snprintf(key, sizeof key, "%d-28", restart);
        assert_false(push(world->spool, 1, key, "x").duplicate);
    }
}

static void test_a_hash_collision_is_no_duplicate(void **state)
{
    struct spool_world *world = *state;
    struct spool_record first = push(world->spool, 1, "one key", "a");
    struct spool_keys *keys = &world->spool->keys;
    spool_keys_add(keys, spool_keys_hash(keys, text("another")),
                   spool_id(1, world->spool->number, first.seq));
    assert_false(push(world->spool, 1, "another", "b").duplicate);
    assert_true(push(world->spool, 1, "another", "b").duplicate);
    assert_int_equal(push(world->spool, 1, "one key", "a").seq, 1);
}

static void test_a_key_outlives_its_record(void **state)
{
    struct spool_world *world = *state;
    struct spool_record first = push(world->spool, 1, "k", "a");
    receipt(world->spool, first.incarnation, 1, 1);
    assert_true(push(world->spool, 1, "k", "a").duplicate);
    world->boot_ms += LONG_AFTER_MS;
    assert_int_equal(forget(world->spool), 1);
    for (int restart = 0; restart < 3; restart++) {
        struct spool_record after = push(world->spool, 1, "k", "a");
        assert_true(after.duplicate && after.seq == 1);
        assert_true(after.incarnation == first.incarnation);
        spool_world_reopen(world);
        forget(world->spool); /* the stream is closed; what it was called is still known */
    }
    assert_int_equal(spool_unclosed(world->spool, NULL, 0), 0);
}

/* When all is closed the file knows no incarnation any more, but the keys of several. */
static void test_keys_of_closed_incarnations_are_told_apart(void **state)
{
    struct spool_world *world = *state;
    static const char *const keys[] = {"k1", "k2", "k3"};
    uint64_t incarnations[3];
    for (int i = 0; i < 3; i++) {
        incarnations[i] = push(world->spool, 1, keys[i], "a").incarnation;
        receipt(world->spool, incarnations[i], 1, 1);
        spool_world_reopen(world);
        world->boot_ms += LONG_AFTER_MS;
        assert_int_equal(forget(world->spool), 1);
        assert_int_equal(spool_unclosed(world->spool, NULL, 0), 0);
        spool_world_reopen(world);
    }
    for (int i = 0; i < 3; i++) {
        struct spool_record again = push(world->spool, 1, keys[i], "a");
        assert_true(again.duplicate && again.incarnation == incarnations[i]);
    }
}

static void test_bad_records_are_refused_whole(void **state)
{
    struct spool_world *world = *state;
    struct err err = {0};
    char long_key[33];
    memset(long_key, 'k', sizeof long_key);
    struct spool_record bad[][2] = {
        {{.lane = 1, .body = text("ok")}, {.lane = 0, .body = text("a")}},
        {{.lane = 1, .body = text("ok")}, {.lane = 4, .body = text("a")}},
        {{.lane = 1, .body = text("ok")}, {.lane = 1}},
        {{.lane = 1, .body = text("ok")},
         {.lane = 1, .key = bytes_of(long_key, 33), .body = text("a")}},
        {{.lane = 1, .body = text("ok")},
         {.lane = 1, .body = bytes_of(long_key, SPOOL_PUSH_BYTES)}},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_false(spool_push(world->spool, bad[i], 2, &err));
        assert_int_equal(err.code, ERR_INVALID);
    }
    assert_int_equal(held(world->spool), 0);
    assert_int_equal(push(world->spool, 1, "", "first").seq, 1);
}

static void test_reading_crosses_segments_and_keeps_its_bounds(void **state)
{
    struct spool_world *world = *state;
    struct spool *spool = world->spool;
    uint64_t incarnation = spool_incarnation(spool);
    struct spool_record pair[] = {{.lane = 1, .body = text("aa")}, {.lane = 1, .body = text("bb")}};
    assert_true(spool_push(spool, pair, 2, NULL));
    push(spool, 2, "", "other lane");
    push(spool, 1, "", "cc");
    assert_true(spool_push(spool, pair, 2, NULL));
    expect_read(spool, incarnation, 1, 1, 100, 100, 1, "aa,bb,cc,aa,bb,");
    expect_read(spool, incarnation, 1, 0, 100, 100, 1, "aa,bb,cc,aa,bb,");
    expect_read(spool, incarnation, 1, 2, 100, 100, 2, "bb,cc,aa,bb,");
    expect_read(spool, incarnation, 1, 2, 2, 100, 2, "bb,cc,");
    expect_read(spool, incarnation, 1, 2, 100, 5, 2, "bb,cc,");
    expect_read(spool, incarnation, 1, 2, 100, 6, 2, "bb,cc,aa,");
    expect_read(spool, incarnation, 1, 5, 100, 1, 5, "bb,");
    expect_read(spool, incarnation, 1, 6, 100, 100, 0, "");
    const struct spool_range middle = {3, 4};
    assert_true(spool_receipt(spool, incarnation, 1, 0, &middle, 1, NULL));
    expect_read(spool, incarnation, 1, 1, 100, 100, 1, "aa,bb,");
    expect_read(spool, incarnation, 1, 3, 100, 100, 5, "bb,");
    receipt(spool, incarnation, 1, 1);
    expect_read(spool, incarnation, 1, 1, 100, 100, 2, "bb,");
}

static bool stop_at_two(void *ctx, uint64_t seq, struct bytes body, struct err *err)
{
    (void)ctx;
    (void)body;
    return seq < 2 || err_set(err, ERR_FULL, "enough");
}

static void test_a_reader_may_stop(void **state)
{
    struct spool_world *world = *state;
    struct err err = {0};
    struct spool_found found = {.first = 77, .count = 77};
    push(world->spool, 1, "", "a");
    push(world->spool, 1, "", "b");
    assert_false(spool_read(world->spool, spool_incarnation(world->spool), 1, 1, 10, 100,
                            stop_at_two, NULL, &found, &err));
    assert_int_equal(err.code, ERR_FULL);
    assert_true(found.first == 77 && found.count == 77);
    assert_int_equal(push(world->spool, 1, "", "c").seq, 3);
}

static void test_receipts_add_up_in_any_order(void **state)
{
    struct spool_world *world = *state;
    struct spool *spool = world->spool;
    uint64_t incarnation = spool_incarnation(spool);
    struct spool_stream stream = {0};
    for (int i = 0; i < 10; i++)
        push(spool, 1, "", "x");
    const struct spool_range ranges[] = {{8, 9}, {5, 6}};
    assert_true(spool_receipt(spool, incarnation, 1, 2, ranges, 2, NULL));
    assert_int_equal(spool_streams(spool, &stream, 1), 1);
    assert_int_equal(stream.first_unsent, 3);
    receipt(spool, incarnation, 1, 1); /* an older one takes nothing back */
    spool_world_reopen(world);
    spool = world->spool;
    assert_int_equal(spool_streams(spool, &stream, 1), 1);
    assert_int_equal(stream.first_unsent, 3);
    receipt(spool, incarnation, 1, 4);
    assert_int_equal(spool_streams(spool, &stream, 1), 1);
    assert_int_equal(stream.first_unsent, 7);
    struct spool_stats stats;
    spool_stats(spool, &stats);
    assert_int_equal(stats.records, 2);
    assert_int_equal(stats.records_kept, 8);
    receipt(spool, incarnation, 1, 10);
    assert_int_equal(spool_streams(spool, &stream, 1), 0);
}

static void test_a_receipt_beyond_what_was_given_changes_nothing(void **state)
{
    struct spool_world *world = *state;
    struct spool *spool = world->spool;
    uint64_t incarnation = spool_incarnation(spool);
    struct err err = {0};
    push(spool, 1, "", "a");
    push(spool, 1, "", "b");
    assert_false(spool_receipt(spool, incarnation, 1, 3, NULL, 0, &err));
    assert_int_equal(err.code, ERR_REFUSED);
    const struct spool_range beyond[] = {{1, 1}, {2, 3}};
    assert_false(spool_receipt(spool, incarnation, 1, 1, beyond, 2, &err));
    assert_int_equal(err.code, ERR_REFUSED);
    const struct spool_range backwards = {2, 1};
    assert_false(spool_receipt(spool, incarnation, 1, 0, &backwards, 1, &err));
    assert_int_equal(err.code, ERR_INVALID);
    assert_false(spool_receipt(spool, incarnation, 1, UINT64_MAX, NULL, 0, &err));
    struct spool_stream stream;
    assert_int_equal(spool_streams(spool, &stream, 1), 1);
    assert_int_equal(stream.first_unsent, 1);
    assert_true(spool_receipt(spool, incarnation, 2, 99, NULL, 0, &err)); /* no such stream */
    assert_true(spool_receipt(spool, 1, 1, 99, NULL, 0, &err));
}

static void test_nothing_is_forgotten_before_receipt_and_grace(void **state)
{
    struct spool_world *world = *state;
    struct spool *spool = world->spool;
    uint64_t incarnation = spool_incarnation(spool);
    struct spool_record pair[] = {{.lane = 1, .body = text("a")}, {.lane = 1, .body = text("b")}};
    assert_true(spool_push(spool, pair, 2, NULL));
    push(spool, 1, "", "c");
    world->boot_ms += 10 * LONG_AFTER_MS;
    assert_int_equal(forget(spool), 0);
    receipt(spool, incarnation, 1, 1);
    world->boot_ms += LONG_AFTER_MS;
    assert_int_equal(forget(spool), 0); /* half a segment */
    receipt(spool, incarnation, 1, 3);
    world->boot_ms += GRACE_MS - 1;
    assert_int_equal(forget(spool), 0);
    struct heard newest = {0};
    assert_true(spool_newest(spool, 1, 10, hear_newest, &newest, NULL));
    assert_string_equal(newest.bodies, "c,b,a,");
    world->boot_ms += 2 + GRACE_MS / 16; /* receipts are told apart by that much */
    assert_int_equal(forget(spool), 3);
    assert_int_equal(held(spool), 0);
    assert_int_equal(push(spool, 1, "", "d").seq, 4);
}

static void test_grace_is_powered_on_time(void **state)
{
    struct spool_world *world = *state;
    uint64_t incarnation = push(world->spool, 1, "", "a").incarnation;
    receipt(world->spool, incarnation, 1, 1);
    world->boot_ms += GRACE_MS / 2;
    spool_world_reopen(world); /* an agent's restart: the boot's clock runs on */
    assert_int_equal(forget(world->spool), 0);
    spool_world_power_cycle(world, 10);
    assert_int_equal(forget(world->spool), 0);
    world->boot_ms += GRACE_MS / 4;
    assert_int_equal(forget(world->spool), 0);
    world->boot_ms += GRACE_MS / 2;
    assert_int_equal(forget(world->spool), 1);
}

static void test_age_survives_restarts(void **state)
{
    struct spool_world *world = *state;
    struct spool_stats stats;
    uint64_t incarnation = push(world->spool, 1, "", "a").incarnation;
    world->boot_ms += 5000;
    push(world->spool, 1, "", "b");
    world->boot_ms += 2000;
    spool_stats(world->spool, &stats);
    assert_int_equal(stats.oldest_ms, 7000);
    spool_world_reopen(world);
    spool_world_power_cycle(world, 100);
    spool_stats(world->spool, &stats);
    assert_int_equal(stats.oldest_ms, 7100);
    receipt(world->spool, incarnation, 1, 1);
    spool_stats(world->spool, &stats);
    assert_int_equal(stats.oldest_ms, 2100);
    receipt(world->spool, incarnation, 1, 2);
    spool_stats(world->spool, &stats);
    assert_int_equal(stats.oldest_ms, 0);
    assert_true(stats.bytes > stats.wal_bytes && stats.wal_bytes > 0);
}

static void test_nothing_grows_with_restarts(void **state)
{
    struct spool_world *world = *state;
    struct spool_stats stats;
    uint64_t bytes = 0;
    for (int restart = 0; restart < 60; restart++) {
        uint64_t incarnation = push(world->spool, 2, "", "the agent started").incarnation;
        receipt(world->spool, incarnation, 2, 1);
        world->boot_ms += LONG_AFTER_MS;
        forget(world->spool);
        spool_world_reopen(world);
        spool_stats(world->spool, &stats);
        if (restart == 5)
            bytes = stats.bytes;
    }
    assert_in_range(stats.bytes, 1, bytes);
}

static void test_newest_first_over_all_incarnations(void **state)
{
    struct spool_world *world = *state;
    push(world->spool, 1, "", "a");
    push(world->spool, 2, "", "event");
    spool_world_reopen(world);
    struct spool_record pair[] = {{.lane = 1, .body = text("b")}, {.lane = 1, .body = text("c")}};
    assert_true(spool_push(world->spool, pair, 2, NULL));
    receipt(world->spool, spool_incarnation(world->spool), 1, 1);
    struct heard all = {0}, two = {0}, none = {0};
    assert_true(spool_newest(world->spool, 1, 10, hear_newest, &all, NULL));
    assert_string_equal(all.bodies, "c,b,a,");
    assert_true(spool_newest(world->spool, 1, 2, hear_newest, &two, NULL));
    assert_string_equal(two.bodies, "c,b,");
    assert_true(spool_newest(world->spool, 3, 2, hear_newest, &none, NULL));
    assert_string_equal(none.bodies, "");
}

static void test_notes_are_kept(void **state)
{
    struct spool_world *world = *state;
    struct buf value = {0};
    assert_true(spool_note_read(world->spool, "receipt", &value, NULL));
    assert_int_equal(value.length, 0);
    assert_true(spool_note_write(world->spool, "receipt", text("one"), NULL));
    assert_true(spool_note_write(world->spool, "receipt", bytes_of("t\0o", 3), NULL));
    assert_true(spool_note_write(world->spool, "empty", bytes_of(NULL, 0), NULL));
    spool_world_reopen(world);
    assert_true(spool_note_read(world->spool, "receipt", &value, NULL));
    assert_true(bytes_equal(buf_bytes(&value), bytes_of("t\0o", 3)));
    assert_true(spool_note_read(world->spool, "empty", &value, NULL));
    assert_int_equal(value.length, 0);
    buf_done(&value);
}

static void test_settings_out_of_range_are_refused(void **state)
{
    struct spool_world *world = *state;
    struct spool *spool = NULL;
    struct err err = {0};
    world->settings.quota_bytes = SPOOL_QUOTA_MIN_BYTES - 1;
    assert_false(spool_open(&world->settings, &world->clock, &spool, &err));
    assert_int_equal(err.code, ERR_INVALID);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, spool_world_setup, spool_world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_seqs_count_from_one_in_each_lane),
        TEST(test_a_restart_is_a_new_incarnation_after_the_old_ones),
        TEST(test_a_repeated_key_gets_the_first_answer),
        TEST(test_the_key_window_is_bounded),
        TEST(test_a_hash_collision_is_no_duplicate),
        TEST(test_a_key_outlives_its_record),
        TEST(test_keys_of_closed_incarnations_are_told_apart),
        TEST(test_bad_records_are_refused_whole),
        TEST(test_reading_crosses_segments_and_keeps_its_bounds),
        TEST(test_a_reader_may_stop),
        TEST(test_receipts_add_up_in_any_order),
        TEST(test_a_receipt_beyond_what_was_given_changes_nothing),
        TEST(test_nothing_is_forgotten_before_receipt_and_grace),
        TEST(test_grace_is_powered_on_time),
        TEST(test_age_survives_restarts),
        TEST(test_nothing_grows_with_restarts),
        TEST(test_newest_first_over_all_incarnations),
        TEST(test_notes_are_kept),
        TEST(test_settings_out_of_range_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
