/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/ctl.h"

#include "base/file.h"
#include "fleet/base64.h"
#include "fleet/content.h"
#include "fleet/ctl_table.h"
#include "fleet/signed_document.h"
#include "fleet/signers.h"
#include "fleet/words.h"
#include "proto/limits.h"
#include "proto/seal.h"
#include "proto/topics.h"
#include "proto/unpack.h"

#include <inttypes.h>
#include <string.h>

enum { FIRST_EPOCH = 1 };

/* A publish on its way: from the command line to what is sent. */
struct publish {
    const char *name;
    Muster__DocumentKind kind;
    int64_t version, minimum_version; /* -1: not given */
    struct signers release;
    struct signed_document signed_before; /* by --signed; its header is NULL without */
    struct buf content, blob, header;
    uint8_t sha256[32];
    json_t *documents; /* musterd's list before */
};

static void publish_done(struct publish *publish)
{
    signers_done(&publish->release);
    signed_document_done(&publish->signed_before);
    buf_done(&publish->content);
    buf_done(&publish->blob);
    buf_done(&publish->header);
    json_decref(publish->documents);
}

/* What was signed elsewhere says by itself what it is. */
static bool take_signed(struct publish *publish, const char *path, struct err *err)
{
    if (!signed_document_read(path, &publish->signed_before, err))
        return false;
    const Muster__DocumentHeader *header = publish->signed_before.header;
    if (strcmp(header->name, publish->name) != 0)
        return err_set(err, ERR_INVALID, "%s was signed as %s", path, header->name);
    publish->kind = header->kind;
    publish->version = (int64_t)header->version;
    publish->minimum_version = (int64_t)header->minimum_version;
    return true;
}

static bool read_args(struct publish *publish, const struct ctl_args *args, struct err *err)
{
    const char *path = ctl_arg(args, "--signed", NULL);
    publish->name = args->arguments[0];
    if (!document_name_valid(publish->name))
        return err_set(err, ERR_INVALID,
                       "\"%.60s\" is not a document's name: expected [a-z0-9][a-z0-9._-]{0,47}",
                       publish->name);
    if (path != NULL)
        return take_signed(publish, path, err);
    if (ctl_arg(args, "--release-key", NULL) == NULL)
        return err_set(err, ERR_INVALID,
                       "nothing to sign with: --release-key KEY, or --signed FILE");
    return word_to_kind(ctl_arg(args, "--kind", ""), &publish->kind, err) &&
           ctl_arg_number(args, "--version", -1, 1, INT64_MAX, &publish->version, err) &&
           ctl_arg_number(args, "--minimum-version", -1, 0, INT64_MAX, &publish->minimum_version,
                          err) &&
           signers_open(args, "--release-key", &publish->release, err);
}

static bool is_sealed(const struct publish *publish)
{
    return publish->signed_before.sealed.length > 0;
}

static bool read_file(struct publish *publish, const char *path, struct err *err)
{
    if (!file_read(path, LIMIT_DOCUMENT_BYTES, &publish->content, err))
        return false;
    if (!content_check(publish->kind, buf_bytes(&publish->content), err))
        return err_context(err, "%s", path);
    return publish->signed_before.header == NULL ||
           signed_document_names(&publish->signed_before, path, err);
}

static bool read_content(struct publish *publish, const struct ctl_args *args, struct err *err)
{
    bool has_file = args->argument_count > 1;
    if (has_file == is_sealed(publish))
        return err_set(err, ERR_INVALID,
                       has_file ? "what is sealed is in the signed file already"
                                : "the FILE with its content is missing");
    if (has_file && !read_file(publish, args->arguments[1], err))
        return false;
    sha256(buf_bytes(has_file ? &publish->content : &publish->signed_before.sealed),
           publish->sha256);
    return true;
}

/* The newest version of the name, or NULL. */
static const json_t *find_newest(const struct publish *publish)
{
    size_t i;
    json_t *document;
    const json_t *newest = NULL;
    json_array_foreach(json_object_get(publish->documents, "documents"), i, document)
    {
        if (strcmp(ctl_text(document, "name"), publish->name) == 0 &&
            (newest == NULL || ctl_number(document, "version") > ctl_number(newest, "version")))
            newest = document;
    }
    return newest;
}

static bool is_unchanged(const struct publish *publish, const json_t *newest)
{
    char hex[65];
    hex_encode(publish->sha256, sizeof publish->sha256, hex);
    return publish->version < 0 && strcmp(ctl_text(newest, "sha256"), hex) == 0 &&
           strcmp(ctl_text(newest, "kind"), word_of_kind((int)publish->kind)) == 0 &&
           publish->minimum_version <= ctl_number(newest, "minimum_version");
}

static bool sign_header(struct publish *publish, const json_t *newest, struct err *err)
{
    const struct buf *before = &publish->signed_before.envelope;
    if (before->length > 0)
        return buf_append(&publish->header, before->data, before->length, err);
    if (publish->version < 0)
        publish->version = ctl_number(newest, "version") + 1;
    if (publish->minimum_version < 0)
        publish->minimum_version = ctl_number(newest, "minimum_version");
    Muster__DocumentHeader header = MUSTER__DOCUMENT_HEADER__INIT;
    header.name = (char *)publish->name;
    header.kind = publish->kind;
    header.epoch = newest == NULL ? FIRST_EPOCH : (uint64_t)ctl_number(newest, "epoch");
    header.version = (uint64_t)publish->version;
    header.length = publish->content.length;
    header.sha256 = (ProtobufCBinaryData){sizeof publish->sha256, publish->sha256};
    header.minimum_version = (uint64_t)publish->minimum_version;
    header.scope = MUSTER__DOCUMENT_SCOPE__SCOPE_PUBLIC;
    return document_header_seal(&header, &publish->release, &publish->header, err);
}

