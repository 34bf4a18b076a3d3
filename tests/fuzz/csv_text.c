/* SPDX-License-Identifier: Apache-2.0 */
/* CSV as others write it. What is read and written again reads the same. */
#include "fleet/csv_text.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

struct rows {
    FILE *out; /* they are written to it */
    struct buf cells;
    size_t count, line;
};

static bool take(void *ctx, size_t line, const char *const *cells, size_t count, struct err *err)
{
    struct rows *rows = ctx;
    HOLDS(count > 0 && count <= CSV_CELLS_MAX);
    HOLDS(line > rows->line || (rows->line == 0 && line == 1) || line == rows->line);
    rows->line = line;
    rows->count++;
    for (size_t i = 0; i < count; i++)
        HOLDS(buf_append(&rows->cells, cells[i], strlen(cells[i]) + 1, err));
    HOLDS(buf_append(&rows->cells, "\xff", 1, err));
    if (rows->out != NULL)
        csv_write_row(rows->out, cells, count);
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = NULL;
    size_t length = 0;
    struct err err = {0};
    struct rows first = {.out = open_memstream(&text, &length)}, again = {0};
    HOLDS(first.out);
    bool read = csv_read(bytes_of(data, size), take, &first, &err);
    HOLDS(read || (err.code == ERR_INVALID && err.text[0]));
    HOLDS(fclose(first.out) == 0);
    HOLDS(csv_read(bytes_of(text, length), take, &again, NULL));
    HOLDS(first.count == again.count);
    HOLDS(bytes_equal(buf_bytes(&first.cells), buf_bytes(&again.cells)));
    buf_done(&first.cells);
    buf_done(&again.cells);
    free(text);
    return 0;
}
