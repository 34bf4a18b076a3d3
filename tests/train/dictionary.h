/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_TRAIN_DICTIONARY_H
#define TESTS_TRAIN_DICTIONARY_H

#include "base/buf.h"

/* Samples end to end, as ZDICT wants them. */
struct samples {
    struct buf data;
    size_t *sizes;
    size_t count, room;
};

bool samples_add(struct samples *samples, struct bytes sample, struct err *err) MUSTER_CHECK;
void samples_done(struct samples *samples);

struct dictionary_plan {
    unsigned id;
    size_t bytes;     /* of it, at most; with `segment` of its content */
    unsigned segment; /* how long the pieces of samples are that content is made of; 0: tried out */
    int level;        /* that will be compressed at */
};
/* Content by ZDICT, a third of it from `more` (may be NULL), then entropy tables over all
 * samples. */
bool dictionary_train(const struct samples *samples, const struct samples *more,
                      const struct dictionary_plan *plan, struct buf *ret_dictionary,
                      struct err *err) MUSTER_CHECK;
/* Entropy tables alone: for bytes without any pattern but how often each comes. */
bool dictionary_tables(const struct samples *samples, const struct dictionary_plan *plan,
                       struct buf *ret_dictionary, struct err *err) MUSTER_CHECK;
/* Mean bytes of the samples' frames, without and with the dictionary. */
bool dictionary_try(const struct samples *samples, struct bytes dictionary, int level,
                    double *ret_plain, double *ret_with, struct err *err) MUSTER_CHECK;

#endif
