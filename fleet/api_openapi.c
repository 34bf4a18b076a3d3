/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/api_openapi.h"

#include <string.h>

extern const char *const openapi_texts[];

const char *api_openapi_text(void)
{
    return openapi_texts[0];
}

static bool show_file(void *ctx, const struct api_request *request, struct api_answer *answer,
                      struct err *err)
{
    (void)ctx;
    (void)request;
    answer->content_type = "application/json";
    return buf_append(&answer->text, api_openapi_text(), strlen(api_openapi_text()), err);
}

struct api_module api_openapi_module(void)
{
    static const struct api_route routes[] = {
        {"GET", "/api/v1/openapi.json", 0, show_file, API_ANYONE, API_NO_DEVICE},
    };
    return (struct api_module){.routes = routes, .route_count = 1};
}
