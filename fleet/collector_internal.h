/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FLEET_COLLECTOR_INTERNAL_H
#define FLEET_COLLECTOR_INTERNAL_H

#include "base/log.h"
#include "fleet/collector.h"
#include "fleet/losses.h"
#include "fleet/opener_thread.h"
#include "fleet/owed.h"
#include "fleet/sealer.h"
#include "fleet/truetime.h"
#include "proto/topics.h"
#include "storage/fleetdb_account.h"
#include "storage/fleetdb_records.h"

/* For the collector's files only. */
enum {
    /* Of one commit: the more, the fewer rows of sums are written for each result, and the longer
     * everybody else waits. */
    COLLECTOR_COMMIT_MESSAGES = 256,
    COLLECTOR_COMMIT_BYTES = 512 * 1024,
    /* What is stored, and what is opened beside it. */
    COLLECTOR_QUEUE_MESSAGES = 2 * COLLECTOR_COMMIT_MESSAGES,
    COLLECTOR_QUEUE_BYTES = 2 * COLLECTOR_COMMIT_BYTES,
    COLLECTOR_OPENED_BYTES = 32 * 1024 * 1024,
    COLLECTOR_STREAMS_HEARD = OWED_STREAMS_MAX, /* of one hello or open event */
    COLLECTOR_MANIFEST_BYTES = 8 * 1024 * 1024,
};

struct collector_message {
    struct topic topic;
    struct buf payload;
    int64_t came_ms;      /* since boot */
    struct opened opened; /* unless it is sealed by nobody */
    bool kept;            /* by the broker, since before we subscribed */
};

/* What a transaction leaves to be told after its commit, one for each message. */
struct collector_news {
    struct fleetdb_device device; /* its row is 0: nothing */
    size_t stream_count;
    struct owed_stream *streams; /* in the arena */
    uint64_t records;            /* of a batch */
    const Muster__Hello *hello;  /* in the arena */
    const char *refusal;         /* of the hello, a literal */
    bool undecodable;            /* the batch whose body has this digest */
    uint8_t digest[OWED_DIGEST_BYTES];
    struct arena arena;
};

enum { COLLECTOR_RECEIPT_KEYS = 4 };

struct collector {
    struct collector_settings settings;
    struct collector_ports ports;
    /* What this fleet's receipts are verified with, newest first. */
    struct verify_key *receipt_public[COLLECTOR_RECEIPT_KEYS];
    size_t receipt_public_count;
    struct opener *opener;                                    /* of this thread */
    struct opener_thread *thread;                             /* NULL: there is none */
    struct collector_message queue[COLLECTOR_QUEUE_MESSAGES]; /* a ring */
    size_t queue_first, queue_count, queue_bytes;
    struct collector_news news[COLLECTOR_COMMIT_MESSAGES]; /* of those in one transaction */
    struct owed_table owed;
    struct sealer *sealer;                     /* of what is on its way to be told */
    bool blocked;                              /* the last send was refused */
    struct log_gate gate;                      /* of lines about refusals */
    struct log_gate alarms;                    /* of lines about what should never be */
    struct fleetdb_losses losses, more_losses; /* of the stream in hand */
    bool acted;                                /* see collector_acted */
    bool clock_work;                           /* records may wait to be judged again */
    size_t spread_left;                        /* boots that this message may still tell of */
    int64_t redo_device;                       /* whose were judged again last, 0: nobody's */
    int64_t redo_at_ms;                        /* since boot: not before then */
};

/* ---- what waits: collector_queue.c ---- */

/* Of REFUSED_TOPIC: nothing that anybody sends here. */
enum refusal_kind collector_kind(const struct topic *topic);
/* What it is sealed for; NULL: it is not. */
const char *collector_domain(const struct topic *topic);
/* False: it goes no further. */
bool collector_admit(struct collector *collector, const char *text, struct bytes payload,
                     struct topic *ret_topic);
