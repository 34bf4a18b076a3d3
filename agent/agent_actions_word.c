/* SPDX-License-Identifier: Apache-2.0 */
/* A restart of the terminal waits for the fleet's receipt of the word that it begins, whereupon no
 * manifest orders it any more: a medium that has lost the mark when the terminal is up again, worn
 * flash for one, must not make it restart for ever. */
#include "agent/agent_parts.h"

#include <stdio.h>

enum {
    WORD_STREAMS = 32,
    /* Without a receipt it goes on all the same: it may be ordered just because records get stuck.
     */
    WORD_WITHIN_MS = 2 * 60 * 1000,
    /* A sale began meanwhile, and does not end. */
    BUSY_WITHIN_MS = 10 * 60 * 1000,
};

bool agent_action_announces(Muster__ActionKind kind)
{
    return kind == MUSTER__ACTION_KIND__ACTION_REBOOT;
}

void agent_word_await(struct agent *agent, int64_t waits_since_ms)
{
    agent->actions.word =
        (struct action_word){.awaited = true,
                             .since_ms = waits_since_ms,
                             .by_ms = clock_boot_ms(agent->clock) + WORD_WITHIN_MS};
}

void agent_word_stored(void *ctx, const struct spool_record *record, const struct err *err)
{
    struct agent *agent = ctx;
    struct action_word *word = &agent->actions.word;
    (void)err; /* told where it is given up; then there is no receipt of it */
    if (record == NULL || !word->awaited)
        return;
    word->stored = true;
    word->incarnation = record->incarnation;
    word->seq = record->seq;
}

static bool is_receipted(const struct agent *agent)
{
    const struct action_word *word = &agent->actions.word;
    struct spool_stream streams[WORD_STREAMS];
    size_t count = spool_streams(agent->spool, streams, WORD_STREAMS);
    for (size_t i = 0; i < count && i < WORD_STREAMS; i++)
        if (streams[i].incarnation == word->incarnation &&
            streams[i].lane == MUSTER__LANE__LANE_EVENT)
            return streams[i].first_unsent > word->seq;
    return count <= WORD_STREAMS;
}

void agent_look_at_word(struct agent *agent)
{
    struct action_word *word = &agent->actions.word;
    int64_t now_ms = clock_boot_ms(agent->clock);
    char why[FRESHNESS_WHY_CHARS];
    if (!word->awaited || (now_ms < word->by_ms && !(word->stored && is_receipted(agent))))
        return;
    /* It could have begun when the word was given: sales went on since. */
    if (agent_action_may(agent, &agent->actions.running, now_ms - word->since_ms, why)) {
        word->awaited = false;
        agent_action_begin(agent);
    } else if (now_ms >= word->by_ms + BUSY_WITHIN_MS) {
        agent_action_ended(agent, MUSTER__ACTION_STEP__ACTION_STEP_FAILED,
                           "nothing was done: it waited again for %.120s", why);
    }
}
