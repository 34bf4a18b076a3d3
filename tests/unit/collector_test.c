/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/collector.h"

#include "proto/batch.h"
#include "proto/topics.h"
#include "proto/unpack.h"
#include "storage/fleetdb_views.h"
#include "tests/unit/random_rows.h"
#include "tests/unit/temp_fleet.h"
#include "tests/unit/testing.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

enum { SENT_MAX = 64, START_MS = 1000000 };
static const int64_t wall_start_ms = INT64_C(1790000000000);

/* A collector on a real database, between devices with real keys and a broker that keeps what it
 * is given. */
struct world {
    struct temp_fleet *fleet;
    struct metrics metrics;
    struct collector *collector;
    struct clock clock;
    int64_t now_ms;
    bool closed_window; /* the broker takes nothing */
    unsigned hellos, failures;
    const char *manifest;
    size_t sent;
    char topics[SENT_MAX][TOPIC_CHARS];
    struct buf payloads[SENT_MAX];
};

static int64_t wall(void *ctx)
{
    return wall_start_ms + ((struct world *)ctx)->now_ms;
}

static int64_t boot(void *ctx)
{
    return START_MS + ((struct world *)ctx)->now_ms;
}

static bool take(void *ctx, const char *topic, struct bytes payload)
{
    struct world *world = ctx;
    if (world->closed_window)
        return false;
    assert_true(world->sent < SENT_MAX);
    (void)snprintf(world->topics[world->sent], TOPIC_CHARS, "%s", topic);
    assert_true(buf_append(&world->payloads[world->sent++], payload.data, payload.length, NULL));
    return true;
}

static void hello_came(void *ctx, const struct fleetdb_device *device, const Muster__Hello *hello,
                       struct buf *ret_manifest)
{
    struct world *world = ctx;
    assert_string_equal(device->id, "t1");
    assert_int_equal(hello->nonce.len, 16);
    world->hellos++;
    if (world->manifest != NULL)
        assert_true(buf_append(ret_manifest, world->manifest, strlen(world->manifest), NULL));
}

static void failed(void *ctx, const struct err *why)
{
    (void)why;
    ((struct world *)ctx)->failures++;
}

static void open_collector(struct world *world)
{
    struct collector_settings settings = {
        .db = world->fleet->db,
        .clock = &world->clock,
        .metrics = &world->metrics,
        .receipt_key = world->fleet->root_key, /* any key: the test opens with the same */
        .director_key = world->fleet->director_key,
        .receipts = {.coalesce_ms = 200, .batches = 3},
    };
    struct collector_ports ports = {
        .ctx = world, .send = take, .hello = hello_came, .failed = failed};
    assert_true(collector_open(&settings, &ports, &world->collector, NULL));
}

static int setup(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    void *fleet = NULL;
    assert_non_null(world);
    temp_fleet_open(&fleet);
    world->fleet = fleet;
    world->clock = (struct clock){wall, boot, world};
    temp_fleet_device(fleet, "t1");
    temp_fleet_device(fleet, "t2");
    open_collector(world);
    *state = world;
    return 0;
}

static void forget_sent(struct world *world)
{
    while (world->sent > 0)
        buf_done(&world->payloads[--world->sent]);
}

static int teardown(void **state)
{
    struct world *world = *state;
    void *fleet = world->fleet;
    forget_sent(world);
    collector_close(world->collector);
    temp_fleet_close(&fleet);
    free(world);
    return 0;
}

/* ---- what a device sends ---- */

static struct sign_key *key_of(const struct world *world, const char *device)
{
    char path[128];
    struct sign_key *key = NULL;
    (void)snprintf(path, sizeof path, "%s/%s.pem", world->fleet->dir, device);
    assert_true(sign_key_read(path, &key, NULL));
    return key;
}

