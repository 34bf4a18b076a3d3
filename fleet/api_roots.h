/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FLEET_API_ROOTS_H
#define FLEET_API_ROOTS_H

#include "fleet/api.h"
#include "fleet/renewal.h"
#include "fleet/service_keys.h"

/* The chain of roots over HTTP: GET and POST /api/v1/roots. */
struct api_roots {
    struct fleetdb *db;
    struct service_keys *keys;
    const struct renewal *renewal;
    /* There is another root; `newest`: the keys have advanced to it. */
    bool (*added)(void *ctx, uint64_t version, bool newest, struct err *err);
    void *ctx;
};

struct api_module api_roots_module(struct api_roots *roots);

#endif
