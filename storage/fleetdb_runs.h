/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_FLEETDB_RUNS_H
#define STORAGE_FLEETDB_RUNS_H

#include "storage/fleetdb.h"

/*
 * Which row holds which result: one row of result_run for a whole run of seqs whose rows follow one
 * another too. The newest run waits in memory until another one begins or the transaction commits,
 * and is forgotten by a rollback; where it goes on from the one before it, that one grows. Rows are
 * removed by age and by erasure, what their run says of seqs never: what comes again stays known.
 * Runs whose rows are gone become one with their neighbours of which that is so too. For storage/
 * only.
 */
struct fleetdb_run_id {
    int64_t device;
    uint64_t incarnation, seq;
};

/* Is the id held? `*ret_row` is its row, which may have been removed since, and its number given to
 * another: whoever reads it compares the id. */
bool fleetdb_run_look(struct fleetdb *db, const struct fleetdb_run_id *id, bool *ret_held,
                      int64_t *ret_row, struct err *err) MUSTER_CHECK;
/* `row` holds it from now on; it was looked for just before, and was not held. */
bool fleetdb_run_add(struct fleetdb *db, const struct fleetdb_run_id *id, int64_t row,
                     struct err *err) MUSTER_CHECK;
/* The row of the id was removed: if it was the last one of its run, neighbours are joined. */
bool fleetdb_run_gone(struct fleetdb *db, const struct fleetdb_run_id *id,
                      struct err *err) MUSTER_CHECK;

#endif
