/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/testing.h"

#include "agent/proofs.h"

#include <string.h>

/* A receipt for up to three streams of lane 1, all of them with the same claim. */
static void receipt_of(Muster__Receipt *receipt, int64_t issued_ms, uint64_t cumulative,
                       const uint64_t *incarnations, size_t count)
{
    static Muster__StreamReceipt parts[3];
    static Muster__StreamReceipt *list[3];
    *receipt = (Muster__Receipt)MUSTER__RECEIPT__INIT;
    for (size_t i = 0; i < count; i++) {
        parts[i] = (Muster__StreamReceipt)MUSTER__STREAM_RECEIPT__INIT;
        parts[i].incarnation = incarnations[i];
        parts[i].lane = MUSTER__LANE__LANE_TXN;
        parts[i].cumulative = cumulative;
        list[i] = &parts[i];
    }
    receipt->issued_ms = issued_ms;
    receipt->streams = list;
    receipt->n_streams = count;
}

/* Streams of 100 records of which `receipted` are; `count` of them, incarnations from 1. */
static struct spool_stream *unclosed(uint64_t receipted, size_t count)
{
    static struct spool_stream streams[PROOFS_STREAMS];
    for (size_t i = 0; i < count; i++)
        streams[i] = (struct spool_stream){
            .incarnation = i + 1,
            .lane = 1,
            .last_seq = 100,
            .first_unsent = receipted + 1,
            .receipted_to = receipted,
        };
    return streams;
}

static bool take(struct proofs *proofs, int64_t issued_ms, const char *envelope,
                 uint64_t cumulative, uint64_t receipted, const uint64_t *incarnations,
                 size_t count)
{
    Muster__Receipt receipt;
    struct err err = {0};
    bool less = false;
    receipt_of(&receipt, issued_ms, cumulative, incarnations, count);
    assert_true(proofs_take(proofs, &receipt, bytes_of(envelope, strlen(envelope)),
                            unclosed(receipted, 3), 3, &less, &err));
    return less;
}

static void assert_kept(const struct proofs *proofs, const char *envelopes)
{
    ProtobufCBinaryData newest[PROOFS_STREAMS];
    char text[256] = "";
    size_t count = proofs_newest(proofs, newest);
    for (size_t i = 0; i < count; i++)
        strncat(text, (const char *)newest[i].data, newest[i].len);
    assert_string_equal(text, envelopes);
}

static const uint64_t first[] = {1}, second[] = {2}, both[] = {1, 2};

static void test_one_receipt_stands_for_all_streams_that_it_is_the_newest_of(void **state)
{
    (void)state;
    struct proofs proofs = {0};
    assert_false(take(&proofs, 10, "A", 5, 5, both, 2));
    assert_kept(&proofs, "A");
    assert_false(take(&proofs, 20, "B", 6, 6, first, 1));
    assert_kept(&proofs, "BA");
    assert_false(take(&proofs, 30, "C", 7, 7, second, 1));
    assert_kept(&proofs, "CB");
    assert_false(take(&proofs, 40, "D", 8, 8, both, 2));
    assert_kept(&proofs, "D");
    proofs_done(&proofs);
}

static void test_a_late_one_takes_no_place(void **state)
{
    (void)state;
    struct proofs proofs = {0};
    assert_false(take(&proofs, 20, "B", 6, 6, first, 1));
    assert_false(take(&proofs, 10, "A", 5, 6, first, 1));
    assert_kept(&proofs, "B");
    proofs_done(&proofs);
}

/* The clock of a fleet may be set back; what claims the most counts all the same. */
static void test_a_receipt_that_claims_all_counts_whatever_its_time(void **state)
{
    (void)state;
    struct proofs proofs = {0};
    assert_false(take(&proofs, 1000, "A", 5, 5, first, 1));
    assert_false(take(&proofs, 10, "B", 6, 6, first, 1));
    assert_kept(&proofs, "B");
    proofs_done(&proofs);
}

/* Else the proof that the fleet held more would go just when it is needed. */
static void test_a_newer_one_that_claims_less_is_told_and_takes_no_place(void **state)
{
    (void)state;
    struct proofs proofs = {0};
    assert_false(take(&proofs, 10, "A", 50, 50, first, 1));
    assert_true(take(&proofs, 20, "B", 40, 50, first, 1));
    assert_kept(&proofs, "A");
    proofs_drop(&proofs, 1, 1);
    assert_kept(&proofs, "");
    assert_false(take(&proofs, 30, "C", 40, 40, first, 1));
    assert_kept(&proofs, "C");
    proofs_done(&proofs);
}

static void test_of_streams_that_are_closed_nothing_is_kept(void **state)
{
    (void)state;
    static const uint64_t gone[] = {77};
    struct proofs proofs = {0};
    Muster__Receipt receipt;
    struct err err = {0};
    bool less = false;
    assert_false(take(&proofs, 10, "A", 5, 5, gone, 1));
    assert_kept(&proofs, "");
    assert_false(take(&proofs, 20, "B", 5, 5, both, 2));
    receipt_of(&receipt, 30, 5, gone, 1);
    assert_true(proofs_take(&proofs, &receipt, bytes_of("C", 1), NULL, 0, &less, &err));
    assert_kept(&proofs, "");
    proofs_done(&proofs);
}

/* Sixty streams, each with a receipt of its own that is as long as one may be. */
static void test_what_is_kept_is_bounded_and_the_newest_stay(void **state)
{
    (void)state;
    enum { BYTES = PROOFS_BYTES / 4 };
    static char envelope[BYTES];
    struct proofs proofs = {0};
    ProtobufCBinaryData newest[PROOFS_STREAMS];
    struct err err = {0};
    bool less = false;
    for (uint64_t i = 1; i <= PROOFS_STREAMS; i++) {
        Muster__Receipt receipt;
        receipt_of(&receipt, (int64_t)i, 5, &i, 1);
        memset(envelope, (int)i, sizeof envelope);
        assert_true(proofs_take(&proofs, &receipt, bytes_of(envelope, sizeof envelope),
                                unclosed(5, PROOFS_STREAMS), PROOFS_STREAMS, &less, &err));
    }
    assert_int_equal(proofs_newest(&proofs, newest), 4);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(newest[i].data[0], PROOFS_STREAMS - i);
    assert_int_equal(proofs.stream_count, 4);
    proofs_done(&proofs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_receipt_stands_for_all_streams_that_it_is_the_newest_of),
        cmocka_unit_test(test_a_late_one_takes_no_place),
        cmocka_unit_test(test_a_receipt_that_claims_all_counts_whatever_its_time),
        cmocka_unit_test(test_a_newer_one_that_claims_less_is_told_and_takes_no_place),
        cmocka_unit_test(test_of_streams_that_are_closed_nothing_is_kept),
        cmocka_unit_test(test_what_is_kept_is_bounded_and_the_newest_stay),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
