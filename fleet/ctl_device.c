/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/ctl.h"

#include "fleet/base64.h"
#include "proto/seal.h"

#include <stdlib.h>
#include <string.h>

/* Where a device stands until somebody says. */
#define NOWHERE "unassigned"

/* "0:unionpay:12345678:123456789012345" */
static json_t *terminal_json(const char *text, struct err *err)
{
    char copy[256];
    char *rest = copy, *end;
    if (snprintf(copy, sizeof copy, "%s", text) >= (int)sizeof copy) {
        err_set(err, ERR_INVALID, "--terminal %.40s...: too long", text);
        return NULL;
    }
    const char *index = strsep(&rest, ":"), *acquirer = strsep(&rest, ":");
    const char *tid = strsep(&rest, ":"), *mid = strsep(&rest, ":");
    unsigned long number = strtoul(index, &end, 10);
    bool whole = mid != NULL && rest == NULL && end != index && *end == '\0' && number <= 255 &&
                 *acquirer != '\0' && *tid != '\0' && *mid != '\0';
    if (!whole) {
        err_set(err, ERR_INVALID, "--terminal %s: expected INDEX:ACQUIRER:TID:MID, index 0 to 255",
                text);
        return NULL;
    }
    return json_pack("{s:I, s:s, s:s, s:s}", "index", (json_int_t)number, "acquirer", acquirer,
                     "tid", tid, "mid", mid);
}

static bool terminals_json(const struct ctl_args *args, json_t *list, struct err *err)
{
    size_t at = 0;
    for (const char *text; (text = ctl_arg_next(args, "--terminal", &at)) != NULL;) {
        json_t *terminal = terminal_json(text, err);
        if (terminal == NULL)
            return false;
        json_array_append_new(list, terminal);
    }
    return true;
}

static bool read_agent_key(const char *path, struct buf *ret_text, struct err *err)
{
    struct verify_key *key;
    if (!verify_key_read(path, &key, err))
        return err_context(err, "--agent-key");
    bool ok = base64_encode(verify_key_spki(key), ret_text, err);
    verify_key_free(key);
    return ok;
}

static json_t *device_json(const struct ctl_args *args, const char *agent_key, json_t *terminals)
{
    const char *merchant = ctl_arg(args, "--merchant", NOWHERE);
    const char *store = ctl_arg(args, "--store", NOWHERE);
    return json_pack("{s:s, s:s, s:s, s:s, s:{s:s, s:s}, s:{s:s, s:s, s:s}, s:o}", "id",
                     args->arguments[0], "serial", ctl_arg(args, "--serial", ""), "model",
                     ctl_arg(args, "--model", ""), "agent_key", agent_key, "merchant", "id",
                     merchant, "name", ctl_arg(args, "--merchant-name", merchant), "store", "id",
                     store, "name", ctl_arg(args, "--store-name", store), "region",
                     ctl_arg(args, "--region", ""), "terminals", terminals);
}

static void print_enrolled(struct ctl *ctl, const json_t *device, const json_t *reply)
{
    bool is_new = json_is_true(json_object_get(reply, "new"));
    bool dry_run = json_is_true(json_object_get(reply, "dry_run"));
    const char *what = is_new ? "is enrolled" : "is brought up to date";
    if (dry_run)
        what = is_new ? "would be enrolled" : "is known, and would be brought up to date";
    fprintf(ctl->out, "Device %s %s: serial %s, model %s, logical terminals: %zu.\n",
            ctl_text(device, "id"), what, ctl_text(device, "serial"), ctl_text(device, "model"),
            json_array_size(json_object_get(device, "terminals")));
    if (dry_run)
        ctl_say_dry_run(ctl);
}

static int post_device(struct ctl *ctl, const json_t *device, struct err *err)
{
    json_t *reply;
    if (device == NULL) {
        err_set(err, ERR_INVALID, "an argument is not UTF-8");
        return EXIT_USAGE;
    }
    if (!client_post(ctl->client, "/api/v1/devices", device, &reply, err))
        return exit_code_of(err);
    int code = EXIT_OK;
    if (ctl->json)
        code = ctl_print_json(ctl, reply, err);
    else
        print_enrolled(ctl, device, reply);
    json_decref(reply);
    return code;
}

static int device_add(struct ctl *ctl, const struct ctl_args *args, struct err *err)
{
    struct buf key = {0};
    json_t *terminals = json_array();
    if (!ctl_device_id(args->arguments[0], err) || !terminals_json(args, terminals, err) ||
        !read_agent_key(ctl_arg(args, "--agent-key", ""), &key, err)) {
        json_decref(terminals);
        return EXIT_USAGE;
    }
    json_t *device = device_json(args, (const char *)key.data, terminals);
    if (ctl_is_dry_run(args))
        json_object_set_new(device, "dry_run", json_true());
    int code = post_device(ctl, device, err);
    json_decref(device);
    buf_done(&key);
    return code;
}

static const struct ctl_option options[] = {
    {.name = "--serial", .value = "SERIAL", .help = "maker's serial number", .required = true},
    {.name = "--model", .value = "MODEL", .help = "maker's model", .required = true},
    {.name = "--agent-key",
     .value = "FILE",
     .help = "the agent's key, PEM; its public half is sent",
     .required = true},
    {.name = "--merchant", .value = "ID", .help = "merchant the device serves"},
    {.name = "--merchant-name", .value = "NAME", .help = "[the merchant's id]"},
    {.name = "--store", .value = "ID", .help = "store the device stands in"},
    {.name = "--store-name", .value = "NAME", .help = "[the store's id]"},
    {.name = "--region", .value = "NAME", .help = "region of the store"},
    {.name = "--terminal",
     .value = "INDEX:ACQUIRER:TID:MID",
     .help = "a logical terminal it carries",
     .repeats = true},
    CTL_DRY_RUN,
    {0},
};

const struct ctl_command ctl_device_add = {
    .words = "device add",
    .arguments = "ID",
    .summary = "Enrol a device, or bring what is known of it up to date.",
    .options = options,
    .argument_count = 1,
    .run = device_add,
};
