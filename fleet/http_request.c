/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/http_request.h"

#include "base/log.h"

#include <microhttpd.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

enum {
    QUERY_MAX = 16,
    /* An answer that comes before the body is read would be lost with the connection, so a body
     * that is too long is read and dropped up to here. */
    DROPPED_BYTES_MAX = 8 * 1024 * 1024,
    LARGE_BYTES = 256 * 1024, /* of text, for which trees of ten times as much are made */
};

struct http_request {
    const struct http_context *context;
    struct MHD_Connection *connection;
    struct api_request api;
    char *path;
    const struct api_route *route; /* NULL: refused with `status` */
    void *route_ctx;
    unsigned status;
    struct err why;  /* in words, where there are any */
    int64_t wait_ms; /* before it makes sense to ask again */
    struct api_caller caller;
    struct buf body;
    size_t dropped_bytes;
    struct api_query query[QUERY_MAX];
    struct api_answer answer;
    bool answered, large;
    struct buf said; /* of a stream, not yet on the line */
    bool waits, stopping, said_all;
    int64_t took_ms;
};

/* A page in a browser of this machine may reach the TCP listener under a name of its own that
 * resolves to it (DNS rebinding), and would read the answers: only names of this machine count. */
static bool is_local_host(const char *host)
{
    static const char *const names[] = {"localhost", "[::1]"};
    if (host == NULL)
        return true; /* no browser leaves it out */
    size_t length = strncmp(host, "127.", 4) == 0 ? strspn(host, "0123456789.") : 0;
    for (size_t i = 0; length == 0 && i < sizeof names / sizeof names[0]; i++) {
        if (strncasecmp(host, names[i], strlen(names[i])) == 0)
            length = strlen(names[i]);
    }
    return length > 0 && (host[length] == '\0' || host[length] == ':');
}

/* ---- who asks, and for what ---- */

/* -1: it has none any more. */
static int socket_of(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    return info != NULL ? info->connect_fd : -1;
}

static uid_t peer_of(struct MHD_Connection *connection)
{
    struct ucred peer = {.uid = (uid_t)-1};
    socklen_t size = sizeof peer;
    (void)getsockopt(socket_of(connection), SOL_SOCKET, SO_PEERCRED, &peer, &size);
    return peer.uid;
}

static unsigned status_of(enum access_answer answer)
{
    switch (answer) {
    case ACCESS_UNKNOWN:
        return MHD_HTTP_UNAUTHORIZED;
    case ACCESS_TOO_MUCH:
        return MHD_HTTP_TOO_MANY_REQUESTS;
    default:
        return MHD_HTTP_INTERNAL_SERVER_ERROR;
    }
}

static bool identify(struct http_request *request, bool local)
{
    const struct http_context *context = request->context;
    const struct access_claim claim = {
        .local = local,
        .uid = local ? peer_of(request->connection) : (uid_t)-1,
        .authorization = MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND,
                                                     MHD_HTTP_HEADER_AUTHORIZATION),
        .now_ms = clock_wall_ms(context->clock),
        .boot_ms = clock_boot_ms(context->clock)};
    const char *host =
        MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_HOST);
    if (!local && claim.authorization == NULL && !is_local_host(host)) {
        request->status = MHD_HTTP_MISDIRECTED_REQUEST;
        return false;
    }
    const enum access_answer answer = access_identify(context->access, &claim, &request->caller,
                                                      &request->wait_ms, &request->why);
    if (answer == ACCESS_KNOWN)
        return true;
    request->status = status_of(answer);
    return false;
}

/* A device that is out of reach is none: who asks does not learn that it is there. */
static bool reaches(struct http_request *request, const struct api_route *route)
{
    if (route->reach != API_ONE_DEVICE || fleetdb_scope_is_whole(request->caller.scope) ||
        access_check_device(request->context->access->db, &request->caller, request->api.args[0],
                            &request->why))
        return true;
    request->status =
        request->why.code == ERR_NOT_FOUND ? MHD_HTTP_NOT_FOUND : MHD_HTTP_INTERNAL_SERVER_ERROR;
    return false;
}

static const struct api_route *find_route(struct http_request *request)
{
    const struct api_route *route =
        api_route_find(request->context->api, &request->api, &request->route_ctx, &request->status);
    if (route == NULL)
        return NULL;
    if (!api_allows(route, &request->caller, &request->why)) {
        request->status =
            request->caller.role == API_ANYONE ? MHD_HTTP_UNAUTHORIZED : MHD_HTTP_FORBIDDEN;
        return NULL;
    }
    return reaches(request, route) ? route : NULL;
}

static const char *method_of(const char *method)
{
    static const char *const known[] = {"GET", "PUT", "POST", "DELETE"};
    if (strcmp(method, "HEAD") == 0)
        return "GET";
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (strcmp(method, known[i]) == 0)
            return known[i];
    }
    return "";
}

