/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/batch.h"

#include "proto/columns.h"
#include "proto/limits.h"
#include "proto/unpack.h"
#include "tests/unit/random_rows.h"
#include "tests/unit/testing.h"

#include <stdlib.h>
#include <string.h>
#include <zstd.h>

static void encoded(const struct lane_rows *lanes, size_t count, struct buf *out)
{
    struct err err = {0};
    if (!batch_encode(lanes, count, 3, out, &err))
        fail_msg("%s", err.text);
}

static bool decodes(struct bytes wire, struct err *err)
{
    struct arena arena = {.limit_bytes = BATCH_ARENA_BYTES};
    struct lane_rows *lanes = NULL;
    size_t count = 0;
    bool ok = batch_decode(wire, &arena, &lanes, &count, err);
    assert_true(arena.used_bytes <= arena.limit_bytes);
    arena_done(&arena);
    return ok;
}

static void refused_with(struct bytes wire, const char *text)
{
    struct err err = {0};
    assert_false(decodes(wire, &err));
    if (!strstr(err.text, text))
        fail_msg("\"%s\" does not say \"%s\"", err.text, text);
}

/* ---- there and back ---- */

static void goes_round(const struct lane_rows *rows, size_t count)
{
    struct arena arena = {.limit_bytes = BATCH_ARENA_BYTES};
    struct err err = {0};
    struct buf wire = {0};
    struct lane_rows *back = NULL;
    size_t back_count = 0;
    encoded(rows, count, &wire);
    if (!batch_decode(buf_bytes(&wire), &arena, &back, &back_count, &err))
        fail_msg("%s", err.text);
    assert_int_equal(back_count, count);
    for (size_t i = 0; i < count; i++)
        assert_true(same_rows(&rows[i], &back[i]));
    buf_done(&wire);
    arena_done(&arena);
}

static void random_batches_go_round(void **state)
{
    (void)state;
    struct dice dice = {.state = 2026};
    for (size_t round = 0; round < 60; round++) {
        struct arena arena = {0};
        struct lane_rows rows[6];
        size_t count = 1 + dice_below(&dice, 6);
        for (size_t i = 0; i < count; i++)
            random_rows(&dice, (Muster__Lane)(1 + i % 3), 1 + dice_below(&dice, 40), &arena,
                        &rows[i]);
        goes_round(rows, count);
        arena_done(&arena);
    }
}

/* What one decoder keeps of a batch, good or bad, is in the way of none of the next. */
static void one_decoder_reads_batch_after_batch(void **state)
{
    (void)state;
    struct dice dice = {.state = 11};
    struct batch_decoder *decoder = NULL;
    struct arena sent = {.limit_bytes = 64 * 1024 * 1024}, got = {.limit_bytes = BATCH_ARENA_BYTES};
    struct arena lost = {.limit_bytes = BATCH_ARENA_BYTES};
    struct buf wire = {0};
    assert_true(batch_decoder_open(&decoder, NULL));
    for (size_t round = 0; round < 60; round++) {
        struct lane_rows rows, *back = NULL;
        struct err err = {0};
        size_t count = 0;
        random_rows(&dice, (Muster__Lane)(1 + round % 3), 1 + dice_below(&dice, 60), &sent, &rows);
        buf_clear(&wire);
        encoded(&rows, 1, &wire);
        struct bytes cut = bytes_of(wire.data, dice_below(&dice, wire.length));
        if (batch_decoder_read(decoder, cut, &lost, &back, &count, NULL))
            assert_true(count > 0);
        arena_done(&lost);
        if (!batch_decoder_read(decoder, buf_bytes(&wire), &got, &back, &count, &err))
            fail_msg("%s", err.text);
        assert_int_equal(count, 1);
        assert_true(same_rows(&rows, back));
        for (size_t i = 0; i < back->count; i++)
            assert_true(back->sizes[i] >= protobuf_c_message_get_packed_size(back->rows[i]));
        arena_done(&got);
    }
    batch_decoder_close(decoder);
    buf_done(&wire);
    arena_done(&sent);
}

