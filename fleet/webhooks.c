/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/webhooks.h"

#include "base/backoff.h"
#include "base/log.h"
#include "fleet/feed_json.h"
#include "fleet/post.h"
#include "fleet/webhook_sign.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    LOOKED_AT_MAX = 2000, /* rows that nobody asked for, in one turn */
    PASSED_KEPT = 1000,   /* so many of those and it is written down */
    TOLD_FAILURES = 3,    /* in a row, and people are told */
    DATABASE_AGAIN_MS = 60 * 1000,
    ID_CHARS = FLEETDB_WEBHOOK_NAME_CHARS + 48,
    HEADER_CHARS = 200,
};

struct hook {
    struct webhooks *webhooks;
    struct hook *next;
    struct fleetdb_webhook kept; /* as the database has it, but for `after` */
    struct backoff backoff;
    int64_t due_ms; /* since boot; not before */
    int64_t after;  /* looked at so far */
    int64_t passed; /* as it is written down */
    int64_t missed; /* to be told with the next request */
    bool sending, testing, removed;
    bool test;       /* a request without events is asked for */
    json_t *events;  /* of the request that is to be made */
    struct buf body; /* of the one that is under way */
};

struct webhooks {
    struct webhooks_settings settings;
    struct post *post;
    uv_timer_t timer;
    struct hook *first;
};

static int64_t now_ms(const struct webhooks *webhooks)
{
    return clock_boot_ms(webhooks->settings.clock);
}

static int64_t wall_ms(const struct webhooks *webhooks)
{
    return clock_wall_ms(webhooks->settings.clock);
}

static void hook_free(struct hook *hook)
{
    json_decref(hook->events);
    buf_done(&hook->body);
    explicit_bzero(&hook->kept, sizeof hook->kept);
    free(hook);
}

static void count_failing(struct webhooks *webhooks)
{
    uint64_t failing = 0;
    for (const struct hook *hook = webhooks->first; hook != NULL; hook = hook->next)
        failing += !hook->removed && hook->backoff.failures >= TOLD_FAILURES;
    metrics_set(webhooks->settings.metrics, METRIC_WEBHOOKS_FAILING, failing);
}

/* ---- what is to be told ---- */

static bool add_event(void *ctx, const struct fleetdb_feed_row *row, struct err *err)
{
    struct hook *hook = ctx;
    const unsigned kinds = hook->kept.kinds;
    hook->after = row->id;
    if (kinds != 0 && (kinds & 1u << (unsigned)row->kind) == 0)
        return true;
    return json_array_append_new(hook->events, feed_json(row)) == 0 ||
           err_set(err, ERR_NO_MEMORY, "no memory for an event");
}

/* What was removed before it could be told. */
static bool count_missed(struct hook *hook, int64_t *ret_newest, struct err *err)
{
    int64_t oldest = 0;
    if (!fleetdb_feed_range(hook->webhooks->settings.db, &oldest, ret_newest, err))
        return false;
    if (*ret_newest < hook->after) /* the database was restored: what is new there is new */
        hook->after = *ret_newest;
    if (oldest > hook->after + 1) {
        hook->missed += oldest - 1 - hook->after;
        hook->after = oldest - 1;
    }
    return true;
}

/* `*ret_more`: it was looked at much, and there is more. */
static bool gather(struct hook *hook, bool *ret_more, struct err *err)
{
    int64_t newest = 0;
    *ret_more = false;
    if (!count_missed(hook, &newest, err))
        return false;
    for (int64_t looked_at = 0; hook->after < newest && json_array_size(hook->events) == 0;
         looked_at += WEBHOOK_EVENTS_MAX) {
        if (looked_at >= LOOKED_AT_MAX) {
            *ret_more = true;
            break;
        }
        if (!fleetdb_feed_each(hook->webhooks->settings.db, hook->after, WEBHOOK_EVENTS_MAX,
                               add_event, hook, err))
            return false;
    }
    /* A write for each row that nobody asked for would be too much. */
    if (json_array_size(hook->events) > 0 || hook->missed > 0 ||
        hook->after - hook->passed < PASSED_KEPT)
        return true;
    hook->passed = hook->after;
    return fleetdb_webhook_passed(hook->webhooks->settings.db, hook->kept.webhook, hook->after, 0,
                                  false, 0, err);
}

