/* SPDX-License-Identifier: Apache-2.0 */
/* What a terminal whose key was stolen may send, as the fleet takes it: some messages, each a
 * byte that chooses its kind, two that say its length, and its body, which is then sealed with the
 * device's key. Whatever they are, the database takes every transaction, the account of all
 * records comes out even, and what is answered is signed and whole. */
#include "fleet/collector.h"
#include "proto/batch.h"
#include "proto/limits.h"
#include "proto/topics.h"
#include "storage/fleetdb_account.h"
#include "tests/fuzz/fleet_world.h"

#include <string.h>
#include <zstd.h>

enum { MESSAGES = 8 };

struct scene {
    struct fleet_world world;
    struct collector *collector;
    struct clock clock;
    int64_t now_ms;
    struct verify_key *key;
    unsigned device; /* whose turn it is */
};

static int64_t wall(void *ctx)
{
    return FLEET_NOW_MS + ((struct scene *)ctx)->now_ms;
}

static int64_t boot(void *ctx)
{
    return 1000000 + ((struct scene *)ctx)->now_ms;
}

/* ---- what the fleet says ---- */

static void check_ranges(Muster__StreamReceipt *const *streams, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint64_t below = streams[i]->cumulative;
        for (size_t r = 0; r < streams[i]->n_ranges; r++) {
            const Muster__SeqRange *range = streams[i]->ranges[r];
            HOLDS(range->first > below + 1 && range->last >= range->first);
            below = range->last;
        }
        for (size_t r = 0; r < streams[i]->n_refused; r++)
            HOLDS(streams[i]->refused[r]->first <= streams[i]->refused[r]->last);
    }
}

static ProtobufCMessage *opened(const struct scene *scene, const char *domain,
                                const ProtobufCMessageDescriptor *type, struct bytes payload,
                                struct arena *arena)
{
    static const struct unpack_limits limits = {.max_bytes = LIMIT_WELCOME_BYTES,
                                                .max_elements = 32768};
    struct verify_key *key = scene->key;
    struct key_set set = {&key, 1, 1};
    struct bytes body = {0};
    ProtobufCMessage *message = NULL;
    HOLDS(unseal(domain, fleet_world_device(scene->device), payload, &set, &body, NULL));
    HOLDS(unpack(type, body, &limits, arena, &message, NULL));
    return message;
}

static bool hear(void *ctx, const char *text, struct bytes payload)
{
    const struct scene *scene = ctx;
    struct arena arena = {0};
    struct topic topic;
    const char *device = fleet_world_device(scene->device);
    HOLDS(topic_parse(text, &topic, NULL) && strcmp(topic.device, device) == 0);
    if (topic.kind == TOPIC_DOWN_RECEIPT) {
        HOLDS(payload.length <= LIMIT_RECEIPT_BYTES);
        const Muster__Receipt *receipt = (const Muster__Receipt *)opened(
            scene, "receipt", &muster__receipt__descriptor, payload, &arena);
        HOLDS(strcmp(receipt->device, device) == 0);
        check_ranges(receipt->streams, receipt->n_streams);
    } else {
        HOLDS(topic.kind == TOPIC_DOWN_WELCOME && payload.length <= LIMIT_WELCOME_BYTES);
        const Muster__Welcome *welcome = (const Muster__Welcome *)opened(
            scene, "welcome", &muster__welcome__descriptor, payload, &arena);
        HOLDS(welcome->nonce.len == 16);
        check_ranges(welcome->again, welcome->n_again);
    }
    arena_done(&arena);
    return true;
}

static void on_hello(void *ctx, const struct fleetdb_device *device, const Muster__Hello *hello,
                     struct wants *ret_wants, struct buf *ret_manifest)
{
    struct scene *scene = ctx;
    HOLDS(publisher_hello(scene->world.publisher, device, hello, wall(scene), ret_manifest, NULL));
    HOLDS(wants_read(&scene->world.director, device->device, ret_wants, NULL));
}

/* Whatever word was let in can be said again, and is one that a terminal says. */
static void on_online(void *ctx, int64_t device, const struct online_word *word, bool kept)
{
    struct buf again = {.limit = LIMIT_ONLINE_BYTES};
    struct online_word read;
    (void)ctx;
    HOLDS(device != 0 && !kept && word->began_ms >= 0 && !(word->online && word->goodbye));
    if (word->began_ms != 0) {
        HOLDS(online_write(word, &again, NULL) && online_read(buf_bytes(&again), &read, NULL));
        HOLDS(read.online == word->online && read.boot == word->boot &&
              read.began_ms == word->began_ms && read.goodbye == word->goodbye);
    }
    buf_done(&again);
}

static void on_failed(void *ctx, const struct err *why)
{
    (void)ctx;
    (void)why;
    abort();
}

/* ---- what it is sent ---- */

static void deliver(struct scene *scene, enum topic_kind kind, const char *domain,
                    struct bytes body)
{
    char topic[TOPIC_CHARS];
    if (body.length == 0)
        return;
    struct buf payload = fleet_world_seal(scene->device, domain, body);
    topic_device(kind, fleet_world_device(scene->device), topic);
    collector_message(scene->collector, topic, buf_bytes(&payload));
    buf_done(&payload);
}

