/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FLEET_HTTP_GUESTS_H
#define FLEET_HTTP_GUESTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct MHD_Connection;

/*
 * The connections of a listener, and since when each is at one request: who sends a byte now and
 * then, or takes his answer so, would hold it for ever, as libmicrohttpd only counts silence.
 * Zero-initialised is empty. Times are since boot.
 */
struct http_guest {
    struct http_guest *next, *before;
    struct MHD_Connection *connection;
    int64_t since_ms;
    bool headed; /* his request's line and headers are here */
    bool ours;   /* he waits for us: that is not held against him */
    bool cut;    /* what he asks for holds a NUL, behind which nobody looks */
};
struct http_guests {
    struct http_guest *first;
    size_t count;
};

/* NULL: no memory. */
struct http_guest *http_guest_come(struct http_guests *guests, struct MHD_Connection *connection,
                                   int64_t now_ms);
void http_guest_leave(struct http_guests *guests, struct http_guest *guest); /* frees it */
/* His request is over, and he may have another. */
void http_guest_begin(struct http_guest *guest, int64_t now_ms);
/* He has waited for us, and it is his turn again. */
void http_guest_turn(struct http_guest *guest, int64_t now_ms);
/* Cuts off those who are at one request, or at its head, for longer; libmicrohttpd ends them then.
 * Returns how many. */
size_t http_guests_hurry(struct http_guests *guests, int64_t head_limit_ms, int64_t limit_ms,
                         int64_t now_ms);

#endif
