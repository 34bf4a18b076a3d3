/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/rowdiff.h"

#include "proto/table.h"

#include <stdlib.h>
#include <string.h>

struct rows {
    struct bytes *rows;
    size_t count;
};

static bool rows_count(struct bytes content, size_t *ret_count, struct err *err)
{
    struct table_lines lines = {.rest = content};
    struct bytes line;
    size_t count = 0;
    if (content.length > ROWDIFF_BYTES)
        return err_set(err, ERR_INVALID, "more than %d bytes are not compared by rows",
                       ROWDIFF_BYTES);
    while (table_line(&lines, &line))
        count++;
    *ret_count = count;
    return count <= ROWDIFF_ROWS ||
           err_set(err, ERR_INVALID, "more than %d rows are not compared", ROWDIFF_ROWS);
}

static bool rows_take(struct bytes content, struct rows *rows, struct err *err)
{
    struct table_lines lines = {.rest = content};
    size_t count;
    if (!rows_count(content, &count, err))
        return false;
    rows->rows = calloc(count + 1, sizeof rows->rows[0]);
    if (rows->rows == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory to compare %zu rows", count);
    while (rows->count < count && table_line(&lines, &rows->rows[rows->count]))
        rows->count++;
    return true;
}

static int row_compare(const void *left, const void *right)
{
    const struct bytes *a = left, *b = right;
    size_t shorter = a->length < b->length ? a->length : b->length;
    int order = shorter > 0 ? memcmp(a->data, b->data, shorter) : 0;
    if (order != 0)
        return order;
    return (a->length > b->length) - (a->length < b->length);
}

static uint64_t first_of(const struct rows *found, const struct rows *wanted)
{
    size_t i = 0;
    while (i < found->count && i < wanted->count &&
           row_compare(&found->rows[i], &wanted->rows[i]) == 0)
        i++;
    return i == found->count && i == wanted->count ? 0 : i + 1;
}

static void count_alone(struct rows *found, struct rows *wanted, struct rowdiff *diff)
{
    size_t f = 0, w = 0;
    qsort(found->rows, found->count, sizeof found->rows[0], row_compare);
    qsort(wanted->rows, wanted->count, sizeof wanted->rows[0], row_compare);
    while (f < found->count && w < wanted->count) {
        int order = row_compare(&found->rows[f], &wanted->rows[w]);
        diff->only_found += order < 0;
        diff->only_wanted += order > 0;
        f += order <= 0;
        w += order >= 0;
    }
    diff->only_found += found->count - f;
    diff->only_wanted += wanted->count - w;
}

bool rowdiff_make(struct bytes found, struct bytes wanted, struct rowdiff *ret_diff,
                  struct err *err)
{
    struct rows left = {0}, right = {0};
    bool taken = rows_take(found, &left, err) && rows_take(wanted, &right, err);
    if (taken) {
        *ret_diff = (struct rowdiff){.first = first_of(&left, &right)};
        count_alone(&left, &right, ret_diff);
    }
    free(left.rows);
    free(right.rows);
    return taken;
}
