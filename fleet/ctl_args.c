/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/ctl_args.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* `word` up to `length` is the option's name or its alias. */
static const struct ctl_option *find(const struct ctl_option *table, const char *word,
                                     size_t length)
{
    for (; table != NULL && table->name != NULL; table++) {
        if (strlen(table->name) == length && strncmp(table->name, word, length) == 0)
            return table;
        if (table->alias != NULL && strlen(table->alias) == length &&
            strncmp(table->alias, word, length) == 0)
            return table;
    }
    return NULL;
}

static bool add_option(struct ctl_args *args, const struct ctl_option *option, const char *value,
                       struct err *err)
{
    if (!option->repeats && ctl_arg(args, option->name, NULL) != NULL)
        return err_set(err, ERR_INVALID, "%s is given twice", option->name);
    if (args->given_count == CTL_OPTIONS_MAX)
        return err_set(err, ERR_INVALID, "more than %d options", CTL_OPTIONS_MAX);
    args->given[args->given_count].option = option;
    args->given[args->given_count++].value = value;
    return true;
}

static bool add_argument(struct ctl_args *args, const char *word, struct err *err)
{
    if (args->argument_count == CTL_ARGUMENTS_MAX)
        return err_set(err, ERR_INVALID, "%s: too many arguments", word);
    args->arguments[args->argument_count++] = word;
    return true;
}

/* Reads the option at words[*at], and the word after it where that is its value. */
static bool read_option(struct ctl_args *args, const struct ctl_option *own,
                        const struct ctl_option *common, char *const *words, size_t word_count,
                        size_t *at, struct err *err)
{
    const char *word = words[*at];
    const char *equals = strchr(word, '=');
    size_t length = equals == NULL ? strlen(word) : (size_t)(equals - word);
    const struct ctl_option *option = find(own, word, length);
    if (option == NULL)
        option = find(common, word, length);
    if (option == NULL)
        return err_set(err, ERR_INVALID, "%s is not an option here", word);
    if (option->value == NULL && equals != NULL)
        return err_set(err, ERR_INVALID, "%s takes no value", option->name);
    if (option->value == NULL)
        return add_option(args, option, "", err);
    if (equals == NULL && ++*at == word_count)
        return err_set(err, ERR_INVALID, "%s needs a value: %s", option->name, option->value);
    return add_option(args, option, equals == NULL ? words[*at] : equals + 1, err);
}

static bool check_required(const struct ctl_args *args, const struct ctl_option *own,
                           struct err *err)
{
    for (; own != NULL && own->name != NULL; own++)
        if (own->required && ctl_arg(args, own->name, NULL) == NULL)
            return err_set(err, ERR_INVALID, "%s %s is missing", own->name, own->value);
    return true;
}

bool ctl_args_read(struct ctl_args *args, const struct ctl_option *own,
                   const struct ctl_option *common, char *const *words, size_t word_count,
                   struct err *err)
{
    bool options = true;
    args->given_count = args->argument_count = 0;
    for (size_t at = 0; at < word_count; at++) {
        if (options && strcmp(words[at], "--") == 0)
            options = false;
        else if (options && words[at][0] == '-' && words[at][1] != '\0') {
            if (!read_option(args, own, common, words, word_count, &at, err))
                return false;
        } else if (!add_argument(args, words[at], err))
            return false;
    }
    return ctl_arg(args, "--help", NULL) != NULL || check_required(args, own, err);
}

const char *ctl_arg_next(const struct ctl_args *args, const char *name, size_t *at)
{
    while (*at < args->given_count) {
        size_t i = (*at)++;
        if (strcmp(args->given[i].option->name, name) == 0)
            return args->given[i].value;
    }
    return NULL;
}

const char *ctl_arg(const struct ctl_args *args, const char *name, const char *fallback)
{
    size_t at = 0;
    const char *value = ctl_arg_next(args, name, &at);
    return value == NULL ? fallback : value;
}

bool ctl_arg_number(const struct ctl_args *args, const char *name, int64_t fallback, int64_t min,
                    int64_t max, int64_t *ret_value, struct err *err)
{
    const char *text = ctl_arg(args, name, NULL);
    if (text == NULL) {
        *ret_value = fallback;
        return true;
    }
    char *end;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || value < min || value > max)
        return err_set(err, ERR_INVALID,
                       "%s %.40s: expected a whole number from %" PRId64 " to %" PRId64, name, text,
                       min, max);
    *ret_value = value;
    return true;
}

bool ctl_duration(const char *text, int64_t *ret_ms, struct err *err)
{
    static const struct {
        const char *unit;
        int64_t ms;
    } units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}};
    char *end;
    errno = 0;
    long long count = strtoll(text, &end, 10);
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        if (strcmp(end, units[i].unit) != 0)
            continue;
        if (errno != 0 || count <= 0 || count > INT64_MAX / units[i].ms)
            break;
        *ret_ms = count * units[i].ms;
        return true;
    }
    return err_set(err, ERR_INVALID, "%.40s is not a duration: expected like 90s, 15m, 1h or 7d",
                   text);
}

bool ctl_moment(const char *option, const char *text, int64_t *ret_ms, struct err *err)
{
    struct tm tm = {0};
    const char *rest = strptime(text, "%Y-%m-%dT%H:%M", &tm);
    if (rest != NULL && *rest == ':')
        rest = strptime(rest, ":%S", &tm);
    if (rest != NULL && (*rest == 'Z' || *rest == '+' || *rest == '-'))
        rest = strptime(rest, "%z", &tm);
    else
        rest = NULL;
    if (rest == NULL || *rest != '\0')
        return err_set(err, ERR_INVALID,
                       "%s %.40s: expected a moment with its offset from UTC, such as"
                       " 2026-11-23T14:05+08:00",
                       option, text);
    const long offset_s = tm.tm_gmtoff;
    *ret_ms = ((int64_t)timegm(&tm) - offset_s) * 1000;
    return true;
}

void ctl_args_help(const struct ctl_option *table, FILE *out)
{
    for (; table->name != NULL; table++) {
        char left[64];
        (void)snprintf(left, sizeof left, "%s%s%s%s%s", table->alias == NULL ? "" : table->alias,
                       table->alias == NULL ? "" : ", ", table->name,
                       table->value == NULL ? "" : " ", table->value == NULL ? "" : table->value);
        fprintf(out, "  %-34s %s%s%s\n", left, table->help, table->required ? " (required)" : "",
                table->repeats ? " (may be repeated)" : "");
    }
}
