/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/http.h"

#include "base/file.h"
#include "tests/unit/http_world.h"
#include "tests/unit/testing.h"

#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static void requests_are_answered(void **state)
{
    struct http_world *world = *state;
    char answer[ANSWER_BYTES];
    http_ask(world, http_connect_unix(world),
             "GET /echo?q=a%20b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 0, answer);
    assert_int_equal(http_status_of(answer), 200);
    assert_non_null(strstr(answer, "application/json"));
    assert_non_null(strstr(answer, "{\"method\":\"GET\",\"bytes\":0,\"q\":\"a b\"}"));
    http_ask(world, http_connect_unix(world),
             "POST /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 1000\r\n\r\n",
             1000, answer);
    assert_non_null(strstr(answer, "{\"method\":\"POST\",\"bytes\":1000,\"q\":\"\"}"));
    assert_int_equal(world->metrics.values[METRIC_HTTP_REQUESTS], 2);
    assert_int_equal(world->metrics.values[METRIC_HTTP_ERRORS], 0);
}

static void bodies_beyond_the_limit_are_413(void **state)
{
    struct http_world *world = *state;
    char answer[ANSWER_BYTES];
    http_ask(world, http_connect_unix(world),
             "POST /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 1001\r\n\r\n",
             1001, answer);
    assert_int_equal(http_status_of(answer), 413);
    /* Much longer is read and dropped; a GET has no body at all. */
    http_ask(
        world, http_connect_unix(world),
        "POST /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 900000\r\n\r\n",
        900000, answer);
    assert_int_equal(http_status_of(answer), 413);
    http_ask(world, http_connect_unix(world),
             "GET /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 3\r\n\r\n", 3,
             answer);
    assert_int_equal(http_status_of(answer), 413);
    assert_int_equal(world->metrics.values[METRIC_HTTP_ERRORS], 3);
}

static void what_is_not_there_is_said(void **state)
{
    struct http_world *world = *state;
    char answer[ANSWER_BYTES];
    http_ask(world, http_connect_unix(world),
             "GET /other HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 0, answer);
    assert_int_equal(http_status_of(answer), 404);
    assert_non_null(strstr(answer, "{\"error\":{\"code\":\"not_found\""));
    http_ask(world, http_connect_unix(world),
             "DELETE /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 0, answer);
    assert_int_equal(http_status_of(answer), 405);
    assert_non_null(strstr(answer, "\r\nAllow: GET, POST\r\n"));
}

/* Texts end at a NUL: what is behind it would not be seen. */
static void a_nul_is_refused_wherever_it_is(void **state)
{
    static const char *const heads[] = {
        "GET /devices/term-1%00x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        "GET /echo?q=a%00b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        "GET /echo?q%00r=a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    };
    struct http_world *world = *state;
    char answer[ANSWER_BYTES];
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
        http_ask(world, http_connect_unix(world), heads[i], 0, answer);
        assert_int_equal(http_status_of(answer), 400);
        assert_non_null(strstr(answer, "holds a NUL"));
    }
    http_ask(world, http_connect_unix(world),
             "GET /echo?q=a%2500b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 0, answer);
    assert_non_null(strstr(answer, "\"q\":\"a%00b\""));
}

static void tcp_knows_only_names_of_this_machine(void **state)
{
    static const struct {
        const char *host;
        unsigned status;
    } rows[] = {
        {"127.0.0.1:9180", 200},
        {"LocalHost:9180", 200},
        {"[::1]:9180", 200},
        {"127.1.2.3", 200},
        {"evil.example", 421},
        {"127.0.0.1.evil.example", 421},
        {"127.evil.example", 421},
        {"localhost.evil.example:9180", 421},
        {"", 421},
    };
    struct http_world *world = *state;
    char answer[ANSWER_BYTES], request[256];
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        (void)snprintf(request, sizeof request,
                       "GET /open HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", rows[i].host);
        http_ask(world, http_connect_tcp(world), request, 0, answer);
        if (http_status_of(answer) != rows[i].status)
            fail_msg("Host %s: %u", rows[i].host, http_status_of(answer));
    }
    http_ask(world, http_connect_unix(world),
             "GET /echo HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n", 0, answer);
    assert_int_equal(http_status_of(answer), 200); /* no browser gets there */
}

/* As many as are served at a time say half a request, and leave. */
static void a_full_house_empties(void **state)
{
    enum { CLIENTS = 64, TURNS = 1000 };
    struct http_world *world = *state;
    char answer[ANSWER_BYTES];
    int fds[CLIENTS];
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < CLIENTS; i++) {
            fds[i] = http_connect_unix(world);
            assert_int_equal(send(fds[i], "GET /e", 6, MSG_NOSIGNAL), 6);
            (void)uv_run(&world->loop, UV_RUN_NOWAIT);
        }
        for (size_t i = 0; i < TURNS; i++)
            (void)uv_run(&world->loop, UV_RUN_NOWAIT);
        for (size_t i = 0; i < CLIENTS; i++)
            (void)close(fds[i]);
        for (size_t i = 0; i < TURNS; i++)
            (void)uv_run(&world->loop, UV_RUN_NOWAIT);
        http_ask(world, http_connect_unix(world),
                 "GET /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 0, answer);
        assert_int_equal(http_status_of(answer), 200);
    }
}

static void the_socket_has_its_mode_and_one_owner(void **state)
{
    struct http_world *world = *state;
    struct stat file;
    struct http *second = NULL;
    struct err err = {0};
    assert_int_equal(stat(world->path, &file), 0);
    assert_int_equal(file.st_mode & 0777, 0600);
    assert_false(http_open(&world->loop, &world->settings, &world->api, &second, &err));
    assert_int_equal(err.code, ERR_CONFLICT);
    assert_true(file_exists(world->path)); /* still the first one's */
}

static void only_this_machine_may_be_listened_on(void **state)
{
    struct http_world *world = *state;
    static const char *const wrong[] = {"0.0.0.0:9180", "[::]:9180",  "127.0.0.1",
                                        "localhost:1",  "10.0.0.1:1", "127.0.0.1:99999"};
    char path[160];
    (void)snprintf(path, sizeof path, "%s/second.sock", world->dir);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct http_settings settings = world->settings;
        struct http *second = NULL;
        struct err err = {0};
        settings.socket_path = path;
        settings.listen = wrong[i];
        assert_false(http_open(&world->loop, &settings, &world->api, &second, &err));
        assert_int_equal(err.code, ERR_INVALID);
    }
}

/* ---- what is answered in steps ---- */

enum { TURNS_MAX = 100000 };

/* Another that asks for what takes long; it has been begun when this returns. */
static int ask_long(struct http_world *world)
{
    static const char request[] = "GET /long HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    const int fd = http_connect_unix(world), before = world->begun;
    assert_int_equal(send(fd, request, sizeof request - 1, MSG_NOSIGNAL), sizeof request - 1);
    for (int i = 0; i < TURNS_MAX && world->begun == before; i++)
        (void)uv_run(&world->loop, UV_RUN_NOWAIT);
    assert_int_equal(world->begun, before + 1);
    return fd;
}

static void take_steps(struct http_world *world, int count)
{
    const int before = world->steps;
    for (int i = 0; i < TURNS_MAX && world->steps < before + count; i++)
        (void)uv_run(&world->loop, UV_RUN_NOWAIT);
    assert_true(world->steps >= before + count);
}

/* What has come for it so far; "" while nothing has. */
static void hear(struct http_world *world, int fd, bool wait, char *answer)
{
    size_t got = 0;
    for (int i = 0; i < (wait ? TURNS_MAX : 100); i++) {
        (void)uv_run(&world->loop, UV_RUN_NOWAIT);
        ssize_t n = recv(fd, answer + got, ANSWER_BYTES - 1 - got, MSG_DONTWAIT);
        if (n == 0)
            break;
        got += n > 0 ? (size_t)n : 0;
    }
    answer[got] = '\0';
}

static void others_are_answered_between_the_steps(void **state)
{
    struct http_world *world = *state;
    char answer[ANSWER_BYTES];
    int first = ask_long(world), second = ask_long(world);
    for (int i = 0; i < 4; i++) {
        const int before = world->last;
        take_steps(world, 1);
        assert_int_equal(world->last, 3 - before); /* a step of each in turn */
    }
    http_ask(world, http_connect_unix(world),
             "GET /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 0, answer);
    assert_int_equal(http_status_of(answer), 200);
    hear(world, first, false, answer);
    assert_string_equal(answer, "");
    world->may_end = true;
    hear(world, first, true, answer);
    assert_int_equal(http_status_of(answer), 200);
    assert_non_null(strstr(answer, "{\"number\":1}"));
    hear(world, second, true, answer);
    assert_non_null(strstr(answer, "{\"number\":2}"));
    assert_int_equal(world->freed, 2);
    assert_int_equal(world->metrics.values[METRIC_HTTP_REQUESTS], 3);
    (void)close(first);
    (void)close(second);
}

static void what_needs_much_memory_waits_for_its_like(void **state)
{
    struct http_world *world = *state;
    char answer[ANSWER_BYTES];
    bool seen[4] = {false};
    world->alone = true;
    int fds[3] = {ask_long(world), ask_long(world)};
    world->alone = false;
    fds[2] = ask_long(world);
    for (int i = 0; i < 10; i++) {
        take_steps(world, 1);
        seen[world->last] = true;
    }
    assert_true(seen[1] && seen[3]);
    assert_int_equal(world->freed, 0);
    world->may_end = true;
    for (size_t i = 0; i < 3; i++) {
        hear(world, fds[i], true, answer);
        assert_int_equal(http_status_of(answer), 200);
        (void)close(fds[i]);
    }
    assert_false(seen[2]);
}

static void a_step_that_fails_is_the_answer(void **state)
{
    struct http_world *world = *state;
    char answer[ANSWER_BYTES];
    int fd = ask_long(world);
    take_steps(world, 2);
    world->may_end = world->fails = true;
    hear(world, fd, true, answer);
    assert_int_equal(http_status_of(answer), 409);
    assert_non_null(strstr(answer, "it came to nothing"));
    assert_int_equal(world->metrics.values[METRIC_HTTP_ERRORS], 1);
    (void)close(fd);
}

/* And nothing is done for him any more. */
static void who_leaves_meanwhile_stops_nobody(void **state)
{
    struct http_world *world = *state;
    char answer[ANSWER_BYTES];
    int left = ask_long(world), staying = ask_long(world);
    take_steps(world, 4);
    assert_int_equal(world->freed, 0);
    (void)close(left);
    for (int i = 0; i < TURNS_MAX && world->freed == 0; i++)
        (void)uv_run(&world->loop, UV_RUN_NOWAIT);
    assert_int_equal(world->freed, 1);
    assert_int_equal(world->metrics.values[METRIC_HTTP_DESERTED], 1);
    take_steps(world, 2);
    assert_int_equal(world->last, 2);
    world->may_end = true;
    hear(world, staying, true, answer);
    assert_non_null(strstr(answer, "{\"number\":2}"));
    (void)close(staying);
    http_ask(world, http_connect_unix(world),
             "GET /long HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 0, answer);
    assert_int_equal(http_status_of(answer), 200);
}

/* The teardown closes the server, and counts what was freed. */
static void work_that_is_not_done_ends_with_the_server(void **state)
{
    struct http_world *world = *state;
    int fds[2] = {ask_long(world), ask_long(world)};
    take_steps(world, 1);
    assert_int_equal(world->freed, 0);
    http_close(world->http);
    (void)uv_run(&world->loop, UV_RUN_DEFAULT);
    world->http = NULL;
    assert_int_equal(world->freed, 2);
    (void)close(fds[0]);
    (void)close(fds[1]);
}

/* ---- what was large ---- */

static int given_back;

/* In place of libc's, which is the last to know of it. */
int malloc_trim(size_t keep)
{
    (void)keep;
    given_back++;
    return 1;
}

static void count_timer(uv_handle_t *handle, void *ctx)
{
    int *count = ctx;
    *count += handle->type == UV_TIMER && uv_is_active(handle);
}

/* A server whose clients have left needs no timer for anything else. */
static int timers_of(struct http_world *world)
{
    int count = 0;
    uv_walk(&world->loop, count_timer, &count);
    return count;
}

static void memory_of_large_answers_is_given_back(void **state)
{
    struct http_world *world = *state;
    char answer[ANSWER_BYTES], request[128];
    for (int more = -1; more <= 1; more++) {
        (void)snprintf(request, sizeof request,
                       "GET /large?bytes=%d HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
                       LARGE_BYTES + more);
        http_ask(world, http_connect_unix(world), request, 0, answer);
        assert_int_equal(http_status_of(answer), 200);
        assert_int_equal(timers_of(world), more >= 0);
    }
    assert_int_equal(given_back, 0);
    (void)uv_run(&world->loop, UV_RUN_ONCE);
    assert_int_equal(given_back, 1); /* for the two of them */
    assert_int_equal(timers_of(world), 0);
}

static void that_of_large_requests_is_too(void **state)
{
    struct http_world *world = *state;
    char answer[ANSWER_BYTES], request[128];
    for (int missing = 1; missing >= 0; missing--) {
        const size_t bytes = (size_t)(LARGE_BYTES - missing);
        (void)snprintf(request, sizeof request,
                       "POST /large HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
                       "Content-Length: %zu\r\n\r\n",
                       bytes);
        http_ask(world, http_connect_unix(world), request, bytes, answer);
        assert_int_equal(http_status_of(answer), 200);
        assert_int_equal(timers_of(world), 1 - missing);
    }
}

static void and_that_of_work_that_needs_much(void **state)
{
    struct http_world *world = *state;
    char answer[ANSWER_BYTES];
    for (int alone = 0; alone <= 1; alone++) {
        world->alone = alone;
        world->may_end = true;
        http_ask(world, http_connect_unix(world),
                 "GET /long HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 0, answer);
        assert_int_equal(http_status_of(answer), 200);
        assert_int_equal(timers_of(world), alone);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, http_world_open, http_world_close)
    const struct CMUnitTest tests[] = {
        TEST(requests_are_answered),
        TEST(bodies_beyond_the_limit_are_413),
        TEST(what_is_not_there_is_said),
        TEST(a_nul_is_refused_wherever_it_is),
        TEST(a_full_house_empties),
        TEST(others_are_answered_between_the_steps),
        TEST(what_needs_much_memory_waits_for_its_like),
        TEST(a_step_that_fails_is_the_answer),
        TEST(who_leaves_meanwhile_stops_nobody),
        TEST(work_that_is_not_done_ends_with_the_server),
        TEST(memory_of_large_answers_is_given_back),
        TEST(that_of_large_requests_is_too),
        TEST(and_that_of_work_that_needs_much),
        TEST(tcp_knows_only_names_of_this_machine),
        TEST(the_socket_has_its_mode_and_one_owner),
        TEST(only_this_machine_may_be_listened_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
