/* SPDX-License-Identifier: Apache-2.0 */
/* After a key or the epoch has changed: what terminals are to hold is signed again, by people, and
 * what they sign is what the keys before have signed, whatever musterd says. */
#include "base/file.h"
#include "fleet/base64.h"
#include "fleet/ctl_key.h"
#include "fleet/ctl_publish.h"
#include "fleet/ctl_table.h"
#include "fleet/ctl_wanted.h"
#include "fleet/key_json.h"
#include "fleet/signed_document.h"
#include "fleet/words.h"
#include "proto/limits.h"
#include "proto/unpack.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct resign {
    struct ctl *ctl;
    struct trust *root, *previous;
    struct signers signers;
    json_t *wanted, *documents; /* see ctl_wanted.h */
    json_t *rows;               /* what became of each */
    bool dry;
    size_t refused, left;
    int64_t retired; /* devices that are left out */
};

/* One document on its way. */
struct again {
    const json_t *listed; /* musterd's word */
    struct buf old, fresh;
    struct arena arena;
    Muster__DocumentHeader header;
    bool is_good; /* it is signed as it must be already */
};

static bool read_root(const char *path, struct trust **ret_trust, struct err *err)
{
    struct buf root = {0};
    bool ok = file_read(path, LIMIT_ROOT_BYTES, &root, err) &&
              (trust_open(buf_bytes(&root), ret_trust, err) ||
               err_context(err, "%s is not a root, such as keys/root.bin", path));
    buf_done(&root);
    return ok;
}

/* ---- one document ---- */

static const struct key_set *keys_of(const struct trust *trust, Muster__DocumentKind kind)
{
    return trust_keys(trust, document_role(kind));
}

/* The header that musterd holds, as somebody signed it: what it is of counts, not what it is
 * listed as. */
static bool read_old(struct again *again, struct err *err)
{
    static const struct unpack_limits limits = {.max_bytes = LIMIT_DOCUMENT_HEADER_BYTES,
                                                .max_elements = 32};
    const char *text = ctl_text(again->listed, "header");
    struct envelope envelope;
    ProtobufCMessage *message = NULL;
    char hex[65] = "";
    again->old.limit = LIMIT_DOCUMENT_HEADER_BYTES;
    if (!base64_decode(text, strlen(text), &again->old, err) ||
        !envelope_read(buf_bytes(&again->old), &envelope, err) ||
        !unpack(&muster__document_header__descriptor, envelope.body, &limits, &again->arena,
                &message, err))
        return err_context(err, "its header");
    again->header = *(const Muster__DocumentHeader *)message;
    if (again->header.sha256.len == 32)
        hex_encode(again->header.sha256.data, 32, hex);
    return (strcmp(again->header.name, ctl_text(again->listed, "name")) == 0 &&
            strcmp(again->header.device, ctl_text(again->listed, "device")) == 0 &&
            strcmp(hex, ctl_text(again->listed, "sha256")) == 0) ||
           err_set(err, ERR_REFUSED, "what was signed is not what musterd lists");
}

static bool check_old(const struct resign *resign, struct again *again, struct err *err)
{
    struct bytes body, old = buf_bytes(&again->old);
    Muster__DocumentKind kind = again->header.kind;
    again->is_good = again->header.epoch == trust_epoch(resign->root) &&
                     unseal("document", "", old, keys_of(resign->root, kind), &body, NULL);
    return again->is_good ||
           (again->header.epoch == trust_epoch(resign->previous) &&
            unseal("document", "", old, keys_of(resign->previous, kind), &body, NULL)) ||
           err_set(err, ERR_REFUSED,
                   "the keys of root %" PRIu64 " have not signed it: publish it from your own file",
                   trust_version(resign->previous));
}

/* Those of the keys at hand that sign this kind. */
static struct signers signers_for(const struct resign *resign, Muster__DocumentKind kind)
{
    struct signers some = {.count = 0};
    for (size_t i = 0; i < resign->signers.count; i++) {
        struct signers one = {.keys = {resign->signers.keys[i]}, .count = 1};
        if (document_signers_check(resign->root, kind, &one, NULL))
            some.keys[some.count++] = resign->signers.keys[i];
    }
    return some;
}

