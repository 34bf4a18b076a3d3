/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/attack/session.h"

#include <stdio.h>
#include <string.h>

struct before {
    uint8_t all[32], held[32];
    uint64_t owed, refused, receipts_refused;
};

struct outcome {
    bool accepted;
    Muster__Refusal reason;
    char text[160];
};

const char *point_name(enum point point)
{
    static const char *const names[POINTS] = {"asked", "asked again", "welcomed", "joined again",
                                              "restarted"};
    return names[point];
}

/* ---- to the point ---- */

static const char *reach(struct session *session, enum point point)
{
    const char *wrong = NULL;
    /* From a state in which nothing waits. */
    if (session->agent->hello.outstanding)
        wrong = session_answered(session);
    if (wrong == NULL && point == POINT_WELCOMED)
        return session->agent->hello.welcomed ? NULL : session_answered(session);
    if (wrong != NULL)
        return wrong;
    session_ask(session, 3600000);
    if (point == POINT_AGAIN)
        session_ask(session, 60000);
    if (point == POINT_REJOINED)
        session_leave(session);
    if (point == POINT_RESTARTED)
        session_restart(session);
    if (point == POINT_REJOINED || point == POINT_RESTARTED)
        session_join(session);
    return NULL;
}

static void look(const struct session *session, struct before *before)
{
    session_digest(session, false, before->all);
    session_digest(session, true, before->held);
    before->owed = session_owed(session);
    before->refused = registrar_refusals(session->agent->registrar)->count;
    before->receipts_refused = session->agent->receipts_refused;
}

/* ---- the attack ---- */

static bool lacks_keys(const struct session_variant *variant, const struct thief *thief)
{
    unsigned has = variant->revoked ? 0 : thief->roles;
    return (variant->needs & ~has) != 0;
}

static Muster__Refusal expected(const struct session_variant *variant, const struct thief *thief)
{
    return lacks_keys(variant, thief) ? MUSTER__REFUSAL__REFUSAL_SIGNATURE : variant->reason;
}

static void say(struct session *session, const struct session_variant *variant,
                const struct thief *thief, struct outcome *outcome)
{
    bool receipt = variant->telling == TELLING_RECEIPT;
    struct answer answer;
    struct buf message = {0};
    struct err err = {0};
    if (receipt)
        session_receipt(session, &answer);
    else
        session_welcome(session, &answer);
    answer.forged = variant->needs != 0;
    if (variant->mutate != NULL)
        variant->mutate(session, &answer);
    if (receipt)
        session_seal_receipt(session, thief, &answer, &message);
    else
        session_seal_welcome(session, thief, &answer, &message);
    if (variant->spoil != NULL)
        variant->spoil(session, &message);
    outcome->accepted = session_take(session, receipt ? TOPIC_DOWN_RECEIPT : TOPIC_DOWN_WELCOME,
                                     answer.topic_device, buf_bytes(&message), &err);
    outcome->reason = refusal_of(&err);
    (void)snprintf(outcome->text, sizeof outcome->text, "%.150s", err.text);
    buf_done(&message);
}

/* ---- what must hold after it ---- */

static const char *nothing_came_of_it(const struct session *session, const struct before *before)
{
    uint8_t after[32];
    session_digest(session, false, after);
    if (memcmp(after, before->all, sizeof after) != 0)
        return "what it knows has changed";
    return session_owed(session) >= before->owed ? NULL : "records were let go";
}

static const char *not_what_was_inside(const struct session *session,
                                       const struct session_variant *variant,
                                       const struct before *before, struct outcome *outcome)
{
    const struct refusals *refusals = registrar_refusals(session->agent->registrar);
    uint8_t after[32];
    session_digest(session, true, after);
    if (memcmp(after, before->held, sizeof after) != 0)
        return "what is held has changed";
    if (session_owed(session) < before->owed)
        return "records were let go";
    if (refusals->count == before->refused)
        return "nothing was refused";
    outcome->reason = refusals->last;
    return outcome->reason == variant->reason ? NULL : "refused for another reason";
}

static const char *stale_is_said(const struct session *session, const struct before *before)
{
    char why[FRESHNESS_WHY_CHARS];
    uint8_t after[32];
    session_digest(session, true, after);
    agent_look_at_freshness(session->agent, why);
    if (memcmp(after, before->held, sizeof after) != 0)
        return "what is held has changed";
    return why[0] != '\0' ? NULL : "old state passes for fresh";
}

static bool is_told(struct session *session, Muster__Refusal reason)
{
    struct arena arena = {0};
    Muster__ClientReply reply = MUSTER__CLIENT_REPLY__INIT;
    struct err err = {0};
    bool told = false;
    recorder_flush(session->agent->recorder);
    must(agent_why(session->agent, 20, &arena, &reply, &err), "its story", &err);
    for (size_t i = 0; i < reply.n_events; i++)
        told = told || (reply.events[i]->refusal == reason &&
                        reply.events[i]->wall_ms > session->struck_ms);
    arena_done(&arena);
    return told;
}

/* By an event, and of the document that waits in what it says of its state. */
static const char *late_is_said(struct session *session, const struct before *before)
{
    struct arena arena = {0};
    Muster__StateReport state;
    struct err err = {0};
    bool said = false;
    uint8_t after[32];
    session_digest(session, true, after);
    must(agent_state(session->agent, &arena, &state, &err), "its state", &err);
    for (size_t i = 0; i < state.n_items; i++)
        said = said || state.items[i]->refusal == MUSTER__REFUSAL__REFUSAL_CONTENT_LATE;
    arena_done(&arena);
    if (memcmp(after, before->held, sizeof after) != 0)
        return "what is held has changed";
    if (!said)
        return "the document that waits is not said to be late";
    return is_told(session, MUSTER__REFUSAL__REFUSAL_CONTENT_LATE)
               ? NULL
               : "that content is late is not told";
}

