/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FLEET_API_OPENAPI_H
#define FLEET_API_OPENAPI_H

#include "fleet/api.h"

/* The API's own description (OpenAPI 3.1), as it stands in fleet/openapi.json. */
struct api_module api_openapi_module(void);
const char *api_openapi_text(void);

#endif