static struct buf sealed(const struct world *world, const char *domain, const char *device,
                         struct bytes body)
{
    struct buf out = {0};
    struct sign_key *key = key_of(world, device);
    const struct sign_key *keys[] = {key};
    assert_true(seal(domain, device, body, keys, 1, false, &out, NULL));
    sign_key_free(key);
    return out;
}

static void deliver(struct world *world, enum topic_kind kind, const char *device,
                    struct bytes payload)
{
    char topic[TOPIC_CHARS];
    topic_device(kind, device, topic);
    collector_message(world->collector, topic, payload);
}

static struct buf sealed_lanes(const struct world *world, const char *device,
                               const struct lane_rows *lanes, size_t count)
{
    struct buf body = {0};
    struct err err = {0};
    if (!batch_encode(lanes, count, 1, &body, &err))
        fail_msg("%s", err.text);
    struct buf out = sealed(world, "batch", device, buf_bytes(&body));
    buf_done(&body);
    return out;
}

/* Results first..last of one incarnation; the content follows from seq and `salt`. */
static struct buf sealed_results(const struct world *world, const char *device,
                                 uint64_t incarnation, uint64_t first, uint64_t last, uint64_t salt)
{
    enum { MAX = 100 };
    Muster__TxnResult txns[MAX];
    ProtobufCMessage *rows[MAX];
    uint64_t keys[MAX];
    size_t count = (size_t)(last - first + 1);
    assert_true(count <= MAX);
    for (size_t i = 0; i < count; i++) {
        muster__txn_result__init(&txns[i]);
        keys[i] = incarnation * 1000 + first + i;
        txns[i].idempotency_key = (ProtobufCBinaryData){sizeof keys[i], (uint8_t *)&keys[i]};
        txns[i].amount_minor = first + i + salt;
        txns[i].wall_ms = wall_start_ms;
        txns[i].outcome = MUSTER__OUTCOME__OUTCOME_DECLINED;
        txns[i].code = (char *)"57";
        rows[i] = &txns[i].base;
    }
    struct lane_rows lane = {MUSTER__LANE__LANE_TXN, incarnation, first, count, rows};
    return sealed_lanes(world, device, &lane, 1);
}

static void send_results(struct world *world, uint64_t incarnation, uint64_t first, uint64_t last,
                         uint64_t salt)
{
    struct buf batch = sealed_results(world, "t1", incarnation, first, last, salt);
    deliver(world, TOPIC_UP_BATCH, "t1", buf_bytes(&batch));
    buf_done(&batch);
}

static void send_event(struct world *world, uint64_t seq, int kind, const ProtobufCMessage *detail,
                       int64_t wall_ms)
{
    struct buf packed = {0};
    Muster__Event event = MUSTER__EVENT__INIT;
    ProtobufCMessage *row = &event.base;
    event.kind = (Muster__EventKind)kind;
    event.wall_ms = wall_ms;
    event.boot_ms = seq;
    event.text = (char *)"card 4111111111111111 refused";
    if (detail != NULL) {
        assert_true(pack(detail, &packed, NULL));
        event.detail = (ProtobufCBinaryData){packed.length, packed.data};
    } else {
        event.detail = (ProtobufCBinaryData){4, (uint8_t *)"\xff\xff\xff\xff"};
    }
    struct lane_rows lane = {MUSTER__LANE__LANE_EVENT, 7, seq, 1, &row};
    struct buf batch = sealed_lanes(world, "t1", &lane, 1);
    deliver(world, TOPIC_UP_BATCH, "t1", buf_bytes(&batch));
    buf_done(&batch);
    buf_done(&packed);
}

/* ---- what the fleet says ---- */

