/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FLEET_API_PRESENCE_H
#define FLEET_API_PRESENCE_H

#include "fleet/api.h"
#include "fleet/presence.h"

/* Who is there, over HTTP; and for how much of its store's hours one device was. */
struct api_presence {
    struct fleetdb *db;
    const struct presence *presence;
    const char *hours, *zone; /* of stores of which nobody has said them */
};
struct api_module api_presence_module(struct api_presence *presence);

#endif
