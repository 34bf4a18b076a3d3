/* SPDX-License-Identifier: Apache-2.0 */
/* What results say of the generation that was in force: each stored one is counted once. */
#include "agent/agent_parts.h"

#include "base/log.h"
#include "proto/limits.h"
#include "proto/unpack.h"

#include <stdlib.h>
#include <string.h>

enum { RECOUNT_MOST = 100000, GENERATION_BYTES = 8 };

struct registrar_probation agent_probation(const struct agent *agent)
{
    const struct agent_settings *settings = agent->settings;
    struct registrar_probation probation = {
        .policy = {.results = (uint32_t)settings->probation_results,
                   .time_ms = settings->probation_time_ms,
                   .welcome_ms = settings->probation_welcome_ms,
                   .crashes = (uint32_t)settings->probation_crashes,
                   .starts = (uint32_t)settings->probation_starts},
        .after_hook = settings->after_hook,
    };
    memcpy(probation.boot, agent->boot_id, sizeof probation.boot);
    return probation;
}

/* ---- as they are stored ---- */

/* Both measures are as they are in this moment; the pointers are the message's. */
static struct registrar_result judged(const struct agent *agent, const Muster__TxnResult *txn)
{
    return (struct registrar_result){
        .generation = txn->generation.data,
        .why = suspect_of(&agent->good_suspects, txn),
        .suspect_now = suspect_of(&agent->suspects, txn) != SUSPECT_NOT,
        .token = txn->card_token.len == PROBATION_TOKEN_BYTES ? txn->card_token.data : NULL,
        .wall_ms = txn->wall_ms,
    };
}

struct counted {
    struct agent *agent;
    recorder_done *done;
    void *ctx;
    struct registrar_result result;
    uint8_t generation[GENERATION_BYTES];
    uint8_t token[PROBATION_TOKEN_BYTES];
};

static void on_stored(void *ctx, const struct spool_record *record, const struct err *err)
{
    struct counted *counted = ctx;
    struct registrar *registrar = counted->agent->registrar;
    if (record != NULL && !record->duplicate && registrar != NULL) {
        counted->result.incarnation = record->incarnation;
        counted->result.seq = record->seq;
        registrar_result(registrar, &counted->result);
    }
    if (counted->done != NULL)
        counted->done(counted->ctx, record, err);
    free(counted);
}

bool agent_store_txn(struct agent *agent, const Muster__TxnResult *txn, recorder_done *done,
                     void *done_ctx, struct err *err)
{
    if (agent->registrar != NULL)
        agent_load_profiles(agent); /* something else may be in force by now */
    enum haste haste = agent_haste_of(agent, txn);
    struct bytes key = bytes_of(txn->idempotency_key.data, txn->idempotency_key.len);
    struct counted *counted =
        txn->generation.len == GENERATION_BYTES ? calloc(1, sizeof *counted) : NULL;
    if (counted == NULL) /* a sale goes before what it says */
        return recorder_add(agent->recorder, MUSTER__LANE__LANE_TXN, haste, key, &txn->base, done,
                            done_ctx, err);
    *counted = (struct counted){
        .agent = agent, .done = done, .ctx = done_ctx, .result = judged(agent, txn)};
    memcpy(counted->generation, counted->result.generation, sizeof counted->generation);
    counted->result.generation = counted->generation;
    if (counted->result.token != NULL)
        counted->result.token =
            memcpy(counted->token, counted->result.token, sizeof counted->token);
    if (recorder_add(agent->recorder, MUSTER__LANE__LANE_TXN, haste, key, &txn->base, on_stored,
                     counted, err))
        return true;
    free(counted);
    return false;
}

/* ---- those that were stored before the agent ended, and not kept as counted ---- */

struct recount {
    struct agent *agent;
    uint64_t incarnation, seq;
    size_t count;
    struct arena arena;
};

static bool take_again(void *ctx, uint64_t incarnation, uint64_t seq, struct bytes body,
                       struct err *err)
{
    struct recount *recount = ctx;
    static const struct unpack_limits limits = {.max_bytes = LIMIT_TXN_BYTES};
    ProtobufCMessage *message = NULL;
    if (incarnation != recount->incarnation || seq <= recount->seq)
        return err_set(err, ERR_NOT_FOUND, "counted already");
    arena_done(&recount->arena);
    if (!unpack(&muster__txn_result__descriptor, body, &limits, &recount->arena, &message, NULL))
        return true;
    const Muster__TxnResult *txn = (const Muster__TxnResult *)message;
    if (txn->generation.len != GENERATION_BYTES)
        return true;
    const struct registrar_result result = judged(recount->agent, txn);
    registrar_recount(recount->agent->registrar, &result);
    recount->count++;
    return true;
}

void agent_count_again(struct agent *agent)
{
    struct recount recount = {.agent = agent};
    struct err err = {0};
    if (!registrar_counted(agent->registrar, &recount.incarnation, &recount.seq))
        return;
    if (recount.incarnation != 0 &&
        !spool_newest(agent->spool, MUSTER__LANE__LANE_TXN, RECOUNT_MOST, take_again, &recount,
                      &err) &&
        err.code != ERR_NOT_FOUND)
        log_warn("results since the last count: %s", err.text);
    arena_done(&recount.arena);
    if (recount.count > 0)
        log_info("%zu results that were stored before are counted", recount.count);
    registrar_count_from(agent->registrar, spool_incarnation(agent->spool));
}

/* ---- after a switch ---- */

void agent_redial(void *ctx)
{
    const struct agent *agent = ctx;
    log_info("what carries the connection was changed: it is made again");
    linkport_drop(agent->port);
}

void agent_switched(void *ctx)
{
    struct agent *agent = ctx;
    agent_answer_leases(agent);
    agent_look_at_actions(agent); /* which may have waited for it */
}
