/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/owned.h"

#include "agent/settings.h"
#include "base/file.h"
#include "base/file_others.h"
#include "proto/seal.h"
#include "tests/unit/testing.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define NONE MUSTER__DIFFERENCE_KIND__DIFFERENCE_NONE

struct place {
    char dir[64];
    char path[96];
};

static int set_up(void **state)
{
    struct place *place = calloc(1, sizeof *place);
    const char *tmp = getenv("TMPDIR");
    (void)snprintf(place->dir, sizeof place->dir, "%s/owned_test.XXXXXX",
                   tmp != NULL ? tmp : "/tmp");
    *state = place;
    if (mkdtemp(place->dir) == NULL)
        return -1;
    (void)snprintf(place->path, sizeof place->path, "%s/bin.tsv", place->dir);
    return 0;
}

static int tear_down(void **state)
{
    struct place *place = *state;
    bool clean = file_remove_tree(place->dir, NULL);
    free(place);
    return clean ? 0 : -1;
}

/* ---- the settings ---- */

static bool load(const struct place *place, const char *lines, struct agent_settings *settings,
                 struct err *err)
{
    char path[128], text[1024];
    int n = snprintf(text, sizeof text,
                     "[device]\nid = t\nserial = 1\nmodel = m\n[paths]\nstate = /var/lib/muster\n"
                     "[owned]\n%s",
                     lines);
    (void)snprintf(path, sizeof path, "%s/agent.conf", place->dir);
    assert_true(file_write(path, bytes_of(text, (size_t)n), 0644, NULL));
    return agent_settings_load(path, settings, err);
}

static void assert_no_settings(const struct place *place, const char *lines, const char *why)
{
    static struct agent_settings settings;
    struct err err = {0};
    assert_false(load(place, lines, &settings, &err));
    if (strstr(err.text, why) == NULL)
        fail_msg("%s", err.text);
}

static void test_settings_name_files(void **state)
{
    static struct agent_settings settings;
    struct err err = {0};
    if (!load(*state, "", &settings, &err))
        fail_msg("%s", err.text);
    assert_int_equal(settings.owned.count, 0);
    assert_null(owned_path(&settings.owned, "bin.tsv"));
    if (!load(*state, "bin.tsv = /opt/pay/bin.tsv\naid-list=/opt/pay/my aids\n", &settings, &err))
        fail_msg("%s", err.text);
    assert_int_equal(settings.owned.count, 2);
    assert_string_equal(owned_path(&settings.owned, "bin.tsv"), "/opt/pay/bin.tsv");
    assert_string_equal(owned_path(&settings.owned, "aid-list"), "/opt/pay/my aids");
    assert_null(owned_path(&settings.owned, "bin"));
    /* Neither below the state folder: only its name begins alike. */
    assert_true(load(*state, "a = /var/lib/muster2/a\nb = /var/lib/b\n", &settings, &err));
}

static void test_settings_that_cannot_be_meant(void **state)
{
    static char many[OWNED_FILES + 1][24];
    char all[1024] = "", longer[400] = "a = /";
    assert_no_settings(*state, "bin.tsv = bin.tsv\n", "absolute path");
    assert_no_settings(*state, "bin.tsv =\n", "absolute path");
    assert_no_settings(*state, "BIN = /opt/bin\n", "no document can have this name");
    assert_no_settings(*state, "a = /opt/a\na = /opt/b\n", "given twice");
    assert_no_settings(*state, "a = /opt/a\nb = /opt/a\n", "is owned.a already");
    assert_no_settings(*state, "a = /opt/../etc/a\n", "without . or ..");
    assert_no_settings(*state, "a = /var/lib/muster/registry/current/a\n", "below paths.state");
    assert_no_settings(*state, "a = /var/lib/muster\n", "below paths.state");
    memset(longer + 5, 'x', OWNED_PATH_BYTES);
    assert_no_settings(*state, longer, "paths");
    for (size_t i = 0; i <= OWNED_FILES; i++) {
        (void)snprintf(many[i], sizeof many[i], "a%zu = /a%zu\n", i, i);
        strcat(all, many[i]);
    }
    assert_no_settings(*state, all, "at most 32");
}

/* ---- one look ---- */

static void test_it_is_hashed_and_kept_within_its_limit(void **state)
{
    const struct place *place = *state;
    struct owned_look look;
    uint8_t digest[32];
    struct buf content = {.limit = 5};
    assert_true(file_write(place->path, bytes_of("hello", 5), 0644, NULL));
    sha256(bytes_of("hello", 5), digest);
    owned_look(place->path, 99, &content, &look);
    assert_int_equal(look.kind, NONE);
    assert_int_equal(look.length, 5);
    assert_memory_equal(look.sha256, digest, 32);
    assert_int_equal(content.length, 5);
    buf_done(&content);
    content.limit = 4;
    owned_look(place->path, 99, &content, &look);
    assert_memory_equal(look.sha256, digest, 32);
    assert_int_equal(content.length, 0);
    buf_done(&content);
}

static Muster__DifferenceKind kind_at(const char *path, uint64_t wanted)
{
    struct owned_look look;
    owned_look(path, wanted, NULL, &look);
    return look.kind;
}

