/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/api_all.h"

#include "fleet/api_openapi.h"
#include "fleet/api_places.h"

void api_all_init(struct api_all *all)
{
    const struct api_module modules[API_MODULES] = {
        api_fleet_module(&all->fleet),
        api_desired_module(&all->desired),
        api_roots_module(&all->roots),
        api_actions_module(&all->actions),
        api_access_module(&all->access),
        api_places_module(&all->fleet),
        api_events_module(&all->events),
        api_webhooks_module(&all->webhooks),
        api_keeping_module(&all->keeping),
        api_presence_module(&all->presence),
        api_openapi_module(),
    };
    for (size_t i = 0; i < API_MODULES; i++)
        all->modules[i] = modules[i];
    all->api = (struct api){.modules = all->modules, .module_count = API_MODULES};
}
