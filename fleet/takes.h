/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FLEET_TAKES_H
#define FLEET_TAKES_H

#include "storage/fleetdb_documents.h"

/*
 * Whether a terminal takes what an order makes of its manifest, as far as the fleet knows what the
 * terminal remembers. A manifest that it would refuse, and all that come after it, is better never
 * signed. `wish` is the document and the device, in the epoch of the root in force.
 */

/* That it is assigned wish->version from now on. */
bool takes_document(struct fleetdb *db, const struct fleetdb_wish *wish,
                    struct err *err) MUSTER_CHECK;
/* That the name is not in its manifest any more. */
bool takes_removal(struct fleetdb *db, const struct fleetdb_wish *wish,
                   struct err *err) MUSTER_CHECK;

#endif
