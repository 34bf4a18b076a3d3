/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/refusal.h"
#include "tests/unit/receipts_world.h"
#include "tests/unit/testing.h"

#include <stdlib.h>

static int set_up(void **state)
{
    struct receipts_world *world = calloc(1, sizeof *world);
    struct err err = {0};
    receipts_world_open(world);
    struct spool_record records[5];
    for (size_t i = 0; i < 5; i++)
        records[i] = (struct spool_record){.lane = 1, .body = bytes_of("body", 4)};
    assert_true(spool_push(world->temp.spool, records, 5, &err));
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct receipts_world *world = *state;
    receipts_world_close(world);
    free(world);
    return 0;
}

static const int64_t restored_ms = 1000; /* receipts issued before no longer count */

struct claim {
    const char *domain, *context, *device;
    const struct sign_key *key;
    uint64_t cumulative;
    Muster__SeqRange range, refused; /* first 0: none */
    Muster__Lane lane;
    int64_t issued_ms;
};

static struct claim honest(const struct receipts_world *world, uint64_t cumulative)
{
    return (struct claim){
        .domain = "receipt",
        .context = "term-0001",
        .device = "term-0001",
        .key = world->receipt,
        .cumulative = cumulative,
        .range = MUSTER__SEQ_RANGE__INIT,
        .refused = MUSTER__SEQ_RANGE__INIT,
        .lane = MUSTER__LANE__LANE_TXN,
        .issued_ms = restored_ms,
    };
}

static struct buf sealed(const struct receipts_world *world, struct claim *claim)
{
    Muster__SeqRange *ranges[] = {&claim->range};
    Muster__SeqRange *refused[] = {&claim->refused};
    Muster__StreamReceipt stream = MUSTER__STREAM_RECEIPT__INIT;
    Muster__StreamReceipt *streams[] = {&stream};
    Muster__Receipt receipt = MUSTER__RECEIPT__INIT;
    stream.incarnation = spool_incarnation(world->temp.spool);
    stream.lane = claim->lane;
    stream.cumulative = claim->cumulative;
    stream.ranges = ranges;
    stream.n_ranges = claim->range.first == 0 ? 0 : 1;
    stream.refused = refused;
    stream.n_refused = claim->refused.first == 0 ? 0 : 1;
    receipt.device = (char *)(uintptr_t)claim->device;
    receipt.issued_ms = claim->issued_ms;
    receipt.streams = streams;
    receipt.n_streams = 1;
    return receipts_sealed(&receipt, claim->domain, claim->context, claim->key);
}

static bool take_for(struct receipts_world *world, struct bytes envelope,
                     struct receipts_taken *ret_taken, struct err *err)
{
    struct arena arena = {0};
    bool ok = receipts_take(world->temp.spool, world->trust, "term-0001", envelope, restored_ms,
                            &arena, ret_taken, err);
    arena_done(&arena);
    return ok;
}

static bool take(struct receipts_world *world, struct bytes envelope, struct err *err)
{
    struct receipts_taken taken;
    return take_for(world, envelope, &taken, err);
}

static struct spool_stats stats_of(const struct receipts_world *world)
{
    struct spool_stats stats;
    spool_stats(world->temp.spool, &stats);
    return stats;
}

static uint64_t unreceipted(const struct receipts_world *world)
{
    return stats_of(world).records;
}

static void test_an_honest_receipt_counts_and_repeats_are_harmless(void **state)
{
    struct receipts_world *world = *state;
    struct claim claim = honest(world, 3);
    struct buf envelope = sealed(world, &claim);
    struct err err = {0};
    assert_true(take(world, buf_bytes(&envelope), &err));
    assert_int_equal(unreceipted(world), 2);
    assert_true(take(world, buf_bytes(&envelope), &err));
    assert_int_equal(unreceipted(world), 2);
    buf_done(&envelope);
}

static void test_a_range_beyond_a_hole_counts(void **state)
{
    struct receipts_world *world = *state;
    struct claim claim = honest(world, 0);
    struct err err = {0};
    claim.range.first = 2;
    claim.range.last = 4;
    struct buf envelope = sealed(world, &claim);
    assert_true(take(world, buf_bytes(&envelope), &err));
    assert_int_equal(unreceipted(world), 2);
    buf_done(&envelope);
}

static void assert_refused(struct receipts_world *world, struct claim claim, enum err_code code,
                           Muster__Refusal reason)
{
    struct buf envelope = sealed(world, &claim);
    struct err err = {0};
    assert_false(take(world, buf_bytes(&envelope), &err));
    assert_int_equal(err.code, code);
    assert_int_equal(refusal_of(&err), reason);
    assert_int_equal(unreceipted(world), 5);
    buf_done(&envelope);
}

