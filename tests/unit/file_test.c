/* SPDX-License-Identifier: Apache-2.0 */
#include "base/file.h"

#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

struct place {
    char dir[PATH_MAX];
    char text[PATH_MAX + 64]; /* the path made last */
};

static const char *at(struct place *place, const char *name)
{
    (void)snprintf(place->text, sizeof place->text, "%s/%s", place->dir, name);
    return place->text;
}

static int set_up(void **state)
{
    struct place *place = calloc(1, sizeof *place);
    const char *tmp = getenv("TMPDIR");
    (void)snprintf(place->dir, sizeof place->dir, "%s/file_test.XXXXXX", tmp ? tmp : "/tmp");
    *state = place;
    return mkdtemp(place->dir) != NULL ? 0 : -1;
}

static int tear_down(void **state)
{
    struct place *place = *state;
    struct err err;
    bool ok = file_remove_tree(place->dir, &err);
    free(place);
    return ok ? 0 : -1;
}

static bool count_entry(void *ctx, const char *name)
{
    (void)name;
    ++*(int *)ctx;
    return true;
}

static int entries(const char *dir)
{
    int count = 0;
    struct err err;
    assert_true(file_list(dir, count_entry, &count, &err));
    return count;
}

static void assert_content(const char *path, const char *expected)
{
    struct buf content = {0};
    struct err err;
    assert_true(file_read(path, 1024, &content, &err));
    assert_true(bytes_equal(buf_bytes(&content), bytes_of(expected, strlen(expected))));
    buf_done(&content);
}

