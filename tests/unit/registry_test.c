/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/registry.h"

#include "base/file.h"
#include "proto/seal.h"
#include "tests/unit/testing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct place {
    char dir[64];
    char floors[80]; /* their second place */
    struct registry *registry;
};

static int set_up(void **state)
{
    struct place *place = calloc(1, sizeof *place);
    const char *tmp = getenv("TMPDIR");
    (void)snprintf(place->dir, sizeof place->dir, "%s/registry_test.XXXXXX",
                   tmp != NULL ? tmp : "/tmp");
    *state = place;
    (void)snprintf(place->floors, sizeof place->floors, "%s/second", place->dir);
    return mkdtemp(place->dir) != NULL &&
                   registry_open(place->dir, place->floors, sha256, &place->registry, NULL)
               ? 0
               : -1;
}

static int tear_down(void **state)
{
    struct place *place = *state;
    registry_close(place->registry);
    bool removed = file_remove_tree(place->dir, NULL);
    free(place);
    return removed ? 0 : -1;
}

static void in_place(const struct place *place, const char *name, char path[256])
{
    assert_true(path_join(path, 256, place->dir, name, NULL));
}

static void plant(const struct place *place, const char *name, const char *text)
{
    char path[256];
    in_place(place, name, path);
    assert_true(file_write(path, bytes_of(text, strlen(text)), 0644, NULL));
}

static void plant_folder(const struct place *place, const char *name)
{
    char path[256];
    in_place(place, name, path);
    assert_true(file_make_dir(path, 0755, NULL));
}

static bool there(const struct place *place, const char *name)
{
    char path[256];
    in_place(place, name, path);
    return file_exists(path);
}

static void assert_content(const struct place *place, const char *name, const char *text)
{
    char path[256];
    struct buf content = {0};
    struct err err = {0};
    in_place(place, name, path);
    if (!file_read(path, 4096, &content, &err))
        fail_msg("%s", err.text);
    assert_int_equal(content.length, strlen(text));
    assert_memory_equal(content.data, text, strlen(text));
    buf_done(&content);
}

/* One item "a" with the text as its content; content and blob are named by `mark`. */
static struct registry_generation *generation(uint64_t number, int mark)
{
    struct registry_generation *made = calloc(1, sizeof *made);
    made->number = number;
    memset(made->digest, mark, 32);
    made->list.count = 1;
    memcpy(made->list.items[0].name, "a", 2);
    made->list.items[0].kind = 4;
    made->list.items[0].version = number;
    made->list.items[0].length = UINT64_MAX;
    memset(made->list.items[0].sha256, mark, 32);
    memset(made->list.items[0].blob, mark, 32);
    return made;
}

static void build(const struct place *place, uint64_t number, const char *text)
{
    struct registry_generation *made = generation(number, (int)number);
    assert_true(registry_build_begin(place->registry, number, NULL));
    assert_true(registry_build_write(place->registry, number, "a", false,
                                     bytes_of(text, strlen(text)), NULL));
    assert_true(registry_build_finish(place->registry, made, bytes_of("m", 1), NULL));
    free(made);
}

static struct registry_held *load(const struct place *place)
{
    struct registry_held *held = calloc(1, sizeof *held);
    struct err err = {0};
    if (!registry_load(place->registry, held, &err))
        fail_msg("%s", err.text);
    return held;
}

static void test_nothing_yet(void **state)
{
    struct registry_held *held = load(*state);
    assert_int_equal(held->current.number, 0);
    assert_int_equal(held->previous.number, 0);
    assert_int_equal(held->highest, 0);
    assert_false(held->recovered);
    free(held);
}

static void test_build_and_switch(void **state)
{
    struct place *place = *state;
    build(place, 1, "one");
    assert_false(there(place, "current"));
    assert_true(registry_switch(place->registry, 1, NULL));
    assert_content(place, "current/a", "one");
    build(place, 2, "two");
    assert_content(place, "current/a", "one");
    assert_true(registry_switch(place->registry, 2, NULL));
    assert_content(place, "current/a", "two");
    assert_content(place, "generations/00000001/a", "one");
    struct registry_held *held = load(place);
    struct registry_generation *expected = generation(2, 2);
    assert_memory_equal(&held->current, expected, sizeof *expected);
    assert_int_equal(held->previous.number, 1);
    assert_false(held->recovered);
    free(expected);
    free(held);
}