/* BATCH_ARENA_BYTES is enough for the largest batch that may be sent. */
static void a_full_batch_goes_round(void **state)
{
    (void)state;
    struct dice dice = {.state = 7};
    struct arena arena = {.limit_bytes = 64 * 1024 * 1024};
    struct buf wire = {0};
    struct lane_rows rows;
    for (size_t round = 0; round < 8; round++) {
        struct err err = {0};
        random_rows(&dice, MUSTER__LANE__LANE_TXN, LIMIT_BATCH_ROWS, &arena, &rows);
        buf_clear(&wire);
        if (batch_encode(&rows, 1, 1, &wire, &err))
            assert_true(decodes(buf_bytes(&wire), &err));
        else
            assert_int_equal(err.code, ERR_FULL);
        rows.count = 400;
        goes_round(&rows, 1);
        arena_done(&arena);
    }
    buf_done(&wire);
}

static struct lane_rows some_rows(struct dice *dice, struct arena *arena)
{
    struct lane_rows rows;
    random_rows(dice, MUSTER__LANE__LANE_TXN, 20, arena, &rows);
    return rows;
}

static void wrap_frame(struct bytes frame, uint32_t dictionary, struct buf *out)
{
    Muster__Batch batch = MUSTER__BATCH__INIT;
    batch.dictionary = dictionary;
    batch.frame =
        (ProtobufCBinaryData){.len = frame.length, .data = (uint8_t *)(uintptr_t)frame.data};
    buf_clear(out);
    assert_true(pack(&batch.base, out, NULL));
}

static void wrap_body(struct bytes body, struct buf *out)
{
    size_t room = ZSTD_compressBound(body.length);
    uint8_t *frame = malloc(room);
    size_t size = ZSTD_compress(frame, room, body.data, body.length, 3);
    assert_false(ZSTD_isError(size));
    wrap_frame(bytes_of(frame, size), 0, out);
    free(frame);
}

/* What a terminal of the first form sends: one zstd frame, columns alone. */
static void encode_first_form(const struct lane_rows *rows, struct buf *out)
{
    struct arena arena = {.limit_bytes = 32 * 1024 * 1024};
    Muster__BatchBody body = MUSTER__BATCH_BODY__INIT;
    Muster__LaneBatch part, *parts[] = {&part};
    struct buf plain = {0};
    assert_true(columns_of_rows(rows, &arena, &part, NULL));
    body.lanes = parts;
    body.n_lanes = 1;
    assert_true(pack(&body.base, &plain, NULL));
    wrap_body(buf_bytes(&plain), out);
    buf_done(&plain);
    arena_done(&arena);
}

static void batches_of_the_first_form_are_read(void **state)
{
    (void)state;
    struct dice dice = {.state = 3};
    static const Muster__Lane lanes[] = {MUSTER__LANE__LANE_TXN, MUSTER__LANE__LANE_EVENT,
                                         MUSTER__LANE__LANE_HEALTH};
    for (size_t round = 0; round < 30; round++) {
        struct arena arena = {0}, got_arena = {.limit_bytes = BATCH_ARENA_BYTES};
        struct buf wire = {0};
        struct lane_rows rows, *got = NULL;
        size_t count = 0;
        struct err err = {0};
        random_rows(&dice, lanes[round % 3], 1 + dice_below(&dice, 60), &arena, &rows);
        encode_first_form(&rows, &wire);
        if (!batch_decode(buf_bytes(&wire), &got_arena, &got, &count, &err))
            fail_msg("%s", err.text);
        assert_int_equal(count, 1);
        assert_true(same_rows(&got[0], &rows));
        buf_done(&wire);
        arena_done(&got_arena);
        arena_done(&arena);
    }
}

