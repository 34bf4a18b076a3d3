/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FLEET_API_ASSIGN_H
#define FLEET_API_ASSIGN_H

#include "fleet/api_desired.h"

/* POST /api/v1/assignments: what devices should hold; with "dry_run": true what that would change,
 * told and not done. The handler's ctx is a struct api_desired. */
enum { API_ASSIGNMENT_BYTES = 1024 * 1024 };

bool api_post_assignment(void *ctx, const struct api_request *request, struct api_answer *answer,
                         struct err *err);

#endif
