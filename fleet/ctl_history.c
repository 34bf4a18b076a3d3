/* SPDX-License-Identifier: Apache-2.0 */
/* What was done with devices and logical terminals, and what of it is still to be told. */
#include "fleet/ctl_place.h"
#include "fleet/ctl_table.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>

static void add_span(struct ctl_table *table, const json_t *row)
{
    char text[CTL_TEXT_BYTES];
    const int64_t to_ms = ctl_number(row, "to_ms");
    clock_format(ctl_number(row, "from_ms"), text);
    ctl_table_text(table, text);
    clock_format(to_ms, text);
    ctl_table_moment(table, to_ms == 0 ? "now" : text, to_ms);
}

static bool print_standings(struct ctl *ctl, const json_t *history)
{
    size_t i;
    json_t *row;
    struct ctl_table *table = ctl_table_new("FROM|TO|STATE|MERCHANT|STORE|REGION|WHY|WHO");
    json_array_foreach(json_object_get(history, "standings"), i, row)
    {
        static const char *const texts[] = {"state", "merchant", "store", "region", "why", "who"};
        add_span(table, row);
        for (size_t t = 0; t < sizeof texts / sizeof *texts; t++)
            ctl_table_text(table, ctl_text(row, texts[t]));
    }
    return ctl_print_table(ctl, table, "It never stood anywhere.");
}

static bool print_carried(struct ctl *ctl, const json_t *list, bool of_a_terminal)
{
    size_t i;
    json_t *row;
    struct ctl_table *table = ctl_table_new(of_a_terminal ? "FROM|TO|DEVICE|>TERMINAL|ACQUIRER|MID"
                                                          : "FROM|TO|>TERMINAL|ACQUIRER|TID|MID");
    json_array_foreach(list, i, row)
    {
        add_span(table, row);
        if (of_a_terminal)
            ctl_table_text(table, ctl_text(row, "device"));
        ctl_table_count(table, ctl_number(row, "index"));
        ctl_table_text(table, ctl_text(row, "acquirer"));
        if (!of_a_terminal)
            ctl_table_text(table, ctl_text(row, "tid"));
        ctl_table_text(table, ctl_text(row, "mid"));
    }
    return ctl_print_table(ctl, table, "It never carried a logical terminal.");
}

/* ---- device history ---- */

static int device_history(struct ctl *ctl, const struct ctl_args *args, struct err *err)
{
    char path[96];
    json_t *history;
    if (!ctl_device_id(args->arguments[0], err))
        return EXIT_USAGE;
    (void)snprintf(path, sizeof path, "/api/v1/devices/%s/history", args->arguments[0]);
    if (!client_get(ctl->client, path, &history, err))
        return exit_code_of(err);
    int code = EXIT_OK;
    if (ctl->json) {
        code = ctl_print_json(ctl, history, err);
    } else {
        bool ok = print_standings(ctl, history);
        fputc('\n', ctl->out);
        ok = print_carried(ctl, json_object_get(history, "terminals"), false) && ok;
        ok = ctl_print_duties(ctl, json_object_get(history, "duties"),
                              "What acquirers were to be told:") &&
             ok;
        code = ok ? EXIT_OK : EXIT_SYSTEM;
    }
    json_decref(history);
    return code;
}

const struct ctl_command ctl_device_history = {
    .words = "device history",
    .arguments = "DEVICE",
    .summary = "Where a device stood, what it was and what it carried, from when to when.",
    .argument_count = 1,
    .has_csv = true,
    .run = device_history,
};

/* ---- describe terminal ---- */

static bool print_carriers(struct ctl *ctl, const json_t *reply)
{
    return print_carried(ctl, json_object_get(reply, "carriers"), true);
}

static int describe_terminal(struct ctl *ctl, const struct ctl_args *args, struct err *err)
{
    char path[160];
    char *escaped = curl_easy_escape(NULL, args->arguments[0], 0);
    int n = snprintf(path, sizeof path, "/api/v1/terminals/%s", escaped != NULL ? escaped : "");
    curl_free(escaped);
    if (n >= (int)sizeof path || args->arguments[0][0] == '\0') {
        err_set(err, ERR_INVALID, "\"%.40s\" is not a TID", args->arguments[0]);
        return EXIT_USAGE;
    }
    return ctl_show(ctl, path, print_carriers, err);
}

