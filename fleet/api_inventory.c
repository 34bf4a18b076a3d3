/* SPDX-License-Identifier: Apache-2.0 */
/* GET /api/v1/inventory: all that ops say of all devices; fleet/api_import.c takes it in again. */
#include "fleet/api_places.h"
#include "fleet/base64.h"

static bool add_device(void *ctx, const struct fleetdb_inventory_view *view, struct err *err)
{
    struct buf key = {0};
    const struct fleetdb_store *store = &view->store;
    bool done = base64_encode(view->agent_key, &key, err);
    json_t *device = json_pack(
        "{s:s, s:s, s:s, s:s, s:{s:s, s:s}, s:{s:s, s:s, s:s, s:s, s:s, s:s}, s:o, s:o, s:s}", "id",
        view->id, "serial", view->serial, "model", view->model, "state", view->life, "merchant",
        "id", store->merchant, "name", store->merchant_name, "store", "id", store->store, "name",
        store->store_name, "region", store->region, "time_zone", store->time_zone, "opening_hours",
        store->opening_hours, "address", store->address, "terminals",
        json_loads(view->terminals, 0, NULL), "labels", json_loads(view->labels, 0, NULL),
        "agent_key", done && key.length > 0 ? (const char *)key.data : "");
    buf_done(&key);
    if (!done) {
        json_decref(device);
        return false;
    }
    return api_append(ctx, device, err);
}

bool api_show_inventory(void *ctx, const struct api_request *request, struct api_answer *answer,
                        struct err *err)
{
    (void)request;
    const struct api_fleet *fleet = ctx;
    json_t *list = api_list(answer, "devices", err);
    return list != NULL && fleetdb_inventory_each(fleet->db, add_device, list, err);
}
