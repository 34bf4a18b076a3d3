/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/http.h"

#include "base/log.h"
#include "base/memory.h"
#include "fleet/http_guests.h"
#include "fleet/http_request.h"
#include "fleet/http_socket.h"

#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    LISTENERS = 2,
    CONNECTIONS_MAX = 64,
    CONNECTION_IDLE_S = 15,
    HEAD_SILENT_S = 5,     /* before a request, and in its line and headers */
    HEAD_LIMIT_MS = 10000, /* for all of these */
    FULL_LOOK_MS = 100,
    HURRY_EVERY_MS = 1000,
    CONNECTION_MEMORY_BYTES = 32 * 1024, /* for a request's line and headers */
    STREAMS_MAX = 32,                    /* so that there is always room for a question */
    STREAMS_OF_TOKENS = 24,              /* the others are for who needs none */
    STREAMS_PER_TOKEN = 4,
    STREAM_LATER_MS = 10000,
    WORKING_PER_TOKEN = 2,
    WORKING_LATER_MS = 1000,
    STREAM_BEAT_MS = 15000,
    STREAM_STUCK_S = 30, /* who takes nothing for so long is cut off */
    GIVE_BACK_MS = 1000, /* after a large answer, and no more often */
};

/* One libmicrohttpd daemon on one listening socket, run by the loop through its epoll descriptor.
 */
struct listener {
    struct http *http;
    struct MHD_Daemon *daemon;
    bool local;
    struct http_guests guests;
    uv_poll_t poll;
    uv_timer_t timer;
    uv_timer_t hurry; /* while there are guests */
};

/* A request that is answered in steps, or goes on; its connection is suspended meanwhile. */
struct working {
    struct listener *listener;
    struct http_request *request;
};

struct http {
    struct listener listeners[LISTENERS];
    size_t listener_count;
    size_t open_handles;
    uv_idle_t turn; /* while requests are worked on, so that the loop does not sleep */
    struct working working[LISTENERS * CONNECTIONS_MAX];
    size_t working_count;
    size_t next; /* whose turn it is */
    struct working streams[STREAMS_MAX];
    size_t stream_count;
    uv_timer_t beat; /* while there are streams */
    uv_timer_t give_back;
    char *socket_path;
    uint16_t port;
    int64_t request_limit_ms;
    struct log_gate slow;
    struct http_context context;
};

static void run(struct listener *listener);
static void on_turn(uv_idle_t *turn);

static void on_timer(uv_timer_t *timer)
{
    run(timer->data);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    run(poll->data);
}

static bool is_full(const struct listener *listener)
{
    const union MHD_DaemonInfo *info =
        MHD_get_daemon_info(listener->daemon, MHD_DAEMON_INFO_CURRENT_CONNECTIONS);
    return info != NULL && info->num_connections >= CONNECTIONS_MAX;
}

/* A full libmicrohttpd does not listen, and begins again only in a run after the one in which a
 * connection ended, for which it asks with no timeout: look again until it was not full. */
static void run(struct listener *listener)
{
    MHD_UNSIGNED_LONG_LONG wait_ms = 0;
    bool full = is_full(listener);
    (void)MHD_run(listener->daemon);
    bool wait = MHD_get_timeout(listener->daemon, &wait_ms) == MHD_YES;
    if ((full || is_full(listener)) && (!wait || wait_ms > FULL_LOOK_MS)) {
        wait = true;
        wait_ms = FULL_LOOK_MS;
    }
    if (wait)
        (void)uv_timer_start(&listener->timer, on_timer, wait_ms, 0);
    else
        (void)uv_timer_stop(&listener->timer);
}

/* ---- what is answered in steps ---- */

static int64_t now_of(const struct listener *listener)
{
    return clock_boot_ms(listener->http->context.clock);
}

static struct http_guest *guest_of(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info != NULL ? info->socket_context : NULL;
}

/* How many of them are `token`'s, or of any token: 0. */
static size_t count_of(const struct working *list, size_t count, int64_t token)
{
    size_t found = 0;
    for (size_t i = 0; i < count; i++) {
        const int64_t whose = http_request_token(list[i].request);
        found += whose != 0 && (token == 0 || whose == token);
    }
    return found;
}

/* False: who asks has enough that is being worked on. */
static bool work_on(struct listener *listener, struct http_request *request)
{
    struct http *http = listener->http;
    const int64_t token = http_request_token(request);
    if (token != 0 && count_of(http->working, http->working_count, token) >= WORKING_PER_TOKEN) {
        metrics_add(http->context.metrics, METRIC_HTTP_TOO_MUCH, 1);
        http_request_no_room(request, WORKING_LATER_MS,
                             "two long questions of this token are being answered: ask again when "
                             "one of them is done");
        return false;
    }
    struct http_guest *guest = guest_of(http_request_connection(request));
    if (guest != NULL)
        guest->ours = true;
    MHD_suspend_connection(http_request_connection(request));
    http->working[http->working_count++] = (struct working){listener, request};
    (void)uv_idle_start(&http->turn, on_turn);
    return true;
}

