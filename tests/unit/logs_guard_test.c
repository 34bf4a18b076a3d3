/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/logs_guard.h"

#include "tests/unit/testing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The numbers that look like cards here are the payment schemes' published test numbers, and so
 * are the tracks: their dates and codes are made up. */
struct row {
    const char *text, *guarded;
};

static const struct row groups[] = {
    {"4111.1111.1111.1111", "****.****.****.****"},
    {"a 4111/1111/1111/1111.", "a ****/****/****/****."},
    {"4111  1111  1111  1111", "****  ****  ****  ****"},
    {"4111\t1111\t1111\t1111", "****\t****\t****\t****"},
    {"4111_1111_1111_1111", "****_****_****_****"},
    {"3782.822463.10005", "****.******.*****"},
    {"2223.0000.4841.0010 and more", "****.****.****.**** and more"},
    {"x41:11:11:11:11:11:11:11", "x**:**:**:**:**:**:**:**"},
    {"wrapped 411111111111\n1111 here", "wrapped ************\n**** here"},
    {"wrapped 4111\r\n111111111111", "wrapped ****?\n************"},
    {"6200.0000.0000.0005,5555.5555.5555.4444", "****.****.****.****,****.****.****.****"},
};

static const struct row dumps[] = {
    {"34 31 31 31 31 31 31 31 31 31 31 31 31 31 31 31",
     "** ** ** ** ** ** ** ** ** ** ** ** ** ** ** **"},
    {"<34313131313131313131313131313131>", "<******************************"
                                           "**>"},
    {"F4F1F1F1F1F1F1F1F1F1F1F1F1F1F1F1", "********************************"},
    {"\\x34\\x31\\x31\\x31\\x31\\x31\\x31\\x31\\x31\\x31\\x31\\x31\\x31\\x31\\x31\\x31",
     "\\x**\\***\\***\\***\\***\\***\\***\\***\\***\\***\\***\\***\\***\\***\\***\\***"},
    {"{0x41, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11}",
     "{0x**, ****, ****, ****, ****, ****, ****, ****}"},
};

static const struct row tracks[] = {
    {"4111111111111111=25121010000012300000", "****************=********************"},
    {";4111111111111111D2512101 next", ";****************D******* next"},
    {"B4111111111111111^DOE/JANE^2512101000001", "B****************^DOE/JANE^*************"},
    {"41 11 11 11 11 11 11 11 D2 51 21 01 00", "** ** ** ** ** ** ** ** D* ** ** ** **"},
};

static const struct row encoded[] = {
    {"body cGFuOiA0MTExMTExMTExMTExMTExIG9r.", "body ********************************."},
    {"got:AgBwIAAAAMAAABZBEREREREREQAAAA==", "got:******************************=="},
};

static const char *const untouched[] = {
    "2026-11-22 12:38:59.123 started in 4500 ms",
    "paid 4500\n2026-11-22 12:38:59.123 next line",
    "paid 45001\n1763899894.123 next line",
    "192.168.100.200:8443 -> 203.0.113.17:443",
    "52:54:00:12:34:56",
    "version 2.10.3, build 20261122.1",
    "4111.1111.1111.1112", /* fails Luhn */
    "4111.1111,1111.1111", /* no one separator */
    "41.1111.1111.111111", /* no groups that anybody writes */
    "1b4e28ba-2fa1-11d2-883f-0016d3cca427",
    "sha256 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "YW4gb3JkaW5hcnkgdGV4dCB0aGF0IGhvbGRzIG5vIG51bWJlciBhdCBhbGw=",
    "**** Deposit 12",
    "caf\xc3\xa9 BERERERERE ok",
    "ESC of a colour: ?[31m",
};

static char *guard(const void *text, size_t length, bool *ret_masked)
{
    struct buf buf = {0};
    struct err err = {0};
    assert_true(buf_append(&buf, text, length, &err));
    assert_true(logs_guard(&buf, ret_masked, &err));
    assert_true(buf.length <= length);
    char *out = calloc(1, buf.length + 1);
    assert_non_null(out);
    if (buf.length > 0)
        memcpy(out, buf.data, buf.length);
    buf_done(&buf);
    return out;
}

