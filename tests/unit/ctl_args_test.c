/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/ctl_args.h"

#include "tests/unit/testing.h"

#include <string.h>

static const struct ctl_option own[] = {
    {.name = "--device", .value = "ID", .help = "", .repeats = true},
    {.name = "--kind", .value = "KIND", .help = "", .required = true},
    {.name = "--all", .help = ""},
    {0},
};
static const struct ctl_option common[] = {
    {.name = "--output", .alias = "-o", .value = "FORMAT", .help = ""},
    {.name = "--help", .alias = "-h", .help = ""},
    {0},
};

static bool read_words(struct ctl_args *args, struct err *err, size_t count, char *const *words)
{
    *err = (struct err){0};
    return ctl_args_read(args, own, common, words, count, err);
}
#define READ(args, err, ...)                                                                       \
    read_words(args, err, sizeof((char *[]){__VA_ARGS__}) / sizeof(char *), (char *[]){__VA_ARGS__})

static void options_and_arguments_mix(void **state)
{
    (void)state;
    struct ctl_args args;
    struct err err;
    assert_true(READ(&args, &err, "name", "--kind=table", "--device", "a", "--all", "file", "-o",
                     "json", "--device=b", "--", "--third"));
    assert_int_equal(args.argument_count, 3);
    assert_string_equal(args.arguments[1], "file");
    assert_string_equal(args.arguments[2], "--third");
    assert_string_equal(ctl_arg(&args, "--kind", NULL), "table");
    assert_string_equal(ctl_arg(&args, "--output", NULL), "json");
    assert_non_null(ctl_arg(&args, "--all", NULL));
    size_t at = 0;
    assert_string_equal(ctl_arg_next(&args, "--device", &at), "a");
    assert_string_equal(ctl_arg_next(&args, "--device", &at), "b");
    assert_null(ctl_arg_next(&args, "--device", &at));
}

static void what_is_wrong_is_named(void **state)
{
    (void)state;
    struct ctl_args args;
    struct err err;
    assert_false(READ(&args, &err, "--kind", "t", "--colour", "red"));
    assert_non_null(strstr(err.text, "--colour"));
    assert_false(READ(&args, &err, "--kind"));
    assert_non_null(strstr(err.text, "needs a value"));
    assert_false(READ(&args, &err, "--kind", "a", "--kind", "b"));
    assert_non_null(strstr(err.text, "twice"));
    assert_false(READ(&args, &err, "--kind", "a", "--all=yes"));
    assert_non_null(strstr(err.text, "takes no value"));
    assert_false(READ(&args, &err, "x"));
    assert_non_null(strstr(err.text, "--kind KIND is missing"));
    static char kind[] = "--kind", word[] = "x";
    char *many[CTL_ARGUMENTS_MAX + 3] = {kind};
    for (size_t i = 1; i < sizeof many / sizeof *many; i++)
        many[i] = word;
    assert_true(read_words(&args, &err, sizeof many / sizeof *many - 1, many));
    assert_false(read_words(&args, &err, sizeof many / sizeof *many, many));
    assert_true(READ(&args, &err, "-h")); /* help needs nothing else */
}

static void numbers_keep_their_range(void **state)
{
    (void)state;
    struct ctl_args args;
    struct err err;
    int64_t value = 0;
    assert_true(READ(&args, &err, "--kind", "7"));
    assert_true(ctl_arg_number(&args, "--kind", 1, 0, 7, &value, NULL));
    assert_int_equal(value, 7);
    assert_true(ctl_arg_number(&args, "--device", 42, 0, 7, &value, NULL));
    assert_int_equal(value, 42);
    assert_false(ctl_arg_number(&args, "--kind", 1, 0, 6, &value, &err));
    assert_true(READ(&args, &err, "--kind", "7x"));
    assert_false(ctl_arg_number(&args, "--kind", 1, 0, 9, &value, &err));
    assert_true(READ(&args, &err, "--kind", "99999999999999999999"));
    assert_false(ctl_arg_number(&args, "--kind", 1, 0, INT64_MAX, &value, &err));
}

static void durations(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t ms;
    } good[] = {{"250ms", 250}, {"5s", 5000}, {"15m", 900000}, {"1h", 3600000}, {"7d", 604800000}};
    static const char *const bad[] = {"",    "5",  "s",     "0s",
                                      "-1h", "1w", "1h30m", "9223372036854775807d"};
    int64_t ms = 0;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_true(ctl_duration(good[i].text, &ms, NULL));
        assert_int_equal(ms, good[i].ms);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(ctl_duration(bad[i], &ms, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_and_arguments_mix),
        cmocka_unit_test(what_is_wrong_is_named),
        cmocka_unit_test(numbers_keep_their_range),
        cmocka_unit_test(durations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
