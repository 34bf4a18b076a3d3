/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_TRAIN_TERMINALS_H
#define TESTS_TRAIN_TERMINALS_H

#include "tests/world/results.h"

/*
 * Results to train dictionaries on: a fleet of terminals as WORLD.md has them, each in a world of
 * its own. What the worlds of the benches hold still (versions, counters, the start, how busy and
 * how fast) is drawn for each terminal here, so that a dictionary cannot learn those constants.
 */
enum {
    TRAIN_SEED = 7700000, /* of terminal 0; one up for each terminal */
    TRAIN_TERMINALS = 240,
    TRAIN_SEED_END = TRAIN_SEED + TRAIN_TERMINALS, /* benches keep away from these seeds */
};

struct train_tables {
    struct ranges ranges;
    struct ca_keys ca_keys;
};

bool train_tables_read(const char *ranges_path, const char *ca_keys_path,
                       struct train_tables *ret_tables, struct err *err) MUSTER_CHECK;
void train_tables_done(struct train_tables *tables);

struct train_terminal;
bool train_terminal_open(const struct train_tables *tables, uint64_t seed,
                         struct train_terminal **ret_terminal, struct err *err) MUSTER_CHECK;
void train_terminal_close(struct train_terminal *terminal);
/* Valid as long as the terminal is open and until `ret_result` is used again. */
void train_terminal_next(struct train_terminal *terminal, struct world_result *ret_result);

#endif
