/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/table.h"

#include "base/utf8.h"

#include <string.h>

bool table_line(struct table_lines *lines, struct bytes *ret_line)
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

bool table_line_check(struct bytes line, size_t row, struct err *err)
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

bool table_start_check(struct bytes content, struct err *err)
{
    static const uint8_t mark[] = {0xef, 0xbb, 0xbf};
    return content.length < sizeof mark || memcmp(content.data, mark, sizeof mark) != 0 ||
           err_set(err, ERR_INVALID,
                   "row 1: it begins with a byte order mark; save it as UTF-8 without one");
}

/* Cells of a line; the count may be more than what is kept. */
static size_t cells_split(struct bytes line, struct bytes cells[TABLE_COLUMNS_MAX])
{
    size_t count = 0;
    size_t from = 0;
    for (size_t at = 0; at <= line.length; at++) {
        if (at < line.length && line.data[at] != '\t')
            continue;
        if (count < TABLE_COLUMNS_MAX)
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
    if (count > TABLE_COLUMNS_MAX)
        return err_set(err, ERR_INVALID, "row 1: %zu columns, at most %d are allowed", count,
                       TABLE_COLUMNS_MAX);
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

bool table_check(struct bytes content, struct table_check *check, struct err *err)
{
    struct table_lines lines = {.rest = content};
    struct bytes line;
    struct bytes cells[TABLE_COLUMNS_MAX];
    if (!table_line(&lines, &line))
        return err_set(err, ERR_INVALID, "the table is empty");
    size_t columns = cells_split(line, cells);
    if (!table_start_check(content, err) || !table_line_check(line, 1, err) ||
        !header_check(cells, columns, err) ||
        (check != NULL && !check->header(check, cells, columns, err)))
        return false;
    while (table_line(&lines, &line)) {
        if (line.length == 0)
            return err_set(err, ERR_INVALID, "row %zu: empty line", lines.row);
        if (!table_line_check(line, lines.row, err))
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
