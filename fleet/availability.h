/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FLEET_AVAILABILITY_H
#define FLEET_AVAILABILITY_H

#include "fleet/zone.h"

#include <stddef.h>

/* For how much of the time in which its store was open a device was there. Pure. */
struct availability_span {
    int64_t from_ms, to_ms; /* wall */
};
struct availability {
    int64_t open_ms;    /* in service, and the store open */
    int64_t away_ms;    /* of it away */
    int64_t unheard_ms; /* of it nobody could be heard, and it is not known to have been away */
};

/* Adds the time of `at`, in which it stood in a store with those hours. Away and deaf: ascending by
 * beginning and end; what lies in two of one kind counts once. */
void availability_add(struct availability *sum, const struct zone *zone,
                      const struct opening *opening, const struct availability_span *at,
                      const struct availability_span *away, size_t away_count,
                      const struct availability_span *deaf, size_t deaf_count);
/* Of what is known, 0 to 1; below 0: nothing is. */
double availability_share(const struct availability *sum);

#endif
