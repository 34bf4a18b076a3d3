/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/lease.h"

enum { MINUTE_MS = 60 * 1000 };

static struct lease_terminal *terminal_of(struct lease *lease, uint32_t terminal)
{
    for (size_t i = 0; i < lease->count; i++)
        if (lease->terminals[i].terminal == terminal)
            return &lease->terminals[i];
    return NULL;
}

/* ---- transactions ---- */

static bool is_open(const struct lease_hold *hold, int64_t now_ms)
{
    return now_ms < hold->until_ms;
}

static void hold_end(struct lease *lease, size_t at)
{
    lease->holds[at] = lease->holds[--lease->hold_count];
}

static void holds_end_of(struct lease *lease, uint32_t terminal, const void *holder)
{
    for (size_t i = lease->hold_count; i-- > 0;)
        if (lease->holds[i].terminal == terminal && lease->holds[i].by.holder == holder)
            hold_end(lease, i);
}

/* Also those of others whose time is over make room. */
static bool hold_begin(struct lease *lease, const struct lease_hold *hold, int64_t now_ms)
{
    for (size_t i = lease->hold_count; i-- > 0;)
        if (!is_open(&lease->holds[i], now_ms))
            hold_end(lease, i);
    if (lease->hold_count == LEASE_HOLDS)
        return false;
    lease->holds[lease->hold_count++] = *hold;
    return true;
}

/* The one that lasts longest; NULL: none is open. */
static const struct lease_hold *open_hold(const struct lease *lease, uint32_t terminal,
                                          int64_t now_ms)
{
    const struct lease_hold *found = NULL;
    for (size_t i = 0; i < lease->hold_count; i++) {
        const struct lease_hold *hold = &lease->holds[i];
        if (hold->terminal == terminal && is_open(hold, now_ms) &&
            (found == NULL || hold->until_ms > found->until_ms))
            found = hold;
    }
    return found;
}

/* ---- logical terminals ---- */

struct lease_view lease_view(const struct lease *lease, const struct lease_terminal *terminal,
                             int64_t now_ms)
{
    const struct lease_hold *hold = open_hold(lease, terminal->terminal, now_ms);
    struct lease_view view = {.by = terminal->last};
    int64_t until_ms = terminal->assumed_until_ms;
    if (hold != NULL) {
        view.by = hold->by;
        until_ms = hold->until_ms > until_ms ? hold->until_ms : until_ms;
    }
    view.transaction = now_ms < until_ms;
    view.assumed = view.transaction && hold == NULL;
    view.left_ms = view.transaction ? until_ms - now_ms : 0;
    return view;
}

static void terminal_drop(struct lease *lease, const struct lease_terminal *terminal)
{
    size_t at = (size_t)(terminal - lease->terminals);
    for (size_t i = lease->hold_count; i-- > 0;)
        if (lease->holds[i].terminal == terminal->terminal)
            hold_end(lease, i);
    for (lease->count--; at < lease->count; at++)
        lease->terminals[at] = lease->terminals[at + 1];
}

/* The one that has had nothing open for longest. */
static const struct lease_terminal *idle_terminal(const struct lease *lease, int64_t now_ms)
{
    const struct lease_terminal *idle = NULL;
    for (size_t i = 0; i < lease->count; i++) {
        const struct lease_terminal *terminal = &lease->terminals[i];
        if (terminal->reversal == LEASE_NO && terminal->batch == LEASE_NO &&
            !lease_view(lease, terminal, now_ms).transaction &&
            (idle == NULL || terminal->said_ms < idle->said_ms))
            idle = terminal;
    }
    return idle;
}

static struct lease_terminal *terminal_add(struct lease *lease, uint32_t terminal, int64_t now_ms)
{
    const struct lease_terminal *idle = NULL;
    if (lease->count == LEASE_TERMINALS) {
        idle = idle_terminal(lease, now_ms);
        if (idle == NULL)
            return NULL;
        terminal_drop(lease, idle);
    }
    struct lease_terminal *added = &lease->terminals[lease->count++];
    *added = (struct lease_terminal){.terminal = terminal, .longest_ms = LEASE_HOLD_MS};
    return added;
}

/* ---- what is said ---- */

static void note_speaker(struct lease_terminal *said, const struct lease_speaker *by,
                         int64_t now_ms)
{
    said->several = said->several || (said->last.holder != NULL && said->last.holder != by->holder);
    if (!said->several) /* whoever could be in one has spoken */
        said->assumed_until_ms = 0;
    said->last = *by;
    said->said_ms = now_ms;
}

static void note_longest(struct lease_terminal *said, int64_t hold_ms)
{
    if (hold_ms > said->longest_ms)
        said->longest_ms = (hold_ms + MINUTE_MS - 1) / MINUTE_MS * MINUTE_MS;
}

bool lease_say(struct lease *lease, const struct lease_word *word, const struct lease_speaker *by,
               int64_t now_ms, struct err *err)
{
    const struct lease_hold hold = {
        .terminal = word->terminal,
        .by = *by,
        .until_ms = now_ms + (word->hold_ms != 0 ? word->hold_ms : LEASE_HOLD_MS)};
    if (word->hold_ms > LEASE_HOLD_MAX_MS)
        return err_set(err, ERR_INVALID,
                       "a transaction of %u ms: at most %d; say it again while it goes on",
                       word->hold_ms, LEASE_HOLD_MAX_MS);
    struct lease_terminal *said = terminal_of(lease, word->terminal);
    if (said == NULL)
        said = terminal_add(lease, word->terminal, now_ms);
    if (said == NULL)
        return err_set(err, ERR_INVALID,
                       "logical terminal %u: %d others have something open, or have not said that "
                       "they have not: see `muster lease`",
                       word->terminal, LEASE_TERMINALS);
    holds_end_of(lease, word->terminal, by->holder);
    if (word->transaction && !hold_begin(lease, &hold, now_ms))
        return err_set(err, ERR_FULL, "%d transactions are open already", LEASE_HOLDS);
    if (!lease->known) {
        lease->learning = true;
        lease->since_ms = now_ms;
    }
    lease->known = true;
    note_speaker(said, by, now_ms);
    if (word->transaction)
        note_longest(said, hold.until_ms - now_ms);
    if (!word->as_before) {
        said->reversal = word->reversal ? LEASE_YES : LEASE_NO;
        said->batch = word->batch ? LEASE_YES : LEASE_NO;
    }
    return true;
}

