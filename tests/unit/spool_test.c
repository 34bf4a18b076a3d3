/* SPDX-License-Identifier: Apache-2.0 */
#include "base/file.h"
#include "storage/spool.h"
#include "tests/unit/testing.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { GRACE_MS = 16000, LONG_AFTER_MS = 2 * GRACE_MS };

struct fixture {
    char dir[64];
    char path[96];
    int64_t boot_ms;
    struct clock clock;
    struct spool_settings settings;
    struct spool *spool;
};

static int64_t read_boot_ms(void *ctx)
{
    return ((const struct fixture *)ctx)->boot_ms;
}

static void reopen(struct fixture *fixture)
{
    spool_close(fixture->spool);
    fixture->spool = NULL;
    struct err err = {0};
    if (!spool_open(&fixture->settings, &fixture->clock, &fixture->spool, &err))
        fail_msg("%s", err.text);
}

static void power_cycle(struct fixture *fixture, int64_t boot_ms)
{
    spool_close(fixture->spool);
    fixture->spool = NULL;
    fixture->boot_ms = boot_ms;
    reopen(fixture);
}

static int setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    strcpy(fixture->dir, "/tmp/muster-spool-XXXXXX");
    assert_non_null(mkdtemp(fixture->dir));
    snprintf(fixture->path, sizeof fixture->path, "%s/spool.db", fixture->dir);
    fixture->boot_ms = 1000;
    fixture->clock =
        (struct clock){.wall_ms = read_boot_ms, .boot_ms = read_boot_ms, .ctx = fixture};
    fixture->settings = (struct spool_settings){
        .path = fixture->path,
        .device = "p-100001",
        .quota_bytes = 64 * 1024 * 1024,
        .grace_ms = GRACE_MS,
        .key_window = 1000,
    };
    reopen(fixture);
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    spool_close(fixture->spool);
    bool removed = file_remove_tree(fixture->dir, NULL);
    free(fixture);
    return removed ? 0 : -1;
}

static struct bytes text(const char *string)
{
    return bytes_of(string, strlen(string));
}

/* One record, one commit. */
static struct spool_record push(struct spool *spool, int lane, const char *key, const char *body)
{
    struct spool_record record = {.lane = lane, .key = text(key), .body = text(body)};
    struct err err = {0};
    if (!spool_push(spool, &record, 1, &err))
        fail_msg("%s", err.text);
    return record;
}

struct heard {
    char bodies[512]; /* "a,b,c," */
    size_t count;
};

static bool hear(void *ctx, uint64_t seq, struct bytes body, struct err *err)
{
    struct heard *heard = ctx;
    (void)seq;
    (void)err;
    size_t at = strlen(heard->bodies);
    assert_true(at + body.length + 2 < sizeof heard->bodies);
    memcpy(heard->bodies + at, body.data, body.length);
    strcpy(heard->bodies + at + body.length, ",");
    heard->count++;
    return true;
}

static bool hear_newest(void *ctx, uint64_t incarnation, uint64_t seq, struct bytes body,
                        struct err *err)
{
    (void)incarnation;
    return hear(ctx, seq, body, err);
}

static void expect_read(struct spool *spool, uint64_t incarnation, int lane, uint64_t from,
                        size_t max_records, size_t max_bytes, uint64_t first, const char *bodies)
{
    struct heard heard = {0};
    struct err err = {0};
    uint64_t got_first = 0;
    size_t count = 0;
    if (!spool_read(spool, incarnation, lane, from, max_records, max_bytes, hear, &heard,
                    &got_first, &count, &err))
        fail_msg("%s", err.text);
    assert_string_equal(heard.bodies, bodies);
    assert_int_equal(count, heard.count);
    if (count > 0)
        assert_int_equal(got_first, first);
}

static void receipt(struct spool *spool, uint64_t incarnation, int lane, uint64_t cumulative)
{
    struct err err = {0};
    if (!spool_receipt(spool, incarnation, lane, cumulative, NULL, 0, &err))
        fail_msg("%s", err.text);
}