static ProtobufCMessage *opened(struct world *world, size_t index, const char *domain,
                                const struct sign_key *by, const ProtobufCMessageDescriptor *type,
                                struct arena *arena)
{
    struct verify_key *key = NULL;
    assert_true(index < world->sent);
    assert_true(verify_key_of_spki(sign_key_spki(by), &key, NULL));
    struct key_set set = {&key, 1, 1};
    struct bytes body;
    struct err err = {0};
    if (!unseal(domain, "t1", buf_bytes(&world->payloads[index]), &set, &body, &err))
        fail_msg("%s", err.text);
    verify_key_free(key);
    struct unpack_limits limits = {.max_bytes = 1 << 20};
    ProtobufCMessage *message = NULL;
    assert_true(unpack(type, body, &limits, arena, &message, NULL));
    return message;
}

static const Muster__Receipt *receipt(struct world *world, size_t index, struct arena *arena)
{
    assert_string_equal(world->topics[index], "muster/v1/down/t1/receipt");
    return (const Muster__Receipt *)opened(world, index, "receipt", world->fleet->root_key,
                                           &muster__receipt__descriptor, arena);
}

/* Turns until everything due within a second has been sent. */
static void settle(struct world *world)
{
    for (int64_t wait_ms = 0; wait_ms >= 0 && wait_ms < 1000;) {
        wait_ms = collector_turn(world->collector);
        if (wait_ms > 0)
            world->now_ms += wait_ms;
    }
}

static bool count_rows(void *ctx, const struct fleetdb_errors_view *view, struct err *err)
{
    (void)err;
    *(int64_t *)ctx += view->count;
    return true;
}

static int64_t results(struct world *world)
{
    int64_t count = 0, others = 0;
    assert_true(fleetdb_view_errors(world->fleet->db, FLEETDB_BY_CODE, 0, 0, count_rows, &count,
                                    &others, NULL));
    return count;
}

static struct fleetdb_stream stream_of(struct world *world, uint64_t incarnation, int lane)
{
    struct fleetdb_device device;
    struct fleetdb_stream stream;
    assert_true(fleetdb_device_find(world->fleet->db, "t1", &device, NULL));
    assert_true(
        fleetdb_stream_read(world->fleet->db, device.device, incarnation, lane, &stream, NULL));
    return stream;
}

/* ---- tests ---- */

static void a_batch_is_stored_then_receipted(void **state)
{
    struct world *world = *state;
    struct arena arena = {0};
    send_results(world, 7, 1, 10, 0);
    assert_int_equal(world->sent, 0);
    assert_int_equal(collector_turn(world->collector), 200);
    assert_int_equal(results(world), 10);
    assert_int_equal(world->sent, 0); /* waits for company */
    world->now_ms += 200;
    assert_int_equal(collector_turn(world->collector), -1);
    assert_int_equal(world->sent, 1);
    const Muster__Receipt *said = receipt(world, 0, &arena);
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
        send_results(world, 7, 1 + 10 * i, 10 + 10 * i, 0);
    assert_int_equal(collector_turn(world->collector), -1); /* three: at once */
    assert_int_equal(world->sent, 1);
    uint64_t commits = 0;
    for (size_t i = 0; i <= METRICS_LATENCY_BUCKETS; i++)
        commits += world->metrics.commits[i];
    assert_int_equal(commits, 1);
    assert_int_equal(stream_of(world, 7, 1).cumulative, 30);
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
        send_results(world, 1 + dice_below(&dice, STREAMS), first, last < SEQS ? last : SEQS, 0);
        if (dice_below(&dice, 4) == 0)
            settle(world);
        forget_sent(world);
    }
    for (uint64_t i = 1; i <= STREAMS; i++)
        send_results(world, i, 1, SEQS, 0);
    settle(world);
    assert_int_equal(results(world), STREAMS * SEQS);
    assert_int_equal(world->metrics.values[METRIC_RECORDS_TXN], STREAMS * SEQS);
    assert_int_equal(world->metrics.values[METRIC_CONFLICTS], 0);
    for (uint64_t i = 1; i <= STREAMS; i++) {
        assert_int_equal(stream_of(world, i, 1).cumulative, SEQS);
        assert_int_equal(stream_of(world, i, 1).range_count, 0);
    }
}