bool lease_gone(struct lease *lease, const void *holder, int64_t now_ms,
                struct lease_speaker *ret_by)
{
    bool open = false;
    for (size_t i = lease->hold_count; i-- > 0;) {
        if (lease->holds[i].by.holder != holder)
            continue;
        *ret_by = lease->holds[i].by;
        open = open || is_open(&lease->holds[i], now_ms);
        hold_end(lease, i);
    }
    for (size_t i = 0; i < lease->count; i++)
        if (lease->terminals[i].last.holder == holder)
            lease->terminals[i].last.holder = NULL;
    return open;
}

/* ---- what is known of it after a restart ---- */

bool lease_restore(struct lease *lease, const struct lease_terminal *kept, int64_t now_ms)
{
    if (lease->count == LEASE_TERMINALS || terminal_of(lease, kept->terminal) != NULL)
        return false;
    struct lease_terminal *restored = &lease->terminals[lease->count++];
    *restored = *kept;
    restored->last = (struct lease_speaker){0};
    restored->said_ms = now_ms;
    if (restored->longest_ms < LEASE_HOLD_MS)
        restored->longest_ms = LEASE_HOLD_MS;
    if (restored->longest_ms > LEASE_HOLD_MAX_MS)
        restored->longest_ms = LEASE_HOLD_MAX_MS;
    restored->assumed_until_ms = now_ms + restored->longest_ms;
    lease->known = true;
    lease->since_ms = now_ms;
    return true;
}

void lease_lose(struct lease *lease, int64_t now_ms)
{
    lease->known = lease->learning = lease->lost = true;
    lease->since_ms = now_ms;
    lease->count = lease->hold_count = 0;
}

bool lease_is_new(const struct lease *lease, int64_t now_ms)
{
    return now_ms - lease->since_ms < LEASE_HOLD_MAX_MS;
}

/* ---- what a person has it forget ---- */

bool lease_forget(struct lease *lease, uint32_t terminal, int64_t now_ms, struct err *err)
{
    const struct lease_terminal *known = terminal_of(lease, terminal);
    if (known == NULL)
        return err_set(err, ERR_NOT_FOUND, "logical terminal %u has not been spoken for",
                       (unsigned)terminal);
    if (open_hold(lease, terminal, now_ms) != NULL)
        return err_set(err, ERR_CONFLICT,
                       "logical terminal %u is in a transaction: wait for its end, or end the "
                       "application",
                       (unsigned)terminal);
    terminal_drop(lease, known);
    if (lease->count == 0 && !lease->lost)
        *lease = (struct lease){0};
    return true;
}

bool lease_forget_all(struct lease *lease, int64_t now_ms, struct err *err)
{
    for (size_t i = 0; i < lease->hold_count; i++)
        if (is_open(&lease->holds[i], now_ms))
            return err_set(err, ERR_CONFLICT,
                           "logical terminal %u is in a transaction: wait for its end, or end the "
                           "application",
                           (unsigned)lease->holds[i].terminal);
    *lease = (struct lease){0};
    return true;
}

/* ---- all of it together ---- */

static void look_at(const struct lease *lease, const struct lease_terminal *terminal,
                    int64_t now_ms, struct gate_lease *look)
{
    const struct lease_view view = lease_view(lease, terminal, now_ms);
    if (view.transaction && (!look->transaction || (look->assumed && !view.assumed))) {
        look->transaction_of = terminal->terminal;
        look->assumed = view.assumed;
    }
    look->transaction = look->transaction || view.transaction;
    if (view.left_ms > look->left_ms)
        look->left_ms = view.left_ms;
    if (terminal->reversal == LEASE_YES && !look->reversal)
        look->reversal_of = terminal->terminal;
    look->reversal = look->reversal || terminal->reversal == LEASE_YES;
    if (terminal->batch == LEASE_YES && !look->batch)
        look->batch_of = terminal->terminal;
    look->batch = look->batch || terminal->batch == LEASE_YES;
    bool unsaid = terminal->reversal == LEASE_UNSAID || terminal->batch == LEASE_UNSAID;
    if (unsaid && !look->unsaid)
        look->unsaid_of = terminal->terminal;
    look->unsaid = look->unsaid || unsaid;
}

struct gate_lease lease_look(const struct lease *lease, int64_t now_ms)
{
    struct gate_lease look = {.known = lease->known,
                              .several = lease->count > 1,
                              .learning = lease->learning,
                              .learned_ms = now_ms - lease->since_ms};
    for (size_t i = 0; i < lease->count; i++)
        look_at(lease, &lease->terminals[i], now_ms, &look);
    if (!lease->lost)
        return look;
    look.unsaid = look.unsaid || lease->count == 0;
    if (!lease_is_new(lease, now_ms))
        return look;
    /* Of a terminal that nobody knows of. */
    look.assumed = look.assumed || !look.transaction;
    look.transaction = true;
    if (LEASE_HOLD_MAX_MS - look.learned_ms > look.left_ms)
        look.left_ms = LEASE_HOLD_MAX_MS - look.learned_ms;
    return look;
}
