/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/collector.h"

#include "proto/limits.h"
#include "storage/fleetdb_views.h"
#include "tests/unit/collector_world.h"
#include "tests/unit/random_rows.h"
#include "tests/unit/testing.h"

#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

static void a_batch_is_stored_then_receipted(void **state)
{
    struct world *world = *state;
    struct arena arena = {0};
    world_send_results(world, 7, 1, 10, 0);
    assert_int_equal(world->sent, 0);
    assert_int_equal(collector_turn(world->collector), 200);
    assert_int_equal(world_results(world), 10);
    assert_int_equal(world->sent, 0); /* waits for company */
    world->now_ms += 200;
    assert_int_equal(collector_turn(world->collector), -1);
    assert_int_equal(world->sent, 1);
    const Muster__Receipt *said = world_receipt(world, 0, &arena);
    assert_string_equal(said->device, "t1");
    assert_int_equal(said->n_streams, 1);
    assert_int_equal(said->streams[0]->incarnation, 7);
    assert_int_equal(said->streams[0]->lane, MUSTER__LANE__LANE_TXN);
    assert_int_equal(said->streams[0]->cumulative, 10);
    assert_int_equal(world->metrics.values[METRIC_RECORDS_TXN], 10);
    arena_done(&arena);
}

static void batches_share_commits_and_receipts(void **state)
{
    struct world *world = *state;
    for (uint64_t i = 0; i < 3; i++)
        world_send_results(world, 7, 1 + 10 * i, 10 + 10 * i, 0);
    assert_int_equal(collector_turn(world->collector), -1); /* three: at once */
    assert_int_equal(world->sent, 1);
    uint64_t commits = 0;
    for (size_t i = 0; i <= METRICS_LATENCY_BUCKETS; i++)
        commits += world->metrics.commits[i];
    assert_int_equal(commits, 1);
    assert_int_equal(world_stream(world, 7, 1).cumulative, 30);
}

/* Random pieces of three streams, overlapping and repeated, until all was sent. */
static void any_order_and_repeats_give_the_same_rows(void **state)
{
    struct world *world = *state;
    struct dice dice = {20261122};
    enum { STREAMS = 3, SEQS = 90 };
    for (int step = 0; step < 150; step++) {
        uint64_t first = 1 + dice_below(&dice, SEQS);
        uint64_t last = first + dice_below(&dice, 20);
        world_send_results(world, 1 + dice_below(&dice, STREAMS), first, last < SEQS ? last : SEQS,
                           0);
        if (dice_below(&dice, 4) == 0)
            world_settle(world);
        world_forget_sent(world);
    }
    for (uint64_t i = 1; i <= STREAMS; i++)
        world_send_results(world, i, 1, SEQS, 0);
    world_settle(world);
    assert_int_equal(world_results(world), STREAMS * SEQS);
    assert_int_equal(world->metrics.values[METRIC_RECORDS_TXN], STREAMS * SEQS);
    assert_int_equal(world->metrics.values[METRIC_CONFLICTS], 0);
    for (uint64_t i = 1; i <= STREAMS; i++) {
        assert_int_equal(world_stream(world, i, 1).cumulative, SEQS);
        assert_int_equal(world_stream(world, i, 1).range_count, 0);
    }
}

static void a_repeat_is_receipted_again(void **state)
{
    struct world *world = *state;
    struct arena arena = {0};
    world_send_results(world, 7, 1, 5, 0);
    world_settle(world);
    world_send_results(world, 7, 1, 5, 0);
    world_settle(world);
    assert_int_equal(world->sent, 2);
    assert_int_equal(world_receipt(world, 1, &arena)->streams[0]->cumulative, 5);
    assert_int_equal(world_results(world), 5);
    assert_int_equal(world->metrics.values[METRIC_REPEATS], 5);
    arena_done(&arena);
}

