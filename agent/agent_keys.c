/* SPDX-License-Identifier: Apache-2.0 */
/* Key slots: what is in force goes into them, and what is in them goes into the state. */
#include "agent/agent_parts.h"

#include "base/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static size_t on_wanted(void *ctx, struct key_wanted *ret_wanted, size_t max)
{
    const struct agent *agent = ctx;
    return agent->registrar != NULL ? registrar_keys(agent->registrar, ret_wanted, max) : 0;
}

static bool on_document(void *ctx, const char *name, struct buf *ret_sealed, struct err *err)
{
    const struct agent *agent = ctx;
    return registrar_sealed(agent->registrar, name, ret_sealed, err);
}

static void on_recorded(void *ctx, const struct spool_record *record, const struct err *err)
{
    const struct agent *agent = ctx;
    (void)err;
    if (record == NULL && agent->keyring != NULL)
        keyring_untold(agent->keyring);
}

static void on_event(void *ctx, const Muster__Event *event)
{
    struct agent *agent = ctx;
    if (!agent_record_event_then(agent, event, HASTE_LINGERS, on_recorded, agent) &&
        agent->keyring != NULL)
        keyring_untold(agent->keyring);
}

static void on_changed(void *ctx)
{
    struct agent *agent = ctx;
    if (agent->registrar != NULL && !agent->closing)
        registrar_amended(agent->registrar);
}

static void on_placed(void *ctx)
{
    agent_answer_leases(ctx);
}

bool agent_open_keyring(struct agent *agent, struct err *err)
{
    char book[512];
    const struct agent_settings *settings = agent->settings;
    static const struct keyring_events events = {.wanted = on_wanted,
                                                 .document = on_document,
                                                 .lease = agent_look_at_lease,
                                                 .placed = on_placed,
                                                 .event = on_event,
                                                 .changed = on_changed};
    if (!path_join(book, sizeof book, settings->state_dir, "keys", err))
        return false;
    const struct keyring_settings keyring = {
        .book = book,
        .loader = settings->key_loader,
        .sealing_key = settings->sealing_key,
        .limit_ms = settings->key_loader_limit_ms,
        .check_every_ms = settings->check_every_ms,
        .sign_on_limit_ms = settings->sign_on_limit_ms,
        .patience_ms = settings->gate_patience_ms,
        .gate_hook = agent->gate_hook,
        .gate_every_ms = settings->gate_every_ms,
    };
    return keyring_open(agent->loop, agent->clock, &keyring, &events, agent, &agent->keyring, err);
}

/* Which keys are to be where. Zeros at first, so that the first look asks the loader. */
static bool in_force_differs(struct agent *agent)
{
    struct key_wanted wanted[KEYS_SLOTS];
    uint8_t hash[32], digest[32];
    struct buf text = {0};
    const size_t count = registrar_keys(agent->registrar, wanted, KEYS_SLOTS);
    bool ok = buf_append(&text, &count, sizeof count, NULL);
    for (size_t i = 0; ok && i < count && i < KEYS_SLOTS; i++) {
        keys_wanted_digest(&wanted[i], digest);
        ok = buf_append(&text, digest, sizeof digest, NULL);
    }
    if (ok)
        sha256(buf_bytes(&text), hash);
    buf_done(&text);
    if (!ok || memcmp(hash, agent->keys_of, sizeof hash) == 0)
        return !ok;
    memcpy(agent->keys_of, hash, sizeof hash);
    return true;
}

void agent_look_at_keys(struct agent *agent)
{
    if (agent->keyring != NULL && agent->registrar != NULL && in_force_differs(agent))
        keyring_look(agent->keyring);
}

/* ---- sign-ons ---- */

struct signing_on {
    struct agent *agent;
    struct keyring_sign_on sign_on;
    recorder_done *done;
    void *ctx;
};

/* A retry of what is stored is no news of the keys, nor is what could not be stored. */
static void on_stored(void *ctx, const struct spool_record *record, const struct err *err)
{
    struct signing_on *signing_on = ctx;
    if (record != NULL && !record->duplicate && signing_on->agent->keyring != NULL)
        keyring_signed_on(signing_on->agent->keyring, &signing_on->sign_on);
    if (signing_on->done != NULL)
        signing_on->done(signing_on->ctx, record, err);
    free(signing_on);
}

bool agent_watch_sign_on(struct agent *agent, const Muster__TxnResult *txn, recorder_done **done,
                         void **done_ctx, struct err *err)
{
    if (txn->type != MUSTER__TXN_TYPE__TXN_TYPE_SIGN_ON)
        return true;
    struct signing_on *signing_on = malloc(sizeof *signing_on);
    if (signing_on == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory for a sign-on");
    *signing_on = (struct signing_on){
        .agent = agent,
        .sign_on = {.acquirer = txn->acquirer,
                    .approved = txn->outcome == MUSTER__OUTCOME__OUTCOME_APPROVED,
                    .boot_ms = (int64_t)txn->boot_ms},
        .done = *done,
        .ctx = *done_ctx};
    *done = on_stored;
    *done_ctx = signing_on;
    return true;
}

void agent_unwatch_sign_on(recorder_done *done, void *done_ctx)
{
    if (done == on_stored)
        free(done_ctx);
}
