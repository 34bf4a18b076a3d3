/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/agent_parts.h"

#include "base/log.h"

#include <string.h>

enum { PROFILE_BYTES = 256 * 1024 };

static const int64_t resend_max_ms = 600000;
static const int64_t welcome_limit_ms = 10000;

struct uplink_policy agent_uplink_policy(const struct agent_settings *settings)
{
    int64_t resend_ms = settings->uplink_resend_ms;
    return (struct uplink_policy){
        .linger = {.linger_ms = settings->uplink_linger_ms,
                   .alone_ms = settings->probe_alone_ms,
                   .quiet_ms = settings->uplink_quiet_ms},
        .resend_ms = resend_ms,
        .resend_max_ms = resend_ms > resend_max_ms ? resend_ms : resend_max_ms,
        /* Worth the wait where much may have been committed that was not receipted yet. */
        .welcome_ms = settings->uplink_receipts_ms > 0 ? welcome_limit_ms : 0,
    };
}

/* ---- suspect results ---- */

static void add_profile(void *ctx, const char *name, struct bytes content)
{
    struct suspect_profile *profile = ctx;
    struct err err = {0};
    if (!suspect_profile_add(profile, content, &err))
        log_error("code profile %s: %s: results with its other codes are not suspect", name,
                  err.text);
}

static void load_good(struct agent *agent)
{
    const uint8_t *digest = registrar_good_digest(agent->registrar);
    if (memcmp(agent->good_suspects_of, digest, sizeof agent->good_suspects_of) == 0)
        return;
    agent->good_suspects.count = 0;
    if (registrar_good_documents(agent->registrar, MUSTER__DOCUMENT_KIND__DOCUMENT_CODE_PROFILE,
                                 PROFILE_BYTES, add_profile, &agent->good_suspects))
        memcpy(agent->good_suspects_of, digest, sizeof agent->good_suspects_of);
}

void agent_load_profiles(struct agent *agent)
{
    const uint8_t *digest = registrar_generation_digest(agent->registrar);
    load_good(agent);
    if (memcmp(agent->suspects_of, digest, sizeof agent->suspects_of) == 0)
        return;
    agent->suspects.count = 0;
    /* What could not be read is tried again when it may have been repaired. */
    if (registrar_documents(agent->registrar, MUSTER__DOCUMENT_KIND__DOCUMENT_CODE_PROFILE,
                            PROFILE_BYTES, add_profile, &agent->suspects))
        memcpy(agent->suspects_of, digest, sizeof agent->suspects_of);
    log_info("code profiles in force name %zu suspect codes", agent->suspects.count);
}

enum haste agent_haste_of(struct agent *agent, const Muster__TxnResult *txn)
{
    enum suspect why = suspect_of(&agent->suspects, txn);
    if (why == SUSPECT_NOT)
        return HASTE_LINGERS;
    agent->suspect_results++;
    log_info("suspect result, STAN %06u, code %.4s: %s", txn->stan, txn->code, suspect_words(why));
    return HASTE_URGENT;
}

/* ---- what the line costs ---- */

static const char traffic_note[] = "traffic";

/* By the fleet's clock: a terminal whose own is wrong is billed all the same. */
static uint32_t month_now(const struct agent *agent)
{
    if (agent->fleet_at_boot_ms == 0)
        return 0;
    return account_month_of(agent->fleet_at_boot_ms + clock_boot_ms(agent->clock));
}

void agent_look_at_traffic(struct agent *agent)
{
    const struct linkport_state *link = linkport_state(agent->port);
    account_month_is(&agent->account, month_now(agent));
    account_look(&agent->account, link->link_start, &link->traffic);
}

bool agent_load_traffic(struct agent *agent, struct err *err)
{
    struct buf note = {0};
    struct err why = {0};
    bool ok = spool_note_read(agent->spool, traffic_note, &note, err);
    if (ok && note.length > 0 && !account_unpack(buf_bytes(&note), &agent->account, &why))
        log_warn("the account of what the line costs begins anew: %s", why.text);
    buf_done(&note);
    return ok;
}

void agent_save_traffic(struct agent *agent)
{
    struct buf note = {0};
    struct err err = {0};
    agent_look_at_traffic(agent);
    if (!agent->account.unsaved)
        return;
    if (account_pack(&agent->account, &note, &err) &&
        spool_note_write(agent->spool, traffic_note, buf_bytes(&note), &err))
        agent->account.unsaved = false;
    else
        log_warn("what the line costs was not saved: %s", err.text);
    buf_done(&note);
}