/* A crash while building, after renaming, or while writing a small file. */
static void test_leftovers_go(void **state)
{
    struct place *place = *state;
    build(place, 1, "one");
    assert_true(registry_switch(place->registry, 1, NULL));
    build(place, 2, "two"); /* 00000002.tmp */
    char from[256];
    char to[256];
    build(place, 3, "three");
    in_place(place, "generations/00000003.tmp", from);
    in_place(place, "generations/00000003", to);
    assert_true(file_rename(from, to, NULL)); /* whole, but never switched to */
    plant(place, ".desired.0011223344556677.new", "half");
    struct registry_held *held = load(place);
    assert_int_equal(held->current.number, 1);
    assert_int_equal(held->highest, 1);
    assert_false(held->recovered);
    assert_false(there(place, "generations/00000002.tmp"));
    assert_false(there(place, "generations/00000003"));
    assert_false(there(place, ".desired.0011223344556677.new"));
    assert_content(place, "current/a", "one");
    free(held);
}

static void two_generations(const struct place *place)
{
    build(place, 1, "one");
    assert_true(registry_switch(place->registry, 1, NULL));
    build(place, 2, "two");
    assert_true(registry_switch(place->registry, 2, NULL));
}

static void assert_back_to_one(const struct place *place)
{
    struct registry_held *held = load(place);
    assert_int_equal(held->current.number, 1);
    assert_true(held->recovered);
    assert_content(place, "current/a", "one");
    free(held);
}

/* As a restore with `cp -rL` leaves it. */
static void test_current_is_a_folder(void **state)
{
    struct place *place = *state;
    char path[256];
    two_generations(place);
    in_place(place, "current", path);
    assert_true(file_remove(path, NULL));
    plant_folder(place, "current");
    plant(place, "current/a", "a copy");
    struct registry_held *held = load(place);
    assert_int_equal(held->current.number, 2);
    assert_true(held->recovered);
    free(held);
    assert_content(place, "current/a", "two");
}

/* What stands in the folders' places goes: results are taken whatever the registry holds. */
static void test_files_where_folders_should_be(void **state)
{
    struct place *place = *state;
    static const char *const folders[] = {"blobs", "generations"};
    char path[256];
    struct err err = {0};
    two_generations(place);
    for (size_t i = 0; i < 2; i++) {
        in_place(place, folders[i], path);
        assert_true(file_remove_tree(path, NULL));
        if (i == 0)
            plant(place, folders[i], "x");
        else
            assert_true(file_point(path, "nowhere", NULL));
    }
    registry_close(place->registry);
    if (!registry_open(place->dir, place->floors, sha256, &place->registry, &err))
        fail_msg("%s", err.text);
    struct registry_held *held = load(place);
    assert_int_equal(held->current.number, 0);
    free(held);
    build(place, 3, "three");
    assert_true(registry_switch(place->registry, 3, NULL));
    assert_content(place, "current/a", "three");
}

static void test_current_points_nowhere(void **state)
{
    struct place *place = *state;
    char path[256];
    two_generations(place);
    in_place(place, "generations/00000002", path);
    assert_true(file_remove_tree(path, NULL));
    assert_back_to_one(place);
}

static void test_damaged_list(void **state)
{
    struct place *place = *state;
    char path[256];
    struct buf content = {0};
    two_generations(place);
    in_place(place, "generations/00000002/.items", path);
    assert_true(file_read(path, 4096, &content, NULL));
    content.data[content.length / 2] ^= 1;
    assert_true(file_write(path, buf_bytes(&content), 0600, NULL));
    buf_done(&content);
    assert_back_to_one(place);
    struct registry_held *held = load(place);
    assert_false(held->recovered); /* said once */
    assert_int_equal(held->highest, 1);
    free(held);
}