static size_t forget(struct spool *spool)
{
    size_t removed = 0;
    struct err err = {0};
    if (!spool_forget(spool, &removed, &err))
        fail_msg("%s", err.text);
    return removed;
}

static uint64_t held(const struct spool *spool)
{
    struct spool_stats stats;
    spool_stats(spool, &stats);
    return stats.records + stats.records_kept;
}

static void test_seqs_count_from_one_in_each_lane(void **state)
{
    struct fixture *fixture = *state;
    struct spool *spool = fixture->spool;
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
    struct fixture *fixture = *state;
    uint64_t first = push(fixture->spool, 2, "", "e1").incarnation;
    reopen(fixture);
    uint64_t second = push(fixture->spool, 1, "", "t1").incarnation;
    push(fixture->spool, 2, "", "e2");
    reopen(fixture);
    assert_true(first != second && second != spool_incarnation(fixture->spool));
    struct spool_stream streams[8];
    assert_int_equal(spool_streams(fixture->spool, streams, 8), 3);
    assert_true(streams[0].incarnation == first && streams[0].lane == 2);
    assert_true(streams[1].incarnation == second && streams[1].lane == 1);
    assert_true(streams[2].incarnation == second && streams[2].lane == 2);
    expect_read(fixture->spool, first, 2, 1, 10, 100, 1, "e1,");
    expect_read(fixture->spool, second, 2, 1, 10, 100, 1, "e2,");
    expect_read(fixture->spool, 12345, 2, 1, 10, 100, 0, "");
}

static void test_a_repeated_key_gets_the_first_answer(void **state)
{
    struct fixture *fixture = *state;
    struct spool_record records[] = {
        {.lane = 1, .key = text("k1"), .body = text("a")},
        {.lane = 1, .key = text("k2"), .body = text("b")},
        {.lane = 1, .key = text("k1"), .body = text("other content")},
        {.lane = 1, .body = text("c")},
    };
    assert_true(spool_push(fixture->spool, records, 4, NULL));
    assert_true(!records[1].duplicate && records[2].duplicate && !records[3].duplicate);
    assert_int_equal(records[2].seq, 1);
    assert_int_equal(records[3].seq, 3);
    struct spool_record again = push(fixture->spool, 1, "k2", "b");
    assert_true(again.duplicate && again.seq == 2);
    reopen(fixture);
    struct spool_record later = push(fixture->spool, 1, "k2", "b");
    assert_true(later.duplicate && later.seq == 2);
    assert_true(later.incarnation == again.incarnation);
    assert_false(push(fixture->spool, 1, "k3", "d").duplicate);
    assert_false(push(fixture->spool, 1, "", "e").duplicate);
    assert_int_equal(held(fixture->spool), 5);
}

static void test_the_key_window_is_bounded(void **state)
{
    struct fixture *fixture = *state;
    fixture->settings.key_window = 20;
    reopen(fixture);
    char key[16];
    for (int restart = 0; restart < 2; restart++) {
        for (int i = 0; i < 50; i++) {
            snprintf(key, sizeof key, "%d-%d", restart, i);
            assert_false(push(fixture->spool, 1, key, "x").duplicate);
        }
        for (int i = 30; i < 50; i++) {
            snprintf(key, sizeof key, "%d-%d", restart, i);
            assert_true(push(fixture->spool, 1, key, "x").duplicate);
        }
        reopen(fixture);
        assert_true(push(fixture->spool, 1, key, "x").duplicate);
        snprintf(key, sizeof key, "%d-29", restart);
        assert_false(push(fixture->spool, 1, key, "x").duplicate);
    }
}

static void test_keys_last_until_forgotten(void **state)
{
    struct fixture *fixture = *state;
    struct spool_record first = push(fixture->spool, 1, "k", "a");
    receipt(fixture->spool, first.incarnation, 1, 1);
    assert_true(push(fixture->spool, 1, "k", "a").duplicate);
    fixture->boot_ms += LONG_AFTER_MS;
    assert_int_equal(forget(fixture->spool), 1);
    struct spool_record after = push(fixture->spool, 1, "k", "a");
    assert_true(!after.duplicate && after.seq == 2);
}

