/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/ctl_order.h"

#include "base/file.h"
#include "fleet/content.h"
#include "fleet/ctl_compare.h"
#include "fleet/ctl_content.h"
#include "fleet/ctl_table.h"
#include "fleet/frame.h"
#include "fleet/words.h"
#include "proto/limits.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
    COMPARED = 16, /* versions that devices are on now */
};

struct plan {
    struct ctl *ctl;
    const char *name, *key;
    json_t *documents, *request, *answer;
    const json_t *document; /* what is planned, published; NULL: a file, or nothing */
    Muster__DocumentKind kind;
    struct buf content; /* of what is planned; empty: nothing to compare */
    json_t *compared;   /* [{"from", "devices", and what ctl_compare gives}] */
};

static void plan_done(struct plan *plan)
{
    json_decref(plan->documents);
    json_decref(plan->request);
    json_decref(plan->answer);
    json_decref(plan->compared);
    buf_done(&plan->content);
}

/* ---- a file that is not published yet ---- */

static bool add_encoding(json_t *list, const struct plan *plan, struct bytes base,
                         const char *base_sha256, struct err *err)
{
    struct buf frame = {.limit = LIMIT_CONTENT_BYTES};
    bool ok = frame_make(buf_bytes(&plan->content), base, &frame, err);
    json_t *encoding = ok ? json_pack("{s:I}", "size", (json_int_t)frame.length) : NULL;
    buf_done(&frame);
    if (base_sha256 != NULL)
        json_object_set_new(encoding, "base", json_string(base_sha256));
    if (ok && json_array_append_new(list, encoding) != 0)
        return err_set(err, ERR_NO_MEMORY, "no memory for the plan");
    return ok;
}

/* As doc publish would make them: from the last contents, of which some devices may hold one. */
static bool add_deltas(json_t *list, const struct plan *plan, const uint8_t sha256[32],
                       struct err *err)
{
    const json_t *bases[CTL_CONTENT_BASES];
    const size_t count =
        ctl_content_bases(json_object_get(plan->documents, "documents"), sha256, bases);
    for (size_t i = 0; i < count; i++) {
        struct buf base = {.limit = LIMIT_DOCUMENT_BYTES};
        bool ok = ctl_content_fetch(plan->ctl, bases[i], &base, err) &&
                  add_encoding(list, plan, buf_bytes(&base), ctl_text(bases[i], "sha256"), err);
        buf_done(&base);
        if (!ok)
            return false;
    }
    return true;
}

static bool add_candidate(struct plan *plan, const struct ctl_args *args, struct err *err)
{
    const json_t *newest = ctl_document_find(plan->documents, plan->name, 0);
    int64_t minimum, version = ctl_number(newest, "version") + 1;
    char hex[65];
    uint8_t digest[32];
    if (!ctl_arg_number(args, "--minimum-version", ctl_number(newest, "minimum_version"), 0,
                        version, &minimum, err))
        return false;
    sha256(buf_bytes(&plan->content), digest);
    json_t *list = json_array();
    if (!add_encoding(list, plan, bytes_of(NULL, 0), NULL, err) ||
        !add_deltas(list, plan, digest, err)) {
        json_decref(list);
        return false;
    }
    hex_encode(digest, sizeof digest, hex);
    return json_object_set_new(plan->request, "candidate",
                               json_pack("{s:I, s:I, s:s, s:b, s:o}", "version",
                                         (json_int_t)version, "minimum_version",
                                         (json_int_t)minimum, "sha256", hex, "irreversible",
                                         (int)(ctl_arg(args, "--irreversible", NULL) != NULL),
                                         "encodings", list)) == 0 ||
           err_set(err, ERR_NO_MEMORY, "no memory for the plan");
}

static int read_file(struct plan *plan, const struct ctl_args *args, struct err *err)
{
    const char *path = ctl_arg(args, "--file", NULL);
    const json_t *newest = ctl_document_find(plan->documents, plan->name, 0);
    const char *word = ctl_arg(args, "--kind", newest == NULL ? NULL : ctl_text(newest, "kind"));
    if (word == NULL)
        err_set(err, ERR_INVALID, "%s is not published yet: say its --kind", plan->name);
    if (word == NULL || !word_to_kind(word, &plan->kind, err))
        return EXIT_USAGE;
    if (!ctl_content_read(path, &plan->content, err))
        return err->code == ERR_NOT_FOUND ? EXIT_USAGE : exit_code_of(err);
    if (!content_check(plan->kind, buf_bytes(&plan->content), err) ||
        !add_candidate(plan, args, err))
        return exit_code_of(err);
    return EXIT_OK;
}