static void what_comes_is_told_of_presence(void **state)
{
    struct world *world = *state;
    Muster__Hello hello = MUSTER__HELLO__INIT;
    world_send_results(world, 7, 1, 5, 0);
    world_settle(world);
    assert_int_equal(world->heard, 1);
    assert_int_equal(world->silence_s, -1);
    uint8_t nonce[16] = {1};
    hello.nonce = (ProtobufCBinaryData){sizeof nonce, nonce};
    hello.silence_s = 905;
    world_send_hello(world, "t1", &hello);
    world_settle(world);
    assert_int_equal(world->heard, 2);
    assert_int_equal(world->silence_s, 905);
    collector_message(world->collector, "muster/v1/up/t1/online", bytes_of("0", 1));
    world_settle(world);
    assert_int_equal(world->words, 1);
    assert_false(world->word.online || world->word_kept);
    struct buf word = {0};
    const struct online_word said = {.online = true, .boot = 5, .began_ms = 77};
    assert_true(online_write(&said, &word, NULL));
    collector_kept(world->collector, "muster/v1/up/t1/online", buf_bytes(&word));
    world_settle(world);
    assert_int_equal(world->words, 2);
    assert_true(world->word.online && world->word_kept);
    assert_true(world->word.boot == 5 && world->word.began_ms == 77);
    collector_kept(world->collector, "muster/v1/up/stranger/online", buf_bytes(&word));
    world_settle(world);
    assert_int_equal(world->words, 2);
    assert_int_equal(world_refused(world, REFUSED_ONLINE, REASON_UNKNOWN_DEVICE), 1);
    assert_int_equal(world->heard, 2);
    buf_done(&word);
}

static void a_conflict_is_kept_out_and_not_receipted(void **state)
{
    struct world *world = *state;
    struct arena arena = {0};
    world_send_results(world, 7, 3, 3, 0);
    world_settle(world);
    /* 3 comes with other content among good ones: those are kept, the hole is not receipted. */
    world_send_results(world, 7, 1, 2, 0);
    world_send_results(world, 7, 3, 3, 1000);
    world_send_results(world, 7, 4, 5, 0);
    world_settle(world);
    assert_int_equal(world->metrics.values[METRIC_CONFLICTS], 1);
    assert_int_equal(world_results(world), 5);
    const Muster__StreamReceipt *said = world_receipt(world, 1, &arena)->streams[0];
    assert_int_equal(said->cumulative, 2);
    assert_int_equal(said->n_ranges, 1);
    assert_int_equal(said->ranges[0]->first, 4);
    assert_int_equal(said->ranges[0]->last, 5);
    arena_done(&arena);
}

static bool count_devices_records(void *ctx, const struct fleetdb_device_view *view,
                                  struct err *err)
{
    (void)err;
    if (strcmp(view->id, "t1") == 0)
        *(uint64_t *)ctx = view->records;
    return true;
}

static void a_key_under_another_id_counts_once(void **state)
{
    struct world *world = *state;
    uint8_t key[] = "the same key";
    Muster__TxnResult txn = MUSTER__TXN_RESULT__INIT;
    ProtobufCMessage *row = &txn.base;
    txn.idempotency_key = (ProtobufCBinaryData){sizeof key, key};
    for (uint64_t incarnation = 1; incarnation <= 2; incarnation++) {
        struct lane_rows lane = {.lane = MUSTER__LANE__LANE_TXN,
                                 .incarnation = incarnation,
                                 .first_seq = 1,
                                 .count = 1,
                                 .rows = &row};
        txn.boot_ms = incarnation;
        struct buf batch = world_seal_lanes(world, "t1", &lane, 1);
        for (int repeat = 0; repeat < 2; repeat++) {
            world_deliver(world, TOPIC_UP_BATCH, "t1", buf_bytes(&batch));
            world_settle(world);
        }
        buf_done(&batch);
        assert_int_equal(world_stream(world, incarnation, 1).cumulative, 1);
    }
    assert_int_equal(world_results(world), 1);
    assert_int_equal(world->metrics.values[METRIC_DUPLICATE_KEYS], 1);
    assert_int_equal(world->metrics.values[METRIC_REPEATS], 2);
    uint64_t records = 0;
    assert_true(
        fleetdb_view_devices(world->fleet->db, "", 10, count_devices_records, &records, NULL));
    assert_int_equal(records, 1);
    /* The second id cannot come back with other content and another key either. */
    uint8_t other[] = "another";
    txn.idempotency_key = (ProtobufCBinaryData){sizeof other, other};
    struct lane_rows lane = {
        .lane = MUSTER__LANE__LANE_TXN, .incarnation = 2, .first_seq = 1, .count = 1, .rows = &row};
    struct buf batch = world_seal_lanes(world, "t1", &lane, 1);
    world_deliver(world, TOPIC_UP_BATCH, "t1", buf_bytes(&batch));
    buf_done(&batch);
    world_settle(world);
    assert_int_equal(world->metrics.values[METRIC_CONFLICTS], 1);
    assert_int_equal(world_results(world), 1);
}

