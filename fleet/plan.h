/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FLEET_PLAN_H
#define FLEET_PLAN_H

#include "fleet/director.h"
#include "proto/refusal.h"

/*
 * What an order would do, device by device: it is carried out as the director would and rolled
 * back, and what the device has said tells what would cross the line and what would be refused
 * there.
 */
struct plan_order {
    struct director_order order;
    /* Not published yet: what it would be. Its blobs need not be here; NULL: a published one. */
    const struct fleetdb_document *candidate;
};

struct plan_version {
    bool is; /* else there is none */
    uint64_t epoch, version;
    int mode;
    bool irreversible;
    uint8_t sha256[32];
};

/* How the content would come. */
enum plan_way {
    PLAN_NONE, /* nothing is to come */
    PLAN_HELD, /* the device says that it holds it */
    PLAN_WHOLE,
    PLAN_DELTA, /* from what the device says it holds */
    PLAN_SEALED,
    PLAN_NO_WAY, /* there is content to come, and no encoding that the device could use */
};
const char *plan_way_word(enum plan_way way); /* "none" "held" "whole" "delta" "sealed" "no-way" */

struct plan_device {
    const char *id;
    const char *life; /* "" for a device that is not known */
    bool online;
    int64_t seen_ms;              /* 0: never */
    struct plan_version from, to; /* assigned now, and then */
    uint64_t held_version;        /* as the device says; 0: none */
    bool changed;
    bool deletes; /* the file goes away on the terminal */
    bool behind;  /* of an older epoch: it needs the roots since then first */
    enum plan_way way;
    uint64_t bytes;                         /* of content on the line */
    uint64_t manifest_version;              /* that would be signed; 0: unknown, or none */
    char waits_for[FLEETDB_NAME_CHARS + 1]; /* as director_outcome has it */
    bool refused;           /* by the fleet, or by the terminal when it hears of it */
    bool not_found;         /* because there is no such device or document */
    Muster__Refusal reason; /* by the terminal */
    char why[480];
};

/* False from `each` ends it with its err. What cannot be done for one device is told in it. */
bool plan_each(const struct director *director, const struct plan_order *order,
               const char *const *ids, size_t count, int64_t now_ms,
               bool (*each)(void *ctx, const struct plan_device *device, struct err *err),
               void *ctx, struct err *err) MUSTER_CHECK;

#endif
