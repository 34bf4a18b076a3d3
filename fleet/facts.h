/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FLEET_FACTS_H
#define FLEET_FACTS_H

#include "base/clock.h"
#include "storage/fleetdb_labels.h"
#include "storage/fleetdb_scope.h"

/*
 * What is so of each device, read in turns of the loop. What takes more than one begins again with
 * what is there at that moment: else a device that takes another's place between two turns would
 * be told of twice, or never.
 */
struct facts;

struct facts_reader {
    void *ctx;
    /* One device after the other, all facts of one together. */
    bool (*each)(void *ctx, const struct fleetdb_fact *fact, struct err *err);
    void (*again)(void *ctx); /* it begins anew: nothing was told so far */
};

/* `fields`: a JSON array of those that are of interest; "device" alone is so of each. */
bool facts_open(struct fleetdb *db, struct fleetdb_scope scope, const char *fields,
                const struct facts_reader *reader, struct facts **ret_facts,
                struct err *err) MUSTER_CHECK;
/* For 20 ms, and some hundred devices more. */
bool facts_turn(struct facts *facts, const struct clock *clock, bool *ret_done,
                struct err *err) MUSTER_CHECK;
/* The moment that they are of, given to the caller; NULL: it took but one turn. */
struct fleetdb_snapshot *facts_take_snapshot(struct facts *facts);
/* NULL is fine. */
void facts_close(struct facts *facts);

#endif
