/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_REGISTRAR_H
#define AGENT_REGISTRAR_H

#include "agent/refusals.h"
#include "agent/room.h"
#include "base/clock.h"
#include "proto/arena.h"
#include "proto/desired.pb-c.h"
#include "proto/record.pb-c.h"
#include "proto/trust.h"

#include <uv.h>

/*
 * Keeps what the terminal holds equal to what its manifest wants: takes manifests, asks for blobs,
 * builds and switches generations, looks for drift and repairs it. The state machine runs on the
 * loop, one job at a time on libuv's workers; events never come from inside a call of the caller.
 * Not thread-safe: loop only.
 */
struct registrar;

struct registrar_settings {
    const char *dir;    /* <state>/registry, absolute */
    const char *floors; /* <state>/floors, the second place of the version floors */
    const char *device;
    const char *sealing_key; /* file; read when something sealed is to be opened */
    const char *hook; /* absolute path, "" = none; run as: hook <generation dir>, cwd = that dir */
    int64_t hook_limit_ms;
    int64_t check_every_ms; /* drift check timer; 0: none */
    int64_t quota_bytes;    /* generations + blobs; a manifest that cannot fit is refused */
};

struct registrar_events {
    /* The blobs wanted now, and their lengths; replaces the set before, count 0: nothing. */
    void (*fetch)(void *ctx, const uint8_t (*blobs)[32], const uint64_t *sizes, size_t count);
    /* To be spooled in the event lane: kind, item, text, detail are set, times are not. */
    void (*event)(void *ctx, const Muster__Event *event);
    /* All was checked just now; may be NULL. */
    void (*checked)(void *ctx);
    /* The state differs from before: registrar_state gives it. */
    void (*changed)(void *ctx);
    /* A manifest is signed by nobody whom the root in force names. True: the caller tells it, with
     * registrar_refused, once it is settled that no newer root does. NULL: told at once. */
    bool (*unsettled)(void *ctx, const struct err *why);
    /* How much of its disk the registry may take now. NULL, or false: nobody knows. */
    bool (*room)(void *ctx, struct room *ret_room);
};

/* Loads what is held and starts a check. `trust` and `clock` outlive the registrar; the strings of
 * `settings` are copied. */
bool registrar_open(uv_loop_t *loop, const struct clock *clock,
                    const struct registrar_settings *settings, const struct trust *trust,
                    const struct registrar_events *events, void *ctx,
                    struct registrar **ret_registrar, struct err *err) MUSTER_CHECK;
/* Waits on the loop for a worker or hook that runs, answers open checks, calls `closed` last. */
void registrar_close(struct registrar *registrar, void (*closed)(void *ctx), void *ctx);

/* Results may be running short of room: if they are, gives up what has come of what is not in
 * force. It is fetched again when there is room. */
void registrar_yield(struct registrar *registrar);

/* From now on what is held is told as events, beginning with how it stands; what is found damaged,
 * repaired or refused is told from the start. */
void registrar_tell(struct registrar *registrar);

/* A manifest Envelope from the broker, a welcome or a file. True: accepted or already known.
 * ERR_INVALID, ERR_REFUSED: the text and the reason say why; ERR_CONFLICT: another of the same
 * version was accepted. It is counted and told here. */
bool registrar_manifest(struct registrar *registrar, struct bytes envelope,
                        struct err *err) MUSTER_CHECK;
/* `trust` has another root in force: what is in force stays, and a manifest that is not good under
 * it any more is not built, until the fleet has sent another. */
void registrar_rooted(struct registrar *registrar);
/* Something else from outside was refused, with its reason: counted, and told as an event, though
 * not each time that a broker repeats itself. `what` begins the sentence. */
void registrar_refused(struct registrar *registrar, const char *what, const struct err *why);
#define REGISTRAR_NOT_ACCEPTED "a manifest is not accepted"
const struct refusals *registrar_refusals(const struct registrar *registrar);
/* A blob that arrived. Not wanted: ERR_NOT_FOUND; hash differs: ERR_REFUSED. */
bool registrar_blob(struct registrar *registrar, const uint8_t sha256[32], struct bytes blob,
                    struct err *err) MUSTER_CHECK;
/* These blobs, which were asked for, do not come: a document that one of them was to be changed by
 * is had whole instead, where its manifest names such a way. */
void registrar_elsewhere(struct registrar *registrar, const uint8_t (*blobs)[32], size_t count);
/* Checks everything now and repairs what can be; `done` is called once, when all is checked and
 * what needed the broker has arrived, or when `limit_ms` is over, or at close. */
bool registrar_check(struct registrar *registrar, int64_t limit_ms, void (*done)(void *ctx),
                     void *ctx, struct err *err) MUSTER_CHECK;

/* The same without a check, and without waiting for what only a broker can bring: `done` is called
 * when all is done that can be done with what is here. */
bool registrar_settle(struct registrar *registrar, int64_t limit_ms, void (*done)(void *ctx),
                      void *ctx, struct err *err) MUSTER_CHECK;

/* Current state; every pointer in it lives in `arena`. */
bool registrar_state(const struct registrar *registrar, struct arena *arena,
                     Muster__StateReport *ret_state, struct err *err) MUSTER_CHECK;
/* How the document of this name is to be treated; one that the manifest does not name: observed. */
Muster__AssignMode registrar_mode(const struct registrar *registrar, const char *name);
/* Blobs still needed, damaged files first, no more than a manifest has items. Fills at most `max`,
 * returns how many there are. */
size_t registrar_lacks(const struct registrar *registrar, uint8_t (*ret_blobs)[32], size_t max);
/* Gives the content of each document of this kind in the generation in force. False: what is longer
 * than `limit_bytes`, unreadable or not what was applied was left out, with a word in the log. */
bool registrar_documents(const struct registrar *registrar, Muster__DocumentKind kind,
                         size_t limit_bytes,
                         void (*each)(void *ctx, const char *name, struct bytes content),
                         void *ctx);
const uint8_t *registrar_generation_digest(const struct registrar *registrar); /* 32, zeros: none */
uint64_t registrar_manifest_version(const struct registrar *registrar);        /* 0: none */

/* The newest accepted manifest; all zero: none. */
struct registrar_desired {
    uint64_t epoch, version;
    uint8_t sha256[32]; /* of its signed body */
    int64_t expires_ms; /* 0: never */
    bool outdated;      /* not good under the root in force any more, or below the floors */
    uint64_t root_seen; /* the highest root that was ever in force here */
    const char *below;  /* why it is older than what was accepted here, "": it is not */
    /* The newest one above it that the director signed and that was refused; version 0: none. */
    uint64_t refused_epoch, refused_version;
    const char *refused_why; /* valid until the next manifest */
};
void registrar_desired(const struct registrar *registrar, struct registrar_desired *ret_desired);
/* The fleet wants just what is held: whatever was refused above it is wanted no more. */
void registrar_confirmed(struct registrar *registrar);

#endif
