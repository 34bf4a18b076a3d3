/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/rows.h"

#include "tests/unit/testing.h"

#include <string.h>

static struct rows_plan plan_of(int lane)
{
    struct rows_plan plan;
    struct err err = {0};
    if (!rows_plan_make(lane, &plan, &err))
        fail_msg("%s", err.text);
    return plan;
}

static size_t column(int lane, const char *name)
{
    size_t count = 0, i = 0;
    const char *const *columns = fleetdb_columns(lane, &count);
    while (i < count && strcmp(columns[i], name) != 0)
        i++;
    assert_true(i < count);
    return i;
}

static void every_field_has_its_column(void **state)
{
    (void)state;
    for (int lane = 1; lane <= 3; lane++)
        assert_int_equal(plan_of(lane).count, lane_message((Muster__Lane)lane)->n_fields);
    assert_true(plan_of(1).key < plan_of(1).count);
    assert_true(plan_of(1).masked < plan_of(1).count);
    assert_int_equal(plan_of(2).key, plan_of(2).count);
}

static void values_keep_their_kind(void **state)
{
    (void)state;
    struct rows_plan plan = plan_of(1);
    struct arena arena = {0};
    struct fleetdb_value values[FLEETDB_COLUMNS_MAX];
    uint8_t token[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    Muster__TxnResult txn = MUSTER__TXN_RESULT__INIT;
    txn.card_token = (ProtobufCBinaryData){sizeof token, token};
    txn.amount_minor = UINT64_MAX;
    txn.signal_dbm = -71;
    txn.table_miss = true;
    txn.code = (char *)"57";
    bool masked = true;
    assert_true(rows_values(&plan, &txn.base, &arena, values, &masked, NULL));
    assert_false(masked);
    assert_int_equal(values[column(1, "amount_minor")].integer, INT64_MAX);
    assert_int_equal(values[column(1, "signal_dbm")].integer, -71);
    assert_int_equal(values[column(1, "table_miss")].integer, 1);
    const struct fleetdb_value *code = &values[column(1, "code")];
    assert_int_equal(code->type, FLEETDB_TEXT);
    assert_true(bytes_equal(fleetdb_bytes_of(code), bytes_of("57", 2)));
    const struct fleetdb_value *card = &values[column(1, "card_token")];
    assert_int_equal(card->type, FLEETDB_BLOB);
    assert_true(bytes_equal(fleetdb_bytes_of(card), bytes_of(token, sizeof token)));
    arena_done(&arena);
}

/* 4111 1111 1111 1111 is a test number that card schemes publish. */
static void texts_are_masked_and_cleaned(void **state)
{
    (void)state;
    struct rows_plan plan = plan_of(1);
    struct arena arena = {0};
    struct fleetdb_value values[FLEETDB_COLUMNS_MAX];
    Muster__TxnResult txn = MUSTER__TXN_RESULT__INIT;
    txn.issuer_bucket = (char *)"x4111111111111111";
    txn.app_version = (char *)"1.0\n\xff\xe4\xb8\xad";
    bool masked = false;
    assert_true(rows_values(&plan, &txn.base, &arena, values, &masked, NULL));
    assert_true(masked);
    assert_int_equal(values[plan.masked].integer, 1);
    assert_true(bytes_equal(fleetdb_bytes_of(&values[column(1, "issuer_bucket")]),
                            bytes_of("x****************", 17)));
    assert_true(bytes_equal(fleetdb_bytes_of(&values[column(1, "app_version")]),
                            bytes_of("1.0??\xe4\xb8\xad", 8)));
    arena_done(&arena);
}

static bool digest_of(const ProtobufCMessage *row, struct buf *scratch, struct sha256_state *hash,
                      uint64_t *ret_digest)
{
    return rows_digest(row, protobuf_c_message_get_packed_size(row), scratch, hash, ret_digest,
                       NULL);
}

static void the_digest_tells_contents_apart(void **state)
{
    (void)state;
    struct buf scratch = {0};
    struct sha256_state *hash = sha256_begin();
    uint64_t first = 0, again = 0, other = 0;
    uint8_t whole[32];
    Muster__Event event = MUSTER__EVENT__INIT;
    event.text = (char *)"one";
    assert_true(digest_of(&event.base, &scratch, hash, &first));
    assert_true(digest_of(&event.base, &scratch, hash, &again));
    event.text = (char *)"two";
    assert_true(digest_of(&event.base, &scratch, hash, &other));
    assert_true(first == again);
    assert_true(first != other);
    sha256(buf_bytes(&scratch), whole); /* what was packed last */
    assert_memory_equal(whole, &other, sizeof other);
    sha256_end(hash, whole);
    buf_done(&scratch);
}

/* Rows of a batch share texts: what is made of one counts for each row that has it. */
static void rows_that_share_a_text_are_masked_alike(void **state)
{
    (void)state;
    enum { ROWS = 4 };
    const struct rows_plan plan = plan_of(1);
    const size_t bucket = column(1, "issuer_bucket"), code = column(1, "code");
    char card[] = "x4111111111111111", five[] = "57", also_five[] = "57";
    char *const buckets[ROWS] = {card, card, five, card};
    char *const codes[ROWS] = {five, five, also_five, NULL};
    Muster__TxnResult txns[ROWS];
    ProtobufCMessage *list[ROWS];
    uint32_t sizes[ROWS];
    const struct lane_rows rows = {
        .lane = MUSTER__LANE__LANE_TXN, .count = ROWS, .rows = list, .sizes = sizes};
    struct rows_ready ready;
    struct arena arena = {0};
    struct buf scratch = {0};
    struct sha256_state *hash = sha256_begin();
    uint8_t nothing[32];
    for (size_t i = 0; i < ROWS; i++) {
        muster__txn_result__init(&txns[i]);
        txns[i].issuer_bucket = buckets[i];
        txns[i].code = codes[i];
        list[i] = &txns[i].base;
        sizes[i] = (uint32_t)protobuf_c_message_get_packed_size(list[i]);
    }
    assert_true(rows_make_ready(&plan, &rows, &scratch, hash, &arena, &ready, NULL));
    for (size_t i = 0; i < ROWS; i++) {
        const struct fleetdb_value *values = &ready.values[i * plan.count];
        struct fleetdb_value alone[FLEETDB_COLUMNS_MAX];
        bool masked = false;
        uint64_t digest = 0;
        assert_true(rows_values(&plan, list[i], &arena, alone, &masked, NULL));
        assert_true(digest_of(list[i], &scratch, hash, &digest));
        assert_int_equal(ready.masked[i], masked);
        assert_int_equal(masked, buckets[i] == card);
        assert_int_equal(values[plan.masked].integer, masked);
        assert_true(
            bytes_equal(fleetdb_bytes_of(&values[bucket]), fleetdb_bytes_of(&alone[bucket])));
        assert_true(bytes_equal(fleetdb_bytes_of(&values[code]), fleetdb_bytes_of(&alone[code])));
        assert_true(ready.digests[i] == digest);
    }
    sha256_end(hash, nothing);
    buf_done(&scratch);
    arena_done(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_field_has_its_column),
        cmocka_unit_test(values_keep_their_kind),
        cmocka_unit_test(texts_are_masked_and_cleaned),
        cmocka_unit_test(rows_that_share_a_text_are_masked_alike),
        cmocka_unit_test(the_digest_tells_contents_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
