/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/presence_rule.h"

#define DAY_S INT64_C(86400)
static const int64_t silence_untold_s = DAY_S;   /* a hello comes each day */
static const int64_t silence_most_s = 8 * DAY_S; /* a device may lie */

struct presence_sight presence_sight_of(const struct fleetdb_presence *kept, int64_t boot_ms)
{
    static const enum presence_line lines[FLEETDB_PRESENCE_STATES] = {
        [FLEETDB_UNKNOWN] = PRESENCE_UNHEARD, [FLEETDB_ONLINE] = PRESENCE_THERE,
        [FLEETDB_OFFLINE] = PRESENCE_AWAY,    [FLEETDB_CLOSED] = PRESENCE_AWAY,
        [FLEETDB_MISSING] = PRESENCE_AWAY,
    };
    return (struct presence_sight){
        .line = lines[kept->state],
        .evidence = kept->evidence,
        .since_ms = kept->since_ms,
        .seen_ms = kept->seen_ms,
        .boot = kept->boot,
        .boot_before = kept->boot_before,
        .began_ms = kept->began_ms,
        .silence_s = kept->silence_s,
        .heard_ms = boot_ms,
        .missing = kept->state == FLEETDB_MISSING,
    };
}

void presence_rule_line(struct presence_sight *sight, int64_t boot_ms)
{
    /* What was in doubt when musterd stopped still is. */
    sight->doubted =
        sight->line == PRESENCE_THERE || (sight->line == PRESENCE_UNHEARD && sight->seen_ms != 0);
    sight->proved = sight->anew = sight->late = sight->awaited = false;
    sight->heard_ms = boot_ms;
    if (sight->line == PRESENCE_THERE)
        sight->line = PRESENCE_UNHEARD;
}

static void come(struct presence_sight *sight, enum fleetdb_evidence evidence, bool other_session,
                 int64_t wall_ms)
{
    bool went_on =
        sight->line == PRESENCE_THERE || (sight->line == PRESENCE_UNHEARD && sight->doubted);
    if (!went_on || other_session)
        sight->since_ms = wall_ms;
    if (sight->line != PRESENCE_THERE || other_session)
        sight->evidence = evidence;
    sight->line = PRESENCE_THERE;
    sight->missing = sight->awaited = false;
}

static void go(struct presence_sight *sight, enum fleetdb_evidence evidence, int64_t since_ms)
{
    sight->line = PRESENCE_AWAY;
    sight->evidence = evidence;
    sight->since_ms = since_ms;
    sight->awaited = false;
}

static void hear(struct presence_sight *sight, const struct presence_time *now)
{
    sight->seen_ms = now->wall_ms;
    sight->heard_ms = now->boot_ms;
    sight->proved = true;
}

void presence_rule_heard(struct presence_sight *sight, int64_t silence_s,
                         const struct presence_time *now)
{
    if (silence_s >= 0)
        sight->silence_s = silence_s < silence_most_s ? silence_s : silence_most_s;
    come(sight, FLEETDB_BY_MESSAGE, false, now->wall_ms);
    hear(sight, now);
}

/* ---- words of sessions ---- */

static bool same_session(const struct presence_sight *sight, const struct online_word *word)
{
    return word->began_ms != 0 && word->boot == sight->boot && word->began_ms == sight->began_ms;
}

/* A boot that another one has followed does not come back, and who is there in a session does not
 * go with that of another boot. */
static bool is_late(const struct presence_sight *sight, const struct online_word *word)
{
    if (word->began_ms == 0)
        return false;
    if (word->boot == sight->boot)
        return word->began_ms < sight->began_ms;
    if (!word->online && sight->line == PRESENCE_THERE && sight->began_ms != 0)
        return true;
    return word->boot == sight->boot_before && word->boot != 0;
}

static void take_session(struct presence_sight *sight, const struct online_word *word)
{
    if (word->began_ms == 0)
        return;
    if (word->boot != sight->boot)
        sight->boot_before = sight->boot;
    sight->boot = word->boot;
    sight->began_ms = word->began_ms;
}

