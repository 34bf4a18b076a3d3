/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_BENCH_PEERS_SINK_H
#define TESTS_BENCH_PEERS_SINK_H

#include "base/buf.h"

/*
 * Where the others' records arrive: a table in a SQLite database, one row for each arrival, nothing
 * refused. Rows are committed (WAL, synchronous=FULL) some tens of times a second, so that the sink
 * stays far from being what is measured.
 */
struct sink;

bool sink_open(const char *path, struct sink **ret_sink, struct err *err) MUSTER_CHECK;
void sink_close(struct sink *sink); /* commits */
/* A packed TxnResult. */
bool sink_add(struct sink *sink, struct bytes body, struct err *err) MUSTER_CHECK;
/* Commits what waited long enough; call it at least every SINK_COMMIT_MS. */
bool sink_turn(struct sink *sink, struct err *err) MUSTER_CHECK;

enum { SINK_COMMIT_MS = 20 };

#endif