/* ---- a request ---- */

static bool write_body(struct hook *hook, int64_t at_ms, struct err *err)
{
    char when[32];
    clock_format(at_ms, when);
    json_t *events = hook->testing ? json_array() : json_incref(hook->events);
    json_t *json =
        json_pack("{s:s, s:s, s:{s:s, s:I, s:o}}", "type",
                  hook->testing ? "muster.test" : "muster.events", "timestamp", when, "data",
                  "webhook", hook->kept.name, "missed", (json_int_t)hook->missed, "events", events);
    char *text = json != NULL ? json_dumps(json, JSON_COMPACT) : NULL;
    json_decref(json);
    buf_clear(&hook->body);
    bool ok = text != NULL ? buf_append(&hook->body, text, strlen(text), err)
                           : err_set(err, ERR_NO_MEMORY, "no memory for a request");
    free(text);
    return ok;
}

static void on_done(void *ctx, long status, const char *why);

/* The id is that of what is told: the same again has the same. */
static bool send_request(struct hook *hook, struct err *err)
{
    char id[ID_CHARS], id_header[HEADER_CHARS], time_header[HEADER_CHARS],
        sign_header[HEADER_CHARS], signature[WEBHOOK_SIGNATURE_CHARS];
    const int64_t at_ms = wall_ms(hook->webhooks);
    const char *const headers[] = {
        "Content-Type: application/json", "Expect:", id_header, time_header, sign_header, NULL};
    if (hook->testing)
        (void)snprintf(id, sizeof id, "%s-test-%" PRId64, hook->kept.name, at_ms);
    else
        (void)snprintf(id, sizeof id, "%s-%" PRId64 "-%" PRId64, hook->kept.name, hook->passed,
                       hook->after);
    if (!write_body(hook, at_ms, err) ||
        !webhook_sign(hook->kept.secret, id, at_ms / 1000, buf_bytes(&hook->body), signature, err))
        return false;
    (void)snprintf(id_header, sizeof id_header, "webhook-id: %s", id);
    (void)snprintf(time_header, sizeof time_header, "webhook-timestamp: %" PRId64, at_ms / 1000);
    (void)snprintf(sign_header, sizeof sign_header, "webhook-signature: %s", signature);
    const struct post_order order = {.url = hook->kept.url,
                                     .headers = headers,
                                     .body = buf_bytes(&hook->body),
                                     .done = on_done,
                                     .ctx = hook};
    hook->sending = post_send(hook->webhooks->post, &order, err);
    return hook->sending;
}

/* ---- turns ---- */

static void turn_all(struct webhooks *webhooks);

static void on_timer(uv_timer_t *timer)
{
    turn_all(timer->data);
}

static int64_t postpone(struct hook *hook, const struct err *why)
{
    log_error("webhook %s: %s", hook->kept.name, why->text);
    hook->due_ms = now_ms(hook->webhooks) + DATABASE_AGAIN_MS;
    return DATABASE_AGAIN_MS;
}

/* Returns after how many milliseconds it wants another turn; -1: when something has come. */
static int64_t turn(struct hook *hook)
{
    struct err err = {0};
    bool more = false;
    const int64_t wait_ms = hook->due_ms - now_ms(hook->webhooks);
    if (hook->sending || hook->removed)
        return -1;
    if (wait_ms > 0)
        return wait_ms;
    if (hook->events == NULL)
        hook->events = json_array();
    hook->testing = hook->test;
    /* What was gathered and did not arrive is there still. */
    const bool gathered = json_array_size(hook->events) > 0;
    if (!hook->testing && !gathered && !gather(hook, &more, &err))
        return postpone(hook, &err);
    if (!hook->testing && json_array_size(hook->events) == 0)
        return more ? 0 : -1;
    return send_request(hook, &err) ? -1 : postpone(hook, &err);
}

