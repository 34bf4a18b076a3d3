/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/ctl.h"

#include "fleet/ctl_table.h"

#include <inttypes.h>

#define SUMS ">SUBMITTED|>COMMITTED|>BUFFERED|>LOST|>UNKNOWN|>UNACCOUNTED|>CONFLICTS"

static void add_sums(struct ctl_table *table, const json_t *account)
{
    static const char *const names[] = {"submitted", "committed",   "buffered", "lost",
                                        "unknown",   "unaccounted", "conflicts"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        ctl_table_count(table, ctl_number(account, names[i]));
}

static bool print_devices(struct ctl *ctl, const json_t *reply)
{
    size_t i;
    json_t *device;
    struct ctl_table *table = ctl_table_new("DEVICE|" SUMS);
    json_array_foreach(json_object_get(reply, "devices"), i, device)
    {
        ctl_table_text(table, ctl_text(device, "id"));
        add_sums(table, device);
    }
    ctl_table_text(table, "total");
    add_sums(table, json_object_get(reply, "total"));
    return ctl_print_table(ctl, table, "");
}

static bool print_lanes(struct ctl *ctl, const json_t *device)
{
    size_t i;
    json_t *lane;
    struct ctl_table *table = ctl_table_new("LANE|" SUMS);
    json_array_foreach(json_object_get(device, "lanes"), i, lane)
    {
        ctl_table_text(table, ctl_text(lane, "lane"));
        add_sums(table, lane);
    }
    ctl_table_text(table, "total");
    add_sums(table, device);
    return ctl_print_table(ctl, table, "");
}

static bool print_reasons(struct ctl *ctl, const json_t *account)
{
    const char *reason;
    json_t *records;
    json_t *reasons = json_object_get(account, "lost_by_reason");
    struct ctl_table *table = ctl_table_new("DECLARED LOST|>RECORDS");
    json_object_foreach(reasons, reason, records)
    {
        if (json_integer_value(records) == 0)
            continue;
        ctl_table_text(table, reason);
        ctl_table_count(table, json_integer_value(records));
    }
    return ctl_print_table(ctl, table, "Nothing is declared lost.");
}

static bool print_streams(struct ctl *ctl, const json_t *device)
{
    size_t i;
    json_t *stream;
    struct ctl_table *table =
        ctl_table_new("OPEN STREAM|LANE|>GIVEN|>SETTLED UP TO|>RANGES BEYOND|>LOST|>BUFFERED"
                      "|>UNACCOUNTED");
    json_array_foreach(json_object_get(device, "streams"), i, stream)
    {
        static const char *const numbers[] = {"last_seq", "cumulative", "ranges",
                                              "lost",     "buffered",   "unaccounted"};
        ctl_table_text(table, ctl_text(stream, "incarnation"));
        ctl_table_text(table, ctl_text(stream, "lane"));
        for (size_t n = 0; n < sizeof numbers / sizeof *numbers; n++)
            ctl_table_count(table, ctl_number(stream, numbers[n]));
    }
    return ctl_print_table(ctl, table, "No streams are open.");
}

static bool print_audit(struct ctl *ctl, const json_t *reply, bool one)
{
    const json_t *device = json_array_get(json_object_get(reply, "devices"), 0);
    const int64_t elsewhere = ctl_number(reply, "elsewhere");
    if (elsewhere > 0)
        fprintf(ctl->out,
                "%" PRId64 " came from elsewhere with records of that time: what is counted over "
                "a whole life is told to who sees the whole fleet.\n\n",
                elsewhere);
    if (one && device == NULL)
        return true;
    bool ok = one ? print_lanes(ctl, device) : print_devices(ctl, reply);
    fputc('\n', ctl->out);
    ok = print_reasons(ctl, json_object_get(reply, "total")) && ok;
    if (!one)
        return ok;
    fputc('\n', ctl->out);
    return print_streams(ctl, device) && ok;
}

static int audit(struct ctl *ctl, const struct ctl_args *args, struct err *err)
{
    bool one = args->argument_count > 0;
    char path[96];
    json_t *reply;
    if (one && !ctl_device_id(args->arguments[0], err))
        return EXIT_USAGE;
    (void)snprintf(path, sizeof path, "/api/v1/audit%s%s", one ? "?device=" : "",
                   one ? args->arguments[0] : "");
    if (!client_get(ctl->client, path, &reply, err))
        return exit_code_of(err);
    int64_t unaccounted = ctl_number(json_object_get(reply, "total"), "unaccounted");
    int code = ctl->json                      ? ctl_print_json(ctl, reply, err)
               : print_audit(ctl, reply, one) ? EXIT_OK
                                              : EXIT_SYSTEM;
    json_decref(reply);
    if (code == EXIT_OK && unaccounted > 0) {
        err_set(err, ERR_CONFLICT, "%" PRId64 " records are unaccounted for%s", unaccounted,
                one ? ": what the streams do not show is missing from the tables"
                    : "; `musterctl audit DEVICE` tells in which streams");
        code = EXIT_NO;
    }
    return code;
}

const struct ctl_command ctl_audit = {
    .words = "audit",
    .arguments = "[DEVICE]",
    .summary = "Account for every record; of one device against its rows. Exit code 1: not all.",
    .notes =
        "Records: submitted = committed + buffered + lost + unknown + unaccounted\n"
        "  committed    in the fleet database\n"
        "  buffered     still with the terminal, as it last said\n"
        "  lost         given up by the terminal, which says why: see DECLARED LOST\n"
        "  unknown      given before the terminal's database was destroyed: at most so many\n"
        "  unaccounted  nowhere: a hole that nobody has declared, or a row that is gone\n"
        "Conflicts are contents that were sent under an id that held another; the first one\n"
        "counts. Of a device and lane 1,024 are noted at a time, beyond that each sending is one.",
    .optional_count = 1,
    .has_csv = true,
    .run = audit,
};
