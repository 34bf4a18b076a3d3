/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/lane.h"

#include "proto/columns.h"
#include "proto/dictionary.h"
#include "proto/limits.h"
#include "proto/unpack.h"
#include "tests/unit/random_rows.h"
#include "tests/unit/testing.h"

#include <stdio.h>
#include <string.h>

static void goes_round(const struct lane_rows *lanes, size_t lane_count)
{
    struct arena arena = {.limit_bytes = BATCH_ARENA_BYTES};
    struct lane_rows *got = NULL;
    struct buf wire = {0};
    struct err err = {0};
    size_t count = 0;
    if (!batch_encode(lanes, lane_count, 3, &wire, &err) ||
        !batch_decode(buf_bytes(&wire), &arena, &got, &count, &err))
        fail_msg("%s", err.text);
    assert_int_equal(count, lane_count);
    for (size_t i = 0; i < count; i++)
        assert_true(same_rows(&lanes[i], &got[i]));
    buf_done(&wire);
    arena_done(&arena);
}

static void random_rows_go_round(void **state)
{
    (void)state;
    struct dice dice = {.state = 7};
    static const size_t counts[] = {1, 2, 3, 9, 50, 500};
    for (size_t round = 0; round < 72; round++) {
        struct arena arena = {.limit_bytes = 16 * 1024 * 1024};
        struct lane_rows lanes[2];
        size_t count = counts[round % 6];
        random_rows(&dice, (Muster__Lane)(1 + round % 3), count, &arena, &lanes[0]);
        random_rows(&dice, (Muster__Lane)(1 + round / 3 % 3), 1 + count / 2, &arena, &lanes[1]);
        goes_round(lanes, 2);
        arena_done(&arena);
    }
}

/* ---- rows as terminals have them ---- */

enum { ROWS = 40 };

struct sample {
    Muster__TxnResult txns[ROWS];
    ProtobufCMessage *list[ROWS];
    struct lane_rows rows;
    uint8_t keys[ROWS][8];
    char rrns[ROWS][13], codes[ROWS][7];
};

static void sample_init(struct sample *sample)
{
    *sample = (struct sample){0};
    for (size_t i = 0; i < ROWS; i++) {
        muster__txn_result__init(&sample->txns[i]);
        sample->list[i] = &sample->txns[i].base;
    }
    sample->rows = (struct lane_rows){.lane = MUSTER__LANE__LANE_TXN,
                                      .incarnation = 1,
                                      .first_seq = 1,
                                      .count = ROWS,
                                      .rows = sample->list};
}

/* Composes it; what is asked about lives as long as the arena. */
static const Muster__LaneBatch *composed(const struct sample *sample, struct arena *arena)
{
    static const struct unpack_limits limits = {.max_bytes = LIMIT_BATCH_BODY_BYTES,
                                                .max_elements = 4096};
    const Muster__Dictionary *dictionary = NULL;
    struct batch_streams streams = {0};
    ProtobufCMessage *body = NULL;
    struct err err = {0};
    goes_round(&sample->rows, 1);
    if (!dictionary_find(DICTIONARY_NEWEST, arena, &dictionary, &err) ||
        !batch_compose(&sample->rows, 1, dictionary, &streams, &err) ||
        !unpack(&muster__batch_body__descriptor, buf_bytes(&streams.body), &limits, arena, &body,
                &err))
        fail_msg("%s", err.text);
    batch_streams_done(&streams);
    return ((const Muster__BatchBody *)body)->lanes[0];
}

static const Muster__Series *series_of(const Muster__LaneBatch *batch, uint32_t field)
{
    for (size_t i = 0; i < batch->n_series; i++)
        if (batch->series[i]->field == field)
            return batch->series[i];
    return NULL;
}

