/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_UNIT_AGENT_ACTIONS_WORLD_H
#define TESTS_UNIT_AGENT_ACTIONS_WORLD_H

#include "tests/attack/session.h"

/* A whole agent on real files, with a real sign-on hook, and the fleet's order for it. */
struct world {
    char dir[48];
    struct fleet fleet;
    struct session session;
    Muster__Action order, *orders[1];
    int64_t wrong_ms; /* by so much its clock is wrong */
};

void path_in(const struct world *world, const char *name, char path[128]);
/* Writes a line for each time it runs; `more` is a line of its own. */
void write_hook(const struct world *world, const char *more);
unsigned times_ran(const struct world *world);
void set_hook(struct world *world);
int actions_set_up(void **state);
int actions_tear_down(void **state);
void open_session(struct world *world);
/* The fleet's next manifest, with the order; `welcomed`: and the proof that it is the newest. */
void give_order(struct world *world, bool welcomed);
const struct actions_entry *entry_of(const struct world *world, const char *id);
bool is_over(const struct world *world, const char *id);
void wait_over(struct world *world, const char *id);
const char *waits_for(const struct world *world);
/* The fleet has all that was recorded. */
void give_receipt(struct world *world);

#endif
