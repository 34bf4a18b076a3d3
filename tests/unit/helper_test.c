/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/helper_settings.h"

#include "base/file.h"
#include "tests/unit/testing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool words(const char *command, char *argv[HELPER_WORDS_MAX + 1])
{
    static char text[HELPER_COMMAND_BYTES];
    struct err err = {0};
    (void)snprintf(text, sizeof text, "%s", command);
    return helper_words(text, argv, &err);
}

static void test_a_command_is_a_path_and_words(void **state)
{
    (void)state;
    char *argv[HELPER_WORDS_MAX + 1];
    assert_true(words("/bin/systemctl restart app.service", argv));
    assert_string_equal(argv[0], "/bin/systemctl");
    assert_string_equal(argv[2], "app.service");
    assert_null(argv[3]);
    assert_false(words("reboot", argv)); /* no search path */
    assert_false(words("./reboot", argv));
    assert_false(words("", argv));
    assert_false(words("/bin/a  b", argv));
    assert_false(words("/bin/a b ", argv));
    assert_true(words("/bin/a 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16", argv));
    assert_false(words("/bin/a 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17", argv));
}

static void test_a_verb_is_a_setting(void **state)
{
    (void)state;
    const struct helper_settings settings = {.reboot = "/bin/true"};
    assert_string_equal(helper_command(&settings, "reboot"), "/bin/true");
    assert_null(helper_command(&settings, "restart-application")); /* not on this terminal */
    assert_null(helper_command(&settings, "Reboot"));
    assert_null(helper_command(&settings, "reboot "));
    assert_null(helper_command(&settings, ""));
}

static void test_a_program_that_others_could_change(void **state)
{
    (void)state;
    char dir[] = "/tmp/muster-helper-XXXXXX", path[64];
    struct err err = {0};
    assert_non_null(mkdtemp(dir));
    (void)snprintf(path, sizeof path, "%s/program", dir);
    assert_false(helper_program_check(path, &err));
    assert_true(file_write(path, bytes_of("#!/bin/sh\n", 10), 0755, NULL));
    assert_true(helper_program_check(path, &err));
    assert_true(chmod(path, 0757) == 0);
    assert_false(helper_program_check(path, &err));
    assert_int_equal(err.code, ERR_REFUSED);
    assert_true(chmod(path, 0775) == 0);
    assert_false(helper_program_check(path, &err));
    assert_true(chmod(path, 0644) == 0);
    assert_false(helper_program_check(path, &err));
    assert_false(helper_program_check(dir, &err));
    assert_true(chmod(path, 0755) == 0 && helper_program_check(path, &err));
    assert_true(chmod(dir, 0777) == 0); /* another program could be put there */
    assert_false(helper_program_check(path, &err));
    assert_int_equal(err.code, ERR_REFUSED);
    assert_true(file_remove_tree(dir, NULL));
}

/* A link that is ours to what is not, and the other way round. */
static void test_a_program_behind_a_link(void **state)
{
    (void)state;
    char dir[] = "/tmp/muster-helper-XXXXXX", open[64], path[80], link[80];
    struct err err = {0};
    assert_non_null(mkdtemp(dir));
    (void)snprintf(open, sizeof open, "%s/open", dir);
    (void)snprintf(path, sizeof path, "%s/program", open);
    (void)snprintf(link, sizeof link, "%s/link", dir);
    assert_true(file_make_dir(open, 0755, &err));
    assert_true(file_write(path, bytes_of("#!/bin/sh\n", 10), 0755, NULL));
    assert_true(symlink(path, link) == 0);
    assert_true(helper_program_check(link, &err));
    assert_true(chmod(open, 0777) == 0);
    assert_false(helper_program_check(link, &err));
    assert_int_equal(err.code, ERR_REFUSED);
    assert_true(unlink(link) == 0 && unlink(path) == 0);
    (void)snprintf(link, sizeof link, "%s/link", open);
    assert_true(symlink("/bin/true", link) == 0);
    assert_true(helper_program_check("/bin/true", &err));
    assert_false(helper_program_check(link, &err));
    assert_int_equal(err.code, ERR_REFUSED);
    assert_true(file_remove_tree(dir, NULL));
}

/* They say what is done with the rights of root. */
static void test_settings_that_others_could_change(void **state)
{
    (void)state;
    static const char said[] = "[verbs]\nreboot = /bin/true\n";
    char dir[] = "/tmp/muster-helper-XXXXXX", path[64];
    struct helper_settings settings;
    struct err err = {0};
    assert_non_null(mkdtemp(dir));
    (void)snprintf(path, sizeof path, "%s/helper.conf", dir);
    assert_true(file_write(path, bytes_of(said, sizeof said - 1), 0644, NULL));
    assert_true(helper_settings_load(path, &settings, &err));
    assert_string_equal(settings.reboot, "/bin/true");
    static const char stranger[] = "[helper]\nusers = root,no-such-user-here\n";
    assert_true(file_write(path, bytes_of(stranger, sizeof stranger - 1), 0644, NULL));
    assert_false(helper_settings_load(path, &settings, &err));
    assert_non_null(strstr(err.text, "helper.users"));
    assert_non_null(strstr(err.text, "no-such-user-here"));
    assert_true(file_write(path, bytes_of(said, sizeof said - 1), 0644, NULL));
    err = (struct err){0};
    assert_true(chmod(path, 0664) == 0);
    assert_false(helper_settings_load(path, &settings, &err));
    assert_int_equal(err.code, ERR_REFUSED);
    assert_true(chmod(path, 0644) == 0 && chmod(dir, 0757) == 0);
    assert_false(helper_settings_load(path, &settings, &err));
    assert_int_equal(err.code, ERR_REFUSED);
    assert_true(file_remove_tree(dir, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_command_is_a_path_and_words),
        cmocka_unit_test(test_a_verb_is_a_setting),
        cmocka_unit_test(test_a_program_that_others_could_change),
        cmocka_unit_test(test_a_program_behind_a_link),
        cmocka_unit_test(test_settings_that_others_could_change),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
