/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/csv_text.h"

#include "base/utf8.h"

#include <csv.h>
#include <string.h>

#define MARK "\xef\xbb\xbf"

struct reader {
    bool (*row)(void *ctx, size_t line, const char *const *cells, size_t count, struct err *err);
    void *ctx;
    struct err *err;
    bool failed;
    size_t line, row_line; /* that is being read; on which the row began */
    struct buf texts;      /* of the row's cells, each with its NUL */
    size_t starts[CSV_CELLS_MAX];
    size_t count;
};

static void fail(struct reader *reader, const char *why)
{
    if (!reader->failed)
        err_set(reader->err, ERR_INVALID, "line %zu: %s", reader->row_line, why);
    reader->failed = true;
}

static void take_cell(void *data, size_t length, void *ctx)
{
    struct reader *reader = ctx;
    struct bytes cell = bytes_of(data, length);
    if (reader->failed)
        return;
    if (reader->count == CSV_CELLS_MAX) {
        fail(reader, "more than 64 cells");
    } else if (length > CSV_CELL_BYTES) {
        fail(reader, "a cell is longer than 64 KiB");
    } else if (length > 0 && (memchr(data, '\0', length) != NULL || !utf8_valid(cell))) {
        fail(reader, "a cell is not UTF-8, or holds a NUL: save the file as UTF-8");
    } else {
        reader->starts[reader->count++] = reader->texts.length;
        reader->failed = !buf_append(&reader->texts, length > 0 ? data : "", length, reader->err) ||
                         !buf_append(&reader->texts, "", 1, reader->err);
    }
}

static void take_row(int end, void *ctx)
{
    (void)end;
    struct reader *reader = ctx;
    const char *cells[CSV_CELLS_MAX] = {0};
    for (size_t i = 0; i < reader->count; i++)
        cells[i] = (const char *)reader->texts.data + reader->starts[i];
    if (!reader->failed)
        reader->failed =
            !reader->row(reader->ctx, reader->row_line, cells, reader->count, reader->err);
    buf_clear(&reader->texts);
    reader->count = 0;
}

/* Line by line, so that a row is told by the one that it begins on. */
static bool parse_lines(struct csv_parser *parser, struct reader *reader, struct bytes text)
{
    for (size_t at = 0; at < text.length && !reader->failed;) {
        const uint8_t *end = memchr(text.data + at, '\n', text.length - at);
        size_t length = end != NULL ? (size_t)(end - text.data) + 1 - at : text.length - at;
        bool between_rows = reader->count == 0 && parser->entry_pos == 0 && !parser->quoted;
        if (between_rows)
            reader->row_line = reader->line;
        if (csv_parse(parser, text.data + at, length, take_cell, take_row, reader) != length)
            fail(reader, csv_error(parser) == CSV_EPARSE
                             ? "a quote stands where none may: put the cell into quotes, and write "
                               "a quote inside as two"
                             : csv_strerror(csv_error(parser)));
        at += length;
        reader->line++;
    }
    if (!reader->failed && csv_fini(parser, take_cell, take_row, reader) != 0)
        fail(reader, "the last cell's quotes are not closed");
    return !reader->failed;
}

bool csv_read(struct bytes text,
              bool (*row)(void *ctx, size_t line, const char *const *cells, size_t count,
                          struct err *err),
              void *ctx, struct err *err)
{
    struct csv_parser parser;
    struct reader reader = {.row = row, .ctx = ctx, .err = err, .line = 1, .row_line = 1};
    if (text.length >= strlen(MARK) && memcmp(text.data, MARK, strlen(MARK)) == 0)
        text = bytes_of(text.data + strlen(MARK), text.length - strlen(MARK));
    if (csv_init(&parser, CSV_STRICT | CSV_STRICT_FINI) != 0)
        return err_set(err, ERR_NO_MEMORY, "no memory to read CSV");
    bool done = parse_lines(&parser, &reader, text);
    csv_free(&parser);
    buf_done(&reader.texts);
    return done;
}

/* Blanks and a UTF-8 mark at its beginning would be passed over. */
static bool needs_quotes(const char *text)
{
    size_t length = strlen(text);
    return strpbrk(text, ",\"\r\n") != NULL || strncmp(text, MARK, strlen(MARK)) == 0 ||
           (length > 0 &&
            (strchr(" \t", text[0]) != NULL || strchr(" \t", text[length - 1]) != NULL));
}

void csv_write_row(FILE *out, const char *const *cells, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            (void)fputc(',', out);
        /* A row of one empty cell would be an empty line, which is none. */
        if (needs_quotes(cells[i]) || (count == 1 && cells[i][0] == '\0'))
            (void)csv_fwrite(out, cells[i], strlen(cells[i]));
        else
            (void)fputs(cells[i], out);
    }
    (void)fputs("\r\n", out);
}
