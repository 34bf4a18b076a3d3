/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/collector_world.h"

#include "proto/unpack.h"
#include "storage/fleetdb_places.h"
#include "storage/fleetdb_rates.h"
#include "storage/fleetdb_tokens.h"
#include "tests/unit/testing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { START_MS = 1000000 };

int64_t world_wall(void *ctx)
{
    return WORLD_WALL_MS + ((struct world *)ctx)->now_ms;
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
    assert_true(world->sent < WORLD_SENT_MAX);
    (void)snprintf(world->topics[world->sent], TOPIC_CHARS, "%s", topic);
    assert_true(buf_append(&world->payloads[world->sent++], payload.data, payload.length, NULL));
    return true;
}

static void hello_came(void *ctx, const struct fleetdb_device *device, const Muster__Hello *hello,
                       struct wants *ret_wants, struct buf *ret_manifest)
{
    struct world *world = ctx;
    assert_true(device->device != 0);
    assert_int_equal(hello->nonce.len, 16);
    world->hellos++;
    *ret_wants = world->wants;
    if (world->manifest != NULL)
        assert_true(buf_append(ret_manifest, world->manifest, strlen(world->manifest), NULL));
}

static void heard(void *ctx, int64_t device, int64_t silence_s)
{
    struct world *world = ctx;
    assert_true(device != 0);
    world->heard++;
    world->silence_s = silence_s;
}

static void told_online(void *ctx, int64_t device, const struct online_word *word, bool kept)
{
    struct world *world = ctx;
    assert_true(device != 0);
    world->words++;
    world->word = *word;
    world->word_kept = kept;
}

static void failed(void *ctx, const struct err *why)
{
    (void)why;
    ((struct world *)ctx)->failures++;
}

static void wake(void *ctx)
{
    assert_int_equal(sem_post(&((struct world *)ctx)->opened), 0);
}

void world_opened_all(struct world *world)
{
    assert_int_equal(sem_wait(&world->opened), 0);
}

void world_start(struct world *world)
{
    struct collector_settings settings = {
        .db = world->fleet->db,
        .clock = &world->clock,
        .metrics = &world->metrics,
        .receipt_key = world->fleet->root_key, /* any key: the test opens with the same */
        .director_key = world->fleet->director_key,
        .receipts = {.coalesce_ms = 200, .batches = 3},
    };
    struct collector_ports ports = {.ctx = world,
                                    .send = take,
                                    .hello = hello_came,
                                    .heard = heard,
                                    .online = told_online,
                                    .failed = failed,
                                    .wake = world->threaded ? wake : NULL};
    assert_true(collector_open(&settings, &ports, &world->collector, NULL));
}

int world_open(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    void *fleet = NULL;
    assert_non_null(world);
    temp_fleet_open(&fleet);
    world->fleet = fleet;
    world->clock = (struct clock){world_wall, boot, world};
    temp_fleet_device(fleet, "t1");
    temp_fleet_device(fleet, "t2");
    world->t1_key = world_key(world, "t1");
    assert_int_equal(sem_init(&world->opened, 0, 0), 0);
    world_start(world);
    *state = world;
    return 0;
}

int world_open_threaded(void **state)
{
    if (world_open(state) != 0)
        return -1;
    struct world *world = *state;
    collector_close(world->collector);
    world->threaded = true;
    world_start(world);
    return 0;
}

void world_forget_sent(struct world *world)
{
    while (world->sent > 0)
        buf_done(&world->payloads[--world->sent]);
}

int world_close(void **state)
{
    struct world *world = *state;
    void *fleet = world->fleet;
    world_forget_sent(world);
    collector_close(world->collector);
    assert_int_equal(sem_destroy(&world->opened), 0);
    sign_key_free(world->t1_key);
    temp_fleet_close(&fleet);
    free(world);
    return 0;
}

/* ---- what a device sends ---- */

struct sign_key *world_key(const struct world *world, const char *device)
{
    char path[128];
    struct sign_key *key = NULL;
    (void)snprintf(path, sizeof path, "%s/%s.pem", world->fleet->dir, device);
    assert_true(sign_key_read(path, &key, NULL));
    return key;
}

struct buf world_seal(const struct world *world, const char *domain, const char *device,
                      struct bytes body)
{
    struct buf out = {0};
    struct sign_key *other = strcmp(device, "t1") == 0 ? NULL : world_key(world, device);
    const struct sign_key *keys[] = {other == NULL ? world->t1_key : other};
    assert_true(seal(domain, device, body, keys, 1, false, &out, NULL));
    sign_key_free(other);
    return out;
}

void world_deliver(struct world *world, enum topic_kind kind, const char *device,
                   struct bytes payload)
{
    char topic[TOPIC_CHARS];
    topic_device(kind, device, topic);
    collector_message(world->collector, topic, payload);
}

