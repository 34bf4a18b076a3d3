/* SPDX-License-Identifier: Apache-2.0 */
/* A key is replaced when the payment application has nothing open: no transaction, no reversal, no
 * batch (agent/gate.h). A generation with a new key has waited for that before it came in force;
 * what is placed later, or again, waits by itself. */
#include "agent/keyring_internal.h"
#include "base/span.h"

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

/* Where it stands among those that were decided about; their count: it was not. */
static size_t decided_at(const struct keyring *keyring, const struct key_wanted *wanted)
{
    const struct keyring_gate *gate = &keyring->gate;
    uint8_t digest[32];
    size_t i = 0;
    if (wanted == NULL)
        return gate->decided_count;
    keys_wanted_digest(wanted, digest);
    while (i < gate->decided_count && memcmp(gate->decided[i], digest, sizeof digest) != 0)
        i++;
    return i;
}

/* `wanted` NULL: one about which nobody has decided. */
static struct gate_answer look_with(const struct keyring *keyring, const struct key_wanted *wanted,
                                    enum gate_hook hook)
{
    /* Where nobody ever says, its generation has waited long enough. */
    const struct gate_policy policy = {.alone_ms = 0, .patience_ms = keyring->gate.patience_ms};
    struct gate_look look = {.kind = GATE,
                             .hook = hook,
                             .hook_says = gate_hook_says(&keyring->gate.hook),
                             .waited_ms = waited_ms(keyring),
                             .decided = decided_at(keyring, wanted) < keyring->gate.decided_count};
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

bool keyring_gate_open(struct keyring *keyring, const struct key_wanted *wanted)
{
    struct keyring_gate *gate = &keyring->gate;
    const bool began = !keyring->waiting;
    if (look_with(keyring, wanted, gate_hook_now(&keyring->gate.hook)).open)
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

unsigned keyring_gate_why(const struct keyring *keyring, const struct key_wanted *wanted,
                          char ret_why[KEYS_WHY_CHARS + 1])
{
    const struct gate_answer answer =
        look_with(keyring, wanted, gate_hook_now(&keyring->gate.hook));
    char patience[SPAN_WORDS_CHARS];
    span_words(keyring->gate.patience_ms, true, patience);
    if (answer.open)
        (void)snprintf(ret_why, KEYS_WHY_CHARS + 1, "it goes into its slot now");
    else if (answer.ask)
        (void)snprintf(ret_why, KEYS_WHY_CHARS + 1,
                       "it waits for %.60s, for %s already: a person should look; `muster apply` "
                       "places it",
                       answer.waits_for, patience);
    else
        (void)snprintf(ret_why, KEYS_WHY_CHARS + 1,
                       "it waits for %.60s; after %s a person is asked", answer.waits_for,
                       patience);
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
    return look_with(keyring, NULL, GATE_HOOK_OPEN).open;
}

/* ---- what waits, and what a person decides about it ---- */

static bool is_waiting(const struct keyring *keyring, size_t i)
{
    return keyring->waiting && !keyring->closing && keyring->verdicts[i].place;
}

static bool placing_of(const struct keyring *keyring, const struct key_wanted *wanted,
                       struct arena *arena, Muster__Placing **ret_row)
{
    char version[16];
    struct placing placing = {
        .name = wanted->name,
        .version = version,
        .slot = wanted->placement.slot,
        .answer = look_with(keyring, wanted, gate_hook_now(&keyring->gate.hook)),
        .waited_ms = waited_ms(keyring),
    };
    (void)snprintf(version, sizeof version, "%u", wanted->placement.key_version);
    keys_wanted_digest(wanted, placing.digest);
    *ret_row = placing_tell(&placing, arena);
    return *ret_row != NULL;
}

bool keyring_placings(const struct keyring *keyring, struct arena *arena, Muster__Placing **rows,
                      size_t *ret_count)
{
    size_t count = 0;
    for (size_t i = 0; i < keyring->wanted_count; i++)
        if (is_waiting(keyring, i) &&
            !placing_of(keyring, &keyring->wanted[i], arena, &rows[count++]))
            return false;
    *ret_count = count;
    return true;
}

static const struct key_wanted *waiting_of(const struct keyring *keyring, const uint8_t digest[32])
{
    uint8_t own[32];
    for (size_t i = 0; i < keyring->wanted_count; i++) {
        keys_wanted_digest(&keyring->wanted[i], own);
        if (is_waiting(keyring, i) && memcmp(own, digest, sizeof own) == 0)
            return &keyring->wanted[i];
    }
    return NULL;
}

bool keyring_waits(const struct keyring *keyring, const uint8_t digest[32])
{
    return waiting_of(keyring, digest) != NULL;
}

bool keyring_decide(struct keyring *keyring, const uint8_t digest[32], const char *who)
{
    struct keyring_gate *gate = &keyring->gate;
    const struct key_wanted *wanted = waiting_of(keyring, digest);
    if (wanted == NULL)
        return false;
    if (decided_at(keyring, wanted) == gate->decided_count && gate->decided_count < KEYS_SLOTS) {
        const struct gate_answer answer = look_with(keyring, wanted, gate_hook_now(&gate->hook));
        keyring_tell_decided(keyring, wanted, who, answer.waits_for);
        memcpy(gate->decided[gate->decided_count++], digest, sizeof gate->decided[0]);
    }
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