/* ---- what differs in it ---- */

/* Content of what is planned, where it is published and can be read. */
static bool read_planned(struct plan *plan, struct err *err)
{
    int64_t version = ctl_number(plan->request, "version");
    plan->document = ctl_document_find(plan->documents, plan->name, version);
    if (plan->document == NULL || strcmp(ctl_text(plan->document, "scope"), "sealed") == 0 ||
        ctl_number(plan->document, "length") > LIMIT_DOCUMENT_BYTES)
        return true;
    return word_to_kind(ctl_text(plan->document, "kind"), &plan->kind, err) &&
           ctl_content_fetch(plan->ctl, plan->document, &plan->content, err);
}

static bool compare_from(struct plan *plan, int64_t from, int64_t devices, struct err *err)
{
    const json_t *document = ctl_document_find(plan->documents, plan->name, from);
    struct buf before = {.limit = LIMIT_DOCUMENT_BYTES};
    json_t *compared = NULL;
    if (document == NULL || ctl_number(document, "length") > LIMIT_DOCUMENT_BYTES)
        return true;
    bool ok = ctl_content_fetch(plan->ctl, document, &before, err);
    if (ok) {
        const struct ctl_contents contents = {.kind = plan->kind,
                                              .key = plan->key,
                                              .before = buf_bytes(&before),
                                              .after = buf_bytes(&plan->content)};
        ok = ctl_compare(&contents, &compared, err);
    }
    buf_done(&before);
    if (!ok)
        return false;
    json_object_del(compared, "changes");
    json_object_set_new(compared, "from", json_integer(from));
    json_object_set_new(compared, "devices", json_integer(devices));
    return json_array_append_new(plan->compared, compared) == 0 ||
           err_set(err, ERR_NO_MEMORY, "no memory for what differs");
}

/* Once for each version that devices are on now. */
static bool compare_all(struct plan *plan, struct err *err)
{
    struct {
        int64_t version, devices;
    } froms[COMPARED] = {{0}};
    size_t i, count = 0;
    json_t *device;
    json_array_foreach(json_object_get(plan->answer, "devices"), i, device)
    {
        int64_t from = ctl_number(json_object_get(device, "from"), "version");
        size_t at = 0;
        while (at < count && froms[at].version != from)
            at++;
        if (from == 0 || !json_is_true(json_object_get(device, "changed")) || at == COMPARED)
            continue;
        count += at == count;
        froms[at].version = from;
        froms[at].devices++;
    }
    for (i = 0; plan->content.length > 0 && i < count; i++)
        if (!compare_from(plan, froms[i].version, froms[i].devices, err))
            return false;
    return true;
}

static void add_rows(struct ctl_table *table, const json_t *compared)
{
    const json_t *rows = json_object_get(compared, "rows");
    const json_t *bytes = json_object_get(compared, "bytes");
    static const char *const names[] = {"added", "removed", "changed", "same"};
    ctl_table_count(table, ctl_number(compared, "from"));
    ctl_table_count(table, ctl_number(compared, "devices"));
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (json_is_object(rows))
            ctl_table_count(table, ctl_number(rows, names[i]));
        else
            ctl_table_text(table, "-");
    }
    ctl_table_count(table, ctl_number(bytes, "delta"));
    ctl_table_count(table, ctl_number(bytes, "whole"));
}

