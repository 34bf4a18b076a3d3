/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FLEET_API_PLACES_H
#define FLEET_API_PLACES_H

#include "fleet/api_fleet.h"
#include "storage/fleetdb_places.h"

/* Where devices stand and who they are, over HTTP: stores, regions, labels, groups, selections;
 * devices moved, swapped, suspended, retired; what acquirers are to be told; all of it at once as
 * an inventory, out and in. */
struct api_module api_places_module(struct api_fleet *fleet);

enum { PLACE_TEXT_CHARS = 200 }; /* of a name, an address, a reason */

/* An optional text of at most `max` characters without control characters: NULL where it is absent
 * or null; "" may be. */
bool place_text(const json_t *object, const char *name, size_t max, const char **ret_text,
                struct err *err) MUSTER_CHECK;
/* {"merchant": {"id", "name"}, "store": {"id", "name", "region", "time_zone", "opening_hours",
 * "address"}}, of which only the ids must be there; ids, time zone and hours are held to their
 * form.
 */
bool place_read(const json_t *object, struct fleetdb_store *ret_store,
                struct err *err) MUSTER_CHECK;
/* The place that a device is enrolled at: its texts are the store's own. */
void place_enrol(const struct fleetdb_store *store, struct fleetdb_enrolment *enrolment);
/* [{"index", "acquirer", "tid", "mid"}, ...] */
enum { PLACE_TERMINALS_MAX = 16 };
bool place_read_terminals(const json_t *list,
                          struct fleetdb_terminal terminals[PLACE_TERMINALS_MAX], size_t *ret_count,
                          struct err *err) MUSTER_CHECK;
/* What selectors can name; NULL and "": none is said. */
bool place_check_region(const char *name, struct err *err) MUSTER_CHECK;
/* A time zone that this machine knows, or "". */
bool place_check_zone(const char *name, struct err *err) MUSTER_CHECK;

/* What a device still holds when it is retired, nobody will ever take: ERR_CONFLICT if it does. */
bool place_check_empty(struct fleetdb *db, const struct fleetdb_device *device,
                       struct err *err) MUSTER_CHECK;
bool place_check_label(const char *name, const char *value, struct err *err) MUSTER_CHECK;

/* Those of a device, or with 0 of all, in the scope, that are still to be told, or `all`:
 * [{"id", "act", "device", ...}] */
bool place_duties(struct fleetdb *db, struct fleetdb_scope scope, int64_t device, bool all,
                  json_t **ret_list, struct err *err) MUSTER_CHECK;
/* One of them; `ctx`: the list. */
bool place_add_duty(void *ctx, const struct fleetdb_duty_view *view, struct err *err) MUSTER_CHECK;
json_t *place_labels(struct fleetdb *db, int64_t device, struct err *err); /* {"lane": "express"} */

/* Handlers of the module's other files. */
bool api_show_history(void *ctx, const struct api_request *request, struct api_answer *answer,
                      struct err *err) MUSTER_CHECK;
bool api_show_terminal(void *ctx, const struct api_request *request, struct api_answer *answer,
                       struct err *err) MUSTER_CHECK;
bool api_set_state(void *ctx, const struct api_request *request, struct api_answer *answer,
                   struct err *err) MUSTER_CHECK;
bool api_move_device(void *ctx, const struct api_request *request, struct api_answer *answer,
                     struct err *err) MUSTER_CHECK;
bool api_swap_device(void *ctx, const struct api_request *request, struct api_answer *answer,
                     struct err *err) MUSTER_CHECK;
bool api_label_device(void *ctx, const struct api_request *request, struct api_answer *answer,
                      struct err *err) MUSTER_CHECK;
bool api_list_groups(void *ctx, const struct api_request *request, struct api_answer *answer,
                     struct err *err) MUSTER_CHECK;
bool api_post_group(void *ctx, const struct api_request *request, struct api_answer *answer,
                    struct err *err) MUSTER_CHECK;
bool api_show_selection(void *ctx, const struct api_request *request, struct api_answer *answer,
                        struct err *err) MUSTER_CHECK;
bool api_show_inventory(void *ctx, const struct api_request *request, struct api_answer *answer,
                        struct err *err) MUSTER_CHECK;
bool api_post_inventory(void *ctx, const struct api_request *request, struct api_answer *answer,
                        struct err *err) MUSTER_CHECK;

#endif
