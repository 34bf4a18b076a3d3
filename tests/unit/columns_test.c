/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/columns.h"

#include "proto/limits.h"
#include "proto/unpack.h"
#include "tests/unit/random_rows.h"
#include "tests/unit/testing.h"

#include <string.h>

static const Muster__Lane lanes[] = {MUSTER__LANE__LANE_TXN, MUSTER__LANE__LANE_EVENT,
                                     MUSTER__LANE__LANE_HEALTH};

/* Through the wire form too, as a receiver gets it. */
static void goes_round(const struct lane_rows *rows)
{
    struct arena arena = {.limit_bytes = BATCH_ARENA_BYTES};
    struct err err = {0};
    struct buf wire = {0};
    struct lane_rows back;
    Muster__LaneBatch batch;
    ProtobufCMessage *message = NULL;
    static const struct unpack_limits limits = {.max_bytes = 1 << 20, .max_elements = 200000};
    if (!columns_of_rows(rows, &arena, &batch, &err) || !pack(&batch.base, &wire, &err) ||
        !unpack(&muster__lane_batch__descriptor, buf_bytes(&wire), &limits, &arena, &message,
                &err) ||
        !rows_of_columns((Muster__LaneBatch *)message, &arena, &back, &err))
        fail_msg("%s", err.text);
    assert_true(same_rows(rows, &back));
    buf_done(&wire);
    arena_done(&arena);
}

static void random_rows_go_round(void **state)
{
    (void)state;
    struct dice dice = {.state = 20261122};
    for (size_t round = 0; round < 400; round++) {
        struct arena arena = {0};
        struct lane_rows rows;
        random_rows(&dice, lanes[round % 3], 1 + dice_below(&dice, 70), &arena, &rows);
        goes_round(&rows);
        arena_done(&arena);
    }
}

/* What columns.c can carry is all that a record may hold: see record.proto. */
static void records_are_flat(void **state)
{
    (void)state;
    for (size_t lane = 0; lane < 3; lane++) {
        const ProtobufCMessageDescriptor *type = lane_message(lanes[lane]);
        for (unsigned i = 0; i < type->n_fields; i++) {
            assert_int_equal(type->fields[i].label, PROTOBUF_C_LABEL_NONE);
            assert_int_not_equal(type->fields[i].type, PROTOBUF_C_TYPE_MESSAGE);
            assert_int_equal(type->fields[i].flags & PROTOBUF_C_FIELD_FLAG_ONEOF, 0);
        }
    }
    assert_null(lane_message(MUSTER__LANE__LANE_UNKNOWN));
    assert_null(lane_message((Muster__Lane)99));
}

/* ---- which form a column takes ---- */

enum { ROWS = 9 };

