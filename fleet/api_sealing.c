/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/api_fleet.h"
#include "fleet/base64.h"
#include "fleet/sealing.h"
#include "proto/seal.h"
#include "storage/fleetdb_sealing.h"

static json_t *hash_json(struct bytes data)
{
    uint8_t digest[32];
    char hex[65];
    sha256(data, digest);
    hex_encode(digest, sizeof digest, hex);
    return json_string(hex);
}

/* ---- PUT and GET /api/v1/devices/{}/sealing-certificate ---- */

/* The body is the certificate, DER. Who signed it is for those to check who seal. */
bool api_put_sealing(void *ctx, const struct api_request *request, struct api_answer *answer,
                     struct err *err)
{
    const struct api_fleet *fleet = ctx;
    struct fleetdb_device device;
    bool changed = false;
    return fleetdb_device_find(fleet->db, request->args[0], &device, err) &&
           sealing_certificate_fits(device.id, request->body, err) &&
           fleetdb_sealing_put(fleet->db, device.device, request->body, request->caller->name,
                               request->now_ms, &changed, err) &&
           api_give(answer,
                    json_pack("{s:s, s:o, s:b}", "id", device.id, "sha256",
                              hash_json(request->body), "changed", (int)changed),
                    err);
}

bool api_show_sealing(void *ctx, const struct api_request *request, struct api_answer *answer,
                      struct err *err)
{
    const struct api_fleet *fleet = ctx;
    struct fleetdb_device device;
    struct buf certificate = {0};
    struct buf text = {0};
    if (!fleetdb_device_find(fleet->db, request->args[0], &device, err))
        return false;
    bool ok = fleetdb_sealing_get(fleet->db, device.device, &certificate, err);
    if (ok && certificate.length == 0)
        ok = err_set(err, ERR_NOT_FOUND,
                     "device %s has no sealing certificate; give it one with musterctl device "
                     "sealing",
                     device.id);
    ok = ok && base64_encode(buf_bytes(&certificate), &text, err) &&
         api_give(answer,
                  json_pack("{s:s, s:s, s:o}", "id", device.id, "certificate",
                            (const char *)text.data, "sha256", hash_json(buf_bytes(&certificate))),
                  err);
    buf_done(&text);
    buf_done(&certificate);
    return ok;
}
