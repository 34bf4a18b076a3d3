/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FLEET_API_ACTIONS_H
#define FLEET_API_ACTIONS_H

#include "fleet/api.h"
#include "fleet/director_act.h"
#include "fleet/publisher.h"

/* What devices are to do once, over HTTP: orders, what came of them, the logs they brought. */
struct api_actions {
    struct fleetdb *db;
    const struct clock *clock;
    const struct director *director;
    struct publisher *publisher;
    struct retirement *retirement; /* NULL: none */
};

/* Its routes; `actions` is their ctx and must live as long. */
struct api_module api_actions_module(struct api_actions *actions);
/* {"id", "device", "kind", "step", ...} for who had the device when it was ordered. What it brought
 * when the device was elsewhere is not his. */
bool api_action_json(struct fleetdb *db, struct fleetdb_scope scope,
                     const struct fleetdb_action *action, json_t **ret_json,
                     struct err *err) MUSTER_CHECK;

#endif
