/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/logs_guard.h"

#include "base/mask.h"

#include <string.h>

enum { SHORTEST = 13, SEPARATOR_MAX = 3, TAIL_MAX = 48, NAME_MAX_CHARS = 40, TAIL_LEAST = 4 };

struct span { /* of a text */
    const char *text;
    size_t length;
};

void logs_number_add(struct logs_number *number, unsigned digit)
{
    if (number->digits == 0)
        number->begins_well = (digit >= 2 && digit <= 6) || digit == 9;
    /* Which ones are doubled follows from how many there will be: both sums are carried along. */
    number->sum[number->digits % 2] += digit < 5 ? 2 * digit : 2 * digit - 9;
    number->sum[1 - number->digits % 2] += digit;
    number->digits++;
}

bool logs_number_is_card(const struct logs_number *number)
{
    return number->begins_well && number->digits >= SHORTEST && number->digits <= LOGS_NUMBER_MAX &&
           number->sum[number->digits % 2] % 10 == 0;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool digit_at(const struct span *in, size_t at)
{
    return at < in->length && is_digit(in->text[at]);
}

static size_t digits_at(const struct span *in, size_t at)
{
    size_t count = 0;
    while (digit_at(in, at + count))
        count++;
    return count;
}

/* ---- groups of digits with any separator, the same throughout ---- */

static size_t separator_at(const struct span *in, size_t at)
{
    size_t count = 0;
    while (at + count < in->length && !is_digit(in->text[at + count]) &&
           !is_letter(in->text[at + count]) && in->text[at + count] != '*')
        count++;
    return count <= SEPARATOR_MAX ? count : 0;
}

static bool is_separator_again(const struct span *in, size_t first, size_t length, size_t at)
{
    return at + length < in->length && memcmp(in->text + first, in->text + at, length) == 0 &&
           is_digit(in->text[at + length]);
}

/* A date or a time, which often follows a number that ends a line. */
static bool is_of_a_time(const struct span *in, size_t end)
{
    return end < in->length && in->text[end] != '\0' && strchr(".:-/T", in->text[end]) != NULL;
}

/* 4-4-4-4, 4-6-5, 2-2-2-...; `cut`: or 12-4 and 4-12, by a line's end. */
static bool group_fits(unsigned groups, size_t first, size_t previous, size_t count, bool cut)
{
    if (groups == 2)
        return count <= first || (first == 4 && count == 6) || cut;
    if (groups == 3 && first == 4 && previous == 6)
        return count <= 5;
    return previous == first && count <= first;
}

/* Where the longest number ends that begins at `at`, which begins a group; `at`: none. */
static size_t spelled_end(const struct span *in, size_t at)
{
    struct logs_number number = {0};
    const size_t first = digits_at(in, at), separator = at + first;
    const size_t length = separator_at(in, separator);
    size_t i = at, found = at, count = first;
    if (length == 0 || first < 2)
        return at;
    const bool over_lines = memchr(in->text + separator, '\n', length) != NULL;
    for (unsigned groups = 1; number.digits + count <= LOGS_NUMBER_MAX; groups++) {
        for (size_t end = i + count; i < end; i++)
            logs_number_add(&number, (unsigned)(in->text[i] - '0'));
        if (groups > 1 && logs_number_is_card(&number))
            found = i;
        if (!is_separator_again(in, separator, length, i))
            break;
        size_t previous = count;
        i += length;
        count = digits_at(in, i);
        if (!group_fits(groups + 1, first, previous, count,
                        over_lines && !is_of_a_time(in, i + count)))
            break;
    }
    return found;
}

/* ---- dumped bytes ---- */

/* "0x", "\x", perhaps with a comma, colon or space before it: how long it is. */
static size_t between_bytes(const struct span *in, size_t at, bool *ret_prefix)
{
    size_t i = at;
    while (i < in->length && i < at + 2 && strchr(" ,:-", in->text[i]) != NULL &&
           in->text[i] != '\0')
        i++;
    *ret_prefix = i + 1 < in->length && (in->text[i] == '0' || in->text[i] == '\\') &&
                  (in->text[i + 1] == 'x' || in->text[i + 1] == 'X');
    return i - at + (*ret_prefix ? 2 : 0);
}

/* Bytes that are digits as ASCII or EBCDIC has them, 34 or F4; `bcd`: that are two digits each. */
static bool byte_at(const struct span *in, size_t at, bool bcd)
{
    if (!digit_at(in, at + 1))
        return false;
    char high = in->text[at];
    return bcd ? is_digit(high) : high == '3' || high == 'f' || high == 'F';
}

static size_t dumped_end(const struct span *in, size_t at, bool bcd)
{
    struct logs_number number = {0};
    size_t i = at, found = at;
    while (number.digits < LOGS_NUMBER_MAX && byte_at(in, i, bcd)) {
        bool prefix;
        if (bcd)
            logs_number_add(&number, (unsigned)(in->text[i] - '0'));
        logs_number_add(&number, (unsigned)(in->text[i + 1] - '0'));
        i += 2;
        if (logs_number_is_card(&number))
            found = i;
        size_t between = between_bytes(in, i, &prefix);
        if (bcd && !prefix) /* without it base/mask.h, or another pass, has found it */
            break;
        i += between;
    }
    return found;
}

/* ---- what follows a number on a track ---- */

/* Track 1 has the holder's name between two '^' first. */
static size_t after_name(const struct span *in, size_t at)
{
    size_t end = at + 1 + NAME_MAX_CHARS;
    for (size_t i = at + 1; i < in->length && i < end && in->text[i] != '\n'; i++)
        if (in->text[i] == '^')
            return i;
    return at;
}

/* Digits, perhaps in groups, from `at` on. */
static size_t tail_end(const struct span *in, size_t at)
{
    size_t i = at, digits = 0, end = at;
    for (; i < in->length && i < at + TAIL_MAX; i++) {
        if (is_digit(in->text[i])) {
            digits++;
            end = i + 1;
        } else if (in->text[i] != ' ' || !digit_at(in, i + 1)) {
            break;
        }
    }
    return digits >= TAIL_LEAST ? end : at;
}

/* `at` follows a masked digit. */
static size_t track_end(const struct span *in, size_t at)
{
    size_t i = at;
    if (i + 1 < in->length && in->text[i] == ' ')
        i++;
    if (i >= in->length || in->text[i] == '\0' || strchr("=Dd^", in->text[i]) == NULL)
        return at;
    if (in->text[i] == '^')
        i = after_name(in, i);
    size_t end = tail_end(in, i + 1);
    return end > i + 1 ? end : at;
}

/* ---- all of it ---- */

static bool blot(char *text, size_t from, size_t to, bool letters)
{
    for (size_t i = from; i < to; i++)
        if (is_digit(text[i]) || (letters && is_letter(text[i])))
            text[i] = '*';
    return to > from;
}

static bool guard_dumps(char *text, size_t length)
{
    const struct span in = {text, length};
    bool masked = false;
    for (size_t i = 0; i < length; i++) {
        size_t end = dumped_end(&in, i, false);
        masked = blot(text, i, end, true) || masked;
        bool prefixed = i >= 2 && (text[i - 1] == 'x' || text[i - 1] == 'X');
        if (end == i && prefixed)
            masked = blot(text, i, dumped_end(&in, i, true), true) || masked;
    }
    return masked;
}

static bool guard_groups(char *text, size_t length)
{
    const struct span in = {text, length};
    bool masked = false;
    for (size_t i = 0; i < length; i++)
        if (is_digit(text[i]) && (i == 0 || !is_digit(text[i - 1])))
            masked = blot(text, i, spelled_end(&in, i), false) || masked;
    return masked;
}

static bool guard_tracks(char *text, size_t length)
{
    const struct span in = {text, length};
    bool masked = false;
    for (size_t i = 1; i < length; i++)
        if (text[i - 1] == '*')
            masked = blot(text, i, track_end(&in, i), false) || masked;
    return masked;
}

/* UTF-16 is read without its NULs; what it is read with must not obey it. */
static void clean(struct buf *text)
{
    size_t kept = 0;
    for (size_t i = 0; i < text->length; i++) {
        uint8_t c = text->data[i];
        if (c == '\0')
            continue;
        bool obeyed = (c < ' ' && c != '\n' && c != '\t') || c == 0x7f;
        text->data[kept++] = obeyed ? '?' : c;
    }
    text->length = kept;
}

bool logs_guard(struct buf *text, bool *ret_masked, struct err *err)
{
    bool encoded;
    bool masked = logs_guard_bytes(text->data, text->length);
    clean(text);
    if (!logs_guard_base64(text, &encoded, err))
        return false;
    char *out = (char *)text->data;
    /* Dumps first: their digits may look like another number, of which they are half. */
    masked = guard_dumps(out, text->length) || masked || encoded;
    masked = mask_card_numbers(out, text->length) || masked;
    masked = guard_groups(out, text->length) || masked;
    masked = guard_tracks(out, text->length) || masked;
    *ret_masked = masked;
    return true;
}