static void test_bad_records_are_refused_whole(void **state)
{
    struct fixture *fixture = *state;
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
        assert_false(spool_push(fixture->spool, bad[i], 2, &err));
        assert_int_equal(err.code, ERR_INVALID);
    }
    assert_int_equal(held(fixture->spool), 0);
    assert_int_equal(push(fixture->spool, 1, "", "first").seq, 1);
}

static void test_reading_crosses_segments_and_keeps_its_bounds(void **state)
{
    struct fixture *fixture = *state;
    struct spool *spool = fixture->spool;
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
    struct fixture *fixture = *state;
    struct err err = {0};
    uint64_t first = 77;
    size_t count = 77;
    push(fixture->spool, 1, "", "a");
    push(fixture->spool, 1, "", "b");
    assert_false(spool_read(fixture->spool, spool_incarnation(fixture->spool), 1, 1, 10, 100,
                            stop_at_two, NULL, &first, &count, &err));
    assert_int_equal(err.code, ERR_FULL);
    assert_true(first == 77 && count == 77);
    assert_int_equal(push(fixture->spool, 1, "", "c").seq, 3);
}

static void test_receipts_add_up_in_any_order(void **state)
{
    struct fixture *fixture = *state;
    struct spool *spool = fixture->spool;
    uint64_t incarnation = spool_incarnation(spool);
    struct spool_stream stream = {0};
    for (int i = 0; i < 10; i++)
        push(spool, 1, "", "x");
    const struct spool_range ranges[] = {{8, 9}, {5, 6}};
    assert_true(spool_receipt(spool, incarnation, 1, 2, ranges, 2, NULL));
    assert_int_equal(spool_streams(spool, &stream, 1), 1);
    assert_int_equal(stream.first_unsent, 3);
    receipt(spool, incarnation, 1, 1); /* an older one takes nothing back */
    reopen(fixture);
    spool = fixture->spool;
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
    struct fixture *fixture = *state;
    struct spool *spool = fixture->spool;
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
    struct fixture *fixture = *state;
    struct spool *spool = fixture->spool;
    uint64_t incarnation = spool_incarnation(spool);
    struct spool_record pair[] = {{.lane = 1, .body = text("a")}, {.lane = 1, .body = text("b")}};
    assert_true(spool_push(spool, pair, 2, NULL));
    push(spool, 1, "", "c");
    fixture->boot_ms += 10 * LONG_AFTER_MS;
    assert_int_equal(forget(spool), 0);
    receipt(spool, incarnation, 1, 1);
    fixture->boot_ms += LONG_AFTER_MS;
    assert_int_equal(forget(spool), 0); /* half a segment */
    receipt(spool, incarnation, 1, 3);
    fixture->boot_ms += GRACE_MS - 1;
    assert_int_equal(forget(spool), 0);
    struct heard newest = {0};
    assert_true(spool_newest(spool, 1, 10, hear_newest, &newest, NULL));
    assert_string_equal(newest.bodies, "c,b,a,");
    fixture->boot_ms += 2 + GRACE_MS / 16; /* receipts are told apart by that much */
    assert_int_equal(forget(spool), 3);
    assert_int_equal(held(spool), 0);
    assert_int_equal(push(spool, 1, "", "d").seq, 4);
}

static void test_grace_is_powered_on_time(void **state)
{
    struct fixture *fixture = *state;
    uint64_t incarnation = push(fixture->spool, 1, "", "a").incarnation;
    receipt(fixture->spool, incarnation, 1, 1);
    fixture->boot_ms += GRACE_MS / 2;
    reopen(fixture); /* an agent's restart: the boot's clock runs on */
    assert_int_equal(forget(fixture->spool), 0);
    power_cycle(fixture, 10);
    assert_int_equal(forget(fixture->spool), 0);
    fixture->boot_ms += GRACE_MS / 4;
    assert_int_equal(forget(fixture->spool), 0);
    fixture->boot_ms += GRACE_MS / 2;
    assert_int_equal(forget(fixture->spool), 1);
}

