/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/validate.h"

#include "tests/unit/testing.h"

#include <stdio.h>
#include <string.h>

#define TABLE MUSTER__DOCUMENT_KIND__DOCUMENT_TABLE
#define PARAMS MUSTER__DOCUMENT_KIND__DOCUMENT_PARAMS
#define PROFILE MUSTER__DOCUMENT_KIND__DOCUMENT_CODE_PROFILE

/* `why` NULL: it passes; else a part of the reason. A string literal may hold a NUL inside. */
struct row {
    Muster__DocumentKind kind;
    const char *content;
    size_t length;
    const char *why;
};
#define ROW(kind, content, why)                                                                    \
    {                                                                                              \
        kind, content, sizeof content - 1, why                                                     \
    }

static const struct row rows[] = {
    ROW(TABLE, "a\tb\n1\t2\n", NULL),
    ROW(TABLE, "a\tb\r\n1\t2\r\n", NULL),
    ROW(TABLE, "a\tb\n\t\n", NULL),
    ROW(TABLE, "a\n1", NULL),
    ROW(TABLE, "bank\n\xe5\xb7\xa5\xe8\xa1\x8c\n\xf0\x9f\x92\xb3\n", NULL),
    ROW(TABLE, "", "empty"),
    ROW(TABLE,
        "\xef\xbb\xbf"
        "a\tb\n1\t2\n",
        "row 1: it begins with a byte order mark"),
    ROW(TABLE, "a\tb\n", "no row"),
    ROW(TABLE, "\n1\n", "row 1, column 1: the column has no name"),
    ROW(TABLE, "a\t\n1\t2\n", "row 1, column 2: the column has no name"),
    ROW(TABLE, "a\tb\ta\n1\t2\t3\n", "row 1, column 3: the name of column 1"),
    ROW(TABLE, "a\tb\n1\t2\n3\n", "row 3: 1 columns, the header has 2"),
    ROW(TABLE, "a\tb\n1\t2\t3\n", "row 2: 3 columns, the header has 2"),
    ROW(TABLE, "a\n1\n\n2\n", "row 3: empty line"),
    ROW(TABLE, "a\n1\0002\n", "row 2, byte 2: control character 0x00"),
    ROW(TABLE, "a\nx\x1b[2J\n", "row 2, byte 2: control character 0x1b"),
    ROW(TABLE, "a\nx\xff\n", "row 2, byte 2: not UTF-8"),
    ROW(TABLE, "a\n\xc0\xaf\n", "row 2, byte 1: not UTF-8"),
    ROW(TABLE, "a\n\xed\xa0\x80\n", "row 2, byte 1: not UTF-8"),
    ROW(TABLE, "a\n\xf4\x90\x80\x80\n", "row 2, byte 1: not UTF-8"),
    ROW(TABLE, "a\n\xe5\xb7", "row 2, byte 1: not UTF-8"),
    ROW(PARAMS, "[host]\naddress = 10.0.0.1\nport = 8583\n", NULL),
    ROW(PARAMS,
        "\xef\xbb\xbf"
        "a = 1\n",
        "row 1: it begins with a byte order mark"),
    ROW(PARAMS, "a = 1\r\n[s]\r\na = 1\r\nb : 2\r\n[t]\r\na = 1\r\n", NULL),
    ROW(PARAMS, "[s]\na = 1\n  a = more of it\n  [s]\n\tb\nb = 2\n", NULL),
    ROW(PARAMS, "[s]\na = 1\nA = 1\n; a = 1\nab = 1\n", NULL),
    ROW(PARAMS, "[s]\na = 1\nb = 1\n  c = 1\na : 2\n", "row 5: a is in row 2 already"),
    ROW(PARAMS, "[s]\na = 1\n[t]\na = 1\n[s]\n  a = 3\n", "row 6: a is in row 2 already"),
    ROW(PARAMS, "a = 1\na=1\n", "row 2: a is in row 1 already"),
    ROW(PARAMS, " = 1\n", "row 1"),
    ROW(PARAMS, "; only a remark\n", "no value"),
    ROW(PARAMS, "", "no value"),
    ROW(PARAMS, "[host]\nport\n", "row 2"),
    ROW(PARAMS, "[host\nport = 1\n", "row 1"),
    ROW(PARAMS, "a = \xfe\n", "row 1, byte 5: not UTF-8"),
    ROW(PROFILE, "code\tgroup\tmeaning\n00\tok\tapproved\n57\tsystem\tnot registered\n", NULL),
    ROW(PROFILE, "meaning_zh\tcode\tgroup\nx\t00\tok\n", NULL),
    ROW(PROFILE, "code\tmeaning\n00\tok\n", "needs the column \"group\""),
    ROW(PROFILE, "code\tgroup\tmeanings\n00\tok\tx\n", "needs the column \"meaning\""),
    ROW(PROFILE, "code\tgroup\tmeaning\n00\t\tx\n", "row 2, column 2: group is empty"),
    ROW(PROFILE, "code\tgroup\tmeaning\n00\ta\tx\n57\ta\tx\n00\tb\ty\n",
        "row 4, column 1: code 00 is in row 2"),
    ROW(PROFILE, "code\tgroup\tmeaning\tacquirer\n57\ta\tx\t\n57\tb\ty\t2\n57\ta\tx\t10\n", NULL),
    ROW(PROFILE, "code\tgroup\tmeaning\tacquirer\n57\ta\tx\t2\n58\ta\tx\t2\n57\tb\ty\t02\n",
        "row 4, column 1: code 57 is in row 2"),
    ROW(PROFILE, "code\tgroup\tmeaning\tacquirer\n57\ta\tx\tICBC\n",
        "row 2, column 4: acquirer is neither empty nor an acquirer's index"),
    ROW(PROFILE, "code\tgroup\tmeaning\tacquirer\n57\ta\tx\t4294967296\n", "row 2, column 4"),
    ROW(PROFILE, "code\tgroup\tmeaning\n57000\ta\tx\n",
        "row 2, column 1: a code of 5 bytes, and results have at most 4"),
    ROW(MUSTER__DOCUMENT_KIND__DOCUMENT_FILE, "\0\xff anything", NULL),
    ROW(MUSTER__DOCUMENT_KIND__DOCUMENT_FILE, "", NULL),
    ROW(MUSTER__DOCUMENT_KIND__DOCUMENT_KEY_BLOCK,
        "B0080P0TE00E000094B420079CC80BA3461F86FE26EFC4A3B8E4FA4C5F5341176EED7B727B8A248E\n", NULL),
    ROW(MUSTER__DOCUMENT_KIND__DOCUMENT_APPLICATION, "\0\xff anything", NULL),
    ROW(MUSTER__DOCUMENT_KIND__DOCUMENT_FIRMWARE, "\0\xff anything", NULL),
    ROW(MUSTER__DOCUMENT_KIND__DOCUMENT_AID_LIST, "aid\nA0000000031010\n", NULL),
    ROW(MUSTER__DOCUMENT_KIND__DOCUMENT_AID_LIST, "aid\nA00\n", "row 2, column 1: aid"),
    ROW(MUSTER__DOCUMENT_KIND__DOCUMENT_CA_KEYS, "rid\tindex\tmodulus\n\t\t\n", "\"exponent\""),
    ROW(MUSTER__DOCUMENT_KIND__DOCUMENT_KEY_BLOCK, "0123456789ABCDEFFEDCBA9876543210", "key block"),
    ROW(MUSTER__DOCUMENT_KIND__DOCUMENT_UNKNOWN, "x", "kind 0"),
};

