/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FLEET_WANTS_H
#define FLEET_WANTS_H

#include "fleet/director.h"

/* What the fleet wants of a device now, as every welcome says: with the hello's nonce it proves to
 * the terminal that nobody holds a newer manifest back. */
struct wants {
    uint64_t root_version;
    uint64_t epoch, version; /* of its newest manifest; 0: it has none */
    uint8_t sha256[32];      /* of that manifest's signed body */
};

bool wants_read(const struct director *director, int64_t device, struct wants *ret_wants,
                struct err *err) MUSTER_CHECK;

#endif
