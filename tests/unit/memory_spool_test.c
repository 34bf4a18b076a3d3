/* SPDX-License-Identifier: Apache-2.0 */
/* What simulated terminals have for a spool: held to what storage/spool.h says. */
#include "storage/spool.h"
#include "tests/unit/testing.h"

#include <stdlib.h>
#include <string.h>

struct world {
    struct clock clock;
    int64_t now_ms;
    struct spool *spool;
    char read[64]; /* bodies that spool_read gave, one after the other */
};

static int64_t now_of(void *ctx)
{
    return ((const struct world *)ctx)->now_ms;
}

static int set_up(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    const struct spool_settings settings = {.quota_bytes = 1000, .grace_ms = 500, .key_window = 4};
    world->clock = (struct clock){now_of, now_of, world};
    world->now_ms = 1000;
    assert_true(spool_open(&settings, &world->clock, &world->spool, NULL));
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;
    spool_close(world->spool);
    free(world);
    return 0;
}

static struct bytes text(const char *value)
{
    return bytes_of(value, strlen(value));
}

static struct spool_record push(struct world *world, int lane, const char *key, const char *body)
{
    struct spool_record record = {.lane = lane, .key = text(key), .body = text(body)};
    assert_true(spool_push(world->spool, &record, 1, NULL));
    return record;
}

/* a, b, c, d, e in lane 1. */
static void push_five(struct world *world)
{
    push(world, 1, "", "a");
    push(world, 1, "", "b");
    push(world, 1, "", "c");
    push(world, 1, "", "d");
    push(world, 1, "", "e");
}

static bool append(void *ctx, uint64_t seq, struct bytes body, struct err *err)
{
    struct world *world = ctx;
    (void)seq, (void)err;
    strncat(world->read, (const char *)body.data, body.length);
    return true;
}

static struct spool_found read_from(struct world *world, uint64_t from, size_t most)
{
    struct spool_found found;
    world->read[0] = '\0';
    assert_true(spool_read(world->spool, spool_incarnation(world->spool), 1, from, most, 1000,
                           append, world, &found, NULL));
    return found;
}

static bool receipt(struct world *world, uint64_t cumulative, uint64_t first, uint64_t last)
{
    const struct spool_range range = {first, last};
    return spool_receipt(world->spool, spool_incarnation(world->spool), 1, cumulative, &range,
                         first > 0 ? 1 : 0, NULL);
}

static struct spool_stats stats(const struct world *world)
{
    struct spool_stats now;
    spool_stats(world->spool, &now);
    return now;
}

static void test_a_key_gets_the_first_answer_within_its_window(void **state)
{
    struct world *world = *state;
    push(world, 1, "k", "a");
    struct spool_record again = push(world, 1, "k", "a");
    assert_true(again.duplicate && again.seq == 1);
    for (unsigned i = 0; i < 4; i++) {
        const char key[] = {(char)('0' + i), '\0'};
        push(world, 1, key, "x");
    }
    assert_false(push(world, 1, "k", "a").duplicate);
    assert_int_equal(stats(world).records, 6);
}

static void test_what_is_receipted_is_not_read(void **state)
{
    struct world *world = *state;
    struct spool_stream stream;
    push_five(world);
    assert_true(receipt(world, 1, 3, 3));
    struct spool_found found = read_from(world, 1, 10);
    assert_int_equal(found.first, 2);
    assert_string_equal(world->read, "b");
    found = read_from(world, 3, 1);
    assert_int_equal(found.first, 4);
    assert_string_equal(world->read, "d");
    assert_int_equal(spool_streams(world->spool, &stream, 1), 1);
    assert_true(stream.first_unsent == 2 && stream.receipted_to == 3 && stream.last_seq == 5);
    assert_true(receipt(world, 5, 0, 0));
    assert_int_equal(spool_streams(world->spool, &stream, 1), 0);
    assert_int_equal(spool_unclosed(world->spool, &stream, 1), 1);
}

static void test_a_receipt_beyond_the_end_changes_nothing(void **state)
{
    struct world *world = *state;
    push_five(world);
    assert_false(receipt(world, 6, 0, 0));
    assert_false(receipt(world, 2, 4, 6));
    assert_int_equal(stats(world).records, 5);
    assert_true(spool_receipt(world->spool, 77, 1, 1000, NULL, 0, NULL)); /* nobody's */
    assert_int_equal(stats(world).records, 5);
}

