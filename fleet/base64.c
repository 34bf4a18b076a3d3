/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/base64.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

bool base64_encode(struct bytes in, struct buf *out, struct err *err)
{
    size_t length = (in.length + 2) / 3 * 4;
    uint8_t *to = buf_reserve(out, length + 1, err);
    if (to == NULL)
        return false;
    for (size_t at = 0; at < in.length; at += 3) {
        size_t have = in.length - at < 3 ? in.length - at : 3;
        uint32_t group = (uint32_t)in.data[at] << 16;
        if (have > 1)
            group |= (uint32_t)in.data[at + 1] << 8;
        if (have > 2)
            group |= in.data[at + 2];
        *to++ = (uint8_t)alphabet[group >> 18];
        *to++ = (uint8_t)alphabet[group >> 12 & 63];
        *to++ = have > 1 ? (uint8_t)alphabet[group >> 6 & 63] : '=';
        *to++ = have > 2 ? (uint8_t)alphabet[group & 63] : '=';
    }
    *to = 0;
    out->length += length;
    return true;
}

static int digit_of(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == '+')
        return 62;
    return c == '/' ? 63 : -1;
}

/* Four characters, `digits` of them not padding, to digits - 1 bytes; the bits that padding
 * leaves over must be zero, so that every value has one form. */
static bool decode_group(const char *text, size_t digits, uint8_t *to)
{
    uint32_t group = 0;
    for (size_t i = 0; i < 4; i++) {
        int digit = i < digits ? digit_of(text[i]) : 0;
        if (digit < 0)
            return false;
        group = group << 6 | (uint32_t)digit;
    }
    uint32_t unused = digits == 4 ? 0 : digits == 3 ? 0xff : 0xffff;
    if ((group & unused) != 0)
        return false;
    for (size_t i = 0; i + 1 < digits; i++)
        to[i] = (uint8_t)(group >> (16 - 8 * i));
    return true;
}

bool base64_decode(const char *text, size_t length, struct buf *out, struct err *err)
{
    if (length % 4 != 0)
        return err_set(err, ERR_INVALID, "%zu characters are not padded base64", length);
    if (length == 0)
        return true;
    uint8_t *to = buf_reserve(out, length / 4 * 3, err);
    if (to == NULL)
        return false;
    size_t padding = text[length - 1] != '=' ? 0 : text[length - 2] != '=' ? 1 : 2;
    for (size_t at = 0; at < length; at += 4) {
        size_t digits = at + 4 == length ? 4 - padding : 4;
        if (!decode_group(text + at, digits, to))
            return err_set(err, ERR_INVALID, "the base64 text is wrong near character %zu", at);
        to += digits - 1;
    }
    out->length += length / 4 * 3 - padding;
    return true;
}
