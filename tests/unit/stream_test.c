/* SPDX-License-Identifier: Apache-2.0 */
#include "base/stream.h"

#include "base/file.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

enum { FRAME_MAX = 1000, QUEUE_MAX = 100000 };

/* A server that echoes each frame `copies` times, and peers on raw sockets in the same process:
 * they never block, and the loop is turned until what is waited for has happened. */
struct room {
    uv_loop_t loop;
    uv_timer_t guard; /* ends a test that waits in vain */
    char dir[64];
    char path[80];
    struct stream_limits limits;
    struct stream_server *server;
    struct stream *last; /* stream accepted last, until it is closed */
    int copies;
    bool refuse_all;
    bool close_on_frame;
    int accepted, crowded, frames, closed, opened;
    size_t last_length;
    struct stream_peer peer;
    bool why_set;
    struct err why;
};

static bool on_accepted(void *ctx, struct stream *stream, struct stream_peer peer)
{
    struct room *room = ctx;
    room->peer = peer;
    if (room->refuse_all)
        return false;
    room->accepted++;
    room->last = stream;
    stream_set_user(stream, room);
    return true;
}

static void on_crowded(void *ctx)
{
    struct room *room = ctx;
    room->crowded++;
}

static void on_frame(void *ctx, struct stream *stream, struct bytes frame)
{
    struct room *room = ctx;
    assert_ptr_equal(stream_user(stream), room);
    room->frames++;
    room->last_length = frame.length;
    for (int i = 0; i < room->copies; i++)
        if (!stream_send(stream, frame, NULL))
            break;
    if (room->close_on_frame)
        stream_close(stream);
}

static void on_closed(void *ctx, struct stream *stream, const struct err *why)
{
    struct room *room = ctx;
    (void)stream;
    room->closed++;
    room->last = NULL;
    room->why_set = why != NULL;
    if (why != NULL)
        room->why = *why;
}

static const struct stream_events events = {
    .accepted = on_accepted, .crowded = on_crowded, .frame = on_frame, .closed = on_closed};

static void on_guard(uv_timer_t *timer)
{
    (void)timer;
    fail_msg("nothing happened for 20 s");
}

static int set_up(void **state)
{
    struct room *room = calloc(1, sizeof *room);
    struct err err;
    *state = room;
    (void)snprintf(room->dir, sizeof room->dir, "/tmp/stream_test.XXXXXX");
    if (mkdtemp(room->dir) == NULL || uv_loop_init(&room->loop) != 0)
        return -1;
    (void)snprintf(room->path, sizeof room->path, "%s/s", room->dir);
    room->limits = (struct stream_limits){
        .max_frame_bytes = FRAME_MAX, .max_queue_bytes = QUEUE_MAX, .max_clients = 4};
    room->copies = 1;
    (void)uv_timer_init(&room->loop, &room->guard);
    (void)uv_timer_start(&room->guard, on_guard, 20000, 0);
    if (!stream_listen(&room->loop, room->path, 0660, &room->limits, &events, room, &room->server,
                       &err))
        return -1;
    return 0;
}

static void restart(struct room *room)
{
    struct err err;
    stream_server_close(room->server);
    while (file_exists(room->path))
        (void)uv_run(&room->loop, UV_RUN_ONCE);
    assert_true(stream_listen(&room->loop, room->path, 0660, &room->limits, &events, room,
                              &room->server, &err));
}

static int tear_down(void **state)
{
    struct room *room = *state;
    struct err err;
    stream_server_close(room->server);
    uv_close((uv_handle_t *)&room->guard, NULL);
    (void)uv_run(&room->loop, UV_RUN_DEFAULT);
    bool ok = uv_loop_close(&room->loop) == 0 && !file_exists(room->path);
    ok = file_remove_tree(room->dir, &err) && ok;
    free(room);
    return ok ? 0 : -1;
}

static void run_until(struct room *room, const int *counter, int value)
{
    while (*counter < value)
        (void)uv_run(&room->loop, UV_RUN_ONCE);
    assert_int_equal(*counter, value);
}

static int dial(struct room *room)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    strcpy(to.sun_path, room->path);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    return fd;
}

static void put(int fd, const void *data, size_t length)
{
    assert_int_equal(send(fd, data, length, MSG_NOSIGNAL), length);
}

