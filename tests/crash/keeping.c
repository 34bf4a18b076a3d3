/* SPDX-License-Identifier: Apache-2.0 */
/* Power cuts under retention and under the erasure of a merchant: sums say what whole rows say, the
 * account has every record, nothing comes twice, and what has begun is gone on with to its end. */
#include "base/file.h"
#include "fleet/collector.h"
#include "storage/fleetdb_erase.h"
#include "storage/fleetdb_keeping.h"
#include "storage/fleetdb_rollups.h"
#include "storage/fleetdb_room.h"
#include "storage/fleetdb_spans.h"
#include "tests/crash/crash.h"
#include "tests/unit/collector_world.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STEPS = 40, STEPS_MAX = STEPS + 8, DEVICES = 2, BATCHES = 4, EACH = 24, PATH_BYTES = 128 };
static const int64_t hour_ms = 3600 * 1000;
static const char *const devices[DEVICES] = {"t1", "t2"};
static const char trace[] = "Goldfinch"; /* the merchant of t1 */

struct seed {
    struct world world;
    struct crash *crash;
    char path[PATH_BYTES];
    bool began, began_at[STEPS_MAX]; /* the erasure */
    struct buf batches[DEVICES][BATCHES];
};

static int64_t no_wall(void *ctx)
{
    return WORLD_WALL_MS + ((const struct seed *)ctx)->world.now_ms;
}

static void must(struct crash *crash, bool ok, const struct err *err)
{
    if (!ok)
        crash_stop(crash, "%s", err->text);
}

/* ---- a fleet ---- */

static bool send(void *ctx, const char *topic, struct bytes payload)
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
    crash_corrupt(((struct seed *)ctx)->crash, "the collector gave up: %s", why->text);
}

static bool open_fleet(struct seed *seed, const char *path, struct err *err)
{
    struct world *world = &seed->world;
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
        .ctx = seed, .send = send, .hello = no_hello, .failed = failed};
    return collector_open(&settings, &ports, &world->collector, err);
}

static void close_fleet(struct seed *seed)
{
    collector_close(seed->world.collector);
    seed->world.collector = NULL;
    fleetdb_close(seed->world.fleet->db);
    seed->world.fleet->db = NULL;
}

static void *begin(struct crash *crash)
{
    struct seed *seed = calloc(1, sizeof *seed);
    void *fleet = NULL;
    if (seed == NULL || temp_fleet_open(&fleet) != 0)
        crash_stop(crash, "no memory");
    seed->crash = crash;
    seed->world.fleet = fleet;
    seed->world.clock = (struct clock){no_wall, no_wall, seed};
    for (size_t i = 0; i < DEVICES; i++) /* makes its key; the database is not the one at hand */
        (void)temp_fleet_device(fleet, devices[i]);
    seed->world.t1_key = world_key(&seed->world, "t1");
    fleetdb_close(seed->world.fleet->db);
    seed->world.fleet->db = NULL;
    for (size_t i = 0; i < DEVICES; i++)
        for (uint64_t j = 0; j < BATCHES; j++)
            seed->batches[i][j] =
                world_seal_results(&seed->world, devices[i], 5, 1 + j * EACH, (j + 1) * EACH, 0);
    return seed;
}

static void end(struct crash *crash)
{
    struct seed *seed = crash->ctx;
    void *fleet = seed->world.fleet;
    for (size_t i = 0; i < DEVICES; i++)
        for (size_t j = 0; j < BATCHES; j++)
            buf_done(&seed->batches[i][j]);
    sign_key_free(seed->world.t1_key);
    if (temp_fleet_close(&fleet) != 0)
        crash_stop(crash, "the keys stay");
    free(seed);
}

static bool enrol(struct seed *seed, size_t i, struct err *err)
{
    int64_t device = 0;
    struct sign_key *key = world_key(&seed->world, devices[i]);
    const struct fleetdb_enrolment enrolment = {
        .id = devices[i],
        .serial = devices[i],
        .model = "M1",
        .agent_key = sign_key_spki(key),
        .merchant_id = i == 0 ? "m" : "n",
        .merchant_name = i == 0 ? trace : "Other",
        .store_id = "s",
        .store_name = "Store",
        .region = "",
    };
    bool ok = fleetdb_enrol(seed->world.fleet->db, &enrolment, 1000, &device, err);
    sign_key_free(key);
    return ok;
}

static void send_all(struct seed *seed)
{
    for (size_t j = 0; j < BATCHES; j++) {
        for (size_t i = 0; i < DEVICES; i++)
            world_deliver(&seed->world, TOPIC_UP_BATCH, devices[i],
                          buf_bytes(&seed->batches[i][j]));
        (void)collector_turn(seed->world.collector);
        seed->world.now_ms += hour_ms;
    }
}

static void make(struct crash *crash, const char *dir)
{
    struct seed *seed = crash->ctx;
    struct err err = {0};
    char path[PATH_BYTES];
    (void)snprintf(path, sizeof path, "%s/fleet.db", dir);
    must(crash, open_fleet(seed, path, &err), &err);
    for (size_t i = 0; i < DEVICES; i++)
        must(crash, enrol(seed, i, &err), &err);
    send_all(seed);
    close_fleet(seed);
}

/* ---- the work ---- */

static void age(struct seed *seed)
{
    struct crash *crash = seed->crash;
    const int64_t before_ms = WORLD_WALL_MS + hour_ms / 2 + crash_draw(crash, BATCHES) * hour_ms;
    const struct fleetdb_ageing ageing = {
        .before_ms = before_ms, .open_before_ms = before_ms, .rows = 1 + crash_draw(crash, EACH)};
    const enum fleetdb_kept kept =
        crash_draw(crash, 4) == 0 ? FLEETDB_KEPT_SUMS_MINUTE : FLEETDB_KEPT_RESULTS;
    struct err err = {0};
    int64_t after = 0;
    uint64_t removed = 0;
    bool more = false;
    must(crash, fleetdb_age(seed->world.fleet->db, kept, &ageing, &after, &removed, &more, &err),
         &err);
}

