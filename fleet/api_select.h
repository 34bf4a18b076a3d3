/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FLEET_API_SELECT_H
#define FLEET_API_SELECT_H

#include "base/clock.h"
#include "fleet/api.h"
#include "fleet/select.h"

/* Questions about the devices that a selector chooses: they are chosen in turns of the loop, and
 * then there is an answer. */
struct api_selection {
    struct fleetdb *db;
    const struct clock *clock;
    struct fleetdb_scope scope;
    const char *selector; /* NULL: of none in particular */
    /* `chosen` is NULL without a selector. */
    bool (*finish)(void *ctx, const struct select *chosen, struct api_answer *answer,
                   struct err *err);
    void *ctx; /* from malloc, given up in every case; NULL: there was no memory */
};
bool api_select(const struct api_selection *selection, struct api_answer *answer,
                struct err *err) MUSTER_CHECK;

#endif
