/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/key_block.h"

#include <ctype.h>
#include <string.h>

enum {
    HEADER_CHARS = 16,
    LENGTH_AT = 1,
    USAGE_AT = 5, /* usage, algorithm, mode of use, version number: letters and digits */
    ALGORITHM_AT = 7,
    MODE_AT = 8,
    KEY_VERSION_AT = 9,
    EXPORT_AT = 11,
    BLOCKS_AT = 12,
    RESERVED_AT = 14,
    OPTIONAL_HEAD_CHARS = 4, /* id and length */
};

/* By the version of the block: characters of its MAC, and what the cipher text is a multiple of. */
static bool sizes_of(char version, size_t *ret_mac, size_t *ret_multiple)
{
    switch (version) {
    case 'A': /* TDES, variant binding */
    case 'C':
        *ret_mac = 8;
        *ret_multiple = 16;
        return true;
    case 'B': /* TDES, derivation */
        *ret_mac = 16;
        *ret_multiple = 16;
        return true;
    case 'D': /* AES, derivation */
        *ret_mac = 32;
        *ret_multiple = 32;
        return true;
    default:
        return false;
    }
}

static bool digits_of(const char *text, size_t count, unsigned base, size_t *ret_value)
{
    size_t value = 0;
    for (size_t i = 0; i < count; i++) {
        static const char digits[] = "0123456789ABCDEF";
        const char *digit = text[i] != '\0' ? strchr(digits, text[i]) : NULL;
        if (digit == NULL || (size_t)(digit - digits) >= base)
            return false;
        value = value * base + (size_t)(digit - digits);
    }
    *ret_value = value;
    return true;
}

static bool is_hex(const char *text, size_t length)
{
    size_t ignored;
    for (size_t i = 0; i < length; i++) {
        if (!digits_of(text + i, 1, 16, &ignored))
            return false;
    }
    return true;
}

static bool header_check(const char *text, size_t length, struct err *err)
{
    size_t stated = 0;
    if (!digits_of(text + LENGTH_AT, 4, 10, &stated) || stated != length)
        return err_set(err, ERR_INVALID,
                       "a key block of %zu characters that does not say so in its header", length);
    for (size_t i = USAGE_AT; i < EXPORT_AT; i++) {
        if (!isupper((unsigned char)text[i]) && !isdigit((unsigned char)text[i]))
            return err_set(err, ERR_INVALID,
                           "character %zu of the key block's header is no letter or digit", i + 1);
    }
    if (strchr("BCDEGNSTVXY", text[MODE_AT]) == NULL)
        return err_set(err, ERR_INVALID,
                       "the key block's mode of use (character 9) is none that X9.143 has");
    if (memchr("ENS", text[EXPORT_AT], 3) == NULL)
        return err_set(err, ERR_INVALID,
                       "the key block's exportability (character 12) is none of E, N and S");
    if (memchr("012", text[RESERVED_AT], 3) == NULL || text[RESERVED_AT + 1] != '0')
        return err_set(err, ERR_INVALID,
                       "characters 15 and 16 of the key block's header are not known");
    return true;
}

/* One optional block at `text`, which has `left` characters; 0: it is none. */
static size_t optional_length(const char *text, size_t left)
{
    size_t length = 0;
    size_t digits = 0;
    if (left < OPTIONAL_HEAD_CHARS || !isalnum((unsigned char)text[0]) ||
        !isalnum((unsigned char)text[1]) || !digits_of(text + 2, 2, 16, &length))
        return 0;
    if (length != 0)
        return length >= OPTIONAL_HEAD_CHARS && length <= left ? length : 0;
    /* 00: so many digits of the length follow */
    size_t head = OPTIONAL_HEAD_CHARS + 2;
    if (left < head || !digits_of(text + OPTIONAL_HEAD_CHARS, 2, 16, &digits) || digits == 0 ||
        digits > 4 || left < head + digits || !digits_of(text + head, digits, 16, &length))
        return 0;
    return length >= head + digits && length <= left ? length : 0;
}

static bool body_check(const char *text, size_t length, size_t *ret_body, struct err *err)
{
    size_t mac = 0;
    size_t multiple = 0;
    size_t blocks = 0;
    size_t at = HEADER_CHARS;
    if (!sizes_of(text[0], &mac, &multiple))
        return err_set(err, ERR_INVALID, "a key block of a version other than A, B, C and D");
    if (!digits_of(text + BLOCKS_AT, 2, 10, &blocks))
        return err_set(err, ERR_INVALID, "the key block does not say how many optional blocks");
    for (size_t i = 0; i < blocks; i++) {
        size_t one = optional_length(text + at, length - at);
        if (one == 0)
            return err_set(err, ERR_INVALID, "optional block %zu of the key block is not whole",
                           i + 1);
        at += one;
    }
    size_t cipher = length - at > mac ? length - at - mac : 0;
    if (cipher == 0 || cipher % multiple != 0 || !is_hex(text + at, length - at))
        return err_set(err, ERR_INVALID,
                       "what follows the key block's header is not a wrapped key and its MAC");
    *ret_body = at;
    return true;
}

static bool block_check(struct bytes content, size_t *ret_body, struct err *err)
{
    const char *text = (const char *)content.data;
    size_t length = content.length;
    if (length > 0 && text[length - 1] == '\n')
        length--;
    if (length > 0 && length < content.length && text[length - 1] == '\r')
        length--;
    if (length < HEADER_CHARS || length > 9999)
        return err_set(err, ERR_INVALID, "%zu characters are no key block (ANSI X9.143, TR-31)",
                       length);
    for (size_t i = 0; i < length; i++) {
        if (text[i] < 0x20 || text[i] > 0x7e)
            return err_set(err, ERR_INVALID, "character %zu of the key block is not printable",
                           i + 1);
    }
    return header_check(text, length, err) && body_check(text, length, ret_body, err);
}

bool key_block_check(struct bytes content, struct err *err)
{
    size_t body;
    return block_check(content, &body, err);
}

/* Two digits here: versions of a slot are compared. "00" is a key without a version; "c" would be
 * a component, which is no letter that passes above. */
static bool key_version_read(const char *text, struct key_block_header *header, struct err *err)
{
    size_t value = 0;
    if (!digits_of(text, 2, 10, &value))
        return err_set(err, ERR_INVALID, "the key block's key version number is not two digits");
    header->versioned = value != 0;
    header->key_version = (unsigned)value;
    return true;
}

bool key_block_read(struct bytes content, struct key_block_header *ret_header, struct err *err)
{
    const char *text = (const char *)content.data;
    size_t body = 0;
    if (!block_check(content, &body, err))
        return false;
    struct key_block_header header = {.version = text[0],
                                      .body_at = body,
                                      .usage = {text[USAGE_AT], text[USAGE_AT + 1]},
                                      .algorithm = text[ALGORITHM_AT],
                                      .mode = text[MODE_AT],
                                      .exportability = text[EXPORT_AT]};
    if (!key_version_read(text + KEY_VERSION_AT, &header, err))
        return false;
    *ret_header = header;
    return true;
}
