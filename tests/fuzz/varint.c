/* SPDX-License-Identifier: Apache-2.0 */
/* The one number format of every wire form here, and hex. */
#include "tests/fuzz/fuzz.h"

#include <string.h>

static void try_varint(struct bytes in)
{
    uint64_t value = 0, again = 0;
    uint8_t out[10];
    int length = varint_get(in, &value);
    HOLDS(length >= -1 && length <= 10 && length <= (int)in.length);
    if (length <= 0)
        return;
    size_t put = varint_put(value, out);
    HOLDS(put <= (size_t)length);
    HOLDS(varint_get(bytes_of(out, put), &again) == (int)put && again == value);
}

static void try_hex(struct bytes in)
{
    uint8_t raw[64];
    char text[129];
    size_t length = in.length / 2 < sizeof raw ? in.length / 2 : sizeof raw;
    if (!hex_decode((const char *)in.data, in.length, raw, length))
        return;
    HOLDS(in.length == 2 * length);
    hex_encode(raw, length, text);
    HOLDS(strncasecmp(text, (const char *)in.data, in.length) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    try_varint(bytes_of(data, size));
    if (size)
        try_hex(bytes_of(data, size));
    return 0;
}
