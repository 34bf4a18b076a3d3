/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/ctl_compare.h"

#include "base/file.h"
#include "fleet/content.h"
#include "fleet/ctl_content.h"
#include "fleet/ctl_table.h"
#include "fleet/words.h"
#include "proto/limits.h"
#include "proto/topics.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS_SHOWN = 50, LABEL_CHARS = 160 };

struct side {
    const json_t *document; /* NULL: a file */
    char label[LABEL_CHARS];
    struct buf content;
};

struct diff {
    struct ctl *ctl;
    const char *name;
    json_t *documents;
    struct side from, to;
    Muster__DocumentKind kind;
};

static void diff_done(struct diff *diff)
{
    json_decref(diff->documents);
    buf_done(&diff->from.content);
    buf_done(&diff->to.content);
}

/* "7" or "@7"; 0: it is the name of a file. */
static int64_t version_of(const char *word)
{
    const char *digits = *word == '@' ? word + 1 : word;
    if (*digits == '\0' || strspn(digits, "0123456789") != strlen(digits))
        return 0;
    return strtoll(digits, NULL, 10);
}

static int read_published(struct diff *diff, int64_t version, struct side *side, struct err *err)
{
    side->document = ctl_document_find(diff->documents, diff->name, version);
    if (side->document == NULL) {
        if (version == 0)
            err_set(err, ERR_NOT_FOUND,
                    "there is no document %s that is for all; what is sealed to a device cannot be "
                    "compared",
                    diff->name);
        else
            err_set(err, ERR_NOT_FOUND,
                    "there is no version %" PRId64
                    " of %s; musterctl get documents lists those there "
                    "are",
                    version, diff->name);
        return EXIT_NOT_FOUND;
    }
    (void)snprintf(side->label, sizeof side->label, "version %" PRId64,
                   ctl_number(side->document, "version"));
    return ctl_content_fetch(diff->ctl, side->document, &side->content, err) ? EXIT_OK
                                                                             : exit_code_of(err);
}

static int read_side(struct diff *diff, const char *word, struct side *side, struct err *err)
{
    int64_t version = version_of(word);
    if (version != 0)
        return read_published(diff, version, side, err);
    (void)snprintf(side->label, sizeof side->label, "%s", word);
    if (ctl_content_read(word, &side->content, err))
        return EXIT_OK;
    return err->code == ERR_NOT_FOUND ? EXIT_USAGE : exit_code_of(err);
}

/* As the newest published one is, unless it is said. */
static bool find_kind(struct diff *diff, const struct ctl_args *args, struct err *err)
{
    const json_t *newest = ctl_document_find(diff->documents, diff->name, 0);
    const char *word = ctl_arg(args, "--kind", newest == NULL ? NULL : ctl_text(newest, "kind"));
    if (word == NULL)
        return err_set(err, ERR_INVALID, "%s is not published yet: say its --kind", diff->name);
    return word_to_kind(word, &diff->kind, err) &&
           content_check(diff->kind, buf_bytes(&diff->to.content), err);
}

static void print_rows(struct ctl *ctl, const json_t *compared)
{
    char added[CTL_TEXT_BYTES], removed[CTL_TEXT_BYTES], changed[CTL_TEXT_BYTES];
    char same[CTL_TEXT_BYTES];
    const json_t *rows = json_object_get(compared, "rows");
    if (!json_is_object(rows)) {
        fputs("  rows         this kind has none\n", ctl->out);
        return;
    }
    ctl_count_text(ctl_number(rows, "added"), added);
    ctl_count_text(ctl_number(rows, "removed"), removed);
    ctl_count_text(ctl_number(rows, "changed"), changed);
    ctl_count_text(ctl_number(rows, "same"), same);
    fprintf(ctl->out, "  rows         %s added, %s removed, %s changed, %s the same%s%s\n", added,
            removed, changed, same,
            json_is_true(json_object_get(rows, "reordered")) ? "; in another order" : "",
            json_is_true(json_object_get(rows, "columns_changed")) ? "; other columns" : "");
}

static void print_bytes(struct ctl *ctl, const struct diff *diff, const json_t *compared)
{
    char before[CTL_TEXT_BYTES], after[CTL_TEXT_BYTES], whole[CTL_TEXT_BYTES];
    char delta[CTL_TEXT_BYTES];
    const json_t *bytes = json_object_get(compared, "bytes");
    ctl_count_text(ctl_number(bytes, "before"), before);
    ctl_count_text(ctl_number(bytes, "after"), after);
    ctl_count_text(ctl_number(bytes, "whole"), whole);
    ctl_count_text(ctl_number(bytes, "delta"), delta);
    fprintf(ctl->out, "  bytes        %s -> %s\n  on the line  %s whole, %s from %s\n", before,
            after, whole, delta, diff->from.label);
}

