/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FLEET_PRESENCE_RULE_H
#define FLEET_PRESENCE_RULE_H

#include "proto/online.h"
#include "storage/fleetdb_presence.h"

/*
 * Whether one device is there, as a pure state machine.
 *
 *   line    a birth or any message: there. The will or the goodbye of its newest session, and
 *           silence of twice the time that it told it may be silent: away. A word of a session
 *           before says nothing, nor does the end of another boot's while it is there.
 *   state   away in service and in the hours of its store for `grace_ms`: missing, until it is
 *           heard again or nobody expects it any more. Before that offline; out of those hours
 *           closed.
 *
 * Silence and grace are counted by the time since musterd's machine started, never by its clock.
 * While musterd has no line, and for a time afterwards, nobody is judged.
 */
enum { PRESENCE_SILENCE_TIMES = 2 };

struct presence_rule {
    int64_t grace_ms;
    int64_t silence_least_ms; /* no silence shorter than that means anything */
};

struct presence_time {
    int64_t boot_ms, wall_ms;
};

enum presence_line { PRESENCE_UNHEARD, PRESENCE_THERE, PRESENCE_AWAY };

struct presence_sight {
    enum presence_line line;
    enum fleetdb_evidence evidence;
    int64_t since_ms;           /* wall: there or away since */
    int64_t seen_ms;            /* wall: last message of its own; 0: never */
    uint64_t boot, boot_before; /* of its newest session, and the boot before that */
    int64_t began_ms;
    int64_t silence_s; /* 0: not told */
    int64_t heard_ms;  /* boot: silence counts from there */

    bool missing;
    bool awaited;       /* missing unless it comes within the grace ... */
    int64_t awaited_ms; /* ... from there on, boot */

    /* Since our line to the broker came: */
    bool doubted; /* it was there before, and that is to be shown anew */
    bool proved;  /* it said something itself */
    bool anew;    /* it told of a session that we did not know */
    bool late;    /* a word of a session before came, in the place of the one that is due */
};

/* As it was kept in the database. */
struct presence_sight presence_sight_of(const struct fleetdb_presence *kept, int64_t boot_ms);

/* Our line came: who was there is in doubt until something is heard. */
void presence_rule_line(struct presence_sight *sight, int64_t boot_ms);
/* A batch or a hello; `silence_s` below 0: it says nothing of that. */
void presence_rule_heard(struct presence_sight *sight, int64_t silence_s,
                         const struct presence_time *now);
/* False: it is of a session before, and says nothing. */
bool presence_rule_word(struct presence_sight *sight, const struct online_word *word, bool kept,
                        const struct presence_time *now);

/* What the word of all together says when they had time to come back. */
struct presence_broker {
    bool keeps;      /* it keeps the words of who is there: who has none there is not */
    bool restarted;  /* so a word of a session from before is of no worth */
    int64_t lost_ms; /* wall: until then we knew */
};
void presence_rule_settle(struct presence_sight *sight, const struct presence_broker *broker);

/* How things stand with its store, and with us. */
struct presence_place {
    bool in_service;
    bool open;
    int64_t until_ms; /* boot: `open` is to be looked at again then */
    bool blind;       /* nobody is judged now */
};
/* The state, and when it is to be asked again if nothing comes, boot; -1: not before that. */
enum fleetdb_presence_state presence_rule_judge(struct presence_sight *sight,
                                                const struct presence_rule *rule,
                                                const struct presence_place *place,
                                                const struct presence_time *now,
                                                int64_t *ret_due_ms);

#endif
