/* SPDX-License-Identifier: Apache-2.0 */
/* What was accepted, read again from a disk that was put back, damaged or cut short. */
#include "proto/refusal.h"
#include "storage/registry.h"
#include "tests/unit/registrar_world.h"
#include "tests/unit/testing.h"

#include <stdlib.h>
#include <string.h>

#define REPAIR MUSTER__ASSIGN_MODE__MODE_REPAIR
#define DRIFT MUSTER__EVENT_KIND__EVENT_DRIFT
#define REFUSED MUSTER__EVENT_KIND__EVENT_REFUSED
#define REASON(name) MUSTER__REFUSAL__REFUSAL_##name

static const struct world_doc one = {
    .name = "revoked", .content = "one", .version = 1, .mode = REPAIR};
static const struct world_doc two = {
    .name = "revoked", .content = "two", .version = 2, .minimum = 2, .mode = REPAIR};

/* Files of the registry as they were at some time. */
struct kept_files {
    struct buf desired, floors;
};

static void file_take(const struct world *world, const char *name, struct buf *ret_content)
{
    char path[256];
    world_path(world, name, path);
    assert_true(file_read(path, 65536, ret_content, NULL));
}

static void file_put(const struct world *world, const char *name, struct bytes content)
{
    char path[256];
    world_path(world, name, path);
    assert_true(file_write(path, content, 0600, NULL));
}

static void file_lose(const struct world *world, const char *name)
{
    char path[256];
    world_path(world, name, path);
    assert_true(file_exists(path) && file_remove_tree(path, NULL));
}

static bool file_is(const struct world *world, const char *name, const struct buf *content)
{
    struct buf found = {0};
    file_take(world, name, &found);
    bool same = bytes_equal(buf_bytes(&found), buf_bytes(content));
    buf_done(&found);
    return same;
}

static void kept_take(const struct world *world, struct kept_files *kept)
{
    file_take(world, "desired", &kept->desired);
    file_take(world, "floors", &kept->floors);
}

static void kept_free(struct kept_files *kept)
{
    buf_done(&kept->desired);
    buf_done(&kept->floors);
}

/* Manifest 1 in force, its files kept aside, then manifest 2 in force; closed. */
static void two_in_force(struct world *world, struct kept_files *older)
{
    world_apply(world, 1, &one, 1);
    kept_take(world, older);
    world_apply(world, 2, &two, 1);
    world_close(world);
}

/* The whole registry as it was with manifest 1. */
static void put_back(const struct world *world, const struct kept_files *older)
{
    char path[256];
    file_put(world, "desired", buf_bytes(&older->desired));
    file_put(world, "floors", buf_bytes(&older->floors));
    file_lose(world, "generations/00000002");
    world_path(world, "current", path);
    assert_true(file_point(path, "generations/00000001", NULL));
}

static void look(struct world *world)
{
    world->event_count = 0;
    world_open(world);
    world_check(world);
}

static const char *below(const struct world *world, bool *ret_outdated)
{
    struct registrar_desired desired;
    registrar_desired(world->registrar, &desired);
    *ret_outdated = desired.outdated;
    return desired.below;
}

static void assert_stands(const struct world *world, uint64_t version)
{
    bool outdated = true;
    struct world_state now;
    assert_string_equal(below(world, &outdated), "");
    assert_false(outdated);
    assert_int_equal(registrar_manifest_version(world->registrar), version);
    world_state(world, &now);
    assert_true(now.converged);
}

static void assert_below(const struct world *world, const char *why)
{
    bool outdated = false;
    struct world_state now;
    assert_non_null(strstr(below(world, &outdated), why));
    assert_true(outdated);
    world_state(world, &now);
    assert_false(now.converged);
}

static void assert_told(const struct world *world, Muster__Refusal reason)
{
    assert_int_equal(world_events(world, REFUSED, NULL), 1);
    assert_int_equal(world_last(world, REFUSED)->refusal, reason);
    assert_int_equal(registrar_refusals(world->registrar)->count, 1);
    assert_int_equal(registrar_refusals(world->registrar)->last, reason);
}

/* The generation in force has the newer one. */
static void test_manifest_put_back(void **state)
{
    struct world *world = *state;
    struct kept_files older = {0}, newer = {0};
    two_in_force(world, &older);
    file_take(world, "desired", &newer.desired);
    file_put(world, "desired", buf_bytes(&older.desired));
    world->broker_up = false;
    look(world);
    assert_told(world, REASON(MANIFEST_OLD));
    assert_stands(world, 2);
    world_assert_document(world, "revoked", "two");
    assert_true(file_is(world, "desired", &newer.desired));
    kept_free(&older);
    kept_free(&newer);
}