static void test_age_survives_restarts(void **state)
{
    struct fixture *fixture = *state;
    struct spool_stats stats;
    uint64_t incarnation = push(fixture->spool, 1, "", "a").incarnation;
    fixture->boot_ms += 5000;
    push(fixture->spool, 1, "", "b");
    fixture->boot_ms += 2000;
    reopen(fixture);
    power_cycle(fixture, 100);
    spool_stats(fixture->spool, &stats);
    assert_int_equal(stats.oldest_ms, 7100);
    receipt(fixture->spool, incarnation, 1, 1);
    spool_stats(fixture->spool, &stats);
    assert_int_equal(stats.oldest_ms, 2100);
    receipt(fixture->spool, incarnation, 1, 2);
    spool_stats(fixture->spool, &stats);
    assert_int_equal(stats.oldest_ms, 0);
    assert_true(stats.bytes > stats.wal_bytes && stats.wal_bytes > 0);
}

static void test_nothing_grows_with_restarts(void **state)
{
    struct fixture *fixture = *state;
    struct spool_stats stats;
    uint64_t bytes = 0;
    for (int restart = 0; restart < 60; restart++) {
        uint64_t incarnation = push(fixture->spool, 2, "", "the agent started").incarnation;
        receipt(fixture->spool, incarnation, 2, 1);
        fixture->boot_ms += LONG_AFTER_MS;
        forget(fixture->spool);
        reopen(fixture);
        spool_stats(fixture->spool, &stats);
        if (restart == 5)
            bytes = stats.bytes;
    }
    assert_in_range(stats.bytes, 1, bytes);
}

static void test_newest_first_over_all_incarnations(void **state)
{
    struct fixture *fixture = *state;
    push(fixture->spool, 1, "", "a");
    push(fixture->spool, 2, "", "event");
    reopen(fixture);
    struct spool_record pair[] = {{.lane = 1, .body = text("b")}, {.lane = 1, .body = text("c")}};
    assert_true(spool_push(fixture->spool, pair, 2, NULL));
    receipt(fixture->spool, spool_incarnation(fixture->spool), 1, 1);
    struct heard all = {0}, two = {0}, none = {0};
    assert_true(spool_newest(fixture->spool, 1, 10, hear_newest, &all, NULL));
    assert_string_equal(all.bodies, "c,b,a,");
    assert_true(spool_newest(fixture->spool, 1, 2, hear_newest, &two, NULL));
    assert_string_equal(two.bodies, "c,b,");
    assert_true(spool_newest(fixture->spool, 3, 2, hear_newest, &none, NULL));
    assert_string_equal(none.bodies, "");
}

static void test_notes_are_kept(void **state)
{
    struct fixture *fixture = *state;
    struct buf value = {0};
    assert_true(spool_note_read(fixture->spool, "receipt", &value, NULL));
    assert_int_equal(value.length, 0);
    assert_true(spool_note_write(fixture->spool, "receipt", text("one"), NULL));
    assert_true(spool_note_write(fixture->spool, "receipt", bytes_of("t\0o", 3), NULL));
    assert_true(spool_note_write(fixture->spool, "empty", bytes_of(NULL, 0), NULL));
    reopen(fixture);
    assert_true(spool_note_read(fixture->spool, "receipt", &value, NULL));
    assert_true(bytes_equal(buf_bytes(&value), bytes_of("t\0o", 3)));
    assert_true(spool_note_read(fixture->spool, "empty", &value, NULL));
    assert_int_equal(value.length, 0);
    buf_done(&value);
}

static void test_another_devices_spool_is_refused_untouched(void **state)
{
    struct fixture *fixture = *state;
    uint64_t incarnation = push(fixture->spool, 1, "", "mine").incarnation;
    spool_close(fixture->spool);
    fixture->spool = NULL;
    fixture->settings.device = "p-100002";
    struct err err = {0};
    assert_false(spool_open(&fixture->settings, &fixture->clock, &fixture->spool, &err));
    assert_int_equal(err.code, ERR_CONFLICT);
    assert_non_null(strstr(err.text, "p-100001"));
    fixture->settings.device = "p-100001";
    reopen(fixture);
    expect_read(fixture->spool, incarnation, 1, 1, 10, 100, 1, "mine,");
}

