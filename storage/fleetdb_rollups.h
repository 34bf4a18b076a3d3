/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_FLEETDB_ROLLUPS_H
#define STORAGE_FLEETDB_ROLLUPS_H

#include "storage/fleetdb.h"

/*
 * Sums over results (storage/rollups.def), written in the very transaction that adds, moves or
 * removes a result: fleetdb_insert and fleetdb_redo_write do it by themselves, and whoever else
 * touches a result calls fleetdb_rollup_row around it. What is added waits in memory until the
 * commit, and is forgotten by a rollback.
 */

/* What a result is stamped with: as it was at the moment of the sale, whatever changes later. */
struct fleetdb_stamp {
    int64_t standing, carried, software; /* rows; carried 0: the slot carried none */
    bool in_service;
};
struct fleetdb_sale {
    int64_t device, at_ms, received_ms;
    uint32_t slot;
    struct bytes firmware, app; /* as its terminal tells them */
};
bool fleetdb_stamp_at(struct fleetdb *db, const struct fleetdb_sale *sale,
                      struct fleetdb_stamp *ret_stamp, struct err *err) MUSTER_CHECK;
/* Results so far that were counted as of software '?', or under '?' alone, since their terminals
 * tell of too many different things. */
uint64_t fleetdb_folded(const struct fleetdb *db);

/* A result as the sums see it. */
struct fleetdb_counted {
    int64_t at_ms;
    struct fleetdb_stamp stamp;
    uint32_t acquirer, scheme, entry, type, outcome, currency;
    int64_t amount_minor;
    struct bytes code, issuer, generation;
};
enum fleetdb_sign { FLEETDB_ADD = 1, FLEETDB_TAKE = -1 };
/* Inside a transaction. */
bool fleetdb_rollup_count(struct fleetdb *db, const struct fleetdb_counted *counted,
                          enum fleetdb_sign sign, struct err *err) MUSTER_CHECK;
/* A result's row as it stands: taken out before it is changed or removed, added after a change. */
bool fleetdb_rollup_row(struct fleetdb *db, int64_t result, enum fleetdb_sign sign,
                        struct err *err) MUSTER_CHECK;

/* Compares all sums with the rows, from when on neither was removed by age: long work. Each row of
 * a sum that differs counts; `text` names the first. */
bool fleetdb_rollups_check(struct fleetdb *db, uint64_t *ret_wrong, char *text, size_t size,
                           struct err *err) MUSTER_CHECK;

#endif
