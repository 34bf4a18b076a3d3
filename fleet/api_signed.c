/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/api_signed.h"

#include "storage/fleetdb_roots.h"

#include <stdlib.h>
#include <string.h>

#define OCTETS "application/octet-stream"

bool api_get_blob(void *ctx, const struct api_request *request, struct api_answer *answer,
                  struct err *err)
{
    const struct api_desired *desired = ctx;
    const char *name = request->args[0];
    uint8_t sha256[32];
    bool holds = false;
    if (!hex_decode(name, strlen(name), sha256, sizeof sha256))
        return err_set(err, ERR_INVALID, "a blob is named by its SHA-256 in 64 hex digits");
    answer->content_type = OCTETS;
    if (!fleetdb_scope_holds_blob(desired->db, request->caller->scope, sha256, &holds, err))
        return false;
    if (!holds)
        return err_set(err, ERR_NOT_FOUND, "there is no blob %s; upload it first", name);
    return fleetdb_blob_get(desired->db, sha256, &answer->text, err);
}

bool api_get_root(void *ctx, const struct api_request *request, struct api_answer *answer,
                  struct err *err)
{
    const struct api_desired *desired = ctx;
    const char *text = request->args[0];
    char *end;
    unsigned long long version = strtoull(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || version == 0 || version > INT64_MAX)
        return err_set(err, ERR_INVALID, "a root is named by its version, a whole number above 0");
    answer->content_type = OCTETS;
    return fleetdb_root_get(desired->db, version, &answer->text, err);
}
