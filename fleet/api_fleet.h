/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FLEET_API_FLEET_H
#define FLEET_API_FLEET_H

#include "base/clock.h"
#include "fleet/api.h"
#include "fleet/metrics.h"
#include "storage/fleetdb.h"

#include <protobuf-c/protobuf-c.h>

/* Who is there and what was said, over HTTP: devices, enrolment, error rates; health and metrics
 * of musterd itself. */
struct api_fleet {
    struct fleetdb *db;
    struct metrics *metrics;
    const struct clock *clock;
    int64_t question_limit_ms; /* of our time, for one question after rates */
    const char *zone;          /* of stores and regions of which nobody has said one */
    /* False: not connected; `why` is then filled. */
    bool (*connected)(void *ctx, char *why, size_t size);
    /* Appends further metrics; may be NULL. */
    bool (*more_metrics)(void *ctx, struct buf *out, struct err *err);
    void *ctx;
};

/* Its routes; `fleet` is their ctx and must live as long. */
struct api_module api_fleet_module(struct api_fleet *fleet);

/* An enum value's word: "OUTCOME_NO_ANSWER" without `prefix` is "no_answer", a value that is not
 * known its number. */
void api_word(const ProtobufCEnumDescriptor *type, const char *prefix, int value, char out[48]);

/* Handlers of the module's other files. */
struct fleetdb_device_view;
/* Of the time before it came to the scope, nothing. */
bool api_device_json(struct fleetdb *db, struct fleetdb_scope scope,
                     const struct fleetdb_device_view *view, json_t **ret_json,
                     struct err *err) MUSTER_CHECK;
bool api_list_devices(void *ctx, const struct api_request *request, struct api_answer *answer,
                      struct err *err) MUSTER_CHECK;
bool api_show_device(void *ctx, const struct api_request *request, struct api_answer *answer,
                     struct err *err) MUSTER_CHECK;
/* Adds "apply", "keys" and "packages" to what is shown of a device; null: it told nothing of it. Of
 * what it told before `since_ms` the state is shown, and no text. */
bool api_add_told(struct fleetdb *db, int64_t device, int64_t since_ms, json_t *object,
                  struct err *err) MUSTER_CHECK;
bool api_list_keys(void *ctx, const struct api_request *request, struct api_answer *answer,
                   struct err *err) MUSTER_CHECK;
bool api_enrol_device(void *ctx, const struct api_request *request, struct api_answer *answer,
                      struct err *err) MUSTER_CHECK;
bool api_put_sealing(void *ctx, const struct api_request *request, struct api_answer *answer,
                     struct err *err) MUSTER_CHECK;
bool api_show_sealing(void *ctx, const struct api_request *request, struct api_answer *answer,
                      struct err *err) MUSTER_CHECK;
bool api_show_errors(void *ctx, const struct api_request *request, struct api_answer *answer,
                     struct err *err) MUSTER_CHECK;
bool api_show_rates(void *ctx, const struct api_request *request, struct api_answer *answer,
                    struct err *err) MUSTER_CHECK;
bool api_show_top(void *ctx, const struct api_request *request, struct api_answer *answer,
                  struct err *err) MUSTER_CHECK;
bool api_find(void *ctx, const struct api_request *request, struct api_answer *answer,
              struct err *err) MUSTER_CHECK;
bool api_show_audit(void *ctx, const struct api_request *request, struct api_answer *answer,
                    struct err *err) MUSTER_CHECK;

#endif
