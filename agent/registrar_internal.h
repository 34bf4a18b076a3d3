/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_REGISTRAR_INTERNAL_H
#define AGENT_REGISTRAR_INTERNAL_H

#include "agent/desired.h"
#include "agent/gate.h"
#include "agent/probation.h"
#include "agent/registrar.h"
#include "agent/registrar_content.h"
#include "agent/registrar_owned.h"
#include "base/backoff.h"
#include "proto/limits.h"
#include "proto/refusal.h"
#include "storage/registry_probation.h"

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
    struct registry_generation good; /* the last good one */
    struct blob_set wanted;          /* of what is not in force yet */
    uint64_t building;               /* what waits for its gate; 0: nothing does */
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

/* What is to be begun anew. */
enum anew_due {
    ANEW_NOTHING,
    ANEW_WHAT_FAILED,
    ANEW_ALL, /* and every document, from what is fetched again */
};

enum check_due { CHECK_NONE, CHECK_UNSOUND, CHECK_ALL };

/* What was last said about one held file, so that it is said once. */
struct drift_mark {
    enum sync_finding finding;
    uint8_t found[32];
};

/* What was last said about an item that is not Muster's to write. */
struct observe_mark {
    char name[REGISTRY_NAME_CHARS + 1];
    uint8_t told[32]; /* hash of it */
};

enum { HOOK_PATH_BYTES = 512 };

/* What waits for its gate. */
struct gate_hold {
    enum gate_kind kind; /* the strictest of what changes */
    bool back;           /* it is the last good one, which comes back */
    bool at_once;        /* whatever is under way */
    uint64_t generation, manifest_version;
    uint8_t digest[32]; /* of that generation */
};

struct gate_wait {
    struct build_job *build; /* built, checked, on the medium, not in force; NULL: nothing waits */
    struct gate_hold what;
    bool decided; /* by a person, of the generation with this digest: */
    uint8_t decided_of[32];
    char decided_by[64]; /* until it is told; "": it was */
    int64_t held_ms;     /* time since boot when this one began to wait */
    bool counting;       /* something has waited since: */
    int64_t since_ms; /* time since boot; before it when an earlier run of the agent waited too */
    int64_t kept_ms;  /* as long as that */
    struct gate_hook_asker asker;
    bool hook_told;    /* that it could not be asked */
    int64_t looked_ms; /* time since boot when it was last seen to be what was built */
    char waits_as[GATE_WORDS_CHARS]; /* what it waits for, of the state that is told; "": not looked
                                        at yet */
    int64_t noted_ms;                /* time since boot when that was noted */
    bool look_due;                   /* something has happened since that it may not be */
    Muster__ApplyStep told;
    uint8_t told_of[32];
    uv_timer_t timer;
};

/* The generation in force, as long as it has to prove itself (registrar_probation.c). */
struct trial {
    struct registrar_probation settings;
    char after_hook[HOOK_PATH_BYTES];
    struct probation probation;      /* generation 0: the one in force is good */
    struct registry_generation good; /* what comes back, while another one is on probation */
    bool unproved;                   /* that was told */
    bool stays;                      /* it should have gone back, and could not */
    uint64_t manifest_version;       /* that the one on probation was built from */
    bool back;                       /* it goes back: */
    bool at_once;                    /* whatever is under way */
    bool stalled;                    /* going back has failed, and is tried again as of `retry` */
    char why[240];                   /* for people */
    Muster__Refusal refusal;
    bool after_due;            /* the hook that follows a switch has not said yes */
    uint64_t incarnation, seq; /* of the newest result that is counted */
    int64_t counted_ms;        /* time since boot that `spent_ms` goes up to */
    int64_t since_ms;          /* time since boot when it was put in force; 0: before that */
    bool has_before;           /* and what was in force until then, in this boot: */
    int64_t before_since_ms;
    uint8_t before[REGISTRY_SHORT_BYTES]; /* its digest */
    bool redialled; /* the connection was made again, the way that is in force */
    int64_t redialled_ms;
    int64_t watched_ms;  /* how long, after a return, for the fleet's answer the old way */
    bool unsaved, ended; /* to be kept; kept for the last time */
    unsigned unsaved_results;
    bool returned_untold;
    bool returns_unsaved;
    bool forgets; /* nothing is known against any manifest: that is to be kept too */
    struct registry_returns returns; /* what was taken back */
    uv_timer_t timer;
};

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
    struct registrar_gate gate_settings;
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
    bool stalled;     /* disk or memory failed: nothing new before `retry` or the next check */
    bool no_room;     /* what is wanted does not fit beside what results may need */
    enum yield yield; /* what is to go, for room */
    enum anew_due anew_due;
    bool anew;             /* the next generation shares nothing with the one in force */
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
    struct gate_wait gate;
    struct trial trial;
    bool switching; /* a job puts a generation in force just now */
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
    struct owned_state others; /* documents that other systems own */
    char boot_note[400];       /* what loading found, said with the first check */
    struct err boot_refusal;   /* of the manifest kept here, said likewise; code 0: none */
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
/* One more; `despite_lacks`: it does not wait for the broker. */
bool waiter_add(struct registrar *registrar, bool despite_lacks, int64_t limit_ms,
                void (*done)(void *ctx), void *ctx, struct err *err) MUSTER_CHECK;

