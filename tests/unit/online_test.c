/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/online.h"

#include "proto/limits.h"
#include "tests/unit/testing.h"

#include <string.h>

static void a_word_is_read_as_it_was_written(void **state)
{
    static const struct online_word words[] = {
        {.online = true, .boot = 0xfedcba9876543210, .began_ms = 1},
        {.boot = 1, .began_ms = INT64_MAX},
        {.goodbye = true, .began_ms = 77},
    };
    (void)state;
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        struct buf out = {.limit = LIMIT_ONLINE_BYTES};
        struct online_word read;
        assert_true(online_write(&words[i], &out, NULL));
        assert_true(online_read(buf_bytes(&out), &read, NULL));
        assert_true(read.online == words[i].online && read.goodbye == words[i].goodbye);
        assert_true(read.boot == words[i].boot && read.began_ms == words[i].began_ms);
        buf_done(&out);
    }
}

static void earlier_terminals_say_a_byte(void **state)
{
    struct online_word word = {.boot = 1, .began_ms = 1};
    (void)state;
    assert_true(online_read(bytes_of("1", 1), &word, NULL));
    assert_true(word.online && word.boot == 0 && word.began_ms == 0);
    assert_true(online_read(bytes_of("0", 1), &word, NULL));
    assert_false(word.online || word.goodbye);
}

static void what_is_no_word_is_refused(void **state)
{
    static const struct {
        const char *bytes;
        size_t length;
        const char *why;
    } list[] = {
        {"", 0, "no word of a session"},
        {"2", 1, "message"},
        {"maybe", 5, "no word of a session"},
        {"\x08\x01", 2, "no word of a session"},
        {"\x08\x01\x18\x05\x20\x01", 6, "a goodbye"},
        {"\x18\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11, "beyond all time"},
    };
    struct online_word word;
    uint8_t longer[LIMIT_ONLINE_BYTES + 1] = {0};
    struct err err;
    (void)state;
    for (size_t i = 0; i < sizeof list / sizeof list[0]; i++) {
        assert_false(online_read(bytes_of(list[i].bytes, list[i].length), &word, &err));
        if (strstr(err.text, list[i].why) == NULL && i != 1)
            fail_msg("%zu: %s", i, err.text);
        assert_int_equal(err.code, ERR_INVALID);
    }
    assert_false(online_read(bytes_of(longer, sizeof longer), &word, &err));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_word_is_read_as_it_was_written),
        cmocka_unit_test(earlier_terminals_say_a_byte),
        cmocka_unit_test(what_is_no_word_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