bool presence_rule_word(struct presence_sight *sight, const struct online_word *word, bool kept,
                        const struct presence_time *now)
{
    if (is_late(sight, word)) {
        sight->late = true;
        return false;
    }
    bool same = same_session(sight, word), other = word->began_ms != 0 && !same;
    if (!word->online && sight->line == PRESENCE_AWAY)
        return true; /* the first word stands */
    take_session(sight, word);
    if (!word->online) {
        go(sight, word->goodbye ? FLEETDB_BY_GOODBYE : FLEETDB_BY_WILL,
           kept && sight->seen_ms != 0 ? sight->seen_ms : now->wall_ms);
        return true;
    }
    if (kept && same && sight->line == PRESENCE_AWAY)
        return true; /* we know better: it was found to be of no worth */
    sight->anew = sight->anew || other;
    come(sight, kept ? FLEETDB_BY_KEPT : FLEETDB_BY_BIRTH, other, now->wall_ms);
    if (!kept)
        hear(sight, now);
    return true;
}

void presence_rule_settle(struct presence_sight *sight, const struct presence_broker *broker)
{
    bool unheard = sight->line == PRESENCE_UNHEARD && broker->keeps && !sight->late;
    bool stale = sight->line == PRESENCE_THERE && broker->restarted && !sight->proved;
    if (!sight->doubted || sight->anew || (!unheard && !stale))
        return;
    go(sight, FLEETDB_BY_BROKER,
       sight->seen_ms > broker->lost_ms ? sight->seen_ms : broker->lost_ms);
}

/* ---- the state ---- */

static int64_t silence_ms(const struct presence_sight *sight, const struct presence_rule *rule)
{
    int64_t told_s = sight->silence_s > 0 ? sight->silence_s : silence_untold_s;
    int64_t limit_ms = PRESENCE_SILENCE_TIMES * told_s * 1000;
    return limit_ms > rule->silence_least_ms ? limit_ms : rule->silence_least_ms;
}

static bool may_be_there(const struct presence_sight *sight)
{
    return sight->line == PRESENCE_THERE || (sight->line == PRESENCE_UNHEARD && sight->doubted);
}

static enum fleetdb_presence_state judge_away(struct presence_sight *sight,
                                              const struct presence_rule *rule,
                                              const struct presence_place *place,
                                              const struct presence_time *now, int64_t *ret_due_ms)
{
    if (!place->in_service) {
        sight->missing = sight->awaited = false;
        return FLEETDB_OFFLINE;
    }
    if (sight->missing)
        return FLEETDB_MISSING;
    *ret_due_ms = place->until_ms;
    if (!place->open || place->blind) {
        sight->awaited = false;
        return place->open ? FLEETDB_OFFLINE : FLEETDB_CLOSED;
    }
    if (!sight->awaited)
        sight->awaited_ms = now->boot_ms;
    sight->awaited = true;
    sight->missing = now->boot_ms - sight->awaited_ms >= rule->grace_ms;
    if (sight->awaited_ms + rule->grace_ms < place->until_ms)
        *ret_due_ms = sight->awaited_ms + rule->grace_ms;
    return sight->missing ? FLEETDB_MISSING : FLEETDB_OFFLINE;
}

enum fleetdb_presence_state presence_rule_judge(struct presence_sight *sight,
                                                const struct presence_rule *rule,
                                                const struct presence_place *place,
                                                const struct presence_time *now,
                                                int64_t *ret_due_ms)
{
    *ret_due_ms = -1;
    if (may_be_there(sight) && !place->blind) {
        int64_t end_ms = sight->heard_ms + silence_ms(sight, rule);
        if (now->boot_ms < end_ms)
            *ret_due_ms = end_ms;
        else
            go(sight, FLEETDB_BY_SILENCE, sight->seen_ms != 0 ? sight->seen_ms : sight->since_ms);
    }
    if (sight->line == PRESENCE_AWAY)
        return judge_away(sight, rule, place, now, ret_due_ms);
    return sight->line == PRESENCE_THERE ? FLEETDB_ONLINE : FLEETDB_UNKNOWN;
}