static void print_changes(struct ctl *ctl, const json_t *compared, size_t total)
{
    size_t i;
    json_t *change;
    const char *section = "";
    const json_t *changes = json_object_get(compared, "changes");
    if (json_array_size(changes) > 0)
        fputc('\n', ctl->out);
    json_array_foreach(changes, i, change)
    {
        if (strcmp(section, ctl_text(change, "section")) != 0) {
            section = ctl_text(change, "section");
            ctl_print_line(ctl, "  in section ", section);
        }
        if (json_is_string(json_object_get(change, "before")))
            ctl_print_line(ctl, "- ", ctl_text(change, "before"));
        if (json_is_string(json_object_get(change, "after")))
            ctl_print_line(ctl, "+ ", ctl_text(change, "after"));
    }
    if (total > json_array_size(changes))
        fprintf(ctl->out, "... and %zu more rows; --rows shows as many as it says.\n",
                total - json_array_size(changes));
}

static int print_diff(const struct diff *diff, json_t *compared, struct err *err)
{
    struct ctl *ctl = diff->ctl;
    const json_t *rows = json_object_get(compared, "rows");
    size_t total = (size_t)(ctl_number(rows, "added") + ctl_number(rows, "removed") +
                            ctl_number(rows, "changed"));
    if (ctl->json) {
        json_object_set_new(compared, "name", json_string(diff->name));
        json_object_set_new(compared, "from", json_string(diff->from.label));
        json_object_set_new(compared, "to", json_string(diff->to.label));
        return ctl_print_json(ctl, compared, err);
    }
    fprintf(ctl->out, "%s: %s -> %s\n", diff->name, diff->from.label, diff->to.label);
    print_rows(ctl, compared);
    print_bytes(ctl, diff, compared);
    print_changes(ctl, compared, total);
    return EXIT_OK;
}

static int compare(struct diff *diff, const struct ctl_args *args, struct err *err)
{
    int64_t rows_max;
    json_t *compared;
    if (!ctl_arg_number(args, "--rows", ROWS_SHOWN, 0, INT32_MAX, &rows_max, err))
        return EXIT_USAGE;
    const struct ctl_contents contents = {.kind = diff->kind,
                                          .key = ctl_arg(args, "--key", NULL),
                                          .before = buf_bytes(&diff->from.content),
                                          .after = buf_bytes(&diff->to.content),
                                          .rows_max = (size_t)rows_max};
    if (!ctl_compare(&contents, &compared, err))
        return err->code == ERR_NOT_FOUND ? EXIT_USAGE : exit_code_of(err);
    int code = print_diff(diff, compared, err);
    json_decref(compared);
    return code;
}

static int diff_all(struct diff *diff, const struct ctl_args *args, struct err *err)
{
    size_t last = args->argument_count - 1;
    if (!document_name_valid(diff->name)) {
        err_set(err, ERR_INVALID, "\"%.60s\" is not a document's name", diff->name);
        return EXIT_USAGE;
    }
    if (!ctl_content_list(diff->ctl, diff->name, &diff->documents, err))
        return exit_code_of(err);
    int code = last == 2 ? read_side(diff, args->arguments[1], &diff->from, err)
                         : read_published(diff, 0, &diff->from, err);
    if (code == EXIT_OK)
        code = read_side(diff, args->arguments[last], &diff->to, err);
    if (code == EXIT_OK && !find_kind(diff, args, err))
        code = EXIT_USAGE;
    return code == EXIT_OK ? compare(diff, args, err) : code;
}

static int diff_run(struct ctl *ctl, const struct ctl_args *args, struct err *err)
{
    struct diff diff = {.ctl = ctl,
                        .name = args->arguments[0],
                        .from.content = {.limit = LIMIT_DOCUMENT_BYTES},
                        .to.content = {.limit = LIMIT_DOCUMENT_BYTES}};
    int code = diff_all(&diff, args, err);
    diff_done(&diff);
    return code;
}

static const struct ctl_option options[] = {
    {.name = "--key", .value = "COLUMN", .help = "what rows are told by [the first column]"},
    {.name = "--rows", .value = "N", .help = "show so many of the rows that differ [50]"},
    {.name = "--kind", .value = "KIND", .help = "[as the newest published one]"},
    {0},
};

const struct ctl_command ctl_diff = {
    .words = "diff",
    .arguments = "NAME [FROM] TO",
    .summary = "Show what differs between two contents of a document: rows, and bytes on the line.",
    .notes = "FROM and TO are each a published version (7) or a file (./new.tsv). Without FROM it "
             "is the\nnewest published version. Nothing is published or signed. Contents of more "
             "than 16 MiB\nare not compared: they are always sent whole.",
    .options = options,
    .argument_count = 2,
    .optional_count = 1,
    .run = diff_run,
};
