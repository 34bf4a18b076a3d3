/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/keyring.h"

#include "agent/keyring_internal.h"
#include "base/file.h"
#include "base/log.h"
#include "base/utf8.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    FRESH_MS = 60000,        /* what was said of the slots while a key waits for them */
    KEEP_ALONE_MS = 3600000, /* of the sign-on's age, where no slot is asked by a timer */
};

/* ---- what is noted ---- */

static struct key_attempt *attempt_of(struct keyring *keyring, const struct key_wanted *wanted)
{
    for (size_t i = 0; i < keyring->refused_count; i++) {
        struct key_attempt *attempt = &keyring->refused[i];
        if (memcmp(attempt->sha256, wanted->sha256, 32) == 0 &&
            key_placement_equal(&attempt->placement, &wanted->placement))
            return attempt;
    }
    return NULL;
}

static void note(struct keyring *keyring, const struct key_wanted *wanted, Muster__Refusal refusal,
                 const char *why)
{
    struct key_attempt *attempt = attempt_of(keyring, wanted);
    if (attempt == NULL) {
        if (keyring->refused_count == KEYS_SLOTS) /* of what is wanted no more, most likely */
            keyring->refused_count = 0;
        attempt = &keyring->refused[keyring->refused_count++];
    }
    *attempt = (struct key_attempt){.placement = wanted->placement, .refusal = refusal};
    memcpy(attempt->sha256, wanted->sha256, sizeof attempt->sha256);
    (void)snprintf(attempt->why, sizeof attempt->why, "%.*s", KEYS_WHY_CHARS, why);
    utf8_clean(attempt->why);
    log_warn("%s: not placed in slot %s: %s", wanted->name, wanted->placement.slot, attempt->why);
}

void keyring_refused(struct keyring *keyring, const struct key_wanted *wanted,
                     Muster__Refusal refusal, const char *why)
{
    note(keyring, wanted, refusal, why);
}

void keyring_hindered(struct keyring *keyring, const struct key_wanted *wanted, const char *what,
                      const char *why)
{
    char text[KEYS_WHY_CHARS + 1];
    (void)snprintf(text, sizeof text, "%s: %.90s; tried again with the next check", what, why);
    note(keyring, wanted, MUSTER__REFUSAL__REFUSAL_NONE, text);
}

static void forget(struct keyring *keyring, const struct key_wanted *wanted)
{
    struct key_attempt *attempt = attempt_of(keyring, wanted);
    if (attempt != NULL)
        *attempt = keyring->refused[--keyring->refused_count];
}

/* Another check, so what could not be done is due again. */
static void forget_hindrances(struct keyring *keyring)
{
    for (size_t i = 0; i < keyring->refused_count; i++)
        keyring->refused[i].again = keyring->refused[i].refusal == MUSTER__REFUSAL__REFUSAL_NONE;
}

void keyring_trouble(struct keyring *keyring, const char *what, const char *why)
{
    keyring->gate.decided_count = 0; /* that was for now */
    (void)snprintf(keyring->trouble, sizeof keyring->trouble, "%s: %.100s", what, why);
    utf8_clean(keyring->trouble);
    log_warn("key slots: %s", keyring->trouble);
}

void keyring_keep(struct keyring *keyring)
{
    struct err err = {0};
    keys_book_age(&keyring->book, keyring->boot_id, clock_boot_ms(keyring->clock));
    if (!keys_book_write(keyring->book_path, &keyring->book, &err))
        log_error("%s", err.text);
}

/* ---- judging ---- */

const struct key_verdict *keyring_verdict_of(const struct keyring *keyring,
                                             const struct key_wanted *wanted)
{
    static const struct key_verdict unknown = {.why = "the key slots are not asked yet"};
    for (size_t i = 0; i < keyring->wanted_count; i++) {
        if (keys_wanted_equal(&keyring->wanted[i], wanted))
            return &keyring->verdicts[i];
    }
    return &unknown;
}