const struct ctl_command ctl_describe_terminal = {
    .words = "describe terminal",
    .arguments = "TID",
    .summary = "Which devices carried a logical terminal, from when to when.",
    .argument_count = 1,
    .has_csv = true,
    .run = describe_terminal,
};

/* ---- get duties, duty done ---- */

static bool print_duties(struct ctl *ctl, const json_t *reply)
{
    const json_t *duties = json_object_get(reply, "duties");
    if (json_array_size(duties) > 0 || ctl->csv != NULL)
        return ctl_print_duties(ctl, duties, "What acquirers are to be told:");
    fputs("Acquirers have been told everything.\n", ctl->out);
    return true;
}

static int get_duties(struct ctl *ctl, const struct ctl_args *args, struct err *err)
{
    char path[96];
    const char *device = ctl_arg(args, "--device", NULL);
    if (device != NULL && !ctl_device_id(device, err))
        return EXIT_USAGE;
    (void)snprintf(path, sizeof path, "/api/v1/duties?all=%d%s%s",
                   ctl_arg(args, "--all", NULL) != NULL, device != NULL ? "&device=" : "",
                   device != NULL ? device : "");
    return ctl_show(ctl, path, print_duties, err);
}

static const struct ctl_option duties_options[] = {
    {.name = "--device", .value = "ID", .help = "only of this device"},
    {.name = "--all", .help = "those that are done too"},
    {0},
};

const struct ctl_command ctl_get_duties = {
    .words = "get duties",
    .arguments = "",
    .summary = "List what acquirers are to be told: serial numbers bound, released, moved.",
    .options = duties_options,
    .has_csv = true,
    .run = get_duties,
};

static bool read_numbers(const struct ctl_args *args, json_t *list, struct err *err)
{
    for (size_t i = 0; i < args->argument_count; i++) {
        char *end = NULL;
        long long number = strtoll(args->arguments[i], &end, 10);
        if (*end != '\0' || number <= 0)
            return err_set(err, ERR_INVALID, "\"%.40s\" is not a duty's number; see get duties",
                           args->arguments[i]);
        json_array_append_new(list, json_integer(number));
    }
    return true;
}

/* A note is the change's why, and told by the name that was given here. */
static void name_note(struct err *err)
{
    const struct err why = *err;
    if (strncmp(why.text, "why: ", 5) == 0)
        (void)err_set(err, why.code, "--note: %s", why.text + 5);
}

static int duty_done(struct ctl *ctl, const struct ctl_args *args, struct err *err)
{
    json_t *reply = NULL, *list = json_array();
    json_t *request = json_pack("{s:o, s:s}", "done", list, "why", ctl_arg(args, "--note", ""));
    int code = EXIT_USAGE;
    if (request == NULL)
        err_set(err, ERR_INVALID, "--note: not UTF-8");
    else if (read_numbers(args, list, err))
        code = client_post(ctl->client, "/api/v1/duties", request, &reply, err) ? EXIT_OK
                                                                                : exit_code_of(err);
    name_note(err);
    if (code == EXIT_OK && ctl->json)
        code = ctl_print_json(ctl, reply, err);
    else if (code == EXIT_OK)
        fprintf(ctl->out, "Done: %zu.\n", args->argument_count);
    json_decref(request);
    json_decref(reply);
    return code;
}

static const struct ctl_option done_options[] = {
    {.name = "--note", .value = "TEXT", .help = "whom you told, or the acquirer's reference"},
    {0},
};

const struct ctl_command ctl_duty_done = {
    .words = "duty done",
    .arguments = "NUMBER...",
    .summary = "Say that acquirers have been told.",
    .options = done_options,
    .argument_count = 1,
    .optional_count = CTL_ARGUMENTS_MAX,
    .run = duty_done,
};
