/* SPDX-License-Identifier: Apache-2.0 */
/* Power cuts under retention and under the erasure of a merchant: sums say what whole rows say, the
 * account has every record, nothing comes twice, and what has begun is gone on with to its end. */
#include "base/file.h"
#include "fleet/collector.h"
#include "storage/fleetdb_erase.h"
#include "storage/fleetdb_keeping.h"
#include "storage/fleetdb_labels.h"
#include "storage/fleetdb_places.h"
#include "storage/fleetdb_room.h"
#include "storage/fleetdb_tokens.h"
#include "tests/crash/fleet_world.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STEPS = 40, STEPS_MAX = STEPS + 8, DEVICES = 2, BATCHES = 4, EACH = 24 };
static const int64_t hour_ms = 3600 * 1000;
static const char *const devices[DEVICES] = {"t1", "t2"};
static const char trace[] = "Goldfinch";        /* the merchant of t1 */
static const char stranger[] = "goldfinch-ops"; /* a token that is not its */

struct seed {
    struct fleet_world fleet;
    bool began, began_at[STEPS_MAX]; /* the erasure */
    struct buf batches[DEVICES][BATCHES];
};

static void *begin(struct crash *crash)
{
    struct seed *seed = calloc(1, sizeof *seed);
    if (seed == NULL)
        crash_stop(crash, "no memory");
    fleet_world_begin(&seed->fleet, crash, devices, DEVICES);
    for (size_t i = 0; i < DEVICES; i++)
        for (uint64_t j = 0; j < BATCHES; j++)
            seed->batches[i][j] = world_seal_results(&seed->fleet.world, devices[i], 5,
                                                     1 + j * EACH, (j + 1) * EACH, 0);
    return seed;
}

static void end(struct crash *crash)
{
    struct seed *seed = crash->ctx;
    for (size_t i = 0; i < DEVICES; i++)
        for (size_t j = 0; j < BATCHES; j++)
            buf_done(&seed->batches[i][j]);
    fleet_world_end(&seed->fleet);
    free(seed);
}

static bool enrol(struct seed *seed, size_t i, struct err *err)
{
    return fleet_world_enrol(&seed->fleet, devices[i], i == 0 ? "m" : "n", i == 0 ? trace : "Other",
                             err);
}

static void send_all(struct seed *seed)
{
    for (size_t j = 0; j < BATCHES; j++) {
        for (size_t i = 0; i < DEVICES; i++)
            world_deliver(&seed->fleet.world, TOPIC_UP_BATCH, devices[i],
                          buf_bytes(&seed->batches[i][j]));
        (void)collector_turn(seed->fleet.world.collector);
        seed->fleet.world.now_ms += hour_ms;
    }
}

static bool add_token(struct seed *seed, const char *name, const char *merchant, struct err *err)
{
    const uint8_t sha256[32] = {(uint8_t)strlen(name)};
    const struct fleetdb_token_order order = {.name = name,
                                              .sha256 = sha256,
                                              .scope = merchant != NULL ? FLEETDB_SCOPE_MERCHANT
                                                                        : FLEETDB_SCOPE_FLEET,
                                              .places = &merchant,
                                              .place_count = merchant != NULL};
    return fleetdb_token_add(seed->fleet.world.fleet->db, &order, "uid 0", 1000, err);
}

/* A token of its own and a stranger's have done something; it had another name; its device has a
 * label. */
static bool live(struct seed *seed, struct err *err)
{
    struct fleetdb *db = seed->fleet.world.fleet->db;
    struct fleetdb_device device;
    int64_t store = 0;
    const struct fleetdb_label label = {"shop", trace};
    const struct fleetdb_change change = {.who = "token Goldfinch-desk", .why = "", .now_ms = 1000};
    const struct fleetdb_store next = {.merchant = "m", .merchant_name = "Finch", .store = "s"};
    return add_token(seed, "Goldfinch-desk", "m", err) && add_token(seed, stranger, NULL, err) &&
           fleetdb_audit(db, 1000, "token goldfinch-ops", "assign", 0, "bins", err) &&
           fleetdb_audit(db, 1000, change.who, "assign", 0, "for GoldFinch", err) &&
           fleetdb_device_find(db, "t1", &device, err) &&
           fleetdb_label_put(db, device.device, &label, err) &&
           fleetdb_store_put(db, &next, &change, &store, err);
}

