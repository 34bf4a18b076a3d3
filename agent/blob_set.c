/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/blob_set.h"

#include <stdlib.h>
#include <string.h>

enum { FIRST_ROOM = 64 };

static bool is_free(const uint8_t slot[32])
{
    static const uint8_t nothing[32];
    return memcmp(slot, nothing, sizeof nothing) == 0;
}

/* The hashes are as good as random already. */
static size_t home_of(const struct blob_set *set, const uint8_t sha256[32])
{
    uint64_t head;
    memcpy(&head, sha256, sizeof head);
    return (size_t)head & (set->room - 1);
}

/* Where it is, or the free slot where it would go. */
static size_t slot_of(const struct blob_set *set, const uint8_t sha256[32])
{
    size_t at = home_of(set, sha256);
    while (!is_free(set->slots[at]) && memcmp(set->slots[at], sha256, 32) != 0)
        at = (at + 1) & (set->room - 1);
    return at;
}

bool blob_set_has(const struct blob_set *set, const uint8_t sha256[32])
{
    return set->count > 0 && !is_free(sha256) && !is_free(set->slots[slot_of(set, sha256)]);
}

static bool grow(struct blob_set *set, struct err *err)
{
    struct blob_set bigger = {.room = set->room > 0 ? 2 * set->room : FIRST_ROOM};
    bigger.slots = calloc(bigger.room, sizeof *bigger.slots);
    if (bigger.slots == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory for the names of %zu blobs", bigger.room);
    for (size_t i = 0; i < set->room; i++) {
        if (!is_free(set->slots[i]))
            memcpy(bigger.slots[slot_of(&bigger, set->slots[i])], set->slots[i], 32);
    }
    bigger.count = set->count;
    free(set->slots);
    *set = bigger;
    return true;
}

bool blob_set_add(struct blob_set *set, const uint8_t sha256[32], struct err *err)
{
    if (is_free(sha256) || blob_set_has(set, sha256))
        return true;
    /* Half of the slots stay free, so that a search ends soon. */
    if (2 * (set->count + 1) > set->room && !grow(set, err))
        return false;
    memcpy(set->slots[slot_of(set, sha256)], sha256, 32);
    set->count++;
    return true;
}

void blob_set_remove(struct blob_set *set, const uint8_t sha256[32])
{
    if (!blob_set_has(set, sha256))
        return;
    size_t hole = slot_of(set, sha256);
    set->count--;
    /* What was put further on because of this one moves back. */
    for (size_t at = hole;;) {
        memset(set->slots[hole], 0, 32);
        size_t home;
        do {
            at = (at + 1) & (set->room - 1);
            if (is_free(set->slots[at]))
                return;
            home = home_of(set, set->slots[at]);
        } while (((at - home) & (set->room - 1)) < ((at - hole) & (set->room - 1)));
        memcpy(set->slots[hole], set->slots[at], 32);
        hole = at;
    }
}

const uint8_t *blob_set_next(const struct blob_set *set, size_t *at)
{
    while (*at < set->room) {
        const uint8_t *slot = set->slots[(*at)++];
        if (!is_free(slot))
            return slot;
    }
    return NULL;
}

void blob_set_done(struct blob_set *set)
{
    free(set->slots);
    *set = (struct blob_set){0};
}
