/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/rollup_sums.h"

#include "base/clock.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_SLOTS = 1024 };

static_assert(sizeof(struct rollup_key) % sizeof(uint64_t) == 0, "hashed by words");
static_assert(sizeof(struct rollup_key) == sizeof(int64_t) * (1 + ROLLUP_OWN_MAX) +
                                               7 * sizeof(uint32_t) + ROLLUP_CODE_BYTES +
                                               ROLLUP_TEXT_BYTES,
              "no padding: keys are compared as bytes");

uint64_t rollup_key_hash(const struct rollup_key *key, uint64_t seed)
{
    uint64_t words[sizeof *key / sizeof(uint64_t)], hash = seed;
    memcpy(words, key, sizeof words);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        hash = (hash ^ words[i]) * UINT64_C(0x9e3779b97f4a7c15);
        hash ^= hash >> 32;
    }
    return hash;
}

/* The slot of the key, or the free one where it belongs. */
static uint32_t *slot_of(const struct rollup_sums *sums, const struct rollup_key *key)
{
    size_t at = (size_t)rollup_key_hash(key, sums->seed) & (sums->slot_count - 1);
    while (sums->slots[at] != 0 &&
           memcmp(&sums->list[sums->slots[at] - 1].key, key, sizeof *key) != 0)
        at = (at + 1) & (sums->slot_count - 1);
    return &sums->slots[at];
}

/* At the most half of the slots are used. */
static bool grow(struct rollup_sums *sums, struct err *err)
{
    size_t count = sums->slot_count == 0 ? FIRST_SLOTS : sums->slot_count * 2;
    struct rollup_sum *list = realloc(sums->list, count / 2 * sizeof *list);
    if (list == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory for the sums of a transaction");
    sums->list = list;
    uint32_t *slots = calloc(count, sizeof *slots);
    if (slots == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory for the sums of a transaction");
    if (sums->seed == 0)
        sums->seed = random_u64() | 1;
    free(sums->slots);
    sums->slots = slots;
    sums->slot_count = count;
    sums->room = count / 2;
    for (size_t i = 0; i < sums->count; i++)
        *slot_of(sums, &list[i].key) = (uint32_t)i + 1;
    return true;
}

/* Its place in the list + 1. */
static bool find(struct rollup_sums *sums, const struct rollup_key *key, uint32_t *ret_place,
                 struct err *err)
{
    if (sums->count == sums->room && !grow(sums, err))
        return false;
    uint32_t *slot = slot_of(sums, key);
    if (*slot == 0) {
        sums->list[sums->count] = (struct rollup_sum){.key = *key};
        *slot = (uint32_t)++sums->count;
    }
    *ret_place = *slot;
    return true;
}

bool rollup_sums_add(struct rollup_sums *sums, const struct rollup_key *key, int64_t results,
                     int64_t amount_minor, struct err *err)
{
    uint32_t *newest = &sums->newest[key->rollup % ROLLUPS_MAX];
    if ((*newest == 0 || memcmp(&sums->list[*newest - 1].key, key, sizeof *key) != 0) &&
        !find(sums, key, newest, err))
        return false;
    struct rollup_sum *sum = &sums->list[*newest - 1];
    sum->results += results;
    sum->amount_minor += amount_minor;
    return true;
}

static int compare(int64_t a, int64_t b)
{
    return (a > b) - (a < b);
}

static int in_order(const void *left, const void *right)
{
    const struct rollup_key *a = &((const struct rollup_sum *)left)->key;
    const struct rollup_key *b = &((const struct rollup_sum *)right)->key;
    int order = compare(a->rollup, b->rollup);
    order = order != 0 ? order : compare(a->bucket, b->bucket);
    for (size_t i = 0; order == 0 && i < ROLLUP_OWN_MAX; i++)
        order = compare(a->own[i], b->own[i]);
    order = order != 0 ? order : memcmp(a->text, b->text, sizeof a->text);
    return order != 0 ? order : memcmp(a, b, sizeof *a);
}

void rollup_sums_sort(struct rollup_sums *sums)
{
    size_t kept = 0;
    for (size_t i = 0; i < sums->count; i++) {
        if (sums->list[i].results != 0 || sums->list[i].amount_minor != 0)
            sums->list[kept++] = sums->list[i];
    }
    sums->count = kept;
    if (kept > 0)
        qsort(sums->list, kept, sizeof *sums->list, in_order);
}

void rollup_sums_clear(struct rollup_sums *sums)
{
    if (sums->slots != NULL)
        memset(sums->slots, 0, sums->slot_count * sizeof *sums->slots);
    memset(sums->newest, 0, sizeof sums->newest);
    sums->count = 0;
}

void rollup_sums_done(struct rollup_sums *sums)
{
    free(sums->list);
    free(sums->slots);
    *sums = (struct rollup_sums){0};
}
