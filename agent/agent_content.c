/* SPDX-License-Identifier: Apache-2.0 */
/* Content that is wanted and does not come: asked for by a hello, told, and told as over. */
#include "agent/agent_parts.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { WHY_CHARS = 480 };

static uint64_t bytes_down(const struct agent *agent)
{
    return linkport_state(agent->port)->traffic.down.tls;
}

void agent_content_wanted(struct agent *agent, const uint8_t (*blobs)[32], const uint64_t *sizes,
                          size_t count)
{
    linkport_fetch(agent->port, blobs, sizes, count);
    content_wait_set(&agent->content, blobs, sizes, count, bytes_down(agent),
                     clock_boot_ms(agent->clock));
}

static void tell(struct agent *agent, Muster__EventKind kind, Muster__Refusal refusal,
                 const char *item, char *text)
{
    log_warn("%s", text);
    Muster__Event event = MUSTER__EVENT__INIT;
    event.kind = kind;
    event.item = (char *)(uintptr_t)item;
    event.text = text;
    event.refusal = refusal;
    agent_record_event(agent, &event);
}

/* Of the items that wait for content the first by name; "" if none is known. */
static size_t waiting_items(const struct agent *agent,
                            char ret_first[LIMIT_DOCUMENT_NAME_CHARS + 1])
{
    Muster__StateReport state = MUSTER__STATE_REPORT__INIT;
    struct arena arena = {0};
    struct err err = {0};
    size_t count = 0;
    ret_first[0] = '\0';
    if (registrar_state(agent->registrar, &arena, &state, &err)) {
        for (size_t i = 0; i < state.n_items; i++) {
            if (state.items[i]->state == MUSTER__ITEM_STATE__ITEM_FETCHING && count++ == 0)
                (void)snprintf(ret_first, LIMIT_DOCUMENT_NAME_CHARS + 1, "%s",
                               state.items[i]->name);
        }
    }
    arena_done(&arena);
    return count;
}

static void tell_late(struct agent *agent, int64_t now_ms)
{
    char text[WHY_CHARS], first[LIMIT_DOCUMENT_NAME_CHARS + 1], more[40] = "";
    const struct linkport_state *link = linkport_state(agent->port);
    size_t count = waiting_items(agent, first);
    if (count > 1)
        (void)snprintf(more, sizeof more, " and %zu more", count - 1);
    (void)snprintf(text, sizeof text,
                   "the content of %s%s has not come for %" PRId64
                   " s with a session; it is still asked for%s%.200s",
                   first[0] != '\0' ? first : "the manifest", more,
                   content_wait_waited_ms(&agent->content, now_ms) / 1000,
                   link->content_held[0] != '\0' ? ", and held back now: " : "",
                   link->content_held);
    tell(agent, MUSTER__EVENT_KIND__EVENT_REFUSED, MUSTER__REFUSAL__REFUSAL_CONTENT_LATE, first,
         text);
    hello_soon(&agent->hello, now_ms); /* the fleet hears of it, and what is lacking */
}

void agent_look_at_content(struct agent *agent, int64_t now_ms)
{
    if (agent->registrar == NULL)
        return;
    if (agent->hello.welcomed && content_wait_ask(&agent->content, now_ms) &&
        !content_wait_flows(&agent->content, bytes_down(agent), now_ms)) {
        hello_now(&agent->hello, now_ms);
        content_wait_asked(&agent->content, now_ms, random_u64());
    }
    if (content_wait_late(&agent->content, now_ms))
        tell_late(agent, now_ms);
    if (content_wait_give_up(&agent->content, now_ms))
        registrar_elsewhere(agent->registrar, agent->content.blobs, agent->content.count);
}

void agent_content_settled(struct agent *agent)
{
    char text[WHY_CHARS];
    if (registrar_lacks(agent->registrar, NULL, 0) > 0 || !content_wait_over(&agent->content))
        return;
    (void)snprintf(text, sizeof text, "content that was late %s",
                   agent->content.came ? "has come" : "is not wanted any more");
    tell(agent, MUSTER__EVENT_KIND__EVENT_LIVENESS, MUSTER__REFUSAL__REFUSAL_NONE, "", text);
}

static bool mark(const struct agent *agent, Muster__ItemReport *item, struct arena *arena)
{
    char text[160];
    int64_t waited_ms = content_wait_waited_ms(&agent->content, clock_boot_ms(agent->clock));
    (void)snprintf(text, sizeof text,
                   "%.80s%sits content has not come for %" PRId64 " s; it is still asked for",
                   item->reason, item->reason[0] != '\0' ? "; " : "", waited_ms / 1000);
    char *reason = arena_copy(arena, text, strlen(text) + 1);
    if (reason == NULL)
        return false;
    item->reason = reason;
    item->refusal = MUSTER__REFUSAL__REFUSAL_CONTENT_LATE;
    return true;
}

bool agent_state(const struct agent *agent, struct arena *arena, Muster__StateReport *ret_state,
                 struct err *err)
{
    if (!registrar_state(agent->registrar, arena, ret_state, err))
        return false;
    for (size_t i = 0; agent->content.late && i < ret_state->n_items; i++) {
        if (ret_state->items[i]->state == MUSTER__ITEM_STATE__ITEM_FETCHING &&
            !mark(agent, ret_state->items[i], arena))
            return err_set(err, ERR_NO_MEMORY, "no memory for the state report");
    }
    return true;
}

bool agent_state_shown(const struct agent *agent, struct arena *arena,
                       Muster__StateReport *ret_state, struct err *err)
{
    if (!agent_state(agent, arena, ret_state, err) ||
        !registrar_trial(agent->registrar, arena, ret_state, err))
        return false;
    for (size_t i = 0; i < ret_state->n_items; i++)
        ret_state->items[i]->mode =
            (uint32_t)registrar_mode(agent->registrar, ret_state->items[i]->name);
    return true;
}

bool agent_tell_content(const struct agent *agent, struct arena *arena, Muster__AgentStatus *status,
                        struct err *err)
{
    const struct linkport_state *link = linkport_state(agent->port);
    char text[WHY_CHARS] = "", until[32];
    clock_format(link->content_held_ms, until);
    if (link->content_held[0] != '\0')
        (void)snprintf(text, sizeof text, "held back until %s, so that records go on: %.300s",
                       until, link->content_held);
    else if (agent->content.late)
        (void)snprintf(text, sizeof text, "nothing has come for %" PRId64 " s with a session",
                       content_wait_waited_ms(&agent->content, clock_boot_ms(agent->clock)) / 1000);
    status->link_refused = link->link_refused;
    status->broker_keeps_nothing = link->connected && link->keeps_nothing;
    status->content_waits = arena_copy(arena, text, strlen(text) + 1);
    return status->content_waits != NULL || err_set(err, ERR_NO_MEMORY, "no memory for a status");
}
