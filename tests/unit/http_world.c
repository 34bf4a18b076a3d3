/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/http_world.h"

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

/* Of as many bytes as `bytes` says. */
static bool say_much(void *ctx, const struct api_request *request, struct api_answer *answer,
                     struct err *err)
{
    (void)ctx;
    const char *bytes = api_query(request, "bytes");
    answer->content_type = "text/plain";
    const size_t length = bytes != NULL ? strtoul(bytes, NULL, 10) : 0;
    answer->text.limit = length;
    uint8_t *text = malloc(length + 1);
    assert_non_null(text);
    memset(text, 'x', length);
    bool done = buf_append(&answer->text, text, length, err);
    free(text);
    return done;
}

struct work {
    struct http_world *world;
    int number;
};

static bool step(void *ctx, struct api_answer *answer, bool *ret_done, struct err *err)
{
    const struct work *work = ctx;
    struct http_world *world = work->world;
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
    answer->work = (struct api_work){step, free_work, work, work->world->alone};
    (void)err;
    return true;
}

static bool say_once(void *ctx, bool stopping, struct buf *out, bool *ret_end, struct err *err)
{
    bool *said = ctx, again = *said;
    *said = true;
    *ret_end = stopping;
    return again || buf_append(out, ":\n\n", 3, err);
}

static bool begin_stream(void *ctx, const struct api_request *request, struct api_answer *answer,
                         struct err *err)
{
    bool *said = calloc(1, sizeof *said);
    (void)ctx;
    (void)request;
    (void)err;
    assert_non_null(said);
    answer->content_type = "text/event-stream";
    answer->stream = (struct api_stream){say_once, free, said};
    return true;
}

static const struct api_route routes[] = {
    {"GET", "/echo", 0, echo, API_VIEWER, API_NO_DEVICE},
    {"POST", "/echo", BODY_MAX, echo, API_OPERATOR, API_NO_DEVICE},
    {"GET", "/open", 0, echo, API_ANYONE, API_NO_DEVICE},
    {"GET", "/all", 0, echo, API_VIEWER, API_WHOLE_FLEET},
    {"GET", "/devices/{}", 0, echo, API_VIEWER, API_ONE_DEVICE},
    {"GET", "/large", 0, say_much, API_VIEWER, API_NO_DEVICE},
    {"POST", "/large", LARGE_BYTES, say_much, API_OPERATOR, API_NO_DEVICE},
    {"GET", "/stream", 0, begin_stream, API_VIEWER, API_NO_DEVICE},
    {"GET", "/long", 0, begin_long, API_VIEWER, API_NO_DEVICE}};

static int64_t wall(void *ctx)
{
    return clock_wall_ms(&clock_real) + ((struct http_world *)ctx)->ahead_ms;
}

static int64_t boot(void *ctx)
{
    return clock_boot_ms(&clock_real) + ((struct http_world *)ctx)->ahead_ms;
}

int http_world_open(void **state)
{
    struct http_world *world = calloc(1, sizeof *world);
    char database[128];
    assert_non_null(world);
    const char *temporary = getenv("TMPDIR");
    (void)snprintf(world->dir, sizeof world->dir, "%s/muster-http-XXXXXX",
                   temporary != NULL ? temporary : "/tmp");
    assert_non_null(mkdtemp(world->dir));
    (void)snprintf(world->path, sizeof world->path, "%s/api.sock", world->dir);
    assert_int_equal(uv_loop_init(&world->loop), 0);
    struct err err = {0};
    (void)snprintf(database, sizeof database, "%s/fleet.db", world->dir);
    assert_true(fleetdb_open(database, &world->db, &err));
    access_init(&world->access, world->db, &world->metrics, PER_SECOND);
    world->clock = (struct clock){wall, boot, world};
    world->settings = (struct http_settings){.socket_path = world->path,
                                             .socket_mode = 0600,
                                             .listen = "127.0.0.1:0",
                                             .clock = &world->clock,
                                             .request_limit_ms = LIMIT_MS,
                                             .access = &world->access,
                                             .metrics = &world->metrics};
    world->module = (struct api_module){routes, sizeof routes / sizeof *routes, world};
    world->api = (struct api){&world->module, 1};
    if (!http_open(&world->loop, &world->settings, &world->api, &world->http, &err))
        fail_msg("%s", err.text);
    *state = world;
    return 0;
}

int http_world_close(void **state)
{
    struct http_world *world = *state;
    http_close(world->http);
    (void)uv_run(&world->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&world->loop), 0);
    fleetdb_close(world->db);
    assert_int_equal(world->freed, world->begun);
    assert_false(file_exists(world->path));
    assert_true(file_remove_tree(world->dir, NULL));
    free(world);
    return 0;
}

int http_connect_unix(const struct http_world *world)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path, world->path, strlen(world->path) + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

int http_connect_tcp(const struct http_world *world)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(http_port(world->http)),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

void http_ask(struct http_world *world, int fd, const char *head, size_t body_length, char *answer)
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

unsigned http_status_of(const char *answer)
{
    unsigned status = 0;
    return sscanf(answer, "HTTP/1.%*d %u", &status) == 1 ? status : 0;
}
