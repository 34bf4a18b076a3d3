/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/agent_parts.h"

#include "proto/batch.h"
#include "proto/limits.h"
#include "proto/unpack.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    LOG_RECORDS = 48,
    /* of a bundle, and some */ WHY_DEFAULT = 20,
    WHY_MAX = 100,
    WHY_LOOK_AT_RESULTS = 500
};

static Muster__Traffic *traffic_message(const struct traffic *traffic, struct arena *arena)
{
    Muster__Traffic *message = arena_alloc(arena, sizeof *message);
    Muster__TrafficWay *ways = arena_alloc(arena, 2 * sizeof *ways);
    if (message == NULL || ways == NULL)
        return NULL;
    *message = (Muster__Traffic)MUSTER__TRAFFIC__INIT;
    const struct traffic_way *from[] = {&traffic->up, &traffic->down};
    for (size_t i = 0; i < 2; i++) {
        ways[i] = (Muster__TrafficWay)MUSTER__TRAFFIC_WAY__INIT;
        ways[i].payload = from[i]->payload;
        ways[i].mqtt = from[i]->mqtt;
        ways[i].tls = from[i]->tls;
        ways[i].tcpip = from[i]->tcpip;
    }
    message->up = &ways[0];
    message->down = &ways[1];
    return message;
}

