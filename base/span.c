/* SPDX-License-Identifier: Apache-2.0 */
#include "base/span.h"

#include <inttypes.h>
#include <stdio.h>

void span_words(int64_t ms, bool up, char out[SPAN_WORDS_CHARS])
{
    static const struct {
        int64_t below_ms, unit_ms;
        const char *name;
    } units[] = {{INT64_C(120) * 1000, 1000, "s"},
                 {INT64_C(2) * 3600 * 1000, 60000, "min"},
                 {INT64_MAX, 3600000, "h"}};
    size_t i = 0;
    while (ms >= units[i].below_ms && units[i].below_ms != INT64_MAX)
        i++;
    const int64_t more = up && ms % units[i].unit_ms != 0 ? 1 : 0;
    (void)snprintf(out, SPAN_WORDS_CHARS, "%" PRId64 " %s", ms / units[i].unit_ms + more,
                   units[i].name);
}
