/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/disk/disk.h"

#include "base/file.h"
#include "tests/unit/testing.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct place {
    char dir[64], path[128];
    struct disk_log log;
    struct disk *disk;
    struct disk_image image;
};

static int set_up(void **state)
{
    struct place *place = calloc(1, sizeof *place);
    (void)snprintf(place->dir, sizeof place->dir, "/tmp/muster-test-XXXXXX");
    *state = place;
    return mkdtemp(place->dir) != NULL ? 0 : -1;
}

static int tear_down(void **state)
{
    struct place *place = *state;
    (void)disk_tap_set(NULL);
    disk_free(place->disk);
    disk_image_done(&place->image);
    disk_log_done(&place->log);
    bool ok = file_remove_tree(place->dir, NULL);
    free(place);
    return ok ? 0 : -1;
}

static const char *at(struct place *place, const char *name)
{
    (void)snprintf(place->path, sizeof place->path, "%s/%s", place->dir, name);
    return place->path;
}

static struct bytes text(const char *string)
{
    return bytes_of(string, strlen(string));
}

/* Replays up to and with the n-th operation of a kind. */
static void replay(struct place *place, enum disk_kind kind, int n)
{
    const struct disk_entry *entry;
    disk_log_end(&place->log);
    disk_free(place->disk);
    place->disk = disk_new(&place->log);
    while (n > 0) {
        assert_true(disk_next(place->disk, &entry));
        n -= entry->kind == kind;
    }
}

/* "name=content name>target dir/ " of the image, in its order. */
static void assert_left(struct place *place, enum disk_kept writes, enum disk_kept names,
                        const char *expected)
{
    char found[512] = "";
    const struct disk_cut cut = {writes, names, 1};
    disk_image(place->disk, &cut, &place->image);
    for (size_t i = 0; i < place->image.count; i++) {
        const struct disk_image_file *file = &place->image.files[i];
        size_t length = strlen(found);
        (void)snprintf(found + length, sizeof found - length, "%s%s%.*s ", file->path,
                       file->node == DISK_DIR            ? "/"
                       : file->node == DISK_SYMLINK_NODE ? ">"
                                                         : "=",
                       (int)file->content.length, (const char *)file->content.data);
    }
    assert_string_equal(found, expected);
}

static void what_was_there_is_kept(void **state)
{
    struct place *place = *state;
    assert_true(file_write(at(place, "a"), text("old"), 0600, NULL));
    disk_log_begin(&place->log, place->dir);
    assert_true(file_patch(at(place, "a"), 0, text("new"), NULL));
    replay(place, DISK_WRITE, 1);
    assert_left(place, DISK_KEPT_ALL, DISK_KEPT_ALL, "a=new ");
    assert_left(place, DISK_KEPT_NONE, DISK_KEPT_NONE, "a=old ");
    assert_int_equal(disk_unsynced_writes(place->disk), 1);
    assert_int_equal(disk_unsynced_names(place->disk), 0);
    replay(place, DISK_SYNC, 1);
    assert_left(place, DISK_KEPT_NONE, DISK_KEPT_NONE, "a=new ");
    disk_free(place->disk);
    place->disk = disk_new(&place->log);
    disk_lie(place->disk);
    const struct disk_entry *entry;
    while (disk_next(place->disk, &entry))
        continue;
    assert_left(place, DISK_KEPT_NONE, DISK_KEPT_NONE, "a=old ");
}

static void names_and_bytes_are_kept_apart(void **state)
{
    struct place *place = *state;
    disk_log_begin(&place->log, place->dir);
    assert_true(file_write(at(place, "a"), text("one"), 0600, NULL));
    assert_true(file_write(at(place, "a"), text("two"), 0600, NULL));
    replay(place, DISK_RENAME, 1); /* synced, and not its name */
    assert_left(place, DISK_KEPT_ALL, DISK_KEPT_ALL, "a=one ");
    assert_left(place, DISK_KEPT_ALL, DISK_KEPT_NONE, "");
    replay(place, DISK_SYNC_DIR, 1);
    assert_left(place, DISK_KEPT_NONE, DISK_KEPT_NONE, "a=one ");
    replay(place, DISK_RENAME, 2);
    assert_left(place, DISK_KEPT_NONE, DISK_KEPT_NONE, "a=one ");
    assert_left(place, DISK_KEPT_NONE, DISK_KEPT_ALL, "a=two ");
    replay(place, DISK_SYNC_DIR, 2);
    assert_left(place, DISK_KEPT_NONE, DISK_KEPT_NONE, "a=two ");
}

