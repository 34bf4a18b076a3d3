/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/collector.h"

#include "proto/limits.h"
#include "proto/unpack.h"
#include "storage/fleetdb_views.h"
#include "tests/unit/collector_world.h"
#include "tests/unit/testing.h"

#include <stdlib.h>
#include <string.h>

#define LOST(why) MUSTER__LOSS_REASON__LOSS_##why

/* The answer to the last hello. */
static const Muster__Welcome *welcome(struct world *world, struct arena *arena)
{
    size_t last = world->sent - 1;
    assert_string_equal(world->topics[last], "muster/v1/down/t1/welcome");
    return (const Muster__Welcome *)world_opened(world, last, "welcome", world->fleet->director_key,
                                                 &muster__welcome__descriptor, arena);
}

/* The receipt in it, opened as if it had come by itself. */
static const Muster__Receipt *receipt_in(struct world *world, const Muster__Welcome *welcome,
                                         struct arena *arena)
{
    size_t last = world->sent - 1;
    struct buf whole = world->payloads[last];
    world->payloads[last] =
        (struct buf){.data = welcome->receipt.data, .length = welcome->receipt.len};
    const Muster__Receipt *receipt = (const Muster__Receipt *)world_opened(
        world, last, "receipt", world->fleet->root_key, &muster__receipt__descriptor, arena);
    world->payloads[last] = whole;
    return receipt;
}

static void say_hello(struct world *world, const struct world_hello *hello)
{
    world->now_ms += 1000;
    world_say_hello(world, hello);
    world_settle(world);
}

static void a_closed_incarnation_is_one_row(void **state)
{
    struct world *world = *state;
    world_send_results(world, 5, 1, 8, 0);
    world_send_lost(world, 5, 9, 2, LOST(AGE));
    world_settle(world);
    /* Listed: its records are in grace. */
    const struct world_open open = {5, 10};
    say_hello(world,
              &(struct world_hello){.incarnation = 6, .starts = 2, .open = &open, .count = 1});
    assert_int_equal(world_account(world).open, 1);
    /* Not listed any more, but the list is cut. */
    say_hello(world, &(struct world_hello){.incarnation = 7, .starts = 3, .cut = true});
    assert_int_equal(world_account(world).open, 1);
    say_hello(world, &(struct world_hello){.incarnation = 7, .starts = 3, .boot_ms = 1});
    struct fleetdb_account account = world_account(world);
    assert_int_equal(account.open, 0);
    assert_int_equal(account.closed, 1);
    assert_int_equal(account.submitted, 10);
    assert_int_equal(account.committed, 8);
    assert_int_equal(account.lost[LOST(AGE)], 2);
    assert_int_equal(world->metrics.values[METRIC_CLOSED], 1);
}

static void an_old_packet_changes_nothing_of_a_closed_one(void **state)
{
    struct world *world = *state;
    struct arena arena = {0};
    world_send_results(world, 5, 1, 8, 0);
    world_send_lost(world, 5, 9, 2, LOST(AGE));
    world_settle(world);
    say_hello(world, &(struct world_hello){.incarnation = 6, .starts = 2});
    struct fleetdb_account before = world_account(world);
    assert_int_equal(before.open, 0);
    world_forget_sent(world);
    /* Records, a declaration, a claim, and a hello from its days. */
    world_send_results(world, 5, 3, 10, 0);
    world_send_lost(world, 5, 1, 10, LOST(QUOTA));
    const struct world_open open = {5, 10};
    say_hello(world, &(struct world_hello){
                         .incarnation = 6, .starts = 2, .boot_ms = 1, .open = &open, .count = 1});
    say_hello(world, &(struct world_hello){.incarnation = 5, .starts = 1, .boot_ms = 99});
    struct fleetdb_account after = world_account(world);
    assert_memory_equal(&before, &after, sizeof before);
    assert_int_equal(world_results(world), 8);
    world_forget_sent(world);
    world_send_results(world, 5, 1, 2, 0);
    world_settle(world);
    assert_int_equal(world_receipt(world, 0, &arena)->streams[0]->cumulative, 10);
    /* With other content it is an alarm here too, and not receipted. */
    world_forget_sent(world);
    world_send_results(world, 5, 2, 2, 1000);
    world_settle(world);
    const Muster__StreamReceipt *said = world_receipt(world, 0, &arena)->streams[0];
    assert_int_equal(said->cumulative, 1);
    assert_int_equal(said->refused[0]->first, 2);
    assert_int_equal(world_account(world).open, 0);
    arena_done(&arena);
}

