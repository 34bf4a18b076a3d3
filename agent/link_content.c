/* SPDX-License-Identifier: Apache-2.0 */
/* The blobs that are subscribed to, and a broker that sends messages without an end for them. */
#include "agent/link_internal.h"

#include "base/clock.h"
#include "proto/seal.h"
#include "proto/topics.h"

#include <stdio.h>
#include <string.h>

static void subscribe_blob(void *ctx, const uint8_t blob[32])
{
    char topic[TOPIC_CHARS];

    topic_blob(blob, topic);
    link_subscribe(ctx, topic);
}

static void unsubscribe_blob(void *ctx, const uint8_t blob[32])
{
    char topic[TOPIC_CHARS];

    topic_blob(blob, topic);
    link_unsubscribe(ctx, topic);
}

static bool has_session(const struct link *link)
{
    return link->mqtt != NULL && mqtt_status(link->mqtt)->state == MQTT_CONNECTED;
}

static int64_t left_ms(const struct link *link)
{
    return content_hold_left_ms(&link->hold, clock_boot_ms(&clock_real));
}

static void subscribe_all(struct link *link)
{
    static const struct link_wants nothing = {.count = 0};

    link->subscribed = true;
    link_wants_diff(&link->wants, &nothing, subscribe_blob, link);
}

void link_want(struct link *link, const struct link_wants *wants)
{
    if (has_session(link) && link->subscribed) {
        link_wants_diff(&link->wants, wants, unsubscribe_blob, link);
        link_wants_diff(wants, &link->wants, subscribe_blob, link);
    }
    link->wants = *wants;
}

static void on_held_long_enough(uv_timer_t *timer)
{
    struct link *link = timer->data;

    if (!has_session(link) || link->subscribed) {
        return;
    }
    log_info("broker: content is asked for again");
    subscribe_all(link);
    link_report_state(link, "");
}

void link_content_connected(struct link *link)
{
    int64_t wait_ms = left_ms(link);

    link->subscribed = false;
    if (wait_ms == 0) {
        subscribe_all(link);
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