static void test_what_is_given_up_is_declared_until_it_is_receipted(void **state)
{
    struct world *world = *state;
    push_five(world);
    assert_true(spool_lose(world->spool, spool_incarnation(world->spool), 1, 2, 3,
                           SPOOL_LOST_CONFLICT, NULL));
    struct spool_found found = read_from(world, 1, 10);
    assert_string_equal(world->read, "a");
    found = read_from(world, 2, 10);
    assert_true(found.first == 2 && found.count == 2 && found.lost == SPOOL_LOST_CONFLICT);
    assert_true(stats(world).records == 3 && stats(world).records_lost == 2);
    assert_true(receipt(world, 5, 0, 0));
    assert_true(stats(world).records == 0 && stats(world).records_lost == 0);
}

static void test_bodies_go_after_their_grace(void **state)
{
    struct world *world = *state;
    size_t removed = 0;
    push_five(world);
    assert_true(receipt(world, 3, 0, 0));
    assert_true(spool_forget(world->spool, &removed, NULL));
    assert_int_equal(removed, 0);
    assert_int_equal(stats(world).records_kept, 3);
    world->now_ms += 500;
    assert_true(spool_forget(world->spool, &removed, NULL));
    assert_int_equal(removed, 3);
    assert_true(stats(world).records_kept == 0 && stats(world).bytes == 2);
    assert_int_equal(stats(world).oldest_ms, 500);
}

static void test_a_restored_fleet_gets_again_what_is_left(void **state)
{
    struct world *world = *state;
    size_t removed = 0;
    push_five(world);
    assert_true(receipt(world, 2, 0, 0));
    world->now_ms += 500;
    assert_true(spool_forget(world->spool, &removed, NULL));
    assert_true(receipt(world, 5, 0, 0));
    assert_true(spool_again(world->spool, spool_incarnation(world->spool), 1, 1, NULL, 0, NULL));
    struct spool_found found = read_from(world, 1, 10);
    assert_true(found.first == 2 && found.count == 1 && found.lost == SPOOL_LOST_FORGOTTEN);
    found = read_from(world, 3, 10);
    assert_int_equal(found.count, 3);
    assert_string_equal(world->read, "cde");
}

static void test_a_full_spool_takes_all_or_nothing(void **state)
{
    struct world *world = *state;
    char long_body[900];
    memset(long_body, 'x', sizeof long_body);
    struct spool_record records[] = {{.lane = 1, .body = text("a")},
                                     {.lane = 2, .body = bytes_of(long_body, sizeof long_body)},
                                     {.lane = 3, .body = bytes_of(long_body, sizeof long_body)}};
    struct err err = {0};
    assert_false(spool_push(world->spool, records, 3, &err));
    assert_int_equal(err.code, ERR_FULL);
    assert_int_equal(stats(world).records, 0);
    assert_true(spool_push(world->spool, records, 2, &err));
}

static void test_notes_are_kept(void **state)
{
    struct world *world = *state;
    struct buf note = {0};
    assert_true(spool_note_read(world->spool, "clock", &note, NULL));
    assert_int_equal(note.length, 0);
    assert_true(spool_note_write(world->spool, "clock", text("one"), NULL));
    assert_true(spool_note_write(world->spool, "traffic", text("two"), NULL));
    assert_true(spool_note_write(world->spool, "clock", text("three"), NULL));
    assert_true(spool_note_read(world->spool, "clock", &note, NULL));
    assert_true(bytes_equal(buf_bytes(&note), text("three")));
    buf_done(&note);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_a_key_gets_the_first_answer_within_its_window),
        TEST(test_what_is_receipted_is_not_read),
        TEST(test_a_receipt_beyond_the_end_changes_nothing),
        TEST(test_what_is_given_up_is_declared_until_it_is_receipted),
        TEST(test_bodies_go_after_their_grace),
        TEST(test_a_restored_fleet_gets_again_what_is_left),
        TEST(test_a_full_spool_takes_all_or_nothing),
        TEST(test_notes_are_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
