/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/http_guests.h"

#include <microhttpd.h>
#include <stdlib.h>
#include <sys/socket.h>

struct http_guest *http_guest_come(struct http_guests *guests, struct MHD_Connection *connection,
                                   int64_t now_ms)
{
    struct http_guest *guest = calloc(1, sizeof *guest);
    if (guest == NULL)
        return NULL;
    guest->connection = connection;
    guest->since_ms = now_ms;
    guest->next = guests->first;
    if (guests->first != NULL)
        guests->first->before = guest;
    guests->first = guest;
    guests->count++;
    return guest;
}

void http_guest_leave(struct http_guests *guests, struct http_guest *guest)
{
    if (guest == NULL)
        return;
    if (guest->before != NULL)
        guest->before->next = guest->next;
    else
        guests->first = guest->next;
    if (guest->next != NULL)
        guest->next->before = guest->before;
    guests->count--;
    free(guest);
}

void http_guest_begin(struct http_guest *guest, int64_t now_ms)
{
    if (guest == NULL)
        return;
    guest->since_ms = now_ms;
    guest->ours = guest->headed = false;
}

void http_guest_turn(struct http_guest *guest, int64_t now_ms)
{
    if (guest == NULL)
        return;
    guest->since_ms = now_ms;
    guest->ours = false;
}

static void cut_off(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    if (info != NULL)
        (void)shutdown(info->connect_fd, SHUT_RDWR);
}

size_t http_guests_hurry(struct http_guests *guests, int64_t head_limit_ms, int64_t limit_ms,
                         int64_t now_ms)
{
    size_t count = 0;
    for (struct http_guest *guest = guests->first; guest != NULL; guest = guest->next) {
        if (guest->ours || now_ms - guest->since_ms < (guest->headed ? limit_ms : head_limit_ms))
            continue;
        cut_off(guest->connection);
        guest->ours = true; /* once is enough */
        count++;
    }
    return count;
}
