/* SPDX-License-Identifier: Apache-2.0 */
#include "base/utf8.h"

#include <string.h>

static size_t sequence_length(uint8_t lead)
{
    if (lead < 0x80)
        return 1;
    if (lead >= 0xc2 && lead < 0xe0)
        return 2;
    if (lead >= 0xe0 && lead < 0xf0)
        return 3;
    if (lead >= 0xf0 && lead < 0xf5)
        return 4;
    return 0;
}

size_t utf8_next(struct bytes text, uint32_t *ret_code)
{
    static const uint32_t lowest[] = {0, 0, 0x80, 0x800, 0x10000};
    static const uint8_t lead_mask[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    size_t length = text.length == 0 ? 0 : sequence_length(text.data[0]);
    if (length == 0 || length > text.length)
        return 0;
    uint32_t code = text.data[0] & lead_mask[length];
    for (size_t i = 1; i < length; i++) {
        if ((text.data[i] & 0xc0) != 0x80)
            return 0;
        code = code << 6 | (text.data[i] & 0x3f);
    }
    bool surrogate = code >= 0xd800 && code < 0xe000;
    if (code < lowest[length] || code > 0x10ffff || surrogate)
        return 0;
    *ret_code = code;
    return length;
}

bool utf8_valid(struct bytes text)
{
    uint32_t code;
    for (size_t at = 0, step; at < text.length; at += step) {
        step = utf8_next(bytes_of(text.data + at, text.length - at), &code);
        if (step == 0)
            return false;
    }
    return true;
}

void utf8_clean(char *text)
{
    size_t length = strlen(text);
    for (size_t at = 0, step; at < length; at += step) {
        uint32_t code;
        step = utf8_next(bytes_of(text + at, length - at), &code);
        if (step == 0) {
            text[at] = '?';
            step = 1;
        }
    }
}

unsigned utf8_columns(uint32_t code)
{
    /* The wide blocks of Unicode's EastAsianWidth.txt, merged where what lies between is unused
     * in names; the locale is not asked, so that a table looks the same under LANG=C. */
    static const struct {
        uint32_t first, last;
    } wide[] = {
        {0x1100, 0x115f},   {0x2e80, 0x303e},   {0x3041, 0xa4cf},   {0xac00, 0xd7a3},
        {0xf900, 0xfaff},   {0xfe30, 0xfe6f},   {0xff00, 0xff60},   {0xffe0, 0xffe6},
        {0x1f300, 0x1f64f}, {0x1f900, 0x1f9ff}, {0x20000, 0x3fffd},
    };
    bool combining = code >= 0x300 && code < 0x370;
    if (combining || code == 0x200b || code == 0xfeff)
        return 0;
    for (size_t i = 0; i < sizeof wide / sizeof *wide; i++)
        if (code >= wide[i].first && code <= wide[i].last)
            return 2;
    return 1;
}

bool utf8_obeyed(uint32_t code)
{
    return code < 0x20 || (code >= 0x7f && code < 0xa0) || (code >= 0x200e && code <= 0x200f) ||
           (code >= 0x2028 && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069);
}
