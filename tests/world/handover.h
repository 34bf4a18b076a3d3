/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_WORLD_HANDOVER_H
#define TESTS_WORLD_HANDOVER_H

#include "agent/client.h"
#include "base/err.h"
#include "proto/record.pb-c.h"

/*
 * Results on their way from the payment application to the agent, through libmuster. What the
 * agent does not take is kept in memory, in order, and handed over later under the same key: the
 * sale goes on. What it acknowledged is written to the oracle file, for accounts that are kept
 * outside of Muster; one line each, tab-separated:
 *   run  key (hex)  stored|duplicate  incarnation (hex).lane.seq  code  STAN
 */
struct handover;

bool handover_open(const char *socket_path, const char *oracle_path, struct handover **ret_handover,
                   struct err *err) MUSTER_CHECK;
void handover_close(struct handover *handover);

/* A sale begins, ends. Whether the agent hears of it is no reason to hold it up. What is begun with
 * is the folder to read from until the end, valid until the next sale; "": the agent does not say.
 */
const char *handover_begin(struct handover *handover);
void handover_end(struct handover *handover);
/* How reversal and batch stand: at the start, and when either changes. */
void handover_say(struct handover *handover, bool reversal, bool batch);

/* Keeps a copy; `run` marks its oracle line. ERR_FULL beyond 100,000 that wait. */
bool handover_add(struct handover *handover, unsigned run, const Muster__TxnResult *txn,
                  struct err *err) MUSTER_CHECK;
/* Hands over what waits, oldest first, until all is acknowledged or the agent does not take one.
 * False: the agent refused one for good, or the oracle file cannot be written. */
bool handover_try(struct handover *handover, struct err *err) MUSTER_CHECK;
size_t handover_waiting(const struct handover *handover);

/* The same result as the client library takes it; it points into `from`. */
struct muster_txn handover_txn(const Muster__TxnResult *from);

#endif