struct sample {
    struct arena arena;
    Muster__TxnResult txns[ROWS];
    ProtobufCMessage *list[ROWS];
    struct lane_rows rows;
    Muster__LaneBatch batch;
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

static Muster__Column *only_column(struct sample *sample)
{
    struct err err = {0};
    goes_round(&sample->rows);
    if (!columns_of_rows(&sample->rows, &sample->arena, &sample->batch, &err))
        fail_msg("%s", err.text);
    assert_int_equal(sample->batch.n_columns, 1);
    return sample->batch.columns[0];
}

static void default_rows_have_no_columns(void **state)
{
    (void)state;
    struct sample sample;
    sample_init(&sample);
    assert_true(columns_of_rows(&sample.rows, &sample.arena, &sample.batch, NULL));
    assert_int_equal(sample.batch.n_columns, 0);
    assert_int_equal(sample.batch.count, ROWS);
    goes_round(&sample.rows);
    arena_done(&sample.arena);
}

static void rising_numbers_travel_as_deltas(void **state)
{
    (void)state;
    struct sample sample;
    sample_init(&sample);
    for (size_t i = 0; i < ROWS; i++)
        sample.txns[i].wall_ms = INT64_C(1795000000000) + (int64_t)i * 900;
    Muster__Column *column = only_column(&sample);
    assert_int_equal(column->field, 2);
    assert_int_equal(column->coding, MUSTER__CODING__CODING_DELTA);
    assert_int_equal(column->n_numbers, ROWS);
    assert_int_equal(column->numbers[0], UINT64_C(2) * 1795000000000);
    assert_int_equal(column->numbers[1], 2 * 2 * 900);
    assert_int_equal(column->present.len, 0);
    arena_done(&sample.arena);
}

static void scattered_numbers_travel_plain(void **state)
{
    (void)state;
    struct sample sample;
    sample_init(&sample);
    for (size_t i = 0; i < ROWS; i++)
        sample.txns[i].amount_minor = i % 2 ? 100 : 1;
    Muster__Column *column = only_column(&sample);
    assert_int_equal(column->coding, MUSTER__CODING__CODING_PLAIN);
    assert_int_equal(column->n_numbers, ROWS);
    arena_done(&sample.arena);
}

static void equal_values_travel_once(void **state)
{
    (void)state;
    struct sample sample;
    char code[] = "57";
    sample_init(&sample);
    for (size_t i = 0; i < ROWS; i += 2)
        sample.txns[i].currency = 156;
    Muster__Column *column = only_column(&sample);
    assert_int_equal(column->n_numbers, 1);
    assert_int_equal(column->present.len, 2);
    assert_int_equal(column->present.data[0], 0x55);
    assert_int_equal(column->present.data[1], 0x01);
    arena_done(&sample.arena);

    sample_init(&sample);
    for (size_t i = 0; i < ROWS; i++)
        sample.txns[i].code = code;
    column = only_column(&sample);
    assert_int_equal(column->n_values, 1);
    assert_int_equal(column->n_numbers, 0);
    arena_done(&sample.arena);
}

static void bytes_of_one_width_travel_end_to_end(void **state)
{
    (void)state;
    struct sample sample;
    uint8_t token[ROWS][8];
    sample_init(&sample);
    for (size_t i = 0; i < ROWS; i++) {
        memset(token[i], (int)i + 1, 8);
        sample.txns[i].card_token = (ProtobufCBinaryData){.len = 8, .data = token[i]};
    }
    Muster__Column *column = only_column(&sample);
    assert_int_equal(column->width, 8);
    assert_int_equal(column->packed.len, 8 * ROWS);
    assert_int_equal(column->n_values, 0);
    arena_done(&sample.arena);
    sample_init(&sample);
    for (size_t i = 0; i < ROWS; i++)
        sample.txns[i].card_token = (ProtobufCBinaryData){.len = 1 + i % 8, .data = token[i]};
    column = only_column(&sample);
    assert_int_equal(column->width, 0);
    assert_int_equal(column->n_values, ROWS);
    arena_done(&sample.arena);
}

static void ends_of_the_ranges_go_round(void **state)
{
    (void)state;
    struct sample sample;
    sample_init(&sample);
    sample.txns[0].wall_ms = INT64_MIN;
    sample.txns[1].wall_ms = INT64_MAX;
    sample.txns[2].wall_ms = -1;
    sample.txns[0].boot_ms = UINT64_MAX;
    sample.txns[3].boot_ms = 1;
    sample.txns[4].boot_ms = UINT64_MAX;
    sample.txns[0].signal_dbm = INT32_MIN;
    sample.txns[1].signal_dbm = INT32_MAX;
    sample.txns[0].stan = UINT32_MAX;
    sample.txns[1].stan = 1;
    sample.txns[5].online_pin = true;
    sample.txns[6].type = (Muster__TxnType)INT32_MAX;
    sample.rows.first_seq = UINT64_MAX - (ROWS - 1);
    goes_round(&sample.rows);
}

static void senders_keep_within_the_rules(void **state)
{
    (void)state;
    struct sample sample;
    struct err err = {0};
    Muster__Event event = MUSTER__EVENT__INIT;
    sample_init(&sample);
    sample.list[3] = &event.base;
    assert_false(columns_of_rows(&sample.rows, &sample.arena, &sample.batch, &err));
    assert_string_equal(err.text, "row 3 is a muster.Event");
    sample_init(&sample);
    sample.rows.first_seq = UINT64_MAX - (ROWS - 2);
    assert_false(columns_of_rows(&sample.rows, &sample.arena, &sample.batch, &err));
    sample.rows.first_seq = 0;
    assert_false(columns_of_rows(&sample.rows, &sample.arena, &sample.batch, &err));
    sample_init(&sample);
    sample.rows.lane = (Muster__Lane)9;
    assert_false(columns_of_rows(&sample.rows, &sample.arena, &sample.batch, &err));
    sample_init(&sample);
    sample.txns[0].outcome = (Muster__Outcome)-1;
    assert_false(columns_of_rows(&sample.rows, &sample.arena, &sample.batch, &err));
    assert_string_equal(err.text, "lane txn: row 0: outcome is negative");
    arena_done(&sample.arena);
}

/* ---- hostile columns ---- */

struct hostile {
    Muster__LaneBatch batch;
    Muster__Column columns[2], *list[2];
    uint64_t numbers[4];
    ProtobufCBinaryData values[4];
};

/* Four rows of TxnResult with one column for field number `field`. */
static void hostile_init(struct hostile *hostile, uint32_t field)
{
    *hostile = (struct hostile){0};
    muster__lane_batch__init(&hostile->batch);
    hostile->batch.lane = MUSTER__LANE__LANE_TXN;
    hostile->batch.first_seq = 1;
    hostile->batch.count = 4;
    hostile->batch.columns = hostile->list;
    hostile->batch.n_columns = 1;
    for (size_t i = 0; i < 2; i++) {
        muster__column__init(&hostile->columns[i]);
        hostile->columns[i].field = field;
        hostile->columns[i].numbers = hostile->numbers;
        hostile->columns[i].values = hostile->values;
        hostile->list[i] = &hostile->columns[i];
    }
}

static void refused_as(const struct hostile *hostile, enum err_code code, const char *text)
{
    struct arena arena = {.limit_bytes = BATCH_ARENA_BYTES};
    struct lane_rows rows;
    struct err err = {0};
    assert_false(rows_of_columns(&hostile->batch, &arena, &rows, &err));
    assert_int_equal(err.code, code);
    if (!strstr(err.text, text))
        fail_msg("\"%s\" does not say \"%s\"", err.text, text);
    arena_done(&arena);
}

static void refused_with(const struct hostile *hostile, const char *text)
{
    refused_as(hostile, ERR_INVALID, text);
}

static void number_refused(uint32_t field, uint64_t number)
{
    struct hostile hostile;
    hostile_init(&hostile, field);
    hostile.columns[0].n_numbers = 1;
    hostile.numbers[0] = number;
    refused_with(&hostile, "a number out of range");
}

static void numbers_fit_their_fields(void **state)
{
    (void)state;
    number_refused(31, 2);                        /* bool online_pin */
    number_refused(31, UINT64_MAX);               /* bool */
    number_refused(7, (uint64_t)UINT32_MAX + 1);  /* uint32 stan */
    number_refused(40, (uint64_t)UINT32_MAX + 1); /* sint32 signal_dbm */
    number_refused(9, (uint64_t)INT32_MAX + 1);   /* enum type */
}

static void counts_agree(void **state)
{
    (void)state;
    struct hostile hostile;
    uint8_t bits[2] = {0x03, 0};
    hostile_init(&hostile, 7);
    hostile.columns[0].n_numbers = 3;
    refused_with(&hostile, "stan: as many values as rows that have one are due");
    hostile.columns[0].n_numbers = 0;
    refused_with(&hostile, "stan: as many values");
    hostile.columns[0].n_numbers = 4;
    hostile.columns[0].present = (ProtobufCBinaryData){.len = 1, .data = bits};
    refused_with(&hostile, "stan: as many values");
    hostile.columns[0].n_numbers = 2;
    hostile.columns[0].present.len = 2;
    refused_with(&hostile, "as many presence bits as rows");
    hostile.columns[0].present.len = 1;
    bits[0] = 0x13;
    refused_with(&hostile, "presence bits beyond the last row");
    bits[0] = 0;
    refused_with(&hostile, "a column without values");
    hostile_init(&hostile, 16); /* card_token */
    uint8_t packed[33] = {0};
    hostile.columns[0].width = 8;
    hostile.columns[0].packed = (ProtobufCBinaryData){.len = 33, .data = packed};
    refused_with(&hostile, "as many packed bytes");
    hostile.columns[0].packed.len = 24;
    refused_with(&hostile, "as many packed bytes");
    hostile.columns[0].width = UINT32_MAX;
    refused_with(&hostile, "as many packed bytes");
    hostile.columns[0].width = 0;
    refused_with(&hostile, "another kind");
}

static void kinds_agree(void **state)
{
    (void)state;
    struct hostile hostile;
    hostile_init(&hostile, 23); /* string code */
    hostile.columns[0].n_numbers = 1;
    refused_with(&hostile, "code: values of another kind");
    hostile_init(&hostile, 7); /* uint32 */
    hostile.columns[0].n_values = 1;
    refused_with(&hostile, "stan: values of another kind");
    hostile_init(&hostile, 7);
    hostile.columns[0].n_numbers = 1;
    hostile.columns[0].coding = (Muster__Coding)2;
    refused_as(&hostile, ERR_NEWER, "stan: coding 2 is not known here");
    hostile_init(&hostile, 23);
    hostile.columns[0].n_values = 1;
    hostile.columns[0].coding = MUSTER__CODING__CODING_DELTA;
    refused_with(&hostile, "a coding that is not for it");
    hostile_init(&hostile, 7);
    hostile.columns[0].n_numbers = hostile.columns[1].n_numbers = 1;
    hostile.batch.n_columns = 2;
    refused_with(&hostile, "stan: two columns");
}

static void texts_are_texts(void **state)
{
    (void)state;
    struct hostile hostile;
    uint8_t nul[] = {'0', 0}, wild[] = {0xff};
    hostile_init(&hostile, 23);
    hostile.columns[0].n_values = 1;
    hostile.values[0] = (ProtobufCBinaryData){.len = 2, .data = nul};
    refused_with(&hostile, "code: text that is not UTF-8, or holds a NUL");
    hostile.values[0] = (ProtobufCBinaryData){.len = 1, .data = wild};
    refused_with(&hostile, "code: text that is not UTF-8");
}

static void spans_are_possible(void **state)
{
    (void)state;
    struct hostile hostile;
    hostile_init(&hostile, 7);
    hostile.batch.n_columns = 0;
    hostile.batch.lane = (Muster__Lane)4;
    refused_with(&hostile, "lane 4 is not known");
    hostile_init(&hostile, 7);
    hostile.batch.count = 0;
    refused_with(&hostile, "0 rows");
    hostile.batch.count = LIMIT_BATCH_ROWS + 1;
    refused_with(&hostile, "2001 rows");
    hostile.batch.count = UINT32_MAX;
    refused_with(&hostile, "rows, 1 to 2000");
    hostile.batch.count = 4;
    hostile.batch.first_seq = 0;
    refused_with(&hostile, "no room for 4 rows from seq 0");
    hostile.batch.first_seq = UINT64_MAX - 2;
    refused_with(&hostile, "no room for 4 rows");
}

static void a_newer_senders_field_is_passed_over(void **state)
{
    (void)state;
    struct hostile hostile;
    struct arena arena = {0};
    struct lane_rows rows;
    hostile_init(&hostile, 999);
    assert_true(rows_of_columns(&hostile.batch, &arena, &rows, NULL));
    assert_int_equal(rows.count, 4);
    arena_done(&arena);
}

static void memory_stays_within_the_arena(void **state)
{
    (void)state;
    struct hostile hostile;
    struct arena arena = {.limit_bytes = 64 * 1024};
    struct lane_rows rows;
    struct err err = {0};
    hostile_init(&hostile, 7);
    hostile.batch.n_columns = 0;
    hostile.batch.count = LIMIT_BATCH_ROWS;
    assert_false(rows_of_columns(&hostile.batch, &arena, &rows, &err));
    assert_int_equal(err.code, ERR_NO_MEMORY);
    arena_done(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_rows_go_round),
        cmocka_unit_test(records_are_flat),
        cmocka_unit_test(default_rows_have_no_columns),
        cmocka_unit_test(rising_numbers_travel_as_deltas),
        cmocka_unit_test(scattered_numbers_travel_plain),
        cmocka_unit_test(equal_values_travel_once),
        cmocka_unit_test(bytes_of_one_width_travel_end_to_end),
        cmocka_unit_test(ends_of_the_ranges_go_round),
        cmocka_unit_test(senders_keep_within_the_rules),
        cmocka_unit_test(numbers_fit_their_fields),
        cmocka_unit_test(counts_agree),
        cmocka_unit_test(kinds_agree),
        cmocka_unit_test(texts_are_texts),
        cmocka_unit_test(spans_are_possible),
        cmocka_unit_test(a_newer_senders_field_is_passed_over),
        cmocka_unit_test(memory_stays_within_the_arena),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
