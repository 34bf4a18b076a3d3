/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/params.h"

#include "proto/table.h"

#include <ini.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    LINE_BYTES = 198, /* inih as Debian builds it splits longer lines in two, silently */
    KEYS_FIRST = 64,
};

struct key {
    struct bytes section, name; /* of the content */
    size_t row;
};

struct params {
    struct table_lines lines;
    struct bytes line, section; /* as far as it is read */
    bool keyed;                 /* the section has a key: an indented line goes on with its value */
    bool no_memory;
    size_t count, room;
    struct key *keys;
};

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t';
}

static struct bytes without_blanks(struct bytes text)
{
    while (text.length > 0 && is_blank(text.data[0]))
        text = bytes_of(text.data + 1, text.length - 1);
    while (text.length > 0 && is_blank(text.data[text.length - 1]))
        text.length--;
    return text;
}

/* ---- reading ---- */

static void take_section(struct params *params)
{
    const struct bytes line = without_blanks(params->line);
    if (line.length == 0 || line.data[0] != '[')
        return;
    if (params->keyed && is_blank(params->line.data[0]))
        return; /* of a value */
    const uint8_t *end = memchr(line.data, ']', line.length);
    if (end == NULL)
        return; /* which inih refuses */
    params->section = bytes_of(line.data + 1, (size_t)(end - line.data) - 1);
    params->keyed = false;
}

/* As fgets does it for inih. */
static char *next_line(char *text, int size, void *stream)
{
    struct params *params = stream;
    if (!table_line(&params->lines, &params->line))
        return NULL;
    take_section(params);
    (void)snprintf(text, (size_t)size, "%.*s\n", (int)params->line.length,
                   (const char *)params->line.data);
    return text;
}

static bool has_room(struct params *params)
{
    if (params->count < params->room)
        return true;
    const size_t room = params->room > 0 ? 2 * params->room : KEYS_FIRST;
    struct key *keys = realloc(params->keys, room * sizeof *keys);
    if (keys == NULL)
        return false;
    params->keys = keys;
    params->room = room;
    return true;
}

static int on_value(void *user, const char *section, const char *name, const char *value)
{
    struct params *params = user;
    (void)section;
    (void)value;
    if (params->keyed && params->line.length > 0 && is_blank(params->line.data[0]))
        return 1; /* more of the last value */
    if (name[0] == '\0')
        return 0;
    if (!has_room(params)) {
        params->no_memory = true;
        return 0;
    }
    params->keys[params->count++] =
        (struct key){.section = params->section,
                     .name = bytes_of(without_blanks(params->line).data, strlen(name)),
                     .row = params->lines.row};
    params->keyed = true;
    return 1;
}

/* ---- the same key twice ---- */

static int compare_bytes(struct bytes a, struct bytes b)
{
    const size_t length = a.length < b.length ? a.length : b.length;
    const int order = length > 0 ? memcmp(a.data, b.data, length) : 0;
    return order != 0 ? order : (a.length > b.length) - (a.length < b.length);
}

static int compare_keys(const void *left, const void *right)
{
    const struct key *a = left, *b = right;
    int order = compare_bytes(a->section, b->section);
    if (order == 0)
        order = compare_bytes(a->name, b->name);
    return order != 0 ? order : (a->row > b->row) - (a->row < b->row);
}

static bool check_once(struct params *params, struct err *err)
{
    qsort(params->keys, params->count, sizeof *params->keys, compare_keys);
    for (size_t i = 1; i < params->count; i++) {
        const struct key *first = &params->keys[i - 1], *second = &params->keys[i];
        if (bytes_equal(first->section, second->section) && bytes_equal(first->name, second->name))
            return err_set(err, ERR_INVALID, "row %zu: %.*s is in row %zu already, in one section",
                           second->row, (int)(second->name.length < 48 ? second->name.length : 48),
                           (const char *)second->name.data, first->row);
    }
    return true;
}

/* ---- all of it ---- */

static bool check_lines(struct bytes content, struct err *err)
{
    struct table_lines lines = {.rest = content};
    struct bytes line;
    if (!table_start_check(content, err))
        return false;
    while (table_line(&lines, &line)) {
        if (!table_line_check(line, lines.row, err))
            return false;
        if (line.length > LINE_BYTES)
            return err_set(err, ERR_INVALID, "row %zu: %zu bytes, at most %d are read", lines.row,
                           line.length, LINE_BYTES);
    }
    return true;
}

static bool check_values(struct params *params, struct err *err)
{
    const int bad_row = ini_parse_stream(next_line, params, on_value, params);
    if (bad_row < 0 || params->no_memory)
        return err_set(err, ERR_NO_MEMORY, "no memory to read the parameters");
    if (bad_row > 0)
        return err_set(err, ERR_INVALID, "row %d: neither [section] nor key = value", bad_row);
    if (params->count == 0)
        return err_set(err, ERR_INVALID, "there is no value in it");
    return check_once(params, err);
}

bool params_check(struct bytes content, struct err *err)
{
    struct params params = {.lines = {.rest = content}};
    const bool good = check_lines(content, err) && check_values(&params, err);
    free(params.keys);
    return good;
}