/* Waits for `length` bytes, turning the loop. */
static void take(struct room *room, int fd, void *data, size_t length)
{
    size_t got = 0;
    while (got < length) {
        ssize_t n = recv(fd, (char *)data + got, length - got, 0);
        if (n > 0)
            got += (size_t)n;
        else if (n < 0 && errno == EAGAIN)
            (void)uv_run(&room->loop, UV_RUN_NOWAIT);
        else
            fail_msg("the server closed");
    }
}

static bool at_end(struct room *room, int fd)
{
    char byte;
    for (;;) {
        ssize_t n = recv(fd, &byte, 1, 0);
        if (n < 0 && errno == EAGAIN)
            (void)uv_run(&room->loop, UV_RUN_NOWAIT);
        else
            return n == 0 || (n < 0 && errno == ECONNRESET);
    }
}

static void frames_come_back_in_order(void **state)
{
    struct room *room = *state;
    int fd = dial(room);
    put(fd, "\x03one\x00\x03two", 9); /* an empty frame between two */
    char answer[9];
    take(room, fd, answer, sizeof answer);
    assert_memory_equal(answer, "\x03one\x00\x03two", 9);
    assert_int_equal(room->peer.uid, getuid());
    assert_int_equal(room->peer.pid, getpid());
    close(fd);
    run_until(room, &room->closed, 1);
    assert_false(room->why_set);
}

static void a_dribbled_frame_is_one_frame(void **state)
{
    struct room *room = *state;
    int fd = dial(room);
    uint8_t wire[302] = {0xac, 0x02}; /* 300 */
    for (size_t i = 0; i < sizeof wire; i++) {
        assert_int_equal(room->frames, 0);
        put(fd, wire + i, 1);
        for (int turn = 0; turn < 3; turn++)
            (void)uv_run(&room->loop, UV_RUN_NOWAIT);
    }
    run_until(room, &room->frames, 1);
    assert_int_equal(room->last_length, 300);
    close(fd);
}

static void a_frame_over_the_limit_ends_the_connection(void **state)
{
    struct room *room = *state;
    int fd = dial(room);
    put(fd, "\xe8\x07", 2); /* 1000: the limit */
    uint8_t body[FRAME_MAX] = {0};
    put(fd, body, sizeof body);
    run_until(room, &room->frames, 1);
    put(fd, "\xe9\x07", 2); /* 1001: refused before its bytes arrive */
    run_until(room, &room->closed, 1);
    assert_true(room->why_set);
    assert_int_equal(room->why.code, ERR_INVALID);
    assert_non_null(strstr(room->why.text, "1001"));
    close(fd);
}

static void a_huge_length_asks_for_no_memory(void **state)
{
    struct room *room = *state;
    int fd = dial(room);
    put(fd, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 10);
    run_until(room, &room->closed, 1);
    assert_int_equal(room->why.code, ERR_INVALID);
    close(fd);
}

static void an_over_long_varint_ends_the_connection(void **state)
{
    struct room *room = *state;
    int fd = dial(room);
    put(fd, "\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80", 11);
    run_until(room, &room->closed, 1);
    assert_non_null(strstr(room->why.text, "varint"));
    close(fd);
}

static void a_close_in_mid_frame_is_told(void **state)
{
    struct room *room = *state;
    int fd = dial(room);
    put(fd, "\x05half", 5);
    close(fd);
    run_until(room, &room->closed, 1);
    assert_true(room->why_set);
    assert_int_equal(room->frames, 0);
}

static void a_peer_that_never_reads_is_closed(void **state)
{
    struct room *room = *state;
    room->copies = 100;
    int fd = dial(room);
    uint8_t frame[902] = {0x84, 0x07}; /* 900 */
    while (room->closed == 0) {
        ssize_t n = send(fd, frame, sizeof frame, MSG_NOSIGNAL);
        assert_true(n == sizeof frame || n < 0); /* whole: the loop empties the socket each time */
        if (room->last != NULL)
            assert_true(stream_queued_bytes(room->last) <= QUEUE_MAX);
        (void)uv_run(&room->loop, UV_RUN_NOWAIT);
    }
    assert_int_equal(room->why.code, ERR_FULL);
    close(fd);
}

static void further_clients_are_closed_at_once(void **state)
{
    struct room *room = *state;
    int fds[5];
    for (int i = 0; i < 4; i++)
        fds[i] = dial(room);
    run_until(room, &room->accepted, 4);
    fds[4] = dial(room);
    assert_true(at_end(room, fds[4]));
    assert_int_equal(room->accepted, 4);
    assert_int_equal(room->crowded, 1);
    close(fds[0]);
    run_until(room, &room->closed, 1); /* only the accepted one is told */
    close(fds[4]);
    fds[4] = dial(room);
    run_until(room, &room->accepted, 5);
    for (int i = 1; i < 5; i++)
        close(fds[i]);
    run_until(room, &room->closed, 5);
}

