/* SPDX-License-Identifier: Apache-2.0 */
/* Who asks the server, and how much he may. */
#include "tests/unit/http_world.h"
#include "tests/unit/testing.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* A token for the API, good for a minute. */
static void give_token(struct http_world *world, const char *name, enum fleetdb_role role,
                       char token[ACCESS_TOKEN_CHARS + 1])
{
    uint8_t digest[32];
    const struct fleetdb_token_order order = {.name = name,
                                              .sha256 = digest,
                                              .role = role,
                                              .expires_ms = clock_wall_ms(&world->clock) + 60000};
    struct err err = {0};
    access_token_make(token, digest);
    if (!fleetdb_token_add(world->db, &order, "uid 0", clock_wall_ms(&world->clock), &err))
        fail_msg("%s", err.text);
}

/* Over TCP, or with `local` the unix socket; `token` may be NULL. */
static unsigned ask_as(struct http_world *world, bool local, const char *token, const char *what,
                       const char *host, char *answer)
{
    char request[512];
    (void)snprintf(
        request, sizeof request,
        "%s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\nContent-Length: 0\r\n%s%s%s\r\n", what,
        host, token != NULL ? "Authorization: Bearer " : "", token != NULL ? token : "",
        token != NULL ? "\r\n" : "");
    http_ask(world, local ? http_connect_unix(world) : http_connect_tcp(world), request, 0, answer);
    return http_status_of(answer);
}

static void tcp_asks_for_a_token(void **state)
{
    struct http_world *world = *state;
    char answer[ANSWER_BYTES], token[ACCESS_TOKEN_CHARS + 1];
    assert_true(http_port(world->http) > 0);
    give_token(world, "viewer", FLEETDB_VIEWER, token);
    assert_int_equal(ask_as(world, false, NULL, "GET /open", "localhost", answer), 200);
    assert_int_equal(ask_as(world, false, NULL, "GET /echo", "localhost", answer), 401);
    assert_non_null(strstr(answer, "\r\nWWW-Authenticate: Bearer realm=\"muster\"\r\n"));
    assert_non_null(strstr(answer, "{\"error\":{\"code\":\"unauthorized\""));
    assert_int_equal(ask_as(world, false, NULL, "POST /echo", "localhost", answer), 401);
    assert_int_equal(ask_as(world, false, token, "GET /echo", "localhost", answer), 200);
    assert_int_equal(ask_as(world, false, token, "POST /echo", "localhost", answer), 403);
    assert_int_equal(ask_as(world, false, token, "GET /echo", "proxy.example", answer), 200);
}

/* Who has come in shows less by showing a token: a proxy may sit at the socket. */
static void a_token_counts_on_the_unix_socket_too(void **state)
{
    struct http_world *world = *state;
    char answer[ANSWER_BYTES], token[ACCESS_TOKEN_CHARS + 1];
    give_token(world, "viewer", FLEETDB_VIEWER, token);
    assert_int_equal(ask_as(world, true, NULL, "POST /echo", "x", answer), 200);
    assert_int_equal(ask_as(world, true, token, "POST /echo", "x", answer), 403);
    token[ACCESS_TOKEN_CHARS - 1] ^= 1;
    assert_int_equal(ask_as(world, true, token, "GET /echo", "x", answer), 401);
    assert_int_equal(ask_as(world, true, "", "GET /echo", "x", answer), 401);
    assert_int_equal(world->metrics.values[METRIC_HTTP_UNKNOWN], 2);
}

