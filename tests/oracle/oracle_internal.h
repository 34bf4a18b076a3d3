/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_ORACLE_ORACLE_INTERNAL_H
#define TESTS_ORACLE_ORACLE_INTERNAL_H

#include "tests/oracle/oracle.h"

#include <sqlite3.h>

/* What the files here share. */

struct oracle {
    sqlite3 *db; /* in memory: sql/facts.sql, sql/judge.sql */
};

/* Both fill err with SQLite's words. */
bool oracle_sql_fail(struct oracle *oracle, const char *what, struct err *err);
bool oracle_exec(struct oracle *oracle, const char *sql, const char *what,
                 struct err *err) MUSTER_CHECK;
bool oracle_prepare(struct oracle *oracle, const char *sql, sqlite3_stmt **ret_statement,
                    struct err *err) MUSTER_CHECK;
/* Runs a statement that gives no rows and makes it ready for the next values. */
bool oracle_step(struct oracle *oracle, sqlite3_stmt *statement, struct err *err) MUSTER_CHECK;

/* A spool's file, attached as `place`, read into the oracle's tables. */
bool oracle_read_spool(struct oracle *oracle, const struct oracle_spool *spool,
                       struct err *err) MUSTER_CHECK;
/* The questions, once everything was read. */
bool oracle_judge(struct oracle *oracle, struct oracle_report *report,
                  struct err *err) MUSTER_CHECK;

#endif