static void cut_or_changed_it_does_no_harm(void **state)
{
    (void)state;
    struct dice dice = {.state = 4};
    struct arena arena = {0};
    struct buf wire = {0};
    struct lane_rows rows = some_rows(&dice, &arena);
    encoded(&rows, 1, &wire);
    for (size_t length = 0; length < wire.length; length++)
        assert_false(decodes(bytes_of(wire.data, length), NULL));
    for (size_t i = 0; i < 2 * wire.length; i++) { /* two bits of each byte: the fuzzer does more */
        uint8_t bit = (uint8_t)(1u << dice_below(&dice, 8));
        wire.data[i / 2] ^= bit;
        (void)!decodes(buf_bytes(&wire), NULL);
        wire.data[i / 2] ^= bit;
    }
    assert_true(decodes(buf_bytes(&wire), NULL));
    buf_done(&wire);
    arena_done(&arena);
}

/* ---- what a sender is refused ---- */

static void senders_keep_within_the_limits(void **state)
{
    (void)state;
    struct dice dice = {.state = 5};
    struct arena arena = {.limit_bytes = 32 * 1024 * 1024};
    struct buf wire = {0};
    struct err err = {0};
    struct lane_rows rows[LIMIT_BATCH_LANES + 1] = {{0}};
    assert_false(batch_encode(rows, 0, 3, &wire, &err));
    assert_int_equal(err.code, ERR_INVALID);
    random_rows(&dice, MUSTER__LANE__LANE_EVENT, LIMIT_BATCH_ROWS + 1, &arena, &rows[0]);
    assert_false(batch_encode(rows, 1, 3, &wire, &err));
    assert_string_equal(err.text, "batch: more than 2000 rows");
    rows[0].count = 10;
    assert_false(batch_encode(rows, 1, 0, &wire, &err));
    assert_false(batch_encode(rows, 1, 20, &wire, &err));
    rows[1] = rows[0];
    assert_false(batch_encode(rows, 2, 3, &wire, &err));
    assert_non_null(strstr(err.text, "two parts of lane event"));
    for (size_t i = 0; i <= LIMIT_BATCH_LANES; i++)
        rows[i] = rows[0], rows[i].incarnation = i;
    assert_false(batch_encode(rows, LIMIT_BATCH_LANES + 1, 3, &wire, &err));
    assert_true(batch_encode(rows, LIMIT_BATCH_LANES, 3, &wire, &err));
    buf_done(&wire);
    arena_done(&arena);
}

/* Events whose details are noise (or all the same), `bytes` long. */
static bool encode_events(size_t count, size_t bytes, bool same, struct buf *wire, struct err *err)
{
    struct dice dice = {.state = 6};
    struct arena arena = {.limit_bytes = 64 * 1024 * 1024};
    struct lane_rows rows;
    random_rows(&dice, MUSTER__LANE__LANE_EVENT, count, &arena, &rows);
    for (size_t i = 0; i < count; i++) {
        Muster__Event *event = (Muster__Event *)rows.rows[i];
        event->detail.len = bytes;
        event->detail.data = arena_alloc(&arena, bytes);
        assert_non_null(event->detail.data);
        for (size_t at = 0; !same && at < bytes; at++)
            event->detail.data[at] = (uint8_t)dice_next(&dice);
    }
    bool ok = batch_encode(&rows, 1, 3, wire, err);
    arena_done(&arena);
    return ok;
}

static void too_much_for_one_batch_is_said(void **state)
{
    (void)state;
    struct buf wire = {0};
    struct err err = {0};
    assert_true(encode_events(1, 32 * 1024, false, &wire, &err));
    assert_false(encode_events(5, 32 * 1024, false, &wire, &err));
    assert_int_equal(err.code, ERR_FULL);
    assert_non_null(strstr(err.text, "on the wire"));
    assert_false(encode_events(40, 32 * 1024, false, &wire, &err));
    assert_int_equal(err.code, ERR_FULL);
    assert_false(encode_events(40, 32 * 1024, true, &wire, &err));
    assert_int_equal(err.code, ERR_FULL);
    assert_non_null(strstr(err.text, "rows of more than"));
    buf_done(&wire);
}

/* ---- hostile batches ---- */