static void what_follows_is_told_once(void **state)
{
    (void)state;
    struct sample sample;
    struct arena arena = {0};
    sample_init(&sample);
    for (size_t i = 0; i < ROWS; i++) {
        sample.txns[i].wall_ms = INT64_C(1795000000000) + (int64_t)(i * i * 977);
        sample.txns[i].boot_ms = (uint64_t)(i * i * 977) + 5;
        sample.txns[i].stan = (uint32_t)(100 + i);
        (void)snprintf(sample.rrns[i], 13, "600509%06zu", 100 + i);
        sample.txns[i].rrn = sample.rrns[i];
        sample.keys[i][6] = 0xff;
        sample.keys[i][7] = (uint8_t)(200 + i);
        sample.txns[i].idempotency_key = (ProtobufCBinaryData){.len = 8, .data = sample.keys[i]};
    }
    const Muster__LaneBatch *batch = composed(&sample, &arena);
    assert_int_equal(series_of(batch, 3)->shape, MUSTER__SHAPE__SHAPE_EQUAL);
    assert_int_equal(series_of(batch, 3)->of, 2);
    assert_int_equal(series_of(batch, 7)->shape, MUSTER__SHAPE__SHAPE_EQUAL);
    assert_int_equal(series_of(batch, 18)->shape, MUSTER__SHAPE__SHAPE_EQUAL);
    assert_int_equal(series_of(batch, 18)->digits, 12);
    assert_int_equal(series_of(batch, 1)->shape, MUSTER__SHAPE__SHAPE_EQUAL);
    assert_int_equal(series_of(batch, 1)->width, 8);
    assert_true(series_of(batch, 2)->shape >= MUSTER__SHAPE__SHAPE_STEPS);
    arena_done(&arena);
}

/* Keys that an application draws at random travel as they are. */
static void random_keys_are_plain(void **state)
{
    (void)state;
    struct sample sample;
    struct arena arena = {0};
    struct dice dice = {.state = 99};
    sample_init(&sample);
    for (size_t i = 0; i < ROWS; i++) {
        for (size_t at = 0; at < 8; at++)
            sample.keys[i][at] = (uint8_t)dice_next(&dice);
        sample.txns[i].idempotency_key = (ProtobufCBinaryData){.len = 8, .data = sample.keys[i]};
    }
    const Muster__LaneBatch *batch = composed(&sample, &arena);
    assert_null(series_of(batch, 1));
    assert_int_equal(batch->n_plains, 1);
    assert_int_equal(batch->plains[0]->width, 8);
    arena_done(&arena);
}

static void odd_texts_go_round(void **state)
{
    (void)state;
    struct sample sample;
    static const char *const codes[] = {"", "000000", "999999", "12345", "ABC12", "1234567"};
    for (size_t kind = 0; kind < 6; kind++) {
        sample_init(&sample);
        for (size_t i = 0; i < ROWS; i++) {
            (void)snprintf(sample.codes[i], 7, "%06zu", (i * 7919) % 1000000);
            sample.txns[i].auth_code = sample.codes[i];
            sample.txns[i].rrn = sample.codes[i];
        }
        sample.txns[3].auth_code = (char *)(uintptr_t)codes[kind];
        sample.txns[ROWS - 1].rrn = (char *)(uintptr_t)codes[kind];
        goes_round(&sample.rows, 1);
        sample.rows.count = 1;
        goes_round(&sample.rows, 1);
    }
}

static void ends_of_the_ranges_go_round(void **state)
{
    (void)state;
    struct sample sample;
    static const uint64_t ends[] = {0, 1, UINT64_MAX, (uint64_t)INT64_MAX, (uint64_t)INT64_MIN};
    sample_init(&sample);
    for (size_t i = 0; i < ROWS; i++) {
        sample.txns[i].wall_ms = (int64_t)ends[i % 5];
        sample.txns[i].boot_ms = ends[(i + i / 5) % 5];
        sample.txns[i].amount_minor = ends[i / 8];
        sample.txns[i].stan = i % 2 ? UINT32_MAX : 0;
        sample.txns[i].signal_dbm = i % 3 ? INT32_MIN : INT32_MAX;
        sample.txns[i].connect_ms = i % 7 ? UINT32_MAX : 0;
    }
    goes_round(&sample.rows, 1);
    for (size_t count = 1; count < 6; count++) {
        sample.rows.count = count;
        goes_round(&sample.rows, 1);
    }
}

