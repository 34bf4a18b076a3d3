/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/ctl.h"

#include "fleet/base64.h"
#include "fleet/ctl_place.h"
#include "proto/seal.h"

static bool read_agent_key(const char *path, struct buf *ret_text, struct err *err)
{
    struct verify_key *key;
    if (!verify_key_read(path, &key, err))
        return err_context(err, "--agent-key");
    bool ok = base64_encode(verify_key_spki(key), ret_text, err);
    verify_key_free(key);
    return ok;
}

static json_t *device_json(const struct ctl_args *args, const char *agent_key, struct err *err)
{
    json_t *device = json_pack("{s:s, s:s, s:s, s:s}", "id", args->arguments[0], "serial",
                               ctl_arg(args, "--serial", ""), "model", ctl_arg(args, "--model", ""),
                               "agent_key", agent_key);
    if (device == NULL) {
        err_set(err, ERR_INVALID, "an argument is not UTF-8");
        return NULL;
    }
    if (ctl_place(args, device, err) && ctl_terminals(args, device, err))
        return device;
    json_decref(device);
    return NULL;
}

static int print_enrolled(struct ctl *ctl, const json_t *device, const json_t *reply)
{
    bool is_new = json_is_true(json_object_get(reply, "new"));
    bool dry_run = json_is_true(json_object_get(reply, "dry_run"));
    const char *what = is_new ? "is enrolled" : "is brought up to date";
    if (dry_run)
        what = is_new ? "would be enrolled" : "is known, and would be brought up to date";
    fprintf(ctl->out,
            "Device %s %s: serial %s, model %s, logical terminals: ", ctl_text(device, "id"), what,
            ctl_text(device, "serial"), ctl_text(device, "model"));
    if (json_object_get(device, "terminals") != NULL)
        fprintf(ctl->out, "%zu.\n", json_array_size(json_object_get(device, "terminals")));
    else
        fputs(is_new ? "none.\n" : "as before.\n", ctl->out);
    const bool told = ctl_print_duties(ctl, json_object_get(reply, "duties"), CTL_DUTIES_FIRST);
    if (dry_run)
        ctl_say_dry_run(ctl);
    return told ? EXIT_OK : EXIT_SYSTEM;
}

static int post_device(struct ctl *ctl, const json_t *device, struct err *err)
{
    json_t *reply;
    if (!client_post(ctl->client, "/api/v1/devices", device, &reply, err))
        return exit_code_of(err);
    int code = ctl->json ? ctl_print_json(ctl, reply, err) : print_enrolled(ctl, device, reply);
    json_decref(reply);
    return code;
}

static int device_add(struct ctl *ctl, const struct ctl_args *args, struct err *err)
{
    struct buf key = {0};
    json_t *device = NULL;
    if (ctl_device_id(args->arguments[0], err) &&
        read_agent_key(ctl_arg(args, "--agent-key", ""), &key, err))
        device = device_json(args, (const char *)key.data, err);
    if (device != NULL && ctl_is_dry_run(args))
        json_object_set_new(device, "dry_run", json_true());
    int code = device != NULL ? post_device(ctl, device, err) : EXIT_USAGE;
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
    CTL_PLACE,
    CTL_DRY_RUN,
    {0},
};

const struct ctl_command ctl_device_add = {
    .words = "device add",
    .arguments = "ID",
    .summary = "Enrol a device, or bring what is known of it up to date.",
    .notes = "Of a known device, what is not given stays: where it stands, what it carries. A new\n"
             "one stands at merchant \"unassigned\" until somebody says (device move).",
    .options = options,
    .argument_count = 1,
    .run = device_add,
};
