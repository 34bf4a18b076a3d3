/* SPDX-License-Identifier: Apache-2.0 */
/* The registrar when what stands in a document's place is not a file as it was written. */
#include "agent/registrar.h"

#include "tests/unit/registrar_world.h"
#include "tests/unit/testing.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define REPAIR MUSTER__ASSIGN_MODE__MODE_REPAIR
#define DRIFT MUSTER__EVENT_KIND__EVENT_DRIFT
#define REPAIRED MUSTER__EVENT_KIND__EVENT_REPAIR
#define COUNT(array) (sizeof(array) / sizeof(array)[0])

#define AID "aid\tscheme\nA0\t1\n"
#define BIN_1 "prefix\tissuer\n62\tone\n"
#define BIN_2 "prefix\tissuer\n62\tone\n43\ttwo\n"

static const struct world_doc first[] = {
    {.name = "aid.tsv", .content = AID, .version = 1, .mode = REPAIR},
    {.name = "bin.tsv", .content = BIN_1, .version = 1, .mode = REPAIR},
};
static const struct world_doc second[] = {
    {.name = "aid.tsv", .content = AID, .version = 1, .mode = REPAIR},
    {.name = "bin.tsv", .content = BIN_2, .version = 2, .mode = REPAIR},
};

static void remove_file(const struct world *world, const char *name)
{
    char path[256];
    world_path(world, name, path);
    assert_true(file_exists(path));
    assert_true(file_remove_tree(path, NULL));
}

static void write_text(const struct world *world, const char *name, const char *text)
{
    char path[256];
    world_path(world, name, path);
    assert_true(file_write(path, bytes_of(text, strlen(text)), 0644, NULL));
}

/* What the registry did not write is not taken for what it wrote, whatever it leads to. */
static void test_what_is_no_file_of_ours(void **state)
{
    struct world *world = *state;
    char path[256], elsewhere[256];
    struct stat st;
    world_apply(world, 1, first, COUNT(first));
    world_path(world, "elsewhere", elsewhere);
    world_path(world, "current/bin.tsv", path);
    write_text(world, "elsewhere", BIN_1);
    assert_true(file_point(path, elsewhere, NULL)); /* the right bytes, in somebody's hands */
    world_check(world);
    assert_int_equal(lstat(path, &st), 0);
    assert_true(S_ISREG(st.st_mode));
    world_assert_document(world, "bin.tsv", BIN_1);
    assert_non_null(strstr(world_last(world, DRIFT)->text, "it is not a regular file"));
    assert_false(world_last(world, DRIFT)->has_held_hash);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkfifo(path, 0644), 0);
    world_check(world);
    world_assert_document(world, "bin.tsv", BIN_1);
    assert_int_equal(world_events(world, REPAIRED, "bin.tsv"), 2);
}

static bool was_judged(const struct world *world)
{
    struct world_state now;
    world_state(world, &now);
    return now.generation == 2 ||
           world_events(world, MUSTER__EVENT_KIND__EVENT_APPLY_FAILED, NULL) > 0;
}

/* A new generation takes over no link that stands in a file's place. */
static void test_a_link_is_not_carried(void **state)
{
    struct world *world = *state;
    char path[256], elsewhere[256];
    struct stat st;
    world_apply(world, 1, first, COUNT(first));
    world_path(world, "elsewhere", elsewhere);
    world_path(world, "current/aid.tsv", path);
    world_hook(world, "test -f aid.tsv && test ! -L aid.tsv\n", 10000);
    world_reopen(world);
    write_text(world, "elsewhere", AID);
    assert_true(file_point(path, elsewhere, NULL));
    assert_true(world_push(world, 2, second, COUNT(second), NULL));
    world_wait(world, was_judged); /* built before anything is checked */
    world_assert_document(world, "bin.tsv", BIN_2);
    assert_int_equal(lstat(path, &st), 0);
    assert_true(S_ISREG(st.st_mode));
}

/* What is only observed may have become anything: it holds nothing up. */
static void test_a_folder_in_the_place_of_what_is_observed(void **state)
{
    struct world *world = *state;
    char path[256];
    struct world_doc docs[] = {first[0], second[1]};
    world_apply(world, 1, first, COUNT(first));
    remove_file(world, "current/aid.tsv");
    world_path(world, "current/aid.tsv", path);
    assert_true(file_make_dir(path, 0755, NULL));
    docs[0].mode = MUSTER__ASSIGN_MODE__MODE_OBSERVE;
    world_apply(world, 2, docs, COUNT(docs));
    world_assert_document(world, "bin.tsv", BIN_2);
    assert_int_equal(world_item(world, "aid.tsv"), MUSTER__ITEM_STATE__ITEM_MISSING);
}

static void test_another_mode(void **state)
{
    struct world *world = *state;
    char path[256];
    struct stat st;
    world_apply(world, 1, first, COUNT(first));
    world->broker_up = false;
    world_path(world, "current/bin.tsv", path);
    assert_int_equal(chmod(path, 0666), 0);
    world_check(world);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0644);
    assert_non_null(strstr(world_last(world, DRIFT)->text, "its mode is 0666, 0644 is right"));
    assert_int_equal(world_events(world, REPAIRED, "bin.tsv"), 1);
    world_check(world);
    assert_int_equal(world_events(world, DRIFT, NULL), 1);
}

/* 64 GiB of nothing would take longer to read than a test may take. */
static void test_far_too_long_is_not_read(void **state)
{
    struct world *world = *state;
    char path[256];
    world_apply(world, 1, first, COUNT(first));
    world_path(world, "current/bin.tsv", path);
    assert_int_equal(truncate(path, INT64_C(64) << 30), 0);
    world_check(world);
    world_assert_document(world, "bin.tsv", BIN_1);
    const struct world_event *drift = world_last(world, DRIFT);
    assert_non_null(strstr(drift->text, "it has 68719476736 bytes"));
    assert_false(drift->has_held_hash);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, world_set_up, world_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_what_is_no_file_of_ours),
        TEST(test_a_link_is_not_carried),
        TEST(test_a_folder_in_the_place_of_what_is_observed),
        TEST(test_another_mode),
        TEST(test_far_too_long_is_not_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