/* Of those that need much memory only the first goes on. */
static bool may_go_on(const struct http *http, size_t at)
{
    if (!http_request_alone(http->working[at].request))
        return true;
    size_t first = 0;
    while (!http_request_alone(http->working[first].request))
        first++;
    return first == at;
}

static size_t take_turn(struct http *http)
{
    size_t at = http->next % http->working_count;
    while (!may_go_on(http, at))
        at = (at + 1) % http->working_count;
    http->next = at + 1;
    return at;
}

static void end_work(struct http *http, size_t at)
{
    const struct working ended = http->working[at];
    http->working_count--;
    memmove(http->working + at, http->working + at + 1,
            (http->working_count - at) * sizeof http->working[0]);
    http->next = at;
    if (http->working_count == 0)
        (void)uv_idle_stop(&http->turn);
    http_guest_turn(guest_of(http_request_connection(ended.request)), now_of(ended.listener));
    MHD_resume_connection(http_request_connection(ended.request));
    run(ended.listener);
}

/* A step of each in turn: one that takes long holds up none that does not. */
static void on_turn(uv_idle_t *turn)
{
    struct http *http = turn->data;
    const size_t at = take_turn(http);
    struct http_request *request = http->working[at].request;
    bool done = true;
    if (http_request_deserted(request))
        http_request_give_up(request);
    else
        done = http_request_step(request);
    if (done)
        end_work(http, at);
}

/* ---- what goes on ---- */

static void wake(struct http *http, bool stopping)
{
    for (size_t i = 0; i < http->stream_count; i++)
        http_request_wake(http->streams[i].request, stopping);
    for (size_t i = 0; http->stream_count > 0 && i < http->listener_count; i++)
        run(&http->listeners[i]);
}

void http_wake(struct http *http)
{
    wake(http, false);
}

static void on_beat(uv_timer_t *beat)
{
    wake(beat->data, false);
}

/* NULL: there is room. */
static const char *no_stream_for(const struct http *http, int64_t token)
{
    if (token != 0 && count_of(http->streams, http->stream_count, token) >= STREAMS_PER_TOKEN)
        return "this token follows the events four times; end one of them, or use another token";
    if (http->stream_count == STREAMS_MAX ||
        (token != 0 && count_of(http->streams, http->stream_count, 0) >= STREAMS_OF_TOKENS))
        return "as many follow the events as may at a time; come back later";
    return NULL;
}

/* He is not held to the time of one request; libmicrohttpd ends who takes nothing. */
static void stream_on(struct listener *listener, struct http_request *request)
{
    struct http *http = listener->http;
    struct http_guest *guest = guest_of(http_request_connection(request));
    const char *why = no_stream_for(http, http_request_token(request));
    if (why != NULL) {
        http_request_no_room(request, STREAM_LATER_MS, why);
        return;
    }
    if (guest != NULL)
        guest->ours = true;
    (void)MHD_set_connection_option(http_request_connection(request), MHD_CONNECTION_OPTION_TIMEOUT,
                                    (unsigned)STREAM_STUCK_S);
    http->streams[http->stream_count++] = (struct working){listener, request};
    metrics_add(http->context.metrics, METRIC_HTTP_STREAMS, 1);
    (void)uv_timer_start(&http->beat, on_beat, STREAM_BEAT_MS, STREAM_BEAT_MS);
}

static void stream_over(struct http *http, const struct http_request *request)
{
    size_t at = 0;
    while (at < http->stream_count && http->streams[at].request != request)
        at++;
    if (at == http->stream_count)
        return;
    http->streams[at] = http->streams[--http->stream_count];
    if (http->stream_count == 0 && !uv_is_closing((uv_handle_t *)&http->beat))
        (void)uv_timer_stop(&http->beat);
}

/* ---- what was large ---- */

static void on_give_back(uv_timer_t *timer)
{
    (void)timer;
    memory_give_back();
}

/* What others have taken meanwhile lies behind what it took: by itself that would not go back. */
static void give_back_later(struct http *http)
{
    if (!uv_is_active((uv_handle_t *)&http->give_back) &&
        !uv_is_closing((uv_handle_t *)&http->give_back))
        (void)uv_timer_start(&http->give_back, on_give_back, GIVE_BACK_MS, 0);
}

/* ---- libmicrohttpd's callbacks ---- */

