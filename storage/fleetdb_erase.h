/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_FLEETDB_ERASE_H
#define STORAGE_FLEETDB_ERASE_H

#include "storage/fleetdb.h"

/*
 * Erasure of a merchant: its names, stores, logical terminals, results and their sums, events of
 * devices while they stood there, labels that they got there, and every text that names it, as it
 * is called or was; and then its bytes, in the file and in the WAL. Of its own tokens the names
 * become others wherever somebody is named as the one who did something. It begins in one
 * transaction, in which the names go, and goes on in steps, each with its mark, so that a restart
 * goes on where it stopped; who is called so from then on is another. What stays is that it was
 * done (erasure). Counts that do not name it stay too: sums over all of the fleet of a time whose
 * rows were removed by age. One goes on at a time.
 */
enum fleetdb_erase_step {
    FLEETDB_ERASE_RESULTS,
    FLEETDB_ERASE_SUMS,
    FLEETDB_ERASE_EVENTS,
    FLEETDB_ERASE_TEXTS,
    FLEETDB_ERASE_ROWS,
    FLEETDB_ERASE_BYTES,
    FLEETDB_ERASE_DONE,
    FLEETDB_ERASE_STEPS,
};
const char *fleetdb_erase_word(enum fleetdb_erase_step step);

struct fleetdb_erasure {
    int64_t erasure; /* its row; 0: it was only looked at */
    char who[80];
    int64_t begun_ms, done_ms; /* done_ms 0: it goes on */
    enum fleetdb_erase_step step;
    int64_t stores, devices, terminals, tokens, results, events, texts;
    bool in_part; /* of a look: what it counted last is at least so many */
};

struct fleetdb_erase_order {
    const char *merchant; /* its code */
    const char *who;
    bool force;      /* devices that stand there still become spares without a store */
    bool dry_run;    /* all is checked and counted, and nothing kept */
    int64_t look_ms; /* counting then takes about so long at the most */
    /* Of a dry run: it is told what stands in the way, all of it, and goes on; NULL: that is an
     * error, as it is of one that is to begin. */
    bool (*in_the_way)(void *ctx, const char *what, struct err *err);
    void *ctx;
};
/* ERR_NOT_FOUND: no such merchant. ERR_INVALID: it is FLEETDB_NOWHERE, and none. ERR_CONFLICT: a
 * device stands there that is not retired (unless forced), a group or a webhook names it, or
 * another erasure goes on; the text says which. */
bool fleetdb_erase_begin(struct fleetdb *db, const struct fleetdb_erase_order *order,
                         int64_t now_ms, struct fleetdb_erasure *ret_erasure,
                         struct err *err) MUSTER_CHECK;

/* Whether one goes on. */
bool fleetdb_erasing(const struct fleetdb *db);
/* One step of it, at most `rows` looked at. ERR_UNAVAILABLE: a reader keeps the WAL from being
 * emptied; ERR_CONFLICT: the file cannot shrink before fleetdb_vacuum. Both come at the end, and
 * are tried again. */
bool fleetdb_erase_step(struct fleetdb *db, int64_t rows, int64_t now_ms,
                        struct err *err) MUSTER_CHECK;

/* Newest first. */
bool fleetdb_erasures_each(struct fleetdb *db,
                           bool (*each)(void *ctx, const struct fleetdb_erasure *erasure,
                                        struct err *err),
                           void *ctx, struct err *err) MUSTER_CHECK;

#endif