static void a_repeat_is_receipted_again(void **state)
{
    struct world *world = *state;
    struct arena arena = {0};
    send_results(world, 7, 1, 5, 0);
    settle(world);
    send_results(world, 7, 1, 5, 0);
    settle(world);
    assert_int_equal(world->sent, 2);
    assert_int_equal(receipt(world, 1, &arena)->streams[0]->cumulative, 5);
    assert_int_equal(results(world), 5);
    assert_int_equal(world->metrics.values[METRIC_REPEATS], 5);
    arena_done(&arena);
}

static void a_conflict_is_kept_out_and_not_receipted(void **state)
{
    struct world *world = *state;
    struct arena arena = {0};
    send_results(world, 7, 3, 3, 0);
    settle(world);
    /* 3 comes with other content among good ones: those are kept, the hole is not receipted. */
    send_results(world, 7, 1, 2, 0);
    send_results(world, 7, 3, 3, 1000);
    send_results(world, 7, 4, 5, 0);
    settle(world);
    assert_int_equal(world->metrics.values[METRIC_CONFLICTS], 1);
    assert_int_equal(results(world), 5);
    const Muster__StreamReceipt *said = receipt(world, 1, &arena)->streams[0];
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
        struct lane_rows lane = {MUSTER__LANE__LANE_TXN, incarnation, 1, 1, &row};
        txn.boot_ms = incarnation;
        struct buf batch = sealed_lanes(world, "t1", &lane, 1);
        for (int repeat = 0; repeat < 2; repeat++) {
            deliver(world, TOPIC_UP_BATCH, "t1", buf_bytes(&batch));
            settle(world);
        }
        buf_done(&batch);
        assert_int_equal(stream_of(world, incarnation, 1).cumulative, 1);
    }
    assert_int_equal(results(world), 1);
    assert_int_equal(world->metrics.values[METRIC_DUPLICATE_KEYS], 1);
    assert_int_equal(world->metrics.values[METRIC_REPEATS], 2);
    uint64_t records = 0;
    assert_true(fleetdb_view_devices(world->fleet->db, 0, count_devices_records, &records, NULL));
    assert_int_equal(records, 1);
    /* The second id cannot come back with other content and another key either. */
    uint8_t other[] = "another";
    txn.idempotency_key = (ProtobufCBinaryData){sizeof other, other};
    struct lane_rows lane = {MUSTER__LANE__LANE_TXN, 2, 1, 1, &row};
    struct buf batch = sealed_lanes(world, "t1", &lane, 1);
    deliver(world, TOPIC_UP_BATCH, "t1", buf_bytes(&batch));
    buf_done(&batch);
    settle(world);
    assert_int_equal(world->metrics.values[METRIC_CONFLICTS], 1);
    assert_int_equal(results(world), 1);
}

static uint64_t refused(const struct world *world, enum refusal_kind kind,
                        enum refusal_reason reason)
{
    return world->metrics.refused[kind][reason];
}

