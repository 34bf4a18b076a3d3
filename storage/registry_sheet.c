/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/registry_internal.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SUM_PREFIX "sum "
enum { SUM_BYTES = 4 + 64 + 1 };

bool sheet_line(struct buf *sheet, struct err *err, const char *fmt, ...)
{
    char line[640];
    va_list args;
    va_start(args, fmt);
    int length = vsnprintf(line, sizeof line - 1, fmt, args);
    va_end(args);
    if (length < 0 || (size_t)length >= sizeof line - 1)
        return err_set(err, ERR_INVALID, "a line is too long for the registry's own files");
    line[length] = '\n';
    return buf_append(sheet, line, (size_t)length + 1, err);
}

static void sum_format(const struct registry *registry, struct bytes content,
                       char text[SUM_BYTES + 1])
{
    uint8_t digest[32];
    registry->digest(content, digest);
    memcpy(text, SUM_PREFIX, 4);
    hex_encode(digest, sizeof digest, text + 4);
    text[SUM_BYTES - 1] = '\n';
    text[SUM_BYTES] = '\0';
}

bool sheet_sum(const struct registry *registry, struct buf *sheet, struct err *err)
{
    char sum[SUM_BYTES + 1];
    sum_format(registry, buf_bytes(sheet), sum);
    return buf_append(sheet, sum, SUM_BYTES, err);
}

bool sheet_write(const struct registry *registry, const char *path, struct buf *sheet,
                 struct err *err)
{
    return sheet_sum(registry, sheet, err) && file_write(path, buf_bytes(sheet), 0600, err);
}

bool sheet_read(const struct registry *registry, const char *path, struct buf *ret_sheet,
                struct err *err)
{
    struct buf content = {.limit = SHEET_LIMIT_BYTES + 1};
    if (!file_read(path, SHEET_LIMIT_BYTES, &content, err))
        return false;
    char sum[SUM_BYTES + 1] = "";
    bool good = content.length >= SUM_BYTES;
    if (good) {
        content.length -= SUM_BYTES;
        sum_format(registry, buf_bytes(&content), sum);
        good = memcmp(content.data + content.length, sum, SUM_BYTES) == 0 &&
               memchr(content.data, '\0', content.length) == NULL;
    }
    if (!good) {
        buf_done(&content);
        return err_set(err, ERR_INVALID, "%s is damaged: its sum does not match", path);
    }
    content.data[content.length] = '\0'; /* where the sum began */
    *ret_sheet = content;
    return true;
}

size_t sheet_next(char **rest, char *fields[SHEET_FIELDS])
{
    char *line = strsep(rest, "\n");
    if (line == NULL || *line == '\0')
        return 0;
    size_t count = 0;
    while (line != NULL && count < SHEET_FIELDS)
        fields[count++] = strsep(&line, "\t");
    return count;
}

bool sheet_number(const char *field, uint64_t *ret_value)
{
    char *end;
    if (field[0] < '0' || field[0] > '9')
        return false;
    errno = 0;
    unsigned long long value = strtoull(field, &end, 10);
    if (errno != 0 || *end != '\0')
        return false;
    *ret_value = value;
    return true;
}

bool sheet_digest(const char *field, uint8_t ret_digest[32])
{
    return hex_decode(field, strlen(field), ret_digest, 32);
}