struct buf world_seal_lanes(const struct world *world, const char *device,
                            const struct lane_rows *lanes, size_t count)
{
    struct buf body = {0};
    struct err err = {0};
    if (!batch_encode(lanes, count, 1, &body, &err))
        fail_msg("%s", err.text);
    struct buf out = world_seal(world, "batch", device, buf_bytes(&body));
    buf_done(&body);
    return out;
}

/* Results first..last of one incarnation; the content follows from seq and `salt`. */
struct buf world_seal_results(const struct world *world, const char *device, uint64_t incarnation,
                              uint64_t first, uint64_t last, uint64_t salt)
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
        txns[i].wall_ms = WORLD_WALL_MS;
        txns[i].outcome = MUSTER__OUTCOME__OUTCOME_DECLINED;
        txns[i].code = (char *)"57";
        rows[i] = &txns[i].base;
    }
    struct lane_rows lane = {.lane = MUSTER__LANE__LANE_TXN,
                             .incarnation = incarnation,
                             .first_seq = first,
                             .count = count,
                             .rows = rows};
    return world_seal_lanes(world, device, &lane, 1);
}

void world_send_results(struct world *world, uint64_t incarnation, uint64_t first, uint64_t last,
                        uint64_t salt)
{
    struct buf batch = world_seal_results(world, "t1", incarnation, first, last, salt);
    world_deliver(world, TOPIC_UP_BATCH, "t1", buf_bytes(&batch));
    buf_done(&batch);
}

void world_send_lost(struct world *world, uint64_t incarnation, uint64_t first, size_t count,
                     Muster__LossReason why)
{
    const struct lane_rows lane = {.lane = MUSTER__LANE__LANE_TXN,
                                   .incarnation = incarnation,
                                   .first_seq = first,
                                   .count = count,
                                   .lost = why};
    struct buf batch = world_seal_lanes(world, "t1", &lane, 1);
    world_deliver(world, TOPIC_UP_BATCH, "t1", buf_bytes(&batch));
    buf_done(&batch);
}

void world_send_hello(struct world *world, const char *device, const Muster__Hello *hello)
{
    struct buf body = {0};
    assert_true(pack(&hello->base, &body, NULL));
    struct buf message = world_seal(world, "hello", device, buf_bytes(&body));
    world_deliver(world, TOPIC_UP_HELLO, device, buf_bytes(&message));
    buf_done(&message);
    buf_done(&body);
}

void world_say_hello(struct world *world, const struct world_hello *what)
{
    enum { MAX = 16 };
    uint8_t nonce[16] = "0123456789abcde";
    Muster__OpenStream open[MAX], *streams[MAX];
    ProtobufCBinaryData receipt = {what->receipt.length, (uint8_t *)what->receipt.data};
    Muster__Hello hello = MUSTER__HELLO__INIT;
    assert_true(what->count <= MAX);
    for (size_t i = 0; i < what->count; i++) {
        muster__open_stream__init(&open[i]);
        open[i].incarnation = what->open[i].incarnation;
        open[i].lane = MUSTER__LANE__LANE_TXN;
        open[i].last_seq = what->open[i].last_seq;
        streams[i] = &open[i];
    }
    hello.nonce = (ProtobufCBinaryData){sizeof nonce, nonce};
    hello.incarnation = what->incarnation;
    hello.starts = what->starts;
    hello.boot_ms = what->boot_ms;
    hello.n_streams = what->count;
    hello.streams = streams;
    hello.streams_cut = what->cut;
    hello.n_receipts = what->receipt.length > 0;
    hello.receipts = &receipt;
    world_send_hello(world, "t1", &hello);
}

/* ---- what the fleet says ---- */

