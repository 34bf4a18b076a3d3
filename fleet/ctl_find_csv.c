/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/ctl_find_csv.h"

#include "fleet/ctl_table.h"

static void add_texts(struct ctl_table *table, const json_t *result, const char *const *names)
{
    for (; *names != NULL; names++)
        ctl_table_text(table, ctl_text(result, *names));
}

static void add_bound(struct ctl_table *table, const json_t *result)
{
    if (ctl_number(result, "bound_ms") < 0)
        ctl_table_text(table, "");
    else
        ctl_table_count(table, ctl_number(result, "bound_ms"));
}

void ctl_add_stan(struct ctl_table *table, const json_t *result)
{
    if (ctl_number(result, "stan") == 0)
        ctl_table_text(table, "-");
    else
        ctl_table_format(table, "%06d", (int)ctl_number(result, "stan"));
}

static void add_result(struct ctl_table *table, const json_t *result)
{
    static const char *const places[] = {"device",     "serial", "merchant", "store",
                                         "store_name", "tid",    "type",     NULL},
                             *const codes[] = {"code", "code_source", "code_meaning",
                                               "rrn",  "auth_code",   NULL};
    ctl_table_moment(table, "", ctl_number(result, "at_ms"));
    add_bound(table, result);
    add_texts(table, result, places);
    ctl_table_count(table, ctl_number(result, "amount_minor"));
    ctl_table_format(table, "%03d", (int)ctl_number(result, "currency"));
    ctl_table_text(table, ctl_text(result, "outcome"));
    ctl_table_text(table, json_is_true(json_object_get(result, "reversal_pending")) ? "yes" : "no");
    add_texts(table, result, codes);
    ctl_add_stan(table, result);
}

bool ctl_find_csv(struct ctl *ctl, const json_t *reply)
{
    size_t i;
    json_t *result;
    struct ctl_table *table =
        ctl_table_new("AT|BOUND (MS)|DEVICE|SERIAL|MERCHANT|STORE|STORE NAME|TID|TYPE|"
                      "AMOUNT (MINOR UNITS)|CURRENCY|OUTCOME|REVERSAL PENDING|CODE|CODE SOURCE|"
                      "CODE MEANING|RRN|AUTH|STAN");
    json_array_foreach(json_object_get(reply, "results"), i, result) add_result(table, result);
    return ctl_print_table(ctl, table, "");
}