static void what_is_not_theirs_is_refused(void **state)
{
    struct world *world = *state;
    struct buf batch = sealed_results(world, "t2", 7, 1, 5, 0);
    deliver(world, TOPIC_UP_BATCH, "t1", buf_bytes(&batch)); /* t2's batch under t1's name */
    deliver(world, TOPIC_UP_BATCH, "t3", buf_bytes(&batch)); /* nobody */
    settle(world);
    assert_int_equal(refused(world, REFUSED_BATCH, REASON_SIGNATURE), 1);
    assert_int_equal(refused(world, REFUSED_BATCH, REASON_UNKNOWN_DEVICE), 1);
    /* Signed by t1, but sealed for t2's topic: the context differs. */
    struct buf body = {0};
    struct sign_key *key = key_of(world, "t1");
    const struct sign_key *keys[] = {key};
    struct buf foreign = {0};
    assert_true(buf_append(&body, "x", 1, NULL));
    assert_true(seal("batch", "t2", buf_bytes(&body), keys, 1, false, &foreign, NULL));
    deliver(world, TOPIC_UP_BATCH, "t1", buf_bytes(&foreign));
    settle(world);
    assert_int_equal(refused(world, REFUSED_BATCH, REASON_SIGNATURE), 2);
    assert_int_equal(results(world), 0);
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
    struct buf batch = sealed_results(world, "t1", 7, 1, 20, 0);
    for (size_t length = 1; length < batch.length; length += 7)
        deliver(world, TOPIC_UP_BATCH, "t1", bytes_of(batch.data, length));
    for (int i = 0; i < 200; i++) {
        size_t at = (size_t)dice_below(&dice, batch.length);
        batch.data[at] = (uint8_t)(batch.data[at] ^ (1 + dice_below(&dice, 255)));
        deliver(world, TOPIC_UP_BATCH, "t1", buf_bytes(&batch));
    }
    settle(world);
    assert_int_equal(results(world), 0);
    assert_int_equal(world->sent, 0);
    buf_done(&batch);
    /* Well signed, but no batch inside. */
    struct buf nonsense = sealed(world, "batch", "t1", bytes_of("\x08\x01zstd?", 7));
    deliver(world, TOPIC_UP_BATCH, "t1", buf_bytes(&nonsense));
    settle(world);
    assert_int_equal(refused(world, REFUSED_BATCH, REASON_MALFORMED), 1);
    buf_done(&nonsense);
}

static void wrong_topics_and_sizes_are_refused(void **state)
{
    struct world *world = *state;
    static uint8_t large[200 * 1024];
    deliver(world, TOPIC_UP_BATCH, "t1", bytes_of(large, sizeof large));
    deliver(world, TOPIC_UP_ONLINE, "t1", bytes_of("10", 2));
    deliver(world, TOPIC_UP_ONLINE, "t1", bytes_of("x", 1));
    deliver(world, TOPIC_DOWN_RECEIPT, "t1", bytes_of("x", 1));
    collector_message(world->collector, "muster/v1/up/../batch", bytes_of("x", 1));
    settle(world);
    assert_int_equal(refused(world, REFUSED_BATCH, REASON_TOO_LONG), 1);
    assert_int_equal(refused(world, REFUSED_ONLINE, REASON_TOO_LONG), 1);
    assert_int_equal(refused(world, REFUSED_ONLINE, REASON_MALFORMED), 1);
    assert_int_equal(refused(world, REFUSED_TOPIC, REASON_MALFORMED), 2);
}

static void what_was_not_committed_comes_again(void **state)
{
    struct world *world = *state;
    send_results(world, 7, 1, 10, 0);
    /* Killed before the commit: a new process finds nothing, and has receipted nothing. */
    collector_close(world->collector);
    open_collector(world);
    settle(world);
    assert_int_equal(results(world), 0);
    assert_int_equal(world->sent, 0);
    send_results(world, 7, 1, 10, 0);
    settle(world);
    assert_int_equal(results(world), 10);
    assert_int_equal(world->sent, 1);
}

static void a_closed_window_keeps_one_receipt_a_device(void **state)
{
    struct world *world = *state;
    struct arena arena = {0};
    world->closed_window = true;
    for (uint64_t i = 0; i < 20; i++) {
        send_results(world, 7, 1 + 5 * i, 5 + 5 * i, 0);
        settle(world);
    }
    assert_int_equal(world->sent, 0);
    assert_int_equal(collector_turn(world->collector), -1); /* does not spin */
    world->closed_window = false;
    collector_ready(world->collector);
    settle(world);
    assert_int_equal(world->sent, 1);
    assert_int_equal(receipt(world, 0, &arena)->streams[0]->cumulative, 100);
    arena_done(&arena);
}

