/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FLEET_API_PROPOSALS_H
#define FLEET_API_PROPOSALS_H

#include "fleet/api_desired.h"
#include "storage/fleetdb_records.h"

/*
 * GET /api/v1/proposals: what terminals ask ops about. POST: {"device", "document", "seen",
 * "answer"}: "accept" turns the assignment into repair, "refuse" into observe; "seen" is the digest
 * under which it was listed, and what is proposed otherwise by now is not answered (CONFLICT). The
 * handlers' ctx is a struct api_desired.
 */
enum { API_PROPOSAL_BYTES = 4096 };

bool api_list_proposals(void *ctx, const struct api_request *request, struct api_answer *answer,
                        struct err *err);
bool api_post_proposal(void *ctx, const struct api_request *request, struct api_answer *answer,
                       struct err *err);

/* A difference as it is shown everywhere; null: none was told. */
json_t *api_difference_json(const struct fleetdb_difference *difference);

#endif
