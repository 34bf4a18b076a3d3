/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/ctl.h"
#include "fleet/ctl_table.h"

#include <inttypes.h>
#include <string.h>

static const char *or_dash(const char *text)
{
    return text[0] != '\0' ? text : "-";
}

/* ---- of the fleet ---- */

static bool print_counts(struct ctl *ctl, const json_t *reply, int64_t now_ms)
{
    static const char *const states[] = {"online", "closed", "missing", "offline", "unknown"};
    char ago[CTL_TEXT_BYTES];
    struct ctl_table *table = ctl_table_new("PRESENCE|>DEVICES");
    ctl_table_text(table, "in service");
    ctl_table_count(table, ctl_number(reply, "in_service"));
    for (size_t i = 0; i < sizeof states / sizeof *states; i++) {
        ctl_table_text(table, states[i]);
        ctl_table_count(table, ctl_number(reply, states[i]));
    }
    ctl_table_text(table, "not in service");
    ctl_table_count(table, ctl_number(reply, "not_in_service"));
    bool done = ctl_print_table(ctl, table, "");
    ctl_ago_text(ctl_number(reply, "line_ms"), now_ms, ago);
    if (!json_is_true(json_object_get(reply, "line")))
        fprintf(ctl->out,
                "musterd has had no line to the broker since %s: this is how things were.\n", ago);
    else if (!json_is_true(json_object_get(reply, "judging")))
        fprintf(ctl->out,
                "musterd has had a line since %s: terminals have time to come back, and nobody is "
                "judged yet.\n",
                ago);
    fputc('\n', ctl->out);
    return done;
}

static bool print_devices(struct ctl *ctl, const json_t *reply, int64_t now_ms)
{
    size_t i;
    json_t *device;
    char nothing[64];
    struct ctl_table *table =
        ctl_table_new("DEVICE|PRESENCE|SINCE|BY|LAST SEEN|MERCHANT|STORE|REGION|MODEL");
    json_array_foreach(json_object_get(reply, "devices"), i, device)
    {
        ctl_table_text(table, ctl_text(device, "id"));
        ctl_table_text(table, ctl_text(device, "presence"));
        ctl_table_ago(table, ctl_number(device, "since_ms"), now_ms);
        ctl_table_text(table, or_dash(ctl_text(device, "evidence")));
        ctl_table_ago(table, ctl_number(device, "last_seen_ms"), now_ms);
        ctl_table_text(table, or_dash(ctl_text(device, "merchant")));
        ctl_table_text(table, or_dash(ctl_text(device, "store")));
        ctl_table_text(table, or_dash(ctl_text(device, "region")));
        ctl_table_text(table, ctl_text(device, "model"));
    }
    (void)snprintf(nothing, sizeof nothing, "None is %s.", ctl_text(reply, "of"));
    if (!ctl_print_table(ctl, table, nothing))
        return false;
    int64_t more = ctl_number(reply, ctl_text(reply, "of")) - (int64_t)i;
    if (more > 0)
        fprintf(ctl_aside(ctl), "And %" PRId64 " more: --limit.\n", more);
    return true;
}

/* CSV has one table: the devices. */
static bool print_fleet(struct ctl *ctl, const json_t *reply)
{
    int64_t now_ms = clock_wall_ms(ctl->clock);
    return (ctl->csv != NULL || print_counts(ctl, reply, now_ms)) &&
           print_devices(ctl, reply, now_ms);
}

/* ---- of one device ---- */

static void add_span(struct ctl_table *table, int64_t span_ms)
{
    char text[CTL_TEXT_BYTES];
    ctl_span_text(span_ms, text);
    ctl_table_text(table, text);
}

static bool print_share(struct ctl *ctl, const json_t *reply, int64_t now_ms)
{
    const json_t *share = json_object_get(reply, "availability");
    struct ctl_table *table = ctl_table_new("DEVICE|");
    ctl_table_text(table, "id");
    ctl_table_text(table, ctl_text(reply, "id"));
    ctl_table_text(table, "presence");
    ctl_table_text(table, ctl_text(reply, "presence"));
    ctl_table_text(table, "since");
    ctl_table_ago(table, ctl_number(reply, "since_ms"), now_ms);
    ctl_table_text(table, "known by");
    ctl_table_text(table, or_dash(ctl_text(reply, "evidence")));
    ctl_table_text(table, "last seen");
    ctl_table_ago(table, ctl_number(reply, "last_seen_ms"), now_ms);
    ctl_table_text(table, "looked at since");
    ctl_table_ago(table, ctl_number(reply, "from_ms"), now_ms);
    ctl_table_text(table, "in service, store open");
    add_span(table, ctl_number(reply, "open_ms"));
    ctl_table_text(table, "of it away");
    add_span(table, ctl_number(reply, "away_ms"));
    ctl_table_text(table, "of it musterd had no line");
    add_span(table, ctl_number(reply, "unheard_ms"));
    ctl_table_text(table, "there");
    if (json_is_number(share))
        ctl_table_format(table, "%.2f %%", 100 * json_number_value(share));
    else
        ctl_table_text(table, "not known");
    return ctl_print_table(ctl, table, "");
}

