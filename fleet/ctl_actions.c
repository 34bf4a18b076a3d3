/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/ctl_actions.h"

#include "fleet/ctl_choose.h"
#include "fleet/ctl_table.h"
#include "proto/action.h"

#include <stdlib.h>
#include <string.h>

/* ---- action ---- */

static bool read_devices(const struct ctl_args *args, json_t *devices, struct err *err)
{
    for (size_t i = 0; i + 1 < args->argument_count; i++) {
        if (!ctl_device_id(args->arguments[i], err))
            return false;
        json_array_append_new(devices, json_string(args->arguments[i]));
    }
    return true;
}

static bool read_options(const struct ctl_args *args, json_t *request, struct err *err)
{
    const char *note = ctl_arg(args, "--note", NULL), *expires = ctl_arg(args, "--expires", "24h");
    int64_t expires_ms = 0, kilobytes = 0;
    if (strcmp(expires, "never") != 0 && !ctl_duration(expires, &expires_ms, err))
        return err_context(err, "--expires");
    if (!ctl_arg_number(args, "--kilobytes", 0, 1, 1024, &kilobytes, err))
        return false;
    if (note != NULL)
        json_object_set_new(request, "note", json_string(note));
    if (expires_ms > 0)
        json_object_set_new(request, "expires_in_ms", json_integer(expires_ms));
    if (kilobytes > 0)
        json_object_set_new(request, "limit_bytes", json_integer(kilobytes * 1024));
    if (ctl_is_dry_run(args))
        json_object_set_new(request, "dry_run", json_true());
    return true;
}

static int print_orders(struct ctl *ctl, const json_t *reply, struct err *err)
{
    size_t i;
    json_t *action;
    if (ctl->json)
        return ctl_print_json(ctl, reply, err);
    struct ctl_table *table = ctl_table_new("DEVICE|ACTION|>MANIFEST|RESULT");
    json_array_foreach(json_object_get(reply, "actions"), i, action)
    {
        const char *waits_for = ctl_text(action, "waits_for"), *id = ctl_text(action, "id");
        ctl_table_text(table, ctl_text(action, "device"));
        ctl_table_text(table, id[0] != '\0' ? id : "-");
        ctl_table_count(table, ctl_number(action, "manifest_version"));
        if (waits_for[0] == '\0')
            ctl_table_text(table, "ordered");
        else
            ctl_table_format(table, "ordered, but no manifest before %s is signed again",
                             waits_for);
    }
    if (!ctl_print_table(ctl, table, "No devices."))
        return EXIT_SYSTEM;
    if (json_is_true(json_object_get(reply, "dry_run")))
        ctl_say_dry_run(ctl);
    return EXIT_OK;
}

static int post(struct ctl *ctl, const json_t *request, struct err *err)
{
    json_t *reply;
    if (!client_post(ctl->client, "/api/v1/actions", request, &reply, err))
        return exit_code_of(err);
    int code = print_orders(ctl, reply, err);
    json_decref(reply);
    return code;
}

static int order_action(struct ctl *ctl, const struct ctl_args *args, struct err *err)
{
    const char *kind = args->arguments[args->argument_count - 1];
    if (action_of_word(kind) == MUSTER__ACTION_KIND__ACTION_UNKNOWN) {
        err_set(err, ERR_INVALID, "\"%.32s\" is no kind of action: expected %s", kind,
                action_words());
        return EXIT_USAGE;
    }
    json_t *devices = json_array();
    json_t *request = json_pack("{s:s, s:o}", "kind", kind, "devices", devices);
    int code = EXIT_USAGE;
    if (request == NULL)
        err_set(err, ERR_NO_MEMORY, "no memory for the request");
    else if ((args->argument_count > 1) == ctl_chooses(args))
        err_set(err, ERR_INVALID, "say which devices: by their ids, --selector or --group");
    else if (read_devices(args, devices, err) && read_options(args, request, err))
        code = ctl_choose(ctl, args, devices, err);
    if (code == EXIT_OK)
        code = post(ctl, request, err);
    json_decref(request);
    return code;
}

