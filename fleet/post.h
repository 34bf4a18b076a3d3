/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FLEET_POST_H
#define FLEET_POST_H

#include "base/buf.h"

#include <uv.h>

/*
 * HTTP POSTs to servers of others, on the program's loop: nothing here blocks, names are resolved
 * by a thread of libcurl's. Redirects are not followed, what is answered is dropped (and after 64
 * KiB not read any more), and each ends after POST_LIMIT_MS, one way or the other. TLS is verified
 * by the system's certificates. No proxy is asked, whatever the environment says. What a name has
 * come to is looked at before it is connected: nothing goes to a link-local address, and without
 * TLS nothing leaves this machine. Private addresses are as good as others: a server of one's own
 * stands there.
 */
enum { POST_LIMIT_MS = 20000 };
struct post;

struct post_order {
    const char *url;
    const char *const *headers; /* "Name: value"; NULL ends them */
    struct bytes body;          /* must live until it is done */
    /* Once. `status` 0: it was not answered, and `why` says why. Not called after post_close. */
    void (*done)(void *ctx, long status, const char *why);
    void *ctx;
};

bool post_open(uv_loop_t *loop, struct post **ret_post, struct err *err) MUSTER_CHECK;
bool post_send(struct post *post, const struct post_order *order, struct err *err) MUSTER_CHECK;
/* What is under way is left; memory is given back by the loop once its handles have closed. */
void post_close(struct post *post);

/* Whether this is somewhere to post to: https, or http on this machine, the host in ASCII. */
bool post_url_check(const char *url, struct err *err) MUSTER_CHECK;

#endif
