/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FLEET_API_ACCESS_H
#define FLEET_API_ACCESS_H

#include "fleet/api.h"

/* Tokens of the API, who one is to it, and who has changed what, over HTTP. */
struct api_access {
    struct fleetdb *db;
    const struct clock *clock;
};

/* Its routes; `access` is their ctx and must live as long. */
struct api_module api_access_module(struct api_access *access);

#endif
