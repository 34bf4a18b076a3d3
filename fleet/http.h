/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FLEET_HTTP_H
#define FLEET_HTTP_H

#include "base/clock.h"
#include "fleet/access.h"
#include "fleet/api_contract.h"

#include <uv.h>

/*
 * Serves the API over HTTP/1.1 on the program's loop: on a unix socket, whose file permissions say
 * who may come in, and on an optional TCP address of this machine, to who shows a token
 * (fleet/access.h). TLS is a reverse proxy's work. A request is bounded in size (fleet/api.h), in
 * how often it comes, and in the time that it and its answer take on the line.
 */
struct http;

struct http_settings {
    const char *socket_path;
    unsigned socket_mode;
    const char *listen; /* "127.0.0.1:9180" or "[::1]:9180"; "": none. Port 0: any */
    int64_t request_limit_ms;
    const struct api_contract *contract; /* NULL: requests are held against none */
    struct access *access;
    const struct clock *clock;
    struct metrics *metrics;
};

/* `api` is kept by reference. ERR_CONFLICT: another process serves the socket. */
bool http_open(uv_loop_t *loop, const struct http_settings *settings, const struct api *api,
               struct http **ret_http, struct err *err) MUSTER_CHECK;
/* Something may have come that answers which go on are to tell of. */
void http_wake(struct http *http);
/* Closes all connections; memory is given back by the loop once its handles have closed. */
void http_close(struct http *http);
/* The port of the TCP listener, 0: none. */
uint16_t http_port(const struct http *http);

#endif