/* ---- hostile lanes ---- */

struct hostile {
    Muster__LaneBatch batch;
    Muster__Part part, *parts[1];
    Muster__Series series, *list[1];
    Muster__Plain plain, *plains[1];
    struct lane_in in;
    uint8_t raw[64], marks[8], steps[8];
};

/* Four results. */
static void hostile_init(struct hostile *hostile)
{
    *hostile = (struct hostile){0};
    muster__lane_batch__init(&hostile->batch);
    muster__part__init(&hostile->part);
    muster__series__init(&hostile->series);
    muster__plain__init(&hostile->plain);
    hostile->batch.lane = MUSTER__LANE__LANE_TXN;
    hostile->batch.first_seq = 1;
    hostile->batch.count = 4;
    hostile->batch.parts = hostile->parts;
    hostile->batch.series = hostile->list;
    hostile->batch.plains = hostile->plains;
    hostile->parts[0] = &hostile->part;
    hostile->list[0] = &hostile->series;
    hostile->plains[0] = &hostile->plain;
    hostile->in = (struct lane_in){.raw = bytes_of(hostile->raw, 64),
                                   .marks = bytes_of(hostile->marks, 8),
                                   .steps = bytes_of(hostile->steps, 8)};
}

static bool unpacks(const struct hostile *hostile, struct err *err)
{
    struct arena arena = {.limit_bytes = BATCH_ARENA_BYTES};
    struct lane_rows rows;
    struct lane_in in = hostile->in;
    struct lane_known known = {.arena = &arena};
    bool ok = dictionary_find(DICTIONARY_NEWEST, &arena, &known.dictionary, err) &&
              rows_of_columns(&hostile->batch, &arena, &rows, err) &&
              lane_unpack(&hostile->batch, &known, &in, &arena, &rows, err);
    arena_done(&arena);
    return ok;
}

static void refused_with(const struct hostile *hostile, const char *text)
{
    struct err err = {0};
    assert_false(unpacks(hostile, &err));
    assert_int_equal(err.code, ERR_INVALID);
    if (!strstr(err.text, text))
        fail_msg("\"%s\" does not say \"%s\"", err.text, text);
}

static void parts_are_checked(void **state)
{
    (void)state;
    struct hostile hostile;
    uint32_t runs[3] = {2, 3, UINT32_MAX};
    ProtobufCBinaryData records[2] = {{0}, {.len = 1, .data = (uint8_t *)(uintptr_t) "\xff"}};
    hostile_init(&hostile);
    hostile.batch.n_parts = 1;
    refused_with(&hostile, "a part has 0 records, a row takes number 0");
    hostile.part.known = 99;
    refused_with(&hostile, "has no list 99");
    hostile.part.known = 0;
    hostile.part.records = records;
    hostile.part.n_records = 2;
    assert_true(unpacks(&hostile, NULL));
    hostile.part.marked = true;
    hostile.marks[3] = 1;
    refused_with(&hostile, "a part's record 1");
    hostile.marks[3] = 2;
    refused_with(&hostile, "a row takes number 2");
    hostile.in.marks.length = 3;
    refused_with(&hostile, "4 more bytes of marks are due, 3 are there");
    hostile.part.runs = runs;
    hostile.part.n_runs = 1;
    refused_with(&hostile, "runs over 2 of 4 rows");
    hostile.part.n_runs = 2;
    refused_with(&hostile, "runs over more than 4 rows");
    runs[0] = UINT32_MAX;
    refused_with(&hostile, "runs over more than 4 rows");
}

/* Or each of many parts would write all that a record holds into all rows, and the last one counts.
 */