static void test_a_newer_schema_is_refused_untouched(void **state)
{
    struct fixture *fixture = *state;
    push(fixture->spool, 1, "", "a");
    spool_close(fixture->spool);
    fixture->spool = NULL;
    struct buf content = {0}, after = {0};
    assert_true(file_read(fixture->path, 1 << 20, &content, NULL));
    content.data[63] = 99; /* user_version, in the file's header */
    assert_true(file_write(fixture->path, buf_bytes(&content), 0600, NULL));
    struct err err = {0};
    assert_false(spool_open(&fixture->settings, &fixture->clock, &fixture->spool, &err));
    assert_int_equal(err.code, ERR_REFUSED);
    assert_true(file_read(fixture->path, 1 << 20, &after, NULL));
    assert_true(bytes_equal(buf_bytes(&content), buf_bytes(&after)));
    buf_done(&content);
    buf_done(&after);
}

/* Flips bits in the middle of the only copy of `needle`. */
static void damage(const char *path, const char *needle)
{
    struct buf content = {0};
    assert_true(file_read(path, 16 << 20, &content, NULL));
    uint8_t *at = memmem(content.data, content.length, needle, strlen(needle));
    assert_non_null(at);
    at[strlen(needle) / 2] ^= 0x20;
    assert_true(file_write(path, buf_bytes(&content), 0600, NULL));
    buf_done(&content);
}

static void test_a_damaged_record_is_never_given(void **state)
{
    struct fixture *fixture = *state;
    uint64_t incarnation = push(fixture->spool, 1, "k1", "a sound one").incarnation;
    push(fixture->spool, 1, "k2", "to be damaged");
    push(fixture->spool, 1, "k3", "and one behind");
    spool_close(fixture->spool);
    fixture->spool = NULL;
    damage(fixture->path, "to be damaged");
    reopen(fixture);
    struct heard heard = {0};
    struct err err = {0};
    uint64_t first = 0;
    size_t count = 0;
    assert_false(spool_read(fixture->spool, incarnation, 1, 1, 10, 1000, hear, &heard, &first,
                            &count, &err));
    assert_string_equal(heard.bodies, "a sound one,");
    assert_int_equal(err.code, ERR_IO);
    assert_non_null(strstr(err.text, "lane 1 seq 2"));
    expect_read(fixture->spool, incarnation, 1, 3, 10, 1000, 3, "and one behind,");
    assert_true(push(fixture->spool, 1, "k3", "and one behind").duplicate);
}

static void test_a_damaged_file_says_so(void **state)
{
    struct fixture *fixture = *state;
    push(fixture->spool, 1, "", "a");
    spool_close(fixture->spool);
    fixture->spool = NULL;
    struct buf content = {0};
    assert_true(file_read(fixture->path, 1 << 20, &content, NULL));
    memset(content.data, 0x55, 100);
    assert_true(file_write(fixture->path, buf_bytes(&content), 0600, NULL));
    buf_done(&content);
    struct err err = {0};
    assert_false(spool_open(&fixture->settings, &fixture->clock, &fixture->spool, &err));
    assert_int_equal(err.code, ERR_IO);
    assert_non_null(strstr(err.text, fixture->path));
}

/* Pushes until there is no room; returns the last seq that was taken. */
static uint64_t fill_up(struct spool *spool, size_t body_bytes)
{
    static char body[4096];
    struct spool_record record = {.lane = 1, .body = bytes_of(body, body_bytes)};
    struct err err = {0};
    uint64_t last = 0;
    while (spool_push(spool, &record, 1, &err)) {
        last = record.seq;
        assert_in_range(last, 1, 200000);
    }
    if (err.code != ERR_FULL)
        fail_msg("%s", err.text);
    return last;
}

static bool count_only(void *ctx, uint64_t seq, struct bytes body, struct err *err)
{
    (void)body;
    (void)err;
    assert_true(seq == ++*(uint64_t *)ctx);
    return true;
}