static void a_refused_peer_is_closed_without_further_words(void **state)
{
    struct room *room = *state;
    room->refuse_all = true;
    int fd = dial(room);
    assert_true(at_end(room, fd));
    assert_int_equal(room->closed, 0);
    close(fd);
}

static void dribbling_does_not_extend_the_time_for_a_frame(void **state)
{
    struct room *room = *state;
    room->limits.partial_frame_ms = 150;
    restart(room);
    int fd = dial(room);
    put(fd, "\x02ok", 3); /* a whole frame sets no clock */
    run_until(room, &room->frames, 1);
    uint64_t begun = uv_hrtime();
    put(fd, "\xe8\x07", 2);
    uint64_t last_byte = begun;
    while (room->closed == 0) {
        if (uv_hrtime() - last_byte > 20000000) {
            (void)send(fd, "x", 1, MSG_NOSIGNAL);
            last_byte = uv_hrtime();
        }
        (void)uv_run(&room->loop, UV_RUN_NOWAIT);
    }
    assert_int_equal(room->why.code, ERR_TIMEOUT);
    assert_true(uv_hrtime() - begun >= 140000000);
    assert_int_equal(room->frames, 1);
    close(fd);
}

static void closing_in_the_handler_stops_delivery(void **state)
{
    struct room *room = *state;
    room->close_on_frame = true;
    int fd = dial(room);
    put(fd,
        "\x01"
        "a\x01"
        "b\x01"
        "c",
        6);
    run_until(room, &room->closed, 1);
    assert_int_equal(room->frames, 1);
    assert_false(room->why_set);
    close(fd);
}

static void what_was_answered_before_a_close_arrives(void **state)
{
    struct room *room = *state;
    int fd = dial(room);
    char answer[4];
    room->close_on_frame = true;
    put(fd, "\x03one", 4);
    take(room, fd, answer, sizeof answer);
    assert_memory_equal(answer, "\x03one", 4);
    assert_true(at_end(room, fd));
    close(fd);
}

