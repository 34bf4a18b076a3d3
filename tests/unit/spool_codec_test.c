/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/spool_codec.h"
#include "tests/unit/testing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RECORDS = 100, ID = 77001 };

/* Any bytes are a dictionary to zstd. */
static const char first_words[] = "terminal 00017 at the till, approved, contactless, auth code ";
static const char other_words[] = "quite another dictionary, with words that nobody will ever say";

struct world {
    struct spool_codec *codec;
    struct buf plain;
    struct bytes body; /* as stored: a copy */
    struct spool_frame frames[SPOOL_PUSH_RECORDS];
};

static void learn(struct world *world, uint32_t version, const char *words)
{
    assert_true(spool_codec_learn(world->codec, version, bytes_of(words, strlen(words)), NULL));
}

static size_t text_of(size_t index, char text[96])
{
    return (size_t)snprintf(text, 96, "%s%06zu", first_words, index * 7919 % 1000000);
}

static int setup(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    assert_true(spool_codec_open(&world->codec, NULL));
    for (size_t i = 0; i < RECORDS; i++) {
        char text[96];
        size_t length = text_of(i, text);
        assert_true(
            spool_segment_put(&world->plain, bytes_of(&i, i % 9), bytes_of(text, length), NULL));
    }
    *state = world;
    return 0;
}

static int teardown(void **state)
{
    struct world *world = *state;
    spool_codec_close(world->codec);
    buf_done(&world->plain);
    free((void *)(uintptr_t)world->body.data);
    free(world);
    return 0;
}

static int encode(struct world *world)
{
    int kind = -1;
    struct bytes body = {0};
    assert_true(spool_codec_encode(world->codec, ID, buf_bytes(&world->plain), RECORDS, &kind,
                                   &body, NULL));
    free((void *)(uintptr_t)world->body.data);
    uint8_t *copy = malloc(body.length);
    memcpy(copy, body.data, body.length);
    world->body = bytes_of(copy, body.length);
    return kind;
}

/* How many come out; those that do are what went in. */
static size_t sound(struct world *world, int kind, int64_t id, struct bytes body, size_t count)
{
    size_t found = 0;
    assert_true(spool_codec_split(world->codec, kind, id, body, count, world->frames, NULL));
    for (size_t i = 0; i < count; i++) {
        char text[96];
        const struct spool_frame *frame = &world->frames[i];
        if (frame->record.length == 0)
            continue;
        assert_true(bytes_equal(frame->record, bytes_of(text, text_of(i, text))));
        assert_true(bytes_equal(frame->key, bytes_of(&i, i % 9)));
        found++;
    }
    return found;
}

static void test_without_a_dictionary_bodies_stay_plain(void **state)
{
    struct world *world = *state;
    assert_int_equal(encode(world), SPOOL_CODEC_PLAIN);
    assert_true(bytes_equal(world->body, buf_bytes(&world->plain)));
    assert_int_equal(sound(world, SPOOL_CODEC_PLAIN, ID, world->body, RECORDS), RECORDS);
}

static void test_what_zstd_would_make_longer_stays_plain(void **state)
{
    struct world *world = *state;
    learn(world, 1, other_words);
    buf_clear(&world->plain);
    int kind = -1;
    struct bytes body = {0};
    assert_true(spool_segment_put(&world->plain, bytes_of(NULL, 0), bytes_of("\x93\x11", 2), NULL));
    assert_true(
        spool_codec_encode(world->codec, ID, buf_bytes(&world->plain), 1, &kind, &body, NULL));
    assert_int_equal(kind, SPOOL_CODEC_PLAIN);
}

static void test_records_come_out_as_they_went_in(void **state)
{
    struct world *world = *state;
    learn(world, 1, first_words);
    assert_int_equal(encode(world), SPOOL_CODEC_ZSTD);
    assert_true(world->body.length < world->plain.length / 2);
    assert_int_equal(sound(world, SPOOL_CODEC_ZSTD, ID, world->body, RECORDS), RECORDS);
}

static void test_any_version_is_read_the_newest_written(void **state)
{
    struct world *world = *state;
    learn(world, 2, first_words);
    assert_int_equal(encode(world), SPOOL_CODEC_ZSTD);
    assert_int_equal(world->body.data[4], 2);
    learn(world, 1, other_words);
    assert_int_equal(sound(world, SPOOL_CODEC_ZSTD, ID, world->body, RECORDS), RECORDS);
    assert_int_equal(encode(world), SPOOL_CODEC_ZSTD);
    assert_int_equal(world->body.data[4], 2);
    learn(world, 3, other_words);
    learn(world, 2, other_words); /* is known already */
    assert_int_equal(sound(world, SPOOL_CODEC_ZSTD, ID, world->body, RECORDS), RECORDS);
    assert_int_equal(encode(world), SPOOL_CODEC_ZSTD);
    assert_int_equal(world->body.data[4], 3);
    assert_int_equal(sound(world, SPOOL_CODEC_ZSTD, ID, world->body, RECORDS), RECORDS);
}