static void what_is_not_theirs_is_refused(void **state)
{
    struct world *world = *state;
    struct buf batch = world_seal_results(world, "t2", 7, 1, 5, 0);
    world_deliver(world, TOPIC_UP_BATCH, "t1", buf_bytes(&batch)); /* t2's batch under t1's name */
    world_deliver(world, TOPIC_UP_BATCH, "t3", buf_bytes(&batch)); /* nobody */
    world_settle(world);
    assert_int_equal(world_refused(world, REFUSED_BATCH, REASON_SIGNATURE), 1);
    assert_int_equal(world_refused(world, REFUSED_BATCH, REASON_UNKNOWN_DEVICE), 1);
    /* Signed by t1, but sealed for t2's topic: the context differs. */
    struct buf body = {0};
    struct sign_key *key = world_key(world, "t1");
    const struct sign_key *keys[] = {key};
    struct buf foreign = {0};
    assert_true(buf_append(&body, "x", 1, NULL));
    assert_true(seal("batch", "t2", buf_bytes(&body), keys, 1, false, &foreign, NULL));
    world_deliver(world, TOPIC_UP_BATCH, "t1", buf_bytes(&foreign));
    world_settle(world);
    assert_int_equal(world_refused(world, REFUSED_BATCH, REASON_SIGNATURE), 2);
    assert_int_equal(world_results(world), 0);
    assert_int_equal(world->sent, 0);
    sign_key_free(key);
    buf_done(&body);
    buf_done(&foreign);
    buf_done(&batch);
}

static void damaged_bytes_never_store_anything(void **state)
{
    struct world *world = *state;
    struct dice dice = {4711};
    struct buf batch = world_seal_results(world, "t1", 7, 1, 20, 0);
    for (size_t length = 1; length < batch.length; length += 7)
        world_deliver(world, TOPIC_UP_BATCH, "t1", bytes_of(batch.data, length));
    for (int i = 0; i < 200; i++) {
        size_t at = (size_t)dice_below(&dice, batch.length);
        batch.data[at] = (uint8_t)(batch.data[at] ^ (1 + dice_below(&dice, 255)));
        world_deliver(world, TOPIC_UP_BATCH, "t1", buf_bytes(&batch));
    }
    world_settle(world);
    assert_int_equal(world_results(world), 0);
    assert_int_equal(world->sent, 0);
    buf_done(&batch);
    /* Well signed, but no batch inside. */
    struct buf nonsense = world_seal(world, "batch", "t1", bytes_of("\x08\x01zstd?", 7));
    world_deliver(world, TOPIC_UP_BATCH, "t1", buf_bytes(&nonsense));
    world_settle(world);
    assert_int_equal(world_refused(world, REFUSED_BATCH, REASON_MALFORMED), 1);
    buf_done(&nonsense);
}

static void wrong_topics_and_sizes_are_refused(void **state)
{
    struct world *world = *state;
    static uint8_t large[200 * 1024];
    world_deliver(world, TOPIC_UP_BATCH, "t1", bytes_of(large, sizeof large));
    world_deliver(world, TOPIC_UP_ONLINE, "t1", bytes_of(large, LIMIT_ONLINE_BYTES + 1));
    world_deliver(world, TOPIC_UP_ONLINE, "t1", bytes_of("x", 1));
    world_deliver(world, TOPIC_DOWN_RECEIPT, "t1", bytes_of("x", 1));
    collector_message(world->collector, "muster/v1/up/../batch", bytes_of("x", 1));
    world_settle(world);
    assert_int_equal(world_refused(world, REFUSED_BATCH, REASON_TOO_LONG), 1);
    assert_int_equal(world_refused(world, REFUSED_ONLINE, REASON_TOO_LONG), 1);
    assert_int_equal(world_refused(world, REFUSED_ONLINE, REASON_MALFORMED), 1);
    assert_int_equal(world_refused(world, REFUSED_TOPIC, REASON_MALFORMED), 2);
}

static void what_was_not_committed_comes_again(void **state)
{
    struct world *world = *state;
    world_send_results(world, 7, 1, 10, 0);
    /* Killed before the commit: a new process finds nothing, and has receipted nothing. */
    collector_close(world->collector);
    world_start(world);
    world_settle(world);
    assert_int_equal(world_results(world), 0);
    assert_int_equal(world->sent, 0);
    world_send_results(world, 7, 1, 10, 0);
    world_settle(world);
    assert_int_equal(world_results(world), 10);
    assert_int_equal(world->sent, 1);
}

