/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_INSTALLER_INTERNAL_H
#define AGENT_INSTALLER_INTERNAL_H

#include "agent/installer.h"
#include "agent/packages_book.h"
#include "base/child.h"

/* One package in force, and what is known of it. */
struct installer_item {
    struct package_wanted wanted;
    char running[PACKAGE_VERSION_CHARS + 1];
    char trouble[PACKAGE_WHY_CHARS + 1];
    struct package_verdict verdict;
    bool held_up; /* by what may pass */
};

enum installer_doing {
    DOING_NOTHING,
    DOING_ASK,     /* the version hook runs, for items[at] */
    DOING_HASH,    /* a worker looks at the file */
    DOING_INSTALL, /* the hook runs */
};

struct installer {
    uv_loop_t *loop;
    const struct clock *clock;
    struct installer_events events;
    void *ctx;
    char book_path[512], dir[512], hook[256], version_hook[256];
    char model[PACKAGE_MODEL_CHARS + 1];
    struct gate_policy gate;
    struct gate_hook_asker asker;
    int64_t hook_limit_ms, version_limit_ms, limit_ms;
    uint64_t check_every_ms, gate_every_ms;
    uint8_t boot_id[16];
    uv_timer_t timer;

    struct packages_book book;
    size_t count, at;
    struct installer_item items[PACKAGES_MAX];
    struct package_wanted ready; /* hashed, and at `ready_path`; name "": nothing is */
    char ready_path[1024];
    bool waiting, asked_person, decided; /* of what is ready */
    bool alone;                          /* it waits for an application that was never heard of */
    bool held;                           /* it waits for the end of a restart, whoever decides */
    int64_t waited_ms, waiting_since_ms; /* so long before, and since then */
    int64_t wait_kept_ms;                /* when that was written down */
    char waits_for[GATE_WORDS_CHARS];

    enum installer_doing doing;
    bool again, closing, timer_open;
    void (*closed)(void *ctx);
    void *closed_ctx;
    uint8_t reported[32];
};

/* installer.c */
bool installer_run(struct installer *installer, enum installer_doing doing, char *const argv[],
                   int64_t limit_ms, void (*done)(void *ctx, const struct child_result *result),
                   struct err *err) MUSTER_CHECK;
/* Nothing runs any more. True: go on; false: it is closing. */
bool installer_ran(struct installer *installer);
/* Hands over the first that is to be, or plans the next look. */
void installer_next(struct installer *installer);
/* The next look: soon while something waits. */
void installer_plan(struct installer *installer);
void installer_judge(struct installer *installer);
bool installer_keep(struct installer *installer, struct err *err) MUSTER_CHECK;

/* installer_hand.c: hashes it, waits for its gate, marks it, runs the hook. */
void installer_hand_over(struct installer *installer, const struct package_wanted *wanted);
void installer_drop_ready(struct installer *installer);

/* installer_gate.c: what became ready begins to wait. */
void installer_gate_begin(struct installer *installer);
/* False: it waits, and is looked at again when something is heard, or in a while. */
bool installer_gate_open(struct installer *installer);
/* The gate hook was just asked for the first time: what it says will be told. */
bool installer_gate_asks(const struct installer *installer);
/* How long it has waited goes into the book. */
void installer_gate_keep(struct installer *installer);

/* installer_tell.c: what is different from what was told last, as events and to `changed`. */
void installer_tell(struct installer *installer);
/* That somebody has what waits handed over, whatever it waits for. */
void installer_tell_decided(struct installer *installer, const char *who);

#endif