static void the_socket_file_has_its_mode(void **state)
{
    struct room *room = *state;
    struct stat st;
    assert_int_equal(stat(room->path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0660);
    mode_t before = umask(0777);
    restart(room);
    umask(before);
    assert_int_equal(stat(room->path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0660);
}

static void a_dead_socket_is_replaced_a_live_one_refused(void **state)
{
    struct room *room = *state;
    struct stream_server *other = NULL;
    struct err err;
    assert_false(
        stream_listen(&room->loop, room->path, 0600, &room->limits, &events, room, &other, &err));
    assert_int_equal(err.code, ERR_CONFLICT);
    assert_non_null(strstr(err.text, room->path));
    assert_null(other);

    char dead[96], file[96];
    (void)snprintf(dead, sizeof dead, "%s/dead", room->dir);
    (void)snprintf(file, sizeof file, "%s/file", room->dir);
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    strcpy(at.sun_path, dead);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(fd, 1), 0);
    close(fd); /* as a killed process leaves it */
    assert_true(stream_listen(&room->loop, dead, 0600, &room->limits, &events, room, &other, &err));
    stream_server_close(other);

    assert_true(file_write(file, bytes_of("x", 1), 0600, &err));
    assert_false(
        stream_listen(&room->loop, file, 0600, &room->limits, &events, room, &other, &err));
    assert_int_equal(err.code, ERR_CONFLICT);
    assert_true(file_exists(file));
}

static void a_path_that_does_not_fit_is_refused(void **state)
{
    struct room *room = *state;
    struct stream_server *server = NULL;
    struct stream *stream = NULL;
    struct err err;
    char path[200];
    memset(path, 'p', sizeof path - 1);
    path[sizeof path - 1] = '\0';
    assert_false(
        stream_listen(&room->loop, path, 0600, &room->limits, &events, room, &server, &err));
    assert_int_equal(err.code, ERR_INVALID);
    assert_false(stream_connect(&room->loop, path, &room->limits, &events, room, &stream, &err));
    assert_int_equal(err.code, ERR_INVALID);
}

/* ---- the client's side ---- */

struct visitor {
    int opened, frames, closed;
    bool why_set;
    struct err why;
};

static void on_opened(void *ctx, struct stream *stream)
{
    struct visitor *visitor = ctx;
    visitor->opened++;
    for (const char *c = "abcde"; *c != '\0'; c++)
        assert_true(stream_send(stream, bytes_of(c, 1), NULL));
}

static void on_answer(void *ctx, struct stream *stream, struct bytes frame)
{
    struct visitor *visitor = ctx;
    assert_int_equal(frame.length, 1);
    assert_int_equal(frame.data[0], 'a' + visitor->frames);
    if (++visitor->frames == 5) {
        stream_close(stream);
        stream_close(stream); /* twice is fine */
        assert_false(stream_send(stream, frame, NULL));
    }
}

static void on_visit_over(void *ctx, struct stream *stream, const struct err *why)
{
    struct visitor *visitor = ctx;
    (void)stream;
    visitor->closed++;
    visitor->why_set = why != NULL;
    if (why != NULL)
        visitor->why = *why;
}

static const struct stream_events visit = {
    .opened = on_opened, .frame = on_answer, .closed = on_visit_over};

static void a_client_talks_to_the_server(void **state)
{
    struct room *room = *state;
    struct visitor visitor = {0};
    struct stream *stream = NULL;
    struct err err;
    assert_true(
        stream_connect(&room->loop, room->path, &room->limits, &visit, &visitor, &stream, &err));
    run_until(room, &visitor.closed, 1);
    assert_int_equal(visitor.opened, 1);
    assert_int_equal(visitor.frames, 5);
    assert_false(visitor.why_set);
    run_until(room, &room->closed, 1);
}

static void connecting_to_nobody_says_where(void **state)
{
    struct room *room = *state;
    struct visitor visitor = {0};
    struct stream *stream = NULL;
    struct err err;
    char path[96];
    (void)snprintf(path, sizeof path, "%s/nobody", room->dir);
    assert_true(stream_connect(&room->loop, path, &room->limits, &visit, &visitor, &stream, &err));
    run_until(room, &visitor.closed, 1);
    assert_int_equal(visitor.opened, 0);
    assert_true(visitor.why_set);
    assert_int_equal(visitor.why.code, ERR_NOT_FOUND);
    assert_non_null(strstr(visitor.why.text, path));
}

static void the_server_going_away_is_seen(void **state)
{
    struct room *room = *state;
    struct visitor visitor = {0};
    struct stream *stream = NULL;
    struct err err;
    room->copies = 0;
    assert_true(
        stream_connect(&room->loop, room->path, &room->limits, &visit, &visitor, &stream, &err));
    run_until(room, &room->frames, 5);
    restart(room);
    run_until(room, &visitor.closed, 1);
    run_until(room, &room->closed, 1);
}

static void an_oversized_answer_is_not_sent(void **state)
{
    struct room *room = *state;
    int fd = dial(room);
    run_until(room, &room->accepted, 1);
    uint8_t frame[FRAME_MAX + 1] = {0};
    struct err err;
    assert_false(stream_send(room->last, bytes_of(frame, sizeof frame), &err));
    assert_int_equal(err.code, ERR_INVALID);
    assert_true(stream_send(room->last, bytes_of(frame, FRAME_MAX), &err));
    close(fd);
}

#define ROOM_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROOM_TEST(frames_come_back_in_order),
        ROOM_TEST(a_dribbled_frame_is_one_frame),
        ROOM_TEST(a_frame_over_the_limit_ends_the_connection),
        ROOM_TEST(a_huge_length_asks_for_no_memory),
        ROOM_TEST(an_over_long_varint_ends_the_connection),
        ROOM_TEST(a_close_in_mid_frame_is_told),
        ROOM_TEST(a_peer_that_never_reads_is_closed),
        ROOM_TEST(further_clients_are_closed_at_once),
        ROOM_TEST(a_refused_peer_is_closed_without_further_words),
        ROOM_TEST(dribbling_does_not_extend_the_time_for_a_frame),
        ROOM_TEST(closing_in_the_handler_stops_delivery),
        ROOM_TEST(what_was_answered_before_a_close_arrives),
        ROOM_TEST(the_socket_file_has_its_mode),
        ROOM_TEST(a_dead_socket_is_replaced_a_live_one_refused),
        ROOM_TEST(a_path_that_does_not_fit_is_refused),
        ROOM_TEST(a_client_talks_to_the_server),
        ROOM_TEST(connecting_to_nobody_says_where),
        ROOM_TEST(the_server_going_away_is_seen),
        ROOM_TEST(an_oversized_answer_is_not_sent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
