/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/ctl.h"

#include "base/file.h"
#include "base/private.h"
#include "fleet/content.h"
#include "fleet/ctl_key.h"
#include "fleet/ctl_seal.h"
#include "fleet/key_json.h"
#include "fleet/signed_document.h"
#include "fleet/words.h"
#include "proto/limits.h"
#include "proto/package.h"
#include "proto/sealed.h"
#include "proto/topics.h"

#include <inttypes.h>
#include <string.h>

/* ---- what both say ---- */

static const struct key_set *keys_for(const struct trust *trust,
                                      const Muster__DocumentHeader *header)
{
    return trust_keys(trust, document_role(header->kind));
}

static int print_document(struct ctl *ctl, const struct signed_document *document,
                          const struct trust *trust, const char *file, const char *path, bool dry,
                          struct err *err)
{
    const Muster__DocumentHeader *header = document->header;
    size_t needed = keys_for(trust, header)->threshold;
    size_t have = signed_document_count(document, keys_for(trust, header));
    char hex[65];
    hex_encode(header->sha256.data, header->sha256.len, hex);
    if (ctl->json) {
        json_t *shown = json_pack(
            "{s:s, s:s, s:I, s:I, s:I, s:b, s:s, s:s, s:s, s:I, s:s, s:I, s:I, s:b, s:b, s:o}",
            "name", header->name, "kind", word_of_kind((int)header->kind), "epoch",
            (json_int_t)header->epoch, "version", (json_int_t)header->version, "minimum_version",
            (json_int_t)header->minimum_version, "irreversible", (int)header->irreversible,
            "device", header->device, "package_version", header->package_version, "model",
            header->model, "length", (json_int_t)header->length, "sha256", hex, "signed",
            (json_int_t)have, "needed", (json_int_t)needed, "complete", (int)(have >= needed),
            "dry_run", (int)dry, "key", key_json(header->key));
        int code = ctl_print_json(ctl, shown, err);
        json_decref(shown);
        return code;
    }
    fprintf(ctl->out,
            "%s version %" PRIu64 ", %s, epoch %" PRIu64 "%s%s\n  sha256   %s\n  bytes    %" PRIu64
            "\n  minimum  version %" PRIu64 "%s\n  signed   by %zu of the %zu keys needed\n",
            header->name, header->version, word_of_kind((int)header->kind), header->epoch,
            header->device[0] == '\0' ? "" : ", sealed to ", header->device, hex, header->length,
            header->minimum_version, header->irreversible ? ", never taken back" : "", have,
            needed);
    json_t *key = key_json(header->key);
    ctl_key_print(ctl, key);
    json_decref(key);
    if (header->package_version[0] != '\0')
        fprintf(ctl->out, "  package  version %s, for %s%s\n", header->package_version,
                header->model[0] != '\0' ? "model " : "any model", header->model);
    if (dry)
        ctl_say_dry_run(ctl);
    else if (have < needed)
        fprintf(ctl->out,
                "The next one signs with: musterctl doc cosign %s%s%s --root ROOT.BIN "
                "--key KEY\n",
                path, file == NULL ? "" : " ", file == NULL ? "" : file);
    else
        fprintf(ctl->out, "It is complete: musterctl doc publish %s%s%s --signed %s\n",
                header->name, file == NULL ? "" : " ", file == NULL ? "" : file, path);
    return EXIT_OK;
}

static bool read_root(const struct ctl_args *args, struct trust **ret_trust, struct err *err)
{
    const char *path = ctl_arg(args, "--root", "");
    struct buf root = {0};
    bool ok = file_read(path, LIMIT_ROOT_BYTES, &root, err) &&
              (trust_open(buf_bytes(&root), ret_trust, err) ||
               err_context(err, "%s is not a root, such as keys/root.bin", path));
    buf_done(&root);
    return ok;
}

/* ---- doc sign ---- */

/* A document on its way from the command line to the file. */
struct signing {
    Muster__DocumentHeader header;
    struct ctl_key key; /* of a key block */
    uint8_t sha256[32];
    struct trust *trust;
    struct signers signers;
    struct buf content, sealed, envelope;
};

