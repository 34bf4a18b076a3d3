/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/keys_blot.h"

#include <ctype.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

enum { WORD_CHARS = 16, NUMBER_CHARS = 6, ENDING_DIGITS = 2 };

/* Letters and digits in a row. */
struct piece {
    char *at;
    size_t length;
    bool digits, hex; /* it has digits; it has nothing but hexadecimal ones */
};

static bool piece_next(char **at, struct piece *ret_piece)
{
    while (**at != '\0' && !isalnum((unsigned char)**at))
        (*at)++;
    struct piece piece = {.at = *at, .hex = true};
    for (; isalnum((unsigned char)**at); (*at)++, piece.length++) {
        piece.digits = piece.digits || isdigit((unsigned char)**at);
        piece.hex = piece.hex && isxdigit((unsigned char)**at);
    }
    if (piece.length > 2 && piece.at[0] == '0' && (piece.at[1] | 0x20) == 'x') { /* 0xF0, 0x39 */
        piece.at += 2;
        piece.length -= 2;
        piece.hex = strspn(piece.at, "0123456789abcdefABCDEF") >= piece.length;
    }
    *ret_piece = piece;
    return piece.length > 0;
}

static void blot(const struct piece *piece)
{
    memset(piece->at, '*', piece->length);
}

/* "Token", "token", "TOKEN", "08793E"; not "qwjKs". */
static bool one_case(const struct piece *piece)
{
    bool lower = false, upper = false;
    for (size_t i = 1; i < piece->length; i++) {
        lower = lower || islower((unsigned char)piece->at[i]);
        upper = upper || isupper((unsigned char)piece->at[i]);
    }
    return !upper || (!lower && !islower((unsigned char)piece->at[0]));
}

/* "12", "08793E", "slot12", "libsofthsm2"; not "8DkSG". */
static bool short_number(const struct piece *piece)
{
    size_t letters = 0, digits = 0;
    while (letters < piece->length && islower((unsigned char)piece->at[letters]))
        letters++;
    while (letters + digits < piece->length && isdigit((unsigned char)piece->at[letters + digits]))
        digits++;
    if (letters > 0 && digits <= ENDING_DIGITS && letters + digits == piece->length)
        return piece->length <= WORD_CHARS;
    return piece->length <= NUMBER_CHARS && one_case(piece);
}

static bool is_word(const struct piece *piece)
{
    return piece->digits ? short_number(piece) : piece->length <= WORD_CHARS && one_case(piece);
}

/* A word to its next space, all of it: base64 has marks in the middle. */
static void blot_words(char *text)
{
    for (char *at = text; *at != '\0';) {
        at += strspn(at, " \t");
        const size_t length = strcspn(at, " \t");
        const char kept = at[length];
        char *inside = at;
        struct piece piece;
        bool good = true;
        at[length] = '\0';
        while (good && piece_next(&inside, &piece))
            good = is_word(&piece);
        for (size_t i = 0; !good && i < length; i++)
            if (isalnum((unsigned char)at[i]))
                at[i] = '*';
        at[length] = kept;
        at += length;
    }
}

static size_t run_from(char *at, char **ret_end)
{
    struct piece piece;
    size_t length = 0;
    *ret_end = at;
    while (piece_next(&at, &piece) && piece.hex) {
        length += piece.length;
        *ret_end = at;
    }
    return length;
}

static void blot_hex(char *from, const char *to)
{
    struct piece piece;
    for (char *at = from; piece_next(&at, &piece) && piece.at < to;)
        if (piece.hex)
            blot(&piece);
}

/* How much of a key may be in it. */
static size_t weight(const struct piece *piece)
{
    size_t digits = 0;
    if (piece->hex)
        return piece->length > 1 || piece->digits ? piece->length : 0;
    for (size_t i = 0; i < piece->length; i++)
        digits += isdigit((unsigned char)piece->at[i]) != 0;
    return digits;
}

/* "F0 39 12 1B", "0xF0, 0x39"; and "k[0]=F0 k[1]=39" by how much there is of it. */
static void blot_numbers(char *text)
{
    struct piece piece;
    size_t total = 0;
    for (char *at = text; piece_next(&at, &piece);) {
        char *end = NULL;
        total += weight(&piece);
        if (piece.hex && run_from(piece.at, &end) >= KEYS_BLOT_RUN)
            blot_hex(piece.at, end);
    }
    if (total <= KEYS_BLOT_TOTAL)
        return;
    for (char *at = text; piece_next(&at, &piece);)
        if (piece.digits || piece.hex)
            blot(&piece);
}

void keys_blot(char *text)
{
    blot_words(text);
    blot_numbers(text);
}
