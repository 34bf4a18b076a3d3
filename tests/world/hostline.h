/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_WORLD_HOSTLINE_H
#define TESTS_WORLD_HOSTLINE_H

#include "base/err.h"
#include "tests/world/world.pb-c.h"

/* The till's line to the acquirer: one request, one reply, blocking at most two seconds each. It
 * connects when it must. Zero-initialise with `descriptor` -1. */
struct hostline {
    const char *path;
    int descriptor;
};

/* The caller frees the reply with world__host_reply__free_unpacked(reply, NULL). */
bool hostline_ask(struct hostline *line, const World__HostRequest *request,
                  World__HostReply **ret_reply, struct err *err) MUSTER_CHECK;
void hostline_close(struct hostline *line);

#endif
