/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_REGISTRY_PROBATION_H
#define STORAGE_REGISTRY_PROBATION_H

#include "storage/registry.h"

/*
 *   <dir>/probation   how far the generation in force has proved itself
 *   <dir>/returned    what was in force and was taken back, and why
 *
 * Plain numbers: what they mean is the agent's to say.
 */
enum {
    REGISTRY_TOKENS = 16,
    REGISTRY_TOKEN_BYTES = 8,
    REGISTRY_GROUPS = 11,
    REGISTRY_SHORT_BYTES = 8, /* of a generation's digest */
};

struct registry_probation {
    bool present;
    uint64_t generation; /* in force when this was written */
    uint64_t good;       /* that comes back; the same: it is good itself */
    uint64_t highest;    /* number ever given to one */
    uint64_t manifest;   /* version of the manifest that it was built from */
    bool unproved, connection, welcomed;
    bool stays;       /* it should have gone back, and could not */
    bool after_due;   /* the hook that follows a switch has not said yes yet */
    bool untold;      /* that it came back, instead of another, was not told yet */
    bool running;     /* the agent that wrote this has not ended in order: */
    uint8_t boot[16]; /* in this boot of the terminal */
    uint64_t results, suspect, before_results, before_suspect;
    uint64_t crashes, starts, spent_ms;
    uint64_t incarnation, seq; /* of the newest result that is counted in this */
    uint64_t tokens;
    uint8_t token[REGISTRY_TOKENS][REGISTRY_TOKEN_BYTES];
    uint64_t suspect_now, waited_ms, reader_ms;
    uint64_t groups[REGISTRY_GROUPS];
    uint64_t watched_ms; /* after a return, for the fleet's answer the old way */
    /* Of `boot`: since when it is in force, and what was before; 0: since before that boot. */
    uint64_t since_ms, before_since_ms;
    bool has_before;
    uint8_t before[REGISTRY_SHORT_BYTES];
};

/* ERR_INVALID: damaged. Not there: `present` is false. */
bool registry_probation_read(const struct registry *registry,
                             struct registry_probation *ret_probation,
                             struct err *err) MUSTER_CHECK;
bool registry_probation_write(const struct registry *registry,
                              const struct registry_probation *probation,
                              struct err *err) MUSTER_CHECK;

enum { REGISTRY_RETURNED = 4 };

/* One document as it was in a generation that was taken back. */
struct registry_returned_item {
    char name[REGISTRY_NAME_CHARS + 1];
    uint64_t version; /* 0: that it was gone */
    uint8_t sha256[32];
};

/* What was new in a generation that was taken back. */
struct registry_returned {
    uint64_t generation, to; /* which came back as this one */
    uint64_t manifest_version;
    uint64_t results, suspect, before_results, before_suspect;
    int refusal;
    /* Of what carried the connection: whether that was to blame is only seen the old way. */
    bool watched;              /* it is not seen yet */
    bool again;                /* nothing is known against it: it may be tried once more */
    uint64_t faults, silences; /* so often it was; so often there was no answer either */
    char reason[400];
    size_t count;
    struct registry_returned_item items[REGISTRY_ITEMS];
};

struct registry_returns {
    size_t count;
    struct registry_returned returned[REGISTRY_RETURNED]; /* the newest last */
};

bool registry_returns_read(const struct registry *registry, struct registry_returns *ret_returns,
                           struct err *err) MUSTER_CHECK;
bool registry_returns_write(const struct registry *registry, const struct registry_returns *returns,
                            struct err *err) MUSTER_CHECK;

/* The one with the lowest number below `below` that is whole; number 0: there is none. */
bool registry_oldest(const struct registry *registry, uint64_t below,
                     struct registry_generation *ret_generation, struct err *err) MUSTER_CHECK;
/* One generation by its number, whole or an error. */
bool registry_generation_read(const struct registry *registry, uint64_t number,
                              struct registry_generation *ret_generation,
                              struct err *err) MUSTER_CHECK;

#endif
