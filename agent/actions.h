/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_ACTIONS_H
#define AGENT_ACTIONS_H

#include "agent/action.h"
#include "proto/record.pb-c.h"
#include "proto/refusal.pb-c.h"

/*
 * Which actions may be done now, and the journal that sees to it that each is done at most once:
 * one is marked before it begins, and an id that is marked never begins again. The newest ids are
 * kept; what was forgotten is known by the manifest that first named it, as is what a lost journal
 * knew. Pure: agent/actions_journal.h keeps it, the caller reads the clocks.
 */
enum { ACTIONS_KEPT = 256, ACTIONS_TEXT_BYTES = 200, ACTIONS_BOOT_BYTES = 16 };

struct actions_log { /* of a log bundle */
    uint64_t bytes;  /* of text */
    uint32_t pieces;
    uint8_t sha256[32]; /* of the pieces together */
};

struct actions_entry {
    char id[LIMIT_ACTION_ID_CHARS + 1];
    Muster__ActionKind kind;
    Muster__ActionStep step; /* started, or how it ended */
    uint64_t since_epoch, since_version;
    uint8_t boot_id[ACTIONS_BOOT_BYTES]; /* that it was started in */
    char text[ACTIONS_TEXT_BYTES];
    struct actions_log log;
    Muster__Refusal refusal;           /* why it is never done */
    bool telling;                      /* its end is on its way into the spool; not kept */
    bool told;                         /* and is there: */
    uint64_t told_epoch, told_version; /* after this manifest was held */
};

struct actions {
    struct actions_entry *entries; /* oldest first; ACTIONS_KEPT of them at the most */
    size_t count;
    uint64_t floor_epoch, floor_version; /* what these named first and is not among the entries may
                                            have been done; 0: nothing can */
};
void actions_done(struct actions *actions);

/* NULL: it never began, as far as is known. */
struct actions_entry *actions_find(const struct actions *actions, const char *id);

/* How things stand. */
struct actions_moment {
    const char *stale; /* why desired state is not proved fresh; "": it is */
    /* It is no earlier than the first and no later than the second, by what is proved of time. */
    int64_t earliest_ms, latest_ms; /* INT64_MAX: nobody knows */
};

enum actions_verdict {
    ACTIONS_OVER,    /* or begun: nothing is to be done about it */
    ACTIONS_WAITS,   /* `why` */
    ACTIONS_EXPIRED, /* these two: noted and told, never done */
    ACTIONS_REFUSED, /* `refusal`, `why` */
    ACTIONS_MAY,     /* as far as the journal and the fleet's word go */
};

struct actions_judged {
    enum actions_verdict verdict;
    Muster__Refusal refusal;
    const char *why; /* as long as the moment's */
};
struct actions_judged actions_judge(const struct actions *actions, const struct action *action,
                                    const struct actions_moment *moment);

/* Marks it: as started, or with how it ended without having begun. The caller keeps the journal
 * before it does anything else. ERR_CONFLICT: it is marked already. */
bool actions_mark(struct actions *actions, const struct action *action, Muster__ActionStep step,
                  const uint8_t boot_id[ACTIONS_BOOT_BYTES], const char *text,
                  struct err *err) MUSTER_CHECK;
/* The mark is taken back: it could not be kept, and nothing was begun. */
void actions_unmark(struct actions *actions, const char *id);
/* How one that was started ended; `log` may be NULL. */
void actions_end(struct actions *actions, const char *id, Muster__ActionStep step,
                 const struct actions_log *log, const char *text);
/* After a start of the agent nothing of what was started runs any more: what came of it nobody
 * knows, but that a terminal which has another boot id did restart. True: there was one. */
bool actions_restart(struct actions *actions, const uint8_t boot_id[ACTIONS_BOOT_BYTES]);
/* The journal is gone or cannot be read: what a manifest up to this one named may have been done.
 */
void actions_lost(struct actions *actions, uint64_t epoch, uint64_t version);

#endif
