/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/crash/fleet_world.h"

#include "fleet/collector.h"
#include "storage/fleetdb_rollups.h"
#include "storage/fleetdb_spans.h"

#include <stdio.h>

int64_t fleet_world_now_ms(void *ctx)
{
    const struct fleet_world *fleet = ctx;
    return WORLD_WALL_MS + fleet->world.now_ms;
}

void fleet_world_must(struct fleet_world *fleet, bool ok, const struct err *err)
{
    if (!ok)
        crash_stop(fleet->crash, "%s", err->text);
}

void fleet_world_begin(struct fleet_world *fleet, struct crash *crash, const char *const *devices,
                       size_t count)
{
    void *temp = NULL;
    if (temp_fleet_open(&temp) != 0)
        crash_stop(crash, "no memory");
    fleet->crash = crash;
    fleet->world.fleet = temp;
    fleet->world.clock = (struct clock){fleet_world_now_ms, fleet_world_now_ms, fleet};
    for (size_t i = 0; i < count; i++) /* makes its key; the database is not the one at hand */
        (void)temp_fleet_device(temp, devices[i]);
    fleet->world.t1_key = world_key(&fleet->world, "t1");
    fleetdb_close(fleet->world.fleet->db);
    fleet->world.fleet->db = NULL;
}

void fleet_world_end(struct fleet_world *fleet)
{
    void *temp = fleet->world.fleet;
    sign_key_free(fleet->world.t1_key);
    if (temp_fleet_close(&temp) != 0)
        crash_stop(fleet->crash, "the keys stay");
}

void fleet_world_path(const char *dir, char ret_path[FLEET_WORLD_PATH_BYTES])
{
    (void)snprintf(ret_path, FLEET_WORLD_PATH_BYTES, "%s/fleet.db", dir);
}

/* ---- the collector's ports ---- */

static bool send_nowhere(void *ctx, const char *topic, struct bytes payload)
{
    (void)ctx;
    (void)topic;
    (void)payload;
    return true;
}

static void no_hello(void *ctx, const struct fleetdb_device *device, const Muster__Hello *hello,
                     struct wants *ret_wants, struct buf *ret_manifest)
{
    (void)ctx;
    (void)device;
    (void)hello;
    (void)ret_wants;
    (void)ret_manifest;
}

static void failed(void *ctx, const struct err *why)
{
    const struct fleet_world *fleet = ctx;
    crash_corrupt(fleet->crash, "the collector gave up: %s", why->text);
}

bool fleet_world_open(struct fleet_world *fleet, const char *path, struct err *err)
{
    struct world *world = &fleet->world;
    if (!fleetdb_open(path, &world->fleet->db, err))
        return false;
    const struct collector_settings settings = {
        .db = world->fleet->db,
        .clock = &world->clock,
        .metrics = &world->metrics,
        .receipt_key = world->fleet->root_key,
        .director_key = world->fleet->director_key,
        .receipts = {.coalesce_ms = 200, .batches = 3},
    };
    const struct collector_ports ports = {
        .ctx = fleet,
        .send = fleet->send != NULL ? fleet->send : send_nowhere,
        .hello = no_hello,
        .failed = failed,
    };
    return collector_open(&settings, &ports, &world->collector, err);
}

void fleet_world_must_open(struct fleet_world *fleet, const char *path)
{
    struct err err = {0};
    fleet_world_must(fleet, fleet_world_open(fleet, path, &err), &err);
}

void fleet_world_close(struct fleet_world *fleet)
{
    collector_close(fleet->world.collector);
    fleet->world.collector = NULL;
    fleetdb_close(fleet->world.fleet->db);
    fleet->world.fleet->db = NULL;
}

bool fleet_world_enrol(struct fleet_world *fleet, const char *device, const char *merchant,
                       const char *merchant_name, struct err *err)
{
    int64_t row = 0;
    struct sign_key *key = world_key(&fleet->world, device);
    const struct fleetdb_enrolment enrolment = {
        .id = device,
        .serial = device,
        .model = "M1",
        .agent_key = sign_key_spki(key),
        .merchant_id = merchant,
        .merchant_name = merchant_name,
        .store_id = "s",
        .store_name = "Store",
        .region = "",
    };
    bool ok = fleetdb_enrol(fleet->world.fleet->db, &enrolment, 1000, &row, err);
    sign_key_free(key);
    return ok;
}

void fleet_world_check_sums(struct fleet_world *fleet)
{
    char text[120] = "";
    uint64_t wrong = 0;
    struct err err = {0};
    if (!fleetdb_rollups_check(fleet->world.fleet->db, &wrong, text, sizeof text, &err))
        crash_corrupt(fleet->crash, "the sums: %s", err.text);
    else if (wrong > 0)
        crash_corrupt(fleet->crash, "%s", text);
    if (!fleetdb_spans_check(fleet->world.fleet->db, &wrong, &err))
        crash_corrupt(fleet->crash, "the spans: %s", err.text);
    else if (wrong > 0)
        crash_corrupt(fleet->crash, "%llu results or spans are wrong", (unsigned long long)wrong);
}
