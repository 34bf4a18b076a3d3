/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_FLEETDB_ACTIONS_H
#define STORAGE_FLEETDB_ACTIONS_H

#include "storage/fleetdb.h"

/* What terminals were ordered to do once, and what came of it. Steps and kinds are the caller's
 * numbers, but that a step of 0 is none yet. What a callback is given is valid during the call
 * only; false from it ends the walk with its err. */
enum { FLEETDB_ACTION_NAME_CHARS = 36 };

struct fleetdb_action {
    const char *name, *device, *note, *text;
    int kind, step;
    uint64_t limit_bytes;
    int64_t made_ms, expires_ms, reported_ms;
    uint64_t since_epoch, since_version;
    bool open;
    uint64_t log_bytes, log_pieces, log_held; /* the last: pieces that have come */
    struct bytes log_sha256;                  /* empty: none was told */
    struct bytes digest;                      /* of the generation it is about; empty: none */
};

/* Open from now on: name, kind, limit, note, made, expires, digest count. */
bool fleetdb_action_put(struct fleetdb *db, int64_t device, const struct fleetdb_action *action,
                        struct err *err) MUSTER_CHECK;
/* Those that the device's manifests are to name, oldest first. */
bool fleetdb_actions_open(struct fleetdb *db, int64_t device,
                          bool (*each)(void *ctx, const struct fleetdb_action *action,
                                       struct err *err),
                          void *ctx, struct err *err) MUSTER_CHECK;
/* The device's newest manifest is this one: it names those that are open, and no other. */
bool fleetdb_actions_named(struct fleetdb *db, int64_t device, uint64_t epoch, uint64_t version,
                           struct err *err) MUSTER_CHECK;

/* The newest `limit`, newest first; device 0: of all, or of `devices`, a JSON array of rows, if it
 * is not NULL. */
bool fleetdb_actions_each(struct fleetdb *db, int64_t device, const char *devices, int64_t limit,
                          bool (*each)(void *ctx, const struct fleetdb_action *action,
                                       struct err *err),
                          void *ctx, struct err *err) MUSTER_CHECK;
/* The one of this name; ERR_NOT_FOUND. */
bool fleetdb_action_get(struct fleetdb *db, const char *name,
                        bool (*each)(void *ctx, const struct fleetdb_action *action,
                                     struct err *err),
                        void *ctx, struct err *err) MUSTER_CHECK;

/* What the terminal says: step, text, log. `over`: how it ended, which is said once and stays. What
 * is over, or has begun, is not open any more. `*ret_known` false: the device was given none of
 * that name. */
bool fleetdb_action_report(struct fleetdb *db, int64_t device, const struct fleetdb_action *report,
                           bool over, int64_t now_ms, bool *ret_known,
                           struct err *err) MUSTER_CHECK;
/* Where a piece of its log is: the first one of a number stays. */
bool fleetdb_action_piece(struct fleetdb *db, int64_t device, const char *name, uint64_t number,
                          uint64_t incarnation, uint64_t seq, struct err *err) MUSTER_CHECK;
/* The details of those events, in order. */
bool fleetdb_action_pieces(struct fleetdb *db, const char *name,
                           bool (*each)(void *ctx, uint64_t number, struct bytes detail,
                                        struct err *err),
                           void *ctx, struct err *err) MUSTER_CHECK;

/* The first device after `after` whose newest manifest names what is not open any more, or is about
 * to. `*ret_id` takes 33. */
bool fleetdb_actions_due(struct fleetdb *db, int64_t after, int64_t now_ms, int64_t *ret_device,
                         char *ret_id, bool *ret_found, struct err *err) MUSTER_CHECK;
/* Those whose time is over, and of which the terminal has not said that they began, are not open
 * any more: `step` says so. */
bool fleetdb_actions_expire(struct fleetdb *db, int64_t device, int64_t now_ms, int step,
                            struct err *err) MUSTER_CHECK;
/* When the next one expires; 0: none does. */
bool fleetdb_actions_next(struct fleetdb *db, int64_t *ret_ms, struct err *err) MUSTER_CHECK;

#endif