static void what_is_over_is_no_token(void **state)
{
    struct http_world *world = *state;
    char answer[ANSWER_BYTES], token[ACCESS_TOKEN_CHARS + 1];
    give_token(world, "first", FLEETDB_ADMIN, token);
    assert_int_equal(ask_as(world, false, token, "GET /echo", "x", answer), 200);
    world->ahead_ms = 60001;
    assert_int_equal(ask_as(world, false, token, "GET /echo", "x", answer), 401);
    assert_non_null(strstr(answer, "token first has expired"));
    give_token(world, "second", FLEETDB_ADMIN, token);
    assert_true(
        fleetdb_token_revoke(world->db, "second", "uid 0", clock_wall_ms(&world->clock), NULL));
    assert_int_equal(ask_as(world, false, token, "GET /echo", "x", answer), 401);
    assert_non_null(strstr(answer, "token second is revoked"));
}

static void who_asks_too_often_waits(void **state)
{
    struct http_world *world = *state;
    char answer[ANSWER_BYTES], token[ACCESS_TOKEN_CHARS + 1], other[ACCESS_TOKEN_CHARS + 1];
    give_token(world, "often", FLEETDB_VIEWER, token);
    give_token(world, "other", FLEETDB_VIEWER, other);
    unsigned answered = 0, status = 200;
    while (status == 200 && answered < 1000) {
        status = ask_as(world, false, token, "GET /echo", "x", answer);
        answered += status == 200;
    }
    assert_int_equal(status, 429);
    assert_true(answered >= PER_SECOND * 4);
    assert_non_null(strstr(answer, "\r\nRetry-After: 1\r\n"));
    assert_int_equal(ask_as(world, false, other, "GET /echo", "x", answer), 200);
    assert_int_equal(ask_as(world, true, NULL, "GET /echo", "x", answer), 200);
    world->ahead_ms += 1000;
    assert_int_equal(ask_as(world, false, token, "GET /echo", "x", answer), 200);
    assert_int_equal(world->metrics.values[METRIC_HTTP_TOO_MUCH], 1);
}

static void guessing_is_slowed(void **state)
{
    struct http_world *world = *state;
    char answer[ANSWER_BYTES], token[ACCESS_TOKEN_CHARS + 1];
    give_token(world, "good", FLEETDB_VIEWER, token);
    unsigned tries = 0;
    while (tries < 1000 && ask_as(world, false, "muster_no", "GET /echo", "x", answer) == 401)
        tries++;
    assert_int_equal(http_status_of(answer), 429);
    assert_int_equal(ask_as(world, false, token, "GET /echo", "x", answer), 200);
}

static void who_is_for_a_part_reaches_no_further(void **state)
{
    struct http_world *world = *state;
    char answer[ANSWER_BYTES], token[ACCESS_TOKEN_CHARS + 1];
    uint8_t digest[32];
    static const char *const places[] = {"m1"};
    int64_t device = 0;
    struct err err = {0};
    for (int i = 1; i <= 2; i++) {
        char id[16], merchant[16];
        (void)snprintf(id, sizeof id, "term-%d", i);
        (void)snprintf(merchant, sizeof merchant, "m%d", i);
        const struct fleetdb_enrolment enrolment = {.id = id,
                                                    .serial = id,
                                                    .model = "M",
                                                    .agent_key = bytes_of(id, strlen(id)),
                                                    .merchant_id = merchant,
                                                    .merchant_name = "M",
                                                    .store_id = "s",
                                                    .store_name = "S",
                                                    .region = ""};
        assert_true(fleetdb_enrol(world->db, &enrolment, 1000, &device, &err));
    }
    access_token_make(token, digest);
    const struct fleetdb_token_order order = {.name = "part",
                                              .sha256 = digest,
                                              .role = FLEETDB_ADMIN,
                                              .scope = FLEETDB_SCOPE_MERCHANT,
                                              .places = places,
                                              .place_count = 1};
    assert_true(fleetdb_token_add(world->db, &order, "uid 0", 1000, &err));
    assert_int_equal(ask_as(world, false, token, "GET /devices/term-1", "x", answer), 200);
    assert_int_equal(ask_as(world, false, token, "GET /devices/term-2", "x", answer), 404);
    assert_int_equal(ask_as(world, false, token, "GET /devices/term-3", "x", answer), 404);
    assert_int_equal(ask_as(world, false, token, "GET /all", "x", answer), 403);
    assert_int_equal(ask_as(world, false, token, "GET /echo", "x", answer), 200);
}

