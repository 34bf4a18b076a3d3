/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/ctl.h"
#include "fleet/ctl_table.h"

#include <inttypes.h>

enum { HOUR_MS = 3600 * 1000, DAY_MS = 24 * HOUR_MS, MIB = 1024 * 1024 };

static void add_moment(struct ctl_table *table, int64_t at_ms, const char *never)
{
    char when[32], text[20];
    clock_format(at_ms, when);
    (void)snprintf(text, sizeof text, "%.16sZ", when);
    ctl_table_moment(table, at_ms == 0 ? never : text, at_ms);
}

static void add_kind(struct ctl_table *table, const json_t *kind)
{
    const int64_t age_ms = ctl_number(kind, "age_ms");
    const json_t *rows = json_object_get(kind, "rows");
    char days[24], text[32];
    ctl_table_text(table, ctl_text(kind, "kind"));
    (void)snprintf(days, sizeof days, "%" PRId64, age_ms / DAY_MS);
    (void)snprintf(text, sizeof text, "%s d", days);
    ctl_table_plain(table, age_ms == 0 ? "for ever" : text, age_ms == 0 ? "" : days);
    add_moment(table, ctl_number(kind, "oldest_ms"), "-");
    add_moment(table, ctl_number(kind, "whole_from_ms"), "the beginning");
    if (json_is_integer(rows))
        ctl_table_count(table, json_integer_value(rows));
    else
        ctl_table_text(table, "-");
    ctl_table_count(table, ctl_number(kind, "removed"));
}

/* What to do depends on who is right. */
static void print_doubt(FILE *out, const json_t *reply)
{
    char says[32], expected[32];
    if (ctl_number(reply, "doubted_ms") == 0)
        return;
    clock_format(ctl_number(reply, "doubted_ms"), says);
    clock_format(ctl_number(reply, "expected_ms"), expected);
    fprintf(out,
            "Nothing is removed: musterd's clock says %.16sZ, and about %.16sZ was expected.\n"
            "If it is wrong, set it. If it is right, wait: when it has gone on like that for\n"
            "another %" PRId64 " h, it is believed.\n",
            says, expected, (ctl_number(reply, "left_ms") + HOUR_MS - 1) / HOUR_MS);
}

static void print_end(FILE *out, const json_t *reply)
{
    char next[32];
    const char *trouble = ctl_text(reply, "trouble");
    const int64_t open_ms = ctl_number(reply, "open_age_ms");
    clock_format(ctl_number(reply, "next_ms"), next);
    if (open_ms == 0)
        fputs("Results with an open matter are kept for ever.\n", out);
    else
        fprintf(out, "Results with an open matter are kept for %" PRId64 " d.\n", open_ms / DAY_MS);
    fprintf(out, "The file has %" PRId64 " MiB, of which %" PRId64 " are free.%s\n",
            ctl_number(reply, "file_bytes") / MIB, ctl_number(reply, "free_bytes") / MIB,
            json_is_true(json_object_get(reply, "shrinks"))
                ? ""
                : " It shrinks only after musterd --vacuum.");
    fprintf(out, "musterd %s; the next pass begins at %.19sZ.\n", ctl_text(reply, "phase"), next);
    print_doubt(out, reply);
    if (trouble[0] != '\0')
        fprintf(out, "The last pass had trouble: %s\n", trouble);
}

static int show(struct ctl *ctl, const struct ctl_args *args, struct err *err)
{
    json_t *reply, *kind;
    size_t i;
    (void)args;
    if (!client_get(ctl->client, "/api/v1/retention", &reply, err))
        return exit_code_of(err);
    int code = EXIT_OK;
    if (ctl->json) {
        code = ctl_print_json(ctl, reply, err);
    } else {
        struct ctl_table *table =
            ctl_table_new(ctl->csv != NULL ? "KIND|KEPT (DAYS)|OLDEST|WHOLE SINCE|ROWS|REMOVED"
                                           : "KIND|>KEPT|OLDEST|WHOLE SINCE|>ROWS|>REMOVED");
        json_array_foreach(json_object_get(reply, "kinds"), i, kind) add_kind(table, kind);
        code = ctl_print_table(ctl, table, "") ? EXIT_OK : EXIT_SYSTEM;
        fputc('\n', ctl->out);
        print_end(ctl_aside(ctl), reply);
    }
    json_decref(reply);
    return code;
}

const struct ctl_command ctl_retention = {
    .words = "retention",
    .arguments = "",
    .summary = "Show how long what is kept, since when it is whole, and what was removed.",
    .notes = "How long is set in musterd.conf, [retention]. ROWS is at the most so many; of sums\n"
             "nobody counts them.",
    .has_csv = true,
    .run = show,
};