/* What is known of those that stay is kept until the slots have been asked. */
static void take_wanted(struct keyring *keyring)
{
    struct key_wanted wanted[KEYS_SLOTS];
    struct key_verdict verdicts[KEYS_SLOTS];
    const size_t all = keyring->events.wanted(keyring->ctx, wanted, KEYS_SLOTS);
    const size_t count = all < KEYS_SLOTS ? all : KEYS_SLOTS;
    keyring->surplus = all - count;
    for (size_t i = 0; i < count; i++)
        verdicts[i] = *keyring_verdict_of(keyring, &wanted[i]);
    if (count > 0) {
        memcpy(keyring->wanted, wanted, count * sizeof *wanted);
        memcpy(keyring->verdicts, verdicts, count * sizeof *verdicts);
    }
    keyring->wanted_count = count;
}

static void judge_one(struct keyring *keyring, size_t i)
{
    const struct key_wanted *wanted = &keyring->wanted[i];
    struct key_verdict *verdict = &keyring->verdicts[i];
    keyring->hindered[i] = false;
    keyring->phases[i] = 0;
    if (!keyring->asked) {
        *verdict = (struct key_verdict){.state = MUSTER__KEY_SLOT_STATE__KEY_SLOT_UNKNOWN};
        (void)snprintf(verdict->why, sizeof verdict->why, "%s",
                       keyring->trouble[0] != '\0' ? keyring->trouble
                                                   : "the key loader has not answered yet");
        return;
    }
    if (wanted->mode != MUSTER__ASSIGN_MODE__MODE_REPAIR) {
        keys_judge_observed(wanted, &keyring->inventory, verdict);
        return;
    }
    keys_judge(&wanted->placement, &keyring->inventory, &keyring->book.floors, verdict);
    const struct key_attempt *attempt = attempt_of(keyring, wanted);
    if (verdict->place && keyring->waiting)
        keyring->phases[i] = (uint8_t)keyring_gate_why(keyring, wanted, verdict->why);
    if (!verdict->place || attempt == NULL)
        return;
    keyring->hindered[i] = attempt->refusal == MUSTER__REFUSAL__REFUSAL_NONE;
    verdict->place = attempt->again;
    verdict->refusal = attempt->refusal;
    memcpy(verdict->why, attempt->why, sizeof verdict->why);
}

void keyring_judge(struct keyring *keyring)
{
    bool raised = false;
    for (size_t i = 0; i < keyring->wanted_count; i++) {
        judge_one(keyring, i);
        if (keyring->verdicts[i].state == MUSTER__KEY_SLOT_STATE__KEY_SLOT_OK &&
            keyring->wanted[i].mode == MUSTER__ASSIGN_MODE__MODE_REPAIR)
            raised =
                keys_floor_raise(&keyring->book.floors, &keyring->wanted[i].placement) || raised;
    }
    if (raised)
        keyring_keep(keyring);
    keyring_tell(keyring);
}

/* ---- running the loader ---- */

bool keyring_run(struct keyring *keyring, char *const argv[], char *const env[], struct bytes input,
                 void (*done)(void *ctx, const struct child_result *result), struct err *err)
{
    keyring->running =
        child_run_fed(keyring->loop, argv, env, input, keyring->limit_ms, done, keyring, err);
    return keyring->running;
}

static void on_timer(uv_timer_t *timer);

void keyring_plan(struct keyring *keyring)
{
    uint64_t wait_ms = keyring->waiting ? keyring_gate_wait_ms(keyring) : keyring->check_every_ms;
    if (wait_ms == 0 && keyring->book.sign_on_count > 0)
        wait_ms = KEEP_ALONE_MS;
    if (!keyring->closing && wait_ms > 0)
        (void)uv_timer_start(&keyring->timer, on_timer, wait_ms, 0);
}

