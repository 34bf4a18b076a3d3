/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_SIM_SOURCE_H
#define TESTS_SIM_SOURCE_H

#include "tests/world/results.h"

/*
 * What happens at the tills of a fleet: results as in WORLD.md, seeded. Cards come from a hundred
 * decks, of which a terminal keeps to one; what is a terminal's own (STAN, idempotency key) counts
 * in the terminal.
 */
struct source;

struct source_settings {
    const char *routing, *ca_keys; /* paths of the BIN table and of the CA keys */
    uint64_t seed;
};

bool source_open(const struct source_settings *settings, struct source **ret_source,
                 struct err *err) MUSTER_CHECK;
void source_close(struct source *source);

/* What a terminal counts by itself. */
struct source_till {
    size_t deck;
    uint32_t stan;
    uint64_t key;
};
struct source_till source_till(struct source *source, size_t terminal);

/* The next result at this till, now: the agent stamps the time since boot. */
void source_next(struct source *source, struct source_till *till, int64_t wall_ms,
                 struct world_result *ret_result);
/* The same, declined with a code that speaks of the terminal: "57". */
void source_suspect(struct source *source, struct source_till *till, int64_t wall_ms,
                    struct world_result *ret_result);

#endif
