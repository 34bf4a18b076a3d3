/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/ctl.h"

#include "fleet/ctl_table.h"

#include <inttypes.h>
#include <string.h>

static bool check_by(const char *by, struct err *err)
{
    static const char *const known[] = {"code", "device", "outcome", "issuer", "entry", "acquirer"};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(by, known[i]) == 0)
            return true;
    return err_set(err, ERR_INVALID,
                   "--by %.40s: expected code, device, outcome, issuer, entry or acquirer", by);
}

static void add_row(struct ctl_table *table, const json_t *row)
{
    const char *key = ctl_text(row, "key");
    ctl_table_text(table, key[0] == '\0' ? "(none)" : key);
    ctl_table_count(table, ctl_number(row, "count"));
    ctl_table_format(table, "%.2f %%", 100 * json_number_value(json_object_get(row, "share")));
    ctl_table_count(table, ctl_number(row, "declined"));
    ctl_table_count(table, ctl_number(row, "amount_minor"));
}

static int print_errors(struct ctl *ctl, const json_t *reply, struct err *err)
{
    char total[CTL_TEXT_BYTES], others[CTL_TEXT_BYTES], since[CTL_TEXT_BYTES], headings[96];
    size_t i;
    json_t *row;
    if (ctl->json)
        return ctl_print_json(ctl, reply, err);
    ctl_count_text(ctl_number(reply, "total"), total);
    ctl_count_text(ctl_number(reply, "not_in_service"), others);
    clock_format(ctl_number(reply, "since_ms"), since);
    fprintf(ctl->out, "%s results since %s; left out: %s of devices not in service.\n", total,
            since, others);
    if (ctl_number(reply, "unsure") > 0) {
        ctl_count_text(ctl_number(reply, "unsure"), others);
        fprintf(ctl->out, "Of %s nobody knows whether they are so new: %s\n", others,
                "their terminals' clocks have not been compared with the fleet's.");
    }
    fputc('\n', ctl->out);
    (void)snprintf(headings, sizeof headings, "%s|>RESULTS|>SHARE|>DECLINED|>AMOUNT (MINOR UNITS)",
                   ctl_text(reply, "by"));
    struct ctl_table *table = ctl_table_new(headings);
    json_array_foreach(json_object_get(reply, "rows"), i, row) add_row(table, row);
    return ctl_table_print(table, ctl->out, "No results.") ? EXIT_OK : EXIT_SYSTEM;
}

static int errors(struct ctl *ctl, const struct ctl_args *args, struct err *err)
{
    const char *by = ctl_arg(args, "--by", "code"), *device = ctl_arg(args, "--device", NULL);
    int64_t since_ms;
    char path[256];
    json_t *reply;
    if (!check_by(by, err) || !ctl_duration(ctl_arg(args, "--since", "1h"), &since_ms, err) ||
        (device != NULL && !ctl_device_id(device, err)))
        return EXIT_USAGE;
    int64_t from_ms = clock_wall_ms(ctl->clock) - since_ms;
    (void)snprintf(path, sizeof path, "/api/v1/errors?by=%s&since_ms=%" PRId64 "%s%s", by,
                   from_ms > 0 ? from_ms : 0,
                   device == NULL ? "" : "&device=", device == NULL ? "" : device);
    if (!client_get(ctl->client, path, &reply, err))
        return exit_code_of(err);
    int code = print_errors(ctl, reply, err);
    json_decref(reply);
    return code;
}

static const struct ctl_option options[] = {
    {.name = "--by",
     .value = "WHAT",
     .help = "code, device, outcome, issuer, entry or acquirer [code]"},
    {.name = "--since", .value = "DURATION", .help = "how far back: 15m, 1h, 7d [1h]"},
    {.name = "--device", .value = "ID", .help = "only this device"},
    {0},
};

const struct ctl_command ctl_errors = {
    .words = "errors",
    .arguments = "",
    .summary = "Count results by code, device, outcome, issuer, entry mode or acquirer.",
    .options = options,
    .run = errors,
};
