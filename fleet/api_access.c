/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/api_access.h"
#include "fleet/api_select.h"

#include "fleet/access.h"
#include "storage/fleetdb_changes.h"
#include "storage/fleetdb_tokens.h"

#include <string.h>

enum {
    REQUEST_BYTES = 64 * 1024,
    PLACES_MAX = 200,
    PLACE_CHARS = 64,
    SHOWN = 50,
};

/* ---- GET /api/v1/whoami ---- */

static bool show_caller(void *ctx, const struct api_request *request, struct api_answer *answer,
                        struct err *err)
{
    (void)ctx;
    const struct api_caller *caller = request->caller;
    return api_give(answer,
                    json_pack("{s:s, s:s, s:b}", "name", caller->name, "role",
                              api_role_name(caller->role), "whole_fleet",
                              (int)fleetdb_scope_is_whole(caller->scope)),
                    err);
}

/* ---- GET /api/v1/tokens ---- */

static bool add_token(void *ctx, const struct fleetdb_token *token, const char *places,
                      struct err *err)
{
    json_t *json = json_pack(
        "{s:s, s:s, s:s, s:o, s:I, s:s, s:I, s:I, s:I}", "name", token->name, "role",
        fleetdb_role_name(token->role), "scope", fleetdb_token_scope_name(token->scope), "places",
        json_loads(places, 0, NULL), "made_ms", (json_int_t)token->made_ms, "made_by",
        token->made_by, "expires_ms", (json_int_t)token->expires_ms, "revoked_ms",
        (json_int_t)token->revoked_ms, "used_ms", (json_int_t)token->used_ms);
    return api_append(ctx, json, err);
}

static bool list_tokens(void *ctx, const struct api_request *request, struct api_answer *answer,
                        struct err *err)
{
    (void)request;
    const struct api_access *access = ctx;
    json_t *list = api_list(answer, "tokens", err);
    return list != NULL && fleetdb_token_each(access->db, add_token, list, err);
}

/* ---- POST /api/v1/tokens ---- */

/* It stands in audit rows and on command lines. */
static bool check_name(const char *name, struct err *err)
{
    return strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-.") == strlen(name) ||
           err_set(err, ERR_INVALID, "name: expected 1 to %d of a-z, 0-9, '-' and '.'",
                   FLEETDB_TOKEN_NAME_CHARS);
}

static bool read_role(const json_t *object, enum fleetdb_role *ret_role, struct err *err)
{
    const char *word;
    unsigned role = 0;
    if (!api_text(object, "role", 16, &word, err))
        return false;
    while (role < FLEETDB_ROLES && strcmp(word, fleetdb_role_name(role)) != 0)
        role++;
    *ret_role = role;
    return role < FLEETDB_ROLES ||
           err_set(err, ERR_INVALID, "role: expected viewer, operator or admin");
}

static bool read_places(const json_t *object, struct fleetdb_token_order *order,
                        const char *places[PLACES_MAX], struct err *err)
{
    const json_t *merchants = json_object_get(object, "merchants");
    const json_t *regions = json_object_get(object, "regions");
    const json_t *list = merchants != NULL ? merchants : regions;
    if (merchants != NULL && regions != NULL)
        return err_set(err, ERR_INVALID, "expected merchants or regions, not both");
    order->scope = merchants != NULL ? FLEETDB_SCOPE_MERCHANT
                   : regions != NULL ? FLEETDB_SCOPE_REGION
                                     : FLEETDB_SCOPE_FLEET;
    order->places = places;
    order->place_count = json_array_size(list);
    if (list != NULL && (order->place_count == 0 || order->place_count > PLACES_MAX))
        return err_set(err, ERR_INVALID, "%s: expected an array of 1 to %d",
                       merchants != NULL ? "merchants" : "regions", PLACES_MAX);
    for (size_t i = 0; i < order->place_count; i++) {
        places[i] = json_string_value(json_array_get(list, i));
        if (places[i] == NULL || places[i][0] == '\0' || strlen(places[i]) > PLACE_CHARS)
            return err_set(err, ERR_INVALID, "%s: entry %zu is not a text of 1 to %d characters",
                           merchants != NULL ? "merchants" : "regions", i + 1, PLACE_CHARS);
    }
    return true;
}

static bool read_expiry(const json_t *object, int64_t now_ms, int64_t *ret_expires_ms,
                        struct err *err)
{
    const int64_t ten_years_ms = INT64_C(10) * 365 * 24 * 3600 * 1000;
    int64_t expires_in_ms = 0;
    if (json_object_get(object, "expires_in_ms") != NULL &&
        !api_number(object, "expires_in_ms", 1, ten_years_ms, &expires_in_ms, err))
        return false;
    *ret_expires_ms = expires_in_ms == 0 ? 0 : now_ms + expires_in_ms;
    return true;
}

