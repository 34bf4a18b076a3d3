/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include "tests/unit/testing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What is written to stderr between begin and end. */
struct capture {
    int saved, pipe[2];
};

static void begin(struct capture *capture)
{
    unsetenv("JOURNAL_STREAM");
    log_init("prog", LOG_INFO);
    assert_int_equal(pipe(capture->pipe), 0);
    capture->saved = dup(STDERR_FILENO);
    dup2(capture->pipe[1], STDERR_FILENO);
}

static size_t end(struct capture *capture, char *text, size_t size)
{
    dup2(capture->saved, STDERR_FILENO);
    close(capture->saved);
    close(capture->pipe[1]);
    size_t length = 0;
    ssize_t n = 0;
    while (length < size - 1 && (n = read(capture->pipe[0], text + length, size - 1 - length)) > 0)
        length += (size_t)n;
    text[length] = '\0';
    close(capture->pipe[0]);
    return length;
}

static size_t count_lines(const char *text)
{
    size_t lines = 0;
    for (; *text != '\0'; text++)
        lines += *text == '\n' ? 1 : 0;
    return lines;
}

static void test_foreign_text_can_neither_forge_a_line_nor_leak_a_card(void **state)
{
    (void)state;
    struct capture capture;
    char text[4096];
    begin(&capture);
    /* The published Visa test number, not an account. */
    log_warn("%s", "bad\n2026-01-01 error prog: forged\x1b[31m 4111111111111111");
    end(&capture, text, sizeof text);
    assert_int_equal(count_lines(text), 1);
    assert_null(strstr(text, "4111"));
    assert_null(strchr(text, '\x1b'));
    assert_non_null(strstr(text, " warn prog: bad?2026"));
}

static void test_a_level_below_is_silent(void **state)
{
    (void)state;
    struct capture capture;
    char text[4096];
    begin(&capture);
    log_debug("not seen");
    log_info("%01500d", 7);
    end(&capture, text, sizeof text);
    assert_int_equal(count_lines(text), 1);
    assert_null(strstr(text, "not seen"));
}

static void test_a_gate_lets_some_through_and_tells_how_many_not(void **state)
{
    (void)state;
    struct capture capture;
    struct log_gate gate = {0};
    char text[8192];
    unsigned passed = 0;
    begin(&capture);
    for (int64_t ms = 1; ms <= 1000; ms++)
        passed += log_gate_pass(&gate, ms, "a_counter") ? 1 : 0;
    assert_in_range(passed, 1, 100);
    assert_true(log_gate_pass(&gate, 61001, "a_counter"));
    end(&capture, text, sizeof text);
    char expected[64];
    snprintf(expected, sizeof expected, "%u more lines", 1000 - passed);
    assert_non_null(strstr(text, expected));
    assert_non_null(strstr(text, "a_counter"));
    assert_int_equal(count_lines(text), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_foreign_text_can_neither_forge_a_line_nor_leak_a_card),
        cmocka_unit_test(test_a_level_below_is_silent),
        cmocka_unit_test(test_a_gate_lets_some_through_and_tells_how_many_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
