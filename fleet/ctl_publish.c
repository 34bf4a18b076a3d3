/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/ctl_publish.h"

#include "base/file.h"
#include "fleet/base64.h"
#include "fleet/ctl_table.h"
#include "fleet/key_json.h"
#include "fleet/parcel.h"
#include "fleet/signed_document.h"
#include "fleet/words.h"
#include "proto/limits.h"
#include "proto/package.h"
#include "proto/topics.h"

#include <inttypes.h>
#include <string.h>

void ctl_publish_done(struct ctl_publish *publish)
{
    buf_done(&publish->header);
    trust_free(publish->root);
    json_decref(publish->there);
}

static bool read_root(struct ctl_publish *publish, const char *path, struct err *err)
{
    struct buf root = {0};
    bool ok = path == NULL || (file_read(path, LIMIT_ROOT_BYTES, &root, err) &&
                               (trust_open(buf_bytes(&root), &publish->root, err) ||
                                err_context(err, "%s is not a root, such as keys/root.bin", path)));
    buf_done(&root);
    return ok;
}

bool ctl_publish_args(struct ctl_publish *publish, const char *name, const struct ctl_args *args,
                      struct err *err)
{
    const int64_t most = (int64_t)LIMIT_VERSION - 1;
    publish->name = name;
    publish->device = "";
    publish->irreversible = ctl_arg(args, "--irreversible", NULL) != NULL;
    publish->dry_run = ctl_is_dry_run(args);
    publish->package_version = ctl_arg(args, "--package-version", "");
    publish->model = ctl_arg(args, "--model", "");
    if (!document_name_valid(name))
        return err_set(err, ERR_INVALID,
                       "\"%.60s\" is not a document's name: expected [a-z0-9][a-z0-9._-]{0,47}",
                       name);
    return ctl_arg_number(args, "--version", -1, 1, most, &publish->version, err) &&
           ctl_arg_number(args, "--minimum-version", -1, 0, most, &publish->minimum_version, err) &&
           read_root(publish, ctl_arg(args, "--root", NULL), err);
}

bool ctl_publish_check_package(const struct ctl_publish *publish, struct err *err)
{
    Muster__DocumentHeader header = MUSTER__DOCUMENT_HEADER__INIT;
    header.name = (char *)(uintptr_t)publish->name;
    header.kind = publish->kind;
    header.package_version = (char *)(uintptr_t)publish->package_version;
    header.model = (char *)(uintptr_t)publish->model;
    if (package_kind(publish->kind) && publish->package_version[0] == '\0')
        return err_set(err, ERR_INVALID,
                       "--package-version is missing: what the terminal is to report once this "
                       "runs, as its version hook prints it");
    return package_header_check(&header, err);
}

/* ---- what is there ---- */

const json_t *ctl_publish_newest(const struct ctl_publish *publish)
{
    size_t i;
    json_t *document;
    const json_t *newest = NULL;
    json_array_foreach(json_object_get(publish->there, "documents"), i, document)
    {
        int64_t epoch = ctl_number(document, "epoch");
        if (newest == NULL || epoch > ctl_number(newest, "epoch") ||
            (epoch == ctl_number(newest, "epoch") &&
             ctl_number(document, "version") > ctl_number(newest, "version")))
            newest = document;
    }
    return newest;
}

static bool take_epoch(struct ctl_publish *publish, struct err *err)
{
    publish->epoch = (uint64_t)ctl_number(publish->there, "epoch");
    if (publish->root == NULL || trust_epoch(publish->root) == publish->epoch)
        return true;
    return err_set(err, ERR_REFUSED,
                   "musterd is in epoch %" PRIu64 " and the root of --root in epoch %" PRIu64
                   ": nothing is signed for either before both are the root in force",
                   publish->epoch, trust_epoch(publish->root));
}

/* Those that are not given. In a new epoch they go on, unless a thief has used them up. */
static bool take_numbers(struct ctl_publish *publish, struct err *err)
{
    const json_t *newest = ctl_publish_newest(publish);
    int64_t version = ctl_number(newest, "version");
    int64_t minimum = ctl_number(newest, "minimum_version");
    const bool leap = version >= CTL_PUBLISH_COUNTED || minimum >= CTL_PUBLISH_COUNTED;
    if (leap && (uint64_t)ctl_number(newest, "epoch") < publish->epoch)
        version = minimum = 0;
    else if (leap && (publish->version < 0 || publish->minimum_version < 0))
        return err_set(err, ERR_REFUSED,
                       "musterd says that version %" PRId64 " of %s is the newest, minimum version "
                       "%" PRId64 ": nobody gets there by counting, so nothing is signed above it; "
                       "if you know that it is so, say --version and --minimum-version",
                       version, publish->name, minimum);
    if (publish->version < 0)
        publish->version = version + 1;
    if (publish->minimum_version < 0)
        publish->minimum_version = minimum;
    return true;
}