bool collector_queue_open(struct collector *collector, struct err *err) MUSTER_CHECK;
void collector_queue_close(struct collector *collector); /* drops what waits */
bool collector_queue_full(const struct collector *collector, size_t length);
/* Of a full one: the device has more than half of it, and others wait behind that. */
bool collector_queue_crowded(struct collector *collector, const char *device);
/* There has to be room. */
void collector_queue_put(struct collector *collector, const struct topic *topic,
                         struct bytes payload, bool kept);
struct collector_message *collector_queued(struct collector *collector, size_t index);
/* How many of the first ones a transaction should take now; 0: none yet. */
size_t collector_queue_due(struct collector *collector);
/* As many of the first ones as one transaction takes, opened or not; 0: the queue is empty. */
size_t collector_queue_portion(const struct collector *collector);
/* That message once it is opened. All before it must be understood: what they hold may be what the
 * opening waits for. */
struct collector_message *collector_queue_await(struct collector *collector, size_t index);
/* The message was understood: what was made of it makes room. Should it be taken once more, it is
 * opened once more. */
void collector_queue_understood(struct collector *collector, size_t index);
void collector_queue_drop(struct collector *collector, size_t count); /* the first ones */
void collector_queue_clear(struct collector *collector);
/* `wait_ms`, or less if something waits for what is being opened. */
int64_t collector_queue_wait(struct collector *collector, int64_t wait_ms);

/* One message inside the open transaction. False only when the database failed; what is wrong with
 * the message itself is counted and logged here, and is true. */
bool collector_batch(struct collector *collector, struct collector_message *message,
                     struct collector_news *news, struct err *err) MUSTER_CHECK;
bool collector_hello(struct collector *collector, struct collector_message *message,
                     struct collector_news *news, struct err *err) MUSTER_CHECK;
bool collector_online(struct collector *collector, const struct collector_message *message,
                      struct err *err) MUSTER_CHECK;
/* See the port. */
void collector_heard(struct collector *collector, int64_t device, int64_t silence_s);

/* The device of a topic; `*ret_known` false: refused, counted. */
bool collector_device(struct collector *collector, enum refusal_kind kind, const char *id,
                      struct fleetdb_device *ret_device, bool *ret_known,
                      struct err *err) MUSTER_CHECK;
/* Opens the message, unless it was opened with the very keys that the device has now; `*ret_good`
 * false: its seal is refused, counted. */
bool collector_open_message(struct collector *collector, enum refusal_kind kind,
                            const struct fleetdb_device *device, struct collector_message *message,
                            bool *ret_good, struct err *err) MUSTER_CHECK;
void collector_refuse(struct collector *collector, enum refusal_kind kind,
                      enum refusal_reason reason, const char *device, const char *why);

/* Logs what people must look into; `counter` counts all of them. */
void collector_alarm(struct collector *collector, const char *counter, const char *fmt, ...)
    MUSTER_PRINTF(3, 4);

/* One lane of a batch: its records, or the word that they will not come. */
bool collector_lane(struct collector *collector, const struct fleetdb_device *device,
                    const struct opened_lane *lane, struct arena *arena,
                    struct err *err) MUSTER_CHECK;

/* What a hello says of the account: which streams the device has open, which receipts it was given.
 * Lists for the answer what it is owed. `*ret_stale`: a newer one was heard before. */
bool collector_account(struct collector *collector, const struct fleetdb_device *device,
                       const Muster__Hello *hello, struct collector_news *news, bool *ret_stale,
                       struct err *err) MUSTER_CHECK;

/* What an event says beyond itself: what the agent opened, holds, found or repaired. */
bool collector_event(struct collector *collector, const struct fleetdb_device *device,
                     uint64_t incarnation, uint64_t seq, const Muster__Event *event,
                     struct err *err) MUSTER_CHECK;
bool collector_action(struct collector *collector, const struct fleetdb_device *device,
                      const Muster__ActionReport *report, struct arena *arena,
                      struct err *err) MUSTER_CHECK;