static bool print_absences(struct ctl *ctl, const json_t *reply, int64_t now_ms)
{
    size_t i;
    json_t *absence;
    struct ctl_table *table = ctl_table_new("AWAY FROM|TO|FOR|BY|MISSED");
    json_array_foreach(json_object_get(reply, "absences"), i, absence)
    {
        int64_t from_ms = ctl_number(absence, "from_ms"), to_ms = ctl_number(absence, "to_ms");
        ctl_table_ago(table, from_ms, now_ms);
        if (to_ms == ctl_number(reply, "to_ms"))
            ctl_table_text(table, "still");
        else
            ctl_table_ago(table, to_ms, now_ms);
        add_span(table, to_ms - from_ms);
        ctl_table_text(table, ctl_text(absence, "evidence"));
        ctl_table_text(table, ctl_number(absence, "missing_ms") != 0 ? "yes" : "no");
    }
    return ctl_print_table(ctl, table, "It was not away.");
}

/* CSV has one table: the absences. */
static bool print_device(struct ctl *ctl, const json_t *reply)
{
    int64_t now_ms = clock_wall_ms(ctl->clock);
    if (ctl->csv == NULL) {
        if (!print_share(ctl, reply, now_ms))
            return false;
        fputc('\n', ctl->out);
    }
    return print_absences(ctl, reply, now_ms);
}

/* ---- the command ---- */

static bool make_path(const struct ctl_args *args, const char *device, char *path, size_t size,
                      struct err *err)
{
    int64_t limit = 0, days = 0;
    const char *state = ctl_arg(args, "--state", "missing");
    const char *misplaced = device == NULL                           ? "--days"
                            : ctl_arg(args, "--state", NULL) != NULL ? "--state"
                                                                     : "--limit";
    if (ctl_arg(args, misplaced, NULL) != NULL)
        return err_set(err, ERR_INVALID, "%s: it is of %s", misplaced,
                       device == NULL ? "one device, and none is named"
                                      : "the list of devices, and one is named");
    if (!ctl_arg_number(args, "--limit", 100, 1, 10000, &limit, err) ||
        !ctl_arg_number(args, "--days", 7, 1, 400, &days, err) ||
        (device != NULL && !ctl_device_id(device, err)))
        return false;
    if (strspn(state, "abcdefghijklmnopqrstuvwxyz") != strlen(state) || strlen(state) > 16)
        return err_set(err, ERR_INVALID,
                       "--state %.40s: expected missing, unknown, offline, closed or online",
                       state);
    if (device != NULL)
        (void)snprintf(path, size, "/api/v1/devices/%s/presence?days=%" PRId64, device, days);
    else
        (void)snprintf(path, size, "/api/v1/presence?state=%s&limit=%" PRId64, state, limit);
    return true;
}

static int show_presence(struct ctl *ctl, const struct ctl_args *args, struct err *err)
{
    char path[160];
    const char *device = args->argument_count > 0 ? args->arguments[0] : NULL;
    if (!make_path(args, device, path, sizeof path, err))
        return EXIT_USAGE;
    return ctl_show(ctl, path, device != NULL ? print_device : print_fleet, err);
}

static const struct ctl_option options[] = {
    {.name = "--state",
     .value = "STATE",
     .help = "list missing [so it is], unknown, offline, closed or online"},
    {.name = "--limit", .value = "N", .help = "list so many at the most [100]"},
    {.name = "--days", .value = "N", .help = "of a device: look back so far [7]"},
    {0},
};

const struct ctl_command ctl_presence = {
    .words = "presence",
    .arguments = "[DEVICE]",
    .summary = "Tell who of the devices in service is there, or when one was away.",
    .notes =
        "  missing: away in the hours of its store, the longest first. closed: away while its "
        "store\n"
        "  is closed. offline: away, and not for long enough to be missed. unknown: never heard, "
        "or\n"
        "  not since musterd has a line to the broker again. BY: a will or a goodbye of its "
        "session,\n"
        "  silence of twice the time it told, or broker: it did not come back when the others did.",
    .options = options,
    .optional_count = 1,
    .has_csv = true,
    .run = show_presence,
};
