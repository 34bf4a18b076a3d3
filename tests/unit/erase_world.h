/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_UNIT_ERASE_WORLD_H
#define TESTS_UNIT_ERASE_WORLD_H

#include "storage/fleetdb_erase.h"
#include "tests/unit/collector_world.h"

#include <sqlite3.h>

enum { PATH_CHARS = 160, EACH = 60, ROUNDS = 20, ERASE_TRACES = 8 };

/* Everything that names the merchant goldfinch, or was its. */
extern const char *const erase_traces[ERASE_TRACES];

void erase_path(const struct world *world, const char *end, char path[PATH_CHARS]);
/* Beside what the fleet database has open. */
int64_t erase_number(struct world *world, const char *sql);
void erase_doctor(struct world *world, const char *sql);
void erase_sums_are_right(struct world *world);

/* t1 stands there from now on; what it carries is said of goldfinch alone. */
void erase_enrol(struct world *world, const char *merchant, const char *store);
/* EACH results of now. */
void erase_send(struct world *world, const char *device, uint64_t first);
/* A merchant with a past: ROUNDS times EACH results of its t1 amid those of another's t2. */
void erase_fill(struct world *world);

bool erase_order(struct world *world, bool force, bool dry_run, struct fleetdb_erasure *erasure,
                 struct err *err);
void erase_begin(struct world *world);
void erase_finish(struct world *world);

/* How often it is in the file or in its WAL. */
unsigned erase_found(struct world *world, const char *trace);
void erase_nothing_is_left(struct world *world);

/* Counts results of t1 under a TID. */
#define ERASE_NAMES_A_TID                                                                          \
    "SELECT count(*) FROM result r JOIN device_terminal c ON c.id = r.carried"                     \
    " JOIN logical_terminal l ON l.id = c.logical_terminal WHERE r.device = 1 AND l.tid <> ''"

#endif
