/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/gate_hook.h"

#include "base/child.h"
#include "base/log.h"
#include "base/said.h"
#include "base/utf8.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    HOLDS_MS = 1000, /* what it said is no news any more */
    FILE_BYTES = 16 * 1024 * 1024,
};

struct gate_hook_program {
    uv_loop_t *loop;
    const struct clock *clock;
    int64_t limit_ms;
    int64_t every_ms;
    struct gate_hook_asker *askers;
    uint64_t turns;
    bool running;
    bool closing;
    bool broken; /* said so in the log, once until it answers again */
    char path[512];
};

bool gate_hook_open(uv_loop_t *loop, const struct clock *clock,
                    const struct gate_hook_settings *settings,
                    struct gate_hook_program **ret_program, struct err *err)
{
    struct gate_hook_program *program = calloc(1, sizeof *program);
    if (program == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory for the gate hook");
    if (strlen(settings->path) >= sizeof program->path) {
        free(program);
        return err_set(err, ERR_INVALID, "the gate hook's path is longer than %zu characters",
                       sizeof program->path - 1);
    }
    program->loop = loop;
    program->clock = clock;
    program->limit_ms = settings->limit_ms;
    program->every_ms = settings->every_ms;
    memcpy(program->path, settings->path, strlen(settings->path) + 1);
    *ret_program = program;
    return true;
}

void gate_hook_close(struct gate_hook_program *program)
{
    if (program == NULL)
        return;
    program->closing = true;
    if (!program->running)
        free(program);
}

/* ---- who waits ---- */

void gate_hook_begin(struct gate_hook_asker *asker)
{
    asker->step = ASKER_QUIET;
    asker->fresh = asker->open = asker->broken = false;
    asker->ask_ms = INT64_MIN;
    (void)snprintf(asker->says, sizeof asker->says, "the gate hook, which is being asked");
}

void gate_hook_join(struct gate_hook_asker *asker, struct gate_hook_program *program,
                    void (*heard)(void *ctx), void *ctx)
{
    *asker = (struct gate_hook_asker){.program = program, .heard = heard, .ctx = ctx};
    gate_hook_begin(asker);
    if (program == NULL)
        return;
    asker->next = program->askers;
    program->askers = asker;
}

void gate_hook_leave(struct gate_hook_asker *asker)
{
    if (asker->program == NULL)
        return;
    struct gate_hook_asker **at = &asker->program->askers;
    while (*at != asker)
        at = &(*at)->next;
    *at = asker->next;
    asker->program = NULL;
}

/* ---- what it says ---- */

static void broke(struct gate_hook_asker *said, const char *how)
{
    said->broken = true;
    (void)snprintf(said->says, sizeof said->says, "the gate hook, which %.100s", how);
    utf8_clean(said->says);
}

static void understand(const struct child_result *result, struct gate_hook_asker *said)
{
    char text[101];
    said_line(result->output, text, sizeof text);
    if (result->timed_out) {
        broke(said, "did not end in time and was killed");
    } else if (result->exit_status == 0) {
        said->open = true;
        (void)snprintf(said->says, sizeof said->says, "the gate hook, which is asked again");
    } else if (result->exit_status == 1) {
        (void)snprintf(said->says, sizeof said->says, "the gate hook: %s",
                       text[0] != '\0' ? text : "busy");
    } else {
        if (result->signal != 0)
            child_signal_words(result, text, sizeof text);
        else
            (void)snprintf(text, sizeof text, "ended with exit %d", result->exit_status);
        broke(said, text);
    }
}

static void log_broken(struct gate_hook_program *program, const struct gate_hook_asker *said)
{
    if (said->broken && !program->broken)
        log_warn("the gate stays shut for %s", said->says);
    program->broken = said->broken;
}

/* To all who were asked for; told afterwards. */
static void note(struct gate_hook_program *program, const struct gate_hook_asker *said)
{
    const int64_t now_ms = clock_boot_ms(program->clock);
    log_broken(program, said);
    for (struct gate_hook_asker *asker = program->askers; asker != NULL; asker = asker->next) {
        if (asker->step != ASKER_ASKED)
            continue;
        asker->step = ASKER_QUIET;
        asker->fresh = true;
        asker->open = said->open;
        asker->broken = said->broken;
        asker->heard_ms = now_ms;
        memcpy(asker->says, said->says, sizeof asker->says);
    }
}

static struct gate_hook_asker *first_fresh(const struct gate_hook_program *program)
{
    struct gate_hook_asker *asker = program->askers;
    while (asker != NULL && !asker->fresh)
        asker = asker->next;
    return asker;
}

/* Who is told may ask again, begin something else, or leave. */
static void tell(const struct gate_hook_program *program)
{
    struct gate_hook_asker *asker = NULL;
    while ((asker = first_fresh(program)) != NULL) {
        asker->fresh = false;
        asker->heard(asker->ctx);
    }
}

/* ---- asking ---- */

static const struct gate_hook_asker *first_queued(const struct gate_hook_program *program)
{
    const struct gate_hook_asker *first = NULL;
    for (const struct gate_hook_asker *asker = program->askers; asker != NULL; asker = asker->next)
        if (asker->step == ASKER_QUEUED && (first == NULL || asker->turn < first->turn))
            first = asker;
    return first;
}

static void on_done(void *ctx, const struct child_result *result);

/* For the first in the queue, and with it for all who want to know the same. */
static void start(struct gate_hook_program *program)
{
    static char transaction[] = "transaction", settled[] = "settled";
    const struct gate_hook_asker *first = first_queued(program);
    struct err err = {0};
    if (program->running || program->closing || first == NULL)
        return;
    const enum gate_kind kind = first->kind;
    for (struct gate_hook_asker *asker = program->askers; asker != NULL; asker = asker->next)
        if (asker->step == ASKER_QUEUED && asker->kind == kind)
            asker->step = ASKER_ASKED;
    char *const argv[] = {program->path, kind == GATE_QUIET ? transaction : settled, NULL};
    program->running = child_run_alone(program->loop, argv, NULL, program->limit_ms, FILE_BYTES,
                                       on_done, program, &err);
    if (program->running)
        return;
    struct gate_hook_asker said = {0};
    broke(&said, err.text);
    note(program, &said);
}

static void on_done(void *ctx, const struct child_result *result)
{
    struct gate_hook_program *program = ctx;
    struct gate_hook_asker said = {0};
    program->running = false;
    if (program->closing) {
        free(program);
        return;
    }
    understand(result, &said);
    note(program, &said);
    start(program);
    while (!program->running && first_queued(program) != NULL)
        start(program);
    tell(program);
}

void gate_hook_ask(struct gate_hook_asker *asker, enum gate_kind kind, bool useful)
{
    struct gate_hook_program *program = asker->program;
    if (program == NULL)
        return;
    if (asker->kind != kind)
        gate_hook_begin(asker);
    asker->kind = kind;
    if (!useful) {
        asker->ask_ms = INT64_MIN;
        asker->step = asker->step == ASKER_QUEUED ? ASKER_QUIET : asker->step;
    }
    if (!useful || gate_hook_due_ms(asker) > 0)
        return;
    asker->step = ASKER_QUEUED;
    asker->turn = ++program->turns;
    asker->ask_ms = clock_boot_ms(program->clock) + program->every_ms;
    start(program);
    asker->fresh = false; /* it sees for itself what could not be begun */
}

int64_t gate_hook_due_ms(const struct gate_hook_asker *asker)
{
    if (asker->program == NULL || asker->step != ASKER_QUIET)
        return INT64_MAX;
    const int64_t now_ms = clock_boot_ms(asker->program->clock);
    return asker->ask_ms > now_ms ? asker->ask_ms - now_ms : 0;
}

enum gate_hook gate_hook_now(const struct gate_hook_asker *asker)
{
    if (asker->program == NULL)
        return GATE_HOOK_NONE;
    return asker->open && clock_boot_ms(asker->program->clock) - asker->heard_ms <= HOLDS_MS
               ? GATE_HOOK_OPEN
               : GATE_HOOK_BUSY;
}

const char *gate_hook_says(const struct gate_hook_asker *asker)
{
    return asker->says;
}

bool gate_hook_broken(const struct gate_hook_asker *asker)
{
    return asker->broken;
}
