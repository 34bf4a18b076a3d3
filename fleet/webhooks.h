/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FLEET_WEBHOOKS_H
#define FLEET_WEBHOOKS_H

#include "base/clock.h"
#include "fleet/metrics.h"
#include "storage/fleetdb_webhooks.h"

#include <uv.h>

/*
 * Tells each webhook what happens, in the order of the feed: one signed request at a time, with up
 * to WEBHOOK_EVENTS_MAX events. What has not been answered with 2xx is sent again, ever more
 * seldom, for as long as the feed keeps it; what it keeps no longer is counted and told. How far
 * each has come is in the database, so a restart loses nothing, and may send the newest request
 * once more. Nothing here blocks, and one that fails keeps no other waiting.
 */
enum { WEBHOOK_EVENTS_MAX = 100 };
struct webhooks;

struct webhooks_settings {
    struct fleetdb *db;
    const struct clock *clock;
    struct metrics *metrics;
    int64_t retry_first_ms, retry_max_ms;
};
bool webhooks_open(uv_loop_t *loop, const struct webhooks_settings *settings,
                   struct webhooks **ret_webhooks, struct err *err) MUSTER_CHECK;
/* What is under way is left, to be sent again; memory is given back by the loop. */
void webhooks_close(struct webhooks *webhooks);

/* Something may have come. */
void webhooks_wake(struct webhooks *webhooks);
/* One was added or removed. */
bool webhooks_changed(struct webhooks *webhooks, struct err *err) MUSTER_CHECK;
/* Sends a request without events at once, however long it was to wait. ERR_NOT_FOUND. */
bool webhooks_test(struct webhooks *webhooks, const char *name, struct err *err) MUSTER_CHECK;

#endif