static bool say_cost(struct agent *agent, struct arena *arena, Muster__AgentStatus *status,
                     struct err *err)
{
    agent_look_at_traffic(agent);
    const struct account *account = &agent->account;
    status->traffic = traffic_message(&account->now.traffic, arena);
    status->traffic_before = traffic_message(&account->before.traffic, arena);
    if (status->traffic == NULL || status->traffic_before == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory for a status");
    status->traffic_month = account->now.month;
    status->traffic_month_before = account->before.month;
    bool metered = agent->settings->uplink_policy == AGENT_METERED;
    status->policy = (char *)(uintptr_t)(metered ? "metered" : "wired");
    status->suspect_results = agent->suspect_results;
    status->urgent_flushes = agent->sender.uplink.linger.urgent_flushes;
    status->batches = agent->sender.batches;
    return true;
}

static bool tell_health(const struct agent *agent, struct arena *arena, Muster__AgentStatus *status,
                        struct err *err)
{
    char why[640];
    status->healthy = agent_healthy(agent, why, sizeof why);
    status->healthy_why = arena_copy(arena, why, strlen(why) + 1);
    status->fault = (char *)(uintptr_t)agent->fault.why;
    status->fault_refused = agent->fault.refused;
    struct spool_salvaged salvaged = spool_salvaged(agent->spool);
    status->salvaged_records = salvaged.records;
    status->salvage_lost = salvaged.lost + salvaged.unknown;
    status->spool_opened = (char *)(uintptr_t)spool_opened(agent->spool);
    return status->healthy_why != NULL || err_set(err, ERR_NO_MEMORY, "no memory for a status");
}

bool agent_status(struct agent *agent, struct arena *arena, Muster__ClientReply *reply,
                  struct err *err)
{
    Muster__AgentStatus *status = arena_alloc(arena, sizeof *status);
    Muster__StateReport *state = arena_alloc(arena, sizeof *state);
    Muster__Health *health = arena_alloc(arena, sizeof *health);
    if (status == NULL || state == NULL || health == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory for a status");
    if (!agent_state_shown(agent, arena, state, err))
        return false;
    agent_sample_health(agent, health);
    const struct linkport_state *link = linkport_state(agent->port);
    *status = (Muster__AgentStatus)MUSTER__AGENT_STATUS__INIT;
    status->device = (char *)(uintptr_t)agent->settings->device;
    status->agent_version = (char *)(uintptr_t)MUSTER_VERSION;
    status->incarnation = spool_incarnation(agent->spool);
    status->link_joined = link->joined;
    status->connected = link->connected;
    status->broker = (char *)(uintptr_t)link->broker;
    status->link_reason = (char *)(uintptr_t)(link->connected ? "" : link->reason);
    status->next_attempt_ms = link->connected ? 0 : link->next_attempt_ms;
    status->link_sessions = link->link_sessions;
    status->link_resumed = link->link_resumed;
    status->link_failures = link->link_failures;
    status->link_failure = (char *)(uintptr_t)link->failure;
    status->link_failed_ms = link->failed_ms;
    status->welcomed = agent->hello.welcomed;
    status->last_welcome_ms = agent->last_welcome_ms;
    status->last_receipt_ms = agent->last_receipt_ms;
    status->state = state;
    status->health = health;
    struct spool_stats stats;
    spool_stats(agent->spool, &stats);
    status->kept_records = stats.records_kept;
    status->lost_records = stats.records_lost;
    status->starts = spool_starts(agent->spool);
    if (!tell_health(agent, arena, status, err) || !agent_tell_trust(agent, arena, status, err) ||
        !agent_tell_content(agent, arena, status, err))
        return false;
    if (!agent_list_actions(agent, true, arena, &status->actions, &status->n_actions, err))
        return false;
    if (!agent_list_placings(agent, arena, &status->placing, &status->n_placing, err))
        return false;
    reply->agent = status;
    return say_cost(agent, arena, status, err);
}

/* ---- why: the newest events and the newest results that were not approved, one story ---- */

struct story {
    const struct suspect_profile *suspects;
    struct arena *arena;
    Muster__Event **events;
    size_t count, max, events_max;
};

static bool add_event(struct story *story, const Muster__Event *event, struct err *err)
{
    Muster__Event *copy = arena_alloc(story->arena, sizeof *copy);
    if (copy == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory for the story");
    *copy = *event;
    copy->detail = (ProtobufCBinaryData){0}; /* for the fleet; people read the text */
    story->events[story->count++] = copy;
    return true;
}

/* A story with a gap is better than none, just when something is wrong with this terminal. */
static bool left_out(const struct err *why)
{
    return why == NULL || why->code != ERR_NO_MEMORY;
}

static bool take_event(void *ctx, uint64_t incarnation, uint64_t seq, struct bytes body,
                       struct err *err)
{
    struct story *story = ctx;
    static const struct unpack_limits limits = {.max_bytes = LIMIT_RECORD_BYTES};
    ProtobufCMessage *message = NULL;
    (void)incarnation;
    (void)seq;
    if (!unpack(&muster__event__descriptor, body, &limits, story->arena, &message, err))
        return left_out(err);
    const Muster__Event *event = (const Muster__Event *)message;
    /* Pieces of a log are no story. */
    if (event->kind == MUSTER__EVENT_KIND__EVENT_LOG || story->count == story->events_max)
        return true;
    return add_event(story, event, err);
}

static const char *outcome_word(Muster__Outcome outcome)
{
    switch (outcome) {
    case MUSTER__OUTCOME__OUTCOME_DECLINED:
        return "declined";
    case MUSTER__OUTCOME__OUTCOME_NO_ANSWER:
        return "no answer";
    case MUSTER__OUTCOME__OUTCOME_CANCELLED:
        return "cancelled";
    case MUSTER__OUTCOME__OUTCOME_READ_FAILED:
        return "card not read";
    default:
        return "failed";
    }
}

static void describe(const struct suspect_profile *suspects, const Muster__TxnResult *txn,
                     char *out, size_t size)
{
    const struct {
        bool said;
        const char *words;
    } own_word[] = {
        {txn->table_miss, "card not in the BIN table"},
        {txn->default_route, "sent by the default route"},
        {txn->issuer_unknown, "issuer unknown"},
        {txn->no_common_aid, "no common AID"},
        {txn->key_missing, "CA public key missing"},
        {txn->reversal_pending, "reversal pending"},
    };
    int n = snprintf(out, size, "%s%s%s, STAN %06u", outcome_word(txn->outcome),
                     txn->code[0] == '\0' ? "" : ", response code ", txn->code, txn->stan);
    const char *separator = "; the payment application says: ";
    for (size_t i = 0; i < sizeof own_word / sizeof *own_word; i++) {
        if (!own_word[i].said || n < 0 || (size_t)n >= size)
            continue;
        n += snprintf(out + n, size - (size_t)n, "%s%s", separator, own_word[i].words);
        separator = ", ";
    }
    enum suspect why = suspect_of(suspects, txn);
    if (why != SUSPECT_NOT && n >= 0 && (size_t)n < size)
        (void)snprintf(out + n, size - (size_t)n, "; suspect: %s", suspect_words(why));
}

static bool take_result(void *ctx, uint64_t incarnation, uint64_t seq, struct bytes body,
                        struct err *err)
{
    struct story *story = ctx;
    static const struct unpack_limits limits = {.max_bytes = LIMIT_TXN_BYTES};
    ProtobufCMessage *message = NULL;
    char text[256];
    (void)incarnation;
    (void)seq;
    if (!unpack(&muster__txn_result__descriptor, body, &limits, story->arena, &message, err))
        return left_out(err);
    const Muster__TxnResult *txn = (const Muster__TxnResult *)message;
    if (txn->outcome == MUSTER__OUTCOME__OUTCOME_APPROVED || story->count == story->max)
        return true;
    describe(story->suspects, txn, text, sizeof text);
    Muster__Event event = MUSTER__EVENT__INIT;
    event.wall_ms = txn->wall_ms;
    event.boot_ms = txn->boot_ms;
    event.text = arena_copy(story->arena, text, strlen(text) + 1);
    return event.text != NULL ? add_event(story, &event, err)
                              : err_set(err, ERR_NO_MEMORY, "no memory for the story");
}

static int newest_first(const void *left, const void *right)
{
    const Muster__Event *a = *(Muster__Event *const *)left;
    const Muster__Event *b = *(Muster__Event *const *)right;
    return a->wall_ms < b->wall_ms ? 1 : a->wall_ms > b->wall_ms ? -1 : 0;
}

bool agent_why(struct agent *agent, uint32_t limit, struct arena *arena, Muster__ClientReply *reply,
               struct err *err)
{
    size_t max = limit == 0 ? WHY_DEFAULT : limit > WHY_MAX ? WHY_MAX : limit;
    struct story story = {
        .suspects = &agent->suspects,
        .arena = arena,
        .events = arena_alloc(arena, 2 * max * sizeof(Muster__Event *)),
        .max = 2 * max,
        .events_max = max,
    };
    if (story.events == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory for the story");
    if (!spool_newest(agent->spool, MUSTER__LANE__LANE_EVENT, max + LOG_RECORDS, take_event, &story,
                      err) ||
        !spool_newest(agent->spool, MUSTER__LANE__LANE_TXN, WHY_LOOK_AT_RESULTS, take_result,
                      &story, err))
        return false;
    qsort(story.events, story.count, sizeof *story.events, newest_first);
    reply->events = story.events;
    reply->n_events = story.count > max ? max : story.count;
    return true;
}