static void links_folders_and_removals(void **state)
{
    struct place *place = *state;
    char other[128];
    disk_log_begin(&place->log, place->dir);
    assert_true(file_make_dir(at(place, "d"), 0700, NULL));
    assert_true(file_write(at(place, "d/a"), text("one"), 0600, NULL));
    (void)snprintf(other, sizeof other, "%s/b", place->dir);
    assert_true(file_link(at(place, "d/a"), other, NULL));
    assert_true(file_point(at(place, "d/l"), "../b", NULL));
    assert_true(file_remove(at(place, "d/a"), NULL));
    assert_true(file_remove_tree(at(place, "d"), NULL));
    replay(place, DISK_LINK, 1);
    assert_left(place, DISK_KEPT_ALL, DISK_KEPT_NONE, "d/ d/a=one ");
    assert_left(place, DISK_KEPT_ALL, DISK_KEPT_ALL, "d/ b=one d/a=one ");
    replay(place, DISK_UNLINK, 1);
    assert_left(place, DISK_KEPT_ALL, DISK_KEPT_NONE, "d/ b=one d/a=one d/l>../b ");
    assert_left(place, DISK_KEPT_ALL, DISK_KEPT_ALL, "d/ b=one d/l>../b ");
    assert_true(disk_image_write(&place->image, at(place, "copy"), NULL));
    struct buf content = {0};
    assert_true(file_read(at(place, "copy/b"), 16, &content, NULL));
    assert_true(bytes_equal(buf_bytes(&content), text("one")));
    buf_done(&content);
    replay(place, DISK_UNLINK, 3);
    assert_left(place, DISK_KEPT_ALL, DISK_KEPT_NONE, "d/ b=one d/l>../b ");
    replay(place, DISK_SYNC_DIR, 6);
    assert_left(place, DISK_KEPT_NONE, DISK_KEPT_NONE, "b=one ");
}

/* Between two directories a file may have both names, never none. */
static void a_rename_never_loses_the_file(void **state)
{
    struct place *place = *state;
    char to[128];
    assert_true(file_make_dir(at(place, "x"), 0700, NULL));
    assert_true(file_make_dir(at(place, "y"), 0700, NULL));
    assert_true(file_write(at(place, "x/a"), text("one"), 0600, NULL));
    disk_log_begin(&place->log, place->dir);
    (void)snprintf(to, sizeof to, "%s/y/a", place->dir);
    assert_true(file_rename(at(place, "x/a"), to, NULL));
    replay(place, DISK_RENAME, 1);
    for (uint64_t lot = 0; lot < 50; lot++) {
        const struct disk_cut cut = {DISK_KEPT_SOME, DISK_KEPT_SOME, lot};
        disk_image(place->disk, &cut, &place->image);
        assert_int_equal(place->image.count, 3);
    }
    replay(place, DISK_SYNC_DIR, 1);
    const struct disk_cut cut = {DISK_KEPT_NONE, DISK_KEPT_NONE, 0};
    disk_image(place->disk, &cut, &place->image);
    assert_int_equal(place->image.count, 4);
}

/* Sectors of 512 bytes, at their place in the file, old or new as a whole. */
static void torn_writes_keep_whole_sectors(void **state)
{
    struct place *place = *state;
    static char old[4096], new[3000];
    memset(old, 'o', sizeof old);
    memset(new, 'n', sizeof new);
    assert_true(file_write(at(place, "a"), bytes_of(old, sizeof old), 0600, NULL));
    disk_log_begin(&place->log, place->dir);
    assert_true(file_patch(at(place, "a"), 700, bytes_of(new, sizeof new), NULL));
    replay(place, DISK_WRITE, 1);
    unsigned whole = 0, torn = 0;
    for (uint64_t lot = 0; lot < 200; lot++) {
        const struct disk_cut cut = {DISK_KEPT_TORN, DISK_KEPT_ALL, lot};
        disk_image(place->disk, &cut, &place->image);
        struct bytes content = place->image.files[0].content;
        assert_int_equal(content.length, sizeof old);
        size_t changes = 0;
        for (size_t i = 1; i < content.length; i++) {
            if (content.data[i] == content.data[i - 1])
                continue;
            changes++;
            assert_true(i % 512 == 0 || i == 700 || i == 3700);
        }
        whole += changes == 2 && content.data[700] == 'n' && content.data[3699] == 'n';
        torn += changes > 2 || (changes == 2 && content.data[700] != content.data[3699]);
    }
    assert_true(whole < 100 && torn > 50);
}

