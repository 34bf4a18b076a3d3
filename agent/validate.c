/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/validate.h"

#include "base/utf8.h"
#include "proto/key_block.h"

#include <ini.h>
#include <stdio.h>
#include <string.h>

enum {
    COLUMNS_MAX = 64,
    PROFILE_ROWS_MAX = 4096,
    PARAMS_LINE_BYTES = 198, /* inih as Debian builds it splits longer lines in two, silently */
};

const char *validate_kind_name(Muster__DocumentKind kind)
{
    switch (kind) {
    case MUSTER__DOCUMENT_KIND__DOCUMENT_TABLE:
        return "table";
    case MUSTER__DOCUMENT_KIND__DOCUMENT_PARAMS:
        return "params";
    case MUSTER__DOCUMENT_KIND__DOCUMENT_CODE_PROFILE:
        return "code-profile";
    case MUSTER__DOCUMENT_KIND__DOCUMENT_FILE:
        return "file";
    case MUSTER__DOCUMENT_KIND__DOCUMENT_KEY_BLOCK:
        return "key-block";
    default:
        return "unknown";
    }
}

struct lines {
    struct bytes rest;
    size_t row; /* of the line last given, from 1 */
};

/* The next line without its end; false when there is none. */
static bool lines_next(struct lines *lines, struct bytes *ret_line)
{
    if (lines->rest.length == 0)
        return false;
    const uint8_t *end = memchr(lines->rest.data, '\n', lines->rest.length);
    size_t length = end != NULL ? (size_t)(end - lines->rest.data) : lines->rest.length;
    size_t used = end != NULL ? length + 1 : length;
    *ret_line = bytes_of(lines->rest.data, length);
    if (length > 0 && ret_line->data[length - 1] == '\r')
        ret_line->length--;
    lines->rest = bytes_of(lines->rest.data + used, lines->rest.length - used);
    lines->row++;
    return true;
}

/* ASCII, and no control character but the tab. Nearly every line of a table is, and a compiler
 * makes this a look at many bytes at once. */
static bool line_plain(struct bytes line)
{
    bool odd = false;
    for (size_t at = 0; at < line.length; at++) {
        uint8_t c = line.data[at];
        odd |= (c < ' ' || c > '~') & (c != '\t');
    }
    return !odd;
}

/* Text without control characters but the tab; `row` and the byte's place go into the error. */
static bool line_check(struct bytes line, size_t row, struct err *err)
{
    if (line_plain(line))
        return true;
    for (size_t at = 0; at < line.length;) {
        uint8_t c = line.data[at];
        if ((c < ' ' && c != '\t') || c == 0x7f)
            return err_set(err, ERR_INVALID, "row %zu, byte %zu: control character 0x%02x", row,
                           at + 1, c);
        uint32_t code = 0;
        size_t length = utf8_next(bytes_of(line.data + at, line.length - at), &code);
        if (length == 0)
            return err_set(err, ERR_INVALID, "row %zu, byte %zu: not UTF-8 (0x%02x)", row, at + 1,
                           c);
        at += length;
    }
    return true;
}

/* Cells of a line; the count may be more than what is kept. */
static size_t cells_split(struct bytes line, struct bytes cells[COLUMNS_MAX])
{
    size_t count = 0;
    size_t from = 0;
    for (size_t at = 0; at <= line.length; at++) {
        if (at < line.length && line.data[at] != '\t')
            continue;
        if (count < COLUMNS_MAX)
            cells[count] = bytes_of(line.data + from, at - from);
        count++;
        from = at + 1;
    }
    return count;
}

static size_t cells_count(struct bytes line)
{
    size_t tabs = 0;
    for (size_t at = 0; at < line.length; at++)
        tabs += line.data[at] == '\t';
    return tabs + 1;
}

static bool header_check(const struct bytes *names, size_t count, struct err *err)
{
    if (count > COLUMNS_MAX)
        return err_set(err, ERR_INVALID, "row 1: %zu columns, at most %d are allowed", count,
                       COLUMNS_MAX);
    for (size_t i = 0; i < count; i++) {
        if (names[i].length == 0)
            return err_set(err, ERR_INVALID, "row 1, column %zu: the column has no name", i + 1);
        for (size_t other = 0; other < i; other++) {
            if (bytes_equal(names[i], names[other]))
                return err_set(err, ERR_INVALID, "row 1, column %zu: the name of column %zu again",
                               i + 1, other + 1);
        }
    }
    return true;
}

/* Called for each row after the header, with as many cells as there are columns. */
struct row_check {
    bool (*header)(struct row_check *check, const struct bytes *names, size_t count,
                   struct err *err);
    bool (*row)(struct row_check *check, const struct bytes *cells, size_t row, struct err *err);
};

static bool table_check(struct bytes content, struct row_check *check, struct err *err)
{
    struct lines lines = {.rest = content};
    struct bytes line;
    struct bytes cells[COLUMNS_MAX];
    if (!lines_next(&lines, &line))
        return err_set(err, ERR_INVALID, "the table is empty");
    size_t columns = cells_split(line, cells);
    if (!line_check(line, 1, err) || !header_check(cells, columns, err) ||
        (check != NULL && !check->header(check, cells, columns, err)))
        return false;
    while (lines_next(&lines, &line)) {
        if (line.length == 0)
            return err_set(err, ERR_INVALID, "row %zu: empty line", lines.row);
        if (!line_check(line, lines.row, err))
            return false;
        size_t count = check != NULL ? cells_split(line, cells) : cells_count(line);
        if (count != columns)
            return err_set(err, ERR_INVALID, "row %zu: %zu columns, the header has %zu", lines.row,
                           count, columns);
        if (check != NULL && !check->row(check, cells, lines.row, err))
            return false;
    }
    if (lines.row < 2)
        return err_set(err, ERR_INVALID, "the table has a header and no row");
    return true;
}