/* Libmicrohttpd decodes names and values into texts that end at a NUL. */
static void *on_uri(void *ctx, const char *uri, struct MHD_Connection *connection)
{
    (void)ctx;
    struct http_guest *guest = guest_of(connection);
    if (guest != NULL)
        guest->cut = strstr(uri, "%00") != NULL;
    return NULL;
}

static enum MHD_Result on_request(void *ctx, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *data,
                                  size_t *data_size, void **request)
{
    (void)version;
    struct listener *listener = ctx;
    if (*request == NULL) {
        struct http_guest *guest = guest_of(connection);
        if (guest != NULL)
            guest->headed = true;
        (void)MHD_set_connection_option(connection, MHD_CONNECTION_OPTION_TIMEOUT,
                                        (unsigned)CONNECTION_IDLE_S);
        *request = http_request_begin(&listener->http->context, connection, method, url,
                                      listener->local, guest != NULL && guest->cut);
        return *request != NULL ? MHD_YES : MHD_NO;
    }
    if (*data_size > 0) {
        bool taken = http_request_body(*request, bytes_of(data, *data_size));
        *data_size = 0;
        return taken ? MHD_YES : MHD_NO;
    }
    struct http_request *whole = *request;
    if (!http_request_run(whole) && work_on(listener, whole))
        return MHD_YES;
    if (http_request_streams(whole))
        stream_on(listener, whole);
    return http_request_send(whole) ? MHD_YES : MHD_NO;
}

static void on_completed(void *ctx, struct MHD_Connection *connection, void **request,
                         enum MHD_RequestTerminationCode how)
{
    struct listener *listener = ctx;
    stream_over(listener->http, *request);
    metrics_add(listener->http->context.metrics, METRIC_HTTP_STREAMS_CUT,
                *request != NULL && http_request_streams(*request) &&
                    how == MHD_REQUEST_TERMINATED_TIMEOUT_REACHED);
    if (*request != NULL && http_request_large(*request))
        give_back_later(listener->http);
    http_request_free(*request);
    *request = NULL;
    http_guest_begin(guest_of(connection), now_of(listener));
    if (how == MHD_REQUEST_TERMINATED_COMPLETED_OK)
        (void)MHD_set_connection_option(connection, MHD_CONNECTION_OPTION_TIMEOUT,
                                        (unsigned)HEAD_SILENT_S);
}

static void on_hurry(uv_timer_t *timer)
{
    struct listener *listener = timer->data;
    struct http *http = listener->http;
    size_t count = http_guests_hurry(&listener->guests, HEAD_LIMIT_MS, http->request_limit_ms,
                                     now_of(listener));
    metrics_add(http->context.metrics, METRIC_HTTP_TOO_SLOW, count);
    if (count > 0 && log_gate_pass(&http->slow, now_of(listener), "muster_http_too_slow_total"))
        log_warn("ended an HTTP connection that was at one request for more than %lld s, or at its "
                 "headers for more than %d s",
                 (long long)http->request_limit_ms / 1000, HEAD_LIMIT_MS / 1000);
}

static void on_connection(void *ctx, struct MHD_Connection *connection, void **guest,
                          enum MHD_ConnectionNotificationCode what)
{
    struct listener *listener = ctx;
    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
        *guest = http_guest_come(&listener->guests, connection, now_of(listener));
        if (listener->guests.count == 1)
            (void)uv_timer_start(&listener->hurry, on_hurry, HURRY_EVERY_MS, HURRY_EVERY_MS);
        return;
    }
    http_guest_leave(&listener->guests, *guest);
    *guest = NULL;
    if (listener->guests.count == 0 && !uv_is_closing((uv_handle_t *)&listener->hurry))
        (void)uv_timer_stop(&listener->hurry);
}

/* Its complaints are about what clients send; ours is to count, not to repeat their bytes. */
static MUSTER_PRINTF(2, 0) void on_complaint(void *ctx, const char *fmt, va_list args)
{
    (void)ctx;
    (void)fmt;
    (void)args;
}

/* ---- listeners ---- */

