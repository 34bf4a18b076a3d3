/* SPDX-License-Identifier: Apache-2.0 */
/* Requests to musterd, byte by byte through its own server on a unix socket: the first byte says
 * how large the pieces are in which they come. Whatever is asked, every answer is one of HTTP,
 * what says that it is JSON is, and nothing that is asked makes the server fail (500). */
#include "fleet/http.h"
#include "fleet/api_access.h"
#include "fleet/api_contract.h"
#include "fleet/api_desired.h"
#include "fleet/api_events.h"
#include "fleet/api_fleet.h"
#include "fleet/api_places.h"
#include "tests/fuzz/fleet_world.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { ANSWER_BYTES = 1 << 20, IDLE_TURNS = 64 };

static int64_t now(void *ctx)
{
    (void)ctx;
    return FLEET_NOW_MS;
}

static bool connected(void *ctx, char *why, size_t size)
{
    (void)ctx;
    (void)snprintf(why, size, "it is not");
    return false;
}

static int connect_to(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    HOLDS(strlen(path) < sizeof address.sun_path);
    memcpy(address.sun_path, path, strlen(path) + 1);
    HOLDS(fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0);
    return fd;
}

/* Sends it all, then nothing more, and turns the loop until the server has hung up, or has nothing
 * to say: it gives a caller who does not end a request some seconds. */
static size_t ask(uv_loop_t *loop, const char *path, struct bytes in, size_t piece, char *answer)
{
    int fd = connect_to(path), idle = 0;
    size_t got = 0;
    ssize_t n = -1;
    while (n != 0 && got < ANSWER_BYTES - 1 && idle++ < IDLE_TURNS) {
        ssize_t sent = in.length == 0 ? 0
                                      : send(fd, in.data, in.length < piece ? in.length : piece,
                                             MSG_DONTWAIT | MSG_NOSIGNAL);
        (void)fuzz_take(&in, sent > 0 ? (size_t)sent : 0);
        if (sent > 0 && in.length == 0)
            (void)shutdown(fd, SHUT_WR);
        (void)uv_run(loop, UV_RUN_NOWAIT);
        n = recv(fd, answer + got, ANSWER_BYTES - 1 - got, MSG_DONTWAIT);
        if (sent > 0 || n > 0)
            idle = 0;
        got += n > 0 ? (size_t)n : 0;
    }
    answer[got] = '\0';
    (void)close(fd);
    for (idle = 0; idle < 3; idle++) /* it has heard of that before the next one comes */
        (void)uv_run(loop, UV_RUN_NOWAIT);
    return got;
}

/* The first answer; more may follow on the same connection. */
static void check(const char *answer, size_t length, bool head)
{
    unsigned status = 0;
    if (length == 0)
        return;
    HOLDS(sscanf(answer, "HTTP/1.%*d %u", &status) == 1 && status >= 100 && status < 600);
    if (status == 500)
        (void)fprintf(stderr, "%s\n", answer);
    HOLDS(status != 500);
    const char *body = strstr(answer, "\r\n\r\n"), *field = strstr(answer, "Content-Length: ");
    size_t stated = 0;
    if (head || !body || !field || field > body || !strstr(answer, "application/json") ||
        strstr(answer, "application/json") > body || sscanf(field + 16, "%zu", &stated) != 1)
        return;
    body += 4;
    if (stated > length - (size_t)(body - answer))
        return; /* cut off */
    json_t *json = json_loadb(body, stated, 0, NULL);
    HOLDS(json);
    json_decref(json);
}

/* Everything below the requests; made anew when the world is. */
struct server {
    struct fleet_world world;
    char path[FUZZ_PATH_BYTES];
    struct api_fleet fleet;
    struct api_desired desired;
    struct api_access tokens;
    struct api_events events;
    struct api_module modules[5];
    struct api api;
    struct api_contract *contract;
    struct access access;
    uv_loop_t loop;
    struct http *http;
};

static void start(struct server *server)
{
    static const struct clock clock = {now, now, NULL};
    fuzz_path("api.sock", server->path);
    server->fleet = (struct api_fleet){.db = server->world.db,
                                       .zone = "UTC",
                                       .metrics = server->world.metrics,
                                       .clock = &clock_real,
                                       .question_limit_ms = 60000,
                                       .connected = connected};
    server->desired = (struct api_desired){.db = server->world.db,
                                           .trust = fuzz_trust(),
                                           .director = &server->world.director,
                                           .publisher = server->world.publisher};
    server->modules[0] = api_fleet_module(&server->fleet);
    server->modules[1] = api_desired_module(&server->desired);
    server->tokens = (struct api_access){.db = server->world.db};
    server->modules[2] = api_access_module(&server->tokens);
    server->modules[3] = api_places_module(&server->fleet);
    server->events = (struct api_events){.db = server->world.db, .clock = &clock};
    server->modules[4] = api_events_module(&server->events);
    server->api = (struct api){.modules = server->modules, .module_count = 5};
    HOLDS(api_contract_open(&server->api, &server->contract, NULL));
    access_init(&server->access, server->world.db, server->world.metrics, 1000);
    const struct http_settings settings = {.socket_path = server->path,
                                           .socket_mode = 0600,
                                           .listen = "",
                                           .request_limit_ms = 60000,
                                           .contract = server->contract,
                                           .access = &server->access,
                                           .clock = &clock,
                                           .metrics = server->world.metrics};
    HOLDS(uv_loop_init(&server->loop) == 0);
    HOLDS(http_open(&server->loop, &settings, &server->api, &server->http, NULL));
}

static void stop(struct server *server)
{
    http_close(server->http);
    (void)uv_run(&server->loop, UV_RUN_DEFAULT);
    HOLDS(uv_loop_close(&server->loop) == 0);
    api_contract_close(server->contract);
    fleet_world_close(&server->world);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char answer[ANSWER_BYTES];
    static struct server server;
    static unsigned requests;
    struct bytes in = bytes_of(data, size);
    if (size < 2)
        return 0;
    size_t piece = 1 + (size_t)fuzz_byte(&in) * 16;
    if (requests++ % FLEET_DEVICES == 0) {
        if (server.http)
            stop(&server);
        fleet_world_open(&server.world);
        start(&server);
    }
    bool head = memmem(in.data, in.length, "HEAD", 4) != NULL; /* no body follows then */
    size_t length = ask(&server.loop, server.path, in, piece, answer);
    check(answer, length, head);
    return 0;
}
