/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/base64.h"

#include "tests/unit/testing.h"

#include <string.h>

/* RFC 4648, section 10. */
static const char *const vectors[][2] = {
    {"", ""},
    {"f", "Zg=="},
    {"fo", "Zm8="},
    {"foo", "Zm9v"},
    {"foob", "Zm9vYg=="},
    {"fooba", "Zm9vYmE="},
    {"foobar", "Zm9vYmFy"},
};

static void both_ways(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
        struct buf text = {0}, data = {0};
        const char *plain = vectors[i][0], *coded = vectors[i][1];
        assert_true(base64_encode(bytes_of(plain, strlen(plain)), &text, NULL));
        assert_int_equal(text.length, strlen(coded));
        assert_string_equal((const char *)text.data, coded);
        assert_true(base64_decode(coded, strlen(coded), &data, NULL));
        assert_true(bytes_equal(buf_bytes(&data), bytes_of(plain, strlen(plain))));
        buf_done(&text);
        buf_done(&data);
    }
}

static void every_byte_value(void **state)
{
    (void)state;
    uint8_t all[256];
    struct buf text = {0}, data = {0};
    for (size_t i = 0; i < sizeof all; i++)
        all[i] = (uint8_t)i;
    assert_true(base64_encode(bytes_of(all, sizeof all), &text, NULL));
    assert_true(base64_decode((const char *)text.data, text.length, &data, NULL));
    assert_true(bytes_equal(buf_bytes(&data), bytes_of(all, sizeof all)));
    buf_done(&text);
    buf_done(&data);
}

static void only_one_form_is_taken(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "Zg", "Zg=", "Zh==", "Zm9=", "Z===", "====", "Zg==Zg==", "Zm9v\n", "Zm-v", "Zm 9", "Zm9v="};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct buf data = {0};
        struct err err = {0};
        assert_false(base64_decode(wrong[i], strlen(wrong[i]), &data, &err));
        assert_int_equal(err.code, ERR_INVALID);
        assert_int_equal(data.length, 0);
        buf_done(&data);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_ways),
        cmocka_unit_test(every_byte_value),
        cmocka_unit_test(only_one_form_is_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
