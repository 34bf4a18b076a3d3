/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void grows_up_to_its_limit_and_no_further(void **state)
{
    (void)state;
    struct buf buf = {.limit = 1000};
    struct err err;
    char block[300] = {0};
    for (int i = 0; i < 3; i++)
        assert_true(buf_append(&buf, block, sizeof block, &err));
    assert_false(buf_append(&buf, block, 101, &err));
    assert_int_equal(err.code, ERR_FULL);
    assert_int_equal(buf.length, 900);
    assert_true(buf_append(&buf, block, 100, &err));
    assert_true(buf.capacity <= 1000);
    assert_null(buf_reserve(&buf, SIZE_MAX, &err));
    buf_done(&buf);
    assert_null(buf.data);
}

static void default_limit_is_16_mib(void **state)
{
    (void)state;
    struct buf buf = {0};
    struct err err;
    assert_non_null(buf_reserve(&buf, 16 * 1024 * 1024, &err));
    assert_null(buf_reserve(&buf, 16 * 1024 * 1024 + 1, &err));
    buf_done(&buf);
}

static void consume_takes_from_the_front(void **state)
{
    (void)state;
    struct buf buf = {0};
    struct err err;
    assert_true(buf_append(&buf, "abcdef", 6, &err));
    buf_consume(&buf, 2);
    assert_true(bytes_equal(buf_bytes(&buf), bytes_of("cdef", 4)));
    buf_consume(&buf, 100);
    assert_int_equal(buf.length, 0);
    assert_true(bytes_equal(buf_bytes(&buf), bytes_of(NULL, 0)));
    buf_done(&buf);
}

static void hex_goes_both_ways(void **state)
{
    (void)state;
    char text[9];
    uint8_t data[4] = {1, 2, 3, 4};
    hex_encode("\x00\x7f\x80\xff", 4, text);
    assert_string_equal(text, "007f80ff");
    assert_true(hex_decode("007F80fF", 8, data, 4));
    assert_memory_equal(data, "\x00\x7f\x80\xff", 4);
    static const char *const wrong[] = {"007f80f", "007f80fff0", "007f80fg", "", "0x7f80ff"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_false(hex_decode(wrong[i], strlen(wrong[i]), data, 4));
    assert_memory_equal(data, "\x00\x7f\x80\xff", 4);
}

static void varints_go_both_ways(void **state)
{
    (void)state;
    static const uint64_t values[] = {0,          1,          127,       128,       300,
                                      UINT32_MAX, UINT64_MAX, INT64_MAX, 1ULL << 63};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        uint8_t out[10];
        size_t n = varint_put(values[i], out);
        uint64_t back = 0;
        assert_int_equal(varint_get(bytes_of(out, n), &back), n);
        assert_true(back == values[i]);
        assert_int_equal(varint_get(bytes_of(out, n - 1), &back), 0);
    }
}

static void hostile_varints_are_refused(void **state)
{
    (void)state;
    uint64_t value = 42;
    uint8_t endless[64];
    memset(endless, 0x80, sizeof endless);
    assert_int_equal(varint_get(bytes_of(endless, sizeof endless), &value), -1);
    assert_int_equal(varint_get(bytes_of(endless, 10), &value), -1);
    assert_int_equal(varint_get(bytes_of(endless, 9), &value), 0);
    memset(endless, 0xff, 9);
    endless[9] = 0x02; /* bit 64 */
    assert_int_equal(varint_get(bytes_of(endless, 10), &value), -1);
    assert_int_equal(varint_get(bytes_of(NULL, 0), &value), 0);
    assert_int_equal(value, 42);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(grows_up_to_its_limit_and_no_further),
        cmocka_unit_test(default_limit_is_16_mib),
        cmocka_unit_test(consume_takes_from_the_front),
        cmocka_unit_test(hex_goes_both_ways),
        cmocka_unit_test(varints_go_both_ways),
        cmocka_unit_test(hostile_varints_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