struct http_request *http_request_begin(const struct http_context *context,
                                        struct MHD_Connection *connection, const char *method,
                                        const char *path, bool local, bool cut)
{
    struct http_request *request = calloc(1, sizeof *request);
    if (request == NULL)
        return NULL;
    request->context = context;
    request->connection = connection;
    request->path = strdup(path);
    if (request->path == NULL) {
        free(request);
        return NULL;
    }
    request->api.method = method_of(method);
    request->api.path = request->path;
    request->api.caller = &request->caller;
    if (!identify(request, local))
        return request;
    if (cut) {
        request->status = MHD_HTTP_BAD_REQUEST;
        (void)err_set(&request->why, ERR_INVALID, "the path or the query holds a NUL (%%00)");
        return request;
    }
    request->route = find_route(request);
    return request;
}

void http_request_free(struct http_request *request)
{
    if (request == NULL)
        return;
    api_answer_done(&request->answer);
    buf_done(&request->said);
    json_decref(request->api.json);
    buf_done(&request->body);
    free(request->path);
    free(request);
}

struct MHD_Connection *http_request_connection(const struct http_request *request)
{
    return request->connection;
}

bool http_request_body(struct http_request *request, struct bytes part)
{
    size_t limit = request->route != NULL ? request->route->max_body_bytes : 0;
    if (request->dropped_bytes == 0 && request->body.length + part.length <= limit &&
        buf_append(&request->body, part.data, part.length, NULL))
        return true;
    if (request->route != NULL) {
        request->route = NULL;
        request->status = MHD_HTTP_CONTENT_TOO_LARGE;
    }
    buf_done(&request->body);
    request->dropped_bytes += part.length;
    return request->dropped_bytes <= DROPPED_BYTES_MAX;
}

static enum MHD_Result add_query(void *ctx, enum MHD_ValueKind kind, const char *name,
                                 const char *value)
{
    (void)kind;
    struct http_request *request = ctx;
    if (request->api.query_count == QUERY_MAX) {
        request->route = NULL;
        request->status = MHD_HTTP_BAD_REQUEST;
        return MHD_NO;
    }
    request->query[request->api.query_count++] =
        (struct api_query){.name = name, .value = value != NULL ? value : ""};
    return MHD_YES;
}

static void refuse(const struct http_request *request, struct api_answer *answer)
{
    const char *why = request->why.text;
    switch (request->status) {
    case MHD_HTTP_UNAUTHORIZED:
        api_answer_error(answer, request->status, "unauthorized", why);
        break;
    case MHD_HTTP_FORBIDDEN:
        api_answer_error(answer, request->status, "refused", why);
        break;
    case MHD_HTTP_TOO_MANY_REQUESTS:
        api_answer_error(answer, request->status, "too_many", why);
        break;
    case MHD_HTTP_INTERNAL_SERVER_ERROR:
        log_error("%s %s: %s", request->api.method, request->path, why);
        api_answer_error(answer, request->status, err_code_name(request->why.code), why);
        break;
    case MHD_HTTP_NOT_FOUND:
        api_answer_error(answer, request->status, "not_found",
                         why[0] != '\0' ? why : "no such path");
        break;
    case MHD_HTTP_METHOD_NOT_ALLOWED:
        api_answer_error(answer, request->status, "refused", "not with this method here");
        break;
    case MHD_HTTP_CONTENT_TOO_LARGE:
        api_answer_error(answer, request->status, "too_large", "the body is longer than allowed");
        break;
    case MHD_HTTP_MISDIRECTED_REQUEST:
        api_answer_error(answer, request->status, "refused",
                         "the Host header must name this machine: localhost, 127.0.0.1 or [::1]");
        break;
    default:
        api_answer_error(answer, request->status, "invalid",
                         why[0] != '\0' ? why : "more parameters than are read");
        break;
    }
}

/* What the status asks for besides. */
static void add_headers(const struct http_request *request, struct MHD_Response *response)
{
    char text[API_METHODS_CHARS];
    switch (request->answer.status) {
    case MHD_HTTP_UNAUTHORIZED:
        (void)MHD_add_response_header(response, MHD_HTTP_HEADER_WWW_AUTHENTICATE,
                                      "Bearer realm=\"muster\"");
        break;
    case MHD_HTTP_TOO_MANY_REQUESTS:
        (void)snprintf(text, sizeof text, "%lld", (long long)(request->wait_ms + 999) / 1000);
        (void)MHD_add_response_header(response, MHD_HTTP_HEADER_RETRY_AFTER, text);
        break;
    case MHD_HTTP_METHOD_NOT_ALLOWED:
        api_methods(request->context->api, request->path, text);
        (void)MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, text);
        break;
    default:
        break;
    }
}

/* ---- what goes on ---- */

enum { STREAM_BLOCK_BYTES = 16 * 1024 };

bool http_request_streams(const struct http_request *request)
{
    return request->answer.stream.next != NULL;
}

int64_t http_request_took_ms(const struct http_request *request)
{
    return request->waits ? -1 : request->took_ms;
}

void http_request_wake(struct http_request *request, bool stopping)
{
    request->stopping = request->stopping || stopping;
    if (!request->waits)
        return;
    request->waits = false;
    request->took_ms = clock_boot_ms(request->context->clock);
    MHD_resume_connection(request->connection);
}