/* A whole list in the wrong place: believed, the sweep would take away what is in force. */
static void test_list_of_another(void **state)
{
    struct place *place = *state;
    char from[256], to[256];
    struct buf content = {0};
    two_generations(place);
    in_place(place, "generations/00000001/.items", from);
    in_place(place, "generations/00000002/.items", to);
    assert_true(file_read(from, 4096, &content, NULL));
    assert_true(file_write(to, buf_bytes(&content), 0600, NULL));
    buf_done(&content);
    assert_back_to_one(place);
    assert_true(there(place, "generations/00000002/a")); /* left for a repair to look at */
}

static void test_nothing_whole(void **state)
{
    struct place *place = *state;
    build(place, 7, "seven");
    assert_true(registry_switch(place->registry, 7, NULL));
    plant(place, "generations/00000007/.items", "");
    struct registry_held *held = load(place);
    assert_int_equal(held->current.number, 0);
    assert_int_equal(held->highest, 7); /* the number is not used again */
    assert_true(held->recovered);
    assert_content(place, "current/a", "seven"); /* better than nothing */
    free(held);
}

static ino_t inode(const struct place *place, const char *name)
{
    char path[256];
    struct stat st;
    in_place(place, name, path);
    assert_int_equal(stat(path, &st), 0);
    return st.st_ino;
}

static void test_carry_replace_share(void **state)
{
    struct place *place = *state;
    build(place, 1, "one");
    assert_true(registry_switch(place->registry, 1, NULL));
    assert_true(registry_build_begin(place->registry, 2, NULL));
    assert_true(registry_build_carry(place->registry, 2, 1, "a", NULL));
    struct registry_generation *made = generation(2, 1);
    assert_true(registry_build_finish(place->registry, made, bytes_of("m", 1), NULL));
    free(made);
    assert_true(registry_switch(place->registry, 2, NULL));
    assert_true(inode(place, "generations/00000001/a") == inode(place, "current/a"));
    assert_true(registry_replace(place->registry, 2, "a", false, bytes_of("new", 3), NULL));
    assert_content(place, "current/a", "new");
    assert_content(place, "generations/00000001/a", "one");
    assert_true(registry_share(place->registry, 1, 2, "a", NULL));
    assert_content(place, "generations/00000001/a", "new");
    assert_true(inode(place, "generations/00000001/a") == inode(place, "current/a"));
}

/* What it was opened to, and that it is no one else's, is kept; only owner and group may read it.
 */
static void test_sealed(void **state)
{
    struct place *place = *state;
    char path[256];
    struct stat st;
    struct registry_generation *made = generation(1, 1);
    made->list.items[0].sealed = true;
    made->list.items[0].epoch = 3;
    memset(made->list.items[0].opened, 9, 32);
    assert_true(registry_build_begin(place->registry, 1, NULL));
    assert_true(registry_build_write(place->registry, 1, "a", true, bytes_of("x", 1), NULL));
    assert_true(registry_build_finish(place->registry, made, bytes_of("m", 1), NULL));
    assert_true(registry_switch(place->registry, 1, NULL));
    struct registry_held *held = load(place);
    assert_memory_equal(&held->current.list.items[0], &made->list.items[0],
                        sizeof made->list.items[0]);
    assert_ptr_equal(registry_item_content(&held->current.list.items[0]),
                     held->current.list.items[0].opened);
    free(held);
    free(made);
    in_place(place, "current/a", path);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0640);
    assert_true(registry_replace(place->registry, 1, "a", true, bytes_of("y", 1), NULL));
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0640);
}

/* Terminals in the field hold generations that were listed with seven fields. */
static void test_list_of_before(void **state)
{
    struct place *place = *state;
    char path[256];
    char zeros[65];
    char text[400];
    uint8_t digest[32] = {0};
    build(place, 1, "one");
    assert_true(registry_switch(place->registry, 1, NULL));
    hex_encode(digest, 32, zeros);
    int length = snprintf(text, sizeof text, "muster-generation\t1\t%s\na\t4\t7\t3\t%s\t%s\t11\n",
                          zeros, zeros, zeros);
    sha256(bytes_of(text, (size_t)length), digest);
    hex_encode(digest, 32, zeros);
    length += snprintf(text + length, sizeof text - (size_t)length, "sum %s\n", zeros);
    in_place(place, "current/.items", path);
    assert_true(file_write(path, bytes_of(text, (size_t)length), 0600, NULL));
    struct registry_held *held = load(place);
    assert_int_equal(held->current.number, 1);
    assert_false(held->recovered);
    assert_int_equal(held->current.list.items[0].version, 7);
    assert_int_equal(held->current.list.items[0].epoch, 0);
    assert_false(held->current.list.items[0].sealed);
    free(held);
}