static void test_an_unknown_dictionary_or_codec_gives_nothing(void **state)
{
    struct world *world = *state;
    learn(world, 1, first_words);
    encode(world);
    assert_int_equal(sound(world, 2, ID, world->body, RECORDS), 0);
    spool_codec_close(world->codec);
    assert_true(spool_codec_open(&world->codec, NULL));
    learn(world, 2, first_words);
    assert_int_equal(sound(world, SPOOL_CODEC_ZSTD, ID, world->body, RECORDS), 0);
}

static void test_another_id_or_count_gives_nothing(void **state)
{
    struct world *world = *state;
    learn(world, 1, first_words);
    encode(world);
    assert_int_equal(sound(world, SPOOL_CODEC_ZSTD, ID + 1, world->body, RECORDS), 0);
    assert_int_equal(sound(world, SPOOL_CODEC_ZSTD, ID, world->body, RECORDS - 1), 0);
    assert_int_equal(sound(world, SPOOL_CODEC_ZSTD, ID, world->body, RECORDS + 1), 0);
    assert_int_equal(sound(world, SPOOL_CODEC_ZSTD, ID, world->body, SPOOL_PUSH_RECORDS), 0);
}

/* No damaged byte gives a changed record, and one behind the list of runs costs one run. */
static void test_damage_costs_one_run(void **state)
{
    struct world *world = *state;
    learn(world, 1, first_words);
    encode(world);
    uint8_t *data = (uint8_t *)(uintptr_t)world->body.data;
    size_t whole = 0;
    for (size_t at = 0; at < world->body.length; at++) {
        data[at] ^= 0x41;
        size_t found = sound(world, SPOOL_CODEC_ZSTD, ID, world->body, RECORDS);
        assert_true(found < RECORDS);
        assert_true(at < 4 + 2 + 3 * 4 ? found == 0 || found >= RECORDS - SPOOL_RUN_RECORDS
                                       : found >= RECORDS - SPOOL_RUN_RECORDS);
        whole += found == 0;
        data[at] ^= 0x41;
    }
    assert_true(whole > 0);
    for (size_t length = 0; length < world->body.length; length++)
        assert_true(sound(world, SPOOL_CODEC_ZSTD, ID, bytes_of(data, length), RECORDS) < RECORDS);
}

static void test_the_longest_record_and_the_most(void **state)
{
    struct world *world = *state;
    learn(world, 1, first_words);
    uint8_t *long_record = calloc(1, SPOOL_PUSH_BYTES);
    int kind = -1;
    struct bytes body = {0};
    buf_clear(&world->plain);
    assert_true(spool_segment_put(&world->plain, bytes_of("k", 1),
                                  bytes_of(long_record, SPOOL_PUSH_BYTES), NULL));
    assert_true(
        spool_codec_encode(world->codec, ID, buf_bytes(&world->plain), 1, &kind, &body, NULL));
    assert_int_equal(kind, SPOOL_CODEC_ZSTD);
    uint8_t copy[1024];
    assert_true(body.length < sizeof copy);
    memcpy(copy, body.data, body.length);
    assert_true(spool_codec_split(world->codec, kind, ID, bytes_of(copy, body.length), 1,
                                  world->frames, NULL));
    assert_int_equal(world->frames[0].record.length, SPOOL_PUSH_BYTES);
    free(long_record);
    buf_clear(&world->plain);
    for (size_t i = 0; i < SPOOL_PUSH_RECORDS; i++)
        assert_true(spool_segment_put(&world->plain, bytes_of(NULL, 0), bytes_of("x", 1), NULL));
    assert_true(spool_codec_encode(world->codec, ID, buf_bytes(&world->plain), SPOOL_PUSH_RECORDS,
                                   &kind, &body, NULL));
    assert_int_equal(kind, SPOOL_CODEC_ZSTD);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_without_a_dictionary_bodies_stay_plain),
        TEST(test_what_zstd_would_make_longer_stays_plain),
        TEST(test_records_come_out_as_they_went_in),
        TEST(test_any_version_is_read_the_newest_written),
        TEST(test_an_unknown_dictionary_or_codec_gives_nothing),
        TEST(test_another_id_or_count_gives_nothing),
        TEST(test_damage_costs_one_run),
        TEST(test_the_longest_record_and_the_most),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
