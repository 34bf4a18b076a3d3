/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/roots.h"

#include "base/file.h"
#include "proto/refusal.h"
#include "storage/registry_roots.h"
#include "tests/unit/temp_roots.h"
#include "tests/unit/testing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Each is kept by the key that its number names; the installed one is version 2. */
static const struct temp_root chain[] = {
    {.version = 2, .root_keys = "0", .signers = "0"},
    {.version = 3, .root_keys = "1", .signers = "01", .director = 1},
    {.version = 4, .root_keys = "2", .signers = "12", .director = 2, .epoch = 2},
    {.version = 5, .root_keys = "3", .signers = "23", .director = 3, .epoch = 2},
};
enum { INSTALLED = 2, CHAIN = sizeof chain / sizeof *chain };

struct world {
    struct temp_roots *keys;
    char dir[96], installed[96];
    struct roots roots;
};

static void root_file(const struct world *world, uint64_t version, char path[160])
{
    (void)snprintf(path, 160, "%s/roots/%d", world->dir, (int)version);
}

static int open_world(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    void *keys = *state;
    struct buf root = {0};
    struct err err = {0};
    assert_non_null(world);
    world->keys = keys;
    (void)snprintf(world->dir, sizeof world->dir, "%s/registry", world->keys->dir);
    (void)snprintf(world->installed, sizeof world->installed, "%s/root.bin", world->keys->dir);
    assert_true(file_make_dir(world->dir, 0750, NULL));
    temp_root_seal(world->keys, &chain[0], &root);
    assert_true(file_write(world->installed, buf_bytes(&root), 0644, NULL));
    buf_done(&root);
    if (!roots_open(world->installed, world->dir, &world->roots, &err))
        fail_msg("%s", err.text);
    *state = world;
    return 0;
}

static int close_world(void **state)
{
    struct world *world = *state;
    roots_done(&world->roots);
    assert_true(file_remove_tree(world->dir, NULL));
    *state = world->keys;
    free(world);
    return 0;
}

/* As after a restart. */
static void reopen(struct world *world)
{
    struct err err = {0};
    roots_done(&world->roots);
    if (!roots_open(world->installed, world->dir, &world->roots, &err))
        fail_msg("%s", err.text);
}

static bool take(struct world *world, uint64_t as, const struct temp_root *root, bool *ret_taken,
                 struct err *err)
{
    struct buf envelope = {0};
    temp_root_seal(world->keys, root, &envelope);
    bool ok = roots_take(&world->roots, as, buf_bytes(&envelope), ret_taken, err);
    buf_done(&envelope);
    return ok;
}

static void must_take(struct world *world, uint64_t version)
{
    bool taken = false;
    struct err err = {0};
    if (!take(world, version, &chain[version - INSTALLED], &taken, &err))
        fail_msg("%s", err.text);
    assert_true(taken);
    assert_int_equal(trust_version(world->roots.trust), version);
}

static void refused(struct world *world, uint64_t as, const struct temp_root *root,
                    Muster__Refusal reason)
{
    bool taken = false;
    struct err err = {0};
    uint64_t before = trust_version(world->roots.trust);
    char path[160];
    root_file(world, as, path);
    assert_false(take(world, as, root, &taken, &err));
    assert_false(taken);
    assert_int_equal(refusal_of(&err), reason);
    assert_int_equal(trust_version(world->roots.trust), before);
    assert_false(file_exists(path));
}

static void a_root_that_was_taken_outlives_the_agent(void **state)
{
    struct world *world = *state;
    const struct trust *trust = world->roots.trust;
    bool taken = true;
    must_take(world, 3);
    assert_ptr_equal(world->roots.trust, trust); /* others hold it */
    assert_true(take(world, 3, &chain[1], &taken, NULL));
    assert_false(taken);
    assert_true(take(world, 1, &chain[0], &taken, NULL));
    assert_false(taken);
    must_take(world, 4);
    reopen(world);
    assert_int_equal(trust_version(world->roots.trust), 4);
    assert_int_equal(trust_epoch(world->roots.trust), 2);
    assert_int_equal(world->roots.damage.code, ERR_NONE);
    must_take(world, 5);
}