/* What is in force is all there is; nothing is built from it, and the fleet brings the newest. */
static void test_registry_put_back(void **state)
{
    struct world *world = *state;
    struct kept_files older = {0};
    two_in_force(world, &older);
    put_back(world, &older);
    for (unsigned round = 0; round < 2; round++) {
        look(world);
        assert_int_equal(world_events(world, REFUSED, NULL), round == 0);
        if (round == 0) {
            assert_told(world, REASON(MANIFEST_OLD));
            assert_non_null(strstr(world_last(world, DRIFT)->text, "put back"));
        }
        assert_below(world, "manifest 1 is older than 2");
        assert_int_equal(registrar_lacks(world->registrar, NULL, 0), 0);
        world_close(world);
    }
    look(world);
    world_damage(world, "current/revoked"); /* what is in force is kept sound all the same */
    world_check(world);
    world_assert_document(world, "revoked", "one");
    world_root_next(world, 1); /* which does not make it good again */
    assert_below(world, "manifest 1 is older than 2");
    world_apply(world, 2, &two, 1);
    assert_stands(world, 2);
    world_assert_document(world, "revoked", "two");
    kept_free(&older);
}

/* With the floors of that time in the first place, and nothing of them in the second. */
static void test_older_content_is_not_built(void **state)
{
    struct world *world = *state;
    struct kept_files older = {0};
    two_in_force(world, &older);
    file_put(world, "desired", buf_bytes(&older.desired));
    file_put(world, "current/.manifest", buf_bytes(&older.desired));
    look(world);
    assert_below(world, "manifest 1 is older than 2");
    world_assert_document(world, "revoked", "two");
    kept_free(&older);
}

/* The floors were kept and the manifest not yet: nobody is to be alarmed. */
static void test_power_cut(void **state)
{
    struct world *world = *state;
    struct kept_files older = {0};
    world_apply(world, 1, &one, 1);
    kept_take(world, &older);
    world->broker_up = false;
    assert_true(world_push(world, 2, &two, 1, NULL));
    world_wait(world, world_was_asked);
    world_close(world);
    for (unsigned round = 0; round < 2; round++) {
        file_put(world, "desired", buf_bytes(&older.desired));
        if (round == 1) /* between the two places */
            assert_true(file_write(world->floors, buf_bytes(&older.floors), 0600, NULL));
        look(world);
        assert_int_equal(world_events(world, REFUSED, NULL), 0);
        assert_int_equal(world_events(world, DRIFT, NULL), 0);
        assert_below(world, "manifest 1 is older than 2");
        world_assert_document(world, "revoked", "one");
        world_close(world);
    }
    world->broker_up = true;
    look(world);
    world_apply(world, 2, &two, 1);
    assert_stands(world, 2);
    kept_free(&older);
}

/* A document below its floor, in a manifest that is the newest by its own version. */
static void test_document_below_its_floor(void **state)
{
    struct world *world = *state;
    struct registry_floors *floors = calloc(1, sizeof *floors);
    struct registry *registry = NULL;
    char lost[REGISTRY_LOST_CHARS];
    world_apply(world, 1, &one, 1);
    world_close(world);
    assert_true(registry_open(world->registry, world->floors, sha256, &registry, NULL));
    assert_true(registry_floors_read(registry, floors, lost, NULL));
    registry_floor_row(floors, "revoked")->minimum = 2;
    assert_true(registry_floors_write(registry, floors, NULL));
    registry_close(registry);
    free(floors);
    look(world);
    assert_told(world, REASON(DOCUMENT_FLOOR));
    assert_below(world, "revoked: version 1 is below the floor 2");
}

/* Its second copy is verified and used. */
static void test_manifest_damaged_or_gone(void **state)
{
    struct world *world = *state;
    struct kept_files older = {0}, newer = {0};
    two_in_force(world, &older);
    file_take(world, "desired", &newer.desired);
    for (unsigned round = 0; round < 2; round++) {
        if (round == 0)
            world_damage(world, "desired");
        else
            file_lose(world, "desired");
        look(world);
        assert_stands(world, 2);
        assert_true(file_is(world, "desired", &newer.desired));
        assert_non_null(strstr(world_last(world, DRIFT)->text, "from the generation in force"));
        world_close(world);
    }
    file_lose(world, "desired");
    world_damage(world, "current/.manifest");
    look(world);
    assert_int_equal(registrar_manifest_version(world->registrar), 0);
    assert_non_null(strstr(world_last(world, DRIFT)->text, "the manifest kept here is gone"));
    kept_free(&older);
    kept_free(&newer);
}

/* Of the floors nothing is left: the newest manifest that is makes them again. */
static void test_floors_gone(void **state)
{
    struct world *world = *state;
    struct kept_files older = {0};
    struct err err = {0};
    two_in_force(world, &older);
    file_lose(world, "floors");
    assert_true(file_remove(world->floors, NULL));
    file_put(world, "desired", buf_bytes(&older.desired));
    look(world);
    assert_told(world, REASON(MANIFEST_OLD));
    assert_stands(world, 2);
    assert_true(world_has(world, "floors") && file_exists(world->floors));
    assert_false(world_push(world, 3, &one, 1, &err));
    assert_int_equal(refusal_of(&err), REASON(DOCUMENT_FLOOR));
    world_close(world);
    static const char *const rest[] = {"floors", "desired", "current/.manifest"};
    for (size_t i = 0; i < sizeof rest / sizeof rest[0]; i++)
        file_lose(world, rest[i]);
    assert_true(file_remove(world->floors, NULL));
    look(world);
    assert_non_null(strstr(world_last(world, DRIFT)->text, "none are left"));
    kept_free(&older);
}

