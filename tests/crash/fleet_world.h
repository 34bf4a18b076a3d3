/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_CRASH_FLEET_WORLD_H
#define TESTS_CRASH_FLEET_WORLD_H

#include "tests/crash/crash.h"
#include "tests/unit/collector_world.h"

/* The real collector on a fleet database whose power is cut. */
enum { FLEET_WORLD_PATH_BYTES = 128 };

struct fleet_world {
    struct crash *crash;
    struct world world;
    char path[FLEET_WORLD_PATH_BYTES]; /* of the work's database */
    /* The collector's port; `ctx` is this. NULL: what it sends is of no interest. */
    bool (*send)(void *ctx, const char *topic, struct bytes payload);
};

/* Keys for these devices; no database is open yet. */
void fleet_world_begin(struct fleet_world *fleet, struct crash *crash, const char *const *devices,
                       size_t count);
void fleet_world_end(struct fleet_world *fleet);

/* Writes the path of the database in `dir`. */
void fleet_world_path(const char *dir, char ret_path[FLEET_WORLD_PATH_BYTES]);
bool fleet_world_open(struct fleet_world *fleet, const char *path, struct err *err) MUSTER_CHECK;
void fleet_world_must_open(struct fleet_world *fleet, const char *path);
void fleet_world_close(struct fleet_world *fleet);
bool fleet_world_enrol(struct fleet_world *fleet, const char *device, const char *merchant,
                       const char *merchant_name, struct err *err) MUSTER_CHECK;
int64_t fleet_world_now_ms(void *fleet);
/* Or the run ends. */
void fleet_world_must(struct fleet_world *fleet, bool ok, const struct err *err);
/* A breach, unless sums and spans say what the rows say. */
void fleet_world_check_sums(struct fleet_world *fleet);

#endif