static void send_hello(struct world *world, const char *device, const Muster__Hello *hello)
{
    struct buf body = {0};
    assert_true(pack(&hello->base, &body, NULL));
    struct buf message = sealed(world, "hello", device, buf_bytes(&body));
    deliver(world, TOPIC_UP_HELLO, device, buf_bytes(&message));
    buf_done(&message);
    buf_done(&body);
}

static bool one_item(void *ctx, const struct fleetdb_item_view *view, struct err *err)
{
    (void)err;
    if (strcmp(view->name, "bins") == 0)
        *(int *)ctx = view->state;
    return true;
}

static int item_state(struct world *world)
{
    struct fleetdb_device device;
    int item = -1;
    assert_true(fleetdb_device_find(world->fleet->db, "t1", &device, NULL));
    assert_true(fleetdb_view_items(world->fleet->db, device.device, one_item, &item, NULL));
    return item;
}

static void a_hello_is_welcomed(void **state)
{
    struct world *world = *state;
    struct arena arena = {0};
    uint8_t nonce[16] = "0123456789abcde";
    send_results(world, 7, 1, 4, 0);
    settle(world);
    forget_sent(world);

    Muster__OpenStream stream = MUSTER__OPEN_STREAM__INIT, *streams[] = {&stream};
    stream.incarnation = 7;
    stream.lane = MUSTER__LANE__LANE_TXN;
    stream.last_seq = 9;
    Muster__ItemReport item = MUSTER__ITEM_REPORT__INIT, *items[] = {&item};
    item.name = (char *)"bins";
    item.state = MUSTER__ITEM_STATE__ITEM_DAMAGED;
    Muster__StateReport report = MUSTER__STATE_REPORT__INIT;
    report.manifest_version = 3;
    report.n_items = 1;
    report.items = items;
    Muster__Hello hello = MUSTER__HELLO__INIT;
    hello.nonce = (ProtobufCBinaryData){sizeof nonce, nonce};
    hello.incarnation = 8;
    hello.boot_ms = 50;
    hello.state = &report;
    hello.n_streams = 1;
    hello.streams = streams;
    world->manifest = "a sealed manifest";
    send_hello(world, "t1", &hello);
    settle(world);

    assert_int_equal(world->hellos, 1);
    assert_int_equal(world->sent, 1);
    assert_string_equal(world->topics[0], "muster/v1/down/t1/welcome");
    const Muster__Welcome *welcome = (const Muster__Welcome *)opened(
        world, 0, "welcome", world->fleet->director_key, &muster__welcome__descriptor, &arena);
    assert_memory_equal(welcome->nonce.data, nonce, sizeof nonce);
    assert_int_equal(welcome->wall_ms, wall(world));
    assert_string_equal(welcome->refusal, "");
    assert_int_equal(welcome->manifest.len, strlen(world->manifest));
    assert_true(welcome->receipt.len > 0);
    assert_int_equal(item_state(world), MUSTER__ITEM_STATE__ITEM_DAMAGED);
    arena_done(&arena);
}

static void a_hello_without_sense_gets_no_answer(void **state)
{
    struct world *world = *state;
    Muster__Hello hello = MUSTER__HELLO__INIT;
    hello.nonce = (ProtobufCBinaryData){5, (uint8_t *)"short"};
    send_hello(world, "t1", &hello);
    settle(world);
    assert_int_equal(refused(world, REFUSED_HELLO, REASON_MALFORMED), 1);
    assert_int_equal(world->sent, 0);
}