struct sync_holding registrar_holding(const struct registrar *registrar);
const struct sync_wants *registrar_wants(const struct registrar *registrar); /* NULL: none */
/* What is wanted has failed before, by this manifest or another: it is not tried again unchanged.
 */
bool registrar_failure_counts(const struct registrar *registrar);
/* The same; it has not, where only what was taken back is held. */
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
bool anew_start(struct registrar *registrar);  /* registrar_anew.c */
bool gate_start(struct registrar *registrar);  /* registrar_gate.c */

bool trial_save_start(struct registrar *registrar);  /* registrar_kept.c */
bool trial_after_start(struct registrar *registrar); /* registrar_after.c */
bool return_start(struct registrar *registrar);      /* registrar_return.c */
bool again_start(struct registrar *registrar);       /* registrar_return.c */

/* Going on after a stall. */
void registrar_go_on(struct registrar *registrar);

/* ---- how a generation proves itself (registrar_probation.c) ---- */

/* Generations are put on probation. */
bool trial_is_on(const struct trial *trial);
/* A document of this kind is another in one than in the other, or in one of them only. */
bool trial_changes(const struct registry_items *from, const struct registry_items *to,
                   Muster__DocumentKind kind);

/* What comes back if it does not; the one in force, while nothing is on probation. */
const struct registry_generation *trial_good(const struct registrar *registrar);
/* With what is held loaded, and before anything is pruned. */
void trial_load(struct registrar *registrar);
/* Before a generation is put in force: what is to be kept of it. */
void trial_before(struct registrar *registrar, struct build_job *build);
/* It was; `held.current` is still the one before. */
void trial_switched(struct registrar *registrar, struct build_job *build);
/* Looks at how it stands, and tells what came of it. */
void trial_look(struct registrar *registrar);
/* It is not proved, and there is something to go back to. */
bool trial_may_go_back(const struct registrar *registrar);
/* It goes back, if it may. */
void trial_fail(struct registrar *registrar, Muster__Refusal refusal, const char *why);
/* The agent ended out of order with it too often: it goes back. */
bool trial_falls_over(struct registrar *registrar);
/* It stays, though it should go back. */
void trial_stays(struct registrar *registrar, const char *why);
/* Something is on probation, was not proved or has been taken back: the pointers are the
 * registrar's. */
bool trial_report(const struct registrar *registrar, Muster__ApplyReport *ret_report);
/* The one in force is on probation, and the answer is not known. */
bool trial_runs(const struct registrar *registrar);

/* ---- as it is kept (registrar_kept.c) ---- */

/* What is to be kept with generation `current` in force. */
void trial_keep(const struct registrar *registrar, const struct probation *probation,
                uint64_t current, struct registry_probation *ret_kept);
/* On the loop: at the start, before anything else is done with what is in force. */
void trial_keep_now(struct registrar *registrar);
/* There is enough that is not kept. */
void trial_wake_to_save(struct registrar *registrar);