static void make(struct crash *crash, const char *dir)
{
    struct seed *seed = crash->ctx;
    struct err err = {0};
    char path[FLEET_WORLD_PATH_BYTES];
    fleet_world_path(dir, path);
    fleet_world_must_open(&seed->fleet, path);
    for (size_t i = 0; i < DEVICES; i++)
        fleet_world_must(&seed->fleet, enrol(seed, i, &err), &err);
    fleet_world_must(&seed->fleet, live(seed, &err), &err);
    send_all(seed);
    fleet_world_close(&seed->fleet);
}

/* ---- the work ---- */

static void age(struct seed *seed)
{
    struct crash *crash = seed->fleet.crash;
    const int64_t before_ms = WORLD_WALL_MS + hour_ms / 2 + crash_draw(crash, BATCHES) * hour_ms;
    const struct fleetdb_ageing ageing = {
        .before_ms = before_ms, .open_before_ms = before_ms, .rows = 1 + crash_draw(crash, EACH)};
    const enum fleetdb_kept kept =
        crash_draw(crash, 4) == 0 ? FLEETDB_KEPT_SUMS_MINUTE : FLEETDB_KEPT_RESULTS;
    struct err err = {0};
    int64_t after = 0;
    uint64_t removed = 0;
    bool more = false;
    fleet_world_must(
        &seed->fleet,
        fleetdb_age(seed->fleet.world.fleet->db, kept, &ageing, &after, &removed, &more, &err),
        &err);
}

static void give_back(struct seed *seed)
{
    struct err err = {0};
    int64_t bytes = 0;
    bool more = false;
    fleet_world_must(
        &seed->fleet,
        fleetdb_room_give_back(seed->fleet.world.fleet->db, 0, 16384, &bytes, &more, &err) &&
            fleetdb_room_checkpoint(seed->fleet.world.fleet->db, false, &err),
        &err);
}

static bool begin_erasure(struct seed *seed, struct err *err)
{
    const struct fleetdb_erase_order order = {.merchant = "m", .who = "uid 0", .force = true};
    struct fleetdb_erasure erasure;
    return fleetdb_erase_begin(seed->fleet.world.fleet->db, &order,
                               fleet_world_now_ms(&seed->fleet), &erasure, err);
}

static void erase(struct seed *seed)
{
    struct err err = {0};
    bool ok = seed->began ? fleetdb_erase_step(seed->fleet.world.fleet->db,
                                               1 + crash_draw(seed->fleet.crash, 2 * EACH),
                                               fleet_world_now_ms(&seed->fleet), &err)
                          : begin_erasure(seed, &err);
    fleet_world_must(&seed->fleet, ok, &err);
    seed->began = true;
}

static void reopen(struct seed *seed)
{
    fleet_world_close(&seed->fleet);
    fleet_world_must_open(&seed->fleet, seed->fleet.path);
}

enum { REOPEN = 9 };
static void step(struct crash *crash)
{
    struct seed *seed = crash->ctx;
    const unsigned drawn = crash_draw(crash, 10);
    crash->log.step++;
    const unsigned what = crash->log.step == 1 ? REOPEN : drawn;
    if (what < 3)
        age(seed);
    else if (what < 5)
        give_back(seed);
    else if (what < REOPEN)
        erase(seed);
    else
        reopen(seed);
    seed->began_at[crash->log.step] = seed->began;
}

static void work(struct crash *crash, const char *dir)
{
    struct seed *seed = crash->ctx;
    struct err err = {0};
    fleet_world_path(dir, seed->fleet.path);
    crash->log.step = 0;
    fleet_world_must_open(&seed->fleet, seed->fleet.path);
    if (crash->seed % 4 == 0 && crash->round == 0) { /* nothing was made */
        for (size_t i = 0; i < DEVICES; i++)
            (void)!enrol(seed, i, &err);
        send_all(seed);
    }
    while (crash->log.step < STEPS)
        step(crash);
}

static void drop(struct crash *crash)
{
    struct seed *seed = crash->ctx;
    fleet_world_close(&seed->fleet);
}

/* ---- what a cut has left ---- */

static void check_account(struct seed *seed)
{
    for (size_t i = 0; i < DEVICES; i++) {
        struct fleetdb_device device;
        struct fleetdb_account lanes[FLEETDB_LANES];
        struct err err = {0};
        if (!fleetdb_device_find(seed->fleet.world.fleet->db, devices[i], &device, &err) ||
            !fleetdb_account_of(seed->fleet.world.fleet->db, device.device, true, lanes, &err))
            crash_lost(seed->fleet.crash, "%s: %s", devices[i], err.text);
        else if (lanes[0].unaccounted > 0 || lanes[0].committed != (uint64_t)BATCHES * EACH)
            crash_lost(seed->fleet.crash, "%s: %llu committed, %llu nowhere", devices[i],
                       (unsigned long long)lanes[0].committed,
                       (unsigned long long)lanes[0].unaccounted);
    }
}

