/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/ctl.h"
#include "fleet/ctl_seal.h"
#include "fleet/sealing.h"
#include "proto/seal.h"
#include "proto/sealed.h"

#include <stdio.h>

bool ctl_open_authority(struct ctl *ctl, const struct ctl_args *args,
                        struct sealing_authority **ret_authority, struct err *err)
{
    return sealing_authority_open(ctl_arg(args, "--device-ca", ""), ctl_arg(args, "--crl", NULL),
                                  clock_wall_ms(ctl->clock), ret_authority, err);
}

bool ctl_sealed_make(struct bytes certificate, struct bytes content, struct buf *out,
                     struct err *err)
{
    struct err why = {0};
    if (sealed_make(certificate, content, out, &why))
        return true;
    return err_set(err, why.code == ERR_FULL ? ERR_INVALID : why.code, "%s", why.text);
}

static int put(struct ctl *ctl, const char *device, struct bytes certificate, struct err *err)
{
    char path[96];
    json_t *reply;
    (void)snprintf(path, sizeof path, "/api/v1/devices/%s/sealing-certificate", device);
    if (!client_put(ctl->client, path, certificate, &reply, err))
        return exit_code_of(err);
    int code = EXIT_OK;
    if (ctl->json)
        code = ctl_print_json(ctl, reply, err);
    else
        fprintf(ctl->out, "%s %s.\n",
                json_is_true(json_object_get(reply, "changed"))
                    ? "From now on this certificate says to whom is sealed for"
                    : "This certificate was there already for",
                device);
    json_decref(reply);
    return code;
}

static int device_sealing(struct ctl *ctl, const struct ctl_args *args, struct err *err)
{
    const char *device = args->arguments[0];
    struct sealing_authority *authority = NULL;
    struct buf certificate = {0};
    int code = EXIT_USAGE;
    if (ctl_device_id(device, err) &&
        sealing_certificate_read(args->arguments[1], &certificate, err) &&
        ctl_open_authority(ctl, args, &authority, err)) {
        if (!sealing_certificate_check(authority, device, buf_bytes(&certificate), err))
            code = exit_code_of(err);
        else if (!ctl_is_dry_run(args))
            code = put(ctl, device, buf_bytes(&certificate), err);
        else {
            fprintf(ctl->out, "The certificate is good for %s.\n", device);
            ctl_say_dry_run(ctl);
            code = EXIT_OK;
        }
    }
    sealing_authority_close(authority);
    buf_done(&certificate);
    return code;
}

static const struct ctl_option options[] = {
    {.name = "--device-ca",
     .value = "FILE",
     .help = "your CA for devices, PEM: what it has not signed is not taken",
     .required = true},
    {.name = "--crl", .value = "FILE", .help = "what that CA has revoked, PEM"},
    {.name = "--dry-run", .help = "check the certificate and change nothing"},
    {0},
};

const struct ctl_command ctl_device_sealing = {
    .words = "device sealing",
    .arguments = "ID FILE",
    .summary = "Keep the certificate of a device's sealing key, for those who seal to it.",
    .notes =
        "The device makes the key and the request: muster-agent --make-sealing-key. Your CA\n"
        "signs it with CN = ID and keyUsage = critical, keyAgreement. Whoever seals checks the\n"
        "certificate again by himself, so musterd is trusted with nothing here.",
    .options = options,
    .argument_count = 2,
    .run = device_sealing,
};
