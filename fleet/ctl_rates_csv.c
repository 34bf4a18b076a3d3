/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/ctl_rates_csv.h"

#include "fleet/ctl_table.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { CURRENCIES_MAX = 200, HEADING_CHARS = 40 };

struct currencies {
    int64_t numbers[CURRENCIES_MAX];
    size_t count;
};

static int ascending(const void *left, const void *right)
{
    const int64_t *a = left, *b = right;
    return (*a > *b) - (*a < *b);
}

static bool note(struct currencies *currencies, int64_t number, struct err *err)
{
    for (size_t i = 0; i < currencies->count; i++)
        if (currencies->numbers[i] == number)
            return true;
    if (currencies->count == CURRENCIES_MAX)
        return err_set(err, ERR_INVALID,
                       "more than %d currencies do not fit into a table: choose one with "
                       "--currency, or take -o json",
                       CURRENCIES_MAX);
    currencies->numbers[currencies->count++] = number;
    return true;
}

static bool find_currencies(const json_t *rows, struct currencies *currencies, struct err *err)
{
    size_t i, j;
    json_t *row, *amount;
    json_array_foreach(rows, i, row)
    {
        json_array_foreach(json_object_get(row, "amounts"), j, amount)
        {
            if (!note(currencies, ctl_number(amount, "currency"), err))
                return false;
        }
    }
    qsort(currencies->numbers, currencies->count, sizeof *currencies->numbers, ascending);
    return true;
}

void ctl_rates_heading(const json_t *reply, char heading[CTL_TEXT_BYTES])
{
    (void)snprintf(heading, CTL_TEXT_BYTES, "%s", ctl_text(reply, "by"));
    for (char *c = heading; *c != '\0'; c++)
        *c = (char)toupper((unsigned char)*c);
}

static struct ctl_table *new_table(const json_t *reply, bool rates,
                                   const struct currencies *currencies)
{
    char headings[256 + CURRENCIES_MAX * HEADING_CHARS];
    char heading[CTL_TEXT_BYTES];
    ctl_rates_heading(reply, heading);
    int length = snprintf(headings, sizeof headings, "%s|%s", heading,
                          rates ? "RESULTS|ERRORS|RATE (%)|FROM (%)|TO (%)|WEEK AGO (%)|REST (%)"
                                  "|BESIDE IT"
                                : "RESULTS|SHARE (%)|FROM (%)|TO (%)|WEEK AGO (%)|REST (%)"
                                  "|DECLINED");
    for (size_t i = 0; i < currencies->count; i++)
        length += snprintf(headings + length, sizeof headings - (size_t)length,
                           "|AT RISK (MINOR UNITS OF %03" PRId64 ")", currencies->numbers[i]);
    return ctl_table_new(headings);
}

static void add_percent(struct ctl_table *table, const json_t *object, const char *name)
{
    ctl_table_number(table, "%.4f", 100 * json_number_value(json_object_get(object, name)));
}

static void add_share(struct ctl_table *table, const json_t *share)
{
    if (json_is_object(share) && ctl_number(share, "results") > 0)
        add_percent(table, share, "rate");
    else
        ctl_table_text(table, "");
}

static void add_amounts(struct ctl_table *table, const json_t *amounts,
                        const struct currencies *currencies)
{
    for (size_t i = 0; i < currencies->count; i++) {
        size_t j;
        json_t *amount;
        int64_t minor = 0;
        json_array_foreach(amounts, j, amount)
        {
            if (ctl_number(amount, "currency") == currencies->numbers[i])
                minor = ctl_number(amount, "amount_minor");
        }
        ctl_table_count(table, minor);
    }
}

static void add_row(struct ctl_table *table, const json_t *row, bool rates,
                    const struct currencies *currencies)
{
    ctl_table_text(table, ctl_text(row, "key"));
    ctl_table_count(table, ctl_number(row, rates ? "results" : "count"));
    if (rates)
        ctl_table_count(table, ctl_number(row, "errors"));
    add_percent(table, row, rates ? "rate" : "share");
    add_percent(table, row, "low");
    add_percent(table, row, "high");
    add_share(table, json_object_get(row, "before"));
    add_share(table, json_object_get(row, "rest"));
    if (rates)
        ctl_table_text(table, ctl_text(row, "verdict"));
    else
        ctl_table_count(table, ctl_number(row, "declined"));
    add_amounts(table, json_object_get(row, "amounts"), currencies);
}

bool ctl_rates_csv(struct ctl *ctl, const json_t *reply, bool rates, struct err *err)
{
    size_t i;
    json_t *row;
    struct currencies currencies = {0};
    const json_t *rows = json_object_get(reply, "rows");
    if (!find_currencies(rows, &currencies, err))
        return false;
    struct ctl_table *table = new_table(reply, rates, &currencies);
    json_array_foreach(rows, i, row) add_row(table, row, rates, &currencies);
    return ctl_print_table(ctl, table, "") ||
           err_set(err, ERR_NO_MEMORY, "no memory for the table");
}
