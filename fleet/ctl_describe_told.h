/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FLEET_CTL_DESCRIBE_TOLD_H
#define FLEET_CTL_DESCRIBE_TOLD_H

#include "fleet/ctl_table.h"

#include <jansson.h>

struct ctl;

/* Of `describe device`: what a device told of itself beside its documents. What it told nothing of
 * has no heading either. False: the table could not be printed. */

/* A row of the summary: what waits, is on probation, or went back. */
void ctl_describe_apply(struct ctl_table *table, const json_t *device);
bool ctl_describe_keys(struct ctl *ctl, const json_t *device, int64_t now_ms);
bool ctl_describe_packages(struct ctl *ctl, const json_t *device, int64_t now_ms);

#endif
