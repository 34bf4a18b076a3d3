/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/tablediff.h"

#include <stdlib.h>
#include <string.h>

enum { ROWS_MAX = 1000000 };

struct row {
    struct bytes section, key, line;
    size_t number; /* in its text: rows of one key are taken in this order */
};

struct text {
    struct row *rows;
    size_t count, room;
    struct bytes header; /* of a table */
    size_t column;       /* of the key */
};

/* ---- lines ---- */

/* The next line, without its end; false: there is none. */
static bool next_line(struct bytes *text, struct bytes *ret_line)
{
    if (text->length == 0)
        return false;
    const uint8_t *end = memchr(text->data, '\n', text->length);
    size_t length = end == NULL ? text->length : (size_t)(end - text->data);
    size_t taken = end == NULL ? length : length + 1;
    *ret_line = bytes_of(text->data, length);
    *text = bytes_of(text->data + taken, text->length - taken);
    if (length > 0 && ret_line->data[length - 1] == '\r')
        ret_line->length--;
    return true;
}

/* The column of that number; empty where the row is shorter. */
static struct bytes cell(struct bytes line, size_t column)
{
    for (;; column--) {
        const uint8_t *tab = line.length == 0 ? NULL : memchr(line.data, '\t', line.length);
        size_t length = tab == NULL ? line.length : (size_t)(tab - line.data);
        if (column == 0)
            return bytes_of(line.data, length);
        if (tab == NULL)
            return bytes_of(line.data, 0);
        line = bytes_of(tab + 1, line.length - length - 1);
    }
}

static size_t count_columns(struct bytes line)
{
    size_t count = 1;
    for (size_t i = 0; i < line.length; i++)
        count += line.data[i] == '\t';
    return count;
}

static struct bytes trimmed(struct bytes text)
{
    while (text.length > 0 && (text.data[0] == ' ' || text.data[0] == '\t'))
        text = bytes_of(text.data + 1, text.length - 1);
    while (text.length > 0 &&
           (text.data[text.length - 1] == ' ' || text.data[text.length - 1] == '\t'))
        text.length--;
    return text;
}

static bool add_row(struct text *text, struct row row, struct err *err)
{
    if (text->count == ROWS_MAX)
        return err_set(err, ERR_INVALID, "more than %d rows", ROWS_MAX);
    if (text->count == text->room) {
        size_t room = text->room == 0 ? 1024 : text->room * 2;
        struct row *rows = realloc(text->rows, room * sizeof *rows);
        if (rows == NULL)
            return err_set(err, ERR_NO_MEMORY, "no memory for %zu rows", room);
        text->rows = rows;
        text->room = room;
    }
    row.number = text->count;
    text->rows[text->count++] = row;
    return true;
}

/* ---- the two forms ---- */

static bool find_column(struct text *text, const char *key, struct err *err)
{
    size_t columns = count_columns(text->header);
    text->column = 0;
    if (key == NULL)
        return true;
    for (; text->column < columns; text->column++)
        if (bytes_equal(trimmed(cell(text->header, text->column)), bytes_of(key, strlen(key))))
            return true;
    return err_set(err, ERR_NOT_FOUND, "there is no column %.60s", key);
}

static bool read_table(struct text *text, const char *key, struct bytes content, struct err *err)
{
    struct bytes line;
    if (!next_line(&content, &text->header))
        return true;
    if (!find_column(text, key, err))
        return false;
    while (next_line(&content, &line)) {
        const struct row row = {.key = cell(line, text->column), .line = line};
        if (line.length > 0 && !add_row(text, row, err))
            return false;
    }
    return true;
}

