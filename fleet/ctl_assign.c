/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/ctl_order.h"

#include "fleet/ctl_table.h"
#include "fleet/words.h"
#include "proto/limits.h"
#include "proto/topics.h"

#include <stdlib.h>
#include <string.h>

bool ctl_order_document(const char *text, json_t *request, struct err *err)
{
    char name[LIMIT_DOCUMENT_NAME_CHARS + 2];
    const char *at = strchr(text, '@');
    size_t length = at == NULL ? strlen(text) : (size_t)(at - text);
    (void)snprintf(name, sizeof name, "%.*s", (int)(length < sizeof name ? length : sizeof name),
                   text);
    if (!document_name_valid(name))
        return err_set(err, ERR_INVALID,
                       "\"%.60s\" is not a document: expected NAME or NAME@VERSION", text);
    json_object_set_new(request, "document", json_string(name));
    if (at == NULL)
        return true;
    char *end;
    long long version = strtoll(at + 1, &end, 10);
    if (end == at + 1 || *end != '\0' || version <= 0)
        return err_set(err, ERR_INVALID, "\"%.60s\": a version is a whole number above 0", text);
    json_object_set_new(request, "version", json_integer(version));
    return true;
}

static bool add_all(struct ctl *ctl, json_t *devices, struct err *err)
{
    size_t i;
    json_t *device, *reply;
    if (!client_get(ctl->client, "/api/v1/devices", &reply, err))
        return false;
    json_array_foreach(json_object_get(reply, "devices"), i, device)
    {
        if (strcmp(ctl_text(device, "state"), "retired") != 0)
            json_array_append(devices, json_object_get(device, "id"));
    }
    json_decref(reply);
    if (json_array_size(devices) == 0)
        return err_set(err, ERR_NOT_FOUND, "there is no device; enrol one with device add");
    return true;
}

static int print_outcome(struct ctl *ctl, const json_t *reply, struct err *err)
{
    size_t i;
    json_t *device;
    if (ctl->json)
        return ctl_print_json(ctl, reply, err);
    struct ctl_table *table = ctl_table_new("DEVICE|>MANIFEST|RESULT");
    json_array_foreach(json_object_get(reply, "devices"), i, device)
    {
        ctl_table_text(table, ctl_text(device, "id"));
        ctl_table_count(table, ctl_number(device, "manifest_version"));
        const char *waits_for = ctl_text(device, "waits_for");
        if (!json_is_true(json_object_get(device, "changed")))
            ctl_table_text(table, "as before: nothing changed");
        else if (waits_for[0] == '\0')
            ctl_table_text(table, "new manifest");
        else
            ctl_table_format(table, "no new manifest: waits for %s to be signed again", waits_for);
    }
    return ctl_print_table(ctl, table, "No devices.") ? EXIT_OK : EXIT_SYSTEM;
}

static int post(struct ctl *ctl, const json_t *request, struct err *err)
{
    json_t *reply;
    if (!client_post(ctl->client, "/api/v1/assignments", request, &reply, err))
        return exit_code_of(err);
    int code = print_outcome(ctl, reply, err);
    json_decref(reply);
    return code;
}

int ctl_order_devices(struct ctl *ctl, const struct ctl_args *args, json_t *request,
                      struct err *err)
{
    json_t *devices = json_array();
    json_object_set_new(request, "devices", devices);
    bool all = ctl_arg(args, "--all", NULL) != NULL;
    if (all == ctl_chooses(args)) {
        err_set(err, ERR_INVALID, "say --device ID, once or more, --selector, --group, or --all");
        return EXIT_USAGE;
    }
    if (!all)
        return ctl_choose(ctl, args, devices, err);
    return add_all(ctl, devices, err) ? EXIT_OK : exit_code_of(err);
}

static int try_order(struct ctl *ctl, json_t *request, struct err *err)
{
    json_t *plan;
    if (!ctl_plan_ask(ctl, request, &plan, err))
        return exit_code_of(err);
    int code = EXIT_OK;
    if (ctl->json)
        code = ctl_print_json(ctl, plan, err);
    else if (!ctl_plan_print(ctl, plan))
        code = EXIT_SYSTEM;
    if (code == EXIT_OK)
        code = ctl_plan_code(plan, err);
    json_decref(plan);
    return code;
}

static int change(struct ctl *ctl, const struct ctl_args *args, json_t *request, struct err *err)
{
    if (request == NULL || !ctl_order_document(args->arguments[0], request, err))
        return EXIT_USAGE;
    int code = ctl_order_devices(ctl, args, request, err);
    if (code != EXIT_OK)
        return code;
    return ctl_is_dry_run(args) ? try_order(ctl, request, err) : post(ctl, request, err);
}

static int assign(struct ctl *ctl, const struct ctl_args *args, struct err *err)
{
    Muster__AssignMode mode;
    const char *word = ctl_arg(args, "--mode", "observe");
    if (!word_to_mode(word, &mode, err))
        return EXIT_USAGE;
    json_t *request = json_pack("{s:s}", "mode", word);
    int code = change(ctl, args, request, err);
    json_decref(request);
    return code;
}

static int unassign(struct ctl *ctl, const struct ctl_args *args, struct err *err)
{
    if (strchr(args->arguments[0], '@') != NULL) {
        err_set(err, ERR_INVALID, "whatever version is assigned is taken away: give only the name");
        return EXIT_USAGE;
    }
    json_t *request = json_pack("{s:b}", "remove", 1);
    int code = change(ctl, args, request, err);
    json_decref(request);
    return code;
}

static const struct ctl_option assign_options[] = {
    CTL_ORDER_DEVICES,
    {.name = "--mode",
     .value = "MODE",
     .help = "observe: report drift; propose: ask; repair: make it so [observe]"},
    CTL_DRY_RUN,
    {0},
};
static const struct ctl_option unassign_options[] = {
    CTL_ORDER_DEVICES,
    CTL_DRY_RUN,
    {0},
};

const struct ctl_command ctl_assign = {
    .words = "assign",
    .arguments = "NAME[@VERSION]",
    .summary = "Say which document devices should hold; without a version the newest.",
    .options = assign_options,
    .argument_count = 1,
    .has_csv = true,
    .run = assign,
};

const struct ctl_command ctl_unassign = {
    .words = "unassign",
    .arguments = "NAME",
    .summary = "Take a document away from devices.",
    .options = unassign_options,
    .argument_count = 1,
    .has_csv = true,
    .run = unassign,
};