static void give_back(struct seed *seed)
{
    struct err err = {0};
    int64_t bytes = 0;
    bool more = false;
    must(seed->crash,
         fleetdb_room_give_back(seed->world.fleet->db, 0, 16384, &bytes, &more, &err) &&
             fleetdb_room_checkpoint(seed->world.fleet->db, false, &err),
         &err);
}

static bool begin_erasure(struct seed *seed, struct err *err)
{
    const struct fleetdb_erase_order order = {.merchant = "m", .who = "uid 0", .force = true};
    struct fleetdb_erasure erasure;
    return fleetdb_erase_begin(seed->world.fleet->db, &order, no_wall(seed), &erasure, err);
}

static void erase(struct seed *seed)
{
    struct err err = {0};
    bool ok = seed->began
                  ? fleetdb_erase_step(seed->world.fleet->db, 1 + crash_draw(seed->crash, 2 * EACH),
                                       no_wall(seed), &err)
                  : begin_erasure(seed, &err);
    must(seed->crash, ok, &err);
    seed->began = true;
}

static void reopen(struct seed *seed)
{
    struct err err = {0};
    close_fleet(seed);
    must(seed->crash, open_fleet(seed, seed->path, &err), &err);
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
    (void)snprintf(seed->path, sizeof seed->path, "%s/fleet.db", dir);
    crash->log.step = 0;
    must(crash, open_fleet(seed, seed->path, &err), &err);
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
    close_fleet(crash->ctx);
}

/* ---- what a cut has left ---- */

static void check_sums(struct seed *seed)
{
    char text[120] = "";
    uint64_t wrong = 0;
    struct err err = {0};
    if (!fleetdb_rollups_check(seed->world.fleet->db, &wrong, text, sizeof text, &err))
        crash_corrupt(seed->crash, "the sums: %s", err.text);
    else if (wrong > 0)
        crash_corrupt(seed->crash, "%s", text);
    if (!fleetdb_spans_check(seed->world.fleet->db, &wrong, &err))
        crash_corrupt(seed->crash, "the spans: %s", err.text);
    else if (wrong > 0)
        crash_corrupt(seed->crash, "%llu results or spans are wrong", (unsigned long long)wrong);
}

static void check_account(struct seed *seed)
{
    for (size_t i = 0; i < DEVICES; i++) {
        struct fleetdb_device device;
        struct fleetdb_account lanes[FLEETDB_LANES];
        struct err err = {0};
        if (!fleetdb_device_find(seed->world.fleet->db, devices[i], &device, &err) ||
            !fleetdb_account_of(seed->world.fleet->db, device.device, true, lanes, &err))
            crash_lost(seed->crash, "%s: %s", devices[i], err.text);
        else if (lanes[0].unaccounted > 0 || lanes[0].committed != (uint64_t)BATCHES * EACH)
            crash_lost(seed->crash, "%s: %llu committed, %llu nowhere", devices[i],
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
        crash_corrupt(seed->crash, "%s: %s", sql, sqlite3_errmsg(db));
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
        crash_doubled(seed->crash, "%lld results came again as new ones",
                      (long long)(after - before));
    check_sums(seed);
}

static void check_bytes(struct seed *seed, const char *path)
{
    struct buf file = {0};
    struct err err = {0};
    if (!file_read(path, 64 * 1024 * 1024, &file, &err))
        crash_corrupt(seed->crash, "%s", err.text);
    else if (memmem(file.data, file.length, trace, sizeof trace - 1) != NULL)
        crash_corrupt(seed->crash, "what was erased is still in the file");
    buf_done(&file);
}

static void check_to_the_end(struct seed *seed, const char *path)
{
    struct err err = {0};
    bool ok = number(seed, path, "SELECT count(*) FROM erasure") > 0 || begin_erasure(seed, &err);
    for (int steps = 0; ok && fleetdb_erasing(seed->world.fleet->db); steps++)
        ok = steps < 1000 && fleetdb_erase_step(seed->world.fleet->db, EACH, no_wall(seed), &err);
    if (!ok) {
        crash_corrupt(seed->crash, "the erasure does not come to its end: %s", err.text);
        return;
    }
    if (number(seed, path,
               "SELECT count(*) FROM result r JOIN device d ON d.id = r.device"
               " WHERE d.name = 't1'") != 0)
        crash_corrupt(seed->crash, "some of its results are left");
    check_sums(seed);
    check_account(seed);
    check_bytes(seed, path);
}

static void check(struct crash *crash, const char *dir, unsigned step, bool done)
{
    struct seed *seed = crash->ctx;
    const int64_t now_ms = seed->world.now_ms;
    const bool began = step > 0 && seed->began_at[done ? step : step - 1];
    char path[PATH_BYTES];
    struct err err = {0};
    (void)snprintf(path, sizeof path, "%s/fleet.db", dir);
    if (step == 0 && !done) /* it was being made */
        return;
    if (!open_fleet(seed, path, &err)) {
        crash_corrupt(crash, "does not open: %s", err.text);
    } else {
        check_sums(seed);
        check_account(seed);
        if (began && number(seed, path, "SELECT count(*) FROM erasure") != 1)
            crash_lost(crash, "an erasure that had begun is not known");
        if (crash->thorough) {
            check_again(seed, path);
            check_to_the_end(seed, path);
        }
    }
    close_fleet(seed);
    seed->world.now_ms = now_ms;
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