static void expect_rows(const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        bool masked;
        char *out = guard(rows[i].text, strlen(rows[i].text), &masked);
        assert_string_equal(out, rows[i].guarded);
        assert_true(masked);
        free(out);
    }
}

#define EXPECT(rows) expect_rows(rows, sizeof(rows) / sizeof *(rows))

static void test_groups(void **state)
{
    (void)state;
    EXPECT(groups);
}

static void test_dumped_bytes(void **state)
{
    (void)state;
    EXPECT(dumps);
}

static void test_the_rest_of_a_track(void **state)
{
    (void)state;
    EXPECT(tracks);
}

static void test_base64(void **state)
{
    (void)state;
    EXPECT(encoded);
}

static void test_what_is_none_stays(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof untouched / sizeof *untouched; i++) {
        bool masked;
        char *out = guard(untouched[i], strlen(untouched[i]), &masked);
        assert_string_equal(out, untouched[i]);
        assert_false(masked);
        free(out);
    }
}

static void expect_bytes(const void *text, size_t length, const char *guarded)
{
    bool masked;
    char *out = guard(text, length, &masked);
    assert_string_equal(out, guarded);
    assert_true(masked);
    free(out);
}

static void test_bytes_that_are_no_text(void **state)
{
    (void)state;
    /* A message as it was sent: packed, packed and filled up, with a 0 in front, a track. */
    static const char packed[] = "\x02\x41\x11\x11\x11\x11\x11\x11\x11\x03 tail\nnext";
    static const char filled[] = "\x02\x37\x82\x82\x24\x63\x10\x00\x5f.";
    static const char front[] = "\x02\x03\x78\x28\x22\x46\x31\x00\x05.";
    static const char track[] = "\x02\x41\x11\x11\x11\x11\x11\x11\x11\xd2\x51\x21\x01\x0f.";
    static const char wide[] = "p\0a\0n\0 \0"
                               "4\0001\0001\0001\0001\0001\0001\0001\0"
                               "1\0001\0001\0001\0001\0001\0001\0001\0\n";
    expect_bytes(packed, sizeof packed - 1, "?********? tail\nnext");
    expect_bytes(filled, sizeof filled - 1, "?********.");
    expect_bytes(front, sizeof front - 1, "?********.");
    expect_bytes(track, sizeof track - 1, "?*************.");
    expect_bytes(wide, sizeof wide - 1, "pan ****************\n");
}

/* Whatever the bytes are, and wherever they end. */
static void test_no_step_too_far(void **state)
{
    (void)state;
    for (size_t r = 0; r < sizeof tracks / sizeof *tracks; r++)
        for (size_t cut = 0; cut <= strlen(tracks[r].text); cut++) {
            bool masked;
            char *tight = malloc(cut + 1); /* not NUL-ended: a sanitizer sees it */
            assert_non_null(tight);
            memcpy(tight, tracks[r].text, cut);
            char *out = guard(tight, cut, &masked);
            free(out);
            free(tight);
        }
}

static void test_length_costs_little(void **state)
{
    (void)state;
    static const char *const patterns[] = {"4", "4.", "34", "41 ", "A", "=", "\x41", "0x41,"};
    const size_t length = 64 * 1024;
    char *text = malloc(length);
    assert_non_null(text);
    for (size_t p = 0; p < sizeof patterns / sizeof *patterns; p++) {
        bool masked;
        size_t size = strlen(patterns[p]);
        for (size_t i = 0; i < length; i++)
            text[i] = patterns[p][i % size];
        free(guard(text, length, &masked));
    }
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_groups),
        cmocka_unit_test(test_dumped_bytes),
        cmocka_unit_test(test_the_rest_of_a_track),
        cmocka_unit_test(test_base64),
        cmocka_unit_test(test_what_is_none_stays),
        cmocka_unit_test(test_bytes_that_are_no_text),
        cmocka_unit_test(test_no_step_too_far),
        cmocka_unit_test(test_length_costs_little),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
