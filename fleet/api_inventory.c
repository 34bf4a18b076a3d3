/* SPDX-License-Identifier: Apache-2.0 */
/* GET /api/v1/inventory: all that ops say of all devices; fleet/api_import.c takes it in again. */
#include "fleet/api_listing.h"
#include "fleet/api_places.h"
#include "fleet/base64.h"

#include <stdlib.h>

struct listing {
    struct fleetdb_inventory *inventory;
    struct api_page *page;
};

static bool add_device(void *ctx, const struct fleetdb_inventory_view *view, struct err *err)
{
    const struct listing *listing = ctx;
    struct buf key = {0};
    api_page_see(listing->page, view->id);
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
    return api_page_add(listing->page, device, err);
}

static bool read_page(void *ctx, struct api_page *page, struct err *err)
{
    struct listing *listing = ctx;
    listing->page = page;
    return fleetdb_inventory_step(listing->inventory, page->count, add_device, listing, err);
}

static void stop(void *ctx)
{
    struct listing *listing = ctx;
    fleetdb_inventory_close(listing->inventory);
    free(listing);
}

bool api_show_inventory(void *ctx, const struct api_request *request, struct api_answer *answer,
                        struct err *err)
{
    (void)request;
    const struct api_fleet *fleet = ctx;
    struct listing *listing = calloc(1, sizeof *listing);
    if (listing != NULL && !fleetdb_inventory_open(fleet->db, &listing->inventory, err)) {
        free(listing);
        return false;
    }
    const struct api_listing devices = {
        .clock = fleet->clock, .name = "devices", .read = read_page, .free = stop, .ctx = listing};
    return api_list_in_turns(&devices, answer, err);
}
