/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/collector.h"

#include "proto/limits.h"
#include "proto/unpack.h"
#include "tests/unit/collector_world.h"
#include "tests/unit/random_rows.h"
#include "tests/unit/testing.h"

#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#define LOST(why) MUSTER__LOSS_REASON__LOSS_##why

static uint64_t metric(const struct world *world, enum metric metric)
{
    return world->metrics.values[metric];
}

static void a_loss_is_receipted_like_records(void **state)
{
    struct world *world = *state;
    struct arena arena = {0};
    world_send_results(world, 7, 1, 3, 0);
    world_send_lost(world, 7, 4, 10, LOST(QUOTA));
    world_settle(world);
    assert_int_equal(world_receipt(world, 0, &arena)->streams[0]->cumulative, 13);
    struct fleetdb_account account = world_account(world);
    assert_int_equal(account.submitted, 13);
    assert_int_equal(account.committed, 3);
    assert_int_equal(account.lost[LOST(QUOTA)], 10);
    assert_int_equal(metric(world, METRIC_LOST_QUOTA), 10);
    /* Repeated, and over what is held: the rows win, nothing is counted twice. */
    world_send_lost(world, 7, 1, 13, LOST(AGE));
    world_settle(world);
    account = world_account(world);
    assert_int_equal(account.committed, 3);
    assert_int_equal(account.lost[LOST(QUOTA)], 10);
    assert_int_equal(account.lost[LOST(AGE)], 0);
    /* A record that comes all the same is one. */
    world_send_results(world, 7, 6, 7, 0);
    world_settle(world);
    account = world_account(world);
    assert_int_equal(account.committed, 5);
    assert_int_equal(account.lost[LOST(QUOTA)], 8);
    assert_int_equal(world_results(world), 5);
    assert_int_equal(metric(world, METRIC_CONFLICTS), 0);
    arena_done(&arena);
}

static void what_is_behind_is_buffered(void **state)
{
    struct world *world = *state;
    Muster__TxnResult txn = MUSTER__TXN_RESULT__INIT;
    ProtobufCMessage *row = &txn.base;
    const struct lane_rows lane = {.lane = MUSTER__LANE__LANE_TXN,
                                   .incarnation = 7,
                                   .first_seq = 5,
                                   .count = 1,
                                   .rows = &row,
                                   .behind = 20};
    struct buf batch = world_seal_lanes(world, "t1", &lane, 1);
    world_deliver(world, TOPIC_UP_BATCH, "t1", buf_bytes(&batch));
    buf_done(&batch);
    world_settle(world);
    struct fleetdb_account account = world_account(world);
    assert_int_equal(account.submitted, 25);
    assert_int_equal(account.committed, 1);
    assert_int_equal(account.buffered, 24);
    world_send_results(world, 7, 1, 4, 0); /* an older packet says less: it changes nothing */
    world_settle(world);
    assert_int_equal(world_account(world).submitted, 25);
}

/* Everything that a terminal may say of two streams, in any order and more than once, to any of two
 * collectors. Every seq has a record, a declaration, both, or two declarations. */
static void any_order_gives_the_same_account(void **state)
{
    struct world *world = *state;
    enum { PIECES = 36, SEQS = 10 * PIECES / 2, RUNS = 2 };
    struct collector *both[2] = {world->collector, NULL};
    struct fleetdb_account first = {0};
    world_start(world);
    both[1] = world->collector;
    for (uint64_t run = 0; run < RUNS; run++) {
        struct dice dice = {77 + run};
        bool sent[PIECES] = {false};
        for (size_t left = PIECES; left > 0 || dice_below(&dice, 40) > 0;) {
            size_t piece = (size_t)dice_below(&dice, PIECES);
            uint64_t incarnation = 1 + 2 * run + piece % 2, at = 1 + 10 * (piece / 2);
            world->collector = both[dice_below(&dice, 2)];
            if (piece % 5 != 4)
                world_send_results(world, incarnation, at, at + 6, 0);
            if (piece % 5 > 1) /* the last is never sent but declared, some twice */
                world_send_lost(world, incarnation, at, 7, LOST(QUOTA));
            world_send_lost(world, incarnation, at + 5, 5, piece % 3 ? LOST(AGE) : LOST(UNKNOWN));
            if (dice_below(&dice, 3) == 0)
                world_settle(world);
            world_forget_sent(world);
            left -= !sent[piece];
            sent[piece] = true;
        }
        for (size_t i = 0; i < 2; i++) {
            world->collector = both[i];
            world_settle(world);
        }
        world_forget_sent(world);
        struct fleetdb_account account = world_account(world);
        assert_int_equal(account.submitted, 2 * SEQS * (run + 1));
        assert_int_equal(account.buffered, 0);
        assert_int_equal(account.unaccounted, 0);
        if (run == 0)
            first = account;
        assert_int_equal(account.committed, first.committed * (run + 1));
        assert_int_equal(world_results(world), account.committed);
        for (size_t reason = 0; reason < FLEETDB_LOSSES; reason++)
            assert_int_equal(account.lost[reason], first.lost[reason] * (run + 1));
    }
    assert_true(first.lost[LOST(QUOTA)] > 0 && first.lost[LOST(AGE)] > 0 &&
                first.lost[LOST(UNKNOWN)] > 0);
    collector_close(both[1]);
    world->collector = both[0];
}