static const struct ctl_option action_options[] = {
    CTL_CHOOSE_DEVICES,
    {.name = "--note", .value = "TEXT", .help = "why; shown on the terminal and in the audit"},
    {.name = "--expires",
     .value = "DURATION",
     .help = "not begun after so long, or never: does not expire [24h]"},
    {.name = "--kilobytes", .value = "N", .help = "logs: at most so much on the line [64]"},
    CTL_DRY_RUN,
    {0},
};

const struct ctl_command ctl_action = {
    .words = "action",
    .arguments = "[DEVICE...] KIND",
    .summary = "Have devices do something once.",
    .notes =
        "KIND is one of\n"
        "  selfcheck            hash all that is in force again, and repair it\n"
        "  resync               forget what failed, fetch and try it again\n"
        "  logs                 send the newest lines of the logs; see musterctl logs\n"
        "  restart-application  restart the payment application\n"
        "  reboot               restart the terminal\n"
        "  sign-on              have the payment application sign on again\n"
        "  reset-registration   make all documents again from what is fetched anew\n"
        "  apply                put in force the generation that waits for the payment\n"
        "                       application, as the device has last told it here, and nothing\n"
        "                       that came since; about a key or a package that waits by itself\n"
        "                       a person decides at the terminal: muster apply\n"
        "A terminal does it once it has proof that the order is new, and only while nothing\n"
        "that it could harm is under way; musterctl get actions tells what came of it.",
    .options = action_options,
    .argument_count = 1,
    .optional_count = CTL_ARGUMENTS_MAX - 1,
    .has_csv = true,
    .run = order_action,
};

/* ---- get actions ---- */

bool ctl_actions_print(struct ctl *ctl, const json_t *list, bool devices)
{
    size_t i;
    json_t *action;
    int64_t now_ms = clock_wall_ms(ctl->clock);
    struct ctl_table *table = ctl_table_new(devices ? "ACTION|DEVICE|KIND|ORDERED|STEP|TOLD|TEXT"
                                                    : "ACTION|KIND|ORDERED|STEP|TOLD|TEXT");
    json_array_foreach(list, i, action)
    {
        const char *text = ctl_text(action, "text"), *note = ctl_text(action, "note");
        ctl_table_text(table, ctl_text(action, "id"));
        if (devices)
            ctl_table_text(table, ctl_text(action, "device"));
        ctl_table_text(table, ctl_text(action, "kind"));
        ctl_table_ago(table, ctl_number(action, "made_ms"), now_ms);
        ctl_table_text(table, ctl_text(action, "step"));
        if (ctl_number(action, "reported_ms") != 0)
            ctl_table_ago(table, ctl_number(action, "reported_ms"), now_ms);
        else
            ctl_table_text(table, "-");
        ctl_table_text(table, text[0] != '\0' ? text : note);
    }
    return ctl_print_table(ctl, table, "No actions.");
}

static bool print_actions(struct ctl *ctl, const json_t *reply)
{
    return ctl_actions_print(ctl, json_object_get(reply, "actions"), true);
}

static int get_actions(struct ctl *ctl, const struct ctl_args *args, struct err *err)
{
    char path[4096];
    int64_t limit = 0;
    if (!ctl_arg_number(args, "--limit", 50, 1, 1000, &limit, err))
        return EXIT_USAGE;
    (void)snprintf(path, sizeof path, "/api/v1/actions?limit=%d", (int)limit);
    if (!ctl_choose_query(args, path, sizeof path, err))
        return EXIT_USAGE;
    return ctl_show_newest(ctl, path, "actions", limit, "--limit", print_actions, err);
}

static const struct ctl_option get_options[] = {
    CTL_CHOOSE_DEVICES,
    {.name = "--limit", .value = "N", .help = "the newest so many [50]"},
    {0},
};

const struct ctl_command ctl_get_actions = {
    .words = "get actions",
    .arguments = "",
    .summary = "List what devices were ordered to do once, and what came of it.",
    .options = get_options,
    .has_csv = true,
    .run = get_actions,
};
