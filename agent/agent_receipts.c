/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/agent_parts.h"

#include "agent/receipts.h"
#include "base/log.h"
#include "proto/batch.h"
#include "proto/limits.h"
#include "proto/local.pb-c.h"
#include "proto/refusal.h"
#include "proto/unpack.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { TOLD_BYTES = 400 };

static const char receipts_note[] = "receipts";
/* A fleet that was restored holds less than its old receipts say, so they must not free anything
 * when they are replayed. Only a fresh welcome moves this: up when it asks for something again,
 * down when the fleet's clock was set back. */
static const char since_note[] = "receipts-since";

/* ---- what a receipt gave up ---- */

struct told {
    char text[TOLD_BYTES];
    size_t length, more;
};

static void tell_range(struct told *told, const char *why, int lane, uint64_t incarnation,
                       uint64_t first, uint64_t last)
{
    char one[128];
    int length = snprintf(
        one, sizeof one, "%s%s: lane %s, incarnation %016" PRIx64 ", seq %" PRIu64 " to %" PRIu64,
        told->length > 0 ? "; " : "", why, lane_name((Muster__Lane)lane), incarnation, first, last);
    if (length < 0 || (size_t)length >= sizeof one ||
        told->length + (size_t)length + 32 > sizeof told->text) {
        told->more++;
        return;
    }
    memcpy(told->text + told->length, one, (size_t)length + 1);
    told->length += (size_t)length;
}

static void take_lost(struct agent *agent, const struct receipts_taken *taken, struct told *told)
{
    for (size_t i = 0; i < taken->lost_count; i++) {
        const struct receipts_range *lost = &taken->lost[i];
        uplink_lost(&agent->sender.uplink, lost->incarnation, lost->lane, lost->first, lost->last);
        tell_range(told, "the fleet holds other content under this id", lost->lane,
                   lost->incarnation, lost->first, lost->last);
    }
}

static void take_undecodable(struct agent *agent, const Muster__Receipt *receipt, struct told *told)
{
    for (size_t i = 0; i < receipt->n_undecodable && i < LIMIT_UNDECODABLE; i++) {
        struct uplink_part lost;
        if (receipt->undecodable[i].len == UPLINK_DIGEST_BYTES &&
            sender_refused(&agent->sender, receipt->undecodable[i].data, &lost))
            tell_range(told, "nobody at the fleet can decode it", lost.lane, lost.incarnation,
                       lost.first, lost.last);
    }
}

/* One event for one receipt, whatever it refuses. */
static void tell_refused(struct agent *agent, struct told *told)
{
    if (told->length == 0)
        return;
    if (told->more > 0)
        snprintf(told->text + told->length, sizeof told->text - told->length, "; and %zu more",
                 told->more);
    log_error("records were refused, and are declared lost: %s", told->text);
    Muster__Event event = MUSTER__EVENT__INIT;
    event.kind = MUSTER__EVENT_KIND__EVENT_REFUSED;
    event.text = told->text;
    agent_record_event(agent, &event);
}

/* ---- the newest receipts ---- */

static bool keep_receipt(struct agent *agent, const Muster__Receipt *receipt, struct bytes envelope,
                         struct err *err)
{
    struct spool_stream unclosed[PROOFS_STREAMS];
    bool less = false;
    size_t count = spool_unclosed(agent->spool, unclosed, PROOFS_STREAMS);
    count = count < PROOFS_STREAMS ? count : PROOFS_STREAMS;
    if (!proofs_take(&agent->proofs, receipt, envelope, unclosed, count, &less, err))
        return false;
    if (!less || agent->less_told)
        return true;
    agent->less_told = true;
    log_warn("a receipt claims less than an earlier one: the fleet is shown the earlier one");
    hello_soon(&agent->hello, clock_boot_ms(agent->clock));
    return true;
}

static uint64_t owed_records(const struct agent *agent)
{
    struct spool_stats stats;
    spool_stats(agent->spool, &stats);
    return stats.records + stats.records_lost;
}

static bool take(struct agent *agent, struct bytes envelope, int64_t not_before_ms, struct err *err)
{
    struct arena arena = {0};
    struct receipts_taken taken;
    struct told told = {0};
    uint64_t owed = owed_records(agent);
    bool ok = receipts_take(agent->spool, agent->trust, agent->settings->device, envelope,
                            not_before_ms, &arena, &taken, err);
    if (taken.receipt != NULL) {
        agent->last_receipt_ms = clock_wall_ms(agent->clock);
        agent->progress += owed_records(agent) < owed ? 1 : 0;
        take_lost(agent, &taken, &told);
        take_undecodable(agent, taken.receipt, &told);
        tell_refused(agent, &told);
    }
    if (!ok)
        agent->receipts_refused++;
    else
        ok = keep_receipt(agent, taken.receipt, envelope, err);
    arena_done(&arena);
    if (!ok && err->code == ERR_IO)
        agent_spool_failed(agent, err);
    return ok;
}

bool agent_take_receipt(struct agent *agent, struct bytes envelope, struct err *err)
{
    struct err why = {0};
    if (take(agent, envelope, agent->receipts_since_ms, &why)) {
        if (agent->actions.word.awaited)
            agent_look_at_actions(agent);
        return true;
    }
    /* Perhaps by a receipt key that a root names which was lost on its way: once a hello has told
     * which root is known here, the fleet sends the next one again. */
    if (refusal_of(&why) == MUSTER__REFUSAL__REFUSAL_SIGNATURE)
        hello_doubt(&agent->hello, clock_boot_ms(agent->clock));
    if (err != NULL)
        *err = why;
    return false;
}

