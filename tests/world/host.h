/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_WORLD_HOST_H
#define TESTS_WORLD_HOST_H

#include "tests/world/tables.h"
#include "tests/world/world.pb-c.h"

/*
 * How the acquirer's hosts answer. Each knows its own ranges, out of the full table, and the
 * terminals that are registered. In this order:
 *   58  the terminal is not known      03  the terminal belongs to another merchant
 *   57  the card's range is not this host's
 *   05  the chip could not be proved genuine offline (an issuer gives no reason)
 * and otherwise what the card and the seed say, by the shares of WORLD.md without 57: so the same
 * card gets the same answer whenever it comes.
 */
struct host_settings {
    const char *table_path;     /* the full BIN and routing table */
    const char *terminals_path; /* table: tid, mid */
    uint64_t seed;
};

struct host;
bool host_open(const struct host_settings *settings, struct host **ret_host,
               struct err *err) MUSTER_CHECK;
void host_close(struct host *host);

/* A reply and the text it points to. */
struct host_answer {
    World__HostReply reply;
    char code[4], rrn[13], auth_code[7];
};
void host_answer(const struct host *host, const World__HostRequest *request,
                 struct host_answer *ret_answer);

#endif
