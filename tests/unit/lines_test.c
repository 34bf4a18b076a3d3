/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/lines.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

struct pipe_of_lines {
    int write_fd;
    struct lines lines;
};

static int set_up(void **state)
{
    struct pipe_of_lines *pipe = calloc(1, sizeof *pipe);
    int fds[2];
    *state = pipe;
    if (pipe2(fds, O_NONBLOCK) != 0)
        return -1;
    pipe->write_fd = fds[1];
    lines_init(&pipe->lines, fds[0]);
    return 0;
}

static int tear_down(void **state)
{
    struct pipe_of_lines *pipe = *state;
    (void)close(pipe->lines.fd);
    if (pipe->write_fd >= 0)
        (void)close(pipe->write_fd);
    lines_done(&pipe->lines);
    free(pipe);
    return 0;
}

static void put(struct pipe_of_lines *pipe, const void *data, size_t length)
{
    struct err err;
    assert_int_equal(write(pipe->write_fd, data, length), length);
    assert_true(lines_read(&pipe->lines, &err));
}

static void finish(struct pipe_of_lines *pipe)
{
    struct err err;
    (void)close(pipe->write_fd);
    pipe->write_fd = -1;
    assert_true(lines_read(&pipe->lines, &err));
    assert_true(pipe->lines.eof);
}

static void assert_line(struct pipe_of_lines *pipe, uint64_t number, const char *text)
{
    struct line line;
    assert_true(lines_next(&pipe->lines, &line));
    assert_false(line.too_long);
    assert_true(line.number == number);
    assert_true(bytes_equal(line.text, bytes_of(text, strlen(text))));
}

static void assert_none(struct pipe_of_lines *pipe)
{
    struct line line;
    assert_false(lines_next(&pipe->lines, &line));
}

static void lines_come_whole_and_numbered(void **state)
{
    struct pipe_of_lines *pipe = *state;
    put(pipe, "one\n\nthr", 8);
    assert_line(pipe, 1, "one");
    assert_line(pipe, 2, "");
    assert_none(pipe);
    put(pipe, "ee\nlast", 7);
    assert_line(pipe, 3, "three");
    assert_none(pipe);
    finish(pipe);
    assert_line(pipe, 4, "last"); /* without an end of line */
    assert_none(pipe);
}

static void nothing_is_no_line(void **state)
{
    struct pipe_of_lines *pipe = *state;
    put(pipe, "a\n", 2);
    assert_line(pipe, 1, "a");
    finish(pipe);
    assert_none(pipe);
}

static void a_pause_is_not_the_end(void **state)
{
    struct pipe_of_lines *pipe = *state;
    struct err err;
    assert_true(lines_read(&pipe->lines, &err)); /* nothing there yet */
    assert_false(pipe->lines.eof);
    put(pipe, "a\n", 2);
    assert_line(pipe, 1, "a");
}

static void an_endless_line_is_one_line_in_bounded_memory(void **state)
{
    struct pipe_of_lines *pipe = *state;
    char block[8192];
    struct line line;
    memset(block, 'x', sizeof block);
    for (int i = 0; i < 300; i++) {
        put(pipe, block, sizeof block);
        assert_none(pipe);
        assert_true(pipe->lines.in.capacity <= 96 * 1024);
    }
    put(pipe, "\nnext\n", 6);
    assert_true(lines_next(&pipe->lines, &line));
    assert_true(line.too_long);
    assert_true(line.number == 1);
    assert_int_equal(line.text.length, 0);
    assert_line(pipe, 2, "next");
}

static void an_endless_last_line_is_told_too(void **state)
{
    struct pipe_of_lines *pipe = *state;
    char block[LINES_MAX_BYTES + 1];
    struct line line;
    memset(block, 'x', sizeof block);
    put(pipe, block, sizeof block);
    assert_none(pipe);
    finish(pipe);
    assert_true(lines_next(&pipe->lines, &line));
    assert_true(line.too_long);
    assert_none(pipe);
}

#define PIPE_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        PIPE_TEST(lines_come_whole_and_numbered),
        PIPE_TEST(nothing_is_no_line),
        PIPE_TEST(a_pause_is_not_the_end),
        PIPE_TEST(an_endless_line_is_one_line_in_bounded_memory),
        PIPE_TEST(an_endless_last_line_is_told_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
