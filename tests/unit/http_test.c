/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/http.h"

#include "base/file.h"
#include "tests/unit/testing.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { BODY_MAX = 1000, ANSWER_BYTES = 64 * 1024, WAIT_MS = 20000 };

/* A server on a loop of its own; the client's end is a plain socket in the same thread. */
struct world {
    char dir[64], path[128];
    uv_loop_t loop;
    struct metrics metrics;
    struct http_settings settings;
    struct http *http;
    struct api_module module;
    struct api api;
    /* Of the work that /long begins, a number each: */
    int begun, freed, last, steps;
    bool may_end, fails;
};

static bool echo(void *ctx, const struct api_request *request, struct api_answer *answer,
                 struct err *err)
{
    (void)ctx;
    (void)err;
    const char *q = api_query(request, "q");
    answer->json = json_pack("{s:s, s:i, s:s}", "method", request->method, "bytes",
                             (int)request->body.length, "q", q != NULL ? q : "");
    return answer->json != NULL;
}

struct work {
    struct world *world;
    int number;
};

static bool step(void *ctx, struct api_answer *answer, bool *ret_done, struct err *err)
{
    const struct work *work = ctx;
    struct world *world = work->world;
    world->last = work->number;
    world->steps++;
    if (world->may_end && world->fails)
        return err_set(err, ERR_CONFLICT, "it came to nothing");
    *ret_done = world->may_end;
    if (*ret_done)
        answer->json = json_pack("{s:i}", "number", work->number);
    return true;
}

static void free_work(void *ctx)
{
    struct work *work = ctx;
    work->world->freed++;
    free(work);
}

static bool begin_long(void *ctx, const struct api_request *request, struct api_answer *answer,
                       struct err *err)
{
    struct work *work = calloc(1, sizeof *work);
    (void)request;
    assert_non_null(work);
    work->world = ctx;
    work->number = ++work->world->begun;
    answer->work = (struct api_work){step, free_work, work};
    (void)err;
    return true;
}

static const struct api_route routes[] = {
    {"GET", "/echo", 0, echo}, {"POST", "/echo", BODY_MAX, echo}, {"GET", "/long", 0, begin_long}};

static int setup(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    assert_non_null(world);
    const char *temporary = getenv("TMPDIR");
    (void)snprintf(world->dir, sizeof world->dir, "%s/muster-http-XXXXXX",
                   temporary != NULL ? temporary : "/tmp");
    assert_non_null(mkdtemp(world->dir));
    (void)snprintf(world->path, sizeof world->path, "%s/api.sock", world->dir);
    assert_int_equal(uv_loop_init(&world->loop), 0);
    world->settings = (struct http_settings){.socket_path = world->path,
                                             .socket_mode = 0600,
                                             .listen = "127.0.0.1:0",
                                             .clock = &clock_real,
                                             .metrics = &world->metrics};
    world->module = (struct api_module){routes, sizeof routes / sizeof *routes, world};
    world->api = (struct api){&world->module, 1};
    struct err err = {0};
    if (!http_open(&world->loop, &world->settings, &world->api, &world->http, &err))
        fail_msg("%s", err.text);
    *state = world;
    return 0;
}

static int teardown(void **state)
{
    struct world *world = *state;
    http_close(world->http);
    (void)uv_run(&world->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&world->loop), 0);
    assert_int_equal(world->freed, world->begun);
    assert_false(file_exists(world->path));
    assert_true(file_remove_tree(world->dir, NULL));
    free(world);
    return 0;
}

static int connect_unix(const struct world *world)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path, world->path, strlen(world->path) + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

static int connect_tcp(const struct world *world)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(http_port(world->http)),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

/* Sends it all and turns the loop until the server has closed: requests ask for that. */
static void ask(struct world *world, int fd, const char *head, size_t body_length, char *answer)
{
    size_t length = strlen(head) + body_length, sent = 0, got = 0;
    char *request = malloc(length + 1);
    assert_non_null(request);
    (void)snprintf(request, length + 1, "%s", head);
    memset(request + strlen(head), 'x', body_length);
    int64_t end_ms = clock_boot_ms(&clock_real) + WAIT_MS;
    for (bool open = true; open && clock_boot_ms(&clock_real) < end_ms;) {
        ssize_t n = sent == length
                        ? 0
                        : send(fd, request + sent, length - sent, MSG_DONTWAIT | MSG_NOSIGNAL);
        sent += n > 0 ? (size_t)n : 0;
        (void)uv_run(&world->loop, UV_RUN_NOWAIT);
        n = recv(fd, answer + got, ANSWER_BYTES - 1 - got, MSG_DONTWAIT);
        got += n > 0 ? (size_t)n : 0;
        open = n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));
    }
    answer[got] = '\0';
    free(request);
    (void)close(fd);
}