static bool read_settings(struct text *text, struct bytes content, struct err *err)
{
    struct bytes line, section = bytes_of("", 0);
    while (next_line(&content, &line)) {
        struct bytes plain = trimmed(line);
        if (plain.length == 0 || plain.data[0] == ';' || plain.data[0] == '#')
            continue;
        const uint8_t *close = memchr(plain.data, ']', plain.length);
        if (plain.data[0] == '[' && close != NULL) {
            section = bytes_of(plain.data + 1, (size_t)(close - plain.data) - 1);
            continue;
        }
        const uint8_t *equals = memchr(plain.data, '=', plain.length);
        size_t length = equals == NULL ? plain.length : (size_t)(equals - plain.data);
        const struct row row = {
            .section = section, .key = trimmed(bytes_of(plain.data, length)), .line = plain};
        if (!add_row(text, row, err))
            return false;
    }
    return true;
}

/* ---- comparing ---- */

static int compare_bytes(struct bytes a, struct bytes b)
{
    size_t shared = a.length < b.length ? a.length : b.length;
    int order = shared == 0 ? 0 : memcmp(a.data, b.data, shared);
    return order != 0 ? order : (a.length > b.length) - (a.length < b.length);
}

static int compare_keys(const struct row *a, const struct row *b)
{
    int order = compare_bytes(a->section, b->section);
    return order != 0 ? order : compare_bytes(a->key, b->key);
}

static int compare_rows(const void *a, const void *b)
{
    const struct row *first = a, *second = b;
    int order = compare_keys(first, second);
    return order != 0 ? order : (first->number > second->number) - (first->number < second->number);
}

/* One of the two may be NULL. */
static void note(struct tablediff *diff, const struct row *before, const struct row *after)
{
    struct tablediff_row row = {.what = TABLEDIFF_CHANGED};
    if (before != NULL) {
        row.section = before->section;
        row.before = before->line;
    }
    if (after != NULL) {
        row.section = after->section;
        row.after = after->line;
    }
    if (before == NULL) {
        row.what = TABLEDIFF_ADDED;
        diff->added++;
    } else if (after == NULL) {
        row.what = TABLEDIFF_REMOVED;
        diff->removed++;
    } else if (bytes_equal(before->line, after->line)) {
        diff->same++;
        return;
    } else {
        diff->changed++;
    }
    diff->rows[diff->count++] = row;
}

static bool compare(struct tablediff *diff, const struct text *before, const struct text *after,
                    struct err *err)
{
    size_t b = 0, a = 0;
    diff->rows = calloc(before->count + after->count + 1, sizeof *diff->rows);
    if (diff->rows == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory to compare %zu rows",
                       before->count + after->count);
    while (b < before->count || a < after->count) {
        int order = 0;
        if (b == before->count || a == after->count)
            order = b == before->count ? 1 : -1;
        else
            order = compare_keys(&before->rows[b], &after->rows[a]);
        note(diff, order <= 0 ? &before->rows[b] : NULL, order >= 0 ? &after->rows[a] : NULL);
        b += order <= 0;
        a += order >= 0;
    }
    return true;
}

static bool read_text(enum tablediff_form form, const char *key, struct bytes content,
                      struct text *text, struct err *err)
{
    bool ok = form == TABLEDIFF_TABLE ? read_table(text, key, content, err)
                                      : read_settings(text, content, err);
    if (ok && text->count > 0)
        qsort(text->rows, text->count, sizeof *text->rows, compare_rows);
    return ok;
}

bool tablediff_make(enum tablediff_form form, const char *key, struct bytes before,
                    struct bytes after, struct tablediff *ret_diff, struct err *err)
{
    struct text texts[2] = {{0}};
    struct tablediff diff = {0};
    bool ok = read_text(form, key, before, &texts[0], err) &&
              read_text(form, key, after, &texts[1], err) &&
              compare(&diff, &texts[0], &texts[1], err);
    free(texts[0].rows);
    free(texts[1].rows);
    if (!ok)
        return false;
    diff.header_before = texts[0].header;
    diff.header_after = texts[1].header;
    diff.reordered = diff.count == 0 && bytes_equal(diff.header_before, diff.header_after) &&
                     !bytes_equal(before, after);
    *ret_diff = diff;
    return true;
}

void tablediff_done(struct tablediff *diff)
{
    free(diff->rows);
    *diff = (struct tablediff){0};
}