static bool say_more(struct http_request *request)
{
    struct api_stream *stream = &request->answer.stream;
    struct err err = {0};
    if (stream->next(stream->ctx, request->stopping, &request->said, &request->said_all, &err))
        return true;
    log_error("%s %s: %s", request->api.method, request->path, err.text);
    return false;
}

/* libmicrohttpd has room for `max` bytes. */
static ssize_t on_room(void *ctx, uint64_t position, char *to, size_t max)
{
    struct http_request *request = ctx;
    (void)position;
    request->took_ms = clock_boot_ms(request->context->clock);
    if (request->said.length == 0 && !request->said_all && !say_more(request))
        return MHD_CONTENT_READER_END_WITH_ERROR;
    if (request->said.length == 0 && request->said_all)
        return MHD_CONTENT_READER_END_OF_STREAM;
    if (request->said.length == 0) {
        request->waits = true;
        MHD_suspend_connection(request->connection);
        return 0;
    }
    const size_t length = request->said.length < max ? request->said.length : max;
    memcpy(to, request->said.data, length);
    buf_consume(&request->said, length);
    return (ssize_t)length;
}

static struct MHD_Response *response_of(struct http_request *request)
{
    const struct api_answer *answer = &request->answer;
    if (http_request_streams(request))
        return MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, STREAM_BLOCK_BYTES, on_room,
                                                 request, NULL);
    char *json = answer->json != NULL ? json_dumps(answer->json, JSON_COMPACT) : NULL;
    struct bytes body = json != NULL ? bytes_of(json, strlen(json)) : buf_bytes(&answer->text);
    request->large |= request->body.length + body.length >= LARGE_BYTES;
    /* The library's prototype is not const, but it only copies. */
    struct MHD_Response *response = MHD_create_response_from_buffer(
        body.length, (void *)(uintptr_t)body.data, MHD_RESPMEM_MUST_COPY);
    free(json);
    return response;
}

bool http_request_send(struct http_request *request)
{
    const struct api_answer *answer = &request->answer;
    const char *type = answer->json != NULL ? "application/json" : answer->content_type;
    struct MHD_Response *response = response_of(request);
    if (response == NULL)
        return false;
    (void)MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE,
                                  type != NULL ? type : "text/plain");
    (void)MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    add_headers(request, response);
    bool queued = MHD_queue_response(request->connection, answer->status, response) == MHD_YES;
    MHD_destroy_response(response);
    return queued;
}

/* What is answered counts, not what is sent: who asked may have left. */
static bool note_answer(struct http_request *request)
{
    const struct api_answer *answer = &request->answer;
    if (answer->work.step != NULL)
        return false;
    if (request->answered)
        return true;
    request->answered = true;
    metrics_add(request->context->metrics, METRIC_HTTP_REQUESTS, 1);
    metrics_add(request->context->metrics, METRIC_HTTP_ERRORS, answer->status >= 400);
    return true;
}

bool http_request_run(struct http_request *request)
{
    struct api_answer *answer = &request->answer;
    if (request->answered)
        return true;
    answer->status = MHD_HTTP_OK;
    (void)MHD_get_connection_values(request->connection, MHD_GET_ARGUMENT_KIND, add_query, request);
    if (request->route != NULL) {
        request->api.query = request->query;
        request->api.body = buf_bytes(&request->body);
        request->api.now_ms = clock_wall_ms(request->context->clock);
        request->api.last_event_id =
            MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, "Last-Event-ID");
        if (api_contract_check(request->context->contract, request->route, &request->api,
                               &request->why))
            api_run(request->route, request->route_ctx, &request->api, answer);
        else
            api_answer_error(answer, MHD_HTTP_BAD_REQUEST, err_code_name(request->why.code),
                             request->why.text);
    } else {
        refuse(request, answer);
    }
    return note_answer(request);
}

bool http_request_step(struct http_request *request)
{
    request->large |= request->answer.work.alone;
    api_continue(&request->api, &request->answer);
    return note_answer(request);
}

/* ---- instead of an answer ---- */

void http_request_no_room(struct http_request *request, int64_t wait_ms, const char *why)
{
    request->wait_ms = wait_ms;
    api_answer_error(&request->answer, MHD_HTTP_TOO_MANY_REQUESTS, "too_many", why);
    (void)note_answer(request);
}

/* libmicrohttpd does not look at a connection that is suspended. Nobody who is still interested
 * closes his end, or half of it. */
bool http_request_deserted(const struct http_request *request)
{
    struct pollfd peer = {.fd = socket_of(request->connection), .events = POLLRDHUP};
    return poll(&peer, 1, 0) > 0 && (peer.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
}

void http_request_give_up(struct http_request *request)
{
    metrics_add(request->context->metrics, METRIC_HTTP_DESERTED, 1);
    api_answer_error(&request->answer, MHD_HTTP_SERVICE_UNAVAILABLE, "unavailable",
                     "whoever asked has left");
    (void)note_answer(request);
}

bool http_request_alone(const struct http_request *request)
{
    return request->answer.work.alone;
}

bool http_request_large(const struct http_request *request)
{
    return request->large;
}

int64_t http_request_token(const struct http_request *request)
{
    return request->caller.token;
}
