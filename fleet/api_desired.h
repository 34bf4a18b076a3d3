/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FLEET_API_DESIRED_H
#define FLEET_API_DESIRED_H

#include "fleet/api.h"
#include "fleet/publisher.h"
#include "fleet/renewal.h"
#include "proto/trust.h"

/* Desired state over HTTP: uploads, documents, assignments, a device's manifest. */
struct api_desired {
    struct fleetdb *db;
    const struct trust *trust;
    const struct director *director;
    struct publisher *publisher;
    struct renewal *renewal; /* NULL: none; documents signed again let it go on */
};

/* Its routes; `desired` is their ctx and must live as long. */
struct api_module api_desired_module(struct api_desired *desired);

#endif
