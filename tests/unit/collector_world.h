/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_UNIT_COLLECTOR_WORLD_H
#define TESTS_UNIT_COLLECTOR_WORLD_H

#include "fleet/collector.h"
#include "proto/batch.h"
#include "proto/topics.h"
#include "storage/fleetdb_account.h"
#include "storage/fleetdb_scope.h"
#include "tests/unit/temp_fleet.h"

#include <semaphore.h>

enum { WORLD_SENT_MAX = 64 };
#define WORLD_WALL_MS INT64_C(1790000000000)

/* A collector on a real database, between devices with real keys and a broker that keeps what it
 * is given. */
struct world {
    struct temp_fleet *fleet;
    struct metrics metrics;
    struct collector *collector;
    struct clock clock;
    struct sign_key *t1_key; /* reading one costs more than all else here */
    int64_t now_ms;
    bool closed_window; /* the broker takes nothing */
    bool threaded;      /* messages are opened by a thread, as in musterd */
    sem_t opened;       /* posted by it: see collector_ports.wake */
    unsigned hellos, failures;
    unsigned heard, words; /* of presence, and the newest of each */
    int64_t silence_s;
    struct online_word word;
    bool word_kept;
    int event_refusal;  /* of the events that a test sends */
    struct wants wants; /* what the fleet is said to want */
    const char *manifest;
    size_t sent;
    char topics[WORLD_SENT_MAX][TOPIC_CHARS];
    struct buf payloads[WORLD_SENT_MAX];
};

/* As cmocka's setup and teardown: *state is the world; t1 and t2 are enrolled. */
int world_open(void **state);
int world_open_threaded(void **state);
int world_close(void **state);
void world_start(struct world *world); /* a collector; the one before has been closed */
int64_t world_wall(void *ctx);

/* t1 stood with merchant m, store s, as T0000001, and from then on with merchant n in the north, as
 * T0000002. */
void world_move_t1(struct world *world, int64_t at_ms);
/* A token that sees merchant n's part of the fleet alone. */
struct fleetdb_scope world_scope(struct world *world);

/* What a device sends, sealed with its key. */
struct sign_key *world_key(const struct world *world, const char *device);
struct buf world_seal(const struct world *world, const char *domain, const char *device,
                      struct bytes body);
struct buf world_seal_lanes(const struct world *world, const char *device,
                            const struct lane_rows *lanes, size_t count);
/* Results first..last of one incarnation; the content follows from seq and `salt`. */
struct buf world_seal_results(const struct world *world, const char *device, uint64_t incarnation,
                              uint64_t first, uint64_t last, uint64_t salt);
void world_deliver(struct world *world, enum topic_kind kind, const char *device,
                   struct bytes payload);
/* Until what was delivered is opened; before, nothing else was left unopened. */
void world_opened_all(struct world *world);
void world_send_results(struct world *world, uint64_t incarnation, uint64_t first, uint64_t last,
                        uint64_t salt); /* as t1 */

/* `count` of them from `first` on will never come. */
void world_send_lost(struct world *world, uint64_t incarnation, uint64_t first, size_t count,
                     Muster__LossReason why); /* results, as t1 */
void world_send_hello(struct world *world, const char *device, const Muster__Hello *hello);
/* A hello of t1 that names `open` as its open streams of results, with their last seqs. */
struct world_hello {
    uint64_t incarnation, starts, boot_ms;
    const struct world_open {
        uint64_t incarnation, last_seq;
    } * open;
    size_t count;
    bool cut;
    struct bytes receipt; /* presented, empty: none */
};
void world_say_hello(struct world *world, const struct world_hello *what);

/* Commits all, and turns until everything due within a second has been sent. */
void world_settle(struct world *world);
void world_forget_sent(struct world *world);
/* What was sent to t1, its signature verified. */
ProtobufCMessage *world_opened(struct world *world, size_t index, const char *domain,
                               const struct sign_key *by, const ProtobufCMessageDescriptor *type,
                               struct arena *arena);
const Muster__Receipt *world_receipt(struct world *world, size_t index, struct arena *arena);

int64_t world_results(struct world *world); /* in the database */
/* t1's account of all lanes, its parts checked to make up the sum, its rows to be there. */
struct fleetdb_account world_account(struct world *world);
struct fleetdb_stream world_stream(struct world *world, uint64_t incarnation, int lane); /* t1's */
uint64_t world_refused(const struct world *world, enum refusal_kind kind,
                       enum refusal_reason reason);

/* Of incarnation 7, with a card number in its text. `detail` NULL: one that makes no sense. */
void world_send_event(struct world *world, uint64_t seq, int kind, const ProtobufCMessage *detail,
                      int64_t wall_ms);

#endif
