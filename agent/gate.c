/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/gate.h"

#include <stdio.h>

enum gate_kind gate_of(Muster__DocumentKind kind)
{
    switch (kind) {
    case MUSTER__DOCUMENT_KIND__DOCUMENT_TABLE:
    case MUSTER__DOCUMENT_KIND__DOCUMENT_CODE_PROFILE:
    case MUSTER__DOCUMENT_KIND__DOCUMENT_FILE:
    case MUSTER__DOCUMENT_KIND__DOCUMENT_AID_LIST:
    case MUSTER__DOCUMENT_KIND__DOCUMENT_CA_KEYS:
        return GATE_QUIET;
    default: /* what is not known could harm as much as what does */
        return GATE_SETTLED;
    }
}

const char *gate_words(enum gate_kind kind)
{
    return kind == GATE_QUIET ? "no open transaction" : "a settled batch and no reversal";
}

static void of_terminal(const struct gate_lease *lease, uint32_t terminal, const char *what,
                        char out[GATE_WORDS_CHARS])
{
    if (lease->several)
        (void)snprintf(out, GATE_WORDS_CHARS, "%s of terminal %u", what, (unsigned)terminal);
    else
        (void)snprintf(out, GATE_WORDS_CHARS, "%s", what);
}

static void transaction_words(const struct gate_lease *lease, char out[GATE_WORDS_CHARS])
{
    if (lease->assumed)
        (void)snprintf(out, GATE_WORDS_CHARS,
                       "a sale that may be open: the agent has just started");
    else
        of_terminal(lease, lease->transaction_of, "the open transaction", out);
}

/* What the application is in the middle of, "": of nothing that matters to this gate. */
static void lease_words(const struct gate_look *look, char out[GATE_WORDS_CHARS])
{
    const struct gate_lease *lease = &look->lease;
    out[0] = '\0';
    if (lease->transaction)
        transaction_words(lease, out);
    else if (look->kind != GATE_SETTLED)
        return;
    else if (lease->reversal)
        of_terminal(lease, lease->reversal_of, "the open reversal", out);
    else if (lease->batch)
        of_terminal(lease, lease->batch_of, "the batch to be settled", out);
    else if (lease->unsaid)
        of_terminal(lease, lease->unsaid_of, "the application's word on reversal and batch", out);
}

/* Who has just spoken for the first time may have more terminals that have not. */
static bool is_learning(const struct gate_policy *policy, const struct gate_look *look)
{
    return look->kind == GATE_SETTLED && look->lease.learning &&
           look->lease.learned_ms < policy->alone_ms;
}

struct gate_answer gate_look(const struct gate_policy *policy, const struct gate_look *look)
{
    struct gate_answer answer = {
        .ends_ms = INT64_MAX, .opens_after_ms = INT64_MAX, .asks_after_ms = INT64_MAX};
    bool silent = !look->lease.known && look->hook == GATE_HOOK_NONE;
    if (look->decided || (silent && look->waited_ms >= policy->alone_ms)) {
        answer.open = true;
        return answer;
    }
    lease_words(look, answer.waits_for);
    if (look->lease.transaction && look->lease.left_ms > 0)
        answer.ends_ms = look->lease.left_ms;
    if (answer.waits_for[0] == '\0' && is_learning(policy, look)) {
        answer.ends_ms = policy->alone_ms - look->lease.learned_ms;
        (void)snprintf(answer.waits_for, sizeof answer.waits_for,
                       "the application's other terminals, if it has any");
    }
    if (answer.waits_for[0] == '\0' && look->hook == GATE_HOOK_BUSY)
        (void)snprintf(answer.waits_for, sizeof answer.waits_for, "%s",
                       look->hook_says != NULL && look->hook_says[0] != '\0'
                           ? look->hook_says
                           : "the gate hook, which says busy");
    answer.open = answer.waits_for[0] == '\0' && !silent;
    if (answer.open)
        return answer;
    if (silent) {
        (void)snprintf(answer.waits_for, sizeof answer.waits_for,
                       "a payment application, which has not been heard of yet");
        answer.opens_after_ms = policy->alone_ms;
        return answer;
    }
    answer.ask = look->waited_ms >= policy->patience_ms;
    answer.asks_after_ms = policy->patience_ms;
    return answer;
}
