/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FLEET_API_WEBHOOKS_H
#define FLEET_API_WEBHOOKS_H

#include "fleet/api.h"
#include "fleet/webhooks.h"

/* Webhooks over HTTP: which there are, and how it goes with them. */
struct api_webhooks {
    struct fleetdb *db;
    struct webhooks *webhooks;
};

/* Its routes; `webhooks` is their ctx and must live as long. */
struct api_module api_webhooks_module(struct api_webhooks *webhooks);

#endif
