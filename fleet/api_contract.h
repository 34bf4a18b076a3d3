/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FLEET_API_CONTRACT_H
#define FLEET_API_CONTRACT_H

#include "fleet/api.h"

/*
 * fleet/openapi.json as what whoever asks has to keep: a parameter or a member that the file does
 * not name is refused, as is one that is said twice, is of another type, or a parameter beyond the
 * minimum and maximum of the file. What was mistyped would else be as if it had not been said, and
 * the answer one to another question. What a value means, each handler sees to.
 */
struct api_contract;

/* For the routes of `api`, which stay where they are. ERR_INVALID: the file lacks one of them. */
bool api_contract_open(const struct api *api, struct api_contract **ret_contract,
                       struct err *err) MUSTER_CHECK;
/* ERR_INVALID names what is wrong, and what there is. Keeps the body that it has read in
 * `request->json`, which becomes the caller's to decref in every case. NULL asks for nothing. */
bool api_contract_check(const struct api_contract *contract, const struct api_route *route,
                        struct api_request *request, struct err *err) MUSTER_CHECK;
void api_contract_close(struct api_contract *contract);

#endif