/* ---- what carries the connection (registrar_connection.c) ---- */

void connection_look(struct registrar *registrar, int64_t spent_ms);
/* Until time alone changes something; INT64_MAX: it does not. */
int64_t connection_left(struct registrar *registrar);
/* For want of an answer of the fleet: whether that was its fault is to be seen. */
void connection_taken_back(struct registry_returns *returns, struct registry_returned *returned);
/* It was to go back for this, and need not. */
void return_unneeded(struct registrar *registrar, Muster__Refusal refusal);
/* Something failed on the way back. */
void return_broken(struct registrar *registrar, const struct err *why);
/* What has come of what is not in force gives up its room; false: nothing has. */
bool room_give_up(struct registrar *registrar);

/* ---- what was taken back, and is wanted again unchanged (registrar_returned.c) ---- */

/* What is in force is held in its place, and all else is applied. NULL: none of it. */
struct returned_view {
    const struct registry_returned *wants[REGISTRY_ITEMS]; /* one for each want */
    const struct registry_returned *gone[REGISTRY_ITEMS]; /* one for each held item: that it goes */
    size_t count;
};
void returned_look(const struct registrar *registrar, struct returned_view *ret_view);
/* As sync_target, for the manifest at hand, but for that. */
void returned_target(const struct registrar *registrar, struct registry_items *ret_target);
/* These documents hold all that was new in it. */
bool returned_in(const struct registry_returned *returned, const struct registry_items *target,
                 const struct registry_items *now);

/* An agent that falls over again and again while this one is in force may get no further than to
 * read it: the last good one is in force before that. At the start, with all else loaded. */
void return_at_load(struct registrar *registrar); /* registrar_return.c */

/* ---- a generation that is built and waits (registrar_gate.c, registrar_build.c) ---- */

enum gate_kind gate_between(const struct registry_items *from, const struct registry_items *to);
/* Keeps `build` until its gate is open. */
void gate_hold(struct registrar *registrar, struct build_job *build, const struct gate_hold *what);
/* What waits is no longer good, or gone from the medium: it is built again if it is still wanted.
 */
void gate_drop(struct registrar *registrar);
/* Nothing is wanted that is not in force. */
void gate_settled(struct registrar *registrar);
struct gate_answer gate_now(const struct registrar *registrar);
int64_t gate_waited(const struct registrar *registrar);
/* It has waited long enough to be worth a record. */
bool gate_worth_telling(const struct registrar *registrar);
/* Only while something waits; the report points into the answer. */
void gate_report(const struct registrar *registrar, struct gate_answer *ret_answer,
                 Muster__ApplyReport *ret_report);
/* Of what waits: its list, which of its items are not another's to write, its manifest. */
bool build_copy(const struct build_job *build, struct registry_generation *ret_generation,
                bool *ret_guarded, struct buf *ret_manifest, struct err *err) MUSTER_CHECK;
/* It has this file of the generation in force. */
bool build_carries(const struct build_job *build, const struct registry_item *held);
/* Takes over a newer manifest that wants just what was built; false: it wants something else. */
bool build_adopt(const struct registrar *registrar, struct build_job *build,
                 struct blob_set *needed);
bool build_superseded(const struct registrar *registrar, const struct build_job *build);
void build_free(struct build_job *build);
void commit_start(struct registrar *registrar, struct build_job *build);

/* ---- whether it still is what was built (registrar_waiting.c) ---- */

bool waiting_is_sound(const struct registrar *registrar);
/* Looks; true: the job was begun. */
bool waiting_look(struct registrar *registrar);
/* A held file is found to be another than before: what waits shares it, with its damage, or is to
 * take along what its owner has made of it, and is built again. */
void waiting_shares(struct registrar *registrar, const struct registry_item *held);
/* A manifest was accepted. The number of what waits, if that is what it wants as well, which is
 * then not built again; 0: nothing waits any more. The blobs that it can be made again from are
 * added to `needed`. */
uint64_t waiting_keep(struct registrar *registrar, struct blob_set *needed);

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
/* Fetch set, state, drift of what is not ours to write: tells what differs from the last time. */
void report_all(struct registrar *registrar, bool settled);

#endif
