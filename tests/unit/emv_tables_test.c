/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/emv_tables.h"

#include "base/file.h"
#include "proto/table.h"
#include "tests/unit/testing.h"

#include <stdio.h>
#include <string.h>

/* Visa's test key 92 as the scheme publishes it (packaging/sample/tables/README.md). */
#define RID "A000000003"
#define MODULUS                                                                                    \
    "996AF56F569187D09293C14810450ED8EE3357397B18A2458EFAA92DA3B6DF6514EC060195318FD43BE9B8F0CC66" \
    "9E3F844057CBDDF8BDA191BB64473BC8DC9A730DB8F6B4EDE3924186FFD9B8C7735789C23A36BA0B8AF65372EB57" \
    "EA5D89E7D14E9C7B6B557460F10885DA16AC923F15AF3758F0F03EBD3C5C2C949CBA306DB44E6A2C076C5F67E281" \
    "D7EF56785DC4D75945E491F01918800A9E2DC66F60080566CE0DAF8D17EAD46AD8E30A247C9F"
#define SHA1 "429C954A3859CEF91295F663C963E582ED6EB253"
#define KEYS "rid\tindex\texponent\tmodulus\tsha1\texpiry\tbits\n"
#define GOOD RID "\t92\t03\t" MODULUS "\t" SHA1 "\t\t1408\n"

struct row {
    const char *content;
    const char *why; /* NULL: it passes; else a part of the reason */
};

static void look(bool (*check)(struct bytes content, struct err *err), const struct row *rows,
                 size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct err err = {0};
        bool good = check(bytes_of(rows[i].content, strlen(rows[i].content)), &err);
        if (good != (rows[i].why == NULL) ||
            (!good && (err.code != ERR_INVALID || strstr(err.text, rows[i].why) == NULL)))
            fail_msg("row %zu: %s: \"%s\", expected \"%s\"", i, good ? "passed" : "refused",
                     err.text, rows[i].why != NULL ? rows[i].why : "to pass");
    }
}

static const struct row keys[] = {
    {KEYS GOOD, NULL},
    {"modulus\tindex\tname\texponent\trid\n" MODULUS "\t92\tx\t03\t" RID "\n", NULL},
    {"rid\tindex\texponent\tmodulus\n" RID "\t92\t010001\t" MODULUS "\n", NULL},
    {"rid\tindex\texponent\tmodulus\n" RID "\t92\t03\t" MODULUS "\n" RID "\t93\t03\t" MODULUS "\n",
     NULL},
    {KEYS RID "\t92\t03\t" MODULUS "\t\t281231\t\n", NULL},
    {KEYS RID "\t92\t03\t" MODULUS "\t\t280229\t\n", NULL},
    {"", "empty"},
    {KEYS, "no row"},
    {"rid\tindex\tmodulus\n" RID "\t92\t" MODULUS "\n", "needs the column \"exponent\""},
    {KEYS "A0000000\t92\t03\t" MODULUS "\t\t\t\n", "row 2, column 1: rid is not 5 bytes"},
    {KEYS "A00000000X\t92\t03\t" MODULUS "\t\t\t\n", "row 2, column 1: rid is not 5 bytes"},
    {KEYS RID "\t\t03\t" MODULUS "\t\t\t\n", "row 2, column 2: index is not 1 bytes"},
    {KEYS RID "\t9\t03\t" MODULUS "\t\t\t\n", "row 2, column 2: index is not 1 bytes"},
    {KEYS RID "\t92\t03\t\t\t\t\n", "row 2, column 4: modulus is not 96 to 248 bytes"},
    {KEYS RID "\t92\t03\t" MODULUS MODULUS "\t\t\t\n", "modulus is not 96 to 248 bytes"},
    {KEYS RID "\t92\t03\t" MODULUS "9\t\t\t\n", "modulus is not 96 to 248 bytes"},
    {KEYS RID "\t92\t05\t" MODULUS "\t\t\t\n", "row 2: the exponent is neither 3 nor 65537"},
    {KEYS RID "\t92\t000003\t" MODULUS "\t\t\t\n", "row 2: the exponent has zeros before it"},
    {KEYS RID "\t92\t03\t00" MODULUS "\t\t\t\n", "row 2: the modulus begins with a zero bit"},
    {KEYS RID "\t92\t03\t7F" MODULUS "\t\t\t\n", "row 2: the modulus begins with a zero bit"},
    {KEYS RID "\t92\t03\t" MODULUS "00\t\t\t\n", "row 2: the modulus is even"},
    {KEYS RID "\t92\t03\t" MODULUS "\t" SHA1 "\t\t1152\n", "has 1408 bits, and bits says 1152"},
    {KEYS RID "\t92\t03\t" MODULUS "\t\t\tmany\n", "row 2, column 7: bits is no number of bits"},
    {KEYS RID "\t92\t03\t" MODULUS "\t" SHA1 "00\t\t\n", "column 5: sha1 is not 20 bytes"},
    {KEYS GOOD RID "\t93\t03\t" MODULUS "\t" SHA1 "\t\t\n", "row 3: sha1 is not that of its RID"},
    {KEYS "A000000004\t92\t03\t" MODULUS "\t" SHA1 "\t\t\n", "row 2: sha1 is not that of its RID"},
    {KEYS RID "\t92\t010001\t" MODULUS "\t" SHA1 "\t\t\n", "row 2: sha1 is not that of its RID"},
    {KEYS RID "\t92\t03\t98" MODULUS "\t" SHA1 "\t\t\n", "row 2: sha1 is not that of its RID"},
    {KEYS RID "\t92\t03\t" MODULUS "\t\t281301\t\n", "column 6: expiry is no date as YYMMDD"},
    {KEYS RID "\t92\t03\t" MODULUS "\t\t270229\t\n", "column 6: expiry is no date as YYMMDD"},
    {KEYS RID "\t92\t03\t" MODULUS "\t\t280431\t\n", "column 6: expiry is no date as YYMMDD"},
    {KEYS RID "\t92\t03\t" MODULUS "\t\t20281231\t\n", "column 6: expiry is no date as YYMMDD"},
    {KEYS GOOD "a000000003\t92\t03\t" MODULUS "\t\t\t\n", "row 3: the same as row 2"},
    {KEYS RID "\t92\n", "row 2: 2 columns, the header has 7"},
};

