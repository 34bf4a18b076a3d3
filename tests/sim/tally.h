/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_SIM_TALLY_H
#define TESTS_SIM_TALLY_H

#include "tests/sim/terminal.h"

/* What a crowd has made and what of it waits. */
struct tally {
    uint64_t results, declined, suspects;
    uint64_t records[SPOOL_LANES]; /* ever given, by lane */
    uint64_t waiting, lost;        /* records without a receipt; given up */
    int64_t oldest_ms;             /* of these */
    uint64_t most_waiting;         /* in one terminal */
    uint64_t in_flight;            /* packets that the broker has not acknowledged */
    uint64_t batches, batch_bytes, resends;
    uint64_t refused; /* receipts and messages */
    uint64_t connected, sessions;
};

void tally_take(const struct terminal *terminals, size_t count, struct tally *ret_tally);
/* Lines `PREFIX.name value unit`. */
void tally_print(const char *prefix, const struct tally *tally);

/* A line for each terminal: its id, results, their amounts, those declined, events, health records;
 * below a head, with tabs. */
bool tally_ledger(const char *path, const struct terminal *terminals, size_t count,
                  struct err *err) MUSTER_CHECK;

#endif
