/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FLEET_DENSITY_H
#define FLEET_DENSITY_H

#include "base/buf.h"

/* Whether a content is compressed already, told by samples while it is read for another reason: a
 * minute of work at the highest level would make nothing of it. */
struct density {
    uint64_t parts;       /* seen */
    uint64_t raw, packed; /* of those that were tried */
};

void density_add(struct density *density, struct bytes part);
/* Of so many bytes that compressing them well would take a while. */
bool density_dense(const struct density *density);

#endif