static bool watch(struct http *http, uv_loop_t *loop, struct listener *listener, struct err *err)
{
    const union MHD_DaemonInfo *info =
        MHD_get_daemon_info(listener->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    if (info == NULL || info->epoll_fd < 0)
        return err_set(err, ERR_IO, "http: libmicrohttpd has no epoll descriptor");
    int rc = uv_poll_init(loop, &listener->poll, info->epoll_fd);
    if (rc != 0)
        return err_set(err, ERR_IO, "http: %s", uv_strerror(rc));
    listener->poll.data = listener;
    (void)uv_timer_init(loop, &listener->timer);
    (void)uv_timer_init(loop, &listener->hurry);
    listener->timer.data = listener->hurry.data = listener;
    http->open_handles += 3;
    rc = uv_poll_start(&listener->poll, UV_READABLE, on_poll);
    return rc == 0 || err_set(err, ERR_IO, "http: %s", uv_strerror(rc));
}

/* Takes over `fd` in any case. */
static bool add_listener(struct http *http, uv_loop_t *loop, int fd, bool local, struct err *err)
{
    struct listener *listener = &http->listeners[http->listener_count];
    listener->http = http;
    listener->local = local;
    listener->daemon = MHD_start_daemon(
        MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG, 0, NULL, NULL, on_request,
        listener, MHD_OPTION_EXTERNAL_LOGGER, on_complaint, NULL, MHD_OPTION_LISTEN_SOCKET, fd,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MAX, MHD_OPTION_CONNECTION_TIMEOUT,
        (unsigned)HEAD_SILENT_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t)CONNECTION_MEMORY_BYTES, MHD_OPTION_NOTIFY_COMPLETED, on_completed, listener,
        MHD_OPTION_NOTIFY_CONNECTION, on_connection, listener, MHD_OPTION_URI_LOG_CALLBACK, on_uri,
        NULL, MHD_OPTION_END);
    if (listener->daemon == NULL) {
        (void)close(fd);
        return err_set(err, ERR_IO, "http: libmicrohttpd does not start");
    }
    http->listener_count++;
    return watch(http, loop, listener, err);
}

bool http_open(uv_loop_t *loop, const struct http_settings *settings, const struct api *api,
               struct http **ret_http, struct err *err)
{
    struct http *http = calloc(1, sizeof *http);
    if (http == NULL)
        return err_set(err, ERR_NO_MEMORY, "http: out of memory");
    http->context = (struct http_context){.api = api,
                                          .contract = settings->contract,
                                          .access = settings->access,
                                          .clock = settings->clock,
                                          .metrics = settings->metrics};
    http->request_limit_ms = settings->request_limit_ms;
    (void)uv_idle_init(loop, &http->turn); /* cannot fail */
    (void)uv_timer_init(loop, &http->beat);
    (void)uv_timer_init(loop, &http->give_back);
    http->turn.data = http->beat.data = http->give_back.data = http;
    http->open_handles = 3;
    int fd = -1;
    bool done = http_socket_unix(settings->socket_path, settings->socket_mode, &fd, err);
    if (done) {
        http->socket_path = strdup(settings->socket_path);
        done = add_listener(http, loop, fd, true, err);
    }
    if (done && settings->listen[0] != '\0')
        done = http_socket_local(settings->listen, &fd, &http->port, err) &&
               add_listener(http, loop, fd, false, err);
    if (!done) {
        http_close(http);
        return false;
    }
    *ret_http = http;
    return true;
}

uint16_t http_port(const struct http *http)
{
    return http->port;
}

/* ---- the end ---- */

static void release(struct http *http)
{
    free(http->socket_path);
    free(http);
}

static void closed(struct http *http)
{
    if (--http->open_handles == 0)
        release(http);
}

static void on_closed(uv_handle_t *handle)
{
    const struct listener *listener = handle->data;
    closed(listener->http);
}

static void on_turn_closed(uv_handle_t *handle)
{
    closed(handle->data);
}

/* libmicrohttpd does not stop while a connection is suspended. What was worked on is left undone.
 */
static void drop_work(struct http *http)
{
    for (size_t i = 0; i < http->working_count; i++)
        MHD_resume_connection(http_request_connection(http->working[i].request));
    http->working_count = 0;
    if (http->turn.data != NULL) {
        uv_close((uv_handle_t *)&http->turn, on_turn_closed);
        uv_close((uv_handle_t *)&http->beat, on_turn_closed);
        uv_close((uv_handle_t *)&http->give_back, on_turn_closed);
    }
}

void http_close(struct http *http)
{
    if (http == NULL)
        return;
    size_t open_handles = http->open_handles;
    wake(http, true); /* who follows is told */
    drop_work(http);
    for (size_t i = 0; i < http->stream_count; i++)
        http_request_wake(http->streams[i].request, true);
    for (size_t i = 0; i < http->listener_count; i++) {
        struct listener *listener = &http->listeners[i];
        if (listener->poll.data != NULL) {
            uv_close((uv_handle_t *)&listener->poll, on_closed);
            uv_close((uv_handle_t *)&listener->timer, on_closed);
            uv_close((uv_handle_t *)&listener->hurry, on_closed);
        }
        MHD_stop_daemon(listener->daemon); /* closes the listening socket too */
    }
    if (http->socket_path != NULL)
        (void)unlink(http->socket_path);
    if (open_handles == 0)
        release(http);
}
