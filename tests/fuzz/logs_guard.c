/* SPDX-License-Identifier: Apache-2.0 */
/* Lines of foreign programs in a log bundle: whatever the bytes are, what comes out is no longer,
 * obeys nobody, and has changed by masks alone. */
#include "agent/logs_guard.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf text = {0};
    bool masked;
    bool stars = false;
    HOLDS(buf_append(&text, data, size, NULL) && logs_guard(&text, &masked, NULL));
    HOLDS(text.length <= size);
    for (size_t i = 0; i < text.length; i++) {
        uint8_t c = text.data[i];
        HOLDS((c >= ' ' || c == '\n' || c == '\t') && c != 0x7f);
        stars = stars || c == '*';
    }
    HOLDS(!masked || stars);
    buf_done(&text);
    return 0;
}
