/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FLEET_API_ALL_H
#define FLEET_API_ALL_H

#include "fleet/api_access.h"
#include "fleet/api_actions.h"
#include "fleet/api_desired.h"
#include "fleet/api_events.h"
#include "fleet/api_fleet.h"
#include "fleet/api_keeping.h"
#include "fleet/api_presence.h"
#include "fleet/api_roots.h"
#include "fleet/api_webhooks.h"

/* Every route that musterd answers: what fleet/openapi.json tells is held against this. */
enum { API_MODULES = 11 };
struct api_all {
    /* What each module needs; the caller's to fill. */
    struct api_fleet fleet;
    struct api_desired desired;
    struct api_roots roots;
    struct api_actions actions;
    struct api_access access;
    struct api_events events;
    struct api_webhooks webhooks;
    struct api_keeping keeping;
    struct api_presence presence;

    struct api_module modules[API_MODULES];
    struct api api;
};

/* Makes `all->api` of its parts; `all` must stay where it is. */
void api_all_init(struct api_all *all);

#endif
