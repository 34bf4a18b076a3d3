/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_FUZZ_FLEET_WORLD_H
#define TESTS_FUZZ_FLEET_WORLD_H

#include "fleet/publisher.h"
#include "tests/fuzz/world.h"

/* A fleet as musterd has it open, the same at each opening: the devices t-00, t-01 and so on, each
 * with a key of its own, and the document aid.tsv, which is assigned to all of them. To open it
 * costs more than most inputs: each of them has a device of its own, and after the last device the
 * world is to be made anew. */
enum { FLEET_DEVICES = 64 };
#define FLEET_NOW_MS INT64_C(1790000000000)

struct fleet_world {
    struct fleetdb *db;
    struct director director;
    struct publisher *publisher;
    struct metrics *metrics; /* zeroed at each opening */
};

/* Makes the directory anew. */
void fleet_world_open(struct fleet_world *world);
void fleet_world_close(struct fleet_world *world);
/* The device's id, and the Envelope of `body` under its key; the caller calls buf_done. */
const char *fleet_world_device(unsigned device);
struct buf fleet_world_seal(unsigned device, const char *domain, struct bytes body);

#endif
