/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mask.h"

enum {
    SHORTEST_NUMBER = 13,
    LONGEST_NUMBER = 19,
    /* A longer group of digits may be a card number with something glued to it. */
    USUAL_NUMBER = 16,
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_separator(char c)
{
    return c == ' ' || c == '-';
}

static bool starts_like_a_card(char c)
{
    return (c >= '2' && c <= '6') || c == '9';
}

static size_t group_end(const char *text, size_t length, size_t at)
{
    while (at < length && is_digit(text[at]))
        at++;
    return at;
}

static unsigned luhn_doubled(unsigned digit)
{
    return digit < 5 ? 2 * digit : 2 * digit - 9;
}

/* Where the longest card number that begins at `at` ends; `at` when none does. A number ends where
 * a group of digits ends, or anywhere in a group that is longer than the usual number. */
static size_t number_end(const char *text, size_t length, size_t at, bool in_long_group)
{
    if (!starts_like_a_card(text[at]))
        return at;
    size_t found = at;
    /* Luhn counts from the right: a number of n digits doubles those whose index from the left
     * has the parity of n. Both sums are carried along. */
    unsigned sum[2] = {0, 0};
    size_t i = at;
    for (unsigned digits = 0; digits < LONGEST_NUMBER && i < length; i++) {
        if (!is_digit(text[i])) {
            if (!is_separator(text[i]) || i + 1 >= length || !is_digit(text[i + 1]))
                break;
            in_long_group = group_end(text, length, i + 1) - (i + 1) > USUAL_NUMBER;
            continue;
        }
        unsigned digit = (unsigned)(text[i] - '0');
        sum[digits % 2] += luhn_doubled(digit);
        sum[1 - digits % 2] += digit;
        digits++;
        bool may_end = in_long_group || i + 1 == length || !is_digit(text[i + 1]);
        if (may_end && digits >= SHORTEST_NUMBER && sum[digits % 2] % 10 == 0)
            found = i + 1;
    }
    return found;
}

bool mask_card_numbers(char *text, size_t length)
{
    bool masked = false;
    bool in_long_group = false;
    size_t this_group_end = 0;
    size_t mask_end = 0;
    if (length < SHORTEST_NUMBER)
        return false;
    for (size_t i = 0; i < length; i++) {
        if (!is_digit(text[i]))
            continue;
        bool group_begins = i >= this_group_end;
        if (group_begins) {
            this_group_end = group_end(text, length, i);
            in_long_group = this_group_end - i > USUAL_NUMBER;
        }
        /* Digits are overwritten only once every number that begins before them is judged. */
        if (group_begins || in_long_group) {
            size_t end = number_end(text, length, i, in_long_group);
            if (end > mask_end)
                mask_end = end;
        }
        if (i < mask_end) {
            text[i] = '*';
            masked = true;
        }
    }
    return masked;
}