static void expect_all_readable(struct spool *spool, uint64_t incarnation, uint64_t last)
{
    uint64_t seq = 0, first = 0;
    size_t count = 1;
    while (count > 0)
        assert_true(spool_read(spool, incarnation, 1, seq + 1, 500, 1 << 20, count_only, &seq,
                               &first, &count, NULL));
    assert_int_equal(seq, last);
}

static void forget_all(struct spool *spool)
{
    while (forget(spool) > 0)
        continue;
    assert_int_equal(held(spool), 0);
}

static void test_over_quota_nothing_breaks_and_room_comes_back(void **state)
{
    struct fixture *fixture = *state;
    fixture->settings.quota_bytes = SPOOL_QUOTA_MIN_BYTES;
    fixture->settings.grace_ms = 0;
    reopen(fixture);
    struct spool *spool = fixture->spool;
    uint64_t incarnation = spool_incarnation(spool);
    struct spool_stats stats;
    uint64_t last = fill_up(spool, 1000);
    spool_stats(spool, &stats);
    assert_in_range(stats.bytes, 1 << 20, SPOOL_QUOTA_MIN_BYTES);
    assert_int_equal(stats.records, last);
    expect_all_readable(spool, incarnation, last);
    assert_true(spool_note_write(spool, "n", text("works when full"), NULL));
    for (uint64_t seq = 10; seq < last && seq < 2000; seq += 10) {
        const struct spool_range range = {seq, seq};
        assert_true(spool_receipt(spool, incarnation, 1, 0, &range, 1, NULL));
    }
    receipt(spool, incarnation, 1, last);
    forget_all(spool);
    spool_stats(spool, &stats);
    assert_in_range(stats.bytes, 0, SPOOL_QUOTA_MIN_BYTES / 2);
    assert_int_equal(push(spool, 1, "", "again").seq, last + 1);
    assert_in_range(fill_up(spool, 1000), last + last / 2, 200000);
    reopen(fixture);
    assert_in_range(held(fixture->spool), last / 2, 2 * last);
}

static void test_a_failed_write_takes_nothing_back(void **state)
{
    struct fixture *fixture = *state;
    struct rlimit before, tight;
    push(fixture->spool, 1, "kept", "the first");
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    tight = before;
    tight.rlim_cur = 100 * 1024; /* neither WAL nor database grow beyond that */
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &tight), 0);
    uint64_t last = fill_up(fixture->spool, 1000);
    /* A failed push must not cost the window its keys. */
    struct spool_record records[100];
    static char body[4096];
    for (int round = 0; round < 15; round++) {
        for (size_t i = 0; i < 100; i++)
            records[i] = (struct spool_record){
                .lane = 1, .key = bytes_of(&records[i], 8), .body = bytes_of(body, 4000)};
        assert_false(spool_push(fixture->spool, records, 100, NULL));
    }
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    (void)signal(SIGXFSZ, handler);
    assert_true(push(fixture->spool, 1, "kept", "the first").duplicate);
    assert_int_equal(push(fixture->spool, 1, "", "after").seq, last + 1);
    expect_all_readable(fixture->spool, spool_incarnation(fixture->spool), last + 1);
}

enum { CANNOT_MOUNT = 77 };

static int explain(int status, const struct err *err)
{
    fprintf(stderr, "on a full disk: %s\n", err->text);
    return status;
}

/* In a child, on a file system of its own that really is full. */
static int on_a_full_disk(struct fixture *fixture)
{
    int flags = CLONE_NEWNS | (geteuid() == 0 ? 0 : CLONE_NEWUSER);
    if (unshare(flags) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("tmpfs", fixture->dir, "tmpfs", 0, "size=6m") != 0)
        return CANNOT_MOUNT;
    struct spool *spool = NULL;
    struct err err = {0};
    fixture->settings.grace_ms = 0;
    if (!spool_open(&fixture->settings, &fixture->clock, &spool, &err))
        return explain(1, &err);
    for (int round = 0; round < 3; round++) {
        struct spool_record record = {.lane = 1, .body = bytes_of(fixture, sizeof *fixture)};
        uint64_t last = 0;
        while (spool_push(spool, &record, 1, &err))
            last = record.seq;
        size_t removed = 1;
        if (err.code != ERR_FULL || last == 0)
            return explain(2, &err);
        if (!spool_receipt(spool, record.incarnation, 1, last, NULL, 0, &err))
            return explain(3, &err);
        while (removed > 0) {
            if (!spool_forget(spool, &removed, &err))
                return explain(4, &err);
        }
        if (held(spool) != 0 || !spool_push(spool, &record, 1, &err) || record.seq != last + 1)
            return explain(5, &err);
    }
    spool_close(spool);
    return 0;
}

