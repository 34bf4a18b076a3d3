/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FLEET_HTTP_REQUEST_H
#define FLEET_HTTP_REQUEST_H

#include "base/clock.h"
#include "fleet/access.h"
#include "fleet/api_contract.h"
#include "fleet/metrics.h"

/* One request between libmicrohttpd and the API: its route is found first, so that a body is kept
 * only where one is wanted, and never beyond the route's limit. */
struct http_request;
struct MHD_Connection;

struct http_context {
    const struct api *api;
    const struct api_contract *contract; /* NULL: requests are held against none */
    struct access *access;
    const struct clock *clock;
    struct metrics *metrics;
};

/* NULL: no memory. `local`: the connection is one of the unix socket; who comes over TCP without a
 * token is answered only under a name of this machine. `cut`: path and query end where a NUL was,
 * which makes them others. */
struct http_request *http_request_begin(const struct http_context *context,
                                        struct MHD_Connection *connection, const char *method,
                                        const char *path, bool local, bool cut);
/* False: so much more than allowed that the connection is to be closed. */
bool http_request_body(struct http_request *request, struct bytes part);
/* Runs the handler, once. True: there is an answer to be sent; false: http_request_step goes on. */
bool http_request_run(struct http_request *request);
bool http_request_step(struct http_request *request);
/* Whether the answer goes on, and on. Such a one is suspended while there is nothing to say:
 * `waits` tells; then http_request_wake, whose caller runs libmicrohttpd. */
bool http_request_streams(const struct http_request *request);
/* Instead of the answer: there is no room for one that goes on, or takes so long. */
void http_request_no_room(struct http_request *request, int64_t wait_ms, const char *why);
/* Whether whoever asked has hung up; then what is left of the work is given up. */
bool http_request_deserted(const struct http_request *request);
void http_request_give_up(struct http_request *request);
/* Whether only one of its kind is to go on at a time. */
bool http_request_alone(const struct http_request *request);
/* Whether it and its answer, which has been queued, took so much memory that it is worth giving
 * back. */
bool http_request_large(const struct http_request *request);
/* Who asks: the row of the token, 0: none was shown. */
int64_t http_request_token(const struct http_request *request);
void http_request_wake(struct http_request *request, bool stopping);
/* When it last took something, or began to wait, in time since boot; -1: it waits for us. */
int64_t http_request_took_ms(const struct http_request *request);
/* Queues the answer. */
bool http_request_send(struct http_request *request);
struct MHD_Connection *http_request_connection(const struct http_request *request);
void http_request_free(struct http_request *request);

#endif