static void signing_done(struct signing *signing)
{
    trust_free(signing->trust);
    signers_done(&signing->signers);
    secret_done(&signing->content);
    buf_done(&signing->sealed);
    buf_done(&signing->envelope);
}

static bool check_device(const struct ctl_args *args, const char *device, struct err *err)
{
    bool can_seal =
        ctl_arg(args, "--certificate", NULL) != NULL && ctl_arg(args, "--device-ca", NULL) != NULL;
    return ctl_device_id(device, err) &&
           (can_seal || err_set(err, ERR_INVALID,
                                "to seal takes the device's --certificate and the --device-ca that "
                                "has signed it"));
}

static bool read_args(struct signing *signing, const struct ctl_args *args, struct err *err)
{
    int64_t version = 0, minimum = 0;
    Muster__DocumentHeader *header = &signing->header;
    const char *name = args->arguments[0], *device = ctl_arg(args, "--device", "");
    if (!document_name_valid(name))
        return err_set(err, ERR_INVALID,
                       "\"%.60s\" is not a document's name: expected [a-z0-9][a-z0-9._-]{0,47}",
                       name);
    if (device[0] != '\0' && !check_device(args, device, err))
        return false;
    if (!word_to_kind(ctl_arg(args, "--kind", ""), &header->kind, err) ||
        !ctl_arg_number(args, "--version", 0, 1, LIMIT_VERSION, &version, err) ||
        !ctl_arg_number(args, "--minimum-version", 0, 0, version, &minimum, err))
        return false;
    header->name = (char *)(uintptr_t)name;
    header->device = (char *)(uintptr_t)device;
    header->version = (uint64_t)version;
    header->minimum_version = (uint64_t)minimum;
    header->irreversible = ctl_arg(args, "--irreversible", NULL) != NULL;
    header->scope = device[0] == '\0' ? MUSTER__DOCUMENT_SCOPE__SCOPE_PUBLIC
                                      : MUSTER__DOCUMENT_SCOPE__SCOPE_SEALED;
    if (header->kind == MUSTER__DOCUMENT_KIND__DOCUMENT_KEY_BLOCK && device[0] == '\0')
        return err_set(err, ERR_INVALID, "a key block is sealed to its device: add --device ID");
    header->package_version = (char *)(uintptr_t)ctl_arg(args, "--package-version", "");
    header->model = (char *)(uintptr_t)ctl_arg(args, "--model", "");
    return package_header_check(header, err);
}

/* To whom is sealed is checked here, where it is signed, and nobody else is believed. */
static bool seal_content(struct ctl *ctl, struct signing *signing, const struct ctl_args *args,
                         struct err *err)
{
    struct sealing_authority *authority = NULL;
    struct buf certificate = {0};
    bool ok = sealing_certificate_read(ctl_arg(args, "--certificate", ""), &certificate, err) &&
              ctl_open_authority(ctl, args, &authority, err) &&
              sealing_certificate_check(authority, signing->header.device, buf_bytes(&certificate),
                                        err) &&
              ctl_sealed_make(buf_bytes(&certificate), buf_bytes(&signing->content),
                              &signing->sealed, err);
    sealing_authority_close(authority);
    buf_done(&certificate);
    if (ok)
        sha256(buf_bytes(&signing->sealed), signing->sha256);
    signing->header.length = signing->sealed.length;
    return ok;
}