static void frames_are_checked_before_they_are_opened(void **state)
{
    (void)state;
    struct buf wire = {0};
    size_t large = LIMIT_BATCH_BODY_BYTES + 1;
    uint8_t *zeros = calloc(1, large);
    wrap_body(bytes_of(zeros, large), &wire);
    assert_in_range(wire.length, 1, 1000);
    refused_with(buf_bytes(&wire), "a zstd frame of 1048577 bytes, 1048576 are the most");

    /* RFC 8878: magic, descriptor (single segment, 8-byte size), 2^62 bytes, an empty block */
    static const uint8_t bomb[] = {0x28, 0xb5, 0x2f, 0xfd, 0xe0, 0, 0, 0,
                                   0,    0,    0,    0,    0x40, 1, 0, 0};
    wrap_frame(bytes_of(bomb, sizeof bomb), 0, &wire);
    refused_with(buf_bytes(&wire), "a zstd frame of 4611686018427387904 bytes");
    /* no size; then dictionary 5 in the frame; then in the batch */
    static const uint8_t sizeless[] = {0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x00, 1, 0, 0};
    wrap_frame(bytes_of(sizeless, sizeof sizeless), 0, &wire);
    refused_with(buf_bytes(&wire), "does not say its size");
    static const uint8_t needy[] = {0x28, 0xb5, 0x2f, 0xfd, 0x21, 5, 0, 1, 0, 0};
    wrap_frame(bytes_of(needy, sizeof needy), 0, &wire);
    refused_with(buf_bytes(&wire), "dictionary 5, which is not known");
    wrap_frame(bytes_of(needy, sizeof needy), 9, &wire);
    struct err err = {0};
    assert_false(decodes(buf_bytes(&wire), &err));
    assert_int_equal(err.code, ERR_NEWER);
    assert_non_null(strstr(err.text, "dictionary 9 is not known here"));
    wrap_frame(bytes_of("nonsense", 8), 0, &wire);
    refused_with(buf_bytes(&wire), "not a zstd frame");
    wrap_frame(bytes_of(NULL, 0), 0, &wire);
    refused_with(buf_bytes(&wire), "not a zstd frame");
    free(zeros);
    buf_done(&wire);
}

static void one_frame_and_nothing_behind_it(void **state)
{
    (void)state;
    struct buf wire = {0}, frames = {0};
    uint8_t frame[64];
    size_t size = ZSTD_compress(frame, sizeof frame, "", 0, 3);
    assert_true(buf_append(&frames, frame, size, NULL));
    assert_true(buf_append(&frames, frame, size, NULL));
    wrap_frame(buf_bytes(&frames), 0, &wire);
    refused_with(buf_bytes(&wire), "not one whole zstd frame");
    wrap_frame(bytes_of(frame, size), 0, &wire);
    refused_with(buf_bytes(&wire), "0 streams");
    buf_done(&wire);
    buf_done(&frames);
}

/* `count` streams of `rows` rows without columns. */
static void wrap_streams(size_t count, uint32_t rows, bool same, struct buf *out)
{
    struct buf body = {0};
    Muster__BatchBody message = MUSTER__BATCH_BODY__INIT;
    Muster__LaneBatch *parts = calloc(count, sizeof *parts);
    message.lanes = calloc(count, sizeof(Muster__LaneBatch *));
    message.n_lanes = count;
    for (size_t i = 0; i < count; i++) {
        muster__lane_batch__init(&parts[i]);
        parts[i].lane = MUSTER__LANE__LANE_HEALTH;
        parts[i].incarnation = same ? 1 : i;
        parts[i].first_seq = 1;
        parts[i].count = rows;
        message.lanes[i] = &parts[i];
    }
    assert_true(pack(&message.base, &body, NULL));
    wrap_body(buf_bytes(&body), out);
    buf_done(&body);
    free(message.lanes);
    free(parts);
}

static void rows_and_streams_are_counted(void **state)
{
    (void)state;
    struct buf wire = {0};
    wrap_streams(2, 1000, false, &wire);
    assert_true(decodes(buf_bytes(&wire), NULL));
    wrap_streams(2, 1001, false, &wire);
    refused_with(buf_bytes(&wire), "more than 2000 rows");
    wrap_streams(1, UINT32_MAX, false, &wire);
    refused_with(buf_bytes(&wire), "more than 2000 rows");
    wrap_streams(2, 1, true, &wire);
    refused_with(buf_bytes(&wire), "two parts of lane health");
    wrap_streams(LIMIT_BATCH_LANES + 1, 1, false, &wire);
    refused_with(buf_bytes(&wire), "65 streams, 64 are the most");
    wrap_streams(1, 0, false, &wire);
    refused_with(buf_bytes(&wire), "0 rows");
    buf_done(&wire);
}