static void long_ranges_cost_nothing(void **state)
{
    struct world *world = *state;
    uint64_t next = 1;
    for (int i = 0; i < 60; i++, next += LIMIT_LOST_RANGE)
        world_send_lost(world, 7, next, LIMIT_LOST_RANGE, LOST(UNKNOWN));
    world_settle(world);
    struct fleetdb_account account = world_account(world);
    assert_int_equal(account.lost[LOST(UNKNOWN)], 60 * (uint64_t)LIMIT_LOST_RANGE);
    assert_int_equal(account.submitted, account.lost[LOST(UNKNOWN)]);
    /* Ids near the end of the numbers are nobody's: refused, and said so. */
    world_forget_sent(world);
    world_send_lost(world, 8, UINT64_MAX - 1, 1, LOST(UNKNOWN));
    world_send_lost(world, 8, INT64_MAX - 5, 1, LOST(UNKNOWN));
    world_settle(world);
    assert_int_equal(world_refused(world, REFUSED_BATCH, REASON_MALFORMED), 2);
    assert_int_equal(metric(world, METRIC_UNDECODABLE), 2);
    assert_int_equal(world_account(world).submitted, account.submitted);
}

/* Pieces that do not touch: beyond the bound no more of them are taken, nor receipted. */
static void scattered_ranges_are_bounded(void **state)
{
    struct world *world = *state;
    for (uint64_t i = 0; i < FLEETDB_RANGES_MAX + 40; i++)
        world_send_lost(world, 7, 3 + 3 * i, 1, LOST(DAMAGED));
    world_settle(world);
    assert_int_equal(world_refused(world, REFUSED_BATCH, REASON_GAPS), 40);
    assert_int_equal(world_account(world).lost[LOST(DAMAGED)], FLEETDB_RANGES_MAX);
    assert_int_equal(world_stream(world, 7, 1).range_count, FLEETDB_RANGES_MAX);
}

/* ---- conflicts and what cannot be decoded ---- */

static void a_conflict_is_refused_until_it_is_given_up(void **state)
{
    struct world *world = *state;
    struct arena arena = {0};
    world_send_results(world, 7, 1, 9, 0);
    world_settle(world);
    world_send_results(world, 7, 4, 5, 1000);
    world_send_results(world, 7, 8, 8, 1000);
    world_settle(world);
    const Muster__StreamReceipt *said = world_receipt(world, 1, &arena)->streams[0];
    assert_int_equal(said->cumulative, 3);
    assert_int_equal(said->n_ranges, 2);
    assert_int_equal(said->n_refused, 2);
    assert_int_equal(said->refused[0]->first, 4);
    assert_int_equal(said->refused[0]->last, 5);
    assert_int_equal(said->refused[1]->first, 8);
    struct fleetdb_account account = world_account(world);
    assert_int_equal(account.conflicts, 3);
    assert_int_equal(account.refused, 3);
    assert_int_equal(account.committed, 9); /* the first content stays, and counts */

    world_send_lost(world, 7, 4, 2, LOST(CONFLICT));
    world_send_lost(world, 7, 8, 1, LOST(CONFLICT));
    world_settle(world);
    said = world_receipt(world, 2, &arena)->streams[0];
    assert_int_equal(said->cumulative, 9);
    assert_int_equal(said->n_refused, 0);
    account = world_account(world);
    assert_int_equal(account.conflicts, 3);
    assert_int_equal(account.refused, 0);
    assert_int_equal(account.committed, 9);
    /* An old packet with the same wrong content opens nothing again. */
    world_send_results(world, 7, 4, 5, 1000);
    world_settle(world);
    assert_int_equal(world_receipt(world, 3, &arena)->streams[0]->cumulative, 9);
    assert_int_equal(world_results(world), 9);
    arena_done(&arena);
}