static void late_events_do_not_undo_newer_ones(void **state)
{
    struct world *world = *state;
    Muster__ItemReport item = MUSTER__ITEM_REPORT__INIT, *items[] = {&item};
    Muster__StateReport report = MUSTER__STATE_REPORT__INIT;
    item.name = (char *)"bins";
    report.n_items = 1;
    report.items = items;
    item.state = MUSTER__ITEM_STATE__ITEM_OK;
    send_event(world, 5, MUSTER__EVENT_KIND__EVENT_STATE, &report.base, wall_start_ms);
    item.state = MUSTER__ITEM_STATE__ITEM_MISSING;
    send_event(world, 4, MUSTER__EVENT_KIND__EVENT_STATE, &report.base, wall_start_ms);
    settle(world);
    assert_int_equal(item_state(world), MUSTER__ITEM_STATE__ITEM_OK);
    item.state = MUSTER__ITEM_STATE__ITEM_REPAIRED;
    send_event(world, 6, MUSTER__EVENT_KIND__EVENT_REPAIR, &item.base, wall_start_ms);
    settle(world);
    assert_int_equal(item_state(world), MUSTER__ITEM_STATE__ITEM_REPAIRED);
    /* A detail that makes no sense: the event itself is kept, and receipted. */
    send_event(world, 7, MUSTER__EVENT_KIND__EVENT_STATE, NULL, wall_start_ms);
    settle(world);
    assert_int_equal(refused(world, REFUSED_EVENT_DETAIL, REASON_MALFORMED), 1);
    assert_int_equal(stream_of(world, 7, 2).ranges[0].last, 7);
    assert_int_equal(world->metrics.values[METRIC_MASKED], 4);
}

static bool text_of(void *ctx, const struct fleetdb_event_view *view, struct err *err)
{
    (void)err;
    (void)snprintf(ctx, 64, "%s", view->text);
    return true;
}

static void card_numbers_do_not_reach_the_database(void **state)
{
    struct world *world = *state;
    struct fleetdb_device device;
    char text[64] = "";
    send_event(world, 1, MUSTER__EVENT_KIND__EVENT_REFUSED, NULL, wall_start_ms);
    settle(world);
    assert_true(fleetdb_device_find(world->fleet->db, "t1", &device, NULL));
    assert_true(fleetdb_view_events(world->fleet->db, device.device, 1, text_of, text, NULL));
    assert_string_equal(text, "card **************** refused");
}

/* The file may not grow any more: to SQLite that is a full disk. */
static void a_database_that_fails_receipts_nothing(void **state)
{
    struct world *world = *state;
    struct rlimit before, none = {0};
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    none.rlim_max = before.rlim_max;
    signal(SIGXFSZ, SIG_IGN);
    send_results(world, 7, 1, 5, 0);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
    settle(world);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(world->sent, 0);
    assert_int_equal(results(world), 0);
    assert_int_equal(world->metrics.values[METRIC_RECORDS_TXN], 0);
    assert_true(world->metrics.values[METRIC_COMMIT_FAILURES] > 0);
    assert_int_equal(refused(world, REFUSED_BATCH, REASON_DATABASE), 1);
    assert_int_equal(world->failures, 0); /* it still answers */

    send_results(world, 7, 1, 5, 0);
    settle(world);
    assert_int_equal(results(world), 5);
    assert_int_equal(world->sent, 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_batch_is_stored_then_receipted),
        TEST(batches_share_commits_and_receipts),
        TEST(any_order_and_repeats_give_the_same_rows),
        TEST(a_repeat_is_receipted_again),
        TEST(a_conflict_is_kept_out_and_not_receipted),
        TEST(a_key_under_another_id_counts_once),
        TEST(what_is_not_theirs_is_refused),
        TEST(damaged_bytes_never_store_anything),
        TEST(wrong_topics_and_sizes_are_refused),
        TEST(what_was_not_committed_comes_again),
        TEST(a_closed_window_keeps_one_receipt_a_device),
        TEST(a_hello_is_welcomed),
        TEST(a_hello_without_sense_gets_no_answer),
        TEST(late_events_do_not_undo_newer_ones),
        TEST(card_numbers_do_not_reach_the_database),
        TEST(a_database_that_fails_receipts_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