/* One value that stands for `rows` rows: a few bytes that would become gigabytes in a store. */
static void wrap_repeated_value(Muster__Lane lane, uint32_t field, size_t length, uint32_t rows,
                                struct buf *out)
{
    struct buf body = {0};
    Muster__BatchBody message = MUSTER__BATCH_BODY__INIT;
    Muster__LaneBatch part = MUSTER__LANE_BATCH__INIT, *parts[] = {&part};
    Muster__Column column = MUSTER__COLUMN__INIT, *columns[] = {&column};
    ProtobufCBinaryData value = {.len = length, .data = malloc(length)};
    memset(value.data, 'x', length);
    column.field = field;
    column.values = &value;
    column.n_values = 1;
    part.lane = lane;
    part.first_seq = 1;
    part.count = rows;
    part.columns = columns;
    part.n_columns = 1;
    message.lanes = parts;
    message.n_lanes = 1;
    assert_true(pack(&message.base, &body, NULL));
    wrap_body(buf_bytes(&body), out);
    buf_done(&body);
    free(value.data);
}

static void equal_values_do_not_multiply(void **state)
{
    (void)state;
    struct buf wire = {0};
    wrap_repeated_value(MUSTER__LANE__LANE_EVENT, 6, 30000, 34, &wire);
    assert_true(decodes(buf_bytes(&wire), NULL));
    wrap_repeated_value(MUSTER__LANE__LANE_EVENT, 6, 30000, 2000, &wire);
    assert_in_range(wire.length, 1, 1000);
    refused_with(buf_bytes(&wire), "rows of more than 1048576 bytes in all");
    wrap_repeated_value(MUSTER__LANE__LANE_EVENT, 6, 40000, 1, &wire);
    refused_with(buf_bytes(&wire), "lane event: row 0 has 40004 bytes, 36864 are the most");
    wrap_repeated_value(MUSTER__LANE__LANE_TXN, 42, 3000, 1, &wire);
    refused_with(buf_bytes(&wire), "2048 are the most");
    buf_done(&wire);
}

static void empty_elements_do_not_amplify(void **state)
{
    (void)state;
    struct buf wire = {0}, body = {0};
    while (body.length < LIMIT_BATCH_BODY_BYTES - 2)
        assert_true(buf_append(&body, "\x0a\x00", 2, NULL)); /* an empty LaneBatch */
    wrap_body(buf_bytes(&body), &wire);
    refused_with(buf_bytes(&wire), "more than 128000 fields and list elements");
    wrap_body(bytes_of(body.data, 250000), &wire);
    refused_with(buf_bytes(&wire), "needs more memory than is allowed");
    buf_done(&wire);
    buf_done(&body);
}

static void sizes_on_the_wire_are_bounded(void **state)
{
    (void)state;
    uint8_t *noise = calloc(1, LIMIT_BATCH_WIRE_BYTES + 1);
    refused_with(bytes_of(noise, LIMIT_BATCH_WIRE_BYTES + 1), "131072 are the most");
    free(noise);
}

