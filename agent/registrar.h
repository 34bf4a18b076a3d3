/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_REGISTRAR_H
#define AGENT_REGISTRAR_H

#include "agent/action.h"
#include "agent/gate.h"
#include "agent/gate_hook.h"
#include "agent/keys.h"
#include "agent/owned.h"
#include "agent/packages.h"
#include "agent/probation.h"
#include "agent/refusals.h"
#include "agent/room.h"
#include "agent/suspect.h"
#include "base/clock.h"
#include "proto/arena.h"
#include "proto/desired.pb-c.h"
#include "proto/local.pb-c.h"
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

struct registrar_waited { /* by what is not in force, over restarts of the agent */
    int64_t ms;           /* powered-on time */
    Muster__ApplyStep told;
    uint8_t told_of[32];
};

struct registrar_gate {
    struct gate_policy policy;      /* all 0: a gate opens at once where no application is known */
    struct gate_hook_program *hook; /* NULL: none; outlives the registrar's closing */
    int64_t every_ms; /* a look at the gate at the latest; a wait shorter than that is not told */
    struct registrar_waited waited;
};

/* What has to be true of a generation before it counts as good. */
struct registrar_probation {
    struct probation_policy policy; /* time_ms 0: nothing is on probation */
    const char *after_hook; /* absolute path, NULL or "" = none; run after each switch, as `hook` */
    uint8_t boot[16];       /* id of this boot of the terminal */
};