/* As musterd looks at it, and before anything is sent. */
static bool check_package_version(const struct ctl_publish *publish, struct err *err)
{
    char hex[65];
    size_t i;
    json_t *document;
    hex_encode(publish->sha256, sizeof publish->sha256, hex);
    json_array_foreach(json_object_get(publish->there, "documents"), i, document)
    {
        if (publish->package_version[0] != '\0' &&
            strcmp(ctl_text(document, "package_version"), publish->package_version) == 0 &&
            package_models_meet(ctl_text(document, "model"), publish->model) &&
            strcmp(ctl_text(document, "sha256"), hex) != 0)
            return err_set(err, ERR_CONFLICT,
                           "package version %s of %s is that of version %" PRId64
                           ", which has another content: terminals that run it would install "
                           "nothing; give it a --package-version of its own",
                           publish->package_version, publish->name,
                           ctl_number(document, "version"));
    }
    return true;
}

bool ctl_publish_look(struct ctl *ctl, struct ctl_publish *publish, struct err *err)
{
    char path[160];
    bool sealed = publish->device[0] != '\0';
    (void)snprintf(path, sizeof path, "/api/v1/documents?name=%s%s%s", publish->name,
                   sealed ? "&device=" : "", publish->device);
    if (!client_get(ctl->client, path, &publish->there, err))
        return false;
    return take_epoch(publish, err) && take_numbers(publish, err) &&
           check_package_version(publish, err);
}

bool ctl_publish_is_there(const struct ctl_publish *publish)
{
    char hex[65];
    const json_t *newest = ctl_publish_newest(publish);
    hex_encode(publish->sha256, sizeof publish->sha256, hex);
    return newest != NULL && strcmp(ctl_text(newest, "sha256"), hex) == 0 &&
           strcmp(ctl_text(newest, "kind"), word_of_kind((int)publish->kind)) == 0 &&
           strcmp(ctl_text(newest, "device"), publish->device) == 0 &&
           strcmp(ctl_text(newest, "package_version"), publish->package_version) == 0 &&
           strcmp(ctl_text(newest, "model"), publish->model) == 0 &&
           (uint64_t)ctl_number(newest, "epoch") == publish->epoch &&
           json_is_true(json_object_get(newest, "irreversible")) == publish->irreversible &&
           publish->minimum_version <= ctl_number(newest, "minimum_version");
}

/* ---- sending ---- */

bool ctl_publish_put(void *ctx, const uint8_t sha256[32], struct bytes blob, struct err *err)
{
    const struct ctl_upload *upload = ctx;
    char hex[65], path[96];
    json_t *reply = NULL;
    if (upload->dry_run)
        return true;
    hex_encode(sha256, 32, hex);
    (void)snprintf(path, sizeof path, "/api/v1/blobs/%s", hex);
    bool ok = client_put(upload->ctl->client, path, blob, &reply, err);
    json_decref(reply);
    return ok;
}

bool ctl_publish_put_sealed(struct ctl *ctl, struct ctl_publish *publish, struct bytes sealed,
                            struct err *err)
{
    struct ctl_upload upload = {ctl, publish->dry_run};
    struct parcel parcel = {.put = ctl_publish_put, .ctx = &upload};
    struct fleetdb_encoding encoding = {.coding = MUSTER__CONTENT_CODING__CONTENT_CMS};
    bool ok = parcel_add(&parcel, sealed, err) && parcel_end(&parcel, &encoding, err);
    parcel_done(&parcel);
    if (ok)
        publish->encodings[publish->encoding_count++] = encoding;
    return ok;
}

bool ctl_publish_sign(struct ctl_publish *publish, const struct signers *signers, struct err *err)
{
    const bool sealed = publish->device[0] != '\0';
    Muster__DocumentHeader header = MUSTER__DOCUMENT_HEADER__INIT;
    if (publish->root != NULL &&
        !document_signers_check(publish->root, publish->kind, signers, err))
        return false;
    header.name = (char *)publish->name;
    header.kind = publish->kind;
    header.epoch = publish->epoch;
    header.version = (uint64_t)publish->version;
    header.length = publish->length;
    header.sha256 = (ProtobufCBinaryData){sizeof publish->sha256, publish->sha256};
    header.minimum_version = (uint64_t)publish->minimum_version;
    header.irreversible = publish->irreversible;
    header.scope =
        sealed ? MUSTER__DOCUMENT_SCOPE__SCOPE_SEALED : MUSTER__DOCUMENT_SCOPE__SCOPE_PUBLIC;
    header.device = (char *)publish->device;
    header.key = publish->key;
    header.package_version = (char *)(uintptr_t)publish->package_version;
    header.model = (char *)(uintptr_t)publish->model;
    return document_header_seal(&header, signers, publish->dry_run, &publish->header, err);
}

