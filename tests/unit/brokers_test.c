/* SPDX-License-Identifier: Apache-2.0 */
#include "base/brokers.h"
#include "tests/unit/testing.h"

#include <string.h>

static void good_lists_are_read(void **state)
{
    struct broker_list list;
    struct err err;
    char text[300];

    (void)state;
    assert_true(brokers_parse("mqtt.example:8883,  10.0.0.7:1883 ,[2001:db8::1]:443", &list, &err));
    assert_int_equal(list.count, 3);
    assert_string_equal(list.brokers[0].host, "mqtt.example");
    assert_string_equal(list.brokers[0].port, "8883");
    assert_false(list.brokers[0].numeric);
    assert_string_equal(list.brokers[1].host, "10.0.0.7");
    assert_true(list.brokers[1].numeric);
    assert_string_equal(list.brokers[2].host, "2001:db8::1");
    assert_true(list.brokers[2].numeric);
    broker_format(&list.brokers[0], text, sizeof text);
    assert_string_equal(text, "mqtt.example:8883");
    broker_format(&list.brokers[2], text, sizeof text);
    assert_string_equal(text, "[2001:db8::1]:443");
}

static void bad_lists_are_refused_and_named(void **state)
{
    static const char *const bad[] = {
        "",
        "host",
        "host:",
        "host:0",
        "host:65536",
        "host:88x",
        ":8883",
        "a:1,",
        ",a:1",
        "a:1,,b:2",
        "a b:1",
        "[::1]",
        "[::1:1883",
        "[host]:1883",
        "::1:1883",
        "host/x:1",
        "a:1;b:2",
        ".x:1",
        "host:123456",
        "a:1 b:2",
        "a:1,b:2,c:3,d:4,e:5,f:6,g:7,h:8,i:9",
    };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct broker_list list = {.count = 77};
        struct err err = {.code = ERR_NONE};
        if (brokers_parse(bad[i], &list, &err)) {
            fail_msg("accepted \"%s\"", bad[i]);
        }
        assert_int_equal(err.code, ERR_INVALID);
        assert_int_equal(list.count, 77);
    }
}

static void wrong_entry_is_in_the_text(void **state)
{
    struct broker_list list;
    struct err err;

    (void)state;
    assert_false(brokers_parse("good:1, bad, good:2", &list, &err));
    assert_non_null(strstr(err.text, "\"bad\""));
}

static void long_hosts_are_bounded(void **state)
{
    char text[400];
    struct broker_list list;
    struct err err;

    (void)state;
    memset(text, 'a', sizeof text);
    memcpy(text + BROKER_HOST_CHARS, ":1", 3);
    assert_true(brokers_parse(text, &list, &err));
    assert_int_equal(strlen(list.brokers[0].host), BROKER_HOST_CHARS);
    memset(text, 'a', sizeof text);
    memcpy(text + BROKER_HOST_CHARS + 1, ":1", 3);
    assert_false(brokers_parse(text, &list, &err));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_lists_are_read),
        cmocka_unit_test(bad_lists_are_refused_and_named),
        cmocka_unit_test(wrong_entry_is_in_the_text),
        cmocka_unit_test(long_hosts_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
