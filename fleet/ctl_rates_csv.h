/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FLEET_CTL_RATES_CSV_H
#define FLEET_CTL_RATES_CSV_H

#include "fleet/ctl.h"
#include "fleet/ctl_table.h"

/* What errors, rates and top answer, for programs: a column for each figure and each currency,
 * percent without their sign, what is not known empty. ERR_INVALID: more currencies than
 * columns. */
bool ctl_rates_csv(struct ctl *ctl, const json_t *reply, bool rates, struct err *err) MUSTER_CHECK;

/* What it is by, as a heading: "DEVICE". */
void ctl_rates_heading(const json_t *reply, char heading[CTL_TEXT_BYTES]);

#endif
