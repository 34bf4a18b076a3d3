/* SPDX-License-Identifier: Apache-2.0 */
#include "base/file.h"
#include "base/private.h"
#include "fleet/base64.h"
#include "fleet/content.h"
#include "fleet/ctl_choose.h"
#include "fleet/ctl_key.h"
#include "fleet/ctl_publish.h"
#include "fleet/ctl_seal.h"
#include "fleet/key_json.h"
#include "fleet/words.h"
#include "proto/limits.h"
#include "proto/sealed.h"

#include <stdio.h>
#include <string.h>

/* The same for every device that is sealed to. */
struct sealing_run {
    const struct ctl_args *args;
    Muster__DocumentKind kind;
    struct signers signers;
    struct sealing_authority *authority;
    json_t *devices; /* their ids */
    json_t *done;    /* what is told of each, for -o json */
    json_t *failed;  /* [{"device", "error"}]: to whom nothing was sealed */
    int code;        /* of the last of those */
};

static bool fetch_certificate(struct ctl *ctl, const char *device, struct buf *ret_certificate,
                              struct err *err)
{
    char path[96];
    json_t *reply = NULL;
    (void)snprintf(path, sizeof path, "/api/v1/devices/%s/sealing-certificate", device);
    if (!client_get(ctl->client, path, &reply, err))
        return false;
    const char *text = ctl_text(reply, "certificate");
    ret_certificate->limit = SEALED_CERTIFICATE_BYTES;
    bool ok = base64_decode(text, strlen(text), ret_certificate, err);
    json_decref(reply);
    return ok || err_context(err, "the sealing certificate of %s", device);
}

/* A file that is not there is wrong usage, not something that musterd does not know. */
static int read_content(const struct sealing_run *run, const char *device, struct buf *content,
                        struct ctl_key *key, struct err *err)
{
    char path[CTL_PATH_BYTES];
    if (!ctl_path_for(run->args->arguments[1], device, path, err))
        return EXIT_USAGE;
    if (!file_read(path, LIMIT_DOCUMENT_BYTES, content, err))
        return err->code == ERR_NOT_FOUND ? EXIT_USAGE : exit_code_of(err);
    if (content_check(run->kind, buf_bytes(content), err) &&
        (run->kind != MUSTER__DOCUMENT_KIND__DOCUMENT_KEY_BLOCK ||
         ctl_key_read(run->args, device, buf_bytes(content), key, err)))
        return EXIT_OK;
    (void)err_context(err, "%s", path);
    return exit_code_of(err);
}

/* Nothing is sealed to a certificate that was not checked right here. */
static bool seal_content(struct ctl *ctl, const struct sealing_run *run, const char *device,
                         struct bytes content, struct buf *sealed, struct err *err)
{
    struct buf certificate = {0};
    bool ok = fetch_certificate(ctl, device, &certificate, err) &&
              sealing_certificate_check(run->authority, device, buf_bytes(&certificate), err) &&
              ctl_sealed_make(buf_bytes(&certificate), content, sealed, err);
    buf_done(&certificate);
    return ok;
}

/* What is sent is what the header names. */
static bool upload(struct ctl *ctl, struct ctl_publish *publish, struct bytes sealed,
                   struct err *err)
{
    sha256(sealed, publish->sha256);
    publish->length = sealed.length;
    return ctl_publish_put_sealed(ctl, publish, sealed, err);
}

static bool tell(struct ctl *ctl, const struct sealing_run *run, const struct ctl_publish *publish,
                 json_t *document, struct err *err)
{
    if (ctl->json)
        return json_array_append(run->done, document) == 0 ||
               err_set(err, ERR_NO_MEMORY, "no memory for the answer");
    json_t *key = key_json(publish->key);
    fprintf(ctl->out,
            "%s version %lld (epoch %llu, minimum version %lld) %s to %s: %zu bytes sent.\n",
            publish->name, (long long)publish->version, (unsigned long long)publish->epoch,
            (long long)publish->minimum_version, publish->dry_run ? "would be sealed" : "is sealed",
            publish->device, (size_t)publish->length);
    ctl_key_print(ctl, key);
    json_decref(key);
    return true;
}