static bool keep_mine(void *ctx, const char *name)
{
    (*(int *)ctx)++;
    return strcmp(name, "mine") != 0;
}

static void test_strays(void **state)
{
    struct place *place = *state;
    int asked = 0;
    build(place, 1, "one");
    assert_true(registry_switch(place->registry, 1, NULL));
    plant(place, "current/mine", "x");
    plant(place, "current/stray", "x");
    plant(place, "current/.a.0011223344556677.new", "x");
    struct registry_generation *made = generation(1, 1);
    assert_true(registry_strays(place->registry, made, keep_mine, &asked, NULL));
    free(made);
    assert_int_equal(asked, 2);
    assert_true(there(place, "current/mine"));
    assert_false(there(place, "current/stray"));
    assert_false(there(place, "current/.a.0011223344556677.new"));
    assert_true(there(place, "current/.items") && there(place, "current/.manifest"));
    assert_content(place, "current/a", "one");
}

static bool need_ones(void *ctx, const uint8_t blob[32])
{
    (void)ctx;
    return blob[0] == 1;
}

static void count_blob(void *ctx, const uint8_t blob[32])
{
    assert_int_equal(blob[0], 1);
    (*(int *)ctx)++;
}

static void test_blobs_and_prune(void **state)
{
    struct place *place = *state;
    uint8_t one[32], two[32];
    struct buf content = {0};
    int count = 0;
    memset(one, 1, 32);
    memset(two, 2, 32);
    two_generations(place);
    build(place, 3, "three");
    assert_true(registry_blob_write(place->registry, one, bytes_of("1", 1), NULL));
    assert_true(registry_blob_write(place->registry, two, bytes_of("2", 1), NULL));
    plant(place, "blobs/.0101.0011223344556677.new", "half");
    const uint64_t keep[2] = {2, 0};
    assert_true(registry_prune(place->registry, keep, 2, need_ones, NULL, NULL));
    assert_false(there(place, "generations/00000001"));
    assert_false(there(place, "generations/00000003.tmp"));
    assert_content(place, "current/a", "two");
    assert_true(registry_blobs(place->registry, count_blob, &count, NULL));
    assert_int_equal(count, 1);
    assert_false(there(place, "blobs/.0101.0011223344556677.new"));
    assert_true(registry_blob_read(place->registry, one, 1, &content, NULL));
    buf_done(&content);
    struct err err = {0};
    assert_false(registry_blob_read(place->registry, two, 1, &content, &err));
    assert_int_equal(err.code, ERR_NOT_FOUND);
}

static void test_failure(void **state)
{
    struct place *place = *state;
    struct registry_failure failure = {
        .present = true, .content = true, .item = "bin", .manifest_version = 12, .key = {7}};
    struct registry_failure back;
    assert_true(registry_failure_read(place->registry, &back, NULL));
    assert_false(back.present);
    memset(failure.digest, 9, 32);
    memcpy(failure.reason, "two\nlines", 10);
    assert_true(registry_failure_write(place->registry, &failure, NULL));
    assert_true(registry_failure_read(place->registry, &back, NULL));
    assert_true(back.present && back.content);
    assert_string_equal(back.item, "bin");
    assert_string_equal(back.reason, "two lines");
    assert_int_equal(back.manifest_version, 12);
    assert_memory_equal(back.digest, failure.digest, 32);
    assert_memory_equal(back.key, failure.key, 32);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_nothing_yet, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_build_and_switch, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_leftovers_go, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_current_is_a_folder, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_files_where_folders_should_be, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_current_points_nowhere, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_damaged_list, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_list_of_another, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_nothing_whole, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_carry_replace_share, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_sealed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_list_of_before, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_strays, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_blobs_and_prune, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_failure, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