static void test_what_is_no_file_is_not_opened(void **state)
{
    const struct place *place = *state;
    char beside[128];
    (void)snprintf(beside, sizeof beside, "%s/other", place->dir);
    assert_int_equal(kind_at(place->path, 1), MUSTER__DIFFERENCE_KIND__DIFFERENCE_MISSING);
    assert_true(file_write(beside, bytes_of("hello", 5), 0644, NULL));
    assert_int_equal(symlink(beside, place->path), 0);
    assert_int_equal(kind_at(place->path, 5), MUSTER__DIFFERENCE_KIND__DIFFERENCE_NO_FILE);
    assert_int_equal(unlink(place->path), 0);
    assert_int_equal(mkfifo(place->path, 0600), 0);
    assert_int_equal(kind_at(place->path, 5), MUSTER__DIFFERENCE_KIND__DIFFERENCE_NO_FILE);
    assert_int_equal(unlink(place->path), 0);
    assert_int_equal(mkdir(place->path, 0700), 0);
    assert_int_equal(kind_at(place->path, 5), MUSTER__DIFFERENCE_KIND__DIFFERENCE_NO_FILE);
    (void)strcat(strcpy(beside, place->path), "/in.tsv");
    assert_int_equal(kind_at(beside, 5), MUSTER__DIFFERENCE_KIND__DIFFERENCE_MISSING);
}

static void test_gigabytes_are_not_read_in_vain(void **state)
{
    const struct place *place = *state;
    struct owned_look look;
    assert_true(file_write(place->path, bytes_of("", 0), 0644, NULL));
    assert_int_equal(truncate(place->path, (off_t)LIMIT_DOCUMENT_BYTES + 1), 0);
    owned_look(place->path, 5, NULL, &look);
    assert_int_equal(look.kind, MUSTER__DIFFERENCE_KIND__DIFFERENCE_TOO_LONG);
    assert_int_equal(look.length, LIMIT_DOCUMENT_BYTES + 1);
    /* As long as what is wanted it may be that. */
    assert_int_equal(kind_at(place->path, (uint64_t)LIMIT_DOCUMENT_BYTES + 1), NONE);
}

static void test_what_cannot_be_read_says_why(void **state)
{
    const struct place *place = *state;
    struct owned_look look;
    char longest[300];
    memset(longest, 'x', sizeof longest - 1);
    longest[0] = '/';
    longest[sizeof longest - 1] = '\0';
    owned_look(longest, 5, NULL, &look);
    assert_int_equal(look.kind, MUSTER__DIFFERENCE_KIND__DIFFERENCE_UNREADABLE);
    assert_string_equal(look.why, "File name too long");
    if (geteuid() == 0) /* who may read all */
        return;
    assert_true(file_write(place->path, bytes_of("hello", 5), 0000, NULL));
    owned_look(place->path, 5, NULL, &look);
    assert_int_equal(look.kind, MUSTER__DIFFERENCE_KIND__DIFFERENCE_UNREADABLE);
    assert_string_equal(look.why, "Permission denied");
}

/* Its owner writes on while it is read. */
struct writer {
    const char *path;
    bool shorter;
    bool done;
};

static bool any_length(void *ctx, uint64_t length)
{
    (void)ctx, (void)length;
    return true;
}

static void write_on(void *ctx, struct bytes part)
{
    struct writer *writer = ctx;
    (void)part;
    if (writer->done)
        return;
    writer->done = true;
    int fd = open(writer->path, O_WRONLY | O_APPEND | O_CLOEXEC);
    assert_true(fd >= 0);
    if (writer->shorter)
        assert_int_equal(ftruncate(fd, 3), 0);
    else
        assert_int_equal(write(fd, "more", 4), 4);
    assert_int_equal(close(fd), 0);
}

static void test_a_file_under_way_is_of_no_moment(void **state)
{
    const struct place *place = *state;
    struct file_others others;
    for (int shorter = 0; shorter < 2; shorter++) {
        struct writer writer = {.path = place->path, .shorter = shorter == 1};
        assert_true(file_write(place->path, bytes_of("hello", 5), 0644, NULL));
        file_others_read(place->path, any_length, write_on, &writer, &others);
        assert_int_equal(others.found, FILE_OTHERS_CHANGED);
    }
}

static void write_over(void *ctx, struct bytes part)
{
    struct writer *writer = ctx;
    struct timespec now;
    struct stat st;
    (void)part;
    int fd = open(writer->path, O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0 && fstat(fd, &st) == 0);
    /* Newer kernels stamp finer than that, where somebody has looked: so the clock is asked too. */
    assert_int_equal(clock_gettime(CLOCK_REALTIME_COARSE, &now), 0);
    assert_true(now.tv_sec > st.st_ctim.tv_sec ||
                (now.tv_sec == st.st_ctim.tv_sec && now.tv_nsec > st.st_ctim.tv_nsec));
    assert_int_equal(write(fd, "HELLO", 5), 5);
    assert_int_equal(close(fd), 0);
}

/* Of the same length and within the same tick of the clock that files are stamped by. */
static void test_a_file_written_over_leaves_a_trace(void **state)
{
    const struct place *place = *state;
    struct writer writer = {.path = place->path};
    struct file_others others;
    for (int i = 0; i < 20; i++) {
        assert_true(file_write(place->path, bytes_of("hello", 5), 0644, NULL));
        file_others_read(place->path, any_length, write_over, &writer, &others);
        assert_int_equal(others.found, FILE_OTHERS_CHANGED);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_settings_name_files, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_settings_that_cannot_be_meant, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_it_is_hashed_and_kept_within_its_limit, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_what_is_no_file_is_not_opened, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_gigabytes_are_not_read_in_vain, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_cannot_be_read_says_why, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_file_under_way_is_of_no_moment, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_file_written_over_leaves_a_trace, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
