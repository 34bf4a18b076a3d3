/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FLEET_API_SIGNED_H
#define FLEET_API_SIGNED_H

#include "fleet/api_desired.h"

/* What is signed, or named by its hash, byte for byte as it was given: application/octet-stream.
 * The handlers' ctx is a struct api_desired. */

/* GET /api/v1/blobs/{}: by its SHA-256. */
bool api_get_blob(void *ctx, const struct api_request *request, struct api_answer *answer,
                  struct err *err);
/* GET /api/v1/roots/{}: the Envelope of that version. */
bool api_get_root(void *ctx, const struct api_request *request, struct api_answer *answer,
                  struct err *err);

#endif
