/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_INSTALLER_H
#define AGENT_INSTALLER_H

#include "agent/gate_hook.h"
#include "agent/packages.h"
#include "agent/placing.h"
#include "base/clock.h"
#include "proto/arena.h"

#include <uv.h>

/*
 * Hands applications and firmware that are in force to this terminal's installer, and asks what
 * runs. One program runs at a time, in a group of its own, with a time limit. What is handed over
 * is hashed first, on a worker, and stays readable whatever generation comes meanwhile. Not
 * thread-safe: loop only.
 */
struct installer;

struct installer_settings {
    const char *book;         /* <state>/packages */
    const char *dir;          /* <state>/install: what is handed over, while it is */
    const char *hook;         /* absolute path; "": none. kind name version path; exit 0: taken */
    const char *version_hook; /* absolute path; "": none. kind name; prints what runs */
    const char *model;        /* of this terminal */
    int64_t hook_limit_ms, version_limit_ms; /* then the program and its children are killed */
    int64_t limit_ms;                        /* from handing over until the version must run */
    int64_t check_every_ms;                  /* 0: only when told to */
    struct gate_policy gate;
    struct gate_hook_program *gate_hook; /* NULL: none; outlives the installer's closing */
    int64_t gate_every_ms;               /* a look at the gate at the latest */
};

struct installer_events {
    /* The packages in force; at most `max`, returns how many. */
    size_t (*wanted)(void *ctx, struct package_wanted *ret_wanted, size_t max);
    /* Where the file of one is; `path` takes REGISTRY_PATH_BYTES. */
    bool (*path)(void *ctx, const char *name, char *path, struct err *err);
    /* What the payment application is in the middle of; NULL: there is none. */
    void (*lease)(void *ctx, struct gate_lease *ret_lease);
    /* Is the terminal or its application being restarted, or about to be? NULL: never. */
    bool (*restarting)(void *ctx);
    void (*ended)(void *ctx); /* the installer has; may be NULL */
    void (*event)(void *ctx, const Muster__Event *event);
    void (*changed)(void *ctx); /* installer_state says something else than before */
};

bool installer_open(uv_loop_t *loop, const struct clock *clock,
                    const struct installer_settings *settings,
                    const struct installer_events *events, void *ctx,
                    struct installer **ret_installer, struct err *err) MUSTER_CHECK;
/* `closed` is called once, when nothing runs any more. */
void installer_close(struct installer *installer, void (*closed)(void *ctx), void *ctx);

/* Others may be in force, a check is due: asks at once, or after what runs. */
void installer_look(struct installer *installer);
/* What the application is in the middle of is not what it was. */
void installer_look_at_gate(struct installer *installer);
/* What was refused is tried again: a person wants it. */
void installer_forgive(struct installer *installer);
/* The version that the terminal said last that it runs; "": it was not asked, or did not say. */
const char *installer_running(const struct installer *installer, const char *name);
/* The package that waits for its gate, if one does; false: no memory. */
bool installer_placing(const struct installer *installer, struct arena *arena,
                       Muster__Placing **ret_row) MUSTER_CHECK;
/* Does the package of this digest (package_wanted_digest) wait? */
bool installer_waits(const struct installer *installer, const uint8_t digest[32]);
/* A person has just this package handed over now; `who` is told. False: it does not wait. */
bool installer_decide(struct installer *installer, const uint8_t digest[32], const char *who);

/* The installer runs: what restarts the terminal or its application waits for `ended`. */
bool installer_installing(const struct installer *installer);

/* Says of each package in force that does not run yet that it is being placed, or why it is
 * refused. */
bool installer_state(const struct installer *installer, struct arena *arena,
                     Muster__StateReport *state, struct err *err) MUSTER_CHECK;

#endif
