/* SPDX-License-Identifier: Apache-2.0 */
/* The blobs that are subscribed to, and a broker that sends messages without an end for them. */
#include "agent/link_internal.h"

#include "base/clock.h"
#include "proto/seal.h"
#include "proto/topics.h"

#include <stdio.h>
#include <string.h>

enum { LEAVE_MS = 30000 };

static void add_topic(void *ctx, const uint8_t blob[32])
{
    struct link_topics *topics = ctx;

    topic_blob(blob, topics->names[topics->count++]);
}

static bool has_session(const struct link *link)
{
    return link->mqtt != NULL && mqtt_status(link->mqtt)->state == MQTT_CONNECTED;
}

static int64_t left_ms(const struct link *link)
{
    return content_hold_left_ms(&link->hold, clock_boot_ms(&clock_real));
}

static void add_all(struct link *link, struct link_topics *topics)
{
    static const struct link_wants nothing = {.count = 0};

    link->subscribed = true;
    link_wants_diff(&link->wants, &nothing, add_topic, topics);
}

/* ---- what is not wanted any more ---- */

static void on_leave_timer(uv_timer_t *timer)
{
    link_content_leave(timer->data);
}

static void leave_forgotten(struct link *link)
{
    link->left.count = 0;
    (void)uv_timer_stop(&link->leave_timer);
}

/* But for what is wanted again meanwhile: that was subscribed to anew. */
void link_content_leave(struct link *link)
{
    struct link_topics topics = {.count = 0};

    if (link->left.count == 0) {
        return;
    }
    link_wants_diff(&link->left, &link->wants, add_topic, &topics);
    leave_forgotten(link);
    if (topics.count > 0) {
        link_unsubscribe(link, &topics);
    }
}

/* It arrived, most often, and what was made of it will be reported in a moment: the broker hears
 * both together. Until then it could only bring what others ask it for. */
static void leave_later(struct link *link, const struct link_wants *wants)
{
    struct err err;

    if (link->left.count + link->wants.count > LIMIT_MANIFEST_ITEMS) {
        link_content_leave(link);
    }
    for (size_t i = 0; i < link->wants.count; i++) {
        const uint8_t *blob = link->wants.blobs[i];
        if (!link_wants_has(wants, blob) &&
            !link_wants_add(&link->left, blob, link->wants.sizes[i], &err)) {
            log_warn("broker: not unsubscribed from a blob: %s", err.text);
        }
    }
    if (link->left.count > 0) {
        (void)uv_timer_start(&link->leave_timer, on_leave_timer, LEAVE_MS, 0);
    }
}

/* ---- what is ---- */

void link_want(struct link *link, const struct link_wants *wants)
{
    struct link_topics topics = {.count = 0};

    if (has_session(link) && link->subscribed) {
        leave_later(link, wants);
        link_wants_diff(wants, &link->wants, add_topic, &topics);
    }
    link->wants = *wants;
    if (topics.count > 0) {
        link_content_leave(link);
        link_subscribe(link, &topics);
    }
}

static void on_held_long_enough(uv_timer_t *timer)
{
    struct link *link = timer->data;
    struct link_topics topics = {.count = 0};

    if (!has_session(link) || link->subscribed) {
        return;
    }
    log_info("broker: content is asked for again");
    add_all(link, &topics);
    if (topics.count > 0) {
        link_subscribe(link, &topics);
    }
    link_report_state(link, "");
}

void link_content_connected(struct link *link, struct link_topics *topics)
{
    int64_t wait_ms = left_ms(link);

    leave_forgotten(link);
    link->subscribed = false;
    if (wait_ms == 0) {
        add_all(link, topics);
        return;
    }
    (void)uv_timer_start(&link->content_timer, on_held_long_enough, (uint64_t)wait_ms, 0);
}

/* What content was on its way cannot be told from outside; where any was subscribed to, the session
 * that follows does without. */
void link_content_disconnected(struct link *link, const char *reason)
{
    const struct mqtt_status *status = mqtt_status(link->mqtt);
    uint64_t broken = status->oversized + status->stuck;
    bool blamed = broken != link->broken && link->subscribed && link->wants.count > 0;

    link->broken = broken;
    link->subscribed = false;
    leave_forgotten(link);
    (void)uv_timer_stop(&link->content_timer);
    if (!blamed) {
        return;
    }
    int64_t wait_ms = content_hold_broken(&link->hold, clock_boot_ms(&clock_real), random_u64());
    (void)snprintf(link->hold_why, sizeof link->hold_why, "%s", reason);
    log_warn("broker: no content is asked for within %lld ms, so that records go on",
             (long long)wait_ms);
}

/* Its length alone would let a broker go on as it likes. */
void link_content_came(struct link *link, const uint8_t blob[32], struct bytes content)
{
    uint8_t digest[32];

    if (link->hold.wait_ms == 0) {
        return;
    }
    sha256(content, digest);
    if (memcmp(digest, blob, sizeof digest) == 0) {
        content_hold_came(&link->hold);
    }
}

int64_t link_content_held_ms(const struct link *link)
{
    int64_t wait_ms = left_ms(link);

    return wait_ms == 0 || (has_session(link) && link->subscribed)
               ? 0
               : clock_wall_ms(&clock_real) + wait_ms;
}
