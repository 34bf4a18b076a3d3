/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_FLEETDB_UNSURE_H
#define STORAGE_FLEETDB_UNSURE_H

#include "storage/fleetdb_rates.h"

/*
 * Of how many results that a question is about, made in service, nobody knows whether they lie in
 * its window; they are counted as such, or not, by the best guess. Open, step until it is done,
 * read, close.
 */
struct fleetdb_unsure;
bool fleetdb_unsure_open(struct fleetdb *db, const struct fleetdb_question *question,
                         struct fleetdb_unsure **ret_unsure, struct err *err) MUSTER_CHECK;
bool fleetdb_unsure_step(struct fleetdb_unsure *unsure, bool *ret_done,
                         struct err *err) MUSTER_CHECK;
int64_t fleetdb_unsure_count(const struct fleetdb_unsure *unsure);
/* Before the database is closed. */
void fleetdb_unsure_close(struct fleetdb_unsure *unsure);

#endif