static int64_t number(struct seed *seed, const char *path, const char *sql)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *statement = NULL;
    int64_t value = -1;
    if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL) != SQLITE_OK ||
        sqlite3_prepare_v2(db, sql, -1, &statement, NULL) != SQLITE_OK ||
        sqlite3_step(statement) != SQLITE_ROW)
        crash_corrupt(seed->fleet.crash, "%s: %s", sql, sqlite3_errmsg(db));
    else
        value = sqlite3_column_int64(statement, 0);
    (void)sqlite3_finalize(statement);
    (void)sqlite3_close(db);
    return value;
}

static void check_again(struct seed *seed, const char *path)
{
    const int64_t before = number(seed, path, "SELECT count(*) FROM result");
    send_all(seed);
    const int64_t after = number(seed, path, "SELECT count(*) FROM result");
    if (after != before)
        crash_doubled(seed->fleet.crash, "%lld results came again as new ones",
                      (long long)(after - before));
    fleet_world_check_sums(&seed->fleet);
}

static void check_bytes(struct seed *seed, const char *path)
{
    struct buf file = {0};
    struct err err = {0};
    if (!file_read(path, 64 * 1024 * 1024, &file, &err))
        crash_corrupt(seed->fleet.crash, "%s", err.text);
    else if (memmem(file.data, file.length, trace, sizeof trace - 1) != NULL)
        crash_corrupt(seed->fleet.crash, "what was erased is still in the file");
    buf_done(&file);
}

static void check_to_the_end(struct seed *seed, const char *path)
{
    struct err err = {0};
    bool ok = number(seed, path, "SELECT count(*) FROM erasure") > 0 || begin_erasure(seed, &err);
    for (int steps = 0; ok && fleetdb_erasing(seed->fleet.world.fleet->db); steps++)
        ok = steps < 1000 && fleetdb_erase_step(seed->fleet.world.fleet->db, EACH,
                                                fleet_world_now_ms(&seed->fleet), &err);
    if (!ok) {
        crash_corrupt(seed->fleet.crash, "the erasure does not come to its end: %s", err.text);
        return;
    }
    if (number(seed, path,
               "SELECT count(*) FROM result r JOIN device d ON d.id = r.device"
               " WHERE d.name = 't1'") != 0)
        crash_corrupt(seed->fleet.crash, "some of its results are left");
    if (number(seed, path, "SELECT count(*) FROM audit WHERE text = 'for GoldFinch'") != 0)
        crash_corrupt(seed->fleet.crash, "a text in another case is left");
    if (number(seed, path, "SELECT count(*) FROM token WHERE name = 'goldfinch-ops'") !=
        number(seed, path, "SELECT count(*) FROM audit WHERE who = 'token goldfinch-ops'"))
        crash_corrupt(seed->fleet.crash, "what a stranger has done is not his any more");
    fleet_world_check_sums(&seed->fleet);
    check_account(seed);
    check_bytes(seed, path);
}

static void check(struct crash *crash, const char *dir, unsigned step, bool done)
{
    struct seed *seed = crash->ctx;
    const int64_t now_ms = seed->fleet.world.now_ms;
    const bool began = step > 0 && seed->began_at[done ? step : step - 1];
    char path[FLEET_WORLD_PATH_BYTES];
    struct err err = {0};
    fleet_world_path(dir, path);
    if (step == 0 && !done) /* it was being made */
        return;
    if (!fleet_world_open(&seed->fleet, path, &err)) {
        crash_corrupt(crash, "does not open: %s", err.text);
    } else {
        fleet_world_check_sums(&seed->fleet);
        check_account(seed);
        if (began && number(seed, path, "SELECT count(*) FROM erasure") != 1)
            crash_lost(crash, "an erasure that had begun is not known");
        if (crash->thorough) {
            check_again(seed, path);
            check_to_the_end(seed, path);
        }
    }
    fleet_world_close(&seed->fleet);
    seed->fleet.world.now_ms = now_ms;
}

int main(int argc, char **argv)
{
    const struct crash_part part = {
        .name = "keeping",
        .images = 1500,
        .images_full = 20000,
        .kinds = 1u << DISK_WRITE | 1u << DISK_SYNC | 1u << DISK_TRUNCATE,
        .rounds = 1,
        .begin = begin,
        .make = make,
        .work = work,
        .drop = drop,
        .check = check,
        .end = end,
    };
    return crash_main(&part, argc, argv);
}
