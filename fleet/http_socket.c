/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/http_socket.h"

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

enum { BACKLOG = 64 };

static int new_socket(int family)
{
    return socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

/* Does anybody accept there? */
static bool is_live(const struct sockaddr_un *address)
{
    int fd = new_socket(AF_UNIX);
    if (fd < 0)
        return false;
    bool live = connect(fd, (const struct sockaddr *)address, sizeof *address) == 0 ||
                errno == EAGAIN || errno == EINPROGRESS;
    (void)close(fd);
    return live;
}

/* The mode is set before anybody can connect: listen comes last. */
static bool bind_unix(int fd, const struct sockaddr_un *address, unsigned mode, struct err *err)
{
    const char *path = address->sun_path;
    struct stat old;
    if (lstat(path, &old) == 0) {
        if (!S_ISSOCK(old.st_mode))
            return err_set(err, ERR_CONFLICT, "%s is there and no socket", path);
        if (is_live(address))
            return err_set(err, ERR_CONFLICT, "%s: another process listens there", path);
        if (unlink(path) != 0)
            return err_errno(err, errno, "%s: remove the old socket", path);
    }
    if (bind(fd, (const struct sockaddr *)address, sizeof *address) != 0)
        return err_errno(err, errno, "%s: bind", path);
    if (chmod(path, mode) != 0)
        return err_errno(err, errno, "%s: set its mode", path);
    return listen(fd, BACKLOG) == 0 || err_errno(err, errno, "%s: listen", path);
}

bool http_socket_unix(const char *path, unsigned mode, int *ret_fd, struct err *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path)
        return err_set(err, ERR_INVALID, "%s: a socket's path has at most %zu characters", path,
                       sizeof address.sun_path - 1);
    memcpy(address.sun_path, path, strlen(path) + 1);
    int fd = new_socket(AF_UNIX);
    if (fd < 0)
        return err_errno(err, errno, "%s: socket", path);
    if (!bind_unix(fd, &address, mode, err)) {
        (void)close(fd);
        return false;
    }
    *ret_fd = fd;
    return true;
}

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

static bool parse(const char *text, union address *ret_address, socklen_t *ret_length,
                  struct err *err)
{
    char host[64];
    const char *colon = strrchr(text, ':');
    char *end = NULL;
    long port = colon != NULL ? strtol(colon + 1, &end, 10) : -1;
    bool form = colon != NULL && end != colon + 1 && *end == '\0' && port >= 0 && port <= 65535 &&
                (size_t)(colon - text) < sizeof host;
    if (!form)
        return err_set(err, ERR_INVALID, "%s: expected 127.0.0.1:PORT or [::1]:PORT", text);
    (void)snprintf(host, sizeof host, "%.*s", (int)(colon - text), text);
    memset(ret_address, 0, sizeof *ret_address);
    if (strcmp(host, "[::1]") == 0) {
        ret_address->v6 = (struct sockaddr_in6){.sin6_family = AF_INET6,
                                                .sin6_addr = IN6ADDR_LOOPBACK_INIT,
                                                .sin6_port = htons((uint16_t)port)};
        *ret_length = sizeof ret_address->v6;
        return true;
    }
    ret_address->v4.sin_family = AF_INET;
    ret_address->v4.sin_port = htons((uint16_t)port);
    *ret_length = sizeof ret_address->v4;
    if (inet_pton(AF_INET, host, &ret_address->v4.sin_addr) != 1 ||
        ntohl(ret_address->v4.sin_addr.s_addr) >> 24 != IN_LOOPBACKNET)
        return err_set(err, ERR_INVALID, "%s: not an address of this machine only", text);
    return true;
}

static bool listen_at(int fd, union address *address, socklen_t length, uint16_t *ret_port,
                      const char *text, struct err *err)
{
    int on = 1;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, &address->any, length) != 0)
        return err_errno(err, errno, "%s: bind", text);
    if (listen(fd, BACKLOG) != 0 || getsockname(fd, &address->any, &length) != 0)
        return err_errno(err, errno, "%s: listen", text);
    *ret_port =
        ntohs(address->any.sa_family == AF_INET6 ? address->v6.sin6_port : address->v4.sin_port);
    return true;
}

bool http_socket_local(const char *text, int *ret_fd, uint16_t *ret_port, struct err *err)
{
    union address address = {0};
    socklen_t length = 0;
    if (!parse(text, &address, &length, err))
        return false;
    int fd = new_socket(address.any.sa_family);
    if (fd < 0)
        return err_errno(err, errno, "%s: socket", text);
    if (!listen_at(fd, &address, length, ret_port, text, err)) {
        (void)close(fd);
        return false;
    }
    *ret_fd = fd;
    return true;
}
