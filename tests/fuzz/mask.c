/* SPDX-License-Identifier: Apache-2.0 */
/* Free text: only digits may become '*', and what is left must hold nothing more to mask. */
#include "base/mask.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    HOLDS(text);
    if (size)
        memcpy(text, data, size);
    bool masked = mask_card_numbers(text, size), changed = false;
    for (size_t i = 0; i < size; i++) {
        if (text[i] == (char)data[i])
            continue;
        changed = true;
        HOLDS(text[i] == '*');
    }
    HOLDS(masked == changed);
    HOLDS(!mask_card_numbers(text, size));
    free(text);
    return 0;
}