/* It should not be, but then its records must not be lost, nor counted twice. */
static void a_closed_one_that_goes_on_is_opened_again(void **state)
{
    struct world *world = *state;
    world_send_results(world, 5, 1, 8, 0);
    world_send_lost(world, 5, 9, 2, LOST(AGE));
    world_settle(world);
    say_hello(world, &(struct world_hello){.incarnation = 6, .starts = 2});
    assert_int_equal(world_account(world).open, 0);
    world_send_results(world, 5, 11, 15, 0);
    world_send_lost(world, 5, 16, 1, LOST(AGE));
    world_settle(world);
    struct fleetdb_account account = world_account(world);
    assert_int_equal(account.open, 1);
    assert_int_equal(account.closed, 0);
    assert_int_equal(account.submitted, 16);
    assert_int_equal(account.committed, 13);
    assert_int_equal(account.lost[LOST(AGE)], 3);
    say_hello(world, &(struct world_hello){.incarnation = 6, .starts = 2, .boot_ms = 1});
    account = world_account(world);
    assert_int_equal(account.open, 0);
    assert_int_equal(account.closed, 1);
    assert_int_equal(account.committed, 13);
    assert_int_equal(account.lost[LOST(AGE)], 3);
    assert_int_equal(world_results(world), 13);
}

/* A hello may have been made before the first record of its own incarnation was given. */
static void the_running_incarnation_stays_open(void **state)
{
    struct world *world = *state;
    say_hello(world, &(struct world_hello){.incarnation = 6, .starts = 2});
    world_send_results(world, 6, 1, 4, 0);
    world_send_results(world, 6, 7, 8, 0);
    world_settle(world);
    say_hello(world, &(struct world_hello){.incarnation = 6, .starts = 2, .boot_ms = 1});
    assert_int_equal(world_account(world).buffered, 2);
    assert_int_equal(world_account(world).unaccounted, 0);
    world_send_results(world, 6, 5, 6, 0);
    world_settle(world);
    say_hello(world, &(struct world_hello){.incarnation = 6, .starts = 2, .boot_ms = 2});
    assert_int_equal(world_account(world).open, 1);
    assert_int_equal(world_account(world).closed, 0);
}

struct seen {
    size_t count;
    struct fleetdb_stream_view first;
};

static bool see_stream(void *ctx, const struct fleetdb_stream_view *view, struct err *err)
{
    struct seen *seen = ctx;
    (void)err;
    if (seen->count++ == 0)
        seen->first = *view;
    return true;
}

/* The list is bounded: what somebody must look into comes first, however old it is. */
static void unaccounted_streams_are_shown_first(void **state)
{
    struct world *world = *state;
    struct fleetdb_device device;
    struct seen seen = {0};
    bool kept = false;
    world_send_results(world, 5, 3, 4, 0);
    world_settle(world);
    say_hello(world, &(struct world_hello){.incarnation = 6, .starts = 2});
    assert_true(fleetdb_device_find(world->fleet->db, "t1", &device, NULL));
    assert_true(fleetdb_begin(world->fleet->db, NULL));
    for (uint64_t i = 0; i < 120; i++) {
        const struct fleetdb_claim claim = {.incarnation = 1000 + i, .lane = 1, .last_seq = 9};
        assert_true(fleetdb_stream_claim(world->fleet->db, device.device, &claim,
                                         world_wall(world) + 1, &kept, NULL));
    }
    assert_true(fleetdb_commit(world->fleet->db, NULL));
    assert_true(fleetdb_view_streams(world->fleet->db, device.device, see_stream, &seen, NULL));
    assert_int_equal(seen.count, 100);
    assert_int_equal(seen.first.incarnation, 5);
    assert_int_equal(seen.first.unaccounted, 2);
    assert_int_equal(seen.first.buffered, 0);
}

