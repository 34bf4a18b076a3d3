/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_FLEETDB_RATES_H
#define STORAGE_FLEETDB_RATES_H

#include "storage/fleetdb_scope.h"

/*
 * How many results there were, and how many of them were errors, by any dimension over any window.
 * Answered from the sums where one of them knows (storage/rollups.def), else from the rows, in
 * slices, so that nobody waits for a long question: open, step until it is done, read, close.
 */
enum fleetdb_dim {
#define DIM(id, ...) FLEETDB_DIM_##id,
#include "storage/dims.def"
#undef DIM
    FLEETDB_DIMS,
};
const char *fleetdb_dim_word(enum fleetdb_dim dim);
/* Whether its keys are numbers: all others are texts. */
bool fleetdb_dim_is_number(enum fleetdb_dim dim);

/* Whether the fleet has a region, merchant, store or logical terminal of this name, or ever had
 * one; of other dimensions, and of what is in none (""), it says yes: results name them. */
bool fleetdb_dim_known(struct fleetdb *db, enum fleetdb_dim dim, const char *text, bool *ret_known,
                       struct err *err) MUSTER_CHECK;

/* A condition that all results meet. Lives as long as the question is open. */
struct fleetdb_choice {
    enum fleetdb_dim dim;
    const char *text; /* where the key is a text */
    int64_t number;   /* where it is a number */
};

struct fleetdb_snapshot;

enum { FLEETDB_CHOICES_MAX = 24 };
struct fleetdb_question {
    enum fleetdb_dim by;
    const struct fleetdb_choice *choices;
    size_t choice_count;
    /* What an error is: this code (NULL: any), this outcome (-1: any). */
    const char *error_code;
    int64_t error_outcome;
    /* JSON array of devices' rows, of which the results are to be; NULL: all. */
    const char *devices;
    struct fleetdb_scope scope;              /* of where it stood at the moment of the sale */
    const struct fleetdb_snapshot *snapshot; /* opened just before; NULL: each step reads anew */
    /* [from, to), widened to whole minutes, or hours where it is long ago */
    int64_t from_ms, to_ms;
};

/* One key and currency. Only what was made in service counts; the others are told beside it. */
struct fleetdb_rate {
    char *key; /* whole, however long it is; a number in decimal */
    int64_t currency;
    int64_t results, errors, error_amount_minor;
    int64_t not_in_service;
};

struct fleetdb_rates;
bool fleetdb_rates_open(struct fleetdb *db, const struct fleetdb_question *question,
                        struct fleetdb_rates **ret_rates, struct err *err) MUSTER_CHECK;
/* One slice; `*ret_done` when there is no more. */
bool fleetdb_rates_step(struct fleetdb_rates *rates, bool *ret_done, struct err *err) MUSTER_CHECK;
/* By key, then currency; valid until the close. */
const struct fleetdb_rate *fleetdb_rates_list(struct fleetdb_rates *rates, size_t *ret_count);
/* 0, or: what was before that moment is not kept any more, and was left out of the answer. */
int64_t fleetdb_rates_kept_from_ms(const struct fleetdb_rates *rates);
/* Whether the window was widened to whole hours: nothing finer is kept of that time. */
bool fleetdb_rates_widened(const struct fleetdb_rates *rates);
/* What was asked, in whole minutes or hours, from when on it is kept. When the fleet began is told
 * to nobody by it. */
void fleetdb_rates_window(const struct fleetdb_rates *rates, int64_t *ret_from_ms,
                          int64_t *ret_to_ms);
/* From where it was read: "code", "device and rows", "rows". */
const char *fleetdb_rates_source(const struct fleetdb_rates *rates);
/* How much of it has been read so far, in time of the window. */
void fleetdb_rates_progress(const struct fleetdb_rates *rates, int64_t *ret_read_ms,
                            int64_t *ret_all_ms);
/* Before the database is closed. */
void fleetdb_rates_close(struct fleetdb_rates *rates);

#endif