/* Files and packages may be longer than fits in memory; all others are checked as a whole. */
static bool read_content(struct ctl *ctl, struct signing *signing, const struct ctl_args *args,
                         struct err *err)
{
    const char *path = args->arguments[1];
    bool is_sealed = signing->header.scope == MUSTER__DOCUMENT_SCOPE__SCOPE_SEALED;
    const uint64_t most = document_length_max(signing->header.kind, is_sealed);
    if (most > LIMIT_DOCUMENT_BYTES) {
        if (!content_file_hash(path, &signing->header.length, signing->sha256, err))
            return false;
        return (signing->header.length > 0 && signing->header.length <= most) ||
               err_set(err, ERR_INVALID, "%s: %" PRIu64 " bytes are not in 1..%" PRIu64, path,
                       signing->header.length, most);
    }
    signing->content.limit = LIMIT_DOCUMENT_BYTES;
    if (!file_read(path, LIMIT_DOCUMENT_BYTES, &signing->content, err))
        return false;
    if (!content_check(signing->header.kind, buf_bytes(&signing->content), err))
        return err_context(err, "%s", path);
    if (signing->header.kind == MUSTER__DOCUMENT_KIND__DOCUMENT_KEY_BLOCK) {
        if (!ctl_key_read(args, signing->header.device, buf_bytes(&signing->content), &signing->key,
                          err))
            return err_context(err, "%s", path);
        signing->header.key = &signing->key.message;
    }
    if (is_sealed)
        return seal_content(ctl, signing, args, err);
    signing->header.length = signing->content.length;
    sha256(buf_bytes(&signing->content), signing->sha256);
    return true;
}

static bool sign(struct ctl *ctl, struct signing *signing, const struct ctl_args *args,
                 struct err *err)
{
    const bool key_block = signing->header.kind == MUSTER__DOCUMENT_KIND__DOCUMENT_KEY_BLOCK;
    if (key_block && !private_process(err)) /* whatever goes wrong, the block is in no dump */
        return false;
    if (!read_root(args, &signing->trust, err) || !read_content(ctl, signing, args, err) ||
        !signers_open(args, "--key", &signing->signers, err) ||
        !document_signers_check(signing->trust, signing->header.kind, &signing->signers, err))
        return false;
    signing->header.epoch = trust_epoch(signing->trust);
    signing->header.sha256 = (ProtobufCBinaryData){sizeof signing->sha256, signing->sha256};
    return document_header_seal(&signing->header, &signing->signers, false, &signing->envelope,
                                err);
}

static int write_signed(struct ctl *ctl, struct signing *signing, const struct ctl_args *args,
                        struct err *err)
{
    const char *path = args->arguments[2];
    bool dry = ctl_is_dry_run(args);
    struct signed_document document = {.envelope = signing->envelope, .header = &signing->header};
    if (file_exists(path)) {
        err_set(err, ERR_CONFLICT, "%s exists; it is never overwritten", path);
        return EXIT_INPUT;
    }
    if (!dry && !signed_document_write(path, buf_bytes(&signing->envelope),
                                       buf_bytes(&signing->sealed), err))
        return exit_code_of(err);
    bool is_sealed = signing->sealed.length > 0;
    return print_document(ctl, &document, signing->trust, is_sealed ? NULL : args->arguments[1],
                          path, dry, err);
}

static int doc_sign(struct ctl *ctl, const struct ctl_args *args, struct err *err)
{
    struct signing signing = {.trust = NULL};
    muster__document_header__init(&signing.header);
    int code = EXIT_USAGE;
    if (read_args(&signing, args, err)) {
        if (sign(ctl, &signing, args, err))
            code = write_signed(ctl, &signing, args, err);
        else
            code = err->code == ERR_NOT_FOUND ? EXIT_USAGE : exit_code_of(err);
    }
    signing_done(&signing);
    return code;
}

static const struct ctl_option sign_options[] = {
    {.name = "--kind", .value = "KIND", .help = "as doc publish has them", .required = true},
    {.name = "--version",
     .value = "N",
     .help = "above the newest; musterd cannot be asked here",
     .required = true},
    {.name = "--root",
     .value = "ROOT.BIN",
     .help = "the root in force: epoch, and whose signature counts",
     .required = true},
    SIGNERS_KEY_OPTION,
    {.name = "--minimum-version",
     .value = "N",
     .help = "terminals refuse older ones from now on [0]"},
    {.name = "--package-version",
     .value = "TEXT",
     .help = "application, firmware: what the terminal reports once it runs"},
    {.name = "--model", .value = "MODEL", .help = "application, firmware: for no other [any]"},
    {.name = "--irreversible", .help = "what it brings is never taken back"},
    {.name = "--device", .value = "ID", .help = "seal it to this device"},
    {.name = "--certificate", .value = "FILE", .help = "of that device's sealing key"},
    {.name = "--device-ca", .value = "FILE", .help = "your CA for devices, PEM"},
    {.name = "--crl", .value = "FILE", .help = "what that CA has revoked, PEM"},
    CTL_KEY_OPTIONS,
    CTL_DRY_RUN,
    {0},
};

