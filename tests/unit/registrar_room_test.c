/* SPDX-License-Identifier: Apache-2.0 */
/* Results come first on a disk that is short of room. */
#include "tests/unit/registrar_world.h"
#include "tests/unit/testing.h"

#include <stdint.h>
#include <string.h>

static struct world_doc document(const char *name, const char *content, uint64_t version)
{
    return (struct world_doc){.name = name,
                              .content = content,
                              .version = version,
                              .mode = MUSTER__ASSIGN_MODE__MODE_REPAIR};
}

static bool has_stalled(const struct world *world)
{
    return world_events(world, MUSTER__EVENT_KIND__EVENT_APPLY_FAILED, "") > 0;
}

static void test_what_does_not_fit_is_not_asked_for(void **state)
{
    struct world *world = *state;
    const struct world_doc doc = document("bins", "411111\n", 1);
    struct world_state held;
    struct err err = {0};
    world->room.registry_bytes = 0;
    if (!world_push(world, 1, &doc, 1, &err))
        fail_msg("%s", err.text);
    world_wait(world, has_stalled);
    assert_int_equal(world->fetches, 0);
    assert_int_equal(world->asked_count, 0);
    world_state(world, &held);
    assert_int_equal(held.count, 1);
    if (strstr(held.items[0].reason, "kept for results") == NULL)
        fail_msg("the reason is: %s", held.items[0].reason);
    world->room = (struct room){.registry_bytes = UINT64_MAX};
    world_check(world);
    world_assert_document(world, "bins", "411111\n");
    world_state(world, &held);
    assert_true(held.converged);
    assert_string_equal(held.items[0].reason, "");
}

static size_t stored; /* blobs, besides those of what is in force */

static bool have_two_blobs(const struct world *world)
{
    char path[256], hex[80] = "blobs/";
    stored = 0;
    for (size_t i = 0; i < world->blob_count; i++) {
        hex_encode(world->blobs[i].sha256, 32, hex + strlen("blobs/"));
        world_path(world, hex, path);
        stored += file_exists(path);
    }
    return stored == 2;
}

static bool have_one_blob(const struct world *world)
{
    return !have_two_blobs(world) && stored == 1;
}

static void on_settled(void *ctx)
{
    ((struct world *)ctx)->settled = true;
}

static bool has_settled(const struct world *world)
{
    return world->settled;
}

static void settle(struct world *world)
{
    world->settled = false;
    assert_true(registrar_settle(world->registrar, 30000, on_settled, world, NULL));
    world_wait(world, has_settled);
}

static void test_what_is_not_in_force_is_given_up(void **state)
{
    struct world *world = *state;
    const struct world_doc one = document("bins", "411111\n", 1);
    const struct world_doc two[] = {document("aids", "A000\n", 1), document("bins", "422222\n", 2)};
    struct err err = {0};
    world_apply(world, 1, &one, 1);
    world->broker_up = false;
    if (!world_push(world, 2, two, 2, &err))
        fail_msg("%s", err.text);
    world_wait(world, world_was_asked);
    const struct world_blob *blob = &world->blobs[world->blob_count - 1];
    assert_true(registrar_blob(world->registrar, blob->sha256, buf_bytes(&blob->bytes), NULL));
    world_wait(world, have_two_blobs);
    registrar_yield(world->registrar); /* there is room: nothing goes */
    settle(world);
    assert_true(have_two_blobs(world));
    world->room = (struct room){.results_short = true};
    registrar_yield(world->registrar);
    world_wait(world, have_one_blob);
    world_wait(world, has_stalled);
    world_assert_document(world, "bins", "411111\n");
    world->room = (struct room){.registry_bytes = UINT64_MAX};
    world->broker_up = true;
    world_check(world);
    world_assert_document(world, "bins", "422222\n");
    world_assert_document(world, "aids", "A000\n");
}

/* A file that the application reads does not wait for a large one that does not fit. */
static void test_what_is_damaged_is_fetched_all_the_same(void **state)
{
    struct world *world = *state;
    const struct world_doc one = document("bins", "411111\n", 1);
    const struct world_doc two[] = {document("aids", "A000\n", 1), one};
    struct err err = {0};
    char path[256], blob[80] = "blobs/";
    world_apply(world, 1, &one, 1);
    hex_encode(world->blobs[0].sha256, 32, blob + strlen("blobs/"));
    world->room.registry_bytes = 0;
    if (!world_push(world, 2, two, 2, &err))
        fail_msg("%s", err.text);
    world_wait(world, has_stalled);
    unsigned fetches = world->fetches;
    world_path(world, blob, path);
    assert_true(file_remove(path, NULL));
    world_damage(world, "current/bins");
    world_check(world);
    world_assert_document(world, "bins", "411111\n");
    assert_int_equal(world->fetches, fetches + 1);
    world_assert_document(world, "aids", NULL);
}

/* The spare generation may go for a manifest that the quota has taken. */
static void test_the_spare_generation_goes_first(void **state)
{
    struct world *world = *state;
    struct world_doc doc = document("bins", "411111\n", 1);
    struct err err = {0};
    world_apply(world, 1, &doc, 1);
    doc = document("bins", "422222\n", 2);
    world_apply(world, 2, &doc, 1);
    assert_true(world_has(world, "generations/00000001"));
    doc = document("bins", "433333\n", 3);
    world->room.registry_bytes = 22; /* a byte less than it needs */
    if (!world_push(world, 3, &doc, 1, &err))
        fail_msg("%s", err.text);
    world_wait(world, has_stalled);
    assert_false(world_has(world, "generations/00000001"));
    world_assert_document(world, "bins", "422222\n");
    world->room.registry_bytes = 23;
    world_check(world);
    world_assert_document(world, "bins", "433333\n");
}

/* A hook that says no to every version must not fill the disk with their blobs. */
static void test_blobs_go_though_nothing_is_in_force(void **state)
{
    struct world *world = *state;
    struct world_doc doc = document("bins", "411111\n", 1);
    world_close(world);
    world_hook(world, "exit 1", 10000);
    world_open(world);
    world_apply(world, 1, &doc, 1);
    assert_true(have_one_blob(world));
    doc = document("bins", "422222\n", 2);
    world_apply(world, 2, &doc, 1);
    assert_true(have_one_blob(world));
    assert_false(world_has(world, "current"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, world_set_up, world_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_what_does_not_fit_is_not_asked_for),
        TEST(test_what_is_not_in_force_is_given_up),
        TEST(test_what_is_damaged_is_fetched_all_the_same),
        TEST(test_the_spare_generation_goes_first),
        TEST(test_blobs_go_though_nothing_is_in_force),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
