/* SPDX-License-Identifier: Apache-2.0 */
#include "base/exit_codes.h"
#include "base/log.h"
#include "base/stream.h"
#include "proto/unpack.h"
#include "tests/world/host.h"
#include "tests/world/options.h"

#include <stdio.h>

/* The acquirer's hosts as a process of its own: world.proto over a unix socket. */
struct acquirer {
    uv_loop_t loop;
    uv_signal_t stop;
    struct host *host;
    struct stream_server *server;
};

static const struct stream_limits limits = {
    .max_frame_bytes = 4096, .max_queue_bytes = 64 * 1024, .max_clients = 256};

static void on_frame(void *ctx, struct stream *stream, struct bytes frame)
{
    struct acquirer *acquirer = ctx;
    const struct unpack_limits unpack_limits = {.max_bytes = 4096};
    struct arena arena = {.limit_bytes = 64 * 1024};
    struct buf out = {.limit = 4096};
    struct err err = {0};
    ProtobufCMessage *request;
    struct host_answer answer;
    bool done =
        unpack(&world__host_request__descriptor, frame, &unpack_limits, &arena, &request, &err);
    if (done) {
        host_answer(acquirer->host, (const World__HostRequest *)request, &answer);
        done = pack(&answer.reply.base, &out, &err) && stream_send(stream, buf_bytes(&out), &err);
    }
    if (!done) {
        log_warn("a till is cut off: %s", err.text);
        stream_close(stream);
    }
    buf_done(&out);
    arena_done(&arena);
}

static void on_closed(void *ctx, struct stream *stream, const struct err *why)
{
    (void)ctx;
    (void)stream;
    (void)why;
}

static const struct stream_events events = {.frame = on_frame, .closed = on_closed};

static void on_stop(uv_signal_t *signal, int number)
{
    (void)number;
    struct acquirer *acquirer = signal->data;
    stream_server_close(acquirer->server);
    uv_close((uv_handle_t *)signal, NULL);
}

static bool serve(struct acquirer *acquirer, const char *socket_path, struct err *err)
{
    uv_loop_init(&acquirer->loop);
    if (!stream_listen(&acquirer->loop, socket_path, 0600, &limits, &events, acquirer,
                       &acquirer->server, err))
        return false;
    uv_signal_init(&acquirer->loop, &acquirer->stop);
    acquirer->stop.data = acquirer;
    uv_signal_start(&acquirer->stop, on_stop, SIGTERM);
    puts("ready");
    fflush(stdout);
    uv_run(&acquirer->loop, UV_RUN_DEFAULT);
    uv_loop_close(&acquirer->loop);
    return true;
}

int main(int argc, char **argv)
{
    const char *socket_path = NULL, *seed = "1";
    struct host_settings settings = {0};
    const struct option_text options[] = {{"--socket", &socket_path},
                                          {"--table", &settings.table_path},
                                          {"--terminals", &settings.terminals_path},
                                          {"--seed", &seed},
                                          {0}};
    struct acquirer acquirer = {0};
    struct err err = {0};
    log_init("world-acquirer", LOG_INFO);
    if (!options_read(argc, argv, options, &err) ||
        !options_number("--seed", seed, &settings.seed, &err)) {
        log_error("%s", err.text);
        return EXIT_USAGE;
    }
    bool done = host_open(&settings, &acquirer.host, &err) && serve(&acquirer, socket_path, &err);
    if (!done)
        log_error("%s", err.text);
    host_close(acquirer.host);
    return done ? EXIT_OK : exit_code_of(&err);
}
