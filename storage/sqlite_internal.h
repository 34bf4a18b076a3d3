/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_SQLITE_INTERNAL_H
#define STORAGE_SQLITE_INTERNAL_H

#include "storage/sqlite.h"

/* The migrations after `version`, one transaction each. Of a file with something in it (version >
 * 0) each is told when it begins, and while it goes on. */
bool sqlite_migrate(struct sqlite *db, const struct sqlite_settings *settings, unsigned version,
                    struct err *err) MUSTER_CHECK;
/* What fails is told as `doing`, not as the text. */
bool sqlite_exec_named(struct sqlite *db, const char *sql, const char *doing,
                       struct err *err) MUSTER_CHECK;
sqlite3 *sqlite_connection(struct sqlite *db);

#endif
