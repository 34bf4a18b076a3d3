/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_ORACLE_LOG_H
#define TESTS_ORACLE_LOG_H

#include "tests/oracle/oracle.h"

/*
 * Submissions and answers as they happen, one line each, appended with one write: any number of
 * threads and processes share a file, and what a line tells was so before anything came after it.
 *   s DEVICE KEY-HEX STAN AMOUNT CODE      ("-": no code)
 *   a DEVICE KEY-HEX INCARNATION-HEX SEQ
 */
struct oracle_log;

bool oracle_log_open(const char *path, struct oracle_log **ret_log, struct err *err) MUSTER_CHECK;
void oracle_log_close(struct oracle_log *log);
bool oracle_log_submitted(struct oracle_log *log, const struct oracle_result *result,
                          struct err *err) MUSTER_CHECK;
bool oracle_log_answered(struct oracle_log *log, const char *device, struct bytes key,
                         uint64_t incarnation, uint64_t seq, struct err *err) MUSTER_CHECK;

#endif