static void test_a_full_disk_can_be_emptied(void **state)
{
    struct fixture *fixture = *state;
    spool_close(fixture->spool);
    fixture->spool = NULL;
    pid_t child = fork();
    if (child == 0)
        _exit(on_a_full_disk(fixture));
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == CANNOT_MOUNT)
        skip(); /* no right to mount here */
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void push_until_killed(struct fixture *fixture, int to_parent)
{
    struct spool *spool = NULL;
    if (!spool_open(&fixture->settings, &fixture->clock, &spool, NULL))
        _exit(1);
    for (;;) {
        struct spool_record records[3];
        for (size_t i = 0; i < 3; i++)
            records[i] = (struct spool_record){.lane = 1, .body = text("as it was given")};
        if (!spool_push(spool, records, 3, NULL) ||
            write(to_parent, &records[2].seq, sizeof records[2].seq) != sizeof records[2].seq)
            _exit(2);
    }
}

static void test_kill_9_loses_nothing_acknowledged(void **state)
{
    struct fixture *fixture = *state;
    spool_close(fixture->spool);
    fixture->spool = NULL;
    for (uint64_t wanted = 30; wanted <= 300; wanted += 90) {
        int ends[2];
        assert_int_equal(pipe(ends), 0);
        pid_t child = fork();
        if (child == 0) {
            close(ends[0]);
            push_until_killed(fixture, ends[1]);
        }
        close(ends[1]);
        uint64_t answered = 0, seq = 0;
        while (read(ends[0], &seq, sizeof seq) == sizeof seq) {
            answered = seq;
            if (answered >= wanted)
                kill(child, SIGKILL);
        }
        close(ends[0]);
        int status = 0;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status) && answered >= wanted);
        reopen(fixture);
        struct spool_stream streams[8];
        size_t count = spool_streams(fixture->spool, streams, 8);
        assert_in_range(count, 1, 8);
        const struct spool_stream *stream = &streams[count - 1];
        assert_in_range(stream->last_seq, answered, answered + 3);
        expect_all_readable(fixture->spool, stream->incarnation, stream->last_seq);
        spool_close(fixture->spool);
        fixture->spool = NULL;
    }
}

static void test_settings_out_of_range_are_refused(void **state)
{
    struct fixture *fixture = *state;
    struct spool *spool = NULL;
    struct err err = {0};
    fixture->settings.quota_bytes = SPOOL_QUOTA_MIN_BYTES - 1;
    assert_false(spool_open(&fixture->settings, &fixture->clock, &spool, &err));
    assert_int_equal(err.code, ERR_INVALID);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_seqs_count_from_one_in_each_lane),
        TEST(test_a_restart_is_a_new_incarnation_after_the_old_ones),
        TEST(test_a_repeated_key_gets_the_first_answer),
        TEST(test_the_key_window_is_bounded),
        TEST(test_keys_last_until_forgotten),
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
        TEST(test_another_devices_spool_is_refused_untouched),
        TEST(test_a_newer_schema_is_refused_untouched),
        TEST(test_a_damaged_record_is_never_given),
        TEST(test_a_damaged_file_says_so),
        TEST(test_over_quota_nothing_breaks_and_room_comes_back),
        TEST(test_a_failed_write_takes_nothing_back),
        TEST(test_a_full_disk_can_be_emptied),
        TEST(test_kill_9_loses_nothing_acknowledged),
        TEST(test_settings_out_of_range_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