/* The receipts that it shows are sealed too: nobody could show any other. */
static void send_hello(struct scene *scene, struct bytes in)
{
    static const struct unpack_limits limits = {.max_bytes = LIMIT_HELLO_BYTES,
                                                .max_elements = 8192};
    struct arena arena = {0};
    struct buf body = {0};
    ProtobufCMessage *message = NULL;
    if (unpack(&muster__hello__descriptor, in, &limits, &arena, &message, NULL)) {
        Muster__Hello *hello = (Muster__Hello *)message;
        for (size_t i = 0; i < hello->n_receipts && i < 8; i++) {
            ProtobufCBinaryData *receipt = &hello->receipts[i];
            if (receipt->len == 0)
                continue;
            struct buf sealed = fuzz_seal("receipt", fleet_world_device(scene->device),
                                          bytes_of(receipt->data, receipt->len));
            receipt->data = arena_copy(&arena, sealed.data, sealed.length);
            receipt->len = receipt->data ? sealed.length : 0;
            buf_done(&sealed);
        }
        HOLDS(pack(message, &body, NULL));
        deliver(scene, TOPIC_UP_HELLO, "hello", buf_bytes(&body));
    } else {
        deliver(scene, TOPIC_UP_HELLO, "hello", in);
    }
    buf_done(&body);
    arena_done(&arena);
}

static void send_body(struct scene *scene, struct bytes in)
{
    uint8_t frame[20000];
    struct buf body = {0};
    Muster__Batch batch = MUSTER__BATCH__INIT;
    size_t length = ZSTD_compress(frame, sizeof frame, in.data, in.length, 1);
    HOLDS(!ZSTD_isError(length));
    batch.frame = (ProtobufCBinaryData){length, frame};
    HOLDS(pack(&batch.base, &body, NULL));
    deliver(scene, TOPIC_UP_BATCH, "batch", buf_bytes(&body));
    buf_done(&body);
}

static void settle(struct scene *scene)
{
    for (int64_t wait_ms = 0; wait_ms >= 0 && wait_ms < 1000;) {
        wait_ms = collector_turn(scene->collector);
        if (wait_ms > 0)
            scene->now_ms += wait_ms;
    }
}

static void send_one(struct scene *scene, uint8_t kind, struct bytes in)
{
    char topic[TOPIC_CHARS];
    switch (kind % 6) {
    case 0:
        send_hello(scene, in);
        break;
    case 1:
        send_body(scene, in);
        break;
    case 2:
        deliver(scene, TOPIC_UP_BATCH, "batch", in);
        break;
    case 3:
        settle(scene);
        scene->now_ms += (int64_t)fuzz_number(&in, 4);
        break;
    default:
        topic_device(kind % 6 == 4 ? TOPIC_UP_ONLINE : TOPIC_UP_HELLO,
                     fleet_world_device(scene->device), topic);
        collector_message(scene->collector, topic, in);
        break;
    }
}

static void check_account(struct fleetdb *db, const char *id)
{
    struct fleetdb_device device;
    struct fleetdb_account lanes[FLEETDB_LANES];
    HOLDS(fleetdb_device_find(db, id, &device, NULL));
    HOLDS(fleetdb_account_of(db, device.device, true, lanes, NULL));
    for (int lane = 0; lane < FLEETDB_LANES; lane++) {
        const struct fleetdb_account *sum = &lanes[lane];
        uint64_t parts = sum->committed + sum->buffered + sum->unaccounted;
        for (size_t reason = 0; reason < FLEETDB_LOSSES; reason++)
            parts += sum->lost[reason];
        HOLDS(parts == sum->submitted);
    }
}

static void open_collector(struct scene *scene)
{
    const struct collector_ports ports = {
        .ctx = scene, .send = hear, .hello = on_hello, .online = on_online, .failed = on_failed};
    const struct collector_settings settings = {.db = scene->world.db,
                                                .clock = &scene->clock,
                                                .metrics = scene->world.metrics,
                                                .receipt_key = fuzz_key(),
                                                .director_key = fuzz_key(),
                                                .receipts = {.coalesce_ms = 200, .batches = 3}};
    scene->now_ms = 0;
    scene->clock = (struct clock){wall, boot, scene};
    HOLDS(collector_open(&settings, &ports, &scene->collector, NULL));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct scene scene;
    static unsigned inputs;
    struct bytes in = bytes_of(data, size);
    if (!scene.key)
        HOLDS(verify_key_of_spki(sign_key_spki(fuzz_key()), &scene.key, NULL));
    scene.device = inputs++ % FLEET_DEVICES;
    if (scene.device == 0) {
        if (scene.world.db)
            fleet_world_close(&scene.world);
        fleet_world_open(&scene.world);
    }
    open_collector(&scene);
    for (int i = 0; i < MESSAGES && in.length; i++) {
        uint8_t kind = fuzz_byte(&in);
        size_t length = (size_t)fuzz_number(&in, 2);
        send_one(&scene, kind, fuzz_take(&in, length));
    }
    settle(&scene);
    HOLDS(scene.world.metrics->values[METRIC_COMMIT_FAILURES] == 0);
    check_account(scene.world.db, fleet_world_device(scene.device));
    collector_close(scene.collector);
    return 0;
}