static void a_closed_window_keeps_one_receipt_a_device(void **state)
{
    struct world *world = *state;
    struct arena arena = {0};
    world->closed_window = true;
    for (uint64_t i = 0; i < 20; i++) {
        world_send_results(world, 7, 1 + 5 * i, 5 + 5 * i, 0);
        world_settle(world);
    }
    assert_int_equal(world->sent, 0);
    assert_int_equal(collector_turn(world->collector), -1); /* does not spin */
    world->closed_window = false;
    collector_ready(world->collector);
    world_settle(world);
    assert_int_equal(world->sent, 2); /* the first was on its way when the window closed */
    assert_int_equal(world_receipt(world, 0, &arena)->streams[0]->cumulative, 5);
    assert_int_equal(world_receipt(world, 1, &arena)->streams[0]->cumulative, 100);
    arena_done(&arena);
}

/* The file may not grow any more: to SQLite that is a full disk. */
static void a_database_that_fails_receipts_nothing(void **state)
{
    struct world *world = *state;
    struct rlimit before, none = {0};
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    none.rlim_max = before.rlim_max;
    signal(SIGXFSZ, SIG_IGN);
    world_send_results(world, 7, 1, 5, 0);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
    world_settle(world);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(world->sent, 0);
    assert_int_equal(world_results(world), 0);
    assert_int_equal(world->metrics.values[METRIC_RECORDS_TXN], 0);
    assert_true(world->metrics.values[METRIC_COMMIT_FAILURES] > 0);
    assert_int_equal(world_refused(world, REFUSED_BATCH, REASON_DATABASE), 1);
    assert_int_equal(world->failures, 0); /* it still answers */

    world_send_results(world, 7, 1, 5, 0);
    world_settle(world);
    assert_int_equal(world_results(world), 5);
    assert_int_equal(world->sent, 1);
}

static void forbid(const struct world *world, const char *device)
{
    char path[96], sql[256];
    sqlite3 *other = NULL;
    (void)snprintf(path, sizeof path, "%s/fleet.db", world->fleet->dir);
    (void)snprintf(sql, sizeof sql,
                   "CREATE TRIGGER forbidden BEFORE INSERT ON result WHEN NEW.device ="
                   " (SELECT id FROM device WHERE name = '%s')"
                   " BEGIN SELECT RAISE(ABORT, 'forbidden'); END",
                   device);
    assert_int_equal(sqlite3_open(path, &other), SQLITE_OK);
    assert_int_equal(sqlite3_exec(other, sql, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(other), SQLITE_OK);
}

/* One that the database cannot take, whatever the reason, among others of the same commit. */
static void one_that_fails_takes_no_other_with_it(void **state)
{
    struct world *world = *state;
    struct arena arena = {0};
    forbid(world, "t2");
    struct buf bad = world_seal_results(world, "t2", 9, 1, 5, 0);
    world_send_results(world, 7, 1, 5, 0);
    world_deliver(world, TOPIC_UP_BATCH, "t2", buf_bytes(&bad));
    world_send_results(world, 7, 6, 10, 0);
    buf_done(&bad);
    world_settle(world);
    assert_int_equal(world_results(world), 10);
    assert_int_equal(world->sent, 1);
    assert_int_equal(world_receipt(world, 0, &arena)->streams[0]->cumulative, 10);
    assert_int_equal(world->metrics.values[METRIC_RECORDS_TXN], 10);
    assert_int_equal(world->metrics.values[METRIC_BATCHES], 2);
    assert_int_equal(world_refused(world, REFUSED_BATCH, REASON_DATABASE), 1);
    assert_int_equal(world->failures, 0);
    arena_done(&arena);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, world_open, world_close)
    const struct CMUnitTest tests[] = {
        TEST(a_batch_is_stored_then_receipted),
        TEST(batches_share_commits_and_receipts),
        TEST(any_order_and_repeats_give_the_same_rows),
        TEST(a_repeat_is_receipted_again),
        TEST(what_comes_is_told_of_presence),
        TEST(a_conflict_is_kept_out_and_not_receipted),
        TEST(a_key_under_another_id_counts_once),
        TEST(what_is_not_theirs_is_refused),
        TEST(damaged_bytes_never_store_anything),
        TEST(wrong_topics_and_sizes_are_refused),
        TEST(what_was_not_committed_comes_again),
        TEST(a_closed_window_keeps_one_receipt_a_device),
        TEST(a_database_that_fails_receipts_nothing),
        TEST(one_that_fails_takes_no_other_with_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
