/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/refusals.h"

#include "base/utf8.h"

#include <stdio.h>

static const int64_t first_wait_ms = 10 * 1000;
static const int64_t longest_wait_ms = INT64_C(6) * 3600 * 1000;

/* Happens without anybody meaning harm, often: an answer that crossed a newer question, a retained
 * blob that comes again. */
static bool is_usual(Muster__Refusal reason)
{
    return reason == MUSTER__REFUSAL__REFUSAL_WELCOME_NONCE ||
           reason == MUSTER__REFUSAL__REFUSAL_BLOB_UNWANTED;
}

bool refusals_add(struct refusals *refusals, const struct err *err, int64_t now_ms)
{
    Muster__Refusal reason = refusal_of(err);
    unsigned at = (unsigned)reason;
    refusals->unasked += reason == MUSTER__REFUSAL__REFUSAL_WELCOME_NONCE;
    if (at == 0 || at >= REFUSALS_REASONS || is_usual(reason))
        return false;
    refusals->count++;
    refusals->last = reason;
    (void)snprintf(refusals->why, sizeof refusals->why, "%.255s", err->text);
    utf8_clean(refusals->why);
    bool quiet = now_ms >= refusals->next_ms[at] + 2 * longest_wait_ms;
    if (refusals->wait_ms[at] != 0 && now_ms < refusals->next_ms[at])
        return false;
    int64_t wait_ms =
        refusals->wait_ms[at] == 0 || quiet ? first_wait_ms : 2 * refusals->wait_ms[at];
    refusals->wait_ms[at] = wait_ms > longest_wait_ms ? longest_wait_ms : wait_ms;
    refusals->next_ms[at] = now_ms + refusals->wait_ms[at];
    return true;
}