static bool seal_to(struct ctl *ctl, const struct sealing_run *run, const char *device,
                    struct bytes content, Muster__KeyPlacement *key, struct err *err)
{
    struct ctl_publish publish = {0};
    struct buf sealed = {0};
    json_t *document = NULL;
    bool ok = ctl_publish_args(&publish, run->args->arguments[0], run->args, err);
    publish.kind = run->kind;
    publish.device = device;
    publish.key = key;
    ok = ok && seal_content(ctl, run, device, content, &sealed, err) &&
         ctl_publish_look(ctl, &publish, err) && upload(ctl, &publish, buf_bytes(&sealed), err) &&
         ctl_publish_sign(&publish, &run->signers, err) &&
         ctl_publish_post(ctl, &publish, &document, err) && tell(ctl, run, &publish, document, err);
    json_decref(document);
    buf_done(&sealed);
    ctl_publish_done(&publish);
    return ok;
}

static int seal_one(struct ctl *ctl, const struct sealing_run *run, const char *device,
                    struct err *err)
{
    struct buf content = {.limit = LIMIT_DOCUMENT_BYTES};
    struct ctl_key key;
    const bool is_key = run->kind == MUSTER__DOCUMENT_KIND__DOCUMENT_KEY_BLOCK;
    int code = read_content(run, device, &content, &key, err);
    if (code == EXIT_OK &&
        !seal_to(ctl, run, device, buf_bytes(&content), is_key ? &key.message : NULL, err))
        code = exit_code_of(err);
    secret_done(&content);
    return code;
}

static bool open_run(struct ctl *ctl, struct sealing_run *run, struct err *err)
{
    struct ctl_publish wanted = {0};
    bool good = ctl_publish_args(&wanted, run->args->arguments[0], run->args, err) &&
                word_to_kind(ctl_arg(run->args, "--kind", ""), &run->kind, err);
    ctl_publish_done(&wanted);
    if (!good)
        return false;
    bool key_block = run->kind == MUSTER__DOCUMENT_KIND__DOCUMENT_KEY_BLOCK;
    const char *option = key_block ? "--custodian-key" : "--release-key";
    if (ctl_arg(run->args, option, NULL) == NULL)
        return err_set(err, ERR_INVALID, "%s %s: add %s KEY", word_of_kind((int)run->kind),
                       key_block ? "is signed by the custodian" : "is signed by release", option);
    /* Whatever goes wrong, the block is in no dump. */
    return (!key_block || private_process(err)) &&
           signers_open(run->args, option, &run->signers, err) &&
           ctl_open_authority(ctl, run->args, &run->authority, err);
}

static bool fail(struct ctl *ctl, struct sealing_run *run, const char *device, const char *why,
                 struct err *err)
{
    if (!ctl->json)
        fprintf(ctl->out, "%s is not sealed to %s: %s\n", run->args->arguments[0], device, why);
    return json_array_append_new(run->failed,
                                 json_pack("{s:s, s:s}", "device", device, "error", why)) == 0 ||
           err_set(err, ERR_NO_MEMORY, "no memory for the answer");
}

/* One device's trouble is not the next one's; but without an answer from musterd nobody gets any.
 */
static bool seal_each(struct ctl *ctl, struct sealing_run *run, struct err *err)
{
    size_t i = 0;
    bool silent = false;
    json_t *device = NULL;
    json_array_foreach(run->devices, i, device)
    {
        const char *id = json_string_value(device);
        struct err why = {0};
        int code = silent ? run->code : seal_one(ctl, run, id, &why);
        if (code == EXIT_OK)
            continue;
        if (!fail(ctl, run, id, silent ? "not tried" : why.text, err))
            return false;
        silent = code == EXIT_UNREACHABLE || code == EXIT_TIMEOUT;
        run->code = code;
    }
    return true;
}

