/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/placing.h"

#include <string.h>

static char *text_of(struct arena *arena, const char *text)
{
    return arena_copy(arena, text, strlen(text) + 1);
}

static uint64_t or_none(int64_t span_ms)
{
    return span_ms != INT64_MAX ? (uint64_t)span_ms : 0;
}

Muster__Placing *placing_tell(const struct placing *placing, struct arena *arena)
{
    const struct gate_answer *answer = &placing->answer;
    Muster__Placing *told = arena_alloc(arena, sizeof *told);
    if (told == NULL)
        return NULL;
    muster__placing__init(told);
    told->name = text_of(arena, placing->name);
    told->version = text_of(arena, placing->version);
    told->slot = text_of(arena, placing->slot);
    told->waits_for = text_of(arena, answer->waits_for);
    told->waited_ms = (uint64_t)placing->waited_ms;
    told->asks_after_ms = answer->ask ? 0 : or_none(answer->asks_after_ms);
    told->opens_after_ms = or_none(answer->opens_after_ms);
    told->ends_ms = or_none(answer->ends_ms);
    told->digest.data = arena_copy(arena, placing->digest, sizeof placing->digest);
    told->digest.len = sizeof placing->digest;
    return told->name != NULL && told->version != NULL && told->slot != NULL &&
                   told->waits_for != NULL && told->digest.data != NULL
               ? told
               : NULL;
}