static unsigned status_of(const char *answer)
{
    unsigned status = 0;
    return sscanf(answer, "HTTP/1.%*d %u", &status) == 1 ? status : 0;
}

static void requests_are_answered(void **state)
{
    struct world *world = *state;
    char answer[ANSWER_BYTES];
    ask(world, connect_unix(world),
        "GET /echo?q=a%20b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 0, answer);
    assert_int_equal(status_of(answer), 200);
    assert_non_null(strstr(answer, "application/json"));
    assert_non_null(strstr(answer, "{\"method\":\"GET\",\"bytes\":0,\"q\":\"a b\"}"));
    ask(world, connect_unix(world),
        "POST /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 1000\r\n\r\n", 1000,
        answer);
    assert_non_null(strstr(answer, "{\"method\":\"POST\",\"bytes\":1000,\"q\":\"\"}"));
    assert_int_equal(world->metrics.values[METRIC_HTTP_REQUESTS], 2);
    assert_int_equal(world->metrics.values[METRIC_HTTP_ERRORS], 0);
}

static void bodies_beyond_the_limit_are_413(void **state)
{
    struct world *world = *state;
    char answer[ANSWER_BYTES];
    ask(world, connect_unix(world),
        "POST /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 1001\r\n\r\n", 1001,
        answer);
    assert_int_equal(status_of(answer), 413);
    /* Much longer is read and dropped; a GET has no body at all. */
    ask(world, connect_unix(world),
        "POST /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 900000\r\n\r\n",
        900000, answer);
    assert_int_equal(status_of(answer), 413);
    ask(world, connect_unix(world),
        "GET /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 3\r\n\r\n", 3,
        answer);
    assert_int_equal(status_of(answer), 413);
    assert_int_equal(world->metrics.values[METRIC_HTTP_ERRORS], 3);
}

static void what_is_not_there_is_said(void **state)
{
    struct world *world = *state;
    char answer[ANSWER_BYTES];
    ask(world, connect_unix(world), "GET /other HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        0, answer);
    assert_int_equal(status_of(answer), 404);
    assert_non_null(strstr(answer, "{\"error\":{\"code\":\"not_found\""));
    ask(world, connect_unix(world), "DELETE /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        0, answer);
    assert_int_equal(status_of(answer), 405);
}

static void tcp_is_for_reading(void **state)
{
    struct world *world = *state;
    char answer[ANSWER_BYTES];
    assert_true(http_port(world->http) > 0);
    ask(world, connect_tcp(world),
        "GET /echo HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", 0, answer);
    assert_int_equal(status_of(answer), 200);
    ask(world, connect_tcp(world),
        "POST /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 3\r\n\r\n", 3,
        answer);
    assert_int_equal(status_of(answer), 405);
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
    struct world *world = *state;
    char answer[ANSWER_BYTES], request[256];
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        (void)snprintf(request, sizeof request,
                       "GET /echo HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", rows[i].host);
        ask(world, connect_tcp(world), request, 0, answer);
        if (status_of(answer) != rows[i].status)
            fail_msg("Host %s: %u", rows[i].host, status_of(answer));
    }
    ask(world, connect_unix(world),
        "GET /echo HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n", 0, answer);
    assert_int_equal(status_of(answer), 200); /* no browser gets there */
}

/* As many as are served at a time say half a request, and leave. */
static void a_full_house_empties(void **state)
{
    enum { CLIENTS = 64, TURNS = 1000 };
    struct world *world = *state;
    char answer[ANSWER_BYTES];
    int fds[CLIENTS];
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < CLIENTS; i++) {
            fds[i] = connect_unix(world);
            assert_int_equal(send(fds[i], "GET /e", 6, MSG_NOSIGNAL), 6);
            (void)uv_run(&world->loop, UV_RUN_NOWAIT);
        }
        for (size_t i = 0; i < TURNS; i++)
            (void)uv_run(&world->loop, UV_RUN_NOWAIT);
        for (size_t i = 0; i < CLIENTS; i++)
            (void)close(fds[i]);
        for (size_t i = 0; i < TURNS; i++)
            (void)uv_run(&world->loop, UV_RUN_NOWAIT);
        ask(world, connect_unix(world),
            "GET /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 0, answer);
        assert_int_equal(status_of(answer), 200);
    }
}

static void the_socket_has_its_mode_and_one_owner(void **state)
{
    struct world *world = *state;
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
    struct world *world = *state;
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
static int ask_long(struct world *world)
{
    static const char request[] = "GET /long HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    const int fd = connect_unix(world), before = world->begun;
    assert_int_equal(send(fd, request, sizeof request - 1, MSG_NOSIGNAL), sizeof request - 1);
    for (int i = 0; i < TURNS_MAX && world->begun == before; i++)
        (void)uv_run(&world->loop, UV_RUN_NOWAIT);
    assert_int_equal(world->begun, before + 1);
    return fd;
}

static void take_steps(struct world *world, int count)
{
    const int before = world->steps;
    for (int i = 0; i < TURNS_MAX && world->steps < before + count; i++)
        (void)uv_run(&world->loop, UV_RUN_NOWAIT);
    assert_true(world->steps >= before + count);
}

/* What has come for it so far; "" while nothing has. */
static void hear(struct world *world, int fd, bool wait, char *answer)
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
    struct world *world = *state;
    char answer[ANSWER_BYTES];
    int first = ask_long(world), second = ask_long(world);
    take_steps(world, 3);
    assert_int_equal(world->last, 1); /* one after the other */
    ask(world, connect_unix(world), "GET /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 0,
        answer);
    assert_int_equal(status_of(answer), 200);
    hear(world, first, false, answer);
    assert_string_equal(answer, "");
    world->may_end = true;
    hear(world, first, true, answer);
    assert_int_equal(status_of(answer), 200);
    assert_non_null(strstr(answer, "{\"number\":1}"));
    hear(world, second, true, answer);
    assert_non_null(strstr(answer, "{\"number\":2}"));
    assert_int_equal(world->freed, 2);
    assert_int_equal(world->metrics.values[METRIC_HTTP_REQUESTS], 3);
    (void)close(first);
    (void)close(second);
}

static void a_step_that_fails_is_the_answer(void **state)
{
    struct world *world = *state;
    char answer[ANSWER_BYTES];
    int fd = ask_long(world);
    take_steps(world, 2);
    world->may_end = world->fails = true;
    hear(world, fd, true, answer);
    assert_int_equal(status_of(answer), 409);
    assert_non_null(strstr(answer, "it came to nothing"));
    assert_int_equal(world->metrics.values[METRIC_HTTP_ERRORS], 1);
    (void)close(fd);
}

static void who_leaves_meanwhile_stops_nobody(void **state)
{
    struct world *world = *state;
    char answer[ANSWER_BYTES];
    (void)close(ask_long(world));
    take_steps(world, 2);
    world->may_end = true;
    for (int i = 0; i < TURNS_MAX && world->freed == 0; i++)
        (void)uv_run(&world->loop, UV_RUN_NOWAIT);
    assert_int_equal(world->freed, 1);
    ask(world, connect_unix(world), "GET /long HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 0,
        answer);
    assert_int_equal(status_of(answer), 200);
}

/* The teardown closes the server, and counts what was freed. */
static void work_that_is_not_done_ends_with_the_server(void **state)
{
    struct world *world = *state;
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

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(requests_are_answered),
        TEST(bodies_beyond_the_limit_are_413),
        TEST(what_is_not_there_is_said),
        TEST(tcp_is_for_reading),
        TEST(a_full_house_empties),
        TEST(others_are_answered_between_the_steps),
        TEST(a_step_that_fails_is_the_answer),
        TEST(who_leaves_meanwhile_stops_nobody),
        TEST(work_that_is_not_done_ends_with_the_server),
        TEST(tcp_knows_only_names_of_this_machine),
        TEST(the_socket_has_its_mode_and_one_owner),
        TEST(only_this_machine_may_be_listened_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
