/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_GATE_HOOK_H
#define AGENT_GATE_HOOK_H

#include "agent/gate.h"
#include "base/clock.h"
#include "base/err.h"

#include <uv.h>

/*
 * The terminal's own program that says whether the payment application is in the middle of
 * something (sample/gate-hook), asked for all who wait: one process at a time, and one answer for
 * all of a kind who asked before it was begun. Loop only.
 */
struct gate_hook_program;

struct gate_hook_settings {
    const char *path; /* absolute, copied; run as: path transaction|settled */
    int64_t limit_ms; /* then its process group is killed */
    int64_t every_ms; /* between two answers to the same one who waits */
};

bool gate_hook_open(uv_loop_t *loop, const struct clock *clock,
                    const struct gate_hook_settings *settings,
                    struct gate_hook_program **ret_program, struct err *err) MUSTER_CHECK;
/* All who asked have left. It is freed at once, or when the process that runs has ended. NULL: ok.
 */
void gate_hook_close(struct gate_hook_program *program);

enum { GATE_HOOK_SAYS_CHARS = 127 };

/* One who waits: lives with its owner, zeroed until it joins; the fields are the module's. */
struct gate_hook_asker {
    struct gate_hook_program *program; /* NULL: there is none, so nothing waits for it */
    struct gate_hook_asker *next;
    void (*heard)(void *ctx);
    void *ctx;
    enum gate_kind kind;
    enum { ASKER_QUIET, ASKER_QUEUED, ASKER_ASKED } step;
    uint64_t turn; /* who asked first is asked for first */
    bool fresh;    /* heard, and not told yet */
    bool open, broken;
    int64_t heard_ms, ask_ms;
    char says[GATE_HOOK_SAYS_CHARS + 1];
};

/* `program` may be NULL. `heard` is called from the loop, never from a call made here. */
void gate_hook_join(struct gate_hook_asker *asker, struct gate_hook_program *program,
                    void (*heard)(void *ctx), void *ctx);
/* Nothing is called any more. Also for one that never joined. */
void gate_hook_leave(struct gate_hook_asker *asker);
/* Something else waits from now on: what was said of what waited before is no answer to it. */
void gate_hook_begin(struct gate_hook_asker *asker);
/* Asks if it is time to. Not `useful`: something else keeps the gate shut; nothing is asked before
 * it does not, and then at once. */
void gate_hook_ask(struct gate_hook_asker *asker, enum gate_kind kind, bool useful);
/* OPEN only just after it was said: a sale may have begun since. */
enum gate_hook gate_hook_now(const struct gate_hook_asker *asker);
/* What waits for it waits for, in words: for gate_look. */
const char *gate_hook_says(const struct gate_hook_asker *asker);
/* It could not be asked, or broke its rules, so somebody should know; says tells what. */
bool gate_hook_broken(const struct gate_hook_asker *asker);
/* Until it may be asked again; INT64_MAX: it is being asked, or there is none. */
int64_t gate_hook_due_ms(const struct gate_hook_asker *asker);

#endif
