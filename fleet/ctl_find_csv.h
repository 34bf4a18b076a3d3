/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FLEET_CTL_FIND_CSV_H
#define FLEET_CTL_FIND_CSV_H

#include "fleet/ctl.h"

/* The results of find, for programs: one thing a column. False: no memory for all of them. */
bool ctl_find_csv(struct ctl *ctl, const json_t *reply) MUSTER_CHECK;

/* The trace number with its six digits, as the slip has it; "-": the terminal told none. */
void ctl_add_stan(struct ctl_table *table, const json_t *result);

#endif
