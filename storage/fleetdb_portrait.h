/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_FLEETDB_PORTRAIT_H
#define STORAGE_FLEETDB_PORTRAIT_H

#include "storage/fleetdb.h"

/*
 * What ops say of a device or a store, taken before a change and after it, so that the audit can
 * tell what was and what is. Keys are told by a name that the caller makes of their SPKI.
 */
enum { PORTRAIT_KEY_CHARS = 16, PORTRAIT_TEXT_BYTES = 2048 };
typedef void portrait_key_name(struct bytes spki, char name[PORTRAIT_KEY_CHARS + 1]);

/* State, store, logical terminals, labels, agent key; empty: there is no such device. What is in
 * `portrait` is replaced; buf_done frees it. */
bool fleetdb_portrait_device(struct fleetdb *db, int64_t device, portrait_key_name *name_key,
                             struct buf *portrait, struct err *err) MUSTER_CHECK;
/* Names, region, time zone, opening hours, address; empty: there is no such store. */
bool fleetdb_portrait_store(struct fleetdb *db, const char *merchant, const char *store,
                            struct buf *portrait, struct err *err) MUSTER_CHECK;

/* "state: repair -> lab; label lane: none -> "fast""; of what was not there before "new; state:
 * lab; ...". "": they are the same. Ends in " ..." where it is longer than the text may be. */
void fleetdb_portrait_tell(const struct buf *before, const struct buf *after,
                           char text[PORTRAIT_TEXT_BYTES]);

#endif
