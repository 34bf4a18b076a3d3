/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/ctl.h"
#include "fleet/ctl_seal.h"
#include "fleet/sealing.h"
#include "proto/seal.h"
#include "proto/sealed.h"

#include <stdio.h>
#include <string.h>

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

/* As musterd would answer. */
static bool would_change(struct ctl *ctl, const char *device, const char *sha256, bool *ret_changed,
                         struct err *err)
{
    char path[96];
    json_t *reply = NULL;
    struct err why = {0};
    (void)snprintf(path, sizeof path, "/api/v1/devices/%s", device);
    if (!client_get(ctl->client, path, &reply, err)) /* is there one? */
        return false;
    json_decref(reply);
    reply = NULL;
    (void)snprintf(path, sizeof path, "/api/v1/devices/%s/sealing-certificate", device);
    bool there = client_get(ctl->client, path, &reply, &why);
    *ret_changed = !there || strcmp(ctl_text(reply, "sha256"), sha256) != 0;
    json_decref(reply);
    if (there || why.code == ERR_NOT_FOUND)
        return true;
    if (err != NULL)
        *err = why;
    return false;
}

static int try_put(struct ctl *ctl, const char *device, struct bytes certificate, struct err *err)
{
    uint8_t digest[32];
    char hex[65];
    bool changed = false;
    sha256(certificate, digest);
    hex_encode(digest, sizeof digest, hex);
    if (!would_change(ctl, device, hex, &changed, err))
        return exit_code_of(err);
    if (ctl->json) {
        json_t *shown = json_pack("{s:s, s:s, s:b, s:b}", "id", device, "sha256", hex, "changed",
                                  (int)changed, "dry_run", 1);
        int code = ctl_print_json(ctl, shown, err);
        json_decref(shown);
        return code;
    }
    fprintf(ctl->out, "The certificate is good for %s%s.\n", device,
            changed ? "" : ", and was there already");
    ctl_say_dry_run(ctl);
    return EXIT_OK;
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
        else
            code =
                (ctl_is_dry_run(args) ? try_put : put)(ctl, device, buf_bytes(&certificate), err);
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
    CTL_DRY_RUN,
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
