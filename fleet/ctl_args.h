/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FLEET_CTL_ARGS_H
#define FLEET_CTL_ARGS_H

#include "base/err.h"

#include <stdint.h>
#include <stdio.h>

/* A command line, read by the command's own table of options: `--name VALUE`, `--name=VALUE`,
 * `--name` for a flag, "--" before arguments that look like options. */
struct ctl_option {
    const char *name;  /* "--device"; NULL ends a table */
    const char *alias; /* "-o", or NULL */
    const char *value; /* the value's word in the help; NULL: a flag */
    const char *help;
    bool repeats; /* may be given more than once */
    bool required;
};

enum { CTL_OPTIONS_MAX = 512, CTL_ARGUMENTS_MAX = 512 };
struct ctl_args {
    struct {
        const struct ctl_option *option;
        const char *value; /* NULL for a flag */
    } given[CTL_OPTIONS_MAX];
    size_t given_count;
    const char *arguments[CTL_ARGUMENTS_MAX];
    size_t argument_count;
};

/* ERR_INVALID says which word is wrong and what was expected. Looks into `own`, then `common`. */
bool ctl_args_read(struct ctl_args *args, const struct ctl_option *own,
                   const struct ctl_option *common, char *const *words, size_t word_count,
                   struct err *err) MUSTER_CHECK;
/* The option's value, or `fallback` when it was not given. A flag that was given has "". */
const char *ctl_arg(const struct ctl_args *args, const char *name, const char *fallback);
/* The next value of an option that repeats; `*at` begins as 0. NULL: no more. */
const char *ctl_arg_next(const struct ctl_args *args, const char *name, size_t *at);
bool ctl_arg_number(const struct ctl_args *args, const char *name, int64_t fallback, int64_t min,
                    int64_t max, int64_t *ret_value, struct err *err) MUSTER_CHECK;
/* "250ms" "5s" "15m" "24h" "7d" to milliseconds, more than 0. */
bool ctl_duration(const char *text, int64_t *ret_ms, struct err *err) MUSTER_CHECK;
/* "2026-11-23T14:05Z", "2026-11-23T14:05:30+08:00"; `option` is for the error. */
bool ctl_moment(const char *option, const char *text, int64_t *ret_ms,
                struct err *err) MUSTER_CHECK;
/* Lines for each option of the table. */
void ctl_args_help(const struct ctl_option *table, FILE *out);

#endif
