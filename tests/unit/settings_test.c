/* SPDX-License-Identifier: Apache-2.0 */
#include "base/settings.h"

#include "base/file.h"

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

struct program {
    char device[33];
    char state[300];
    char hook[300];
    char keys[700];
    int64_t retries;
    bool on;
    int64_t keepalive_ms;
    int64_t quota_bytes;
    int protocol;
};

static const char *const protocols[] = {"5", "3.1.1", NULL};

#define FIELD(name) offsetof(struct program, name), sizeof((struct program *)0)->name
static const struct setting table[] = {
    {"device", "id", SETTING_TEXT, FIELD(device), NULL, 1, 32, NULL, "who this is"},
    {"device", "state", SETTING_PATH, FIELD(state), "/var/lib/muster", 1, 0, NULL, "its folder"},
    {"device", "hook", SETTING_PATH, FIELD(hook), "", 0, 0, NULL, "program that checks"},
    {"device", "keys", SETTING_PATHS, FIELD(keys), "/etc/a.pem", 1, 0, NULL, "its keys"},
    {"link", "retries", SETTING_INT, FIELD(retries), "-3", -5, 5, NULL, "tries"},
    {"link", "on", SETTING_BOOL, FIELD(on), "yes", 0, 0, NULL, "whether"},
    {"link", "keepalive", SETTING_DURATION, FIELD(keepalive_ms), "20m", 10000, 7200000, NULL,
     "quiet time"},
    {"link", "quota", SETTING_SIZE, FIELD(quota_bytes), "64M", 0, 0, NULL, "room"},
    {"link", "protocol", SETTING_CHOICE, FIELD(protocol), "5", 0, 0, protocols, "MQTT"},
    {0},
};

struct place {
    char dir[256];
    char path[300];
};

static int set_up(void **state)
{
    struct place *place = calloc(1, sizeof *place);
    const char *tmp = getenv("TMPDIR");
    (void)snprintf(place->dir, sizeof place->dir, "%s/settings_test.XXXXXX", tmp ? tmp : "/tmp");
    *state = place;
    if (mkdtemp(place->dir) == NULL)
        return -1;
    (void)snprintf(place->path, sizeof place->path, "%s/x.ini", place->dir);
    return 0;
}

static int tear_down(void **state)
{
    struct place *place = *state;
    struct err err;
    bool ok = file_remove_tree(place->dir, &err);
    free(place);
    return ok ? 0 : -1;
}

static bool load_bytes(struct place *place, const void *text, size_t length,
                       struct program *program, struct err *err)
{
    memset(program, 0, sizeof *program);
    assert_true(file_write(place->path, bytes_of(text, length), 0600, err));
    return settings_load(place->path, table, program, err);
}

static bool load(struct place *place, const char *text, struct program *program, struct err *err)
{
    return load_bytes(place, text, strlen(text), program, err);
}

static void defaults_fill_what_is_absent(void **state)
{
    struct program program;
    struct err err;
    assert_true(load(*state, "# note\n\n[device]\nid = d-1\n", &program, &err));
    assert_string_equal(program.device, "d-1");
    assert_string_equal(program.state, "/var/lib/muster");
    assert_string_equal(program.hook, "");
    assert_int_equal(program.retries, -3);
    assert_true(program.on);
    assert_int_equal(program.keepalive_ms, 20 * 60 * 1000);
    assert_int_equal(program.quota_bytes, 64 << 20);
    assert_int_equal(program.protocol, 0);
}

static void every_form_is_read(void **state)
{
    struct place *place = *state;
    struct program program;
    struct err err;
    assert_true(load(place,
                     "[device]\r\nid: d-1\nstate = sub/dir\n[link]\nretries = 5\non = false\n"
                     "keepalive = 10s ; a note\nquota = 512\nprotocol = 3.1.1",
                     &program, &err));
    char expected[300];
    (void)snprintf(expected, sizeof expected, "%.250s/sub/dir", place->dir);
    assert_string_equal(program.state, expected);
    assert_int_equal(program.retries, 5);
    assert_false(program.on);
    assert_int_equal(program.keepalive_ms, 10000);
    assert_int_equal(program.quota_bytes, 512);
    assert_int_equal(program.protocol, 1);
}