static void ca_keys_are_held_to_emv(void **state)
{
    (void)state;
    look(ca_keys_check, keys, sizeof keys / sizeof *keys);
}

#define AIDS "aid\tpartial\tversion\ttac_default\tname\n"
static const struct row aids[] = {
    {"aid\nA0000000031010\n", NULL},
    {AIDS "A0000000031010\t1\t008C\tDC4000A800\tVisa\na0000000041010\t0\t\t\t\n", NULL},
    {"aid\nA000000003\nA00000000310101010101010101010FF\n", NULL},
    {"aid\nA0000000031010\nA000000003101001\n", NULL},
    {"rid\nA000000003\n", "needs the column \"aid\""},
    {"aid\tx\n\t1\n", "row 2, column 1: aid is not 5 to 16 bytes"},
    {"aid\nA0000000\n", "aid is not 5 to 16 bytes"},
    {"aid\nA00000000310101010101010101010FFFF\n", "aid is not 5 to 16 bytes"},
    {"aid\nA000000003101\n", "aid is not 5 to 16 bytes"},
    {"aid\nA0000000031O10\n", "aid is not 5 to 16 bytes"},
    {AIDS "A0000000031010\tyes\t\t\t\n", "row 2, column 2: partial is neither 0 nor 1"},
    {AIDS "A0000000031010\t1\t8C\t\t\n", "row 2, column 3: version is not 2 bytes"},
    {AIDS "A0000000031010\t1\t\tDC4000A8\t\n", "row 2, column 4: tac_default is not 5 bytes"},
    {"aid\nA0000000031010\nA0000000041010\na0000000031010\n", "row 4: the same as row 2"},
};

static void aids_are_held_to_iso_7816(void **state)
{
    (void)state;
    look(aid_list_check, aids, sizeof aids / sizeof *aids);
}

/* What people are given as samples is good; a digit changed anywhere in a key is not. */
static void published_keys_pass_and_none_with_another_digit(void **state)
{
    (void)state;
    struct buf table = {0};
    struct err err = {0};
    assert_true(file_read(MUSTER_TABLES "/capk.tsv", 65536, &table, &err));
    if (!ca_keys_check(buf_bytes(&table), &err))
        fail_msg("%s", err.text);
    struct table_lines lines = {.rest = buf_bytes(&table)};
    struct bytes header, line;
    size_t rows = 0;
    assert_true(table_line(&lines, &header));
    for (; table_line(&lines, &line); rows++) {
        struct buf one = {0};
        assert_true(buf_append(&one, header.data, header.length, NULL) &&
                    buf_append(&one, "\n", 1, NULL) &&
                    buf_append(&one, line.data, line.length, NULL));
        uint8_t *digit = &one.data[header.length + 1 + line.length - 41 - 20]; /* of the modulus */
        *digit = *digit == 'A' ? 'B' : 'A';
        assert_false(ca_keys_check(buf_bytes(&one), &err));
        assert_non_null(strstr(err.text, "sha1"));
        buf_done(&one);
    }
    assert_int_equal(rows, 30);
    buf_done(&table);
    assert_true(file_read(MUSTER_TABLES "/aid-list.tsv", 65536, &table, &err));
    assert_true(aid_list_check(buf_bytes(&table), &err));
    buf_done(&table);
}

static void a_table_has_an_end(void **state)
{
    (void)state;
    struct buf table = {0};
    struct err err = {0};
    char row[16];
    assert_true(buf_append(&table, "aid\n", 4, NULL));
    for (unsigned i = 0; i < 2048; i++) {
        (void)snprintf(row, sizeof row, "A0%08X\n", i);
        assert_true(buf_append(&table, row, 11, NULL));
    }
    assert_true(aid_list_check(buf_bytes(&table), &err));
    assert_true(buf_append(&table, "B000000000\n", 11, NULL));
    assert_false(aid_list_check(buf_bytes(&table), &err));
    assert_non_null(strstr(err.text, "row 2050: a list of AIDs has at most 2048 rows"));
    buf_done(&table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ca_keys_are_held_to_emv),
        cmocka_unit_test(aids_are_held_to_iso_7816),
        cmocka_unit_test(published_keys_pass_and_none_with_another_digit),
        cmocka_unit_test(a_table_has_an_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