static void they_are_taken_one_by_one(void **state)
{
    struct world *world = *state;
    struct temp_root forged = chain[1];
    refused(world, 4, &chain[2], MUSTER__REFUSAL__REFUSAL_ROOT_ORDER);
    refused(world, 3, &chain[2], MUSTER__REFUSAL__REFUSAL_ROOT_OLD_KEYS); /* under another's name */
    forged.signers = "1";
    refused(world, 3, &forged, MUSTER__REFUSAL__REFUSAL_ROOT_OLD_KEYS);
    forged.signers = "0";
    refused(world, 3, &forged, MUSTER__REFUSAL__REFUSAL_ROOT_OWN_KEYS);
    must_take(world, 3);
}

static void nothing_is_trusted_for_being_on_the_disk(void **state)
{
    struct world *world = *state;
    struct temp_root forged = chain[2];
    struct buf envelope = {0};
    bool taken = false;
    must_take(world, 3);
    forged.signers = "2";
    temp_root_seal(world->keys, &forged, &envelope);
    assert_true(registry_root_write(world->dir, 4, buf_bytes(&envelope), NULL));
    reopen(world);
    assert_int_equal(trust_version(world->roots.trust), 3);
    assert_int_equal(refusal_of(&world->roots.damage), MUSTER__REFUSAL__REFUSAL_ROOT_OLD_KEYS);
    assert_non_null(strstr(world->roots.damage.text, "kept as trust root 4"));
    assert_true(take(world, 4, &chain[2], &taken, NULL)); /* and it can come again */
    assert_true(taken);
    assert_int_equal(world->roots.damage.code, ERR_NONE);
    buf_done(&envelope);
}

static void a_damaged_link_is_fetched_and_the_rest_is_there(void **state)
{
    struct world *world = *state;
    char path[160];
    bool taken = false;
    for (uint64_t version = 3; version <= 5; version++)
        must_take(world, version);
    root_file(world, 4, path);
    assert_true(file_write(path, bytes_of("damaged", 7), 0600, NULL));
    reopen(world);
    assert_int_equal(trust_version(world->roots.trust), 3);
    assert_int_not_equal(world->roots.damage.code, ERR_NONE);
    assert_true(take(world, 4, &chain[2], &taken, NULL));
    assert_true(taken);
    assert_int_equal(trust_version(world->roots.trust), 5);
    reopen(world);
    assert_int_equal(trust_version(world->roots.trust), 5);
}

/* While the agent runs; also of what it read when it started. */
static void what_is_lost_of_it_is_written_again(void **state)
{
    struct world *world = *state;
    char folder[160], path[160];
    uint64_t mended = 9;
    for (uint64_t version = 3; version <= 5; version++)
        must_take(world, version);
    for (unsigned round = 0; round < 2; round++) {
        assert_true(roots_mend(&world->roots, &mended, NULL));
        assert_int_equal(mended, 0);
        root_file(world, 4, path);
        assert_true(file_write(path, bytes_of("changed", 7), 0600, NULL));
        root_file(world, 5, path);
        assert_true(file_remove(path, NULL));
        assert_true(roots_mend(&world->roots, &mended, NULL));
        assert_int_equal(mended, 4);
        reopen(world);
        assert_int_equal(trust_version(world->roots.trust), 5);
    }
    (void)snprintf(folder, sizeof folder, "%s/roots", world->dir);
    assert_true(file_remove_tree(folder, NULL));
    assert_true(roots_mend(&world->roots, &mended, NULL));
    assert_int_equal(mended, 3);
    reopen(world);
    assert_int_equal(trust_version(world->roots.trust), 5);
    assert_int_equal(world->roots.damage.code, ERR_NONE);
}

static void what_cannot_be_kept_is_not_in_force(void **state)
{
    struct world *world = *state;
    char path[160];
    bool taken = false;
    struct err err = {0};
    root_file(world, 3, path);
    assert_true(file_make_dir(path, 0700, NULL)); /* no file can be put there */
    assert_false(take(world, 3, &chain[1], &taken, &err));
    assert_int_equal(err.reason, 0);
    assert_int_equal(trust_version(world->roots.trust), 2);
    assert_true(file_remove_tree(path, NULL));
    must_take(world, 3);
}