/* In a new epoch the number stays, unless one as high was given there before. */
static void number(const struct resign *resign, struct again *again)
{
    uint64_t epoch = trust_epoch(resign->root);
    uint64_t newest = (uint64_t)ctl_wanted_newest(resign->documents, again->header.name, epoch);
    bool stays = again->header.epoch < epoch && again->header.version > newest;
    again->header.version = stays ? again->header.version : newest + 1;
    again->header.epoch = epoch;
    uint64_t minimum = (uint64_t)ctl_wanted_minimum(resign->documents, again->header.name, epoch);
    if (again->header.minimum_version < minimum)
        again->header.minimum_version = minimum; /* it never goes down, whatever is signed again */
    if (again->header.minimum_version > again->header.version)
        again->header.minimum_version = again->header.version;
}

static bool send(const struct resign *resign, const struct again *again, struct err *err)
{
    struct buf text = {0};
    json_t *reply = NULL;
    if (!base64_encode(buf_bytes(&again->fresh), &text, err))
        return false;
    json_t *request =
        json_pack("{s:s, s:O, s:b}", "header", (const char *)text.data, "encodings",
                  json_object_get(again->listed, "encodings"), "dry_run", (int)resign->dry);
    bool ok = client_post(resign->ctl->client, "/api/v1/documents", request, &reply, err);
    json_decref(request);
    json_decref(reply);
    buf_done(&text);
    return ok;
}

/* False without an error: the keys for it are not here. */
static bool sign_again(struct resign *resign, struct again *again, struct err *err)
{
    struct signers signers = signers_for(resign, again->header.kind);
    if (signers.count < keys_of(resign->root, again->header.kind)->threshold)
        return false;
    number(resign, again);
    if (again->header.version > (uint64_t)CTL_PUBLISH_COUNTED)
        return err_set(err, ERR_REFUSED,
                       "version %" PRIu64 " is a thief's number: publish it from your own file",
                       again->header.version);
    if (!document_header_seal(&again->header, &signers, resign->dry, &again->fresh, err) ||
        !send(resign, again, err))
        return false;
    ctl_wanted_given(resign->documents, &again->header);
    return true;
}

static const char *one_document(struct resign *resign, struct again *again, struct err *err)
{
    if (!read_old(again, err) || !check_old(resign, again, err))
        return "refused";
    if (!again->is_good && !sign_again(resign, again, err))
        return err->code == ERR_NONE ? "left to who has the keys" : "refused";
    if (!resign->dry && !ctl_wanted_assign(resign->ctl, resign->wanted, again->listed,
                                           (int64_t)again->header.version, err))
        return "refused";
    return again->is_good ? "was signed already" : "signed again";
}

static bool add_document(struct resign *resign, const json_t *listed, struct err *err)
{
    struct again again = {.listed = listed, .arena = {.limit_bytes = 16 * 1024}};
    struct err why = {0};
    muster__document_header__init(&again.header);
    const char *result = one_document(resign, &again, &why);
    resign->refused += why.code != ERR_NONE;
    resign->left += strncmp(result, "left", 4) == 0;
    json_t *row = json_pack(
        "{s:s, s:s, s:s, s:I, s:I, s:I, s:s, s:s, s:o}", "name", ctl_text(listed, "name"), "device",
        ctl_text(listed, "device"), "sha256", ctl_text(listed, "sha256"), "epoch",
        (json_int_t)again.header.epoch, "version", (json_int_t)again.header.version, "devices",
        (json_int_t)ctl_wanted_count(resign->wanted, listed), "result", result, "why", why.text,
        "key", key_json(again.header.key));
    bool ok = row != NULL && json_array_append_new(resign->rows, row) == 0;
    arena_done(&again.arena);
    buf_done(&again.old);
    buf_done(&again.fresh);
    return ok || err_set(err, ERR_NO_MEMORY, "no memory for what was done");
}

/* ---- all of them ---- */

