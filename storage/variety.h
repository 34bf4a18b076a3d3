/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_VARIETY_H
#define STORAGE_VARIETY_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

/*
 * How many different things each device has told of within the hour, by their hashes. Pure. It is
 * in memory alone: who begins anew has the hour before him once more.
 */
enum { VARIETY_MAX = 2048 };

struct variety_device {
    int64_t hour;
    uint32_t *slots; /* hashes, 0: free */
    uint32_t slot_count, count;
};

struct variety {                 /* all zero: empty */
    struct variety_device *list; /* by the device's number */
    size_t count;
};

/* `device` is small and not negative: memory is taken up to it. `*ret_beyond`: it is none of
 * VARIETY_MAX that the device has told of in that hour. */
bool variety_look(struct variety *variety, int64_t device, int64_t hour, uint32_t hash,
                  bool *ret_beyond, struct err *err) MUSTER_CHECK;
void variety_done(struct variety *variety);

#endif
