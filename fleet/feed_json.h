/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FLEET_FEED_JSON_H
#define FLEET_FEED_JSON_H

#include "storage/fleetdb_feed.h"

#include <jansson.h>

/* What has happened, as people's programs read it: in server-sent events and in webhooks. */

/* "online", "offline", "change", "event", "result", "missing", "back", "many"; NULL: there is no
 * such kind. */
const char *feed_kind_word(enum fleetdb_feed_kind kind);
/* 0: no kind is called that. */
enum fleetdb_feed_kind feed_kind_of(const char *word);

/* Its place in the feed: the row, and when it was written, so that the same row of a database
 * restored from a backup is another place. */
enum { FEED_PLACE_CHARS = 44 };
void feed_place(int64_t id, int64_t at_ms, char ret_place[FEED_PLACE_CHARS]);
/* False: it is none. */
bool feed_place_read(const char *place, int64_t *ret_id, int64_t *ret_at_ms) MUSTER_CHECK;

/* {"id", "at_ms", "kind", "device", and "change", "event" or "result"}; NULL: no memory. */
json_t *feed_json(const struct fleetdb_feed_row *row);

#endif