static void turn_all(struct webhooks *webhooks)
{
    int64_t soonest_ms = -1;
    for (struct hook *hook = webhooks->first; hook != NULL; hook = hook->next) {
        const int64_t wait_ms = turn(hook);
        if (wait_ms >= 0 && (soonest_ms < 0 || wait_ms < soonest_ms))
            soonest_ms = wait_ms;
    }
    if (soonest_ms >= 0)
        (void)uv_timer_start(&webhooks->timer, on_timer, (uint64_t)soonest_ms, 0);
}

void webhooks_wake(struct webhooks *webhooks)
{
    if (webhooks != NULL)
        turn_all(webhooks);
}

/* ---- how it went ---- */

static struct hook **find(struct webhooks *webhooks, const struct hook *hook)
{
    struct hook **at = &webhooks->first;
    while (*at != hook)
        at = &(*at)->next;
    return at;
}

static void drop(struct hook **at)
{
    struct hook *hook = *at;
    *at = hook->next;
    hook_free(hook);
}

/* For the audit, and so for whoever follows the feed. */
static void tell(struct hook *hook, const char *what, const char *why)
{
    struct err err = {0};
    char text[FLEETDB_WEBHOOK_NAME_CHARS + 220];
    (void)snprintf(text, sizeof text, "%s%s%.200s", hook->kept.name, why[0] != '\0' ? ": " : "",
                   why);
    log_warn("%s %s", what, text);
    if (!fleetdb_audit(hook->webhooks->settings.db, wall_ms(hook->webhooks), NULL, what, 0, text,
                       &err))
        log_error("audit: %s", err.text);
}

static void arrived(struct hook *hook)
{
    struct err err = {0};
    struct webhooks *webhooks = hook->webhooks;
    const bool was_told = hook->backoff.failures >= TOLD_FAILURES;
    const int64_t after = hook->testing ? hook->passed : hook->after;
    metrics_add(webhooks->settings.metrics, METRIC_WEBHOOK_REQUESTS, 1);
    backoff_reset(&hook->backoff);
    hook->due_ms = 0;
    if (!fleetdb_webhook_passed(webhooks->settings.db, hook->kept.webhook, after, hook->missed,
                                true, wall_ms(webhooks), &err)) {
        postpone(hook, &err); /* it will be sent again */
        return;
    }
    hook->missed = 0;
    if (!hook->testing) {
        hook->passed = after;
        (void)json_array_clear(hook->events);
    }
    if (was_told)
        tell(hook, "webhook well", "");
}

static void failed(struct hook *hook, const char *why)
{
    struct err err = {0};
    struct webhooks *webhooks = hook->webhooks;
    metrics_add(webhooks->settings.metrics, METRIC_WEBHOOK_FAILURES, 1);
    const int64_t ceiling_ms = backoff_ceiling_ms(&hook->backoff);
    (void)backoff_next_ms(&hook->backoff, random_u64());
    hook->due_ms = now_ms(webhooks) + backoff_spread_ms(ceiling_ms, random_u64());
    if (!fleetdb_webhook_failed(webhooks->settings.db, hook->kept.webhook, why, wall_ms(webhooks),
                                &err))
        log_error("webhook %s: %s", hook->kept.name, err.text);
    if (hook->backoff.failures == TOLD_FAILURES)
        tell(hook, "webhook failing", why);
}

static void on_done(void *ctx, long status, const char *why)
{
    struct hook *hook = ctx;
    struct webhooks *webhooks = hook->webhooks;
    char text[160];
    hook->sending = false;
    if (hook->removed) { /* meanwhile */
        drop(find(webhooks, hook));
        return;
    }
    if (status == 0)
        (void)snprintf(text, sizeof text, "%.150s", why);
    else
        (void)snprintf(text, sizeof text, "answered with status %ld", status);
    if (status >= 200 && status < 300)
        arrived(hook);
    else
        failed(hook, text);
    if (hook->testing)
        hook->test = hook->testing = false;
    count_failing(webhooks);
    turn_all(webhooks);
}