static const char *const profile_columns[] = {"code", "group", "meaning"};
enum { PROFILE_COLUMNS = sizeof profile_columns / sizeof profile_columns[0] };

struct profile_check {
    struct row_check check;
    size_t at[PROFILE_COLUMNS]; /* where each required column is */
    size_t count;
    struct bytes codes[PROFILE_ROWS_MAX];
};

/* The meaning may be given in several languages: meaning_en, meaning_zh. */
static bool is_column(struct bytes name, const char *wanted)
{
    size_t length = strlen(wanted);
    bool language =
        strcmp(wanted, "meaning") == 0 && name.length > length && name.data[length] == '_';
    return (name.length == length || language) && memcmp(name.data, wanted, length) == 0;
}

static bool profile_header(struct row_check *check, const struct bytes *names, size_t count,
                           struct err *err)
{
    struct profile_check *profile = (struct profile_check *)check;
    for (size_t c = 0; c < PROFILE_COLUMNS; c++) {
        size_t i = 0;
        while (i < count && !is_column(names[i], profile_columns[c]))
            i++;
        if (i == count)
            return err_set(err, ERR_INVALID, "row 1: a code profile needs the column \"%s\"",
                           profile_columns[c]);
        profile->at[c] = i;
    }
    return true;
}

static bool profile_row(struct row_check *check, const struct bytes *cells, size_t row,
                        struct err *err)
{
    struct profile_check *profile = (struct profile_check *)check;
    for (size_t c = 0; c < PROFILE_COLUMNS; c++) {
        if (cells[profile->at[c]].length == 0)
            return err_set(err, ERR_INVALID, "row %zu, column %zu: %s is empty", row,
                           profile->at[c] + 1, profile_columns[c]);
    }
    struct bytes code = cells[profile->at[0]];
    for (size_t i = 0; i < profile->count; i++) {
        if (bytes_equal(profile->codes[i], code))
            return err_set(err, ERR_INVALID, "row %zu, column %zu: code %.*s is in row %zu already",
                           row, profile->at[0] + 1, (int)(code.length < 16 ? code.length : 16),
                           (const char *)code.data, i + 2);
    }
    if (profile->count == PROFILE_ROWS_MAX)
        return err_set(err, ERR_INVALID, "row %zu: a code profile has at most %d rows", row,
                       PROFILE_ROWS_MAX);
    profile->codes[profile->count++] = code;
    return true;
}

static bool profile_validate(struct bytes content, struct err *err)
{
    struct profile_check profile; /* too large to clear for nothing */
    profile.check = (struct row_check){.header = profile_header, .row = profile_row};
    memset(profile.at, 0, sizeof profile.at);
    profile.count = 0;
    return table_check(content, &profile.check, err);
}

struct params {
    struct lines lines;
    size_t values;
};

/* As fgets does it for inih. */
static char *params_line(char *text, int size, void *stream)
{
    struct params *params = stream;
    struct bytes line;
    if (!lines_next(&params->lines, &line))
        return NULL;
    snprintf(text, (size_t)size, "%.*s\n", (int)line.length, (const char *)line.data);
    return text;
}

static int params_value(void *user, const char *section, const char *name, const char *value)
{
    struct params *params = user;
    (void)section;
    (void)value;
    params->values++;
    return name[0] != '\0';
}

static bool params_validate(struct bytes content, struct err *err)
{
    struct lines lines = {.rest = content};
    struct bytes line;
    while (lines_next(&lines, &line)) {
        if (!line_check(line, lines.row, err))
            return false;
        if (line.length > PARAMS_LINE_BYTES)
            return err_set(err, ERR_INVALID, "row %zu: %zu bytes, at most %d are read", lines.row,
                           line.length, PARAMS_LINE_BYTES);
    }
    struct params params = {.lines = {.rest = content}};
    int bad_row = ini_parse_stream(params_line, &params, params_value, &params);
    if (bad_row > 0)
        return err_set(err, ERR_INVALID, "row %d: neither [section] nor key = value", bad_row);
    if (bad_row < 0)
        return err_set(err, ERR_NO_MEMORY, "no memory to read the parameters");
    if (params.values == 0)
        return err_set(err, ERR_INVALID, "there is no value in it");
    return true;
}

bool validate_document(Muster__DocumentKind kind, struct bytes content, struct err *err)
{
    switch (kind) {
    case MUSTER__DOCUMENT_KIND__DOCUMENT_TABLE:
        return table_check(content, NULL, err);
    case MUSTER__DOCUMENT_KIND__DOCUMENT_PARAMS:
        return params_validate(content, err);
    case MUSTER__DOCUMENT_KIND__DOCUMENT_CODE_PROFILE:
        return profile_validate(content, err);
    case MUSTER__DOCUMENT_KIND__DOCUMENT_FILE:
        return true;
    case MUSTER__DOCUMENT_KIND__DOCUMENT_KEY_BLOCK:
        return key_block_check(content, err);
    default:
        return err_set(err, ERR_INVALID, "documents of kind %d are not known to this agent",
                       (int)kind);
    }
}