/* What has begun so, on a connection that lasts; its descriptor. */
static int begin_as(struct http_world *world, bool local, const char *token, const char *text)
{
    char request[512];
    const int fd = local ? http_connect_unix(world) : http_connect_tcp(world);
    const int length = snprintf(request, sizeof request, "%s%s%s%s", text,
                                token != NULL ? "Authorization: Bearer " : "",
                                token != NULL ? token : "", token != NULL ? "\r\n\r\n" : "");
    assert_int_equal(send(fd, request, (size_t)length, MSG_NOSIGNAL), length);
    for (int i = 0; i < 20; i++)
        (void)uv_run(&world->loop, UV_RUN_NOWAIT);
    return fd;
}

#define LONG "GET /long HTTP/1.1\r\nHost: x\r\n"
#define STREAM "GET /stream HTTP/1.1\r\nHost: x\r\n"

static void a_token_has_two_long_questions_at_a_time(void **state)
{
    struct http_world *world = *state;
    char answer[ANSWER_BYTES], token[ACCESS_TOKEN_CHARS + 1], other[ACCESS_TOKEN_CHARS + 1];
    give_token(world, "long", FLEETDB_VIEWER, token);
    give_token(world, "other", FLEETDB_VIEWER, other);
    int fds[6];
    for (int i = 0; i < 2; i++)
        fds[i] = begin_as(world, false, token, LONG);
    assert_int_equal(ask_as(world, false, token, "GET /long", "x", answer), 429);
    assert_non_null(strstr(answer, "\r\nRetry-After: 1\r\n"));
    assert_int_equal(world->freed, 1); /* what had been begun for it */
    assert_int_equal(ask_as(world, false, token, "GET /echo", "x", answer), 200);
    fds[2] = begin_as(world, false, other, LONG);
    for (int i = 3; i < 6; i++)
        fds[i] = begin_as(world, true, NULL, LONG "\r\n"); /* who needs no token */
    assert_int_equal(world->begun - world->freed, 6);
    world->may_end = true;
    assert_int_equal(ask_as(world, true, NULL, "GET /long", "x", answer), 200);
    assert_int_equal(ask_as(world, false, token, "GET /long", "x", answer), 200);
    for (int i = 0; i < 6; i++)
        (void)close(fds[i]);
}

static void tokens_leave_room_for_other_streams(void **state)
{
    enum { TOKENS = 6, EACH = 4, OTHERS = 8 };
    struct http_world *world = *state;
    char answer[ANSWER_BYTES], token[ACCESS_TOKEN_CHARS + 1], name[16];
    int fds[TOKENS * EACH + OTHERS], count = 0;
    for (int i = 0; i < TOKENS; i++) {
        (void)snprintf(name, sizeof name, "token-%d", i);
        give_token(world, name, FLEETDB_VIEWER, token);
        for (int n = 0; n < EACH; n++)
            fds[count++] = begin_as(world, false, token, STREAM);
        assert_int_equal(world->metrics.values[METRIC_HTTP_STREAMS], count);
        assert_int_equal(ask_as(world, false, token, "GET /stream", "x", answer), 429);
        assert_non_null(strstr(answer, "this token follows"));
    }
    give_token(world, "one-more", FLEETDB_VIEWER, token);
    assert_int_equal(ask_as(world, false, token, "GET /stream", "x", answer), 429);
    assert_non_null(strstr(answer, "come back"));
    for (int i = 0; i < OTHERS; i++)
        fds[count++] = begin_as(world, true, NULL, STREAM "\r\n");
    assert_int_equal(world->metrics.values[METRIC_HTTP_STREAMS], count);
    assert_int_equal(ask_as(world, true, NULL, "GET /stream", "x", answer), 429);
    while (count > 0)
        (void)close(fds[--count]);
}