/* ---- which there are ---- */

static bool add_hook(struct webhooks *webhooks, const struct fleetdb_webhook *kept, struct err *err)
{
    struct hook *hook = calloc(1, sizeof *hook);
    if (hook == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory for a webhook");
    hook->webhooks = webhooks;
    hook->kept = *kept;
    hook->after = hook->passed = kept->after;
    hook->backoff = (struct backoff){.first_ms = webhooks->settings.retry_first_ms,
                                     .max_ms = webhooks->settings.retry_max_ms,
                                     .failures = (unsigned)kept->failures};
    if (kept->failures > 0) /* a restart is no reason to hurry all at once */
        hook->due_ms =
            now_ms(webhooks) + backoff_spread_ms(webhooks->settings.retry_first_ms, random_u64());
    hook->next = webhooks->first;
    webhooks->first = hook;
    return true;
}

static bool is_in(const struct fleetdb_webhook *hooks, size_t count, int64_t webhook)
{
    for (size_t i = 0; i < count; i++) {
        if (hooks[i].webhook == webhook)
            return true;
    }
    return false;
}

static bool is_known(const struct webhooks *webhooks, int64_t webhook)
{
    for (const struct hook *hook = webhooks->first; hook != NULL; hook = hook->next) {
        if (!hook->removed && hook->kept.webhook == webhook)
            return true;
    }
    return false;
}

bool webhooks_changed(struct webhooks *webhooks, struct err *err)
{
    struct fleetdb_webhook *hooks = calloc(FLEETDB_WEBHOOKS_MAX, sizeof *hooks);
    size_t count = 0;
    if (hooks == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory for the webhooks");
    bool ok = fleetdb_webhooks_read(webhooks->settings.db, hooks, &count, err);
    for (struct hook **at = &webhooks->first; ok && *at != NULL;) {
        struct hook *hook = *at;
        hook->removed = hook->removed || !is_in(hooks, count, hook->kept.webhook);
        if (hook->removed && !hook->sending) /* else it goes once it is answered */
            drop(at);
        else
            at = &hook->next;
    }
    for (size_t i = 0; ok && i < count; i++)
        ok = is_known(webhooks, hooks[i].webhook) || add_hook(webhooks, &hooks[i], err);
    explicit_bzero(hooks, FLEETDB_WEBHOOKS_MAX * sizeof *hooks);
    free(hooks);
    count_failing(webhooks);
    return ok;
}

bool webhooks_test(struct webhooks *webhooks, const char *name, struct err *err)
{
    for (struct hook *hook = webhooks->first; hook != NULL; hook = hook->next) {
        if (hook->removed || strcmp(hook->kept.name, name) != 0)
            continue;
        hook->test = true;
        hook->due_ms = 0;
        turn_all(webhooks);
        return true;
    }
    return err_set(err, ERR_NOT_FOUND, "no webhook %s; see musterctl webhook list", name);
}

/* ---- open and close ---- */

bool webhooks_open(uv_loop_t *loop, const struct webhooks_settings *settings,
                   struct webhooks **ret_webhooks, struct err *err)
{
    struct webhooks *webhooks = calloc(1, sizeof *webhooks);
    if (webhooks == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory for the webhooks");
    webhooks->settings = *settings;
    (void)uv_timer_init(loop, &webhooks->timer);
    webhooks->timer.data = webhooks;
    if (!post_open(loop, &webhooks->post, err) || !webhooks_changed(webhooks, err)) {
        webhooks_close(webhooks);
        return false;
    }
    turn_all(webhooks);
    *ret_webhooks = webhooks;
    return true;
}

static void on_closed(uv_handle_t *timer)
{
    free(timer->data);
}

void webhooks_close(struct webhooks *webhooks)
{
    if (webhooks == NULL)
        return;
    post_close(webhooks->post);
    while (webhooks->first != NULL)
        drop(&webhooks->first);
    uv_close((uv_handle_t *)&webhooks->timer, on_closed);
}
