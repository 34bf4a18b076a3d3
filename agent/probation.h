/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_PROBATION_H
#define AGENT_PROBATION_H

#include <stdbool.h>
#include <stdint.h>

/*
 * A generation that was put in force has to prove itself by what happens with it: results no more
 * suspect than those of the last good one, an application that does not fall over, and, where it
 * carries the connection, a welcome. Otherwise the last good one comes back. Too few results in the
 * time there is to tell either are an answer of their own. Pure; times are powered-on time.
 */
enum {
    PROBATION_TOKENS = 16,
    PROBATION_TOKEN_BYTES = 8,
    PROBATION_LEAST = 3,   /* suspect results without which nothing goes back */
    PROBATION_GROUPS = 11, /* of what is suspect */
    PROBATION_READER_MS = 2 * 60 * 1000,
};

struct probation_policy {
    uint32_t results; /* enough to tell */
    int64_t time_ms;
    int64_t welcome_ms; /* for what carries the connection */
    uint32_t crashes;   /* of the application, within a transaction; so many are too many */
    uint32_t starts;    /* of the agent without an end, likewise */
};

/* Results and how many of them were suspect: of a generation that is good, the newest weigh most.
 */
struct probation_track {
    uint32_t results;
    uint32_t suspect;
};

struct probation {
    uint64_t generation; /* 0: nothing is on probation */
    uint64_t good;       /* that would come back, 0: there is none */
    bool connection;     /* it carries the connection */
    bool welcomed;       /* since it is in force */
    struct probation_track track;
    struct probation_track before; /* of the good one */
    uint32_t crashes;
    uint32_t starts;
    int64_t spent_ms;
    int64_t waited_ms; /* for that welcome */
    uint32_t tokens;   /* of the cards whose results were suspect: each counts once */
    uint8_t token[PROBATION_TOKENS][PROBATION_TOKEN_BYTES];
    int64_t reader_ms; /* wall time of the newest that the reader failed with, no card known */
    uint32_t groups[PROBATION_GROUPS]; /* of `track.suspect` */
    uint32_t suspect_now;              /* of `track.results`, by what is in force itself */
};

/* A result of the generation on probation. */
struct probation_result {
    bool suspect;         /* by the measure that `before` was taken with */
    bool suspect_now;     /* by the one that is in force */
    unsigned group;       /* of what is suspect: below PROBATION_GROUPS */
    bool reader;          /* the card reader failed */
    const uint8_t *token; /* PROBATION_TOKEN_BYTES, NULL: nobody knows which card it was */
    int64_t wall_ms;
};

enum probation_verdict {
    PROBATION_RUNS,
    PROBATION_PROVED,
    PROBATION_UNPROVED, /* the time is over, and there was too little to tell */
    PROBATION_BACK_RESULTS,
    PROBATION_BACK_CRASHES,
    PROBATION_BACK_STARTS,
    PROBATION_BACK_WELCOME,
};

/* Adds one. A card that is suspect counts once; where the reader failed before the card was known,
 * once in PROBATION_READER_MS, for that is one customer who tries again; other attempts without a
 * token all count, for there are applications that give none. */
void probation_result(struct probation *probation, const struct probation_result *result);
/* Adds a result of a good generation. */
void probation_track_add(struct probation_track *track, bool suspect);
enum probation_verdict probation_look(const struct probation_policy *policy,
                                      const struct probation *probation);
/* How likely so many suspect results, or more, would be if nothing had changed: 0 to 1. */
double probation_chance(const struct probation_track *track, const struct probation_track *before);

#endif
