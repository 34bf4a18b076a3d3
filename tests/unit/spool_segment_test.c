/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/spool_segment.h"
#include "tests/unit/testing.h"

#include <string.h>

static void test_the_checksum_is_crc32c(void **state)
{
    (void)state;
    uint8_t ones[32];
    memset(ones, 0xff, sizeof ones);
    /* RFC 3720 appendix B.4 */
    assert_int_equal(spool_segment_crc(0, bytes_of(ones, sizeof ones)), 0x62a8ab43);
    assert_int_equal(spool_segment_crc(0, bytes_of("123456789", 9)), 0xe3069283);
    uint32_t crc = spool_segment_crc(0, bytes_of("12345", 5));
    assert_int_equal(spool_segment_crc(crc, bytes_of("6789", 4)), 0xe3069283);
}

/* As the polynomial is divided by hand, whatever the length and wherever the bytes stand. */
static uint32_t bit_by_bit(struct bytes data)
{
    uint32_t crc = ~0u;
    for (size_t i = 0; i < data.length; i++) {
        crc ^= data.data[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
    }
    return ~crc;
}

static void test_every_length_sums_up_as_bit_by_bit(void **state)
{
    (void)state;
    uint8_t data[300];
    uint64_t random = 1;
    for (size_t i = 0; i < sizeof data; i++) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        data[i] = (uint8_t)(random >> 56);
    }
    for (size_t from = 0; from < 9; from++) {
        for (size_t length = 0; length <= sizeof data - from; length++) {
            const struct bytes all = bytes_of(data + from, length);
            assert_int_equal(spool_segment_crc(0, all), bit_by_bit(all));
            const struct bytes head = bytes_of(all.data, length / 3);
            const struct bytes tail = bytes_of(all.data + length / 3, length - length / 3);
            assert_int_equal(spool_segment_crc(spool_segment_crc(0, head), tail), bit_by_bit(all));
        }
    }
}

static void fill(struct buf *body)
{
    char long_record[300];
    memset(long_record, 'x', sizeof long_record);
    assert_true(spool_segment_put(body, bytes_of("key", 3), bytes_of("first", 5), NULL));
    assert_true(spool_segment_put(body, bytes_of(NULL, 0), bytes_of("s", 1), NULL));
    assert_true(spool_segment_put(body, bytes_of("0123456789abcdef0123456789abcdef", 32),
                                  bytes_of(long_record, sizeof long_record), NULL));
}

static void test_records_come_out_as_they_went_in(void **state)
{
    (void)state;
    struct buf body = {0};
    fill(&body);
    struct bytes rest = buf_bytes(&body);
    struct spool_frame frame;
    assert_true(spool_segment_next(&rest, &frame, NULL));
    assert_true(bytes_equal(frame.key, bytes_of("key", 3)));
    assert_true(bytes_equal(frame.record, bytes_of("first", 5)));
    assert_true(spool_segment_next(&rest, &frame, NULL));
    assert_int_equal(frame.key.length, 0);
    assert_true(bytes_equal(frame.record, bytes_of("s", 1)));
    assert_true(spool_segment_next(&rest, &frame, NULL));
    assert_int_equal(frame.key.length, 32);
    assert_int_equal(frame.record.length, 300);
    assert_int_equal(rest.length, 0);
    buf_done(&body);
}

/* A walk must end in an error or in records that are all sound, never in a changed one. */
static void test_every_changed_bit_is_noticed(void **state)
{
    (void)state;
    struct buf body = {0};
    fill(&body);
    for (size_t bit = 0; bit < 8 * body.length; bit++) {
        body.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        struct bytes rest = buf_bytes(&body);
        struct spool_frame frame;
        bool sound = true;
        while (sound && rest.length > 0)
            sound = spool_segment_next(&rest, &frame, NULL);
        assert_false(sound);
        body.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    for (size_t length = 1; length < body.length; length++) {
        struct bytes rest = bytes_of(body.data, length);
        struct spool_frame frame;
        size_t count = 0;
        while (rest.length > 0 && spool_segment_next(&rest, &frame, NULL))
            count++;
        assert_true(count < 3);
    }
    buf_done(&body);
}

static void test_sound_records_come_out_of_a_damaged_body(void **state)
{
    (void)state;
    struct buf body = {0};
    size_t ends[6];
    for (size_t i = 0; i < 5; i++) {
        const char content[] = {(char)('a' + i), 'x', 'y'};
        ends[i] = body.length;
        assert_true(spool_segment_put(&body, bytes_of("key", i % 4), bytes_of(content, 3), NULL));
    }
    ends[5] = body.length;
    struct spool_frame frames[7];
    for (size_t damaged = 0; damaged < body.length; damaged++) {
        size_t record = 0;
        while (damaged >= ends[record + 1])
            record++;
        body.data[damaged] ^= 0x40;
        spool_segment_split(buf_bytes(&body), 5, frames);
        for (size_t i = 0; i < 5; i++) {
            bool sound = frames[i].record.length > 0;
            /* A damaged length may take what lies behind with it, and nothing else does. */
            assert_true(sound || (i >= record && (i == record || damaged == ends[record])));
            assert_true(!sound || (i != record && frames[i].record.data[0] == 'a' + i));
        }
        body.data[damaged] ^= 0x40;
    }
    spool_segment_split(buf_bytes(&body), 7, frames); /* fewer than the row says */
    assert_true(frames[4].record.length > 0);
    assert_true(frames[5].record.length == 0 && frames[6].record.length == 0);
    spool_segment_split(bytes_of(body.data, body.length - 1), 5, frames);
    assert_true(frames[3].record.length > 0 && frames[4].record.length == 0);
    buf_done(&body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_checksum_is_crc32c),
        cmocka_unit_test(test_every_length_sums_up_as_bit_by_bit),
        cmocka_unit_test(test_records_come_out_as_they_went_in),
        cmocka_unit_test(test_every_changed_bit_is_noticed),
        cmocka_unit_test(test_sound_records_come_out_of_a_damaged_body),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
