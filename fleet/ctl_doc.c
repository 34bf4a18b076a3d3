/* SPDX-License-Identifier: Apache-2.0 */
#include "base/file.h"
#include "fleet/content.h"
#include "fleet/ctl_content.h"
#include "fleet/density.h"
#include "fleet/signed_document.h"
#include "fleet/words.h"
#include "proto/limits.h"
#include "proto/package.h"
#include "proto/seal.h"

#include <string.h>

/* A file as it is read through: its length and hash, and all of it while it is short. */
struct reading {
    struct buf content; /* empty if it is longer than LIMIT_DOCUMENT_BYTES */
    uint64_t length;
    struct sha256_state *hash;
    struct density density;
    bool failed;
    struct err *err;
};

static void read_part(void *ctx, struct bytes part)
{
    struct reading *reading = ctx;
    reading->length += part.length;
    sha256_add(reading->hash, part);
    density_add(&reading->density, part);
    if (reading->length > LIMIT_DOCUMENT_BYTES)
        buf_done(&reading->content);
    else if (!buf_append(&reading->content, part.data, part.length, reading->err))
        reading->failed = true;
}

/* What is long is only ever a file or a package, of which there is nothing to check but its
 * length. */
static bool check(const struct ctl_publish *publish, const struct reading *reading, struct err *err)
{
    if (reading->length <= LIMIT_DOCUMENT_BYTES)
        return content_check(publish->kind, buf_bytes(&reading->content), err);
    const uint64_t most = document_length_max(publish->kind, false);
    return reading->length <= most ||
           err_set(err, ERR_INVALID, "the content has %llu bytes, more than the %llu allowed",
                   (unsigned long long)reading->length, (unsigned long long)most);
}

