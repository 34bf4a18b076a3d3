/* SPDX-License-Identifier: Apache-2.0 */
/* Card numbers in what need not be text: packed digits (BCD), and base64. */
#include "agent/logs_guard.h"

#include "base/mask.h"
#include "base/utf8.h"

#include <string.h>

enum { USUAL_NIBBLES = 16, LONGEST_NIBBLES = 20, TAIL_NIBBLES = 20, TOKEN_LEAST = 18, PHASES = 4 };
enum { PAD = 0xf, TRACK = 0xd };

/* ---- packed digits ---- */

static unsigned nibble_at(struct bytes in, size_t at)
{
    uint8_t byte = in.data[at / 2];
    return at % 2 == 0 ? byte >> 4 : byte & 15u;
}

/* Packed numbers fill whole bytes, or are filled up with F, or with a 0 in front; on track 2 they
 * end with D. */
static bool may_end(struct bytes in, size_t start, size_t end)
{
    size_t nibbles = end - start + start % 2;
    if (nibbles == USUAL_NIBBLES || (start % 2 == 1 && nibbles == LONGEST_NIBBLES))
        return true;
    return end < 2 * in.length && (nibble_at(in, end) == PAD || nibble_at(in, end) == TRACK);
}

/* What follows D is as much of a secret. */
static size_t packed_tail(struct bytes in, size_t end)
{
    if (end >= 2 * in.length || nibble_at(in, end) != TRACK)
        return end;
    size_t i = end + 1;
    while (i < 2 * in.length && i <= end + TAIL_NIBBLES && nibble_at(in, i) <= 9)
        i++;
    return i;
}

/* In nibbles; `start`: none begins there. */
static size_t packed_end(struct bytes in, size_t start)
{
    struct logs_number number = {0};
    size_t i = start, found = start;
    while (i < 2 * in.length && number.digits < LOGS_NUMBER_MAX && nibble_at(in, i) <= 9) {
        logs_number_add(&number, nibble_at(in, i));
        i++;
        if (logs_number_is_card(&number) && may_end(in, start, i))
            found = i;
    }
    return found > start ? packed_tail(in, found) : start;
}

static bool guard_packed(uint8_t *data, size_t length)
{
    const struct bytes in = bytes_of(data, length);
    bool masked = false;
    for (size_t i = 0; i < length; i++) {
        size_t start = 2 * i, end = packed_end(in, start);
        if (end == start && data[i] < 10) { /* a 0 in front */
            start++;
            end = packed_end(in, start);
        }
        if (end == start)
            continue;
        memset(data + i, '*', (end + 1) / 2 - i);
        masked = true;
    }
    return masked;
}

static bool is_text(struct bytes line)
{
    for (size_t i = 0; i < line.length; i++) {
        uint8_t c = line.data[i];
        if ((c < ' ' && c != '\t' && c != '\r' && c != '\x1b') || c == 0x7f)
            return false;
    }
    return utf8_valid(line);
}

/* In text every word could be packed digits. */
bool logs_guard_bytes(uint8_t *data, size_t length)
{
    bool masked = false;
    for (size_t at = 0; at < length;) {
        const uint8_t *end = memchr(data + at, '\n', length - at);
        size_t line = (end != NULL ? (size_t)(end - data) : length) - at;
        if (!is_text(bytes_of(data + at, line)))
            masked = guard_packed(data + at, line) || masked;
        at += line + 1;
    }
    return masked;
}

/* ---- base64 ---- */

static int value_of(uint8_t c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == '+' || c == '-')
        return 62;
    return c == '/' || c == '_' ? 63 : -1;
}

static bool decode(struct bytes token, struct buf *out, struct err *err)
{
    uint32_t bits = 0;
    unsigned count = 0;
    buf_clear(out);
    uint8_t *room = buf_reserve(out, token.length, err);
    if (room == NULL)
        return false;
    for (size_t i = 0; i < token.length; i++) {
        bits = (bits << 6 | (uint32_t)value_of(token.data[i])) & 0xffffffu;
        count += 6;
        if (count < 8)
            continue;
        count -= 8;
        room[out->length++] = (uint8_t)(bits >> count);
    }
    return true;
}

/* Something may be glued to its front, or its front be cut: all four ways to read it. */
static bool guard_token(uint8_t *token, size_t length, struct buf *decoded, bool *masked,
                        struct err *err)
{
    for (size_t phase = 0; phase < PHASES; phase++) {
        if (!decode(bytes_of(token + phase, length - phase), decoded, err))
            return false;
        bool found = mask_card_numbers((char *)decoded->data, decoded->length);
        if (guard_packed(decoded->data, decoded->length) || found) {
            memset(token, '*', length);
            *masked = true;
            return true;
        }
    }
    return true;
}

bool logs_guard_base64(struct buf *text, bool *ret_masked, struct err *err)
{
    struct buf decoded = {.limit = text->length + 1};
    bool ok = true;
    *ret_masked = false;
    for (size_t at = 0, end; ok && at < text->length; at = end + 1) {
        for (end = at; end < text->length && value_of(text->data[end]) >= 0;)
            end++;
        if (end - at >= TOKEN_LEAST)
            ok = guard_token(text->data + at, end - at, &decoded, ret_masked, err);
    }
    buf_done(&decoded);
    return ok;
}