const struct ctl_command ctl_doc_sign = {
    .words = "doc sign",
    .arguments = "NAME FILE SIGNED",
    .summary = "Sign a document without musterd, to be published later.",
    .notes = "SIGNED is what is carried out of the room: the signed header, less than a kilobyte,\n"
             "and, with --device, what was sealed. Public content is published as the FILE it is:\n"
             "  musterctl doc publish NAME FILE --signed SIGNED",
    .options = sign_options,
    .argument_count = 3,
    .run = doc_sign,
};

/* ---- doc cosign ---- */

/* Nobody signs what he does not see, but for what only a device can open. */
static bool check_seen(const struct signed_document *document, const struct trust *trust,
                       const char *file, struct err *err)
{
    bool is_sealed = document->header->scope == MUSTER__DOCUMENT_SCOPE__SCOPE_SEALED;
    if (document->header->epoch != trust_epoch(trust))
        return err_set(err, ERR_REFUSED,
                       "it was signed in epoch %" PRIu64 " and the root is of epoch %" PRIu64
                       ": no terminal would take it",
                       document->header->epoch, trust_epoch(trust));
    if (signed_document_count(document, keys_for(trust, document->header)) == 0)
        return err_set(err, ERR_REFUSED, "it was changed since it was signed, or signed by others");
    if (is_sealed)
        return file == NULL || err_set(err, ERR_INVALID, "what is sealed cannot be compared");
    return file != NULL
               ? signed_document_names(document, file, err)
               : err_set(err, ERR_INVALID, "nobody should sign what he has not seen: add the FILE");
}

static bool cosign(struct signed_document *document, const struct trust *trust,
                   const struct ctl_args *args, struct err *err)
{
    struct signers signers = {.count = 0};
    struct buf envelope = {0};
    bool ok = signers_open(args, "--key", &signers, err) &&
              document_signers_check(trust, document->header->kind, &signers, err) &&
              seal_add("document", "", buf_bytes(&document->envelope), signers_keys(&signers),
                       signers.count, &envelope, err);
    signers_done(&signers);
    if (!ok) {
        buf_done(&envelope);
        return false;
    }
    buf_done(&document->envelope);
    document->envelope = envelope;
    return true;
}

static int doc_cosign(struct ctl *ctl, const struct ctl_args *args, struct err *err)
{
    const char *path = args->arguments[0];
    const char *file = args->argument_count > 1 ? args->arguments[1] : NULL;
    struct signed_document document = {.header = NULL};
    struct trust *trust = NULL;
    bool dry = ctl_is_dry_run(args);
    bool ok = signed_document_read(path, &document, err) && read_root(args, &trust, err) &&
              check_seen(&document, trust, file, err) && cosign(&document, trust, args, err) &&
              (dry || signed_document_write(path, buf_bytes(&document.envelope),
                                            buf_bytes(&document.sealed), err));
    int code = err->code == ERR_NOT_FOUND ? EXIT_USAGE : exit_code_of(err);
    if (ok)
        code = print_document(ctl, &document, trust, file, path, dry, err);
    signed_document_done(&document);
    trust_free(trust);
    return code;
}

static const struct ctl_option cosign_options[] = {
    {.name = "--root",
     .value = "ROOT.BIN",
     .help = "the root in force: whose signature counts",
     .required = true},
    SIGNERS_KEY_OPTION,
    CTL_DRY_RUN,
    {0},
};

const struct ctl_command ctl_doc_cosign = {
    .words = "doc cosign",
    .arguments = "SIGNED [FILE]",
    .summary = "Add one's signature to a signed document, after comparing it with its content.",
    .options = cosign_options,
    .argument_count = 1,
    .optional_count = 1,
    .run = doc_cosign,
};
