/* SPDX-License-Identifier: Apache-2.0 */
/* A key is replaced when the payment application has nothing open: no transaction, no reversal, no
 * batch (agent/gate.h). A generation with a new key has waited for that before it came in force;
 * what is placed later, or again, waits by itself. */
#include "agent/keyring_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { KEEP_EVERY_MS = 5 * 60000 }; /* of waiting */
#define GATE gate_of(MUSTER__DOCUMENT_KIND__DOCUMENT_KEY_BLOCK)

static int64_t waited_ms(const struct keyring *keyring)
{
    const struct keyring_gate *gate = &keyring->gate;
    return keyring->waiting
               ? keyring->book.waited_ms + clock_boot_ms(keyring->clock) - gate->since_ms
               : keyring->book.waited_ms;
}

static struct gate_answer look_with(const struct keyring *keyring, enum gate_hook hook)
{
    /* Where nobody ever says, its generation has waited long enough. */
    const struct gate_policy policy = {.alone_ms = 0, .patience_ms = keyring->gate.patience_ms};
    struct gate_look look = {.kind = GATE,
                             .hook = hook,
                             .hook_says = gate_hook_says(&keyring->gate.hook),
                             .waited_ms = waited_ms(keyring),
                             .decided = keyring->gate.decided};
    if (keyring->events.lease != NULL)
        keyring->events.lease(keyring->ctx, &look.lease);
    return gate_look(&policy, &look);
}

static void on_heard(void *ctx)
{
    keyring_go_on(ctx);
}

/* ---- waiting ---- */

static void begin(struct keyring *keyring)
{
    struct keyring_gate *gate = &keyring->gate;
    keyring->waiting = true;
    gate->since_ms = clock_boot_ms(keyring->clock);
    gate_hook_begin(&gate->hook);
}

/* How long it has waited outlives restarts: terminals are switched off at night. */
static void keep(struct keyring *keyring)
{
    struct keyring_gate *gate = &keyring->gate;
    keyring->book.waited_ms = waited_ms(keyring);
    gate->since_ms = clock_boot_ms(keyring->clock);
    keyring_keep(keyring);
}

bool keyring_gate_open(struct keyring *keyring)
{
    struct keyring_gate *gate = &keyring->gate;
    const bool began = !keyring->waiting;
    if (look_with(keyring, gate_hook_now(&keyring->gate.hook)).open)
        return true;
    if (began)
        begin(keyring);
    else if (clock_boot_ms(keyring->clock) - gate->since_ms >= KEEP_EVERY_MS)
        keep(keyring);
    gate_hook_ask(&gate->hook, GATE, keyring_gate_likely(keyring));
    return false;
}

void keyring_gate_done(struct keyring *keyring)
{
    keyring->gate.decided = false;
    keyring->waiting = false;
    if (keyring->book.waited_ms == 0)
        return;
    keyring->book.waited_ms = 0;
    keyring_keep(keyring);
}

void keyring_gate_join(struct keyring *keyring, struct gate_hook_program *hook)
{
    gate_hook_join(&keyring->gate.hook, hook, on_heard, keyring);
}

void keyring_gate_close(struct keyring *keyring)
{
    if (keyring->waiting)
        keep(keyring);
    gate_hook_leave(&keyring->gate.hook);
}

unsigned keyring_gate_why(const struct keyring *keyring, char ret_why[KEYS_WHY_CHARS + 1])
{
    const struct gate_answer answer = look_with(keyring, gate_hook_now(&keyring->gate.hook));
    const int64_t hours = keyring->gate.patience_ms / 3600000;
    if (answer.open)
        (void)snprintf(ret_why, KEYS_WHY_CHARS + 1, "it goes into its slot now");
    else if (answer.ask)
        (void)snprintf(ret_why, KEYS_WHY_CHARS + 1,
                       "it waits for %.60s, for %" PRId64
                       " h already: a person should look; `muster apply` places it",
                       answer.waits_for, hours);
    else
        (void)snprintf(ret_why, KEYS_WHY_CHARS + 1,
                       "it waits for %.60s; after %" PRId64 " h a person is asked",
                       answer.waits_for, hours);
    return answer.ask ? 2 : waited_ms(keyring) >= keyring->gate.every_ms ? 1 : 0;
}

uint64_t keyring_gate_wait_ms(const struct keyring *keyring)
{
    const int64_t due_ms = gate_hook_due_ms(&keyring->gate.hook);
    const int64_t every_ms = keyring->gate.every_ms;
    return (uint64_t)(due_ms > 0 && due_ms < every_ms ? due_ms : every_ms);
}

bool keyring_gate_likely(const struct keyring *keyring)
{
    return look_with(keyring, GATE_HOOK_OPEN).open;
}

bool keyring_decide(struct keyring *keyring, const char *who)
{
    if (!keyring->waiting || keyring->closing)
        return false;
    const struct gate_answer answer = look_with(keyring, gate_hook_now(&keyring->gate.hook));
    keyring_tell_decided(keyring, who, answer.waits_for);
    keyring->gate.decided = true;
    keyring_look(keyring);
    return true;
}

bool keyring_placing(const struct keyring *keyring)
{
    return keyring->loading;
}

void keyring_leased(struct keyring *keyring)
{
    if (keyring->waiting && !keyring->running && !keyring->closing)
        keyring_go_on(keyring);
}