static void holes_that_nobody_holds_are_unaccounted(void **state)
{
    struct world *world = *state;
    uint64_t everywhere = 0;
    world_send_results(world, 5, 1, 4, 0);
    world_send_results(world, 5, 8, 9, 0);
    world_settle(world);
    assert_int_equal(world_account(world).buffered, 3);
    const struct world_open open = {5, 11};
    say_hello(world,
              &(struct world_hello){.incarnation = 6, .starts = 2, .open = &open, .count = 1});
    assert_int_equal(world_account(world).buffered, 5);
    say_hello(world, &(struct world_hello){.incarnation = 6, .starts = 2, .boot_ms = 1});
    struct fleetdb_account account = world_account(world);
    assert_int_equal(account.buffered, 0);
    assert_int_equal(account.unaccounted, 5);
    assert_int_equal(account.open, 1); /* such a stream is never closed */
    assert_true(fleetdb_unaccounted(world->fleet->db, &everywhere, NULL));
    assert_int_equal(everywhere, 5);
    /* A hello from before says nothing any more. */
    say_hello(world,
              &(struct world_hello){.incarnation = 6, .starts = 2, .open = &open, .count = 1});
    assert_int_equal(world_account(world).unaccounted, 5);
    /* They were late, and the rest is declared. */
    world_send_results(world, 5, 5, 7, 0);
    world_send_lost(world, 5, 10, 2, LOST(DAMAGED));
    world_settle(world);
    assert_int_equal(world_account(world).unaccounted, 0);
    assert_true(fleetdb_unaccounted(world->fleet->db, &everywhere, NULL));
    assert_int_equal(everywhere, 0);
}

/* All its files were destroyed: it counts its starts from 1 again. */
static void a_device_that_begins_anew_is_heard(void **state)
{
    struct world *world = *state;
    const struct world_open open = {5, 9};
    const struct world_hello before = {
        .incarnation = 5, .starts = 70, .boot_ms = 5, .open = &open, .count = 1};
    world_send_results(world, 5, 1, 4, 0);
    world_settle(world);
    say_hello(world, &before);
    assert_int_equal(world_account(world).buffered, 5);
    world->now_ms += 1000;
    world_send_results(world, 6, 1, 1, 0);
    world_settle(world);
    say_hello(world, &(struct world_hello){.incarnation = 6, .starts = 1});
    assert_int_equal(world_account(world).unaccounted, 5);
    say_hello(world, &before); /* a replay is old for ever */
    assert_int_equal(world_account(world).unaccounted, 5);
}

/* A hello that was held up, of an incarnation that gave nothing: it looks like a new beginning, but
 * the device that speaks next is the one from before. */
static void a_hello_that_was_held_up_does_no_harm(void **state)
{
    struct world *world = *state;
    const struct world_open open = {5, 9};
    struct world_hello running = {
        .incarnation = 5, .starts = 70, .boot_ms = 50, .open = &open, .count = 1};
    world_send_results(world, 5, 1, 4, 0);
    world_settle(world);
    say_hello(world, &running);
    say_hello(world, &(struct world_hello){.incarnation = 4, .starts = 69});
    assert_int_equal(world_account(world).unaccounted, 5);
    say_hello(world, &running); /* a replay of what was heard */
    assert_int_equal(world_account(world).unaccounted, 5);
    running.boot_ms = 51;
    say_hello(world, &running);
    assert_int_equal(world_account(world).buffered, 5);
    say_hello(world,
              &(struct world_hello){.incarnation = 6, .starts = 71, .open = &open, .count = 1});
    assert_int_equal(world_account(world).buffered, 5);
}

/* More than are heard: what was left out may still be there. */
static void a_list_that_is_too_long_is_not_complete(void **state)
{
    struct world *world = *state;
    enum { STREAMS = 1100 };
    static Muster__OpenStream open[STREAMS], *streams[STREAMS];
    uint8_t nonce[16] = "0123456789abcde";
    Muster__Hello hello = MUSTER__HELLO__INIT;
    world_send_results(world, 5, 1, 4, 0);
    world_settle(world);
    for (size_t i = 0; i < STREAMS; i++) {
        muster__open_stream__init(&open[i]);
        open[i].incarnation = 100 + i;
        open[i].lane = MUSTER__LANE__LANE_EVENT;
        open[i].last_seq = i == 0 ? UINT64_MAX : 3; /* the first is nobody's */
        streams[i] = &open[i];
    }
    hello.nonce = (ProtobufCBinaryData){sizeof nonce, nonce};
    hello.incarnation = 6;
    hello.n_streams = STREAMS;
    hello.streams = streams;
    world_send_hello(world, "t1", &hello);
    world_settle(world);
    struct fleetdb_account account = world_account(world);
    assert_int_equal(account.open, 1 + 1023);
    assert_int_equal(account.buffered, 3 * 1023);
    assert_int_equal(account.closed, 0);
}

