/* SPDX-License-Identifier: Apache-2.0 */
/* Two contents, either of which may be anybody's file: what is counted fits both, whatever they
 * are. The first byte says where the one ends and the other begins. */
#include "agent/rowdiff.h"

#include "proto/table.h"
#include "tests/fuzz/world.h"

static uint64_t lines_of(struct bytes content)
{
    struct table_lines lines = {.rest = content};
    struct bytes line;
    uint64_t count = 0;
    while (table_line(&lines, &line))
        count++;
    return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes in = bytes_of(data, size);
    struct rowdiff diff, back;
    if (size == 0)
        return 0;
    size_t first = (size_t)fuzz_byte(&in) * in.length / 255;
    struct bytes found = bytes_of(in.data, first);
    struct bytes wanted = bytes_of(in.data + first, in.length - first);
    uint64_t rows = lines_of(found), others = lines_of(wanted);
    if (rows > ROWDIFF_ROWS || others > ROWDIFF_ROWS)
        return 0;
    HOLDS(rowdiff_make(found, wanted, &diff, NULL) && rowdiff_make(wanted, found, &back, NULL));
    HOLDS(diff.only_found <= rows && diff.only_wanted <= others);
    HOLDS(rows - diff.only_found == others - diff.only_wanted); /* those that both have */
    HOLDS(diff.only_found == back.only_wanted && diff.only_wanted == back.only_found);
    HOLDS(diff.first == back.first && diff.first <= (rows > others ? rows : others));
    HOLDS(diff.only_found + diff.only_wanted == 0 || diff.first > 0);
    HOLDS(rowdiff_make(found, found, &diff, NULL) && diff.first == 0);
    return 0;
}