/* The only time that the token itself is seen. */
static bool make_token(struct fleetdb *db, const json_t *object, const struct api_request *request,
                       struct api_answer *answer, struct err *err)
{
    char text[ACCESS_TOKEN_CHARS + 1];
    uint8_t digest[32];
    const char *places[PLACES_MAX];
    struct fleetdb_token_order order = {.sha256 = digest};
    if (!api_text(object, "name", FLEETDB_TOKEN_NAME_CHARS, &order.name, err) ||
        !check_name(order.name, err) || !read_role(object, &order.role, err) ||
        !read_places(object, &order, places, err) ||
        !read_expiry(object, request->now_ms, &order.expires_ms, err))
        return false;
    access_token_make(text, digest);
    bool ok = fleetdb_token_add(db, &order, request->caller->name, request->now_ms, err) &&
              api_give(answer,
                       json_pack("{s:s, s:s, s:s, s:s, s:I}", "name", order.name, "token", text,
                                 "role", fleetdb_role_name(order.role), "scope",
                                 fleetdb_token_scope_name(order.scope), "expires_ms",
                                 (json_int_t)order.expires_ms),
                       err);
    explicit_bzero(text, sizeof text);
    return ok;
}

static bool add_one(void *ctx, const struct api_request *request, struct api_answer *answer,
                    struct err *err)
{
    const struct api_access *access = ctx;
    json_t *object;
    if (!api_body(request, &object, err))
        return false;
    bool ok = make_token(access->db, object, request, answer, err);
    json_decref(object);
    return ok;
}

/* ---- DELETE /api/v1/tokens/{} ---- */

static bool revoke_one(void *ctx, const struct api_request *request, struct api_answer *answer,
                       struct err *err)
{
    const struct api_access *access = ctx;
    const char *name = request->args[0];
    return fleetdb_token_revoke(access->db, name, request->caller->name, request->now_ms, err) &&
           api_give(
               answer,
               json_pack("{s:s, s:I}", "name", name, "revoked_ms", (json_int_t)request->now_ms),
               err);
}

/* ---- GET /api/v1/changes ---- */

static bool add_change(void *ctx, const struct fleetdb_change_row *change, struct err *err)
{
    json_t *json = json_pack("{s:I, s:I, s:s, s:s, s:s, s:s}", "id", (json_int_t)change->change,
                             "at_ms", (json_int_t)change->at_ms, "who", change->who, "what",
                             change->what, "device", change->device, "text", change->text);
    return api_append(ctx, json, err);
}

struct changes {
    struct fleetdb *db;
    struct fleetdb_changes_asked asked;
};

static bool answer_changes(void *ctx, const struct select *chosen, struct api_answer *answer,
                           struct err *err)
{
    struct changes *changes = ctx;
    struct buf devices = {0};
    json_t *list = api_list(answer, "changes", err);
    bool done = list != NULL && (chosen == NULL || select_rows(chosen, &devices, err));
    changes->asked.devices = (const char *)devices.data;
    done = done && fleetdb_changes_each(changes->db, &changes->asked, add_change, list, err);
    buf_done(&devices);
    return done;
}

/* ?device=ID, ?devices=SELECTOR, ?limit=N, ?before=ID for the page after. Newest first. */
static bool list_changes(void *ctx, const struct api_request *request, struct api_answer *answer,
                         struct err *err)
{
    const struct api_access *access = ctx;
    const char *id = api_query(request, "device");
    struct fleetdb_device device = {0};
    struct fleetdb_changes_asked asked = {.scope = request->caller->scope};
    if ((id != NULL && (!access_check_held(access->db, request->caller, id, err) ||
                        !fleetdb_device_find(access->db, id, &device, err))) ||
        !api_query_number(request, "limit", SHOWN, &asked.limit, err) ||
        !api_query_number(request, "before", 0, &asked.before, err))
        return false;
    asked.device = device.device;
    struct changes *changes = calloc(1, sizeof *changes);
    if (changes != NULL)
        *changes = (struct changes){.db = access->db, .asked = asked};
    const struct api_selection selection = {.db = access->db,
                                            .clock = access->clock,
                                            .scope = asked.scope,
                                            .selector = api_query(request, "devices"),
                                            .finish = answer_changes,
                                            .ctx = changes};
    return api_select(&selection, answer, err);
}

struct api_module api_access_module(struct api_access *access)
{
    static const struct api_route routes[] = {
        {"GET", "/api/v1/whoami", 0, show_caller, API_VIEWER, API_NO_DEVICE},
        {"GET", "/api/v1/tokens", 0, list_tokens, API_ADMIN, API_WHOLE_FLEET},
        {"POST", "/api/v1/tokens", REQUEST_BYTES, add_one, API_ADMIN, API_WHOLE_FLEET},
        {"DELETE", "/api/v1/tokens/{}", 0, revoke_one, API_ADMIN, API_WHOLE_FLEET},
        {"GET", "/api/v1/changes", 0, list_changes, API_VIEWER, API_OWN_PART},
    };
    return (struct api_module){
        .routes = routes, .route_count = sizeof routes / sizeof *routes, .ctx = access};
}