static void test_what_is_not_an_honest_receipt_frees_nothing(void **state)
{
    struct receipts_world *world = *state;
    struct claim claim = honest(world, 5);
    claim.key = world->director;
    assert_refused(world, claim, ERR_REFUSED, MUSTER__REFUSAL__REFUSAL_SIGNATURE);
    claim = honest(world, 5);
    claim.domain = "welcome";
    assert_refused(world, claim, ERR_REFUSED, MUSTER__REFUSAL__REFUSAL_SIGNATURE);
    claim = honest(world, 5);
    claim.context = "term-0002";
    assert_refused(world, claim, ERR_REFUSED, MUSTER__REFUSAL__REFUSAL_SIGNATURE);
    claim = honest(world, 5);
    claim.device = "term-0002";
    assert_refused(world, claim, ERR_REFUSED, MUSTER__REFUSAL__REFUSAL_DEVICE);
    assert_refused(world, honest(world, 6), ERR_REFUSED,
                   MUSTER__REFUSAL__REFUSAL_RECEIPT_STREAM); /* more than was ever given */
    claim = honest(world, 2);
    claim.range.first = 1;
    claim.range.last = 5;
    assert_refused(world, claim, ERR_INVALID, MUSTER__REFUSAL__REFUSAL_RECEIPT_STREAM);
    claim = honest(world, 5);
    claim.lane = (Muster__Lane)4;
    assert_refused(world, claim, ERR_INVALID, MUSTER__REFUSAL__REFUSAL_RECEIPT_STREAM);
    claim = honest(world, 5);
    claim.issued_ms = restored_ms - 1; /* genuine, and replayed after the fleet was restored */
    assert_refused(world, claim, ERR_REFUSED, MUSTER__REFUSAL__REFUSAL_RECEIPT_OLD);
}

static void test_no_single_flipped_bit_frees_anything(void **state)
{
    struct receipts_world *world = *state;
    struct claim claim = honest(world, 5);
    struct buf envelope = sealed(world, &claim);
    /* The key id before the signature is a hint that nothing rests on: without it the key is
     * found all the same, and what is then taken is what was signed. */
    size_t signature = envelope.length - 64;
    size_t hint = signature - 2 - (2 + KEY_ID_BYTES);
    for (size_t bit = 0; bit < envelope.length * 8; bit++) {
        struct err err = {0};
        if (bit / 8 >= hint && bit / 8 < signature - 2)
            continue;
        envelope.data[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        if (take(world, buf_bytes(&envelope), &err))
            fail_msg("bit %zu flipped and still taken", bit);
        envelope.data[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    }
    assert_int_equal(unreceipted(world), 5);
    buf_done(&envelope);
}

static void test_what_is_refused_is_given_up_once_and_told_once(void **state)
{
    struct receipts_world *world = *state;
    struct claim claim = honest(world, 2);
    struct receipts_taken taken;
    struct err err = {0};
    claim.refused.first = 2; /* of these one is receipted by the same word */
    claim.refused.last = 4;
    struct buf envelope = sealed(world, &claim);
    assert_true(take_for(world, buf_bytes(&envelope), &taken, &err));
    assert_int_equal(taken.lost_count, 1);
    assert_int_equal(taken.lost[0].last, 4);
    assert_int_equal(stats_of(world).records_lost, 2);
    assert_int_equal(unreceipted(world), 1);
    assert_true(take_for(world, buf_bytes(&envelope), &taken, &err));
    assert_int_equal(taken.lost_count, 0);
    assert_int_equal(stats_of(world).records_lost, 2);
    buf_done(&envelope);
    claim = honest(world, 4); /* the declaration is receipted */
    envelope = sealed(world, &claim);
    assert_true(take(world, buf_bytes(&envelope), &err));
    assert_int_equal(stats_of(world).records_lost, 0);
    assert_int_equal(unreceipted(world), 1);
    buf_done(&envelope);
}

static void test_a_refusal_that_is_forged_gives_up_nothing(void **state)
{
    struct receipts_world *world = *state;
    struct claim claim = honest(world, 0);
    claim.refused.first = 1;
    claim.refused.last = 5;
    claim.key = world->director;
    assert_refused(world, claim, ERR_REFUSED, MUSTER__REFUSAL__REFUSAL_SIGNATURE);
    claim.key = world->receipt;
    claim.refused.first = 4;
    claim.refused.last = 3;
    assert_refused(world, claim, ERR_INVALID, MUSTER__REFUSAL__REFUSAL_RECEIPT_STREAM);
    assert_int_equal(stats_of(world).records_lost, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_an_honest_receipt_counts_and_repeats_are_harmless,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_range_beyond_a_hole_counts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_is_not_an_honest_receipt_frees_nothing, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_what_is_refused_is_given_up_once_and_told_once, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_a_refusal_that_is_forged_gives_up_nothing, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_no_single_flipped_bit_frees_anything, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
