/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_ORACLE_ORACLE_H
#define TESTS_ORACLE_ORACLE_H

#include "base/buf.h"

/*
 * An outsider's memory of every result that was handed to a terminal and of what the terminal
 * answered. Held against what stands in the files of the spools and of the fleet's database, it
 * tells whether each is accounted for. It reads those files with SQL and a decoder of its own:
 * none of the code that wrote them is used, and none of that code's counters are believed.
 *
 * The databases are opened like any reader's: a WAL that is there counts, and nothing is changed.
 * A spool must not be in use meanwhile.
 */
struct oracle;

struct oracle_result {
    const char *device;
    struct bytes key; /* idempotency key */
    uint32_t stan;
    uint64_t amount_minor;
    const char *code;
};

bool oracle_open(struct oracle **ret_oracle, struct err *err) MUSTER_CHECK;
void oracle_close(struct oracle *oracle);
/* Adds what a log holds (tests/oracle/log.h). */
bool oracle_load(struct oracle *oracle, const char *log_path, struct err *err) MUSTER_CHECK;
/* Before it is handed over. The same key once more is a retry and changes nothing. */
bool oracle_submitted(struct oracle *oracle, const struct oracle_result *result,
                      struct err *err) MUSTER_CHECK;
/* After the terminal said "stored" or "duplicate". */
bool oracle_answered(struct oracle *oracle, const char *device, struct bytes key,
                     uint64_t incarnation, uint64_t seq, struct err *err) MUSTER_CHECK;
/* For a test without a fleet database: it holds first..last of this stream. */
bool oracle_arrived(struct oracle *oracle, const char *device, uint64_t incarnation, int lane,
                    uint64_t first, uint64_t last, struct err *err) MUSTER_CHECK;

struct oracle_spool {
    const char *device;
    const char *path;
    int64_t quota_bytes; /* 0: not checked */
};
struct oracle_places {
    const struct oracle_spool *spools;
    size_t spool_count;
    const char *fleet_path; /* NULL: none, oracle_arrived told */
};

enum oracle_figure {
#define ORACLE_FIGURE(name, unit, violation) ORACLE_##name,
#include "tests/oracle/figures.def"
#undef ORACLE_FIGURE
    ORACLE_FIGURES
};

struct oracle_report {
    uint64_t figures[ORACLE_FIGURES];
    uint64_t violations; /* the sum of those that must be 0 */
    char findings[8192]; /* the first of each kind, one a line */
};
/* False: something could not be read. What is found wrong is in the report. */
bool oracle_check(struct oracle *oracle, const struct oracle_places *places,
                  struct oracle_report *ret_report, struct err *err) MUSTER_CHECK;

/* "lost", "records" */
const char *oracle_figure_name(enum oracle_figure figure);
const char *oracle_figure_unit(enum oracle_figure figure);

#endif
