/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/renewal.h"

#include "fleet/document.h"
#include "tests/unit/temp_rooted.h"
#include "tests/unit/testing.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DEVICES = 10 };

/* A fleet whose devices have a manifest of root 1, and a clock that stands. */
struct world {
    struct temp_rooted *rooted;
    struct trust *trust;
    struct director director;
    struct clock clock;
    int64_t boot_ms;
    struct renewal renewal;
    size_t renewed;
    char last[33];
};

static int64_t wall_of(void *ctx)
{
    return 1000000 + ((struct world *)ctx)->boot_ms;
}

static int64_t boot_of(void *ctx)
{
    return ((struct world *)ctx)->boot_ms;
}

static void publish(struct world *world, uint64_t version, uint64_t epoch)
{
    const struct temp_document document = {
        .name = "bins", .text = "one", .version = version, .epoch = epoch};
    struct fleetdb_encoding encoding = {.coding = MUSTER__CONTENT_CODING__CONTENT_ZSTD};
    struct err err = {0};
    struct buf header =
        temp_fleet_header(&document, world->rooted->roots->keys[MUSTER__ROLE__ROLE_RELEASE][0]);
    temp_fleet_upload(world->rooted->fleet, document.text, encoding.blob);
    if (!temp_fleet_take(world->rooted->fleet, world->trust, buf_bytes(&header), &encoding, 1,
                         &err))
        fail_msg("%s", err.text);
    buf_done(&header);
}

static void add_devices(struct world *world)
{
    const struct director_order order = {.document = "bins", .mode = 2};
    for (int i = 0; i < DEVICES; i++) {
        struct director_outcome outcome;
        char id[33];
        const char *const ids[] = {id};
        (void)snprintf(id, sizeof id, "term-%02d", i);
        temp_fleet_device(world->rooted->fleet, id);
        assert_true(director_assign(&world->director, &order, ids, 1, 3000, &outcome, NULL));
    }
}

static int open_world(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    void *rooted = *state;
    assert_non_null(world);
    assert_int_equal(temp_rooted_open(&rooted), 0);
    world->rooted = rooted;
    world->trust = temp_root_trust(world->rooted->roots, &(struct temp_root){.version = 1});
    world->director =
        (struct director){.db = world->rooted->fleet->db,
                          .key = world->rooted->roots->keys[MUSTER__ROLE__ROLE_DIRECTOR][0],
                          .trust = world->trust};
    world->clock = (struct clock){.wall_ms = wall_of, .boot_ms = boot_of, .ctx = world};
    world->renewal = (struct renewal){.director = &world->director, .clock = &world->clock};
    world->boot_ms = 5000;
    publish(world, 1, 1);
    add_devices(world);
    *state = world;
    return 0;
}

static int close_world(void **state)
{
    struct world *world = *state;
    void *rooted = world->rooted;
    trust_free(world->trust);
    (void)temp_rooted_close(&rooted);
    free(world);
    return 0;
}

static void next_root(struct world *world, const struct temp_root *root)
{
    struct buf sealed = {0};
    struct err err = {0};
    temp_root_seal(world->rooted->roots, root, &sealed);
    if (!trust_advance(world->trust, buf_bytes(&sealed), &err))
        fail_msg("%s", err.text);
    buf_done(&sealed);
}

/* Beside the open database, as an operator's mishap or a sick disk would. */
static void spoil(const struct world *world, const char *sql)
{
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(world->rooted->settings.database, &db), SQLITE_OK);
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
        fail_msg("%s: %s", sql, sqlite3_errmsg(db));
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void on_renewed(void *ctx, const struct fleetdb_device *device)
{
    struct world *world = ctx;
    world->renewed++;
    (void)snprintf(world->last, sizeof world->last, "%s", device->id);
}

static int64_t step(struct world *world)
{
    return renewal_step(&world->renewal, on_renewed, world);
}

/* To its end, in more than one turn; what it wants then. */
static int64_t walk(struct world *world)
{
    int64_t wait_ms = step(world);
    assert_int_equal(wait_ms, 0);
    for (int turns = 0; wait_ms == 0; turns++) {
        assert_true(turns < DEVICES);
        wait_ms = step(world);
    }
    return wait_ms;
}

static int64_t behind(const struct world *world)
{
    int64_t count = -1;
    assert_true(
        fleetdb_manifests_behind(world->director.db, trust_version(world->trust), &count, NULL));
    return count;
}

static void every_manifest_follows_the_root(void **state)
{
    struct world *world = *state;
    assert_int_equal(step(world), -1);
    next_root(world, &(struct temp_root){.version = 2, .director = 1});
    world->director.key = world->rooted->roots->keys[MUSTER__ROLE__ROLE_DIRECTOR][1];
    assert_int_equal(behind(world), DEVICES);
    renewal_begin(&world->renewal);
    assert_int_equal(walk(world), -1);
    assert_int_equal(world->renewed, DEVICES);
    assert_string_equal(world->last, "term-09");
    assert_int_equal(behind(world), 0);
    assert_int_equal(world->renewal.failed.devices, 0);
    assert_int_equal(renewal_next_ms(&world->renewal), 0);
    struct fleetdb_device device;
    struct fleetdb_manifest manifest;
    struct buf envelope = {0};
    struct bytes body;
    assert_true(fleetdb_device_find(world->director.db, "term-07", &device, NULL));
    assert_true(
        fleetdb_manifest_get(world->director.db, device.device, &manifest, &envelope, NULL));
    assert_int_equal(manifest.version, 2);
    assert_true(unseal("manifest", "term-07", buf_bytes(&envelope),
                       trust_keys(world->trust, MUSTER__ROLE__ROLE_DIRECTOR), &body, NULL));
    buf_done(&envelope);
}