/* Words cost a device nothing: beyond a bound they are not written down. Records are. */
static void a_device_that_only_talks_is_bounded(void **state)
{
    struct world *world = *state;
    enum { HELLOS = 3, STREAMS = 1000 };
    uint8_t nonce[16] = "0123456789abcde";
    static Muster__OpenStream open[STREAMS], *streams[STREAMS];
    for (uint64_t i = 0; i < HELLOS; i++) {
        Muster__Hello hello = MUSTER__HELLO__INIT;
        for (uint64_t n = 0; n < STREAMS; n++) {
            muster__open_stream__init(&open[n]);
            open[n].incarnation = 1000 * i + n;
            open[n].lane = MUSTER__LANE__LANE_EVENT;
            open[n].last_seq = 3;
            streams[n] = &open[n];
        }
        hello.nonce = (ProtobufCBinaryData){sizeof nonce, nonce};
        hello.incarnation = 9000;
        hello.boot_ms = i;
        hello.n_streams = STREAMS;
        hello.streams = streams;
        world_send_hello(world, "t1", &hello);
        world_settle(world);
        world_forget_sent(world);
    }
    assert_int_equal(world_account(world).open, FLEETDB_STREAMS_MAX);
    assert_int_equal(world_refused(world, REFUSED_HELLO, REASON_TOO_MANY), 1);
    world_send_results(world, 9000, 1, 4, 0);
    world_settle(world);
    assert_int_equal(world_account(world).committed, 4);
    assert_int_equal(world_account(world).open, FLEETDB_STREAMS_MAX);
    assert_int_equal(world_refused(world, REFUSED_HELLO, REASON_TOO_MANY), 2);
    assert_int_equal(world_refused(world, REFUSED_BATCH, REASON_TOO_MANY), 0);
}

/* A record of each of so many streams from `first` on, in as few batches as take them. */
static void send_streams(struct world *world, uint64_t first, size_t count)
{
    Muster__Health sample = MUSTER__HEALTH__INIT;
    ProtobufCMessage *row = &sample.base;
    struct lane_rows lanes[LIMIT_BATCH_LANES];
    for (size_t sent = 0; sent < count;) {
        size_t some = 0;
        for (; some < LIMIT_BATCH_LANES && sent < count; some++, sent++)
            lanes[some] = (struct lane_rows){.lane = MUSTER__LANE__LANE_HEALTH,
                                             .incarnation = first + sent,
                                             .first_seq = 1,
                                             .count = 1,
                                             .rows = &row};
        struct buf batch = world_seal_lanes(world, "t1", lanes, some);
        world_deliver(world, TOPIC_UP_BATCH, "t1", buf_bytes(&batch));
        buf_done(&batch);
    }
    world_settle(world);
}

/* What is refused for want of room stays with the terminal, and is taken once its hello has closed
 * what it has delivered. */
static void a_device_that_opens_streams_for_ever_is_bounded(void **state)
{
    struct world *world = *state;
    struct arena arena = {0};
    send_streams(world, 1000, FLEETDB_STREAMS_MAX + 6);
    assert_int_equal(world_account(world).committed, FLEETDB_STREAMS_MAX);
    assert_int_equal(world_account(world).open, FLEETDB_STREAMS_MAX);
    assert_int_equal(world_refused(world, REFUSED_BATCH, REASON_TOO_MANY), 6);
    world_forget_sent(world);
    send_streams(world, 9000, 1);
    assert_int_equal(world_refused(world, REFUSED_BATCH, REASON_TOO_MANY), 7);
    const Muster__Receipt *receipt = world_receipt(world, 0, &arena);
    assert_int_equal(receipt->n_streams, 1);
    assert_int_equal(receipt->streams[0]->incarnation, 9000);
    assert_int_equal(receipt->streams[0]->cumulative, 0);
    send_streams(world, 1000, 1); /* of one that is open */
    assert_int_equal(world_refused(world, REFUSED_BATCH, REASON_TOO_MANY), 7);
    say_hello(world, &(struct world_hello){.incarnation = 9001, .starts = 1});
    assert_in_range(world_account(world).closed, 1, FLEETDB_STREAMS_MAX);
    send_streams(world, 9000, 1);
    assert_int_equal(world_refused(world, REFUSED_BATCH, REASON_TOO_MANY), 7);
    assert_int_equal(world_account(world).committed, FLEETDB_STREAMS_MAX + 1);
    arena_done(&arena);
}

