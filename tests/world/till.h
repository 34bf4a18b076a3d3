/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_WORLD_TILL_H
#define TESTS_WORLD_TILL_H

#include "tests/world/hostline.h"
#include "tests/world/registration.h"
#include "tests/world/results.h"

/*
 * One sale after the other, as a payment application makes them: look the card up in the tables
 * that are applied, ask the host, and write down how it went. It decides on
 * nothing but its own registration:
 *   range not in the table       default route, table_miss, issuer_unknown; the host decides
 *   no AID in common             declined offline (Z1), no host is asked
 *   no sound CA key for the chip key_missing, TVR "DDA failed" (EMV Book 3 annex C5); the host
 *                                is told and decides
 */
struct till_settings {
    const char *registry;    /* the agent's registry directory */
    const char *params_name; /* document with this terminal's ids */
    const char *host_path;   /* socket of the acquirer */
    struct results_settings world;
};

struct till;
bool till_open(const struct till_settings *settings, struct till **ret_till,
               struct err *err) MUSTER_CHECK;
void till_close(struct till *till);
void till_rewind(struct till *till); /* the same customers again */

/* The next customer, with what is in `folder`, or in force ("": no lease says which). False,
 * without having taken one: there is no registration to sell with. `ret_result` is valid until the
 * next call. */
bool till_sell(struct till *till, const char *folder, struct world_result *ret_result,
               struct err *err) MUSTER_CHECK;

#endif