static void a_restart_goes_on_where_it_stopped(void **state)
{
    struct world *world = *state;
    next_root(world, &(struct temp_root){.version = 2});
    renewal_begin(&world->renewal);
    assert_int_equal(step(world), 0);
    size_t done = world->renewed;
    assert_in_range(done, 1, DEVICES - 1);
    world->renewal = (struct renewal){.director = &world->director, .clock = &world->clock};
    renewal_begin(&world->renewal);
    assert_int_equal(step(world), -1);
    assert_int_equal(world->renewed, DEVICES);
    assert_int_equal(behind(world), 0);
}

/* In a new epoch: the old manifest stays until what it names is signed again, then follows. */
static void it_waits_for_documents(void **state)
{
    struct world *world = *state;
    next_root(world, &(struct temp_root){.version = 2, .epoch = 2});
    renewal_begin(&world->renewal);
    assert_int_equal(walk(world), -1);
    assert_int_equal(world->renewed, 0);
    assert_int_equal(world->renewal.waiting, DEVICES);
    assert_string_equal(world->renewal.document, "bins");
    assert_int_equal(world->renewal.failures_total, 0);
    publish(world, 1, 2);
    renewal_begin(&world->renewal);
    assert_int_equal(walk(world), -1);
    assert_int_equal(world->renewed, DEVICES);
    assert_int_equal(world->renewal.waiting, 0);
    assert_int_equal(behind(world), 0);
}

static const char one_fails[] =
    "CREATE TRIGGER sick BEFORE UPDATE ON manifest WHEN old.device = (SELECT id FROM device"
    " WHERE name = 'term-03') BEGIN SELECT RAISE(FAIL, 'a bad sector'); END";

static void who_fails_keeps_nobody_waiting_and_is_tried_again(void **state)
{
    struct world *world = *state;
    spoil(world, one_fails);
    next_root(world, &(struct temp_root){.version = 2});
    renewal_begin(&world->renewal);
    assert_int_equal(walk(world), 2000);
    assert_int_equal(world->renewed, DEVICES - 1);
    assert_int_equal(behind(world), 1);
    assert_int_equal(world->renewal.failed.devices, 1);
    assert_non_null(strstr(world->renewal.failed.why, "term-03: "));
    assert_non_null(strstr(world->renewal.failed.why, "a bad sector"));
    assert_int_equal(renewal_next_ms(&world->renewal), wall_of(world) + 2000);
    world->boot_ms += 1999;
    assert_int_equal(step(world), 1);
    world->boot_ms += 1;
    assert_int_equal(step(world), 4000);
    assert_int_equal(world->renewal.failures_total, 2);
    spoil(world, "DROP TRIGGER sick");
    world->boot_ms += 4000;
    assert_int_equal(step(world), -1);
    assert_int_equal(behind(world), 0);
    assert_int_equal(world->renewal.failed.devices, 0);
    assert_string_equal(world->renewal.failed.why, "");
    assert_string_equal(world->last, "term-03");
    assert_int_equal(renewal_next_ms(&world->renewal), 0);
}

static void waits_grow_to_five_minutes_and_start_small_again(void **state)
{
    struct world *world = *state;
    static const int64_t waits_ms[] = {2000,  4000,   8000,   16000,  32000,
                                       64000, 128000, 256000, 300000, 300000};
    spoil(world, one_fails);
    next_root(world, &(struct temp_root){.version = 2});
    renewal_begin(&world->renewal);
    assert_int_equal(walk(world), waits_ms[0]);
    for (size_t i = 1; i < sizeof waits_ms / sizeof *waits_ms; i++) {
        world->boot_ms += waits_ms[i - 1];
        assert_int_equal(step(world), waits_ms[i]);
    }
    /* What was published meanwhile is a reason to try at once. */
    renewal_begin(&world->renewal);
    assert_int_equal(step(world), 300000);
    spoil(world, "DROP TRIGGER sick");
    world->boot_ms += 300000;
    assert_int_equal(step(world), -1);
    spoil(world, one_fails);
    next_root(world, &(struct temp_root){.version = 3});
    renewal_begin(&world->renewal);
    assert_int_equal(walk(world), 2000);
}

static void a_database_that_cannot_be_read_is_told_and_outlasted(void **state)
{
    struct world *world = *state;
    next_root(world, &(struct temp_root){.version = 2});
    spoil(world, "ALTER TABLE manifest RENAME TO gone");
    renewal_begin(&world->renewal);
    assert_int_equal(step(world), 2000);
    assert_int_equal(world->renewal.failed.devices, -1);
    assert_non_null(strstr(world->renewal.failed.why, "manifest"));
    spoil(world, "ALTER TABLE gone RENAME TO manifest");
    world->boot_ms += 2000;
    assert_int_equal(walk(world), -1);
    assert_int_equal(world->renewed, DEVICES);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_world, close_world)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_manifest_follows_the_root),
        TEST(a_restart_goes_on_where_it_stopped),
        TEST(it_waits_for_documents),
        TEST(who_fails_keeps_nobody_waiting_and_is_tried_again),
        TEST(waits_grow_to_five_minutes_and_start_small_again),
        TEST(a_database_that_cannot_be_read_is_told_and_outlasted),
    };
    return cmocka_run_group_tests(tests, temp_roots_open, temp_roots_close);
}