static int print_plan(struct plan *plan, struct err *err)
{
    struct ctl *ctl = plan->ctl;
    size_t i;
    json_t *compared;
    if (ctl->json) {
        json_object_set(plan->answer, "content", plan->compared);
        int code = ctl_print_json(ctl, plan->answer, err);
        return code == EXIT_OK ? ctl_plan_code(plan->answer, err) : code;
    }
    if (json_array_size(plan->compared) > 0) {
        struct ctl_table *table = ctl_table_new(
            ">FROM VERSION|>DEVICES|>ROWS ADDED|>REMOVED|>CHANGED|>THE SAME|>DELTA BYTES|>WHOLE");
        json_array_foreach(plan->compared, i, compared) add_rows(table, compared);
        if (!ctl_print_table(ctl, table, ""))
            return EXIT_SYSTEM;
        fputc('\n', ctl->out);
    }
    return ctl_plan_print(ctl, plan->answer) ? ctl_plan_code(plan->answer, err) : EXIT_SYSTEM;
}

/* ---- the command ---- */

static int check_args(const struct plan *plan, const struct ctl_args *args, struct err *err)
{
    bool file = ctl_arg(args, "--file", NULL) != NULL;
    bool remove = ctl_arg(args, "--remove", NULL) != NULL;
    bool version = json_object_get(plan->request, "version") != NULL;
    if (file && (remove || version))
        err_set(err, ERR_INVALID, "--file is the next version: say neither a version nor --remove");
    else if (remove && version)
        err_set(err, ERR_INVALID, "whatever version is assigned is taken away: give only the name");
    else
        return EXIT_OK;
    return EXIT_USAGE;
}

static int plan_all(struct plan *plan, const struct ctl_args *args, struct err *err)
{
    Muster__AssignMode mode;
    const char *word = ctl_arg(args, "--mode", "observe");
    bool remove = ctl_arg(args, "--remove", NULL) != NULL;
    if (!word_to_mode(word, &mode, err) ||
        !ctl_order_document(args->arguments[0], plan->request, err) ||
        check_args(plan, args, err) != EXIT_OK)
        return EXIT_USAGE;
    plan->name = ctl_text(plan->request, "document");
    plan->key = ctl_arg(args, "--key", NULL);
    json_object_set_new(plan->request, remove ? "remove" : "mode",
                        remove ? json_true() : json_string(word));
    int code = ctl_order_devices(plan->ctl, args, plan->request, err);
    if (code != EXIT_OK)
        return code;
    if (!ctl_content_list(plan->ctl, plan->name, &plan->documents, err))
        return exit_code_of(err);
    if (ctl_arg(args, "--file", NULL) != NULL)
        code = read_file(plan, args, err);
    else if (!remove && !read_planned(plan, err))
        code = exit_code_of(err);
    if (code != EXIT_OK)
        return code;
    if (!ctl_plan_ask(plan->ctl, plan->request, &plan->answer, err) || !compare_all(plan, err))
        return exit_code_of(err);
    return print_plan(plan, err);
}

static int plan_run(struct ctl *ctl, const struct ctl_args *args, struct err *err)
{
    struct plan plan = {.ctl = ctl,
                        .request = json_object(),
                        .compared = json_array(),
                        .content = {.limit = LIMIT_DOCUMENT_BYTES}};
    int code = plan_all(&plan, args, err);
    plan_done(&plan);
    return code;
}

static const struct ctl_option options[] = {
    CTL_ORDER_DEVICES,
    {.name = "--file", .value = "FILE", .help = "a next version that is not published yet"},
    {.name = "--remove", .help = "plan to take the document away"},
    {.name = "--mode", .value = "MODE", .help = "observe, propose or repair [observe]"},
    {.name = "--key", .value = "COLUMN", .help = "what rows are told by [the first column]"},
    {.name = "--kind", .value = "KIND", .help = "of the file [as the newest published one]"},
    {.name = "--minimum-version", .value = "N", .help = "of the file [as before]"},
    {.name = "--irreversible", .help = "of the file"},
    {0},
};

const struct ctl_command ctl_plan = {
    .words = "plan",
    .arguments = "NAME[@VERSION]",
    .summary = "Show what a push would change on each device, before it is signed or assigned.",
    .notes =
        "For each device: from what version to which, what is deleted, the bytes on its line, "
        "and\nwhat it or the fleet would refuse and why. Nothing is changed, signed or sent. An "
        "order is\n"
        "carried out on all devices or on none: the exit code is what it would end with (3, or 7\n"
        "where a device or the document is not there).",
    .options = options,
    .argument_count = 1,
    .has_csv = true,
    .run = plan_run,
};