/* ---- the control ---- */

static bool is_converged(const struct session *session)
{
    struct arena arena = {0};
    Muster__StateReport state;
    struct err err = {0};
    /* There is no key loader here: what is in force counts, and the slots are apart from it. */
    struct keyring *keyring = session->agent->keyring;
    session->agent->keyring = NULL;
    must(agent_state(session->agent, &arena, &state, &err), "its state", &err);
    session->agent->keyring = keyring;
    bool converged = state.converged;
    arena_done(&arena);
    return converged;
}

/* What is receipted and has no grace goes, as it does by and by. */
static void forget(const struct session *session)
{
    size_t removed = 1;
    struct err err = {0};
    while (removed > 0) {
        removed = 0;
        must(spool_forget(session->agent->spool, &removed, &err), "its spool", &err);
    }
}

/* The fleet's own answer is taken, proves what is held to be fresh, and its receipt frees all. */
static const char *control(struct session *session)
{
    struct answer answer;
    struct buf receipt = {0};
    struct err err = {0};
    const char *wrong = session_answered(session);
    if (wrong == NULL && !is_converged(session))
        wrong = "the control is not applied";
    session_record(session);
    session_receipt(session, &answer);
    session_seal_receipt(session, NULL, &answer, &receipt);
    if (wrong == NULL && !session_take(session, TOPIC_DOWN_RECEIPT, session->strike.device,
                                       buf_bytes(&receipt), &err))
        wrong = "the control receipt is refused";
    if (wrong == NULL && session_owed(session) > 0)
        wrong = "the control receipt frees nothing";
    buf_done(&receipt);
    forget(session);
    return wrong;
}

/* ---- one case ---- */

static const char *judge(struct session *session, const struct session_variant *variant,
                         const struct before *before, bool lacking, struct outcome *outcome)
{
    switch (variant->telling) {
    case TELLING_INSIDE:
        if (outcome->accepted)
            return not_what_was_inside(session, variant, before, outcome);
        return lacking ? nothing_came_of_it(session, before) : "the welcome around it is refused";
    case TELLING_STALE:
        return stale_is_said(session, before);
    case TELLING_LATE:
        outcome->reason = MUSTER__REFUSAL__REFUSAL_CONTENT_LATE;
        return late_is_said(session, before);
    case TELLING_WELCOME:
    case TELLING_RECEIPT:
    default:
        return outcome->accepted ? "ACCEPTED" : nothing_came_of_it(session, before);
    }
}

static void count(const struct session_variant *variant, const struct outcome *outcome,
                  bool accepted, struct tally *tally)
{
    tally->cases++;
    tally->attacks[variant->attack]++;
    tally->accepted += accepted ? 1 : 0;
    tally->stale += variant->telling == TELLING_STALE ? 1 : 0;
    if (outcome->reason != MUSTER__REFUSAL__REFUSAL_NONE)
        tally->reasons[outcome->reason]++;
}

static const char *run(struct session *session, const struct session_variant *variant,
                       const struct thief *thief, enum point point, struct outcome *outcome,
                       struct tally *tally)
{
    struct before before;
    Muster__Refusal reason = expected(variant, thief);
    bool lacking = lacks_keys(variant, thief);
    bool limit = reason == MUSTER__REFUSAL__REFUSAL_NONE && variant->telling != TELLING_STALE;
    const char *wrong = reach(session, point);
    if (wrong != NULL)
        return wrong;
    if (variant->prepare != NULL)
        variant->prepare(session);
    session_record(session);
    session->struck_ms = session->now_ms;
    look(session, &before);
    if (variant->act != NULL)
        variant->act(session);
    else
        say(session, variant, thief, outcome);
    if (limit) {
        tally->limits++;
        wrong = outcome->accepted ? NULL : "a stated limit that is refused";
    } else {
        bool meant = variant->telling == TELLING_INSIDE && !lacking;
        wrong = judge(session, variant, &before, lacking, outcome);
        count(variant, outcome,
              outcome->accepted && !meant && variant->act == NULL &&
                  variant->telling != TELLING_STALE,
              tally);
        if (wrong == NULL && variant->telling != TELLING_STALE && outcome->reason != reason)
            wrong = "refused for another reason";
    }
    return wrong != NULL ? wrong : control(session);
}

void session_strike(struct session *session, const struct session_variant *variant,
                    const struct thief *thief, enum point point, struct tally *tally)
{
    struct outcome outcome = {0};
    const char *wrong = run(session, variant, thief, point, &outcome, tally);
    if (wrong == NULL)
        return;
    char want[REFUSAL_NAME_CHARS], got[REFUSAL_NAME_CHARS];
    refusal_name(expected(variant, thief), want);
    refusal_name(outcome.reason, got);
    (void)fprintf(stderr, "%s/%s, stolen: %s, %s, %s and %s: %s (%s; it should be %s) %s\n",
                  attack_name(variant->attack), variant->name, thief->name, point_name(point),
                  session->strike.device, session->strike.other, wrong, got, want, outcome.text);
    tally->failures++;
}