static void test_floors_put_back(void **state)
{
    struct world *world = *state;
    struct kept_files older = {0}, newer = {0};
    two_in_force(world, &older);
    file_take(world, "floors", &newer.floors);
    file_put(world, "floors", buf_bytes(&older.floors));
    assert_true(file_write(world->floors, buf_bytes(&older.floors), 0600, NULL));
    look(world);
    assert_stands(world, 2);
    assert_non_null(strstr(world_last(world, DRIFT)->text, "older than the manifest"));
    assert_true(file_is(world, "floors", &newer.floors));
    kept_free(&older);
    kept_free(&newer);
}

/* The keys that are left may be those that a root withdrew. */
static void test_roots_put_back(void **state)
{
    struct world *world = *state;
    struct trust *newest = world->trust;
    world_apply(world, 1, &one, 1);
    world_root_next(world, 1);
    world_check(world);
    world_close(world);
    world_root_first(world);
    look(world);
    assert_told(world, REASON(MANIFEST_ROOT));
    assert_below(world, "root 2 was in force here and only 1 is left");
    world_root_next(world, 1); /* it has come again */
    assert_stands(world, 1);
    world_close(world);
    trust_free(world->trust);
    world->trust = newest;
    look(world);
    assert_stands(world, 1);
    assert_int_equal(world_events(world, REFUSED, NULL), 0);
}

/* ---- while it runs ---- */

static void assert_mended(struct world *world, const char *name, const struct buf *good,
                          const char *told)
{
    size_t events = world_events(world, DRIFT, "");
    world_check(world);
    assert_true(file_is(world, name, good));
    assert_int_equal(world_events(world, DRIFT, ""), events + (told != NULL ? 1 : 0));
    if (told != NULL)
        assert_non_null(strstr(world_last(world, DRIFT)->text, told));
    world_check(world);
    assert_int_equal(world_events(world, DRIFT, ""), events + (told != NULL ? 1 : 0));
}

static void test_check_compares_with_memory(void **state)
{
    struct world *world = *state;
    struct kept_files older = {0}, newer = {0};
    two_in_force(world, &older);
    look(world);
    kept_take(world, &newer);
    file_put(world, "desired", buf_bytes(&older.desired));
    assert_mended(world, "desired", &newer.desired, "is not the one that was accepted");
    file_put(world, "desired", bytes_of("junk", 4));
    assert_mended(world, "desired", &newer.desired, "is not the one that was accepted");
    file_lose(world, "desired");
    assert_mended(world, "desired", &newer.desired, "is gone");
    file_put(world, "floors", buf_bytes(&older.floors));
    assert_mended(world, "floors", &newer.floors, "is not as it was written");
    file_put(world, "floors", buf_bytes(&older.floors));
    assert_true(file_write(world->floors, buf_bytes(&older.floors), 0600, NULL));
    assert_mended(world, "floors", &newer.floors, world->floors);
    assert_mended(world, "../floors", &newer.floors, NULL);
    file_put(world, "current/.manifest", buf_bytes(&older.desired));
    assert_mended(world, "current/.manifest", &newer.desired, NULL);
    world_reopen(world);
    assert_stands(world, 2);
    kept_free(&older);
    kept_free(&newer);
}

/* A newer manifest that wants the same builds nothing: the copy follows at the next check. */
static void test_copy_follows_the_manifest(void **state)
{
    struct world *world = *state;
    struct kept_files now = {0};
    struct world_state held;
    world_apply(world, 1, &one, 1);
    world_apply(world, 2, &one, 1);
    kept_take(world, &now);
    world_state(world, &held);
    assert_int_equal(held.generation, 1);
    assert_mended(world, "current/.manifest", &now.desired, NULL);
    world_close(world);
    file_lose(world, "floors");
    file_lose(world, "desired");
    assert_true(file_remove(world->floors, NULL));
    look(world);
    assert_stands(world, 2);
    kept_free(&now);
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, world_set_up, world_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_manifest_put_back),
        TEST(test_registry_put_back),
        TEST(test_older_content_is_not_built),
        TEST(test_power_cut),
        TEST(test_document_below_its_floor),
        TEST(test_manifest_damaged_or_gone),
        TEST(test_floors_gone),
        TEST(test_floors_put_back),
        TEST(test_roots_put_back),
        TEST(test_check_compares_with_memory),
        TEST(test_copy_follows_the_manifest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
