/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_FLEETDB_PEEK_H
#define STORAGE_FLEETDB_PEEK_H

#include "base/buf.h"

#include <stdint.h>

/*
 * A look at a fleet database that another process may have, or none: nothing is written, locked or
 * brought up to date. Gives every root, ascending; false from `each` ends the walk with its err. A
 * database that is older than roots has none. ERR_INVALID: not a fleet database. ERR_REFUSED: it
 * may not be opened. ERR_IO: it cannot be read now.
 */
bool fleetdb_peek_roots(const char *path,
                        bool (*each)(void *ctx, uint64_t version, struct bytes envelope,
                                     struct err *err),
                        void *ctx, struct err *err) MUSTER_CHECK;

#endif
