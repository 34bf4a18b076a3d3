/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/ctl_table.h"

#include "base/clock.h"
#include "base/utf8.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { COLUMNS_MAX = 256, CELL_BYTES = 512 };

struct ctl_table {
    size_t column_count;
    bool right[COLUMNS_MAX];
    struct cell {
        char *text;
        char *plain; /* as programs want it; NULL: the same */
    } * cells;       /* row by row, the headings first */
    size_t cell_count, cell_room;
    bool lost;
};

/* Copies text with what a terminal would obey, or cannot show, replaced. */
static char *clean_copy(const char *text)
{
    size_t length = strlen(text);
    char *copy = malloc(length + 1);
    if (copy == NULL)
        return NULL;
    char *to = copy;
    for (size_t at = 0; at < length;) {
        uint32_t code = 0;
        size_t step = utf8_next(bytes_of(text + at, length - at), &code);
        if (step == 0 || utf8_obeyed(code)) {
            *to++ = '?';
        } else {
            memcpy(to, text + at, step);
            to += step;
        }
        at += step == 0 ? 1 : step;
    }
    *to = '\0';
    return copy;
}

static size_t columns_of(const char *text)
{
    size_t columns = 0, length = strlen(text);
    uint32_t code = 0;
    for (size_t at = 0, step; at < length; at += step) {
        step = utf8_next(bytes_of(text + at, length - at), &code);
        if (step == 0) /* cells are clean; only running out of memory could bring us here */
            break;
        columns += utf8_columns(code);
    }
    return columns;
}

/* `plain` NULL: as `text`. */
static void add_cell(struct ctl_table *table, const char *text, const char *plain)
{
    if (table == NULL || table->lost)
        return;
    if (table->cell_count == table->cell_room) {
        size_t room = table->cell_room == 0 ? 64 : table->cell_room * 2;
        struct cell *cells = reallocarray(table->cells, room, sizeof *cells);
        if (cells == NULL) {
            table->lost = true;
            return;
        }
        table->cells = cells;
        table->cell_room = room;
    }
    struct cell cell = {clean_copy(text), plain != NULL ? strdup(plain) : NULL};
    table->lost = cell.text == NULL || (plain != NULL && cell.plain == NULL);
    if (!table->lost) {
        table->cells[table->cell_count++] = cell;
        return;
    }
    free(cell.text);
    free(cell.plain);
}

void ctl_table_text(struct ctl_table *table, const char *text)
{
    add_cell(table, text, NULL);
}

struct ctl_table *ctl_table_new(const char *headings)
{
    struct ctl_table *table = calloc(1, sizeof *table);
    if (table == NULL)
        return NULL;
    char *copy = strdup(headings);
    char *rest = copy;
    table->lost = copy == NULL;
    for (char *word; table->column_count < COLUMNS_MAX && (word = strsep(&rest, "|")) != NULL;) {
        table->right[table->column_count++] = word[0] == '>';
        ctl_table_text(table, word[0] == '>' ? word + 1 : word);
    }
    free(copy);
    return table;
}

void ctl_table_format(struct ctl_table *table, const char *fmt, ...)
{
    char text[CELL_BYTES];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    ctl_table_text(table, text);
}

void ctl_table_number(struct ctl_table *table, const char *fmt, ...)
{
    char text[CELL_BYTES];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    add_cell(table, text, text);
}

void ctl_table_count(struct ctl_table *table, int64_t count)
{
    char text[CTL_TEXT_BYTES], plain[CTL_TEXT_BYTES];
    ctl_count_text(count, text);
    (void)snprintf(plain, sizeof plain, "%" PRId64, count);
    add_cell(table, text, plain);
}

void ctl_table_ago(struct ctl_table *table, int64_t wall_ms, int64_t now_ms)
{
    char text[CTL_TEXT_BYTES];
    ctl_ago_text(wall_ms, now_ms, text);
    ctl_table_moment(table, text, wall_ms);
}

void ctl_table_moment(struct ctl_table *table, const char *text, int64_t wall_ms)
{
    char plain[32] = "";
    if (wall_ms > 0)
        clock_format(wall_ms, plain);
    add_cell(table, text, plain);
}

void ctl_table_plain(struct ctl_table *table, const char *text, const char *plain)
{
    add_cell(table, text, plain);
}

static void print_row(const struct ctl_table *table, size_t first, const size_t *widths, FILE *out)
{
    size_t spaces = 0; /* owed; paid only before a cell, so that no line ends in them */
    for (size_t i = 0; i < table->column_count; i++) {
        const char *cell = table->cells[first + i].text;
        size_t fill = widths[i] - columns_of(cell);
        spaces += table->right[i] ? fill : 0;
        if (cell[0] != '\0') {
            fprintf(out, "%*s%s", (int)spaces, "", cell);
            spaces = 0;
        }
        spaces += table->right[i] ? 2 : fill + 2;
    }
    fputc('\n', out);
}