static void no_two_parts_set_one_field(void **state)
{
    (void)state;
    struct hostile hostile;
    uint8_t stan[] = {7 << 3, 1}, batch_number[] = {8 << 3, 1};
    ProtobufCBinaryData records[] = {{sizeof stan, stan}, {0}};
    Muster__Part second = MUSTER__PART__INIT;
    hostile_init(&hostile);
    Muster__Part *parts[] = {&hostile.part, &second};
    hostile.batch.parts = parts;
    hostile.batch.n_parts = 2;
    hostile.part.records = second.records = records;
    hostile.part.n_records = second.n_records = 2;
    refused_with(&hostile, "stan: set by two parts");
    second.marked = true;
    memcpy(hostile.marks, "\1\1\1\0", 4); /* the last row alone takes it from both */
    refused_with(&hostile, "stan: set by two parts");
    hostile.marks[3] = 1;
    assert_true(unpacks(&hostile, NULL));
    records[0] = (ProtobufCBinaryData){sizeof batch_number, batch_number};
    hostile.marks[3] = 0;
    hostile.batch.n_parts = 1;
    assert_true(unpacks(&hostile, NULL));
    hostile.batch.n_parts = 2;
    refused_with(&hostile, "batch_number: set by two parts");
}

static void no_two_series_or_plains_set_one_field(void **state)
{
    (void)state;
    struct hostile hostile;
    Muster__Series second = MUSTER__SERIES__INIT, *series[] = {NULL, &second};
    Muster__Plain *plains[2];
    hostile_init(&hostile);
    hostile.series.shape = second.shape = MUSTER__SHAPE__SHAPE_EQUAL;
    hostile.series.field = 7;
    second.field = 8;
    series[0] = &hostile.series;
    hostile.batch.series = series;
    hostile.batch.n_series = 2;
    assert_true(unpacks(&hostile, NULL));
    second.field = 7;
    refused_with(&hostile, "stan: set by two series");
    hostile.batch.n_series = 0;
    hostile.plain.field = 16;
    plains[0] = plains[1] = &hostile.plain;
    hostile.batch.plains = plains;
    hostile.batch.n_plains = 2;
    refused_with(&hostile, "card_token: set by two plains");
}

static bool unpacks_with(const struct hostile *hostile, struct lane_known *known,
                         struct arena *arena, struct lane_rows *ret_rows)
{
    struct lane_in in = hostile->in;
    return rows_of_columns(&hostile->batch, arena, ret_rows, NULL) &&
           lane_unpack(&hostile->batch, known, &in, arena, ret_rows, NULL);
}

/* Known records are opened once for all batches; those of a lane that they are not for, by a batch
 * that asks for it all the same, are none of anybody else's. */
static void known_records_are_opened_as_their_lane(void **state)
{
    (void)state;
    static const Muster__Lane lanes[] = {MUSTER__LANE__LANE_TXN, MUSTER__LANE__LANE_TXN,
                                         MUSTER__LANE__LANE_HEALTH, MUSTER__LANE__LANE_EVENT,
                                         MUSTER__LANE__LANE_TXN};
    struct arena kept = {0}, arena = {.limit_bytes = BATCH_ARENA_BYTES};
    struct lane_known known = {.arena = &kept};
    assert_true(dictionary_find(DICTIONARY_NEWEST, &kept, &known.dictionary, NULL));
    for (size_t i = 0; i < sizeof lanes / sizeof *lanes; i++) {
        struct lane_known fresh = {.dictionary = known.dictionary, .arena = &arena};
        struct lane_rows rows, same;
        struct hostile hostile;
        hostile_init(&hostile);
        hostile.batch.lane = lanes[i];
        hostile.batch.n_parts = 1;
        hostile.part.known = 1;
        hostile.part.marked = true;
        memcpy(hostile.marks, "\0\2\1\2", 4);
        bool good = unpacks_with(&hostile, &known, &arena, &rows);
        assert_int_equal(good, unpacks_with(&hostile, &fresh, &arena, &same));
        if (good)
            assert_true(same_rows(&rows, &same));
        arena_done(&arena);
    }
    arena_done(&kept);
}