static void more_conflicts_than_fit_are_told_by_and_by(void **state)
{
    struct world *world = *state;
    struct arena arena = {0};
    enum { SEQS = 400 };
    for (uint64_t salt = 0; salt <= 1000; salt += 1000) {
        for (uint64_t first = 1; first < SEQS; first += 100)
            world_send_results(world, 7, first, first + 99, salt);
        world_settle(world);
        world_forget_sent(world);
    }
    uint64_t given_up = 0;
    for (int round = 0; round < 4 && given_up < SEQS; round++) {
        world_send_lost(world, 9, 1 + (uint64_t)round, 1, LOST(QUOTA)); /* another stream */
        world_send_results(world, 7, 400, 400, 1000);
        world_settle(world);
        const Muster__Receipt *receipt = world_receipt(world, 0, &arena);
        for (size_t i = 0; i < receipt->n_streams; i++) {
            const Muster__StreamReceipt *said = receipt->streams[i];
            if (said->incarnation != 7)
                continue;
            assert_int_equal(said->cumulative, given_up);
            assert_int_equal(said->n_ranges, 0); /* nothing that may still be in conflict */
            assert_int_equal(said->n_refused, 1);
            assert_int_equal(said->refused[0]->first, given_up + 1);
            given_up = said->refused[0]->last;
            world_send_lost(world, 7, said->refused[0]->first,
                            given_up - said->refused[0]->first + 1, LOST(CONFLICT));
        }
        world_settle(world);
        world_forget_sent(world);
    }
    assert_int_equal(given_up, SEQS);
    assert_int_equal(world_account(world).refused, 0);
    arena_done(&arena);
}

static int64_t noted(const struct world *world)
{
    return temp_fleet_number(world->fleet, "SELECT count(*) FROM conflict");
}

/* A terminal that sends other content again and again adds no row to the database any more, but
 * what it did is counted; the ids that are noted stay refused. */
static void conflicts_are_noted_up_to_a_bound(void **state)
{
    struct world *world = *state;
    enum { SALTS = FLEETDB_CONFLICTS_MAX / 100 + 2 }; /* of 100 ids each */
    for (uint64_t salt = 0; salt <= SALTS; salt++)
        world_send_results(world, 7, 1, 100, 1000 * salt);
    world_settle(world);
    assert_int_equal(metric(world, METRIC_CONFLICTS), 100 * SALTS);
    assert_int_equal(noted(world), FLEETDB_CONFLICTS_MAX);
    struct fleetdb_account account = world_account(world);
    assert_int_equal(account.conflicts, 100 * SALTS);
    assert_int_equal(account.refused, 100);
    assert_int_equal(account.committed, 100);
    /* The same again is none more. */
    world_send_results(world, 7, 1, 100, 1000);
    world_settle(world);
    assert_int_equal(world_account(world).conflicts, 100 * SALTS);
}

static void what_was_given_up_makes_room(void **state)
{
    struct world *world = *state;
    enum { SALTS = FLEETDB_CONFLICTS_MAX / 100 + 1 };
    for (uint64_t salt = 0; salt <= SALTS; salt++)
        world_send_results(world, 7, 1, 100, 1000 * salt);
    world_send_lost(world, 7, 1, 99, LOST(CONFLICT));
    world_settle(world);
    assert_int_equal(world_account(world).refused, 1);
    world_send_results(world, 7, 1, 2, 100000);
    world_settle(world);
    assert_int_equal(noted(world), FLEETDB_CONFLICTS_MAX);
    struct fleetdb_account account = world_account(world);
    assert_int_equal(account.refused, 3);
    assert_int_equal(account.conflicts, 100 * SALTS + 2);
}

