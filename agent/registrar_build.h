/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_REGISTRAR_BUILD_H
#define AGENT_REGISTRAR_BUILD_H

#include "agent/registrar_internal.h"

/* A generation on its way into force: built anew (registrar_build.c), or the last good one that
 * comes back (registrar_return.c). */

struct come_back {
    uint64_t from; /* the generation that is taken back */
    uint64_t good; /* that comes back, as it stands; 0: its documents in a new one, with what cannot
                      go back or is another's, and with what is damaged in it made again */
    bool as_listed;                     /* all of it comes back */
    bool carry_current[REGISTRY_ITEMS]; /* which documents stay as they are in force */
    bool owned[REGISTRY_ITEMS];         /* and which of those are another's to write */
    struct registry_generation source;  /* the good one */
    struct registry_returns returns;    /* to be kept before the switch; the newest is this one */
    bool fails; /* that a manifest wants what is taken back is told with it */
};

enum build_outcome {
    BUILD_READY,
    BUILD_OTHER,  /* one way to an item's content leads nowhere, and there is another */
    BUILD_LACKS,  /* a blob or a carried file is not what it was thought to be: look again */
    BUILD_FAILED, /* this manifest does not pass and is not to be tried again */
    BUILD_BROKEN, /* disk or memory */
};

struct build_job {
    struct job job;
    struct registry_generation target;
    struct registry_generation current;
    bool carry[REGISTRY_ITEMS]; /* one for each item of the target */
    bool may_write[REGISTRY_ITEMS];
    struct content_source sources[REGISTRY_ITEMS]; /* of what is not carried */
    size_t other;                                  /* the item whose source leads nowhere */
    struct buf manifest;
    uint64_t manifest_version;
    struct desired_digests wants; /* by that manifest */
    uint64_t spare;               /* a generation that must go first to make room, 0: none */
    enum build_outcome outcome;
    bool recheck;         /* a carried file is unsound */
    struct blob_set lost; /* the store has them not, or had them damaged */
    struct registry_failure failure;
    struct err err;
    struct kept kept; /* commit: what stays */
    bool switched;
    struct registry_probation probation; /* as it is to be kept after the switch, if `present` */
    struct come_back *back;              /* the last good one comes back; NULL: a new one */
};

/* Whole and on the medium: the hook looks at it, then its gate does. */
void build_ready(struct registrar *registrar, struct build_job *build);
/* Around the switch, on the loop. */
void build_before(struct registrar *registrar, struct build_job *build);
void build_in_force(struct registrar *registrar, struct build_job *build);

/* The return waits for its gate. */
void return_waits(struct registrar *registrar, struct build_job *build);
/* The hook has said no to what would come back. */
void return_refused(struct registrar *registrar, struct build_job *build, const struct err *why);
/* On a worker: what must be on the medium before the last good one is in force again. */
bool come_back_run(struct build_job *build, struct err *err) MUSTER_CHECK;
/* The manifest of this build is not tried again: `failure` says why. */
void reject_start(struct registrar *registrar, struct build_job *build);
void build_note_failure(struct build_job *build, bool content, const struct err *why);

#endif