static void print_rows(const struct ctl_table *table, FILE *out)
{
    size_t widths[COLUMNS_MAX] = {0};
    for (size_t i = 0; i < table->cell_count; i++) {
        size_t columns = columns_of(table->cells[i].text);
        size_t *width = &widths[i % table->column_count];
        *width = columns > *width ? columns : *width;
    }
    bool bold = isatty(fileno(out)) == 1;
    for (size_t first = 0; first + table->column_count <= table->cell_count;
         first += table->column_count) {
        fputs(bold && first == 0 ? "\033[1m" : "", out);
        print_row(table, first, widths, out);
        fputs(bold && first == 0 ? "\033[0m" : "", out);
    }
}

static bool free_table(struct ctl_table *table)
{
    bool whole = !table->lost;
    for (size_t i = 0; i < table->cell_count; i++) {
        free(table->cells[i].text);
        free(table->cells[i].plain);
    }
    free(table->cells);
    free(table);
    return whole;
}

bool ctl_table_print(struct ctl_table *table, FILE *out, const char *nothing)
{
    if (table == NULL)
        return false;
    if (table->cell_count <= table->column_count)
        fprintf(out, "%s\n", nothing);
    else
        print_rows(table, out);
    return free_table(table);
}

static void print_csv_cell(const char *text, const char *before, FILE *out)
{
    if (strpbrk(text, ",\"\r\n") == NULL) {
        fprintf(out, "%s%s", before, text);
        return;
    }
    fprintf(out, "\"%s", before);
    for (; *text != '\0'; text++) {
        if (*text == '"')
            fputc('"', out);
        fputc(*text, out);
    }
    fputc('"', out);
}

/* A spreadsheet takes what begins so for a formula, and the text may be a terminal's. */
static bool is_formula(const char *text)
{
    return text[0] != '\0' && strchr("=+-@\t\r", text[0]) != NULL;
}

static void print_csv_text(const char *text, FILE *out)
{
    if (strcmp(text, "-") == 0) /* for people: nothing */
        return;
    print_csv_cell(text, is_formula(text) ? "'" : "", out);
}

bool ctl_table_csv(struct ctl_table *table, FILE *out)
{
    if (table == NULL)
        return false;
    for (size_t i = 0; i < table->cell_count; i++) {
        const struct cell *cell = &table->cells[i];
        if (cell->plain != NULL)
            print_csv_cell(cell->plain, "", out);
        else
            print_csv_text(cell->text, out);
        fputs((i + 1) % table->column_count == 0 ? "\r\n" : ",", out);
    }
    return free_table(table);
}

void ctl_count_text(int64_t count, char text[CTL_TEXT_BYTES])
{
    char digits[24];
    int length = snprintf(digits, sizeof digits, "%" PRId64, count);
    const char *from = digits;
    if (*from == '-')
        *text++ = *from++;
    for (int left = length - (int)(from - digits); left > 0; left--) {
        *text++ = *from++;
        if (left % 3 == 1 && left > 1)
            *text++ = ',';
    }
    *text = '\0';
}

/* The greatest unit of which there are at least two. */
static int64_t in_unit(int64_t seconds, char *ret_unit)
{
    static const struct {
        int64_t seconds;
        char name;
    } units[] = {{86400, 'd'}, {3600, 'h'}, {60, 'm'}};
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        if (seconds < 2 * units[i].seconds)
            continue;
        *ret_unit = units[i].name;
        return seconds / units[i].seconds;
    }
    *ret_unit = 's';
    return seconds;
}

int64_t ctl_kilobytes(int64_t bytes)
{
    return bytes / 1024 + (bytes % 1024 >= 512);
}

void ctl_span_text(int64_t span_ms, char text[CTL_TEXT_BYTES])
{
    char unit = 's';
    uint64_t size = span_ms < 0 ? 0 - (uint64_t)span_ms : (uint64_t)span_ms;
    if (size < 1000) {
        (void)snprintf(text, CTL_TEXT_BYTES, "%d ms", (int)size);
        return;
    }
    int64_t amount = in_unit((int64_t)(size / 1000), &unit);
    (void)snprintf(text, CTL_TEXT_BYTES, "%" PRId64 "%c", amount, unit);
}

void ctl_ago_text(int64_t wall_ms, int64_t now_ms, char text[CTL_TEXT_BYTES])
{
    if (wall_ms <= 0) {
        (void)snprintf(text, CTL_TEXT_BYTES, "never");
        return;
    }
    bool ahead = wall_ms > now_ms + 999;
    int64_t seconds = (ahead ? wall_ms - now_ms : now_ms - wall_ms) / 1000;
    seconds = seconds < 0 ? 0 : seconds;
    char unit = 's';
    int64_t amount = in_unit(seconds, &unit);
    (void)snprintf(text, CTL_TEXT_BYTES, "%s%" PRId64 "%c%s", ahead ? "in " : "", amount, unit,
                   ahead ? "" : " ago");
}