static void what_nobody_can_decode_is_named(void **state)
{
    struct world *world = *state;
    struct arena arena = {0};
    static const char text[] = "no batch, but signed";
    uint8_t digest[32];
    struct bytes body = bytes_of(text, sizeof text);
    struct buf nonsense = world_seal(world, "batch", "t1", body);
    for (int i = 0; i < 3; i++)
        world_deliver(world, TOPIC_UP_BATCH, "t1", buf_bytes(&nonsense));
    buf_done(&nonsense);
    world_settle(world);
    assert_int_equal(world->sent, 1);
    const Muster__Receipt *receipt = world_receipt(world, 0, &arena);
    sha256(body, digest);
    assert_int_equal(receipt->n_streams, 0);
    assert_int_equal(receipt->n_undecodable, 1);
    assert_int_equal(receipt->undecodable[0].len, 16);
    assert_memory_equal(receipt->undecodable[0].data, digest, 16);
    assert_int_equal(metric(world, METRIC_UNDECODABLE), 3);
    arena_done(&arena);
}

/* Small on the wire, of a size that is allowed, and more in memory than any batch may need: that
 * never passes, so the device must be told. */
static void what_unfolds_beyond_all_memory_is_named_too(void **state)
{
    struct world *world = *state;
    struct arena arena = {0};
    enum { COLUMNS = 124000, PART_BYTES = 2 * COLUMNS };
    uint8_t *plain = malloc(4 + PART_BYTES), *frame = malloc(PART_BYTES);
    Muster__Batch batch = MUSTER__BATCH__INIT;
    struct buf body = {0};
    assert_true(plain != NULL && frame != NULL);
    plain[0] = 0x0a; /* one lane of so many empty columns */
    for (size_t i = 0; i < 3; i++)
        plain[1 + i] = (uint8_t)((PART_BYTES >> 7 * i & 0x7f) | (i < 2 ? 0x80 : 0));
    for (size_t i = 0; i < COLUMNS; i++) {
        plain[4 + 2 * i] = 0x2a;
        plain[5 + 2 * i] = 0;
    }
    batch.frame.data = frame;
    batch.frame.len = ZSTD_compress(frame, PART_BYTES, plain, 4 + PART_BYTES, 1);
    assert_false(ZSTD_isError(batch.frame.len));
    assert_true(pack(&batch.base, &body, NULL));
    struct buf message = world_seal(world, "batch", "t1", buf_bytes(&body));
    world_deliver(world, TOPIC_UP_BATCH, "t1", buf_bytes(&message));
    world_settle(world);
    assert_int_equal(world->sent, 1);
    assert_int_equal(world_receipt(world, 0, &arena)->n_undecodable, 1);
    buf_done(&message);
    buf_done(&body);
    free(plain);
    free(frame);
    arena_done(&arena);
}

/* A terminal that was updated before its fleet keeps its records: no receipt, no refusal. */
static void what_is_newer_is_held_back(void **state)
{
    struct world *world = *state;
    Muster__Batch batch = MUSTER__BATCH__INIT;
    uint8_t some[] = {1, 2, 3};
    struct buf body = {0};
    batch.dictionary = 4000;
    batch.body = (ProtobufCBinaryData){.len = sizeof some, .data = some};
    assert_true(pack(&batch.base, &body, NULL));
    struct buf message = world_seal(world, "batch", "t1", buf_bytes(&body));
    world_deliver(world, TOPIC_UP_BATCH, "t1", buf_bytes(&message));
    world_settle(world);
    assert_int_equal(world->sent, 0);
    assert_int_equal(metric(world, METRIC_NEWER), 1);
    assert_int_equal(metric(world, METRIC_UNDECODABLE), 0);
    assert_int_equal(world_refused(world, REFUSED_BATCH, REASON_MALFORMED), 0);
    buf_done(&message);
    buf_done(&body);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, world_open, world_close)
    const struct CMUnitTest tests[] = {
        TEST(a_loss_is_receipted_like_records),
        TEST(what_is_behind_is_buffered),
        TEST(any_order_gives_the_same_account),
        TEST(long_ranges_cost_nothing),
        TEST(scattered_ranges_are_bounded),
        TEST(a_conflict_is_refused_until_it_is_given_up),
        TEST(more_conflicts_than_fit_are_told_by_and_by),
        TEST(conflicts_are_noted_up_to_a_bound),
        TEST(what_was_given_up_makes_room),
        TEST(what_nobody_can_decode_is_named),
        TEST(what_unfolds_beyond_all_memory_is_named_too),
        TEST(what_is_newer_is_held_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
