/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FLEET_API_EVENTS_H
#define FLEET_API_EVENTS_H

#include "base/clock.h"
#include "fleet/api.h"

/* What happens, as server-sent events (WHATWG HTML, 9.2): GET /api/v1/events. Each has its place
 * in the feed as id; who comes back with Last-Event-ID goes on after it. */
struct api_events {
    struct fleetdb *db;
    const struct clock *clock;
};

/* Its routes; `events` is their ctx and must live as long. */
struct api_module api_events_module(struct api_events *events);

#endif