static int print_rows(struct ctl *ctl, const struct resign *resign, struct err *err)
{
    size_t i;
    json_t *row;
    if (ctl->json) {
        json_t *shown = json_pack("{s:b, s:I, s:O}", "dry_run", (int)resign->dry, "retired",
                                  (json_int_t)resign->retired, "documents", resign->rows);
        int code = ctl_print_json(ctl, shown, err);
        json_decref(shown);
        return code;
    }
    struct ctl_table *table =
        ctl_table_new("DOCUMENT|FOR|SHA256|KEY|>EPOCH|>VERSION|>DEVICES|RESULT");
    json_array_foreach(resign->rows, i, row)
    {
        const char *device = ctl_text(row, "device"), *why = ctl_text(row, "why");
        ctl_table_text(table, ctl_text(row, "name"));
        ctl_table_text(table, device[0] == '\0' ? "all" : device);
        ctl_table_format(table, "%.16s", ctl_text(row, "sha256"));
        ctl_key_column(table, json_object_get(row, "key"));
        ctl_table_count(table, ctl_number(row, "epoch"));
        ctl_table_count(table, ctl_number(row, "version"));
        ctl_table_count(table, ctl_number(row, "devices"));
        ctl_table_format(table, "%s%s%s", ctl_text(row, "result"), why[0] == '\0' ? "" : ": ", why);
    }
    bool ok = ctl_print_table(ctl, table, "No terminal is to hold any of these.");
    if (resign->retired > 0)
        fprintf(ctl->out,
                "\n%" PRId64 " retired devices were assigned something; they are left out.\n",
                resign->retired);
    if (resign->dry)
        ctl_say_dry_run(ctl);
    return ok ? EXIT_OK : EXIT_SYSTEM;
}

static int resign_all(struct ctl *ctl, struct resign *resign, const char *name, struct err *err)
{
    size_t count;
    if (!ctl_wanted_read(ctl, name, &resign->wanted, &resign->documents, &resign->retired, err))
        return exit_code_of(err);
    json_t *chosen = ctl_wanted_documents(resign->wanted, resign->documents, &count);
    bool ok = true;
    for (size_t i = 0; ok && i < count; i++)
        ok = add_document(resign, json_array_get(chosen, i), err);
    json_decref(chosen);
    int code = ok ? print_rows(ctl, resign, err) : exit_code_of(err);
    if (code == EXIT_OK && resign->refused > 0) {
        err_set(err, ERR_REFUSED, "%zu documents were refused", resign->refused);
        code = EXIT_INPUT;
    } else if (code == EXIT_OK && resign->left > 0) {
        err_set(err, ERR_REFUSED, "%zu documents are left to who has the keys", resign->left);
        code = EXIT_NO;
    }
    return code;
}

static int doc_resign(struct ctl *ctl, const struct ctl_args *args, struct err *err)
{
    struct resign resign = {.ctl = ctl, .rows = json_array(), .dry = ctl_is_dry_run(args)};
    const char *name = args->argument_count > 0 ? args->arguments[0] : NULL;
    int code = EXIT_USAGE;
    if (read_root(ctl_arg(args, "--root", ""), &resign.root, err) &&
        read_root(ctl_arg(args, "--previous", ""), &resign.previous, err) &&
        signers_open(args, "--key", &resign.signers, err))
        code = resign_all(ctl, &resign, name, err);
    else if (err->code != ERR_NOT_FOUND)
        code = exit_code_of(err);
    signers_done(&resign.signers);
    trust_free(resign.root);
    trust_free(resign.previous);
    json_decref(resign.wanted);
    json_decref(resign.documents);
    json_decref(resign.rows);
    return code;
}

static const struct ctl_option options[] = {
    {.name = "--root", .value = "ROOT.BIN", .help = "the root in force now", .required = true},
    {.name = "--previous",
     .value = "ROOT.BIN",
     .help = "the one whose keys signed what is signed again",
     .required = true},
    SIGNERS_KEY_OPTION,
    CTL_DRY_RUN,
    {0},
};

const struct ctl_command ctl_doc_resign = {
    .words = "doc resign",
    .arguments = "[NAME]",
    .summary = "Sign again what terminals are to hold, after a key or the epoch has changed.",
    .notes =
        "Only what the keys of --previous have signed is signed, and the same content; musterd's\n"
        "word is not asked. Terminals keep the assignments that they have. If the release key\n"
        "was stolen, look at each hash first (--dry-run), or publish from your own files.",
    .options = options,
    .argument_count = 0,
    .optional_count = 1,
    .has_csv = true,
    .run = doc_resign,
};