/* Also where the records were opened for a batch before. */
static void no_two_parts_take_one_known_field(void **state)
{
    (void)state;
    struct arena kept = {0}, arena = {.limit_bytes = BATCH_ARENA_BYTES};
    struct lane_known known = {.arena = &kept};
    struct lane_rows rows;
    struct hostile hostile;
    assert_true(dictionary_find(DICTIONARY_NEWEST, &kept, &known.dictionary, NULL));
    hostile_init(&hostile);
    Muster__Part *parts[] = {&hostile.part, &hostile.part};
    hostile.batch.parts = parts;
    hostile.part.known = 2;
    for (size_t i = 0; i < 2; i++) {
        hostile.batch.n_parts = 1;
        assert_true(unpacks_with(&hostile, &known, &arena, &rows));
        hostile.batch.n_parts = 2;
        assert_false(unpacks_with(&hostile, &known, &arena, &rows));
    }
    arena_done(&arena);
    arena_done(&kept);
}

static void series_are_checked(void **state)
{
    (void)state;
    struct hostile hostile;
    hostile_init(&hostile);
    hostile.batch.n_series = 1;
    hostile.series.field = 7;
    refused_with(&hostile, "stan: a series without a shape");
    hostile.series.shape = MUSTER__SHAPE__SHAPE_STEPS;
    hostile.batch.mixed_bytes = 17;
    refused_with(&hostile, "17 more bytes of mixed numbers are due, 13 are there");
    hostile.batch.mixed_bytes = 129;
    refused_with(&hostile, "mixed numbers of 129 bytes");
    hostile.batch.mixed_bytes = 1;
    assert_true(unpacks(&hostile, NULL));
    hostile.series.divisor = (UINT64_C(1) << 32) + 1;
    refused_with(&hostile, "out of its bounds");
    hostile.series.divisor = 0;
    hostile.series.unit = 257;
    refused_with(&hostile, "out of its bounds");
    hostile.series.unit = 0;
    hostile.series.digits = 6;
    refused_with(&hostile, "another kind");
    hostile.series.digits = 0;
    hostile.series.of = 18; /* a text */
    refused_with(&hostile, "a series of a field that is no number");
    hostile.series.of = 0;
    hostile.steps[3] = 0x80;
    hostile.in.steps.length = 4;
    refused_with(&hostile, "as many quotients as rows");
    hostile.series.shape = MUSTER__SHAPE__SHAPE_RUNS;
    hostile.raw[0] = 1;
    hostile.raw[1] = 5;
    refused_with(&hostile, "runs that do not fit the rows");
    hostile.raw[1] = 3;
    refused_with(&hostile, "runs that do not fit the rows");
    memset(hostile.raw, 0xff, sizeof hostile.raw);
    refused_with(&hostile, "without runs");
}

static void numbers_fit_their_fields(void **state)
{
    (void)state;
    struct hostile hostile;
    hostile_init(&hostile);
    hostile.batch.n_series = 1;
    hostile.series.shape = MUSTER__SHAPE__SHAPE_EQUAL;
    hostile.series.step = 2;
    hostile.series.field = 31; /* bool online_pin */
    refused_with(&hostile, "online_pin: a number out of range");
    hostile.series.field = 19; /* auth_code */
    hostile.series.digits = 6;
    hostile.series.step = 1000001;
    refused_with(&hostile, "more digits");
    hostile.series.step = 1000000;
    assert_true(unpacks(&hostile, NULL));
    hostile.series.digits = 19;
    refused_with(&hostile, "out of its bounds");
    hostile.series.digits = 0;
    hostile.series.field = 1;
    hostile.series.width = 2;
    refused_with(&hostile, "idempotency_key: a number out of range");
    hostile.series.width = 9;
    refused_with(&hostile, "out of its bounds");
}