static void what_nobody_needs_is_swept(void **state)
{
    struct world *world = *state;
    struct buf root = {0};
    char left[160], path[160];
    must_take(world, 3);
    must_take(world, 4);
    (void)snprintf(left, sizeof left, "%s/roots/.5.0123456789abcdef.new", world->dir);
    assert_true(file_write(left, bytes_of("torn", 4), 0600, NULL));
    temp_root_seal(world->keys, &chain[1], &root);
    assert_true(file_write(world->installed, buf_bytes(&root), 0644, NULL)); /* a package */
    reopen(world);
    assert_int_equal(trust_version(world->roots.trust), 4);
    assert_false(file_exists(left));
    root_file(world, 3, path);
    assert_false(file_exists(path));
    root_file(world, 4, path);
    assert_true(file_exists(path));
    buf_done(&root);
}

/* A flash that forgets a file of its image must not stop a shop from selling. */
static void a_copy_stands_in_for_the_installed_one(void **state)
{
    struct world *world = *state;
    must_take(world, 3);
    assert_true(file_write(world->installed, bytes_of("damaged", 7), 0644, NULL));
    reopen(world);
    assert_int_equal(trust_version(world->roots.trust), 3);
    assert_non_null(strstr(world->roots.unread.text, world->installed));
    assert_true(file_remove(world->installed, NULL));
    reopen(world);
    assert_int_equal(trust_version(world->roots.trust), 3);
    assert_int_equal(world->roots.unread.code, ERR_NOT_FOUND);
    assert_int_equal(world->roots.damage.code, ERR_NONE);
}

/* A copy of another fleet's root, or of an older one, says nothing beside the installed one. */
static void the_installed_one_counts_where_both_are_there(void **state)
{
    struct world *world = *state;
    char path[160];
    struct buf other = {0}, kept = {.limit = 65536};
    temp_root_seal(world->keys, &chain[3], &other);
    root_file(world, 0, path);
    (void)snprintf(strrchr(path, '/'), 16, "/installed");
    assert_true(file_write(path, buf_bytes(&other), 0600, NULL));
    reopen(world);
    assert_int_equal(trust_version(world->roots.trust), INSTALLED);
    assert_int_equal(world->roots.unread.code, ERR_NONE);
    assert_true(file_read(path, 65536, &kept, NULL));
    assert_false(bytes_equal(buf_bytes(&kept), buf_bytes(&other)));
    buf_done(&other);
    buf_done(&kept);
}

static void without_a_good_one_there_is_none(void **state)
{
    struct world *world = *state;
    struct roots roots = {0};
    struct err err = {0};
    char folder[160];
    must_take(world, 3);
    (void)snprintf(folder, sizeof folder, "%s/roots", world->dir);
    assert_true(file_remove_tree(folder, NULL));
    assert_true(file_write(world->installed, bytes_of("damaged", 7), 0644, NULL));
    assert_false(roots_open(world->installed, world->dir, &roots, &err));
    assert_non_null(strstr(err.text, world->installed));
    assert_true(file_remove(world->installed, NULL));
    assert_false(roots_open(world->installed, world->dir, &roots, &err));
    assert_int_equal(err.code, ERR_NOT_FOUND);
}

/* What stands where the folder is to be goes: the chain comes again. */
static void a_file_in_the_folders_place_goes(void **state)
{
    struct world *world = *state;
    char folder[160];
    (void)snprintf(folder, sizeof folder, "%s/roots", world->dir);
    assert_true(file_remove_tree(folder, NULL));
    assert_true(file_write(folder, bytes_of("x", 1), 0600, NULL));
    reopen(world);
    must_take(world, 3);
    reopen(world);
    assert_int_equal(trust_version(world->roots.trust), 3);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_world, close_world)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_root_that_was_taken_outlives_the_agent),
        TEST(they_are_taken_one_by_one),
        TEST(nothing_is_trusted_for_being_on_the_disk),
        TEST(a_damaged_link_is_fetched_and_the_rest_is_there),
        TEST(what_is_lost_of_it_is_written_again),
        TEST(what_cannot_be_kept_is_not_in_force),
        TEST(what_nobody_needs_is_swept),
        TEST(a_copy_stands_in_for_the_installed_one),
        TEST(the_installed_one_counts_where_both_are_there),
        TEST(without_a_good_one_there_is_none),
        TEST(a_file_in_the_folders_place_goes),
    };
    return cmocka_run_group_tests(tests, temp_roots_open, temp_roots_close);
}