static void test_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct err err = {0};
        bool good =
            validate_document(rows[i].kind, bytes_of(rows[i].content, rows[i].length), &err);
        if (good != (rows[i].why == NULL) ||
            (!good && (err.code != ERR_INVALID || strstr(err.text, rows[i].why) == NULL)))
            fail_msg("row %zu: %s: \"%s\", expected \"%s\"", i, good ? "passed" : "refused",
                     err.text, rows[i].why != NULL ? rows[i].why : "to pass");
    }
}

/* What a reader of 200-byte lines would cut in two is refused, not misread later. */
static void test_long_params_line(void **state)
{
    char text[300];
    struct err err = {0};
    (void)state;
    memset(text, 'x', sizeof text);
    memcpy(text, "key = ", 6);
    text[198] = '\n';
    assert_true(validate_document(PARAMS, bytes_of(text, 199), &err));
    text[198] = 'x';
    text[199] = '\n';
    assert_false(validate_document(PARAMS, bytes_of(text, 200), &err));
    assert_non_null(strstr(err.text, "row 1: 199 bytes"));
}

/* None of a thousand is lost sight of. */
static void test_one_key_of_many_twice(void **state)
{
    struct buf text = {0};
    struct err err = {0};
    char line[24];
    (void)state;
    for (int i = 0; i < 1000; i++) {
        (void)snprintf(line, sizeof line, "key%03d = %d\n", (i * 7) % 1000, i);
        assert_true(buf_append(&text, line, strlen(line), NULL));
    }
    assert_true(validate_document(PARAMS, buf_bytes(&text), &err));
    assert_true(buf_append(&text, "key500 = 1\n", 11, NULL));
    assert_false(validate_document(PARAMS, buf_bytes(&text), &err));
    assert_non_null(strstr(err.text, "row 1001: key500 is in row 501 already"));
    buf_done(&text);
}

static void test_too_many_columns(void **state)
{
    char text[200];
    size_t length = 0;
    struct err err = {0};
    (void)state;
    for (int i = 0; i < 65; i++) {
        text[length++] = (char)('0' + i % 10);
        text[length++] = (char)('a' + i / 10);
        text[length++] = i < 64 ? '\t' : '\n';
    }
    assert_false(validate_document(TABLE, bytes_of(text, length), &err));
    assert_non_null(strstr(err.text, "65 columns, at most 64"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_long_params_line),
        cmocka_unit_test(test_one_key_of_many_twice),
        cmocka_unit_test(test_too_many_columns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
