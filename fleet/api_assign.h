/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FLEET_API_ASSIGN_H
#define FLEET_API_ASSIGN_H

#include "fleet/api_desired.h"

/* POST /api/v1/assignments: what devices should hold; with "dry_run": true what that would change,
 * told and not done. The handler's ctx is a struct api_desired. */
enum { API_ASSIGNMENT_BYTES = 1024 * 1024 };

bool api_post_assignment(void *ctx, const struct api_request *request, struct api_answer *answer,
                         struct err *err);

/* Carries out an order and has what it changes published; answers as that request does. */
bool api_assign(struct api_desired *desired, const struct director_order *order,
                const char *const *ids, size_t count, int64_t now_ms, json_t **ret_answer,
                struct err *err);

#endif