/* As musterd would answer; it has not got the blobs. */
static json_t *what_it_would_be(const struct ctl_publish *publish)
{
    char hex[65];
    const struct fleetdb_encoding *whole =
        encoding_whole(publish->encodings, publish->encoding_count);
    hex_encode(publish->sha256, sizeof publish->sha256, hex);
    return json_pack(
        "{s:s, s:s, s:s, s:b, s:s, s:s, s:I, s:I, s:I, s:I, s:s, s:I, s:o, s:o}", "name",
        publish->name, "kind", word_of_kind((int)publish->kind), "device", publish->device,
        "irreversible", (int)publish->irreversible, "package_version", publish->package_version,
        "model", publish->model, "version", (json_int_t)publish->version, "epoch",
        (json_int_t)publish->epoch, "minimum_version", (json_int_t)publish->minimum_version,
        "length", (json_int_t)publish->length, "sha256", hex, "blob_size",
        (json_int_t)(whole != NULL ? encoding_weight(whole) : 0), "encodings",
        encodings_json(publish->encodings, publish->encoding_count), "key", key_json(publish->key));
}

bool ctl_publish_post(struct ctl *ctl, const struct ctl_publish *publish, json_t **ret_document,
                      struct err *err)
{
    struct buf text = {0};
    if (!base64_encode(buf_bytes(&publish->header), &text, err))
        return false;
    json_t *reply = NULL;
    json_t *request = json_pack("{s:s, s:o, s:b}", "header", (const char *)text.data, "encodings",
                                encodings_json(publish->encodings, publish->encoding_count),
                                "dry_run", (int)publish->dry_run);
    bool ok = client_post(ctl->client, "/api/v1/documents", request, &reply, err);
    json_decref(request);
    buf_done(&text);
    if (!ok)
        return false;
    *ret_document = publish->dry_run ? what_it_would_be(publish) : json_incref(reply);
    json_decref(reply);
    return *ret_document != NULL || err_set(err, ERR_NO_MEMORY, "no memory for the document");
}

/* ---- telling ---- */

/* The cheapest delta from the version before, or 0. */
static uint64_t smallest_delta(const struct ctl_publish *publish)
{
    uint64_t smallest = 0;
    for (size_t i = 0; i < publish->encoding_count; i++) {
        uint64_t weight = encoding_weight(&publish->encodings[i]);
        if (publish->encodings[i].delta && (smallest == 0 || weight < smallest))
            smallest = weight;
    }
    return smallest;
}

int ctl_publish_print(struct ctl *ctl, const struct ctl_publish *publish, const json_t *document,
                      bool is_new, struct err *err)
{
    char bytes[CTL_TEXT_BYTES], sent[CTL_TEXT_BYTES], delta[CTL_TEXT_BYTES];
    if (ctl->json) {
        json_t *shown = json_pack("{s:b, s:b, s:O}", "new", (int)is_new, "dry_run",
                                  (int)publish->dry_run, "document", document);
        int code = ctl_print_json(ctl, shown, err);
        json_decref(shown);
        return code;
    }
    const uint64_t smallest = smallest_delta(publish);
    ctl_count_text(ctl_number(document, "length"), bytes);
    ctl_count_text(is_new ? ctl_number(document, "blob_size") : 0, sent);
    ctl_count_text((int64_t)smallest, delta);
    fprintf(ctl->out, "%s version %" PRId64 "%s\n", ctl_text(document, "name"),
            ctl_number(document, "version"),
            !is_new            ? " holds this content already; nothing was published."
            : publish->dry_run ? " would be published."
                               : " is published.");
    fprintf(ctl->out, "  epoch       %" PRId64 "\n  minimum     %" PRId64 "\n",
            ctl_number(document, "epoch"), ctl_number(document, "minimum_version"));
    fprintf(ctl->out, "  sha256      %s\n  bytes       %s\n  bytes sent  %s%s%s%s\n",
            ctl_text(document, "sha256"), bytes, sent, smallest != 0 ? ", or " : "",
            smallest != 0 ? delta : "",
            smallest != 0 ? " to a terminal that holds a version before it" : "");
    if (ctl_text(document, "package_version")[0] != '\0')
        fprintf(ctl->out, "  package     version %s, for %s%s\n",
                ctl_text(document, "package_version"),
                ctl_text(document, "model")[0] != '\0' ? "model " : "any model",
                ctl_text(document, "model"));
    if (publish->dry_run)
        ctl_say_dry_run(ctl);
    return EXIT_OK;
}
