/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_FLEETDB_KEEPING_H
#define STORAGE_FLEETDB_KEEPING_H

#include "storage/fleetdb.h"

/*
 * What is removed by age (storage/keeping.def), in small steps. What a stream has settled stays:
 * a record that comes again after its row has gone is a repeat, not a new one. Sums outlive the
 * rows that they are of, and from when on both are whole is kept with them.
 */
enum fleetdb_kept {
#define KEPT(id, word) FLEETDB_KEPT_##id,
#include "storage/keeping.def"
#undef KEPT
    FLEETDB_KEPTS,
};
const char *fleetdb_kept_word(enum fleetdb_kept kept);

/* From when on nothing was removed, on a whole hour for results and sums; 0: nothing ever was. */
int64_t fleetdb_whole_from_ms(const struct fleetdb *db, enum fleetdb_kept kept);

struct fleetdb_ageing {
    int64_t before_ms;      /* what is older goes: both when it came and when it was, of results */
    int64_t open_before_ms; /* of results with an open matter: money in doubt (reversal pending,
                             * outcome unknown), or other content sent under their id */
    int64_t rows;           /* no more are looked at in one step */
};
/* One step, a transaction of its own. `*after` is where the walk has come to, 0 at the beginning;
 * `*ret_more`: there may be more to remove. */
bool fleetdb_age(struct fleetdb *db, enum fleetdb_kept kept, const struct fleetdb_ageing *ageing,
                 int64_t *after, uint64_t *ret_removed, bool *ret_more,
                 struct err *err) MUSTER_CHECK;

struct fleetdb_kept_view {
    int64_t oldest_ms;     /* 0: there is none */
    int64_t rows;          /* at the most; -1: nobody has counted */
    int64_t whole_from_ms; /* 0: all there ever was */
    int64_t removed;
};
/* By which time rows go, from one start of musterd to the next. */
struct fleetdb_kept_clock {
    int64_t believed_ms; /* the newest wall time that was; 0: none yet */
    int64_t doubted_ms;  /* another that was seen since; 0: none */
    int64_t held_ms;     /* for how long that one has gone on */
};
bool fleetdb_kept_clock_read(struct fleetdb *db, struct fleetdb_kept_clock *ret_clock,
                             struct err *err) MUSTER_CHECK;
bool fleetdb_kept_clock_write(struct fleetdb *db, const struct fleetdb_kept_clock *clock,
                              struct err *err) MUSTER_CHECK;

bool fleetdb_kept_look(struct fleetdb *db, enum fleetdb_kept kept,
                       struct fleetdb_kept_view *ret_view, struct err *err) MUSTER_CHECK;

#endif
