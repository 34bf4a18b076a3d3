/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/spool_lost.h"

#include <stdlib.h>
#include <string.h>

void spool_lost_done(struct spool_lost *lost)
{
    free(lost->ranges);
    *lost = (struct spool_lost){0};
}

static bool allocate(struct spool_lost *lost, size_t count, struct err *err)
{
    lost->count = 0;
    lost->ranges = calloc(count + 1, sizeof *lost->ranges);
    return lost->ranges != NULL || err_set(err, ERR_NO_MEMORY, "no memory for lost ranges");
}

bool spool_lost_copy(const struct spool_lost *from, struct spool_lost *ret_copy, struct err *err)
{
    struct spool_lost copy;
    if (!allocate(&copy, from->count, err))
        return false;
    if (from->count > 0)
        memcpy(copy.ranges, from->ranges, from->count * sizeof *copy.ranges);
    copy.count = from->count;
    *ret_copy = copy;
    return true;
}

static void append(struct spool_lost *lost, struct spool_lost_range range)
{
    struct spool_lost_range *last = lost->count > 0 ? &lost->ranges[lost->count - 1] : NULL;
    if (last != NULL && last->last + 1 == range.first && last->why == range.why)
        last->last = range.last;
    else
        lost->ranges[lost->count++] = range;
}

bool spool_lost_append(struct spool_lost *lost, struct spool_lost_range range, struct err *err)
{
    struct spool_lost_range *ranges =
        realloc(lost->ranges, (lost->count + 1) * sizeof *lost->ranges);
    if (ranges == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory for lost ranges");
    lost->ranges = ranges;
    append(lost, range);
    return true;
}

/* Of `range` what is not receipted. */
static void append_owed(struct spool_lost *lost, const struct spool_acked *acked,
                        struct spool_lost_range range)
{
    for (;;) {
        uint64_t first = spool_acked_next_out(acked, range.first);
        if (first > range.last)
            return;
        uint64_t acked_again = spool_acked_next_in(acked, first);
        uint64_t last = acked_again > range.last ? range.last : acked_again - 1;
        append(lost, (struct spool_lost_range){first, last, range.why});
        range.first = last + 1;
    }
}

bool spool_lost_add(struct spool_lost *lost, const struct spool_acked *acked, uint64_t first,
                    uint64_t last, enum spool_loss why, struct err *err)
{
    struct spool_lost next;
    if (!allocate(&next, 2 * lost->count + acked->count + 1, err))
        return false;
    uint64_t at = first; /* the lowest seq of first..last not looked at yet */
    for (size_t i = 0; i < lost->count; i++) {
        struct spool_lost_range held = lost->ranges[i];
        if (at <= last && held.first > at) {
            uint64_t end = held.first <= last ? held.first - 1 : last;
            append_owed(&next, acked, (struct spool_lost_range){at, end, why});
            at = end + 1;
        }
        append(&next, held);
        if (held.last >= at)
            at = held.last + 1;
    }
    if (at <= last)
        append_owed(&next, acked, (struct spool_lost_range){at, last, why});
    spool_lost_done(lost);
    *lost = next;
    return true;
}

bool spool_lost_settle(struct spool_lost *lost, const struct spool_acked *acked, struct err *err)
{
    struct spool_lost next;
    if (!allocate(&next, lost->count + acked->count, err))
        return false;
    for (size_t i = 0; i < lost->count; i++) {
        struct spool_lost_range rest = lost->ranges[i];
        for (size_t j = 0; j < acked->count && rest.first <= rest.last; j++) {
            const struct spool_acked_range *over = &acked->ranges[j];
            if (over->at_ms != 0 || over->last < rest.first || over->first > rest.last)
                continue;
            if (over->first > rest.first)
                append(&next, (struct spool_lost_range){rest.first, over->first - 1, rest.why});
            rest.first = over->last + 1;
        }
        if (rest.first <= rest.last)
            append(&next, rest);
    }
    spool_lost_done(lost);
    *lost = next;
    return true;
}

const struct spool_lost_range *spool_lost_at(const struct spool_lost *lost, uint64_t seq)
{
    size_t low = 0, high = lost->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (lost->ranges[middle].last < seq)
            low = middle + 1;
        else
            high = middle;
    }
    return low < lost->count && lost->ranges[low].first <= seq ? &lost->ranges[low] : NULL;
}

uint64_t spool_lost_next_in(const struct spool_lost *lost, uint64_t from)
{
    for (size_t i = 0; i < lost->count; i++) {
        if (lost->ranges[i].last >= from)
            return lost->ranges[i].first > from ? lost->ranges[i].first : from;
    }
    return UINT64_MAX;
}

uint64_t spool_lost_open(const struct spool_lost *lost, const struct spool_acked *acked)
{
    uint64_t open = 0;
    for (size_t i = 0, j = 0; i < lost->count; i++) {
        const struct spool_lost_range *range = &lost->ranges[i];
        open += range->last - range->first + 1;
        while (j < acked->count && acked->ranges[j].last < range->first)
            j++;
        for (size_t k = j; k < acked->count && acked->ranges[k].first <= range->last; k++) {
            const struct spool_acked_range *in = &acked->ranges[k];
            uint64_t first = in->first > range->first ? in->first : range->first;
            uint64_t last = in->last < range->last ? in->last : range->last;
            open -= last - first + 1;
        }
    }
    return open;
}
