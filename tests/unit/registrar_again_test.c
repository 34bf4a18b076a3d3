/* SPDX-License-Identifier: Apache-2.0 */
/* A generation that failed is not tried again unchanged, whatever manifests want it. */
#include "agent/registrar.h"

#include "tests/unit/registrar_world.h"
#include "tests/unit/testing.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <zstd.h>

#define REPAIR MUSTER__ASSIGN_MODE__MODE_REPAIR
#define APPLY_FAILED MUSTER__EVENT_KIND__EVENT_APPLY_FAILED
#define BIN_1 "prefix\tissuer\n62\tone\n"
#define BIN_2 "prefix\tissuer\n62\tone\n43\ttwo\n"
#define NO_TABLE "prefix\tissuer\n62\n"

#define BIN(text, of_version)                                                                      \
    {                                                                                              \
        .name = "bin.tsv", .content = text, .version = of_version, .mode = REPAIR,                 \
        .kind = MUSTER__DOCUMENT_KIND__DOCUMENT_TABLE                                              \
    }
#define OWN                                                                                        \
    {                                                                                              \
        .name = "own", .content = "one", .version = 1, .mode = REPAIR                              \
    }

static const struct world_doc first[] = {BIN(BIN_1, 1)};
static const struct world_doc second[] = {BIN(BIN_2, 2)};
static const struct world_doc bad_form[] = {BIN(NO_TABLE, 2)};
static const struct world_doc mended[] = {BIN(BIN_2, 3)};
static const struct world_doc beside[] = {BIN(NO_TABLE, 2), OWN};

static void resynced(void *ctx)
{
    (void)ctx;
}

static void resync(struct world *world)
{
    assert_true(registrar_resync(world->registrar, 10000, resynced, NULL, NULL));
    world_check(world);
}

static size_t failures(const struct world *world)
{
    return world_events(world, APPLY_FAILED, NULL);
}

static void test_an_order_does_not_have_it_built_again(void **state)
{
    struct world *world = *state;
    struct world_state now;
    world_apply(world, 1, first, 1);
    for (uint64_t version = 2; version < 6; version++)
        world_apply(world, version, bad_form, 1);
    assert_int_equal(failures(world), 1);
    world_state(world, &now);
    assert_int_equal(now.manifest_version, 5);
    assert_int_equal(now.items[0].state, MUSTER__ITEM_STATE__ITEM_DRIFT);
    assert_non_null(strstr(now.items[0].reason, "row 2: 1 columns"));
    world_reopen(world);
    world_apply(world, 6, bad_form, 1);
    assert_int_equal(failures(world), 1);
    world_apply(world, 7, beside, 2); /* another generation */
    assert_int_equal(failures(world), 2);
    resync(world);
    assert_int_equal(failures(world), 3);
    world_apply(world, 8, mended, 1);
    world_assert_document(world, "bin.tsv", BIN_2);
}

/* ---- what the hook said ---- */

static size_t runs(const struct world *world)
{
    char path[128];
    struct buf log = {0};
    (void)snprintf(path, sizeof path, "%s/runs", world->dir);
    assert_true(file_read(path, 4096, &log, NULL));
    size_t length = log.length;
    buf_done(&log);
    return length;
}

static bool runs_again(const struct world *world)
{
    return runs(world) == 2;
}

static void test_an_order_does_not_have_the_hook_asked_again(void **state)
{
    struct world *world = *state;
    world_hook(world,
               "#!/bin/sh\nprintf x >> \"${0%/*}/runs\"\ngrep -q two bin.tsv && exit 1\nexit 0\n",
               10000);
    world_reopen(world);
    world_apply(world, 1, first, 1);
    for (uint64_t version = 2; version < 5; version++)
        world_apply(world, version, second, 1);
    assert_int_equal(runs(world), 2);
    assert_int_equal(failures(world), 1);
    world_reopen(world);
    world_check(world);
    assert_int_equal(runs(world), 2);
    resync(world);
    assert_int_equal(runs(world), 3);
}

/* An order that comes while the hook thinks does not make its answer another one's. */
static void test_an_order_meanwhile_changes_nothing(void **state)
{
    struct world *world = *state;
    char go[128];
    world_hook(world,
               "#!/bin/sh\nprintf x >> \"${0%/*}/runs\"\n"
               "grep -q two bin.tsv || exit 0\n"
               "until [ -e \"${0%/*}/go\" ]; do :; done\nexit 1\n",
               20000);
    world_reopen(world);
    world_apply(world, 1, first, 1);
    assert_true(world_push(world, 2, second, 1, NULL));
    world_wait(world, runs_again);
    assert_true(world_push(world, 3, second, 1, NULL));
    (void)snprintf(go, sizeof go, "%s/go", world->dir);
    assert_true(file_write(go, bytes_of("x", 1), 0600, NULL));
    world_check(world);
    assert_int_equal(runs(world), 2);
    assert_int_equal(failures(world), 1);
}

/* ---- content ---- */

static void test_another_way_to_the_content_is_gone(void **state)
{
    struct world *world = *state;
    char packed[256];
    struct world_doc cut = second[0];
    world_apply(world, 1, first, 1);
    cut.blob = bytes_of(packed, ZSTD_compress(packed, sizeof packed, BIN_1, strlen(BIN_1), 3));
    world_apply(world, 2, &cut, 1);
    world_apply(world, 3, &cut, 1);
    assert_int_equal(world_events(world, MUSTER__EVENT_KIND__EVENT_REFUSED, NULL), 1);
    world_apply(world, 4, second, 1);
    world_assert_document(world, "bin.tsv", BIN_2);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, world_set_up, world_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_an_order_does_not_have_it_built_again),
        TEST(test_an_order_does_not_have_the_hook_asked_again),
        TEST(test_an_order_meanwhile_changes_nothing),
        TEST(test_another_way_to_the_content_is_gone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
