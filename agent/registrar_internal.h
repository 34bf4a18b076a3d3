/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_REGISTRAR_INTERNAL_H
#define AGENT_REGISTRAR_INTERNAL_H

#include "agent/desired.h"
#include "agent/registrar.h"
#include "agent/registrar_content.h"
#include "base/backoff.h"
#include "proto/limits.h"
#include "proto/refusal.h"

/* ---- jobs ---- */

/* One at a time. `run` is on a worker and touches only the job and the registry's files; `done`
 * is on the loop and frees the job. */
struct job {
    uv_work_t work;
    struct registrar *registrar;
    const struct registry *registry;
    const char *sealing_key;
    void (*run)(struct job *job);
    void (*done)(struct registrar *registrar, struct job *job);
};

/* What may not be pruned. */
struct kept {
    struct registry_generation current;
    struct registry_generation previous;
    struct blob_set wanted; /* of what is not in force yet */
};

struct arrival { /* a blob on its way into the store */
    struct arrival *next;
    uint8_t sha256[32];
    struct buf blob;
};

struct waiter;
struct build_job;

/* What is to be removed, to make room. */
enum yield {
    YIELD_NOTHING,
    YIELD_LEFTOVERS, /* what nothing needs */
    YIELD_SPARE,     /* and the generation before the one in force */
    YIELD_WANTED,    /* what has come of what is not in force */
};

enum check_due { CHECK_NONE, CHECK_UNSOUND, CHECK_ALL };

/* What was last said about one held file, so that it is said once. */
struct drift_mark {
    enum sync_finding finding;
    uint8_t found[32];
};

/* What was last said about an item that is only observed. */
struct observe_mark {
    char name[REGISTRY_NAME_CHARS + 1];
    uint64_t wanted_version;
    uint64_t held_version;
};

enum { HOOK_PATH_BYTES = 512 };

struct registrar {
    uv_loop_t *loop;
    const struct clock *clock;
    const struct trust *trust;
    struct registrar_events events;
    void *ctx;
    char device[LIMIT_DEVICE_ID_CHARS + 1];
    char sealing_key[HOOK_PATH_BYTES];
    char hook[HOOK_PATH_BYTES];
    int64_t hook_limit_ms;
    int64_t quota_bytes;

    struct registry *registry;
    struct registry_floors floors;
    struct desired *desired; /* newest accepted, NULL: none */
    bool outdated;           /* it is not good under the root in force any more, or below floors */
    uint64_t refused_epoch, refused_version; /* of the newest above it that was refused */
    char refused_why[200];
    bool unsaved;        /* not yet on the medium, it and the floors */
    bool floors_unsaved; /* the floors alone */
    bool telling;        /* what is held, as events */
    struct registry_held held;
    enum sync_finding findings[REGISTRY_ITEMS]; /* of held.current, as are the next three */
    Muster__RepairSource sources[REGISTRY_ITEMS];
    bool awaited[REGISTRY_ITEMS]; /* the broker was asked for its blob */
    struct drift_mark marks[REGISTRY_ITEMS];
    struct registry_failure failure; /* the manifest that is not to be tried again */
    bool stalled;          /* disk or memory failed: nothing new before `retry` or the next check */
    bool no_room;          /* what is wanted does not fit beside what results may need */
    enum yield yield;      /* what is to go, for room */
    uint8_t room_made[32]; /* hash of the manifest that what can go has gone for */
    unsigned stalls;       /* in a row */
    uv_timer_t retry;      /* after a stall */
    uv_timer_t again;      /* while there is no room */
    struct blob_set have;  /* blobs in the store */
    struct arrival *arrivals;
    const struct arrival *storing; /* what the running job writes */

    struct job *job;
    bool hook_runs;
    struct build_job *hooked; /* the build that the hook looks at */
    enum check_due check_due;
    struct waiter *waiters;
    uv_async_t wake;
    uv_timer_t timer;
    unsigned handles; /* open on the loop */

    uint8_t fetched[32]; /* hash of the set last asked for */
    struct refusals refusals;
    uint8_t reported[32]; /* hash of the state last given to `changed` */
    uint8_t recorded[32]; /* hash of the state last sent as an event */
    size_t observe_count;
    struct observe_mark observed[REGISTRY_ITEMS];
    char boot_note[400];     /* what loading found, said with the first check */
    struct err boot_refusal; /* of the manifest kept here, said likewise; code 0: none */
    char below[200]; /* why what is outdated lies below what was accepted here; "": it does not */
    enum err_code stall_code;
    char room_said[160];  /* what does not fit; "": all does */
    char stall_said[200]; /* why it stalled last; empty since something was put in force */

    bool closing;
    void (*closed)(void *ctx);
    void *closed_ctx;
};

/* Starts the job, or frees it and stalls. */
void job_start(struct registrar *registrar, struct job *job, void (*run)(struct job *job),
               void (*done)(struct registrar *registrar, struct job *job));
/* Disk or memory failed: says so once, and leaves everything for a while, or until the next check.
 */
void registrar_stall(struct registrar *registrar, const char *what, const struct err *err);
void registrar_wake(struct registrar *registrar);

/* Answers who waits for all to be settled; `complete`: and nothing is asked of the broker either.
 */