/* Turns the loop, and the time ahead up to `most_ms`, until `fd` is hung up. */
static void wait_until_ended(struct http_world *world, int fd, int64_t most_ms)
{
    char byte;
    ssize_t n = -1;
    int64_t end_ms = clock_boot_ms(&clock_real) + WAIT_MS;
    while (n != 0 && clock_boot_ms(&clock_real) < end_ms) {
        (void)uv_run(&world->loop, UV_RUN_NOWAIT);
        world->ahead_ms += world->ahead_ms < most_ms ? 10 : 0;
        n = recv(fd, &byte, 1, MSG_DONTWAIT);
        if (n < 0 && errno != EAGAIN)
            n = 0;
    }
    assert_int_equal(n, 0);
}

/* One byte now and then, as if to hold the connection for ever. */
static void a_request_has_its_time(void **state)
{
    struct http_world *world = *state;
    int fd =
        begin_as(world, true, NULL, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n");
    wait_until_ended(world, fd, LIMIT_MS);
    assert_true(world->ahead_ms > LIMIT_MS - 5000); /* the real clock goes on too */
    assert_int_equal(world->metrics.values[METRIC_HTTP_TOO_SLOW], 1);
    (void)close(fd);
}

/* Who fills every place with half a request, and has no token, does not hold them for long. */
static void the_head_of_a_request_has_less(void **state)
{
    struct http_world *world = *state;
    int fd = begin_as(world, false, NULL, "GET /echo HTTP/1.1\r\nHost: x\r\nX: ");
    wait_until_ended(world, fd, 10000);
    assert_int_equal(world->metrics.values[METRIC_HTTP_TOO_SLOW], 1);
    (void)close(fd);
}

/* Another, at one request for longer, shows that it was looked. */
static void the_time_of_a_request_begins_with_it(void **state)
{
    static const char request[] = "GET /echo HTTP/1.1\r\nHost: x\r\n\r\n";
    struct http_world *world = *state;
    int fd = http_connect_unix(world), slow = -1;
    char answer[4096];
    int64_t end_ms = clock_boot_ms(&clock_real) + WAIT_MS;
    for (int i = 0; i < 3; i++) {
        size_t turns = 0;
        assert_int_equal(send(fd, request, sizeof request - 1, MSG_NOSIGNAL), sizeof request - 1);
        while (recv(fd, answer, sizeof answer, MSG_DONTWAIT) <= 0 && turns++ < 100000)
            (void)uv_run(&world->loop, UV_RUN_NOWAIT);
        assert_true(turns < 100000);
        if (i == 0) {
            slow = http_connect_unix(world);
            assert_int_equal(send(slow, request, 5, MSG_NOSIGNAL), 5);
            (void)uv_run(&world->loop, UV_RUN_NOWAIT);
        }
        world->ahead_ms += i < 2 ? LIMIT_MS * 2 / 3 : 0;
    }
    while (world->metrics.values[METRIC_HTTP_TOO_SLOW] == 0 && clock_boot_ms(&clock_real) < end_ms)
        (void)uv_run(&world->loop, UV_RUN_NOWAIT);
    assert_int_equal(world->metrics.values[METRIC_HTTP_TOO_SLOW], 1);
    (void)close(slow);
    (void)close(fd);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, http_world_open, http_world_close)
    const struct CMUnitTest tests[] = {
        TEST(tcp_asks_for_a_token),
        TEST(a_token_counts_on_the_unix_socket_too),
        TEST(what_is_over_is_no_token),
        TEST(who_asks_too_often_waits),
        TEST(guessing_is_slowed),
        TEST(who_is_for_a_part_reaches_no_further),
        TEST(a_request_has_its_time),
        TEST(the_time_of_a_request_begins_with_it),
        TEST(the_head_of_a_request_has_less),
        TEST(a_token_has_two_long_questions_at_a_time),
        TEST(tokens_leave_room_for_other_streams),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
