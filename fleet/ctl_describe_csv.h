/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FLEET_CTL_DESCRIBE_CSV_H
#define FLEET_CTL_DESCRIBE_CSV_H

#include "fleet/ctl.h"

/* What describe device says of a device in sentences, for programs: one fact a row, with its unit;
 * what is not known is empty. False: no memory for all of them. */
bool ctl_describe_csv(struct ctl *ctl, const json_t *device) MUSTER_CHECK;
/* Its newest events. */
bool ctl_describe_csv_events(struct ctl *ctl, const json_t *device) MUSTER_CHECK;

#endif