void waiters_answer(struct registrar *registrar, bool complete); /* registrar_wait.c */

struct sync_holding registrar_holding(const struct registrar *registrar);
const struct sync_wants *registrar_wants(const struct registrar *registrar); /* NULL: none */
/* The manifest was tried and did not pass. */
bool registrar_failed(const struct registrar *registrar);
void registrar_missing(const struct registrar *registrar, struct sync_blobs *ret_lacks);
/* In the store or on its way into it. */
bool registrar_has_blob(const struct registrar *registrar, const uint8_t sha256[32]);
/* Another generation is in force: nothing is known against it yet. */
void registrar_forget_findings(struct registrar *registrar);

/* What is on the medium, once at opening (registrar_load.c). What is damaged there is noted for the
 * first check and does not stop the start. */
bool registrar_load(struct registrar *registrar, struct err *err) MUSTER_CHECK;

void boot_note(struct registrar *registrar, const char *text);

/* What was accepted, as it lies on the medium (registrar_accepted.c): the manifest, with a second
 * copy in the generation in force, and the floors, in two places. */
void accepted_load(struct registrar *registrar);
/* Whether a manifest counts beside what was accepted here before: the roots and the floors. */
bool accepted_stands(const struct registrar *registrar, const struct desired *desired,
                     struct err *err) MUSTER_CHECK;

/* Notes in `below` whether the one held does not, which outdates it. */
void accepted_note_below(struct registrar *registrar);

/* The same as it lies there while the agent runs: filled on the loop, looked at on a worker. */
struct accepted_look {
    struct buf envelope;            /* as accepted; empty: not looked at */
    struct registry_floors *floors; /* NULL: not looked at */
    uint64_t copy_in;               /* the generation that keeps the second copy, 0: none */
    char manifest_lost[120];        /* why it is not on the medium as it was accepted, "": it is */
    char floors_lost[REGISTRY_LOST_CHARS];
    struct err aside; /* what failed beside */
};
void accepted_look_fill(const struct registrar *registrar, struct accepted_look *look);
void accepted_look_run(const struct registry *registry, struct accepted_look *look);
/* Tells what was not as it should be and has it written again. */
void accepted_look_done(struct registrar *registrar, struct accepted_look *look);

/* ---- steps; true: a job was begun ---- */

bool save_start(struct registrar *registrar);  /* registrar_store.c */
bool store_start(struct registrar *registrar); /* registrar_store.c */
bool check_start(struct registrar *registrar); /* registrar_check.c */
bool build_start(struct registrar *registrar); /* registrar_build.c */
bool yield_start(struct registrar *registrar); /* registrar_room.c */
void room_look_again(uv_timer_t *timer);
/* Does what is wanted fit beside what results may need? */
void room_check(struct registrar *registrar);
/* Why nothing is fetched or built for now; NULL: nothing keeps it. */
const char *registrar_kept_from(const struct registrar *registrar);

/* `ret_kept` is zeroed before; the caller calls kept_done. */
bool kept_fill(const struct registrar *registrar, struct kept *ret_kept,
               struct err *err) MUSTER_CHECK;
void kept_done(struct kept *kept);
bool kept_prune(const struct registry *registry, const struct kept *kept,
                struct err *err) MUSTER_CHECK;
bool kept_needs(void *kept, const uint8_t sha256[32]);

bool have_has(const struct registrar *registrar, const uint8_t sha256[32]);
void have_add(struct registrar *registrar, const uint8_t sha256[32]);
void have_remove(struct registrar *registrar, const uint8_t sha256[32]);
void have_keep(struct registrar *registrar, struct kept *kept);
void have_lose(struct registrar *registrar, const struct blob_set *lost);
/* What is needed to repair a file that nothing here could repair is here now, all of it. */
bool awaited_arrived(struct registrar *registrar);
/* A blob that was hashed already, on its way into the store. */
bool arrival_add(struct registrar *registrar, const uint8_t sha256[32], struct bytes blob,
                 struct err *err) MUSTER_CHECK;
void arrivals_free(struct arrival *arrivals);

/* ---- what this terminal's key does not open (registrar_key.c); on a worker ---- */

/* Keeps in the failure which key it was, if it was for the key. */
void key_note(const char *sealing_key, struct registry_failure *failure);
/* The file holds another one now. */
bool key_is_another(const char *sealing_key, const struct registry_failure *failure);

/* ---- what is told (registrar_report.c) ---- */

void report_event(struct registrar *registrar, Muster__EventKind kind, const char *item,
                  const ProtobufCMessage *detail, const char *fmt, ...) MUSTER_PRINTF(5, 6);
/* The same, with the check that said no. */
void report_refusal(struct registrar *registrar, Muster__EventKind kind, const char *item,
                    const ProtobufCMessage *detail, Muster__Refusal refusal, const char *fmt, ...)
    MUSTER_PRINTF(6, 7);
/* One held item as an event's detail; the pointers are the item's. */
void report_item(const struct registrar *registrar, const struct registry_item *item,
                 Muster__ItemState state, Muster__ItemReport *ret_report);
/* Fetch set, state, drift of what is only observed: tells what differs from the last time. */
void report_all(struct registrar *registrar, bool settled);

#endif