static bool read_content(struct ctl_publish *publish, const char *path, struct reading *reading,
                         struct err *err)
{
    reading->err = err;
    reading->hash = sha256_begin();
    if (reading->hash == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory to read %s", path);
    bool ok = file_scan(path, read_part, reading, err) && !reading->failed;
    sha256_end(reading->hash, publish->sha256);
    publish->length = reading->length;
    publish->dense = density_dense(&reading->density);
    if (!ok)
        return false;
    return check(publish, reading, err) || err_context(err, "%s", path);
}

/* ---- what was signed before ---- */

/* It says by itself what it is. */
static bool take_signed(struct ctl_publish *publish, struct signed_document *before,
                        const char *path, struct err *err)
{
    if (!signed_document_read(path, before, err))
        return false;
    const Muster__DocumentHeader *header = before->header;
    if (strcmp(header->name, publish->name) != 0)
        return err_set(err, ERR_INVALID, "%s was signed as %s", path, header->name);
    if (header->version >= LIMIT_VERSION || header->minimum_version > header->version)
        return err_set(err, ERR_INVALID, "%s: its versions are out of range", path);
    publish->kind = header->kind;
    publish->device = header->device;
    publish->version = (int64_t)header->version;
    publish->minimum_version = (int64_t)header->minimum_version;
    publish->irreversible = header->irreversible;
    publish->length = header->length;
    memcpy(publish->sha256, header->sha256.data, sizeof publish->sha256);
    return buf_append(&publish->header, before->envelope.data, before->envelope.length, err);
}

/* musterd says when it was there already, from a try whose answer was lost. */
static bool is_new(const json_t *document)
{
    return !json_is_false(json_object_get(document, "new"));
}

static int publish_sealed(struct ctl *ctl, struct ctl_publish *publish,
                          const struct signed_document *before, struct err *err)
{
    json_t *document;
    if (!ctl_publish_put_sealed(ctl, publish, buf_bytes(&before->sealed), err) ||
        !ctl_publish_look(ctl, publish, err) || !ctl_publish_post(ctl, publish, &document, err))
        return exit_code_of(err);
    int code = ctl_publish_print(ctl, publish, document, is_new(document), err);
    json_decref(document);
    return code;
}

/* ---- doc publish ---- */

static int publish_new(struct ctl *ctl, struct ctl_publish *publish, const struct signers *signers,
                       const char *path, const struct reading *reading, struct err *err)
{
    struct ctl_content_back back[CTL_CONTENT_BASES];
    size_t back_count = 0;
    json_t *document;
    if (!ctl_content_whole(ctl, publish, path, err) ||
        (reading->content.length > 0 &&
         !ctl_content_deltas(ctl, publish, buf_bytes(&reading->content), back, &back_count, err)) ||
        (publish->header.length == 0 && !ctl_publish_sign(publish, signers, err)) ||
        !ctl_publish_post(ctl, publish, &document, err))
        return exit_code_of(err);
    int code = ctl_content_post_back(ctl, publish, back, back_count, err)
                   ? ctl_publish_print(ctl, publish, document, is_new(document), err)
                   : exit_code_of(err);
    json_decref(document);
    return code;
}

/* Whoever published it may have been interrupted before the deltas that lead back from it. */
static int complete(struct ctl *ctl, struct ctl_publish *publish, const struct reading *reading,
                    struct err *err)
{
    struct ctl_content_back back[CTL_CONTENT_BASES];
    size_t count = 0;
    if (reading->content.length > 0 &&
        (!ctl_content_lacking(ctl, publish, buf_bytes(&reading->content), back, &count, err) ||
         !ctl_content_post_back(ctl, publish, back, count, err)))
        return exit_code_of(err);
    return ctl_publish_print(ctl, publish, ctl_publish_newest(publish), false, err);
}

static const char kinds[] =
    "table, aid-list, ca-keys, params, code-profile, file, application or firmware";

/* The options, and all that must be there to sign with, or is signed already. */
static bool read_args(struct ctl_publish *publish, struct signers *signers,
                      struct signed_document *before, const struct ctl_args *args, struct err *err)
{
    const char *path = ctl_arg(args, "--signed", NULL);
    if (!ctl_publish_args(publish, args->arguments[0], args, err))
        return false;
    if (path != NULL) {
        bool has_file = args->argument_count > 1;
        if (!take_signed(publish, before, path, err))
            return false;
        return has_file == (before->sealed.length == 0) ||
               err_set(err, ERR_INVALID,
                       has_file ? "what is sealed is in the signed file already"
                                : "the FILE with the content is missing");
    }
    if (args->argument_count < 2 || ctl_arg(args, "--release-key", NULL) == NULL)
        return err_set(err, ERR_INVALID,
                       "expected a FILE and --release-key KEY to sign it with, or --signed SIGNED");
    if (ctl_arg(args, "--kind", NULL) == NULL)
        return err_set(err, ERR_INVALID, "--kind is missing: %s", kinds);
    return word_to_kind(ctl_arg(args, "--kind", ""), &publish->kind, err) &&
           (publish->kind != MUSTER__DOCUMENT_KIND__DOCUMENT_KEY_BLOCK ||
            err_set(err, ERR_INVALID,
                    "a key block is never published to everybody: seal it to one device")) &&
           ctl_publish_check_package(publish, err) &&
           signers_open(args, "--release-key", signers, err);
}

static int publish_all(struct ctl *ctl, struct ctl_publish *publish, struct signers *signers,
                       struct signed_document *before, struct reading *reading,
                       const struct ctl_args *args, struct err *err)
{
    const char *path = args->arguments[1];
    /* Files that are not there are wrong usage, not something that musterd does not know. */
    if (!read_args(publish, signers, before, args, err))
        return err->code == ERR_INVALID || err->code == ERR_NOT_FOUND ? EXIT_USAGE
                                                                      : exit_code_of(err);
    if (before->sealed.length > 0)
        return publish_sealed(ctl, publish, before, err);
    const bool next = publish->version < 0;
    if (!read_content(publish, path, reading, err) ||
        (before->header != NULL && !signed_document_names(before, path, err)))
        return err->code == ERR_NOT_FOUND ? EXIT_USAGE : exit_code_of(err);
    if (!ctl_publish_look(ctl, publish, err))
        return exit_code_of(err);
    if (next && ctl_publish_is_there(publish))
        return complete(ctl, publish, reading, err);
    return publish_new(ctl, publish, signers, path, reading, err);
}

static int doc_publish(struct ctl *ctl, const struct ctl_args *args, struct err *err)
{
    struct ctl_publish publish = {0};
    struct signers signers = {0};
    struct signed_document before = {.header = NULL};
    struct reading reading = {0};
    int code = publish_all(ctl, &publish, &signers, &before, &reading, args, err);
    ctl_publish_done(&publish);
    signed_document_done(&before);
    signers_done(&signers);
    buf_done(&reading.content);
    return code;
}

static const struct ctl_option options[] = {
    {.name = "--kind", .value = "KIND", .help = kinds},
    {.name = "--release-key",
     .value = "KEY",
     .help = "what signs: a private key's file, or a key on a token (pkcs11:...); more than one "
             "where the root asks for it",
     .repeats = true},
    {.name = "--signed",
     .value = "SIGNED",
     .help = "in their place: what was signed without musterd (musterctl doc sign)"},
    CTL_PUBLISH_OPTIONS,
    {0},
};

const struct ctl_command ctl_doc_publish = {
    .words = "doc publish",
    .arguments = "NAME [FILE]",
    .summary = "Sign a document and hand it to musterd; the same content again is no new version.",
    .notes =
        "Deltas from and to the last 4 versions are made along with it. A file or package of more "
        "than\n16 MiB (512 MiB at the most) is sent whole, in pieces that terminals resume.",
    .options = options,
    .argument_count = 1,
    .optional_count = 1,
    .run = doc_publish,
};
