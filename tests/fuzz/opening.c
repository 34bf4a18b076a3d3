/* SPDX-License-Identifier: Apache-2.0 */
/* Opening hours as people write them, and a moment: the first eight bytes. What is taken stays as
 * it is until it says. */
#include "fleet/opening.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

#define DAY_MS (INT64_C(24) * 60 * 60 * 1000)
#define YEARS_MS (INT64_C(2500) * 366 * DAY_MS)

static bool constant(const struct opening *opening, int64_t from_ms, int64_t until_ms)
{
    bool open = opening_at(opening, from_ms);
    const int64_t between[] = {from_ms + 1, from_ms + (until_ms - from_ms) / 2,
                               from_ms + (until_ms - from_ms) / 3, until_ms - 1};
    for (size_t i = 0; i < sizeof between / sizeof *between; i++) {
        if (between[i] < until_ms && opening_at(opening, between[i]) != open)
            return false;
    }
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int64_t at_ms = 0;
    struct opening opening;
    struct err err = {0};
    if (size < sizeof at_ms)
        return 0;
    memcpy(&at_ms, data, sizeof at_ms);
    at_ms %= YEARS_MS;
    if (at_ms < 0)
        at_ms += DAY_MS * 365 * 1900; /* from the year 70 on */
    char *text = strndup((const char *)data + sizeof at_ms, size - sizeof at_ms);
    HOLDS(text);
    if (opening_parse(text, &opening, &err)) {
        HOLDS(opening.count > 0 && opening.count <= OPENING_RULES_MAX);
        for (int step = 0; step < 8; step++) {
            int64_t until_ms = opening_until(&opening, at_ms);
            HOLDS(until_ms > at_ms && until_ms <= at_ms + DAY_MS);
            HOLDS(constant(&opening, at_ms, until_ms));
            at_ms = until_ms;
        }
    } else {
        HOLDS(err.code == ERR_INVALID && err.text[0]);
    }
    free(text);
    return 0;
}