static bool load_one(struct agent *agent, struct bytes envelope, struct err *err)
{
    static const struct unpack_limits limits = {.max_bytes = LIMIT_RECEIPT_BYTES,
                                                .max_elements = 16384};
    struct arena arena = {0};
    struct bytes body;
    ProtobufCMessage *message = NULL;
    bool ok = unseal("receipt", agent->settings->device, envelope,
                     trust_keys(agent->trust, MUSTER__ROLE__ROLE_RECEIPT), &body, err) &&
              unpack(&muster__receipt__descriptor, body, &limits, &arena, &message, err) &&
              keep_receipt(agent, (const Muster__Receipt *)message, envelope, err);
    arena_done(&arena);
    return ok;
}

static bool load_since(struct agent *agent, struct err *err)
{
    struct buf note = {.limit = sizeof agent->receipts_since_ms};
    bool ok = spool_note_read(agent->spool, since_note, &note, err);
    agent->receipts_since_ms = INT64_MIN;
    if (ok && note.length == sizeof agent->receipts_since_ms)
        memcpy(&agent->receipts_since_ms, note.data, note.length);
    buf_done(&note);
    return ok;
}

/* A kept receipt that is no longer good is one less to show, nothing worse. */
bool agent_load_receipts(struct agent *agent, struct err *err)
{
    struct unpack_limits limits = {.max_bytes = (size_t)PROOFS_BYTES + 2 * LIMIT_RECEIPT_BYTES};
    struct buf note = {.limit = limits.max_bytes};
    struct arena arena = {0};
    struct err why = {0};
    ProtobufCMessage *message = NULL;
    bool ok = load_since(agent, err) && spool_note_read(agent->spool, receipts_note, &note, err);
    if (ok && note.length > 0 &&
        !unpack(&muster__kept_receipts__descriptor, buf_bytes(&note), &limits, &arena, &message,
                &why))
        log_warn("the receipts that were kept cannot be read: %s", why.text);
    const Muster__KeptReceipts *kept = (const Muster__KeptReceipts *)message;
    for (size_t i = kept != NULL ? kept->n_receipts : 0; i-- > 0;)
        if (!load_one(agent, bytes_of(kept->receipts[i].data, kept->receipts[i].len), &why))
            log_warn("a receipt that was kept is left out: %s", why.text);
    agent->proofs.unsaved = false;
    arena_done(&arena);
    buf_done(&note);
    return ok;
}

void agent_save_receipts(struct agent *agent)
{
    struct err err = {0};
    struct buf note = {0};
    ProtobufCBinaryData newest[PROOFS_STREAMS];
    Muster__KeptReceipts kept = MUSTER__KEPT_RECEIPTS__INIT;
    if (!agent->proofs.unsaved)
        return;
    kept.receipts = newest;
    kept.n_receipts = proofs_newest(&agent->proofs, newest);
    if (pack(&kept.base, &note, &err) &&
        spool_note_write(agent->spool, receipts_note, buf_bytes(&note), &err))
        agent->proofs.unsaved = false;
    else
        log_warn("the newest receipts were not saved: %s", err.text);
    buf_done(&note);
}

/* ---- a fleet that was restored ---- */

static bool set_since(struct agent *agent, int64_t since_ms, struct err *err)
{
    if (!spool_note_write(agent->spool, since_note, bytes_of(&since_ms, sizeof since_ms), err))
        return false;
    agent->receipts_since_ms = since_ms;
    return true;
}

static bool again(struct agent *agent, const Muster__StreamReceipt *held, struct err *err)
{
    struct arena arena = {0};
    struct spool_range *ranges = NULL;
    bool ok = receipts_ranges(held, &arena, &ranges, err) &&
              spool_again(agent->spool, held->incarnation, (int)held->lane, held->cumulative,
                          ranges, held->n_ranges, err);
    arena_done(&arena);
    if (!ok)
        return false;
    proofs_drop(&agent->proofs, held->incarnation, (int)held->lane);
    uplink_again(&agent->sender.uplink, held->incarnation, (int)held->lane);
    log_warn("the fleet was restored and holds lane %s of incarnation %016" PRIx64
             " only up to %" PRIu64 ": the rest is sent again",
             lane_name(held->lane), held->incarnation, held->cumulative);
    return true;
}

void agent_take_again(struct agent *agent, const Muster__Welcome *welcome)
{
    struct err err = {0};
    bool asked = welcome->n_again > 0;
    /* First the old receipts lose their force, then what they freed is taken back. */
    if ((asked || welcome->wall_ms < agent->receipts_since_ms) &&
        !set_since(agent, welcome->wall_ms, &err)) {
        log_error("what the fleet asks for again is not sent: %s", err.text);
        return;
    }
    for (size_t i = 0; i < welcome->n_again; i++) {
        if (again(agent, welcome->again[i], &err))
            continue;
        log_error("a stream that the fleet asks for again is not sent: %s", err.text);
        if (err.code == ERR_IO)
            agent_spool_failed(agent, &err);
    }
    if (asked)
        agent_save_receipts(agent);
    /* Inside a fresh welcome it is fresh, whichever of the fleet's clocks stamped it. */
    if (welcome->receipt.len > 0 &&
        !take(agent, bytes_of(welcome->receipt.data, welcome->receipt.len), INT64_MIN, &err))
        registrar_refused(agent->registrar, "the receipt in a welcome is not accepted", &err);
}