/* `%s` in `expected` stands for the file. */
static const struct {
    const char *text, *expected;
} wrong[] = {
    {"[device]\nid = d\n[link]\nkeepalive = abc\n",
     "%s:4: link.keepalive = abc: expected a duration from 10s to 2h"},
    {"[device]\nid = d\n[link]\nkeepalive = 9s\n",
     "%s:4: link.keepalive = 9s: expected a duration from 10s to 2h"},
    {"[device]\nid = d\n[link]\nkeepalive = 30\n",
     "%s:4: link.keepalive = 30: expected a duration from 10s to 2h"},
    {"[device]\nid = d\n[link]\nkeepalive = -10s\n",
     "%s:4: link.keepalive = -10s: expected a duration from 10s to 2h"},
    {"[device]\nid = d\n[link]\nkeepalive = 999999999999999999d\n",
     "%s:4: link.keepalive = 999999999999999999d: expected a duration from 10s to 2h"},
    {"[device]\nid = d\n[link]\nquota = 5X\n", "%s:4: link.quota = 5X: expected a size"},
    {"[device]\nid = d\n[link]\nretries = 6\n",
     "%s:4: link.retries = 6: expected a whole number from -5 to 5"},
    {"[device]\nid = d\n[link]\nretries = 99999999999999999999\n",
     "%s:4: link.retries = 99999999999999999999: expected a whole number from -5 to 5"},
    {"[device]\nid = d\n[link]\nretries = 0x1\n",
     "%s:4: link.retries = 0x1: expected a whole number from -5 to 5"},
    {"[device]\nid = d\n[link]\non = maybe\n", "%s:4: link.on = maybe: expected yes or no"},
    {"[device]\nid = d\n[link]\nprotocol = 4\n",
     "%s:4: link.protocol = 4: expected one of: 5, 3.1.1"},
    {"[device]\nid =\n", "%s:2: device.id = : expected a text of 1 to 32 characters"},
    {"[device]\nid = 123456789012345678901234567890123\n",
     "%s:2: device.id = 123456789012345678901234567890123: "
     "expected a text of 1 to 32 characters"},
    {"[device]\nid = a\tb\n", "%s:2: device.id = a\tb: expected a text of 1 to 32 characters"},
    {"[device]\nid = d\nname = x\n",
     "%s:3: unknown key device.name: expected one of id, state, hook, keys"},
    {"[device]\nid = d\n[lnik]\non = yes\n",
     "%s:4: unknown section [lnik]: expected one of [device], [link]"},
    {"id = d\n", "%s:1: unknown section []: expected one of [device], [link]"},
    {"[device]\nid = d\n\nid = e\n", "%s:4: device.id is given twice: line 2 has it too"},
    {"[device]\nid = d\nnonsense\n", "%s:3: expected [section], key = value or # note"},
    {"[device\nid = d\n", "%s:1: expected [section], key = value or # note"},
    {"[link]\non = yes\n", "%s: device.id is missing: expected a text of 1 to 32 characters"},
    /* The first of two mistakes is the one that is told. */
    {"[device]\nid = d\nbad\n[link]\non = 7\n", "%s:3: expected [section], key = value or # note"},
    {"[device]\nid = d\n[link]\non = 7\nbad\n", "%s:4: link.on = 7: expected yes or no"},
};

static void what_is_wrong_is_told_with_its_line(void **state)
{
    struct place *place = *state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct program program;
        struct err err = {0};
        assert_false(load(place, wrong[i].text, &program, &err));
        const char *rest = wrong[i].expected + 2;
        assert_memory_equal(err.text, place->path, strlen(place->path));
        assert_string_equal(err.text + strlen(place->path), rest);
        assert_int_equal(err.code, ERR_INVALID);
    }
}

static void several_paths_are_each_relative_to_the_file(void **state)
{
    struct place *place = *state;
    struct program program;
    struct err err = {0};
    char expected[700];
    assert_true(load(place, "[device]\nid = d\n", &program, &err));
    assert_string_equal(program.keys, "/etc/a.pem");
    assert_true(
        load(place, "[device]\nid = d\nkeys = my old.pem , /b.pem,, sub/c.pem,\n", &program, &err));
    (void)snprintf(expected, sizeof expected, "%s/my old.pem,/b.pem,%s/sub/c.pem", place->dir,
                   place->dir);
    assert_string_equal(program.keys, expected);
    assert_true(load(place, "[device]\nid = d\nkeys = a.pem\n", &program, &err));
    (void)snprintf(expected, sizeof expected, "%s/a.pem", place->dir);
    assert_string_equal(program.keys, expected);
    assert_false(load(place, "[device]\nid = d\nkeys = ,\n", &program, &err));
}

static void hostile_files_are_refused(void **state)
{
    struct place *place = *state;
    struct program program;
    struct err err = {0};
    assert_false(load_bytes(place, "[device]\nid = d\0x\n", 18, &program, &err));
    assert_non_null(strstr(err.text, ":2: expected a line of text"));

    char line[5000];
    memset(line, 'x', sizeof line);
    memcpy(line, "[device]\nid = ", 14);
    assert_false(load_bytes(place, line, sizeof line, &program, &err));
    assert_non_null(strstr(err.text, ":2: expected a line of text"));

    char *big = calloc(1, 65 * 1024);
    assert_false(load_bytes(place, big, 65 * 1024, &program, &err));
    free(big);
    assert_int_equal(unlink(place->path), 0);
    assert_false(settings_load(place->path, table, &program, &err));
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_non_null(strstr(err.text, place->path));
}

static void long_values_are_read_whole(void **state)
{
    struct program program;
    struct err err;
    char text[400] = "[device]\nid = d\nstate = /";
    size_t start = strlen(text);
    memset(text + start, 'y', 250);
    strcpy(text + start + 250, "\n");
    assert_true(load(*state, text, &program, &err));
    assert_int_equal(strlen(program.state), 251);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(defaults_fill_what_is_absent, set_up, tear_down),
        cmocka_unit_test_setup_teardown(every_form_is_read, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_wrong_is_told_with_its_line, set_up, tear_down),
        cmocka_unit_test_setup_teardown(several_paths_are_each_relative_to_the_file, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(hostile_files_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(long_values_are_read_whole, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
