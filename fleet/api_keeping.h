/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FLEET_API_KEEPING_H
#define FLEET_API_KEEPING_H

#include "fleet/api.h"
#include "fleet/keeping.h"

/* What is kept how long, what was removed, and the erasure of merchants, over HTTP. */
struct api_keeping {
    struct fleetdb *db;
    struct keeping *keeping;
};

/* Its routes; `keeping` is their ctx and must live as long. */
struct api_module api_keeping_module(struct api_keeping *keeping);

#endif
