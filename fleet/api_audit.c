/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/access.h"
#include "fleet/api_fleet.h"
#include "proto/batch.h"
#include "storage/fleetdb_account.h"
#include "storage/fleetdb_views.h"

#include <inttypes.h>
#include <stdio.h>

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
    const struct api_caller *caller;
    json_t *devices;
    struct fleetdb_account total;
    int64_t elsewhere; /* devices whose account is of other places too, and is not told */
};

/* A device's object at the end of the list; NULL: no memory. */
static json_t *add_device(struct audit *audit, const char *id,
                          const struct fleetdb_account lanes[FLEETDB_LANES])
{
    struct fleetdb_account sum = {0};
    for (int lane = 0; lane < FLEETDB_LANES; lane++)
        fleetdb_account_add(&sum, &lanes[lane]);
    fleetdb_account_add(&audit->total, &sum);
    json_t *object = account_json("id", id, &sum);
    return json_array_append_new(audit->devices, object) == 0 ? object : NULL;
}

/* An account is of a device's whole life. */
static bool may_tell(struct audit *audit, int64_t device, bool *ret_may, struct err *err)
{
    if (!fleetdb_scope_counts(audit->db, audit->caller->scope, device, ret_may, err))
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
    if (fleetdb_scope_is_whole(audit->caller->scope))
        return add_device(audit, id, lanes) != NULL || api_no_memory(err);
    if (!fleetdb_scope_holds_id(audit->db, audit->caller->scope, id, &holds, err))
        return false;
    return !holds || (fleetdb_device_find(audit->db, id, &device, err) &&
                      may_tell(audit, device.device, &may, err) &&
                      (!may || add_device(audit, id, lanes) != NULL || api_no_memory(err)));
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

static bool audit_device(struct fleetdb *db, const char *id, struct audit *audit, struct err *err)
{
    struct fleetdb_device device;
    struct fleetdb_account lanes[FLEETDB_LANES];
    bool may = false;
    if (!access_check_device(db, audit->caller, id, err) ||
        !fleetdb_device_find(db, id, &device, err) || !may_tell(audit, device.device, &may, err))
        return false;
    if (!may)
        return true;
    if (!fleetdb_account_of(db, device.device, true, lanes, err))
        return false;
    json_t *object = add_device(audit, device.id, lanes), *streams = json_array();
    if (!api_put(object, "streams", streams, err))
        return false;
    return add_lanes(object, lanes, err) &&
           fleetdb_view_streams(db, device.device, add_stream, streams, err);
}

/* ---- GET /api/v1/audit ---- */

bool api_show_audit(void *ctx, const struct api_request *request, struct api_answer *answer,
                    struct err *err)
{
    const struct api_fleet *fleet = ctx;
    const char *id = api_query(request, "device");
    struct audit audit = {.db = fleet->db, .caller = request->caller, .devices = json_array()};
    bool done = id != NULL ? audit_device(fleet->db, id, &audit, err)
                           : fleetdb_account_each(fleet->db, each_device, &audit, err);
    if (!done) {
        json_decref(audit.devices);
        return false;
    }
    answer->json =
        json_pack("{s:o, s:o, s:I}", "devices", audit.devices, "total",
                  account_json("id", NULL, &audit.total), "elsewhere", (json_int_t)audit.elsewhere);
    return answer->json != NULL || api_no_memory(err);
}
