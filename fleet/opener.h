/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FLEET_OPENER_H
#define FLEET_OPENER_H

#include "fleet/rows.h"

/*
 * What a message comes to without a look at the database: its seal is verified, a batch decoded,
 * its rows made ready to be stored. Nothing is counted, logged or answered here: that is up to the
 * collector, in the order in which messages came.
 */
struct opener; /* what it keeps from one message to the next; of one thread at a time */
bool opener_make(struct opener **ret_opener, struct err *err) MUSTER_CHECK;
void opener_free(struct opener *opener);
const struct rows_plan *opener_plan(const struct opener *opener, Muster__Lane lane);

enum { OPENER_LANES = 3 };
/* No stream is that long, and JSON's numbers hold it. */
#define OPENER_SEQ_MAX (UINT64_C(1) << 53)

/* The keys of which one must have signed, as the database has them. */
struct opener_keys {
    struct fleetdb_key list[FLEETDB_KEYS_MAX];
    size_t count;
};
bool opener_keys_equal(const struct opener_keys *a, const struct opener_keys *b);

enum opened_as {
    OPENED_NOT, /* yet */
    OPENED_NO_ENVELOPE,
    OPENED_UNSIGNED, /* by none of the keys */
    OPENED_SEALED,   /* signed; of a batch what follows */
    OPENED_BATCH,
    OPENED_NEWER,       /* of a sender that is newer than this program */
    OPENED_UNDECODABLE, /* sent again it would be no better */
    OPENED_STARVED,     /* want of memory is ours, and passes */
};

struct opened_lane {
    struct lane_rows rows;
    struct rows_ready ready; /* unless they are declared lost */
};

struct opened {
    enum opened_as as;
    struct opener_keys keys; /* that it was opened with */
    struct err why;          /* of what is not good */
    struct bytes body;       /* of what is signed, in the message */
    struct opened_lane *lanes;
    size_t lane_count;
    uint8_t digest[32]; /* of the body that is undecodable */
    struct arena arena;
};

/* Of the device `id`: a batch, or something else that is sealed in that domain. With the opener it
 * was opened with `opened` must be gone first. */
void opener_open(struct opener *opener, const char *domain, const char *id, struct bytes message,
                 const struct opener_keys *keys, struct opened *ret_opened);
/* Leaves it not opened. */
void opened_done(struct opened *opened);

#endif