/* The blob first: musterd takes a document only when its content is there. */
static bool upload(struct ctl *ctl, const struct publish *publish, json_t **ret_reply,
                   struct err *err)
{
    uint8_t digest[32];
    char hex[65], path[96];
    struct buf text = {0};
    json_t *put = NULL;
    sha256(buf_bytes(&publish->blob), digest);
    hex_encode(digest, sizeof digest, hex);
    (void)snprintf(path, sizeof path, "/api/v1/blobs/%s", hex);
    if (!client_put(ctl->client, path, buf_bytes(&publish->blob), &put, err) ||
        !base64_encode(buf_bytes(&publish->header), &text, err)) {
        json_decref(put);
        return false;
    }
    json_t *request = json_pack("{s:s, s:[{s:s, s:s, s:I}]}", "header", (const char *)text.data,
                                "encodings", "coding", is_sealed(publish) ? "cms" : "zstd", "blob",
                                hex, "size", (json_int_t)publish->blob.length);
    bool ok = client_post(ctl->client, "/api/v1/documents", request, ret_reply, err);
    json_decref(request);
    json_decref(put);
    buf_done(&text);
    return ok;
}

static int print_published(struct ctl *ctl, const json_t *document, bool is_new, struct err *err)
{
    char bytes[CTL_TEXT_BYTES], sent[CTL_TEXT_BYTES];
    if (ctl->json) {
        json_t *shown = json_pack("{s:b, s:O}", "new", (int)is_new, "document", document);
        int code = ctl_print_json(ctl, shown, err);
        json_decref(shown);
        return code;
    }
    ctl_count_text(ctl_number(document, "length"), bytes);
    ctl_count_text(is_new ? ctl_number(document, "blob_size") : 0, sent);
    fprintf(ctl->out,
            "%s version %" PRId64 "%s\n  sha256      %s\n  bytes       %s\n"
            "  bytes sent  %s\n",
            ctl_text(document, "name"), ctl_number(document, "version"),
            is_new ? " is published." : " holds this content already; nothing was published.",
            ctl_text(document, "sha256"), bytes, sent);
    return EXIT_OK;
}

static int publish_new(struct ctl *ctl, struct publish *publish, const json_t *newest,
                       struct err *err)
{
    json_t *document;
    const struct buf *sealed = &publish->signed_before.sealed;
    if (!(is_sealed(publish) ? buf_append(&publish->blob, sealed->data, sealed->length, err)
                             : content_encode(buf_bytes(&publish->content), &publish->blob, err)))
        return err->code == ERR_FULL ? EXIT_INPUT : exit_code_of(err);
    if (!sign_header(publish, newest, err) || !upload(ctl, publish, &document, err))
        return exit_code_of(err);
    int code = print_published(ctl, document, true, err);
    json_decref(document);
    return code;
}

static int publish_all(struct ctl *ctl, struct publish *publish, const struct ctl_args *args,
                       struct err *err)
{
    /* Files that are not there are wrong usage, not something that musterd does not know. */
    if (!read_args(publish, args, err))
        return err->code == ERR_INVALID || err->code == ERR_NOT_FOUND ? EXIT_USAGE
                                                                      : exit_code_of(err);
    if (!read_content(publish, args, err))
        return err->code == ERR_NOT_FOUND ? EXIT_USAGE : exit_code_of(err);
    if (!client_get(ctl->client, "/api/v1/documents", &publish->documents, err))
        return exit_code_of(err);
    const json_t *newest = find_newest(publish);
    if (newest != NULL && is_unchanged(publish, newest))
        return print_published(ctl, newest, false, err);
    return publish_new(ctl, publish, newest, err);
}

static int doc_publish(struct ctl *ctl, const struct ctl_args *args, struct err *err)
{
    struct publish publish = {.content = {.limit = LIMIT_DOCUMENT_BYTES}};
    int code = publish_all(ctl, &publish, args, err);
    publish_done(&publish);
    return code;
}

static const struct ctl_option options[] = {
    {.name = "--kind", .value = "KIND", .help = "table, params, code-profile or file"},
    {.name = "--release-key",
     .value = "KEY",
     .help = "what signs: a private key's file, or a key on a token (pkcs11:...)",
     .repeats = true},
    {.name = "--signed",
     .value = "SIGNED",
     .help = "what was signed without musterd (musterctl doc sign)"},
    {.name = "--version", .value = "N", .help = "[the newest + 1]"},
    {.name = "--minimum-version",
     .value = "N",
     .help = "terminals refuse older ones from now on; never goes down [as before]"},
    {0},
};

const struct ctl_command ctl_doc_publish = {
    .words = "doc publish",
    .arguments = "NAME [FILE]",
    .summary = "Sign a document and hand it to musterd; the same content again is no new version.",
    .options = options,
    .argument_count = 1,
    .optional_count = 1,
    .run = doc_publish,
};
