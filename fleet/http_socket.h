/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FLEET_HTTP_SOCKET_H
#define FLEET_HTTP_SOCKET_H

#include "base/err.h"

#include <stdint.h>

/* Listening sockets, non-blocking and closed on exec. */

/* A unix socket at `path` with permission bits `mode`. An old file that nobody listens on is
 * replaced, a live one is ERR_CONFLICT. */
bool http_socket_unix(const char *path, unsigned mode, int *ret_fd, struct err *err) MUSTER_CHECK;
/* TCP on a loopback address: "127.0.0.1:PORT" or "[::1]:PORT"; anything else is ERR_INVALID. */
bool http_socket_local(const char *address, int *ret_fd, uint16_t *ret_port,
                       struct err *err) MUSTER_CHECK;

#endif