static void write_replaces_whole_with_exact_mode(void **state)
{
    struct place *place = *state;
    struct err err;
    mode_t before = umask(0077);
    assert_true(file_write(at(place, "a"), bytes_of("one", 3), 0644, &err));
    umask(before);
    assert_true(file_write(at(place, "a"), bytes_of("second", 6), 0640, &err));
    assert_content(at(place, "a"), "second");
    struct stat st;
    assert_int_equal(stat(at(place, "a"), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0640);
    assert_int_equal(entries(place->dir), 1);
    assert_true(file_write(at(place, "empty"), bytes_of(NULL, 0), 0600, &err));
    assert_content(at(place, "empty"), "");
}

static void failed_write_leaves_nothing(void **state)
{
    struct place *place = *state;
    struct err err;
    assert_int_equal(mkdir(at(place, "d"), 0700), 0);
    assert_false(file_write(at(place, "d"), bytes_of("x", 1), 0600, &err)); /* a directory */
    assert_int_equal(entries(place->dir), 1);
    assert_false(file_write(at(place, "missing/a"), bytes_of("x", 1), 0600, &err));
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_non_null(strstr(err.text, "missing"));
}

static void read_is_bounded(void **state)
{
    struct place *place = *state;
    struct err err;
    struct buf content = {0};
    assert_true(file_write(at(place, "a"), bytes_of("12345", 5), 0600, &err));
    assert_true(file_read(at(place, "a"), 5, &content, &err));
    buf_done(&content);
    assert_false(file_read(at(place, "a"), 4, &content, &err));
    assert_int_equal(err.code, ERR_INVALID);
    assert_null(content.data);
    assert_false(file_read(at(place, "b"), 4, &content, &err));
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_false(file_read(place->dir, 4, &content, &err));
    /* A FIFO without a writer would hang whoever opens it unprepared. */
    assert_int_equal(mkfifo(at(place, "fifo"), 0600), 0);
    assert_false(file_read(at(place, "fifo"), 4, &content, &err));
    assert_int_equal(err.code, ERR_INVALID);
}

static void patch_overwrites_in_place_and_never_grows(void **state)
{
    struct place *place = *state;
    struct err err;
    struct stat before, after;
    assert_true(file_write(at(place, "a"), bytes_of("0123456789", 10), 0640, &err));
    assert_int_equal(stat(place->text, &before), 0);
    assert_true(file_patch(place->text, 3, bytes_of("abc", 3), &err));
    assert_true(file_patch(place->text, 8, bytes_of("yz", 2), &err)); /* up to its end */
    assert_true(file_patch(place->text, 10, bytes_of("", 0), &err));
    assert_content(place->text, "012abc67yz");
    assert_int_equal(stat(place->text, &after), 0);
    assert_int_equal(before.st_ino, after.st_ino);
    assert_false(file_patch(place->text, 9, bytes_of("..", 2), &err));
    assert_int_equal(err.code, ERR_INVALID);
    assert_false(file_patch(place->text, UINT64_MAX, bytes_of(".", 1), &err));
    assert_int_equal(err.code, ERR_INVALID);
    assert_content(place->text, "012abc67yz");
    assert_false(file_patch(at(place, "b"), 0, bytes_of(".", 1), &err));
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_false(file_exists(place->text));
    assert_true(file_point(place->text, "a", &err));
    assert_false(file_patch(place->text, 0, bytes_of(".", 1), &err)); /* not through a link */
    assert_false(file_patch(place->dir, 0, bytes_of(".", 1), &err));
    assert_int_equal(mkfifo(at(place, "fifo"), 0600), 0);
    assert_false(file_patch(place->text, 0, bytes_of(".", 1), &err));
}

static void directories_are_made_with_parents(void **state)
{
    struct place *place = *state;
    struct err err;
    assert_true(file_make_dir(at(place, "x//y/z/"), 0700, &err));
    assert_true(file_make_dir(at(place, "x/y/z"), 0700, &err));
    assert_true(file_exists(at(place, "x/y/z")));
    assert_true(file_write(at(place, "x/file"), bytes_of("x", 1), 0600, &err));
    assert_false(file_make_dir(at(place, "x/file"), 0700, &err));
    assert_false(file_make_dir(at(place, "x/file/below"), 0700, &err));
    assert_false(file_make_dir("", 0700, &err));
}

static void links_and_renames(void **state)
{
    struct place *place = *state;
    struct err err;
    char from[PATH_MAX], to[PATH_MAX];
    assert_true(path_join(from, sizeof from, place->dir, "from", &err));
    assert_true(path_join(to, sizeof to, place->dir, "to", &err));
    assert_true(file_write(from, bytes_of("x", 1), 0600, &err));
    assert_true(file_link(from, to, &err));
    assert_false(file_link(from, to, &err)); /* exists */
    assert_true(file_remove(from, &err));
    assert_true(file_remove(from, &err)); /* missing is fine */
    assert_content(to, "x");
    assert_true(file_write(from, bytes_of("new", 3), 0600, &err));
    assert_true(file_rename(from, to, &err));
    assert_content(to, "new");
    assert_false(file_exists(from));
    assert_false(file_rename(from, to, &err));
    assert_int_equal(err.code, ERR_NOT_FOUND);
}

static void point_switches_in_one_step(void **state)
{
    struct place *place = *state;
    struct err err;
    char target[64] = {0};
    assert_true(file_point(at(place, "current"), "generations/1", &err));
    assert_true(file_point(at(place, "current"), "generations/2", &err));
    assert_int_equal(readlink(at(place, "current"), target, sizeof target - 1), 13);
    assert_string_equal(target, "generations/2");
    assert_int_equal(entries(place->dir), 1);
    assert_true(file_exists(at(place, "current"))); /* although it dangles */
}

static void tree_is_removed_without_following_links(void **state)
{
    struct place *place = *state;
    struct err err;
    assert_true(file_make_dir(at(place, "kept"), 0700, &err));
    assert_true(file_write(at(place, "kept/a"), bytes_of("x", 1), 0600, &err));
    assert_true(file_make_dir(at(place, "tree/deep/er"), 0700, &err));
    assert_true(file_write(at(place, "tree/deep/a"), bytes_of("x", 1), 0600, &err));
    assert_true(file_point(at(place, "tree/deep/link"), "../../kept", &err));
    assert_true(file_remove_tree(at(place, "tree"), &err));
    assert_false(file_exists(at(place, "tree")));
    assert_true(file_exists(at(place, "kept/a")));
    assert_true(file_remove_tree(at(place, "tree"), &err));
}

static bool stop_at_once(void *ctx, const char *name)
{
    count_entry(ctx, name);
    return false;
}

static void list_can_be_stopped(void **state)
{
    struct place *place = *state;
    struct err err;
    int count = 0;
    assert_true(file_write(at(place, "a"), bytes_of("x", 1), 0600, &err));
    assert_true(file_write(at(place, "b"), bytes_of("x", 1), 0600, &err));
    assert_true(file_list(place->dir, stop_at_once, &count, &err));
    assert_int_equal(count, 1);
    assert_false(file_list(at(place, "missing"), stop_at_once, &count, &err));
}

static void what_interrupted_writes_left_is_swept(void **state)
{
    static const char *const kept[] = {"floors", ".floors2.0123456789abcdef.new", "floors.new",
                                       ".floors.0123456789abcdef.old", ".other.new"};
    static const char *const left[] = {".floors.0123456789abcdef.new",
                                       ".floors.chain.0123456789abcdef.new"};
    struct place *place = *state;
    struct err err;
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
        assert_true(file_write(at(place, kept[i]), bytes_of("x", 1), 0600, &err));
    for (size_t i = 0; i < sizeof left / sizeof *left; i++)
        assert_true(file_write(at(place, left[i]), bytes_of("x", 1), 0600, &err));
    assert_true(file_sweep_beside(at(place, "floors"), &err));
    assert_int_equal(entries(place->dir), sizeof kept / sizeof *kept);
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
        assert_true(file_exists(at(place, kept[i])));
    assert_true(file_sweep_beside(at(place, "missing/floors"), &err));
}

static void joined_paths_have_one_slash_and_fit(void **state)
{
    (void)state;
    char out[8];
    struct err err;
    assert_true(path_join(out, sizeof out, "/var", "x", &err));
    assert_string_equal(out, "/var/x");
    assert_true(path_join(out, sizeof out, "/var/", "x", &err));
    assert_string_equal(out, "/var/x");
    assert_true(path_join(out, sizeof out, "", "x", &err));
    assert_string_equal(out, "x");
    assert_true(path_join(out, sizeof out, "/var", "ab", &err));
    assert_false(path_join(out, sizeof out, "/var", "abc", &err));
    assert_int_equal(err.code, ERR_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(write_replaces_whole_with_exact_mode, set_up, tear_down),
        cmocka_unit_test_setup_teardown(failed_write_leaves_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(read_is_bounded, set_up, tear_down),
        cmocka_unit_test_setup_teardown(patch_overwrites_in_place_and_never_grows, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(directories_are_made_with_parents, set_up, tear_down),
        cmocka_unit_test_setup_teardown(links_and_renames, set_up, tear_down),
        cmocka_unit_test_setup_teardown(point_switches_in_one_step, set_up, tear_down),
        cmocka_unit_test_setup_teardown(tree_is_removed_without_following_links, set_up, tear_down),
        cmocka_unit_test_setup_teardown(list_can_be_stopped, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_interrupted_writes_left_is_swept, set_up, tear_down),
        cmocka_unit_test(joined_paths_have_one_slash_and_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
