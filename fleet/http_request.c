/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/http_request.h"

#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
    QUERY_MAX = 16,
    /* An answer that comes before the body is read would be lost with the connection, so a body
     * that is too long is read and dropped up to here. */
    DROPPED_BYTES_MAX = 8 * 1024 * 1024,
};

struct http_request {
    const struct http_context *context;
    struct MHD_Connection *connection;
    struct api_request api;
    char *path;
    const struct api_route *route; /* NULL: refused with `status` */
    void *route_ctx;
    unsigned status;
    struct buf body;
    size_t dropped_bytes;
    struct api_query query[QUERY_MAX];
    struct api_answer answer;
    bool answered;
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

struct http_request *http_request_begin(const struct http_context *context,
                                        struct MHD_Connection *connection, const char *method,
                                        const char *path, bool read_only)
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
    bool head = strcmp(method, "HEAD") == 0;
    request->api.method = head || strcmp(method, "GET") == 0 ? "GET"
                          : strcmp(method, "PUT") == 0       ? "PUT"
                          : strcmp(method, "POST") == 0      ? "POST"
                          : strcmp(method, "DELETE") == 0    ? "DELETE"
                                                             : "";
    request->api.path = request->path;
    if (read_only && strcmp(request->api.method, "GET") != 0) {
        request->status = MHD_HTTP_METHOD_NOT_ALLOWED;
        return request;
    }
    if (read_only && !is_local_host(MHD_lookup_connection_value(connection, MHD_HEADER_KIND,
                                                                MHD_HTTP_HEADER_HOST))) {
        request->status = MHD_HTTP_MISDIRECTED_REQUEST;
        return request;
    }
    request->route =
        api_route_find(context->api, &request->api, &request->route_ctx, &request->status);
    return request;
}

void http_request_free(struct http_request *request)
{
    if (request == NULL)
        return;
    api_answer_done(&request->answer);
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
    switch (request->status) {
    case MHD_HTTP_NOT_FOUND:
        api_answer_error(answer, request->status, "not_found", "no such path");
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
        api_answer_error(answer, request->status, "invalid", "the request is malformed");
        break;
    }
}

bool http_request_send(struct http_request *request)
{
    const struct api_answer *answer = &request->answer;
    char *json = answer->json != NULL ? json_dumps(answer->json, JSON_COMPACT) : NULL;
    const char *type = json != NULL ? "application/json" : answer->content_type;
    struct bytes body = json != NULL ? bytes_of(json, strlen(json)) : buf_bytes(&answer->text);
    /* The library's prototype is not const, but it only copies. */
    struct MHD_Response *response = MHD_create_response_from_buffer(
        body.length, (void *)(uintptr_t)body.data, MHD_RESPMEM_MUST_COPY);
    free(json);
    if (response == NULL)
        return false;
    (void)MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE,
                                  type != NULL ? type : "text/plain");
    (void)MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
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
        api_run(request->route, request->route_ctx, &request->api, answer);
    } else {
        refuse(request, answer);
    }
    return note_answer(request);
}

bool http_request_step(struct http_request *request)
{
    api_continue(&request->api, &request->answer);
    return note_answer(request);
}
