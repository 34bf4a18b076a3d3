/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FLEET_CTL_ORDER_H
#define FLEET_CTL_ORDER_H

#include "fleet/ctl_choose.h"

/* What assign, unassign and plan have in common: an order of POST /api/v1/assignments, and how it
 * is told what it would change. */

/* "bin-table" or "bin-table@7" into the request. */
bool ctl_order_document(const char *text, json_t *request, struct err *err) MUSTER_CHECK;
/* The devices of --device, --selector, --group and --all into the request; EXIT_OK, or why not. */
int ctl_order_devices(struct ctl *ctl, const struct ctl_args *args, json_t *request,
                      struct err *err);
#define CTL_ORDER_DEVICES                                                                          \
    CTL_CHOOSE_DEVICES,                                                                            \
    {                                                                                              \
        .name = "--all", .help = "every device that is not retired"                                \
    }

/* Asks for the plan of a request, which stays as it is but for "dry_run". */
bool ctl_plan_ask(struct ctl *ctl, json_t *request, json_t **ret_plan,
                  struct err *err) MUSTER_CHECK;
/* A row for each device, then the sums. */
bool ctl_plan_print(struct ctl *ctl, const json_t *plan);
/* What the order itself would end with: EXIT_OK, or why not. */
int ctl_plan_code(const json_t *plan, struct err *err);

#endif
