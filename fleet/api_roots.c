/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/api_roots.h"

#include "fleet/base64.h"
#include "proto/limits.h"

#include <inttypes.h>
#include <stdio.h>

enum { REQUEST_BYTES = LIMIT_ROOT_BYTES * 2 };

/* ---- GET ---- */

/* What is told of devices is the whole fleet's to know. */
static json_t *count_json(struct fleetdb_scope scope, int64_t count)
{
    return fleetdb_scope_is_whole(scope) ? json_integer((json_int_t)count) : json_null();
}

static json_t *root_json(struct fleetdb *db, const struct fleetdb_root *root,
                         struct fleetdb_scope scope, struct err *err)
{
    int64_t devices = 0;
    if (!fleetdb_root_devices(db, root->version, &devices, err))
        return NULL;
    return json_pack("{s:I, s:I, s:I, s:I, s:o}", "version", (json_int_t)root->version, "epoch",
                     (json_int_t)root->epoch, "issued_ms", (json_int_t)root->issued_ms,
                     "published_ms", (json_int_t)root->published_ms, "devices",
                     count_json(scope, devices));
}

static bool list_roots(struct api_roots *roots, struct fleetdb_scope scope, json_t *list,
                       struct err *err)
{
    struct fleetdb_root root = {0};
    for (bool found = true; found;) {
        struct buf envelope = {.limit = LIMIT_ROOT_BYTES};
        bool ok = fleetdb_root_next(roots->db, root.version, &root, &envelope, &found, err);
        if (ok && found &&
            json_array_append_new(list, root_json(roots->db, &root, scope, err)) != 0)
            ok = err_set(err, ERR_NO_MEMORY, "no memory for the roots");
        buf_done(&envelope);
        if (!ok)
            return false;
    }
    return true;
}

static bool get_roots(void *ctx, const struct api_request *request, struct api_answer *answer,
                      struct err *err)
{
    struct api_roots *roots = ctx;
    int64_t behind = 0;
    json_t *list = json_array();
    const struct fleetdb_scope scope = request->caller->scope;
    const bool whole = fleetdb_scope_is_whole(scope);
    if (!list_roots(roots, scope, list, err) ||
        !fleetdb_manifests_behind(roots->db, trust_version(roots->keys->trust), &behind, err)) {
        json_decref(list);
        return false;
    }
    const struct renewal *renewal = roots->renewal;
    return api_give(answer,
                    json_pack("{s:o, s:o, s:o, s:o, s:s, s:o, s:s, s:o}", "roots", list,
                              "manifests_behind", count_json(scope, behind), "devices_waiting",
                              count_json(scope, (int64_t)renewal->waiting), "signing",
                              count_json(scope, (int64_t)renewal->walking), "document",
                              whole ? renewal->document : "", "devices_failed",
                              count_json(scope, (int64_t)renewal->failed.devices), "failure",
                              whole ? renewal->failed.why : "", "next_attempt_ms",
                              count_json(scope, renewal_next_ms(renewal))),
                    err);
}

/* ---- POST ---- */

/* One before the first: the first must follow from it. */
static bool check_before(struct api_roots *roots, struct trust *next, struct err *err)
{
    struct buf first = {.limit = LIMIT_ROOT_BYTES};
    bool ok = fleetdb_root_get(roots->db, trust_version(next) + 1, &first, err) &&
              trust_would_advance(next, buf_bytes(&first), err);
    buf_done(&first);
    return ok;
}

static bool keep(struct api_roots *roots, const struct trust *next, struct bytes envelope,
                 const struct api_request *request, struct err *err)
{
    char text[80];
    bool added = false;
    const struct fleetdb_root root = {.version = trust_version(next),
                                      .epoch = trust_epoch(next),
                                      .issued_ms = trust_issued_ms(next),
                                      .published_ms = request->now_ms,
                                      .envelope = envelope};
    (void)snprintf(text, sizeof text, "root %" PRIu64 ", epoch %" PRIu64, root.version, root.epoch);
    if (!fleetdb_begin(roots->db, err))
        return false;
    bool ok =
        fleetdb_root_add(roots->db, &root, &added, err) &&
        fleetdb_audit(roots->db, request->now_ms, request->caller->name, "root", 0, text, err);
    if (!ok)
        fleetdb_rollback(roots->db);
    return ok && fleetdb_commit(roots->db, err);
}

/* Everything that could be said against it is, before it is kept: then there is no way back. */
static bool take(struct api_roots *roots, struct trust *next, struct bytes envelope, bool dry_run,
                 const struct api_request *request, struct err *err)
{
    struct trust *trust = roots->keys->trust;
    uint64_t version = trust_version(next), first, newest;
    if (!fleetdb_root_range(roots->db, &first, &newest, err))
        return false;
    bool earlier = version + 1 == first;
    bool ok = earlier ? check_before(roots, next, err) : trust_would_advance(trust, envelope, err);
    if (!ok)
        return false;
    struct service_keys chosen = *roots->keys;
    if (!earlier && !service_keys_choose(&chosen, next, err))
        return false;
    if (dry_run)
        return true;
    if (!keep(roots, next, envelope, request, err) ||
        (!earlier && !trust_advance(trust, envelope, err)))
        return false;
    if (!earlier)
        *roots->keys = chosen;
    return roots->added(roots->ctx, version, !earlier, err);
}

static bool publish(struct api_roots *roots, struct bytes envelope, bool dry_run,
                    const struct api_request *request, struct api_answer *answer, struct err *err)
{
    struct trust *next = NULL;
    struct buf held = {.limit = LIMIT_ROOT_BYTES};
    if (!trust_open(envelope, &next, err))
        return false;
    bool known = fleetdb_root_get(roots->db, trust_version(next), &held, NULL) &&
                 bytes_equal(buf_bytes(&held), envelope);
    bool ok = known || take(roots, next, envelope, dry_run, request, err);
    if (ok) {
        answer->json = json_pack("{s:b, s:b, s:I, s:I}", "new", (int)!known, "dry_run",
                                 (int)dry_run, "version", (json_int_t)trust_version(next), "epoch",
                                 (json_int_t)trust_epoch(next));
        ok = answer->json != NULL || api_no_memory(err);
    }
    buf_done(&held);
    trust_free(next);
    return ok;
}

static bool post_root(void *ctx, const struct api_request *request, struct api_answer *answer,
                      struct err *err)
{
    struct buf envelope = {.limit = LIMIT_ROOT_BYTES};
    json_t *object;
    if (!api_body(request, &object, err))
        return false;
    bool ok = api_base64(object, "root", LIMIT_ROOT_BYTES, &envelope, err) &&
              publish(ctx, buf_bytes(&envelope), json_is_true(json_object_get(object, "dry_run")),
                      request, answer, err);
    buf_done(&envelope);
    json_decref(object);
    return ok;
}

struct api_module api_roots_module(struct api_roots *roots)
{
    static const struct api_route routes[] = {
        {"GET", "/api/v1/roots", 0, get_roots, API_VIEWER, API_OWN_PART},
        {"POST", "/api/v1/roots", REQUEST_BYTES, post_root, API_ADMIN, API_WHOLE_FLEET},
    };
    return (struct api_module){
        .routes = routes, .route_count = sizeof routes / sizeof *routes, .ctx = roots};
}