/* An incarnation that was closed and goes on needs room like any other. */
static void nor_does_it_open_closed_ones_for_ever(void **state)
{
    struct world *world = *state;
    world_send_results(world, 5, 1, 1, 0);
    world_settle(world);
    say_hello(world, &(struct world_hello){.incarnation = 6, .starts = 1});
    assert_int_equal(world_account(world).closed, 1);
    world_forget_sent(world);
    send_streams(world, 1000, FLEETDB_STREAMS_MAX);
    assert_int_equal(world_refused(world, REFUSED_BATCH, REASON_TOO_MANY), 0);
    world_send_results(world, 5, 1, 2, 0);
    world_settle(world);
    assert_int_equal(world_refused(world, REFUSED_BATCH, REASON_TOO_MANY), 1);
    const struct world_open more = {5, 2};
    say_hello(world,
              &(struct world_hello){.incarnation = 7, .starts = 2, .open = &more, .count = 1});
    assert_int_equal(world_refused(world, REFUSED_HELLO, REASON_TOO_MANY), 1);
}

static void restarts_leave_one_row_each(void **state)
{
    struct world *world = *state;
    enum { STARTS = 250 };
    for (uint64_t start = 1; start <= STARTS; start++) {
        const struct world_open open[] = {{start, 2}, {start - 1, 2}};
        world_send_results(world, start, 1, 2, 0);
        if (start % 10 == 0)
            world_send_lost(world, start, 3, 1, LOST(QUOTA));
        world_say_hello(world, &(struct world_hello){.incarnation = start,
                                                     .starts = start,
                                                     .open = open,
                                                     .count = start > 1 ? 2 : 1});
        if (start % 25 == 0) /* a turn's transaction takes in that many */
            world_settle(world);
        world_forget_sent(world);
    }
    struct fleetdb_device device;
    struct fleetdb_account account = world_account(world);
    struct seen streams = {0};
    assert_true(fleetdb_device_find(world->fleet->db, "t1", &device, NULL));
    assert_true(fleetdb_view_streams(world->fleet->db, device.device, see_stream, &streams, NULL));
    assert_int_equal(streams.count, 2); /* the running one, and the one before, in grace */
    assert_int_equal(account.open, 2);
    assert_int_equal(account.closed, STARTS - 2);
    assert_int_equal(account.submitted, 2 * STARTS + STARTS / 10);
    assert_int_equal(account.committed, 2 * STARTS);
    assert_int_equal(account.lost[LOST(QUOTA)], STARTS / 10);
    assert_int_equal(account.unaccounted, 0);
}

/* ---- a database restored from an older copy ---- */

/* A receipt of this fleet, as a terminal keeps it. */
static struct buf receipt_of(const char *device, const struct sign_key *key, uint64_t incarnation,
                             uint64_t cumulative)
{
    Muster__SeqRange range = MUSTER__SEQ_RANGE__INIT, *ranges[] = {&range};
    Muster__StreamReceipt stream = MUSTER__STREAM_RECEIPT__INIT, *streams[] = {&stream};
    Muster__Receipt receipt = MUSTER__RECEIPT__INIT;
    struct buf body = {0}, out = {0};
    range.first = cumulative + 2;
    range.last = cumulative + 3;
    stream.incarnation = incarnation;
    stream.lane = MUSTER__LANE__LANE_TXN;
    stream.cumulative = cumulative;
    stream.n_ranges = 1;
    stream.ranges = ranges;
    receipt.device = (char *)(uintptr_t)device;
    receipt.n_streams = 1;
    receipt.streams = streams;
    assert_true(pack(&receipt.base, &body, NULL));
    assert_true(seal("receipt", device, buf_bytes(&body), &key, 1, true, &out, NULL));
    buf_done(&body);
    return out;
}

static void a_restored_database_is_noticed(void **state)
{
    struct world *world = *state;
    struct arena arena = {0};
    struct buf receipt = receipt_of("t1", world->fleet->root_key, 5, 20);
    const struct world_open open = {5, 30};
    world_send_results(world, 5, 1, 12, 0); /* all that the copy has */
    world_settle(world);
    struct world_hello hello = {
        .incarnation = 6, .starts = 2, .open = &open, .count = 1, .receipt = buf_bytes(&receipt)};
    say_hello(world, &hello);
    const Muster__Welcome *answer = welcome(world, &arena);
    const Muster__Receipt *said = receipt_in(world, answer, &arena);
    assert_int_equal(answer->n_again, 1);
    assert_int_equal(answer->again[0]->incarnation, 5);
    assert_int_equal(answer->again[0]->cumulative, 12);
    assert_int_equal(said->streams[0]->cumulative, 12); /* no more than is held */
    assert_int_equal(said->streams[0]->n_ranges, 0);
    assert_int_equal(world->metrics.values[METRIC_RESTORED], 1);
    assert_int_equal(world_account(world).buffered, 18);
    /* The same hello once more is no second alarm, but the same answer. */
    hello.boot_ms = 1;
    say_hello(world, &hello);
    assert_int_equal(welcome(world, &arena)->n_again, 1);
    assert_int_equal(world->metrics.values[METRIC_RESTORED], 1);
    /* Filled again: nothing is missing, and a later loss would be an alarm again. */
    world_send_results(world, 5, 13, 30, 0);
    world_settle(world);
    hello.boot_ms = 2;
    say_hello(world, &hello);
    assert_int_equal(welcome(world, &arena)->n_again, 0);
    assert_int_equal(world->metrics.values[METRIC_RESTORED], 1);
    assert_int_equal(world_account(world).committed, 30);
    buf_done(&receipt);
    arena_done(&arena);
}