/* The first that is to be placed; a refused one is passed over. */
static void place_next(struct keyring *keyring)
{
    bool waits = false;
    for (size_t i = 0; i < keyring->wanted_count && !keyring->closing; i++) {
        if (!keyring->verdicts[i].place)
            continue;
        const struct key_wanted wanted = keyring->wanted[i];
        if (!keyring_gate_open(keyring, &wanted)) {
            waits = true; /* another may have been decided about */
            continue;
        }
        if (keyring_place(keyring, &wanted))
            return;
        keyring_judge(keyring);
    }
    if (!waits)
        keyring_gate_done(keyring);
    keyring->gate.decided_count = 0;
    if (waits)
        keyring_judge(keyring);
    keyring_plan(keyring);
}

/* A hook's word is only good for a moment, and what the slots hold was asked just before it. */
void keyring_go_on(struct keyring *keyring)
{
    if (keyring->running || !keyring->waiting)
        return;
    const bool hook = keyring->gate.hook.program != NULL;
    const bool stale = clock_boot_ms(keyring->clock) - keyring->asked_ms > FRESH_MS;
    if ((hook && stale && keyring_gate_likely(keyring)) ||
        (!hook && keyring_gate_open(keyring, NULL)))
        keyring_look(keyring);
    else
        place_next(keyring);
}

static void on_inventory(void *ctx, const struct child_result *result);

static void begin(struct keyring *keyring)
{
    static char path[] = "PATH=/usr/sbin:/usr/bin:/sbin:/bin", lang[] = "LANG=C",
                verb[] = "inventory";
    char *const argv[] = {keyring->loader, verb, NULL};
    char *const env[] = {path, lang, NULL};
    struct err err = {0};
    keyring->again = false;
    take_wanted(keyring);
    keyring->asked = keyring->asked && keyring->loader[0] != '\0';
    if (keyring->loader[0] == '\0') {
        (void)snprintf(keyring->trouble, sizeof keyring->trouble,
                       "no key loader is set on this terminal (keys.loader)");
    } else if (keyring_run(keyring, argv, env, bytes_of("", 0), on_inventory, &err)) {
        return;
    } else {
        keyring_trouble(keyring, "the key loader cannot be run", err.text);
        keyring->asked = false;
    }
    keyring_judge(keyring);
    keyring_plan(keyring);
}

/* A loader's end, whatever came of it. */
void keyring_ran(struct keyring *keyring)
{
    keyring->running = false;
    keyring_ended(keyring);
}

void keyring_ended(struct keyring *keyring)
{
    if (!keyring->closing || keyring->timer_open || keyring->running)
        return;
    keyring->closed(keyring->closed_ctx);
    free(keyring);
}

static void take_inventory(struct keyring *keyring, const struct child_result *result)
{
    struct err err = {0};
    char why[KEYS_WHY_CHARS + 1];
    keyring->asked = false;
    if (result->timed_out) {
        keyring_trouble(keyring, "the key loader", "it did not end in time and was killed");
    } else if (result->truncated) {
        keyring_trouble(keyring, "the key loader", "it says more than is read");
    } else if (result->exit_status != 0) {
        keys_say_why(result->output, why);
        keyring_trouble(keyring, "the key loader does not say what is in the slots",
                        why[0] != '\0' ? why : "it gave no reason");
    } else if (!keys_say_inventory(result->output, &keyring->inventory, &err)) {
        keyring_trouble(keyring, "the key loader", err.text);
    } else {
        keyring->asked = true;
        keyring->asked_ms = clock_boot_ms(keyring->clock);
        keyring->trouble[0] = '\0';
    }
}

/* What was just loaded is in its slot now, or the loader says one thing and does another. */
static void confirm(struct keyring *keyring)
{
    struct key_verdict verdict;
    const struct key_wanted placed = keyring->placing;
    if (!keyring->asked || placed.name[0] == '\0')
        return;
    keyring->placing.name[0] = '\0';
    keys_judge(&placed.placement, &keyring->inventory, &keyring->book.floors, &verdict);
    if (verdict.state == MUSTER__KEY_SLOT_STATE__KEY_SLOT_OK) {
        forget(keyring, &placed);
        keyring_tell_placed(keyring, &placed);
    } else {
        keyring_refused(keyring, &placed, MUSTER__REFUSAL__REFUSAL_KEY_KCV,
                        "the loader took the block, and the slot does not hold its key");
    }
}

