/* SPDX-License-Identifier: Apache-2.0 */
#include "base/err.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void text_and_code_are_kept(void **state)
{
    (void)state;
    struct err err;
    assert_false(err_set(&err, ERR_REFUSED, "line %d", 7));
    assert_int_equal(err.code, ERR_REFUSED);
    assert_string_equal(err.text, "line 7");
    assert_string_equal(err_code_name(err.code), "refused");
}

static void errno_becomes_words_and_a_code(void **state)
{
    (void)state;
    static const struct {
        int errnum;
        enum err_code code;
    } rows[] = {{ENOSPC, ERR_FULL},       {EDQUOT, ERR_FULL},       {ENOENT, ERR_NOT_FOUND},
                {ENOMEM, ERR_NO_MEMORY},  {ETIMEDOUT, ERR_TIMEOUT}, {ECONNREFUSED, ERR_UNAVAILABLE},
                {EPIPE, ERR_UNAVAILABLE}, {EACCES, ERR_REFUSED},    {EIO, ERR_IO}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct err err;
        assert_false(err_errno(&err, rows[i].errnum, "cannot open %s", "x"));
        assert_int_equal(err.code, rows[i].code);
        assert_memory_equal(err.text, "cannot open x: ", 15);
        assert_string_equal(err.text + 15, strerror(rows[i].errnum));
    }
}

static void context_goes_in_front(void **state)
{
    (void)state;
    struct err err;
    err_set(&err, ERR_IO, "disk gone");
    assert_false(err_context(&err, "spool %s", "a"));
    assert_string_equal(err.text, "spool a: disk gone");
    assert_int_equal(err.code, ERR_IO);
}

/* What it quotes is cut where there is no more room, if only in the middle of a character. */
static void what_is_quoted_stays_text(void **state)
{
    (void)state;
    struct err err;
    err_set(&err, ERR_INVALID, "\"%.4s\"", "店店");
    assert_string_equal(err.text, "\"店?\"");
    err_context(&err, "store %.2s", "店");
    assert_string_equal(err.text, "store ??: \"店?\"");
}

static void long_texts_are_cut_not_overrun(void **state)
{
    (void)state;
    char longer[2 * sizeof((struct err *)0)->text];
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    struct err err;
    err_set(&err, ERR_INVALID, "%s", longer);
    assert_int_equal(strlen(err.text), sizeof err.text - 1);
    err_errno(&err, EIO, "%s", longer);
    assert_int_equal(strlen(err.text), sizeof err.text - 1);
    err_set(&err, ERR_INVALID, "inner");
    err_context(&err, "%s", longer);
    assert_int_equal(strlen(err.text), sizeof err.text - 1);
}

static void nobody_has_to_listen(void **state)
{
    (void)state;
    assert_false(err_set(NULL, ERR_IO, "x"));
    assert_false(err_errno(NULL, EIO, "x"));
    assert_false(err_context(NULL, "x"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_and_code_are_kept),
        cmocka_unit_test(errno_becomes_words_and_a_code),
        cmocka_unit_test(context_goes_in_front),
        cmocka_unit_test(what_is_quoted_stays_text),
        cmocka_unit_test(long_texts_are_cut_not_overrun),
        cmocka_unit_test(nobody_has_to_listen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
