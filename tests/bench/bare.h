/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_BENCH_BARE_H
#define TESTS_BENCH_BARE_H

#include "storage/fleetdb_records.h"

/*
 * The ceiling of a collector: the rows of its results, and nothing else, appended to a table
 * without any index but the row's number, by one prepared statement over the same connection
 * settings as the fleet's database.
 */
struct bare;

bool bare_open(const char *path, struct bare **ret_bare, struct err *err) MUSTER_CHECK;
void bare_close(struct bare *bare);

bool bare_begin(struct bare *bare, struct err *err) MUSTER_CHECK;
bool bare_append(struct bare *bare, const struct fleetdb_record *record,
                 struct err *err) MUSTER_CHECK;
bool bare_commit(struct bare *bare, struct err *err) MUSTER_CHECK;

#endif