struct registrar_settings {
    const char *dir;    /* <state>/registry, absolute */
    const char *floors; /* <state>/floors, the second place of the version floors */
    const char *device;
    const char *sealing_key; /* file; read when something sealed is to be opened */
    const char *hook; /* absolute path, "" = none; run as: hook <generation dir>, cwd = that dir */
    int64_t hook_limit_ms;
    int64_t check_every_ms; /* drift check timer; 0: none */
    struct registrar_gate gate;
    struct registrar_probation probation;
    int64_t quota_bytes;       /* generations + blobs; a manifest that cannot fit is refused */
    const struct owned *owned; /* documents that other systems own; NULL: none is */
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
    /* What the payment application is in the middle of; `ret_lease` is zeroed. NULL: there is none.
     */
    void (*lease)(void *ctx, struct gate_lease *ret_lease);
    /* No generation is being put in force any more; may be NULL. */
    void (*switched)(void *ctx);
    /* What carries the connection is another, and whoever sets it up has done so: the line is to be
     * made again. May be NULL. */
    void (*redial)(void *ctx);
    /* Puts into each state what follows from what is in force: keys in slots, packages that run.
     * NULL: nothing does. */
    bool (*amend)(void *ctx, struct arena *arena, Muster__StateReport *state, struct err *err);
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

/* Forgets what did not pass and what led nowhere, and tries all of it again. */
bool registrar_resync(struct registrar *registrar, int64_t limit_ms, void (*done)(void *ctx),
                      void *ctx, struct err *err) MUSTER_CHECK;
/* The same, and makes every document of the generation again from what is fetched anew: what came
 * before is forgotten, and what is in force stays so until then. ERR_FULL: twice does not fit. */
bool registrar_reset(struct registrar *registrar, int64_t limit_ms, void (*done)(void *ctx),
                     void *ctx, struct err *err) MUSTER_CHECK;
/* That is not in force yet. */
bool registrar_is_anew(const struct registrar *registrar);
/* Of the newest accepted manifest; NULL: none counts. Valid until the next one is accepted. */
const struct action_list *registrar_actions(const struct registrar *registrar);

/* What the application is in the middle of is not what it was: looks at the gate, at once. */
void registrar_look(struct registrar *registrar);
/* A generation is being put in force just now: who begins a transaction waits for `switched`. */
bool registrar_switching(const struct registrar *registrar);
/* The digest of the generation that waits; false: none does. */
bool registrar_waiting(const struct registrar *registrar, uint8_t ret_digest[32]);
/* A person puts what waits for its gate in force; `who` is told. `looked_at`: the digest of what he
 * has looked at, NULL: whatever it is. ERR_CONFLICT: nothing waits, or another one. */
bool registrar_decide(struct registrar *registrar, const struct bytes *looked_at, const char *who,
                      struct err *err) MUSTER_CHECK;
/* What waits, and for what, in one line; false: nothing. */
bool registrar_waits(const struct registrar *registrar, char *ret_text, size_t size);
/* To be given back at the next opening. */
void registrar_waited(const struct registrar *registrar, struct registrar_waited *ret_waited);
/* A result that is stored, once; in the order in which they were. */
struct registrar_result {
    uint64_t incarnation, seq;
    const uint8_t *generation; /* the first 8 bytes of the digest of what was in force */
    enum suspect why;          /* by the code profiles of the last good generation */
    bool suspect_now;          /* by those in force */
    const uint8_t *token;      /* PROBATION_TOKEN_BYTES, NULL: none */
    int64_t wall_ms;
};
/* The first 8 bytes of the digest of what was in force at `boot_ms` of this boot. `claimed`: what
 * the application says it was, believed of what has just been replaced; NULL: nothing. False:
 * nobody knows. */
bool registrar_in_force_at(const struct registrar *registrar, int64_t boot_ms,
                           const uint8_t *claimed, uint8_t *ret_generation) MUSTER_CHECK;
void registrar_result(struct registrar *registrar, const struct registrar_result *result);
/* The newest one that is counted, over restarts too. False: results are not counted. */
bool registrar_counted(const struct registrar *registrar, uint64_t *ret_incarnation,
                       uint64_t *ret_seq);
/* One that is newer, and was stored before this run of the agent. */
void registrar_recount(struct registrar *registrar, const struct registrar_result *result);
/* All earlier ones were given: those of this incarnation are counted from its first on. Kept on the
 * medium before it returns. */
void registrar_count_from(struct registrar *registrar, uint64_t incarnation);
/* The payment application ended in the middle of a transaction. */
void registrar_crashed(struct registrar *registrar);
/* The fleet has answered a hello that was said at `asked_ms` since boot. */
void registrar_welcomed(struct registrar *registrar, int64_t asked_ms);
/* What is in force carries the connection and waits for that. */
bool registrar_awaits_welcome(const struct registrar *registrar);
/* A person has decided: what was taken back may be tried again. */
void registrar_forget_returned(struct registrar *registrar);

/* What would change, what waits, for what; every pointer in it lives in `arena`. */
bool registrar_plan(const struct registrar *registrar, struct arena *arena,
                    Muster__PlanReply *ret_plan, struct err *err) MUSTER_CHECK;
/* The folder of the generation in force, REGISTRY_PATH_BYTES; 0: none. */
uint64_t registrar_folder(const struct registrar *registrar, char *ret_path);

/* Current state; every pointer in it lives in `arena`. */
bool registrar_state(const struct registrar *registrar, struct arena *arena,
                     Muster__StateReport *ret_state, struct err *err) MUSTER_CHECK;
/* Puts beside what waits what is on probation meanwhile, for people on the terminal. */
bool registrar_trial(const struct registrar *registrar, struct arena *arena,
                     Muster__StateReport *state, struct err *err) MUSTER_CHECK;
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
/* The same of the last good generation, which is the one in force unless that is on probation. */
bool registrar_good_documents(const struct registrar *registrar, Muster__DocumentKind kind,
                              size_t limit_bytes,
                              void (*each)(void *ctx, const char *name, struct bytes content),
                              void *ctx);
const uint8_t *registrar_good_digest(const struct registrar *registrar); /* 32 */
/* `amend` would say something else than before. */
void registrar_amended(struct registrar *registrar);
/* The key blocks in force that the manifest wants and those that it has observed, at most `max`;
 * returns how many. */
size_t registrar_keys(const struct registrar *registrar, struct key_wanted *ret_wanted, size_t max);
/* The packages in force that the manifest wants and then those that it has observed, at most `max`;
 * returns how many. Under a root by
 * which that manifest is not good any more: none. */
size_t registrar_packages(const struct registrar *registrar, struct package_wanted *ret_wanted,
                          size_t max);
/* Where the file of a document in force is; `path` takes REGISTRY_PATH_BYTES. */
bool registrar_file(const struct registrar *registrar, const char *name, char *path,
                    struct err *err) MUSTER_CHECK;
/* A sealed document's file as it is in force, hashed. */
bool registrar_sealed(const struct registrar *registrar, const char *name, struct buf *ret_content,
                      struct err *err) MUSTER_CHECK;
const uint8_t *registrar_generation_digest(const struct registrar *registrar); /* 32, zeros: none */
uint64_t registrar_manifest_version(const struct registrar *registrar);        /* 0: none */

/* The newest accepted manifest; all zero: none. */
struct registrar_desired {
    uint64_t epoch, version;
    uint8_t sha256[32]; /* of its signed body */
    int64_t expires_ms; /* 0: never */
    bool outdated;      /* not good under the root in force any more, or below the floors */
    uint64_t root_seen; /* the highest root that was ever in force here */
    uint64_t floor_epoch, floor_version; /* the highest manifest that was ever accepted here */
    const char *below; /* why it is older than what was accepted here, "": it is not */
    /* The newest one above it that the director signed and that was refused; version 0: none. */
    uint64_t refused_epoch, refused_version;
    const char *refused_why; /* valid until the next manifest */
};
void registrar_desired(const struct registrar *registrar, struct registrar_desired *ret_desired);
/* The fleet wants just what is held: whatever was refused above it is wanted no more. */
void registrar_confirmed(struct registrar *registrar);

#endif
