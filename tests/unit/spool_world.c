/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/spool_world.h"

#include "base/file.h"
#include "tests/unit/testing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int64_t read_boot_ms(void *ctx)
{
    return ((const struct spool_world *)ctx)->boot_ms;
}

void spool_world_reopen(struct spool_world *world)
{
    spool_close(world->spool);
    world->spool = NULL;
    struct err err = {0};
    if (!spool_open(&world->settings, &world->clock, &world->spool, &err))
        fail_msg("%s", err.text);
}

void spool_world_power_cycle(struct spool_world *world, int64_t boot_ms)
{
    spool_close(world->spool);
    world->spool = NULL;
    world->boot_ms = boot_ms;
    spool_world_reopen(world);
}

void spool_world_dir(char dir[64])
{
    snprintf(dir, 64, "%s/muster-spool-XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    assert_non_null(mkdtemp(dir));
}

int spool_world_setup(void **state)
{
    struct spool_world *world = calloc(1, sizeof *world);
    spool_world_dir(world->dir);
    snprintf(world->path, sizeof world->path, "%s/spool.db", world->dir);
    world->boot_ms = 1000;
    world->clock = (struct clock){.wall_ms = read_boot_ms, .boot_ms = read_boot_ms, .ctx = world};
    world->settings = (struct spool_settings){
        .path = world->path,
        .device = "p-100001",
        .quota_bytes = 64 * 1024 * 1024,
        .grace_ms = GRACE_MS,
        .key_window = 1000,
    };
    spool_world_reopen(world);
    *state = world;
    return 0;
}

int spool_world_teardown(void **state)
{
    struct spool_world *world = *state;
    spool_close(world->spool);
    bool removed = file_remove_tree(world->dir, NULL);
    free(world);
    return removed ? 0 : -1;
}

struct bytes text(const char *string)
{
    return bytes_of(string, strlen(string));
}

struct spool_record push(struct spool *spool, int lane, const char *key, const char *body)
{
    struct spool_record record = {.lane = lane, .key = text(key), .body = text(body)};
    struct err err = {0};
    if (!spool_push(spool, &record, 1, &err))
        fail_msg("%s", err.text);
    return record;
}

bool hear(void *ctx, uint64_t seq, struct bytes body, struct err *err)
{
    struct heard *heard = ctx;
    (void)seq;
    (void)err;
    size_t at = strlen(heard->bodies);
    assert_true(at + body.length + 2 < sizeof heard->bodies);
    memcpy(heard->bodies + at, body.data, body.length);
    strcpy(heard->bodies + at + body.length, ",");
    heard->count++;
    return true;
}

bool hear_newest(void *ctx, uint64_t incarnation, uint64_t seq, struct bytes body, struct err *err)
{
    (void)incarnation;
    return hear(ctx, seq, body, err);
}

void expect_read(struct spool *spool, uint64_t incarnation, int lane, uint64_t from,
                 size_t max_records, size_t max_bytes, uint64_t first, const char *bodies)
{
    struct heard heard = {0};
    struct err err = {0};
    struct spool_found found = {0};
    if (!spool_read(spool, incarnation, lane, from, max_records, max_bytes, hear, &heard, &found,
                    &err))
        fail_msg("%s", err.text);
    assert_string_equal(heard.bodies, bodies);
    assert_int_equal(found.count, heard.count);
    assert_int_equal(found.lost, SPOOL_HELD);
    if (found.count > 0)
        assert_int_equal(found.first, first);
}

void expect_lost(struct spool *spool, uint64_t incarnation, int lane, uint64_t from, uint64_t first,
                 uint64_t count, enum spool_loss why)
{
    struct heard heard = {0};
    struct err err = {0};
    struct spool_found found = {0};
    if (!spool_read(spool, incarnation, lane, from, 100, 1000, hear, &heard, &found, &err))
        fail_msg("%s", err.text);
    assert_int_equal(heard.count, 0);
    assert_int_equal(found.lost, why);
    assert_int_equal(found.first, first);
    assert_int_equal(found.count, count);
}

void receipt(struct spool *spool, uint64_t incarnation, int lane, uint64_t cumulative)
{
    struct err err = {0};
    if (!spool_receipt(spool, incarnation, lane, cumulative, NULL, 0, &err))
        fail_msg("%s", err.text);
}

size_t forget(struct spool *spool)
{
    size_t removed = 0;
    struct err err = {0};
    if (!spool_forget(spool, &removed, &err))
        fail_msg("%s", err.text);
    return removed;
}

uint64_t held(const struct spool *spool)
{
    struct spool_stats stats;
    spool_stats(spool, &stats);
    return stats.records + stats.records_kept;
}
