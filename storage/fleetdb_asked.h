/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_FLEETDB_ASKED_H
#define STORAGE_FLEETDB_ASKED_H

#include "storage/fleetdb_rates.h"
#include "storage/sqlite.h"

/* The SQL of a question over results, for the fleetdb files that answer one: of rows or sums called
 * r. All of it is text of these files and of dims.def; what people ask is bound. */

/* 1 << rollup_column of all that is asked for. */
unsigned fleetdb_asked_needs(const struct fleetdb_question *question);
bool fleetdb_asked_text(struct buf *sql, const char *text, struct err *err) MUSTER_CHECK;
bool fleetdb_asked_key(struct buf *sql, enum fleetdb_dim dim, struct err *err) MUSTER_CHECK;
/* What r has to be joined with. */
bool fleetdb_asked_joins(struct buf *sql, const struct fleetdb_question *question,
                         struct err *err) MUSTER_CHECK;
/* " AND ..." for each condition. */
bool fleetdb_asked_choices(struct buf *sql, const struct fleetdb_question *question,
                           struct err *err) MUSTER_CHECK;
/* The choices' values. */
void fleetdb_asked_bind(sqlite3_stmt *statement, const struct fleetdb_question *question);

#endif