/* The copy is older than the terminal's grace: nobody has these records any more. */
static void what_the_terminal_forgot_too_is_unaccounted(void **state)
{
    struct world *world = *state;
    struct arena arena = {0};
    struct buf receipt = receipt_of("t1", world->fleet->root_key, 5, 20);
    say_hello(world,
              &(struct world_hello){.incarnation = 6, .starts = 2, .receipt = buf_bytes(&receipt)});
    assert_int_equal(welcome(world, &arena)->n_again, 0);
    assert_int_equal(world->metrics.values[METRIC_RESTORED], 1);
    assert_int_equal(world_account(world).unaccounted, 23);
    buf_done(&receipt);
    arena_done(&arena);
}

static void receipts_of_others_prove_nothing(void **state)
{
    struct world *world = *state;
    struct arena arena = {0};
    struct buf wrong[] = {
        receipt_of("t1", world->fleet->stranger_key, 5, 20),
        receipt_of("t2", world->fleet->root_key, 5, 20), /* another device's */
        {0},
    };
    assert_true(buf_append(&wrong[2], "nonsense", 8, NULL));
    for (size_t i = 0; i < 3; i++) {
        say_hello(world, &(struct world_hello){.incarnation = 6,
                                               .starts = 2,
                                               .boot_ms = i,
                                               .receipt = buf_bytes(&wrong[i])});
        assert_int_equal(welcome(world, &arena)->n_again, 0);
        assert_int_equal(world_refused(world, REFUSED_HELLO_RECEIPT, REASON_SIGNATURE), i + 1);
        buf_done(&wrong[i]);
    }
    assert_int_equal(world->metrics.values[METRIC_RESTORED], 0);
    assert_int_equal(world_account(world).submitted, 0);
    arena_done(&arena);
}

/* What a receipt says of a closed incarnation is held. */
static void receipts_for_closed_incarnations_are_true(void **state)
{
    struct world *world = *state;
    struct buf receipt = receipt_of("t1", world->fleet->root_key, 5, 7);
    world_send_results(world, 5, 1, 10, 0);
    world_settle(world);
    say_hello(world, &(struct world_hello){.incarnation = 6, .starts = 2});
    say_hello(world,
              &(struct world_hello){
                  .incarnation = 6, .starts = 2, .boot_ms = 1, .receipt = buf_bytes(&receipt)});
    assert_int_equal(world->metrics.values[METRIC_RESTORED], 0);
    assert_int_equal(world_account(world).open, 0);
    buf_done(&receipt);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, world_open, world_close)
    const struct CMUnitTest tests[] = {
        TEST(a_closed_incarnation_is_one_row),
        TEST(an_old_packet_changes_nothing_of_a_closed_one),
        TEST(a_closed_one_that_goes_on_is_opened_again),
        TEST(holes_that_nobody_holds_are_unaccounted),
        TEST(the_running_incarnation_stays_open),
        TEST(unaccounted_streams_are_shown_first),
        TEST(a_device_that_begins_anew_is_heard),
        TEST(a_hello_that_was_held_up_does_no_harm),
        TEST(a_list_that_is_too_long_is_not_complete),
        TEST(a_device_that_only_talks_is_bounded),
        TEST(a_device_that_opens_streams_for_ever_is_bounded),
        TEST(nor_does_it_open_closed_ones_for_ever),
        TEST(restarts_leave_one_row_each),
        TEST(a_restored_database_is_noticed),
        TEST(what_the_terminal_forgot_too_is_unaccounted),
        TEST(receipts_of_others_prove_nothing),
        TEST(receipts_for_closed_incarnations_are_true),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