/* `seq` is that of the event which brought it. */
bool collector_log_piece(struct collector *collector, const struct fleetdb_device *device,
                         uint64_t incarnation, uint64_t seq, const Muster__LogPiece *piece,
                         struct err *err) MUSTER_CHECK;
bool collector_state(struct collector *collector, const struct fleetdb_device *device,
                     const struct fleetdb_report *report, const Muster__StateReport *state,
                     struct arena *arena, struct err *err) MUSTER_CHECK;
/* What it tells of itself beside its documents: collector_told.c. `report` NULL: nothing waits, and
 * nothing is on probation. */
bool collector_apply(struct collector *collector, int64_t device, const Muster__ApplyReport *report,
                     struct arena *arena, struct err *err) MUSTER_CHECK;
bool collector_key_slots(struct collector *collector, const struct fleetdb_device *device,
                         uint64_t incarnation, const Muster__Event *event,
                         const Muster__KeyInventory *inventory, struct arena *arena,
                         struct err *err) MUSTER_CHECK;
bool collector_package(struct collector *collector, const struct fleetdb_device *device,
                       uint64_t incarnation, const Muster__Event *event,
                       const Muster__PackageReport *report, struct arena *arena,
                       struct err *err) MUSTER_CHECK;
/* Whether the fleet could make anything of that id. */
bool collector_claim_valid(const struct fleetdb_claim *claim);
/* `listed`: the number of the hello that says so, 0: it is none. */
bool collector_claim_streams(struct collector *collector, const struct fleetdb_device *device,
                             Muster__OpenStream *const *streams, size_t count, uint64_t listed,
                             struct err *err) MUSTER_CHECK;

/* ---- when it was: collector_clock.c ---- */

/* Another message begins. */
void collector_clock_message(struct collector *collector);
/* What is known of the boot that an incarnation ran in; its row is 0 where it is not known. */
bool collector_clock_boot(struct collector *collector, const struct fleetdb_device *device,
                          uint64_t incarnation, struct fleetdb_boot *ret_boot,
                          struct err *err) MUSTER_CHECK;
/* What a hello, new or old, the start of an agent, and an EVENT_CLOCK say of it. */
bool collector_clock_hello(struct collector *collector, const struct fleetdb_device *device,
                           const Muster__Hello *hello, struct err *err) MUSTER_CHECK;
bool collector_clock_open(struct collector *collector, const struct fleetdb_device *device,
                          uint64_t incarnation, const Muster__Open *open,
                          struct err *err) MUSTER_CHECK;
bool collector_clock_event(struct collector *collector, const struct fleetdb_device *device,
                           uint64_t incarnation, const Muster__Event *event,
                           const Muster__ClockSight *sight, struct err *err) MUSTER_CHECK;
/* More records of a boot came, perhaps after its successor was heard of. */
bool collector_clock_late(struct collector *collector, const struct fleetdb_boot *boot,
                          struct err *err) MUSTER_CHECK;
/* A moment of one incarnation, and a moment of another: did the first come before? */
struct collector_moment {
    uint64_t incarnation;
    int64_t boot_ms, wall_ms;
};
bool collector_clock_before(struct collector *collector, const struct fleetdb_device *device,
                            const struct collector_moment *first,
                            const struct collector_moment *second, bool *ret_before,
                            struct err *err) MUSTER_CHECK;
/* Judges some records again, in a transaction of its own; collector->clock_work tells whether
 * there may be more. */
void collector_clock_redo(struct collector *collector);
/* `wait_ms`, or less if it is time for that earlier. */
int64_t collector_clock_wait(struct collector *collector, int64_t wait_ms);

/* Appends the sealed receipt or welcome to `out`. */
bool collector_build_receipt(struct collector *collector, const struct owed *owed, struct buf *out,
                             struct err *err) MUSTER_CHECK;
bool collector_build_welcome(struct collector *collector, const struct owed *owed, struct buf *out,
                             struct err *err) MUSTER_CHECK;
/* Sends what is due; as collector_turn. */
int64_t collector_pump(struct collector *collector);

#endif
