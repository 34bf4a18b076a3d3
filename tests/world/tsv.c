/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/world/tsv.h"

#include <string.h>

enum { LINE_BYTES = 2048 };

/* Copies the next line into `line` and takes it off `text`. */
static bool next_line(struct bytes *text, char line[LINE_BYTES], struct err *err)
{
    const uint8_t *end = memchr(text->data, '\n', text->length);
    size_t length = end ? (size_t)(end - text->data) : text->length;
    if (length >= LINE_BYTES || memchr(text->data, '\0', length))
        return err_set(err, ERR_INVALID, "too long or not text");
    memcpy(line, text->data, length);
    line[length] = '\0';
    size_t taken = length + (end ? 1 : 0);
    *text = bytes_of(text->data + taken, text->length - taken);
    return true;
}

static size_t split(char *line, char *fields[TSV_MAX_COLUMNS])
{
    size_t count = 0;
    for (char *at = line; at; count++) {
        char *tab = strchr(at, '\t');
        if (tab)
            *tab++ = '\0';
        if (count < TSV_MAX_COLUMNS)
            fields[count] = at;
        at = tab;
    }
    return count;
}

bool tsv_each(struct bytes text, const char *header,
              bool (*each)(void *ctx, char *const *fields, struct err *err), void *ctx,
              struct err *err)
{
    size_t columns = 1;
    for (const char *c = header; *c; c++)
        columns += *c == '\t';
    char line[LINE_BYTES];
    if (text.length == 0 || !next_line(&text, line, NULL) || strcmp(line, header) != 0)
        return err_set(err, ERR_INVALID, "line 1: expected the header \"%s\"", header);
    for (unsigned number = 2; text.length > 0; number++) {
        char *fields[TSV_MAX_COLUMNS];
        if (!next_line(&text, line, err))
            return err_context(err, "line %u", number);
        size_t count = split(line, fields);
        if (count != columns)
            return err_set(err, ERR_INVALID, "line %u: %zu columns, expected %zu", number, count,
                           columns);
        if (!each(ctx, fields, err))
            return err_context(err, "line %u", number);
    }
    return true;
}

bool tsv_number(const char *text, uint32_t max, uint32_t *ret_value)
{
    uint64_t value = 0;
    if (!*text)
        return false;
    for (; *text; text++) {
        if (*text < '0' || *text > '9')
            return false;
        value = value * 10 + (uint64_t)(*text - '0');
        if (value > max)
            return false;
    }
    *ret_value = (uint32_t)value;
    return true;
}
