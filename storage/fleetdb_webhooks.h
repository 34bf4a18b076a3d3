/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_FLEETDB_WEBHOOKS_H
#define STORAGE_FLEETDB_WEBHOOKS_H

#include "storage/fleetdb.h"

/* Those who are told what happens by requests to them, each with his place in the feed. */
enum {
    FLEETDB_WEBHOOK_NAME_CHARS = 40,
    FLEETDB_WEBHOOK_URL_CHARS = 500,
    FLEETDB_WEBHOOK_SECRET_BYTES = 32,
    FLEETDB_WEBHOOKS_MAX = 32,
};

struct fleetdb_webhook {
    int64_t webhook; /* its row */
    char name[FLEETDB_WEBHOOK_NAME_CHARS + 1];
    char url[FLEETDB_WEBHOOK_URL_CHARS + 1];
    uint8_t secret[FLEETDB_WEBHOOK_SECRET_BYTES];
    unsigned kinds; /* bits, 1 << enum fleetdb_feed_kind; 0: all */
    int64_t made_ms;
    char made_by[64];
    int64_t after;      /* row of the feed */
    int64_t missed;     /* rows that were removed before they were delivered */
    int64_t delivered;  /* requests */
    int64_t ok_ms;      /* the last of them; 0: none yet */
    int64_t failing_ms; /* since; 0: it is not */
    int64_t failures;   /* since then */
    char trouble[200];  /* why */
};

/* From now on, with an audit row; of `hook` the name, url, secret and kinds count. ERR_CONFLICT:
 * there is one of that name; ERR_FULL: there are FLEETDB_WEBHOOKS_MAX. */
bool fleetdb_webhook_add(struct fleetdb *db, const struct fleetdb_webhook *hook, const char *who,
                         int64_t now_ms, struct err *err) MUSTER_CHECK;
/* With an audit row. ERR_NOT_FOUND. */
bool fleetdb_webhook_remove(struct fleetdb *db, const char *name, const char *who, int64_t now_ms,
                            struct err *err) MUSTER_CHECK;
/* All of them, ascending by name. `ret_hooks` takes FLEETDB_WEBHOOKS_MAX. */
bool fleetdb_webhooks_read(struct fleetdb *db, struct fleetdb_webhook *ret_hooks, size_t *ret_count,
                           struct err *err) MUSTER_CHECK;

/* Rows up to `after` are done with; `missed` of them were not there any more. `arrived`: a request
 * was answered well. */
bool fleetdb_webhook_passed(struct fleetdb *db, int64_t webhook, int64_t after, int64_t missed,
                            bool arrived, int64_t now_ms, struct err *err) MUSTER_CHECK;
bool fleetdb_webhook_failed(struct fleetdb *db, int64_t webhook, const char *trouble,
                            int64_t now_ms, struct err *err) MUSTER_CHECK;

#endif
