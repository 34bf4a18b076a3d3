/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/oracle/oracle_internal.h"

#include <stdio.h>
#include <string.h>

enum { SHOWN = 5 }; /* findings of one kind */

static const struct {
    const char *name, *unit;
    bool violation;
} figures[ORACLE_FIGURES] = {
#define ORACLE_FIGURE(name, unit, violation) {#name, #unit, violation},
#include "tests/oracle/figures.def"
#undef ORACLE_FIGURE
};

const char *oracle_figure_name(enum oracle_figure figure)
{
    return figures[figure].name;
}

const char *oracle_figure_unit(enum oracle_figure figure)
{
    return figures[figure].unit;
}

static void note(struct oracle_report *report, enum oracle_figure figure, const char *text)
{
    size_t used = strlen(report->findings);
    (void)snprintf(report->findings + used, sizeof report->findings - used, "%s: %s\n",
                   figures[figure].name, text);
}

static bool ask(struct oracle *oracle, enum oracle_figure figure, struct oracle_report *report,
                struct err *err)
{
    char sql[64];
    sqlite3_stmt *question = NULL;
    (void)snprintf(sql, sizeof sql, "SELECT * FROM judge_%s", figures[figure].name);
    if (!oracle_prepare(oracle, sql, &question, err))
        return false;
    int code;
    while ((code = sqlite3_step(question)) == SQLITE_ROW) {
        if (!figures[figure].violation) {
            report->figures[figure] = (uint64_t)sqlite3_column_int64(question, 0);
            continue;
        }
        if (report->figures[figure]++ < SHOWN)
            note(report, figure, (const char *)sqlite3_column_text(question, 0));
        report->violations++;
    }
    bool ok = code == SQLITE_DONE || oracle_sql_fail(oracle, figures[figure].name, err);
    (void)sqlite3_finalize(question);
    return ok;
}

bool oracle_judge(struct oracle *oracle, struct oracle_report *report, struct err *err)
{
    for (enum oracle_figure figure = 0; figure < ORACLE_FIGURES; figure++) {
        if (!ask(oracle, figure, report, err))
            return false;
    }
    return true;
}
