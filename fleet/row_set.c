/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/row_set.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* 16 MiB of bits; no table of devices comes near. */
enum { WORD_BITS = 64, ROW_MAX = 128 * 1024 * 1024 };

static bool grow(struct row_set *set, size_t word, struct err *err)
{
    if (word < set->word_count)
        return true;
    size_t count = word + 1 > 2 * set->word_count ? word + 1 : 2 * set->word_count;
    uint64_t *words = realloc(set->words, count * sizeof *words);
    if (words == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory for %zu rows", count * WORD_BITS);
    memset(words + set->word_count, 0, (count - set->word_count) * sizeof *words);
    set->words = words;
    set->word_count = count;
    return true;
}

static uint64_t bit_of(int64_t row)
{
    return UINT64_C(1) << (row % WORD_BITS);
}

bool row_set_add(struct row_set *set, int64_t row, struct err *err)
{
    if (row <= 0 || row > ROW_MAX)
        return err_set(err, ERR_INVALID, "row %" PRId64 " is out of range", row);
    const size_t word = (size_t)row / WORD_BITS;
    if (!grow(set, word, err))
        return false;
    set->count += (set->words[word] & bit_of(row)) == 0;
    set->words[word] |= bit_of(row);
    return true;
}

void row_set_remove(struct row_set *set, int64_t row)
{
    const size_t word = (size_t)row / WORD_BITS;
    if (row <= 0 || word >= set->word_count)
        return;
    set->count -= (set->words[word] & bit_of(row)) != 0;
    set->words[word] &= ~bit_of(row);
}

void row_set_clear(struct row_set *set)
{
    if (set->word_count > 0)
        memset(set->words, 0, set->word_count * sizeof *set->words);
    set->count = 0;
}

int64_t row_set_first(const struct row_set *set)
{
    for (size_t word = 0; set->count > 0 && word < set->word_count; word++)
        for (int bit = 0; set->words[word] != 0 && bit < WORD_BITS; bit++)
            if ((set->words[word] >> bit & 1) != 0)
                return (int64_t)word * WORD_BITS + bit;
    return 0;
}

void row_set_done(struct row_set *set)
{
    free(set->words);
    *set = (struct row_set){0};
}
