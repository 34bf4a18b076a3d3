/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/access.h"
#include "fleet/api_fleet.h"
#include "fleet/api_listing.h"
#include "proto/batch.h"
#include "storage/fleetdb_account.h"
#include "storage/fleetdb_views.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* The words for LossReason; the unknown tail is a class of its own. */
static const char *const reasons[FLEETDB_LOST_UNKNOWN] = {
    NULL, "quota", "age", "damaged", "conflict", "undecodable", "forgotten"};

/* Of what `key` names, its first member; without one where `name` is NULL. */
static json_t *account_json(const char *key, const char *name,
                            const struct fleetdb_account *account)
{
    json_t *lost = json_object();
    uint64_t sum = 0;
    for (size_t i = 1; i < FLEETDB_LOST_UNKNOWN; i++) {
        sum += account->lost[i];
        (void)json_object_set_new(lost, reasons[i], json_integer((json_int_t)account->lost[i]));
    }
    return json_pack("{s:s*, s:I, s:I, s:I, s:I, s:o, s:I, s:I, s:I, s:I, s:I, s:I}", key, name,
                     "submitted", (json_int_t)account->submitted, "committed",
                     (json_int_t)account->committed, "buffered", (json_int_t)account->buffered,
                     "lost", (json_int_t)sum, "lost_by_reason", lost, "unknown",
                     (json_int_t)account->lost[FLEETDB_LOST_UNKNOWN], "unaccounted",
                     (json_int_t)account->unaccounted, "open_streams", (json_int_t)account->open,
                     "closed_streams", (json_int_t)account->closed, "conflicts",
                     (json_int_t)account->conflicts, "refused", (json_int_t)account->refused);
}

struct audit {
    struct fleetdb *db;
    struct fleetdb_scope scope;
    struct api_page *page; /* of the list of all devices */
    struct fleetdb_account total;
    int64_t elsewhere; /* devices whose account is of other places too, and is not told */
};

/* NULL: no memory. */
static json_t *device_json(struct audit *audit, const char *id,
                           const struct fleetdb_account lanes[FLEETDB_LANES])
{
    struct fleetdb_account sum = {0};
    for (int lane = 0; lane < FLEETDB_LANES; lane++)
        fleetdb_account_add(&sum, &lanes[lane]);
    fleetdb_account_add(&audit->total, &sum);
    return account_json("id", id, &sum);
}

/* An account is of a device's whole life. */
static bool may_tell(struct audit *audit, int64_t device, bool *ret_may, struct err *err)
{
    if (!fleetdb_scope_counts(audit->db, audit->scope, device, ret_may, err))
        return false;
    audit->elsewhere += !*ret_may;
    return true;
}

static bool each_device(void *ctx, const char *id,
                        const struct fleetdb_account lanes[FLEETDB_LANES], struct err *err)
{
    struct audit *audit = ctx;
    struct fleetdb_device device;
    bool holds = false, may = false;
    api_page_see(audit->page, id);
    if (fleetdb_scope_is_whole(audit->scope))
        return api_page_add(audit->page, device_json(audit, id, lanes), err);
    if (!fleetdb_scope_holds_id(audit->db, audit->scope, id, &holds, err))
        return false;
    return !holds || (fleetdb_device_find(audit->db, id, &device, err) &&
                      may_tell(audit, device.device, &may, err) &&
                      (!may || api_page_add(audit->page, device_json(audit, id, lanes), err)));
}

static bool read_page(void *ctx, struct api_page *page, struct err *err)
{
    struct audit *audit = ctx;
    audit->page = page;
    return fleetdb_account_each(audit->db, page->after, page->count, each_device, audit, err);
}

static bool put_total(void *ctx, json_t *object, struct err *err)
{
    const struct audit *audit = ctx;
    return api_put(object, "total", account_json("id", NULL, &audit->total), err) &&
           api_put(object, "elsewhere", json_integer((json_int_t)audit->elsewhere), err);
}

/* ---- one device ---- */

static bool add_stream(void *ctx, const struct fleetdb_stream_view *view, struct err *err)
{
    char incarnation[17];
    (void)snprintf(incarnation, sizeof incarnation, "%016" PRIx64, view->incarnation);
    json_t *stream =
        json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I}", "incarnation", incarnation, "lane",
                  lane_name((Muster__Lane)view->lane), "cumulative", (json_int_t)view->cumulative,
                  "last_seq", (json_int_t)view->last_seq, "ranges", (json_int_t)view->ranges,
                  "lost", (json_int_t)view->lost, "buffered", (json_int_t)view->buffered,
                  "unaccounted", (json_int_t)view->unaccounted);
    return api_append(ctx, stream, err);
}

static bool add_lanes(json_t *object, const struct fleetdb_account lanes[FLEETDB_LANES],
                      struct err *err)
{
    json_t *list = json_array();
    if (!api_put(object, "lanes", list, err))
        return false;
    for (int lane = 1; lane <= FLEETDB_LANES; lane++) {
        json_t *account = account_json("lane", lane_name((Muster__Lane)lane), &lanes[lane - 1]);
        if (!api_append(list, account, err))
            return false;
    }
    return true;
}

/* `*ret_object` NULL: it is not to be told. */
static bool audit_device(struct audit *audit, const struct fleetdb_device *device,
                         json_t **ret_object, struct err *err)
{
    struct fleetdb_account lanes[FLEETDB_LANES];
    bool may = false;
    *ret_object = NULL;
    if (!may_tell(audit, device->device, &may, err))
        return false;
    if (!may)
        return true;
    if (!fleetdb_account_of(audit->db, device->device, true, lanes, err))
        return false;
    json_t *object = device_json(audit, device->id, lanes), *streams = json_array();
    *ret_object = object;
    return (object != NULL || api_no_memory(err)) && api_put(object, "streams", streams, err) &&
           add_lanes(object, lanes, err) &&
           fleetdb_view_streams(audit->db, device->device, add_stream, streams, err);
}

static bool show_device(struct audit *audit, const struct fleetdb_device *device,
                        struct api_answer *answer, struct err *err)
{
    json_t *object = NULL;
    json_t *list = api_list(answer, "devices", err);
    if (list == NULL)
        return false;
    if (!audit_device(audit, device, &object, err)) {
        json_decref(object);
        return false;
    }
    return (object == NULL || api_append(list, object, err)) && put_total(audit, answer->json, err);
}

/* ---- GET /api/v1/audit ---- */

bool api_show_audit(void *ctx, const struct api_request *request, struct api_answer *answer,
                    struct err *err)
{
    const struct api_fleet *fleet = ctx;
    const char *id = api_query(request, "device");
    const struct audit begun = {.db = fleet->db, .scope = request->caller->scope};
    if (id != NULL) {
        struct audit audit = begun;
        struct fleetdb_device device;
        return access_check_device(fleet->db, request->caller, id, err) &&
               fleetdb_device_find(fleet->db, id, &device, err) &&
               show_device(&audit, &device, answer, err);
    }
    struct audit *audit = malloc(sizeof *audit);
    if (audit != NULL)
        *audit = begun;
    const struct api_listing listing = {.clock = fleet->clock,
                                        .name = "devices",
                                        .read = read_page,
                                        .beside = put_total,
                                        .free = free,
                                        .ctx = audit};
    return api_list_in_turns(&listing, answer, err);
}
