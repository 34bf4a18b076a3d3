/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_FLEETDB_VIEWS_H
#define STORAGE_FLEETDB_VIEWS_H

#include "storage/fleetdb_presence.h"
#include "storage/fleetdb_records.h"

/* What people ask. Every `each` gets values that live during the call only; a false from it ends
 * the reading with its err. */

struct fleetdb_device_view {
    int64_t device;
    const char *id, *serial, *model, *life, *merchant, *store;
    bool online; /* as presence says */
    enum fleetdb_presence_state presence;
    enum fleetdb_evidence evidence;
    int64_t since_ms; /* online or away since */
    int64_t seen_ms;  /* 0: never */
    bool converged;   /* it says that it holds all of the newest manifest */
    uint64_t manifest_epoch, manifest_version, held_manifest_epoch, held_manifest_version;
    uint64_t root_version; /* that it knows; 0: not said */
    uint64_t generation;
    uint32_t lacks;
    uint64_t drift;   /* items that are neither as wanted nor repaired */
    uint64_t records; /* of all lanes, committed */
    uint64_t lost;    /* declared so, the unknown tail included */
    /* What its line has cost, as its newest health record says: in that month, or with 0 since
     * install; on IP, and of that payload. */
    uint32_t traffic_month;
    uint64_t traffic_bytes, traffic_payload_bytes;
};
/* One device by its row. */
bool fleetdb_view_device(struct fleetdb *db, int64_t device,
                         bool (*each)(void *ctx, const struct fleetdb_device_view *view,
                                      struct err *err),
                         void *ctx, struct err *err) MUSTER_CHECK;
/* The first `count` whose ids come after `after`, ascending by id; "" is before all. */
bool fleetdb_view_devices(struct fleetdb *db, const char *after, size_t count,
                          bool (*each)(void *ctx, const struct fleetdb_device_view *view,
                                       struct err *err),
                          void *ctx, struct err *err) MUSTER_CHECK;

struct fleetdb_terminal_view {
    uint32_t index;
    const char *acquirer, *tid, *mid;
};
bool fleetdb_view_terminals(struct fleetdb *db, int64_t device,
                            bool (*each)(void *ctx, const struct fleetdb_terminal_view *view,
                                         struct err *err),
                            void *ctx, struct err *err) MUSTER_CHECK;

struct fleetdb_item_view {
    const char *name;
    bool assigned;                         /* else only the device speaks of it */
    int kind, mode;                        /* of the assignment, else 0 */
    uint64_t wanted_version, held_version; /* the fleet's word, the device's word */
    struct bytes wanted_sha256, held_sha256;
    int state, refusal; /* ItemState; Refusal, 0: none */
    const char *reason;
    int64_t told_ms;        /* when the device said so; 0: it did not */
    uint64_t found_version; /* published with the content that is there, 0: none is */
    struct fleetdb_difference difference;
};
bool fleetdb_view_items(struct fleetdb *db, int64_t device,
                        bool (*each)(void *ctx, const struct fleetdb_item_view *view,
                                     struct err *err),
                        void *ctx, struct err *err) MUSTER_CHECK;

struct fleetdb_event_view {
    int64_t wall_ms;         /* as the device's clock had it */
    int64_t at_ms, bound_ms; /* corrected (fleet/truetime.h) */
    int kind, refusal;       /* EventKind; Refusal, 0: none */
    const char *item, *text;
};
/* Newest first. */
bool fleetdb_view_events(struct fleetdb *db, int64_t device, size_t max,
                         bool (*each)(void *ctx, const struct fleetdb_event_view *view,
                                      struct err *err),
                         void *ctx, struct err *err) MUSTER_CHECK;

struct fleetdb_stream_view {
    uint64_t incarnation;
    int lane;
    uint64_t cumulative, last_seq;
    uint64_t ranges;
    uint64_t lost;
    uint64_t buffered, unaccounted; /* what is missing is one or the other */
    int64_t first_ms;               /* when it was first heard of */
};
/* Those that are not closed, newest first, but before them those with records that are unaccounted
 * for; at most 100. */
bool fleetdb_view_streams(struct fleetdb *db, int64_t device,
                          bool (*each)(void *ctx, const struct fleetdb_stream_view *view,
                                       struct err *err),
                          void *ctx, struct err *err) MUSTER_CHECK;

/* How many devices are in each state of life. */
bool fleetdb_view_lives(struct fleetdb *db, uint64_t ret_counts[FLEETDB_LIVES],
                        struct err *err) MUSTER_CHECK;

#endif
