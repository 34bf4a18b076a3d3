/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/ctl.h"
#include "fleet/ctl_choose.h"
#include "fleet/ctl_table.h"

#include <inttypes.h>

static bool print_changes(struct ctl *ctl, const json_t *reply)
{
    size_t i;
    json_t *change;
    const int64_t now_ms = clock_wall_ms(ctl->clock);
    struct ctl_table *table = ctl_table_new(">CHANGE|WHEN|WHO|WHAT|DEVICE|TEXT");
    json_array_foreach(json_object_get(reply, "changes"), i, change)
    {
        const char *device = ctl_text(change, "device");
        ctl_table_format(table, "%" PRId64, ctl_number(change, "id"));
        ctl_table_ago(table, ctl_number(change, "at_ms"), now_ms);
        ctl_table_text(table, ctl_text(change, "who"));
        ctl_table_text(table, ctl_text(change, "what"));
        ctl_table_text(table, device[0] != '\0' ? device : "-");
        ctl_table_text(table, ctl_text(change, "text"));
    }
    return ctl_print_table(ctl, table, "No changes.");
}

static int show_changes(struct ctl *ctl, const struct ctl_args *args, struct err *err)
{
    char path[4096];
    int64_t limit = 0, before = 0;
    if (!ctl_arg_number(args, "--limit", 50, 1, 1000, &limit, err) ||
        !ctl_arg_number(args, "--before", 0, 1, INT64_MAX, &before, err))
        return EXIT_USAGE;
    (void)snprintf(path, sizeof path, "/api/v1/changes?limit=%" PRId64 "&before=%" PRId64, limit,
                   before);
    if (!ctl_choose_query(args, path, sizeof path, err))
        return EXIT_USAGE;
    return ctl_show_newest(ctl, path, "changes", limit, "--limit, or --before CHANGE",
                           print_changes, err);
}

static const struct ctl_option options[] = {
    CTL_CHOOSE_DEVICES,
    {.name = "--limit", .value = "N", .help = "the newest so many [50]"},
    {.name = "--before", .value = "CHANGE", .help = "only what came before this one"},
    {0},
};

const struct ctl_command ctl_changes = {
    .words = "changes",
    .arguments = "",
    .summary = "List who changed what, newest first.",
    .notes = "WHO is a user of this machine (uid 0), a token (token NAME), or musterd by itself.",
    .options = options,
    .has_csv = true,
    .run = show_changes,
};
