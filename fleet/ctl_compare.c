/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/ctl_compare.h"

#include "base/utf8.h"
#include "fleet/frame.h"
#include "fleet/tablediff.h"
#include "proto/limits.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* ---- what is published ---- */

const json_t *ctl_document_find(const json_t *documents, const char *name, int64_t version)
{
    size_t i;
    json_t *document;
    const json_t *found = NULL;
    json_array_foreach(json_object_get(documents, "documents"), i, document)
    {
        int64_t epoch = ctl_number(document, "epoch"), number = ctl_number(document, "version");
        if (strcmp(ctl_text(document, "name"), name) != 0 ||
            *ctl_text(document, "device") != '\0' || (version != 0 && number != version))
            continue;
        if (found == NULL || epoch > ctl_number(found, "epoch") ||
            (epoch == ctl_number(found, "epoch") && number > ctl_number(found, "version")))
            found = document;
    }
    return found;
}

/* ---- comparing ---- */

/* What is not UTF-8, or is NUL, becomes '?': the content may be anybody's. */
static json_t *line_json(struct bytes line)
{
    if (line.data == NULL)
        return json_null();
    char *text = malloc(line.length + 1);
    if (text == NULL)
        return NULL;
    memcpy(text, line.data, line.length);
    text[line.length] = '\0';
    for (char *nul = text; (nul = memchr(nul, '\0', (size_t)(text + line.length - nul))) != NULL;)
        *nul = '?';
    utf8_clean(text);
    json_t *json = json_stringn(text, line.length);
    free(text);
    return json;
}

static json_t *changes_json(const struct tablediff *diff, size_t max)
{
    static const char *const words[] = {"added", "removed", "changed"};
    json_t *list = json_array();
    for (size_t i = 0; i < diff->count && i < max; i++) {
        const struct tablediff_row *row = &diff->rows[i];
        struct bytes section = row->section.data == NULL ? bytes_of("", 0) : row->section;
        json_array_append_new(list,
                              json_pack("{s:s, s:o, s:o, s:o}", "what", words[row->what], "section",
                                        line_json(section), "before", line_json(row->before),
                                        "after", line_json(row->after)));
    }
    return list;
}

static json_t *rows_json(const struct tablediff *diff)
{
    return json_pack("{s:I, s:I, s:I, s:I, s:b, s:b}", "added", (json_int_t)diff->added, "removed",
                     (json_int_t)diff->removed, "changed", (json_int_t)diff->changed, "same",
                     (json_int_t)diff->same, "reordered", (int)diff->reordered, "columns_changed",
                     (int)!bytes_equal(diff->header_before, diff->header_after));
}

/* What doc publish would send: whole, and from `before`. */
static bool weigh(const struct ctl_contents *contents, json_t **ret_bytes, struct err *err)
{
    struct buf whole = {.limit = LIMIT_CONTENT_BYTES}, delta = {.limit = LIMIT_CONTENT_BYTES};
    bool ok = frame_make(contents->after, bytes_of(NULL, 0), &whole, err) &&
              (contents->before.length == 0 ||
               frame_make(contents->after, contents->before, &delta, err));
    if (ok)
        *ret_bytes = json_pack(
            "{s:I, s:I, s:I, s:o}", "before", (json_int_t)contents->before.length, "after",
            (json_int_t)contents->after.length, "whole", (json_int_t)whole.length, "delta",
            contents->before.length == 0 ? json_null() : json_integer((json_int_t)delta.length));
    buf_done(&whole);
    buf_done(&delta);
    return ok;
}

static bool compare_rows(const struct ctl_contents *contents, json_t *compared, struct err *err)
{
    struct tablediff diff;
    enum tablediff_form form = TABLEDIFF_TABLE;
    if (contents->kind == MUSTER__DOCUMENT_KIND__DOCUMENT_PARAMS)
        form = TABLEDIFF_SETTINGS;
    else if (contents->kind != MUSTER__DOCUMENT_KIND__DOCUMENT_TABLE &&
             contents->kind != MUSTER__DOCUMENT_KIND__DOCUMENT_CODE_PROFILE)
        return json_object_set_new(compared, "rows", json_null()) == 0 &&
               json_object_set_new(compared, "changes", json_array()) == 0;
    if (!tablediff_make(form, contents->key, contents->before, contents->after, &diff, err))
        return false;
    bool ok =
        json_object_set_new(compared, "rows", rows_json(&diff)) == 0 &&
        json_object_set_new(compared, "changes", changes_json(&diff, contents->rows_max)) == 0;
    tablediff_done(&diff);
    return ok || err_set(err, ERR_NO_MEMORY, "no memory for the rows that differ");
}

bool ctl_compare(const struct ctl_contents *contents, json_t **ret_compared, struct err *err)
{
    json_t *bytes, *compared = json_object();
    if (compared == NULL || !compare_rows(contents, compared, err) ||
        !weigh(contents, &bytes, err)) {
        json_decref(compared);
        return false;
    }
    json_object_set_new(compared, "bytes", bytes);
    *ret_compared = compared;
    return true;
}

void ctl_print_line(struct ctl *ctl, const char *mark, const char *line)
{
    struct bytes left = bytes_of(line, strlen(line));
    fputs(mark, ctl->out);
    while (left.length > 0) {
        uint32_t code = 0;
        size_t step = utf8_next(left, &code);
        if (step == 0 || (utf8_obeyed(code) && code != '\t'))
            fputc('?', ctl->out);
        else
            (void)fwrite(left.data, 1, step, ctl->out);
        step = step == 0 ? 1 : step;
        left = bytes_of(left.data + step, left.length - step);
    }
    fputc('\n', ctl->out);
}