static void on_inventory(void *ctx, const struct child_result *result)
{
    struct keyring *keyring = ctx;
    if (keyring->closing) {
        keyring_ran(keyring);
        return;
    }
    keyring->running = false;
    take_inventory(keyring, result);
    confirm(keyring);
    keyring_keep_age(keyring);
    if (keyring->again) {
        begin(keyring);
        return;
    }
    keyring_judge(keyring);
    place_next(keyring);
}

void keyring_ask(struct keyring *keyring)
{
    if (keyring->closing)
        return;
    if (keyring->running)
        keyring->again = true;
    else
        begin(keyring);
}

void keyring_look(struct keyring *keyring)
{
    forget_hindrances(keyring);
    keyring_ask(keyring);
}

void keyring_check(struct keyring *keyring)
{
    keyring->refused_count = 0;
    keyring_untold(keyring);
    keyring_look(keyring);
}

void keyring_untold(struct keyring *keyring)
{
    memset(keyring->told, 0, sizeof keyring->told);
}

/* ---- opening and closing ---- */

static void on_timer(uv_timer_t *timer)
{
    struct keyring *keyring = timer->data;
    if (keyring->waiting) {
        keyring_go_on(keyring);
    } else if (keyring->check_every_ms > 0) {
        keyring_look(keyring);
    } else {
        keyring_keep(keyring);
        keyring_tell(keyring);
        keyring_plan(keyring);
    }
}

bool keyring_open(uv_loop_t *loop, const struct clock *clock,
                  const struct keyring_settings *settings, const struct keyring_events *events,
                  void *ctx, struct keyring **ret_keyring, struct err *err)
{
    bool lost = false;
    struct keyring *keyring = calloc(1, sizeof *keyring);
    if (keyring == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory for the key slots");
    *keyring = (struct keyring){.loop = loop,
                                .clock = clock,
                                .events = *events,
                                .ctx = ctx,
                                .limit_ms = settings->limit_ms,
                                .sign_on_limit_ms = settings->sign_on_limit_ms,
                                .check_every_ms = (uint64_t)settings->check_every_ms};
    (void)snprintf(keyring->book_path, sizeof keyring->book_path, "%s", settings->book);
    (void)snprintf(keyring->loader, sizeof keyring->loader, "%s", settings->loader);
    (void)snprintf(keyring->sealing_key, sizeof keyring->sealing_key, "%s", settings->sealing_key);
    keyring->gate.every_ms = settings->gate_every_ms;
    keyring->gate.patience_ms = settings->patience_ms;
    if (!clock_boot_id(keyring->boot_id, err) || !file_sweep_beside(keyring->book_path, err) ||
        !keys_book_read(keyring->book_path, &keyring->book, &lost, err)) {
        free(keyring);
        return false;
    }
    if (lost)
        log_warn("%s is lost, damaged or unreadable: which key versions were placed is learned "
                 "again from the slots",
                 keyring->book_path);
    (void)uv_timer_init(loop, &keyring->timer);
    keyring->timer.data = keyring;
    keyring->timer_open = true;
    keyring_gate_join(keyring, settings->gate_hook);
    keyring_plan(keyring);
    *ret_keyring = keyring;
    return true;
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct keyring *keyring = handle->data;
    keyring->timer_open = false;
    keyring_ended(keyring);
}

void keyring_close(struct keyring *keyring, void (*closed)(void *ctx), void *ctx)
{
    keyring->closing = true;
    keyring->closed = closed;
    keyring->closed_ctx = ctx;
    keyring_gate_close(keyring);
    if (keyring->book.sign_on_count > 0)
        keyring_keep(keyring);
    uv_close((uv_handle_t *)&keyring->timer, on_timer_closed);
}
