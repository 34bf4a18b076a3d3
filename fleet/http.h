/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FLEET_HTTP_H
#define FLEET_HTTP_H

#include "base/clock.h"
#include "fleet/api.h"
#include "fleet/metrics.h"

#include <uv.h>

/*
 * Serves the API over HTTP/1.1 on the program's loop: everything on a unix socket, whose file
 * permissions say who may come in, and GET alone on an optional TCP address of this machine. TLS
 * and people's names are a reverse proxy's work.
 */
struct http;

struct http_settings {
    const char *socket_path;
    unsigned socket_mode;
    const char *listen; /* "127.0.0.1:9180" or "[::1]:9180"; "": none. Port 0: any */
    const struct clock *clock;
    struct metrics *metrics;
};

/* `api` is kept by reference. ERR_CONFLICT: another process serves the socket. */
bool http_open(uv_loop_t *loop, const struct http_settings *settings, const struct api *api,
               struct http **ret_http, struct err *err) MUSTER_CHECK;
/* Closes all connections; memory is given back by the loop once its handles have closed. */
void http_close(struct http *http);
/* The port of the TCP listener, 0: none. */
uint16_t http_port(const struct http *http);

#endif