static void sqlite_goes_by_the_tap(void **state)
{
    struct place *place = *state;
    sqlite3 *db = NULL;
    unsigned kinds[DISK_KINDS] = {0};
    disk_tap_sqlite();
    disk_log_begin(&place->log, place->dir);
    assert_int_equal(sqlite3_open(at(place, "a.db"), &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db,
                                  "PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=WAL;"
                                  "PRAGMA synchronous=FULL; CREATE TABLE t (a);"
                                  "INSERT INTO t VALUES (1); DROP TABLE t; VACUUM;",
                                  NULL, NULL, NULL),
                     SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    for (size_t i = 0; i < place->log.count; i++) {
        assert_true(place->log.entries[i].sqlite);
        kinds[place->log.entries[i].kind]++;
    }
    assert_int_equal(kinds[DISK_CREATE], 3); /* database, journal, WAL */
    assert_int_equal(kinds[DISK_UNLINK], 2);
    assert_true(kinds[DISK_WRITE] > 10 && kinds[DISK_SYNC] > 5 && kinds[DISK_SYNC_DIR] >= 2);
    /* Played back, it is what stands in the directory. */
    const struct disk_cut cut = {DISK_KEPT_ALL, DISK_KEPT_ALL, 0};
    struct buf content = {0};
    replay(place, DISK_UNLINK, 2);
    disk_image(place->disk, &cut, &place->image);
    assert_int_equal(place->image.count, 1);
    assert_true(file_read(at(place, "a.db"), 1 << 20, &content, NULL));
    assert_true(bytes_equal(buf_bytes(&content), place->image.files[0].content));
    buf_done(&content);
}

struct fault {
    enum disk_kind kind;
    int in, errnum;
};

static int fail_nth(void *ctx, const struct disk_op *op)
{
    struct fault *fault = ctx;
    return op->kind == fault->kind && --fault->in == 0 ? fault->errnum : 0;
}

static void an_operation_can_be_let_fail(void **state)
{
    struct place *place = *state;
    const struct {
        enum disk_kind kind;
        int errnum;
        enum err_code code;
    } faults[] = {{DISK_CREATE, EROFS, ERR_IO},    {DISK_WRITE, ENOSPC, ERR_FULL},
                  {DISK_SYNC, EIO, ERR_IO},        {DISK_CHMOD, EIO, ERR_IO},
                  {DISK_RENAME, ENOSPC, ERR_FULL}, {DISK_SYNC_DIR, EIO, ERR_IO}};
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        struct fault fault = {faults[i].kind, 1, faults[i].errnum};
        const struct disk_tap tap = {&fault, fail_nth, NULL};
        struct err err = {0};
        (void)disk_tap_set(&tap);
        assert_false(file_write(at(place, "a"), text("x"), 0600, &err));
        assert_int_equal(err.code, faults[i].code);
        assert_int_equal(fault.in, 0);
        assert_ptr_equal(disk_tap_set(NULL), &tap);
        assert_int_equal(file_exists(place->path), faults[i].kind == DISK_SYNC_DIR);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_was_there_is_kept, set_up, tear_down),
        cmocka_unit_test_setup_teardown(names_and_bytes_are_kept_apart, set_up, tear_down),
        cmocka_unit_test_setup_teardown(links_folders_and_removals, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_rename_never_loses_the_file, set_up, tear_down),
        cmocka_unit_test_setup_teardown(torn_writes_keep_whole_sectors, set_up, tear_down),
        cmocka_unit_test_setup_teardown(sqlite_goes_by_the_tap, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_operation_can_be_let_fail, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