static int print_run(struct ctl *ctl, const struct sealing_run *run, struct err *err)
{
    bool dry = ctl_is_dry_run(run->args);
    if (dry)
        ctl_say_dry_run(ctl);
    if (!ctl->json)
        return EXIT_OK;
    json_t *shown = json_pack("{s:b, s:O, s:O}", "dry_run", (int)dry, "documents", run->done,
                              "failed", run->failed);
    int code = ctl_print_json(ctl, shown, err);
    json_decref(shown);
    return code;
}

static int seal_all(struct ctl *ctl, struct sealing_run *run, struct err *err)
{
    const size_t count = json_array_size(run->devices);
    if (!seal_each(ctl, run, err))
        return exit_code_of(err);
    int code = print_run(ctl, run, err);
    const size_t failed = json_array_size(run->failed);
    if (code != EXIT_OK || failed == 0)
        return code;
    err_set(err, ERR_REFUSED, "to %zu of %zu devices nothing was sealed; to %s: %s", failed, count,
            ctl_text(json_array_get(run->failed, 0), "device"),
            ctl_text(json_array_get(run->failed, 0), "error"));
    const bool silent = run->code == EXIT_UNREACHABLE || run->code == EXIT_TIMEOUT;
    return count == 1 || silent ? run->code : EXIT_INPUT;
}

static int choose(struct ctl *ctl, const struct sealing_run *run, struct err *err)
{
    if (ctl_chooses(run->args))
        return ctl_choose(ctl, run->args, run->devices, err);
    err_set(err, ERR_INVALID, "say to whom: --device, --selector or --group");
    return EXIT_USAGE;
}

static int doc_seal(struct ctl *ctl, const struct ctl_args *args, struct err *err)
{
    struct sealing_run run = {
        .args = args, .devices = json_array(), .done = json_array(), .failed = json_array()};
    int code = choose(ctl, &run, err);
    /* Files that are not there are wrong usage, not something that musterd does not know. */
    if (code == EXIT_OK && !open_run(ctl, &run, err))
        code =
            err->code == ERR_INVALID || err->code == ERR_NOT_FOUND ? EXIT_USAGE : exit_code_of(err);
    if (code == EXIT_OK)
        code = seal_all(ctl, &run, err);
    sealing_authority_close(run.authority);
    signers_done(&run.signers);
    json_decref(run.devices);
    json_decref(run.done);
    json_decref(run.failed);
    return code;
}

static const struct ctl_option options[] = {
    CTL_CHOOSE_DEVICES,
    {.name = "--kind",
     .value = "KIND",
     .help = "params, key-block, file, table or code-profile",
     .required = true},
    {.name = "--device-ca",
     .value = "FILE",
     .help = "your CA for devices, PEM: to no other certificate is sealed",
     .required = true},
    {.name = "--crl", .value = "FILE", .help = "what that CA has revoked, PEM"},
    {.name = "--release-key",
     .value = "KEY",
     .help = "signs all but key blocks: a private key's file or pkcs11:...",
     .repeats = true},
    {.name = "--custodian-key",
     .value = "KEY",
     .help = "signs key blocks: a private key's file or pkcs11:...",
     .repeats = true},
    CTL_KEY_OPTIONS,
    CTL_PUBLISH_OPTIONS,
    {0},
};

const struct ctl_command ctl_doc_seal = {
    .words = "doc seal",
    .arguments = "NAME FILE",
    .summary = "Seal a document to single devices, sign it and hand it to musterd.",
    .notes =
        "Each device gets a version of its own.\n"
        "{} in FILE stands for the device: keys/{}.tr31 is another file for each. musterd and\n"
        "the broker only ever hold what is sealed; the content is not written anywhere here.\n"
        "Sealing again is a new version: what is sealed cannot be compared with what was.\n"
        "A key block is a wrapped key (ANSI X9.143, TR-31); a clear one is refused. The terminal\n"
        "places it in --slot, if its key version is above the one there, and expects --kcv of it.\n"
        "One device that fails does not keep the others from theirs: each is told, and the exit\n"
        "code is 3.",
    .options = options,
    .argument_count = 2,
    .run = doc_seal,
};
