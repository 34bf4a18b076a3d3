/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FLEET_CTL_PROPOSALS_H
#define FLEET_CTL_PROPOSALS_H

#include "fleet/ctl_table.h"

#include <jansson.h>

struct ctl;

enum { CTL_ROWS_BYTES = 128 };
/* "3 only there, 12 only wanted, from line 7", or why rows were not compared. */
void ctl_rows_text(const json_t *difference, char text[CTL_ROWS_BYTES]);
/* Of `describe device`: how what is not Muster's to write there differs; without any no heading. */
bool ctl_describe_differences(struct ctl *ctl, const json_t *device);

#endif