static void plains_are_checked(void **state)
{
    (void)state;
    struct hostile hostile;
    hostile_init(&hostile);
    hostile.batch.n_plains = 1;
    hostile.plain.field = 7;
    hostile.plain.width = 1;
    refused_with(&hostile, "stan: plain bytes for what is no bytes");
    hostile.plain.field = 16;
    hostile.plain.width = UINT32_MAX;
    refused_with(&hostile, "more bytes of plain bytes are due");
    hostile.plain.width = 17;
    refused_with(&hostile, "17 more bytes of plain bytes are due, 13 are there");
}

static void a_newer_senders_fields_are_passed_over(void **state)
{
    (void)state;
    struct hostile hostile;
    struct err err = {0};
    hostile_init(&hostile);
    hostile.batch.n_series = hostile.batch.n_plains = 1;
    hostile.series.field = hostile.plain.field = 999;
    hostile.series.shape = MUSTER__SHAPE__SHAPE_STEPS;
    hostile.plain.width = 16;
    assert_true(unpacks(&hostile, NULL));
    hostile.series.field = 3; /* known, but goes by one that is not */
    hostile.series.of = 999;
    assert_false(unpacks(&hostile, &err));
    assert_int_equal(err.code, ERR_NEWER);
    err = (struct err){0};
    hostile.series.of = 0;
    hostile.series.shape = (Muster__Shape)6;
    assert_false(unpacks(&hostile, &err));
    assert_int_equal(err.code, ERR_NEWER);
}

/* Or a few bytes, each time over all rows, would keep the fleet busy for minutes. */
static void lists_are_short(void **state)
{
    (void)state;
    struct hostile hostile;
    Muster__Part *parts[LANE_FIELDS_MAX + 1];
    Muster__Plain *plains[LANE_FIELDS_MAX + 1];
    Muster__Series *series[LANE_FIELDS_MAX + 1];
    ProtobufCBinaryData record = {0};
    hostile_init(&hostile);
    hostile.part.records = &record;
    hostile.part.n_records = 1;
    hostile.plain.field = hostile.series.field = 999; /* a newer sender's */
    hostile.series.shape = MUSTER__SHAPE__SHAPE_EQUAL;
    for (size_t i = 0; i <= LANE_FIELDS_MAX; i++) {
        parts[i] = &hostile.part;
        plains[i] = &hostile.plain;
        series[i] = &hostile.series;
    }
    hostile.batch.parts = parts;
    hostile.batch.plains = plains;
    hostile.batch.series = series;
    hostile.batch.n_parts = hostile.batch.n_plains = hostile.batch.n_series = LANE_FIELDS_MAX;
    assert_true(unpacks(&hostile, NULL));
    hostile.batch.n_plains++;
    refused_with(&hostile, "129 plains, 128 are the most");
    hostile.batch.n_series++;
    refused_with(&hostile, "129 series, 128 are the most");
    hostile.batch.n_parts++;
    refused_with(&hostile, "129 parts, 128 are the most");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_rows_go_round),
        cmocka_unit_test(what_follows_is_told_once),
        cmocka_unit_test(random_keys_are_plain),
        cmocka_unit_test(odd_texts_go_round),
        cmocka_unit_test(ends_of_the_ranges_go_round),
        cmocka_unit_test(parts_are_checked),
        cmocka_unit_test(no_two_parts_set_one_field),
        cmocka_unit_test(no_two_series_or_plains_set_one_field),
        cmocka_unit_test(known_records_are_opened_as_their_lane),
        cmocka_unit_test(no_two_parts_take_one_known_field),
        cmocka_unit_test(series_are_checked),
        cmocka_unit_test(numbers_fit_their_fields),
        cmocka_unit_test(plains_are_checked),
        cmocka_unit_test(a_newer_senders_fields_are_passed_over),
        cmocka_unit_test(lists_are_short),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
