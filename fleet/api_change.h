/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FLEET_API_CHANGE_H
#define FLEET_API_CHANGE_H

#include "fleet/api_fleet.h"
#include "storage/fleetdb_standing.h"

/*
 * A change that somebody asks for, with its audit row, in one transaction: all of it or none. With
 * "dry_run" in the body it goes all the way, and back; "why" says why. The answer tells whether
 * anything "changed"; of a device also its "id", its "duties", and "dry_run".
 */
struct api_change {
    struct fleetdb *db;
    const json_t *object; /* the body */
    const struct api_caller *caller;
    struct fleetdb_device device; /* its row is 0: it is about none */
    struct fleetdb_change by;
    const char *what; /* for the audit; NULL: it has been told */
    char text[320];
    json_t *answer; /* an object */
};

/* A handler; `ctx`: struct api_fleet. `act` changes, adds to the answer, and says what for the
 * audit. */
bool api_change(void *ctx, const struct api_request *request, struct api_answer *answer,
                bool (*act)(struct api_change *change, struct err *err),
                struct err *err) MUSTER_CHECK;
/* The same with the device that the path names. */
bool api_change_device(void *ctx, const struct api_request *request, struct api_answer *answer,
                       bool (*act)(struct api_change *change, struct err *err),
                       struct err *err) MUSTER_CHECK;

#endif