static void a_declared_loss_goes_round_beside_records(void **state)
{
    (void)state;
    struct dice dice = {.state = 77};
    struct arena arena = {0}, got_arena = {.limit_bytes = BATCH_ARENA_BYTES};
    struct lane_rows lanes[2] = {{.lane = MUSTER__LANE__LANE_EVENT,
                                  .incarnation = 5,
                                  .first_seq = 17,
                                  .count = LIMIT_LOST_RANGE,
                                  .lost = MUSTER__LOSS_REASON__LOSS_QUOTA,
                                  .behind = 3}};
    random_rows(&dice, MUSTER__LANE__LANE_TXN, 300, &arena, &lanes[1]);
    lanes[1].behind = 1;
    struct buf wire = {0};
    assert_true(batch_encode(lanes, 2, 3, &wire, NULL));
    struct lane_rows *got = NULL;
    size_t count = 0;
    assert_true(batch_decode(buf_bytes(&wire), &got_arena, &got, &count, NULL));
    assert_int_equal(count, 2);
    assert_int_equal(got[0].lost, MUSTER__LOSS_REASON__LOSS_QUOTA);
    assert_int_equal(got[0].incarnation, 5);
    assert_int_equal(got[0].first_seq, 17);
    assert_int_equal(got[0].count, LIMIT_LOST_RANGE);
    assert_int_equal(got[0].behind, 3);
    assert_null(got[0].rows);
    assert_true(same_rows(&got[1], &lanes[1]));
    assert_int_equal(got[1].behind, 1);
    lanes[0].count++;
    assert_false(batch_encode(lanes, 1, 3, &wire, NULL));
    buf_done(&wire);
    arena_done(&arena);
    arena_done(&got_arena);
}

static void wrap_loss(const Muster__LaneBatch *part, struct buf *out)
{
    struct buf body = {0};
    Muster__BatchBody message = MUSTER__BATCH_BODY__INIT;
    Muster__LaneBatch copy = *part, *parts[] = {&copy};
    message.lanes = parts;
    message.n_lanes = 1;
    assert_true(pack(&message.base, &body, NULL));
    wrap_body(buf_bytes(&body), out);
    buf_done(&body);
}

static void declarations_that_are_none_are_refused(void **state)
{
    (void)state;
    Muster__Column column = MUSTER__COLUMN__INIT, *columns[] = {&column};
    Muster__LaneBatch good = MUSTER__LANE_BATCH__INIT;
    good.lane = MUSTER__LANE__LANE_TXN;
    good.first_seq = 1;
    good.count = LIMIT_LOST_RANGE;
    good.lost = MUSTER__LOSS_REASON__LOSS_UNKNOWN;
    Muster__LaneBatch bad[] = {good, good, good, good, good};
    bad[0].lane = 0;
    bad[1].first_seq = 0;
    bad[2].count = 0;
    bad[3].count++;
    bad[4].columns = columns;
    bad[4].n_columns = 1;
    Muster__LaneBatch newer[] = {good, good};
    newer[0].lane = (Muster__Lane)4;
    newer[1].lost = (Muster__LossReason)8;
    struct buf wire = {0};
    wrap_loss(&good, &wire);
    assert_true(decodes(buf_bytes(&wire), NULL));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        wrap_loss(&bad[i], &wire);
        refused_with(buf_bytes(&wire), "no declaration of a loss");
    }
    for (size_t i = 0; i < sizeof newer / sizeof *newer; i++) {
        struct err err = {0};
        wrap_loss(&newer[i], &wire);
        assert_false(decodes(buf_bytes(&wire), &err));
        assert_int_equal(err.code, ERR_NEWER);
    }
    good.first_seq = UINT64_MAX;
    wrap_loss(&good, &wire);
    refused_with(buf_bytes(&wire), "no declaration of a loss");
    buf_done(&wire);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_batches_go_round),
        cmocka_unit_test(one_decoder_reads_batch_after_batch),
        cmocka_unit_test(a_full_batch_goes_round),
        cmocka_unit_test(batches_of_the_first_form_are_read),
        cmocka_unit_test(cut_or_changed_it_does_no_harm),
        cmocka_unit_test(senders_keep_within_the_limits),
        cmocka_unit_test(too_much_for_one_batch_is_said),
        cmocka_unit_test(frames_are_checked_before_they_are_opened),
        cmocka_unit_test(one_frame_and_nothing_behind_it),
        cmocka_unit_test(rows_and_streams_are_counted),
        cmocka_unit_test(equal_values_do_not_multiply),
        cmocka_unit_test(empty_elements_do_not_amplify),
        cmocka_unit_test(sizes_on_the_wire_are_bounded),
        cmocka_unit_test(a_declared_loss_goes_round_beside_records),
        cmocka_unit_test(declarations_that_are_none_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
