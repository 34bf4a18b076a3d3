/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/rollup_numbers.h"

#include "base/clock.h"

#include <stdlib.h>
#include <string.h>

enum { FIRST_SLOTS = 1024 };

/* The slot of the key, or the free one where it belongs. */
static uint32_t *slot_of(const struct rollup_numbers *numbers, const struct rollup_key *key)
{
    size_t at = (size_t)rollup_key_hash(key, numbers->seed) & (numbers->slot_count - 1);
    while (numbers->slots[at] != 0 &&
           memcmp(&numbers->list[numbers->slots[at] - 1].key, key, sizeof *key) != 0)
        at = (at + 1) & (numbers->slot_count - 1);
    return &numbers->slots[at];
}

struct rollup_number *rollup_numbers_find(const struct rollup_numbers *numbers,
                                          const struct rollup_key *key)
{
    if (numbers->count == 0)
        return NULL;
    const uint32_t place = *slot_of(numbers, key);
    return place == 0 ? NULL : &numbers->list[place - 1];
}

/* At the most half of the slots are used. */
static bool grow(struct rollup_numbers *numbers, struct err *err)
{
    const size_t count = numbers->slot_count == 0 ? FIRST_SLOTS : numbers->slot_count * 2;
    struct rollup_number *list = realloc(numbers->list, count / 2 * sizeof *list);
    if (list != NULL)
        numbers->list = list;
    uint32_t *slots = list == NULL ? NULL : calloc(count, sizeof *slots);
    if (slots == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory for what sums are of");
    if (numbers->seed == 0)
        numbers->seed = random_u64() | 1;
    free(numbers->slots);
    numbers->slots = slots;
    numbers->slot_count = count;
    numbers->room = count / 2;
    for (size_t i = 0; i < numbers->count; i++)
        *slot_of(numbers, &list[i].key) = (uint32_t)i + 1;
    return true;
}

bool rollup_numbers_add(struct rollup_numbers *numbers, const struct rollup_number *number,
                        struct err *err)
{
    if (numbers->count == ROLLUP_NUMBERS_MAX)
        rollup_numbers_forget(numbers);
    if (numbers->count == numbers->room && !grow(numbers, err))
        return false;
    numbers->list[numbers->count++] = *number;
    *slot_of(numbers, &number->key) = (uint32_t)numbers->count;
    return true;
}

void rollup_numbers_forget(struct rollup_numbers *numbers)
{
    if (numbers->slots != NULL)
        memset(numbers->slots, 0, numbers->slot_count * sizeof *numbers->slots);
    numbers->count = 0;
}

void rollup_numbers_done(struct rollup_numbers *numbers)
{
    free(numbers->list);
    free(numbers->slots);
    *numbers = (struct rollup_numbers){0};
}