ProtobufCMessage *world_opened(struct world *world, size_t index, const char *domain,
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

const Muster__Receipt *world_receipt(struct world *world, size_t index, struct arena *arena)
{
    assert_string_equal(world->topics[index], "muster/v1/down/t1/receipt");
    return (const Muster__Receipt *)world_opened(world, index, "receipt", world->fleet->root_key,
                                                 &muster__receipt__descriptor, arena);
}

void world_settle(struct world *world)
{
    collector_flush(world->collector);
    for (int64_t wait_ms = 0; wait_ms >= 0 && wait_ms < 1000;) {
        wait_ms = collector_turn(world->collector);
        if (wait_ms > 0)
            world->now_ms += wait_ms;
    }
}

int64_t world_results(struct world *world)
{
    const struct fleetdb_question question = {.by = FLEETDB_DIM_CODE, .to_ms = INT64_MAX / 2};
    struct fleetdb_rates *rates = NULL;
    int64_t results = 0;
    size_t count = 0;
    assert_true(fleetdb_rates_open(world->fleet->db, &question, &rates, NULL));
    for (bool done = false; !done;)
        assert_true(fleetdb_rates_step(rates, &done, NULL));
    const struct fleetdb_rate *list = fleetdb_rates_list(rates, &count);
    for (size_t i = 0; i < count; i++)
        results += list[i].results;
    fleetdb_rates_close(rates);
    return results;
}

struct fleetdb_account world_account(struct world *world)
{
    struct fleetdb_device device;
    struct fleetdb_account lanes[FLEETDB_LANES], sum = {0};
    struct err err = {0};
    assert_true(fleetdb_device_find(world->fleet->db, "t1", &device, NULL));
    if (!fleetdb_account_of(world->fleet->db, device.device, true, lanes, &err))
        fail_msg("%s", err.text);
    for (int lane = 0; lane < FLEETDB_LANES; lane++)
        fleetdb_account_add(&sum, &lanes[lane]);
    uint64_t parts = sum.committed + sum.buffered + sum.unaccounted;
    for (size_t reason = 0; reason < FLEETDB_LOSSES; reason++)
        parts += sum.lost[reason];
    assert_int_equal(parts, sum.submitted);
    return sum;
}

struct fleetdb_stream world_stream(struct world *world, uint64_t incarnation, int lane)
{
    struct fleetdb_device device;
    struct fleetdb_stream stream;
    assert_true(fleetdb_device_find(world->fleet->db, "t1", &device, NULL));
    assert_true(
        fleetdb_stream_read(world->fleet->db, device.device, incarnation, lane, &stream, NULL));
    return stream;
}

uint64_t world_refused(const struct world *world, enum refusal_kind kind,
                       enum refusal_reason reason)
{
    return world->metrics.refused[kind][reason];
}

void world_send_event(struct world *world, uint64_t seq, int kind, const ProtobufCMessage *detail,
                      int64_t wall_ms)
{
    struct buf packed = {0};
    Muster__Event event = MUSTER__EVENT__INIT;
    ProtobufCMessage *row = &event.base;
    event.kind = (Muster__EventKind)kind;
    event.wall_ms = wall_ms;
    event.boot_ms = seq;
    event.refusal = (Muster__Refusal)world->event_refusal;
    event.text = (char *)"card 4111111111111111 refused";
    if (detail != NULL) {
        assert_true(pack(detail, &packed, NULL));
        event.detail = (ProtobufCBinaryData){packed.length, packed.data};
    } else {
        event.detail = (ProtobufCBinaryData){4, (uint8_t *)"\xff\xff\xff\xff"};
    }
    struct lane_rows lane = {.lane = MUSTER__LANE__LANE_EVENT,
                             .incarnation = 7,
                             .first_seq = seq,
                             .count = 1,
                             .rows = &row};
    struct buf batch = world_seal_lanes(world, "t1", &lane, 1);
    world_deliver(world, TOPIC_UP_BATCH, "t1", buf_bytes(&batch));
    buf_done(&batch);
    buf_done(&packed);
}

void world_move_t1(struct world *world, int64_t at_ms)
{
    struct fleetdb *db = world->fleet->db;
    const struct fleetdb_terminal first = {0, "unionpay", "T0000001", "M1"};
    const struct fleetdb_terminal second = {0, "unionpay", "T0000002", "M2"};
    const struct fleetdb_store store = {.merchant = "n", .store = "s", .region = "north"};
    struct fleetdb_change change = {.who = "test", .why = "a test", .now_ms = 2000};
    struct fleetdb_move move = {.terminals = &first, .terminal_count = 1};
    struct fleetdb_device device;
    assert_true(fleetdb_device_find(db, "t1", &device, NULL));
    assert_true(fleetdb_store_find(db, "m", "s", &move.store, NULL));
    assert_true(fleetdb_device_move(db, &device, &move, &change, NULL));
    change.now_ms = at_ms;
    move.terminals = &second;
    assert_true(fleetdb_store_put(db, &store, &change, &move.store, NULL));
    assert_true(fleetdb_device_move(db, &device, &move, &change, NULL));
}

struct fleetdb_scope world_scope(struct world *world)
{
    static const uint8_t sha256[32] = {1};
    static const char *const merchants[] = {"n"};
    struct fleetdb_token token;
    const struct fleetdb_token_order order = {.name = "desk",
                                              .sha256 = sha256,
                                              .role = FLEETDB_VIEWER,
                                              .scope = FLEETDB_SCOPE_MERCHANT,
                                              .places = merchants,
                                              .place_count = 1};
    assert_true(fleetdb_token_add(world->fleet->db, &order, "test", 1000, NULL));
    assert_true(fleetdb_token_find(world->fleet->db, sha256, &token, NULL));
    return (struct fleetdb_scope){token.token};
}
