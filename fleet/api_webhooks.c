/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/api_webhooks.h"

#include "base/clock.h"
#include "fleet/feed_json.h"
#include "fleet/post.h"
#include "fleet/webhook_sign.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { REQUEST_BYTES = 4096 };

/* ---- GET /api/v1/webhooks ---- */

static json_t *kinds_json(unsigned kinds)
{
    json_t *list = json_array();
    for (unsigned kind = 1; kind < FLEETDB_FEED_KINDS; kind++) {
        if (kinds == 0 || (kinds & 1u << kind) != 0)
            (void)json_array_append_new(list,
                                        json_string(feed_kind_word((enum fleetdb_feed_kind)kind)));
    }
    return list;
}

static json_t *webhook_json(const struct fleetdb_webhook *hook, int64_t newest)
{
    return json_pack("{s:s, s:s, s:o, s:I, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:s}", "name",
                     hook->name, "url", hook->url, "kinds", kinds_json(hook->kinds), "made_ms",
                     (json_int_t)hook->made_ms, "made_by", hook->made_by, "behind",
                     (json_int_t)(newest > hook->after ? newest - hook->after : 0), "missed",
                     (json_int_t)hook->missed, "delivered", (json_int_t)hook->delivered, "ok_ms",
                     (json_int_t)hook->ok_ms, "failing_ms", (json_int_t)hook->failing_ms,
                     "failures", (json_int_t)hook->failures, "trouble", hook->trouble);
}

static bool list_webhooks(void *ctx, const struct api_request *request, struct api_answer *answer,
                          struct err *err)
{
    (void)request;
    const struct api_webhooks *webhooks = ctx;
    struct fleetdb_webhook *hooks = calloc(FLEETDB_WEBHOOKS_MAX, sizeof *hooks);
    int64_t oldest = 0, newest = 0;
    size_t count = 0;
    json_t *list = api_list(answer, "webhooks", err);
    bool ok = list != NULL && hooks != NULL
                  ? fleetdb_webhooks_read(webhooks->db, hooks, &count, err) &&
                        fleetdb_feed_range(webhooks->db, &oldest, &newest, err)
                  : api_no_memory(err);
    for (size_t i = 0; ok && i < count; i++)
        ok = api_append(list, webhook_json(&hooks[i], newest), err);
    if (hooks != NULL)
        explicit_bzero(hooks, FLEETDB_WEBHOOKS_MAX * sizeof *hooks);
    free(hooks);
    return ok;
}

/* ---- POST /api/v1/webhooks ---- */

static bool read_kinds(const json_t *object, unsigned *ret_kinds, struct err *err)
{
    size_t i;
    json_t *word;
    unsigned kinds = 0;
    const json_t *list = json_object_get(object, "kinds");
    if (list != NULL && json_array_size(list) == 0)
        return err_set(err, ERR_INVALID,
                       "kinds: expected an array of at least one; without it, all are told");
    json_array_foreach(list, i, word)
    {
        const char *text = json_string_value(word);
        const enum fleetdb_feed_kind kind = text != NULL ? feed_kind_of(text) : 0;
        if (kind == 0)
            return err_set(
                err, ERR_INVALID,
                "kinds: expected online, offline, missing, back, many, change, event or result");
        kinds |= 1u << (unsigned)kind;
    }
    *ret_kinds = kinds;
    return true;
}

static bool read_hook(const json_t *object, struct fleetdb_webhook *hook, struct err *err)
{
    const char *name, *url;
    if (!api_text(object, "name", FLEETDB_WEBHOOK_NAME_CHARS, &name, err) ||
        !api_text(object, "url", FLEETDB_WEBHOOK_URL_CHARS, &url, err) ||
        !post_url_check(url, err) || !read_kinds(object, &hook->kinds, err))
        return false;
    if (strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-.") != strlen(name))
        return err_set(err, ERR_INVALID, "name: expected 1 to %d of a-z, 0-9, '-' and '.'",
                       FLEETDB_WEBHOOK_NAME_CHARS);
    (void)snprintf(hook->name, sizeof hook->name, "%s", name);
    (void)snprintf(hook->url, sizeof hook->url, "%s", url);
    return true;
}

/* The only answer that holds the secret. */
static bool add_hook(const struct api_webhooks *webhooks, struct fleetdb_webhook *hook,
                     const struct api_request *request, struct api_answer *answer, struct err *err)
{
    char secret[WEBHOOK_SECRET_TEXT_CHARS];
    random_bytes(hook->secret, sizeof hook->secret);
    bool ok =
        webhook_secret_text(hook->secret, secret, err) &&
        fleetdb_webhook_add(webhooks->db, hook, request->caller->name, request->now_ms, err) &&
        webhooks_changed(webhooks->webhooks, err) &&
        api_give(
            answer,
            json_pack("{s:s, s:s, s:s}", "name", hook->name, "url", hook->url, "secret", secret),
            err);
    explicit_bzero(secret, sizeof secret);
    return ok;
}

static bool add_one(void *ctx, const struct api_request *request, struct api_answer *answer,
                    struct err *err)
{
    struct fleetdb_webhook hook = {0};
    json_t *object;
    if (!api_body(request, &object, err))
        return false;
    bool ok = read_hook(object, &hook, err) && add_hook(ctx, &hook, request, answer, err);
    explicit_bzero(&hook, sizeof hook);
    json_decref(object);
    return ok;
}

/* ---- DELETE /api/v1/webhooks/{}, POST /api/v1/webhooks/{}/test ---- */

static bool remove_one(void *ctx, const struct api_request *request, struct api_answer *answer,
                       struct err *err)
{
    const struct api_webhooks *webhooks = ctx;
    const char *name = request->args[0];
    return fleetdb_webhook_remove(webhooks->db, name, request->caller->name, request->now_ms,
                                  err) &&
           webhooks_changed(webhooks->webhooks, err) &&
           api_give(answer, json_pack("{s:s}", "name", name), err);
}

/* What comes of it is seen in the list; the body, an empty object, is not looked at. */
static bool test_one(void *ctx, const struct api_request *request, struct api_answer *answer,
                     struct err *err)
{
    const struct api_webhooks *webhooks = ctx;
    const char *name = request->args[0];
    return webhooks_test(webhooks->webhooks, name, err) &&
           api_give(answer, json_pack("{s:s}", "name", name), err);
}

struct api_module api_webhooks_module(struct api_webhooks *webhooks)
{
    static const struct api_route routes[] = {
        {"GET", "/api/v1/webhooks", 0, list_webhooks, API_ADMIN, API_WHOLE_FLEET},
        {"POST", "/api/v1/webhooks", REQUEST_BYTES, add_one, API_ADMIN, API_WHOLE_FLEET},
        {"DELETE", "/api/v1/webhooks/{}", 0, remove_one, API_ADMIN, API_WHOLE_FLEET},
        {"POST", "/api/v1/webhooks/{}/test", REQUEST_BYTES, test_one, API_ADMIN, API_WHOLE_FLEET},
    };
    return (struct api_module){
        .routes = routes, .route_count = sizeof routes / sizeof *routes, .ctx = webhooks};
}
