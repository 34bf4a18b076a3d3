/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/apart.h"

static bool is_of(const struct apart_range *range, uint64_t incarnation, int lane)
{
    return range->incarnation == incarnation && range->lane == lane;
}

static void drop(struct apart *apart, size_t i)
{
    for (apart->count--; i < apart->count; i++)
        apart->ranges[i] = apart->ranges[i + 1];
}

/* `low` lies before `high`; what is between them comes along, which harms nobody. */
static struct apart_range joined(const struct apart_range *low, const struct apart_range *high)
{
    struct apart_range range = *low;
    range.last = high->last;
    range.piece = low->piece < high->piece ? low->piece : high->piece;
    range.next = low->next <= low->last ? low->next : high->next;
    range.awaited = range.next > range.last && low->awaited && high->awaited;
    return range;
}

/* Joins the two ranges of one stream that lie closest. Without such a pair the oldest goes: it is
 * refused once more and comes back. */
static void make_room(struct apart *apart)
{
    size_t best_low = 0, best_high = 0;
    uint64_t best_gap = UINT64_MAX;
    for (size_t i = 0; i < apart->count; i++) {
        for (size_t j = 0; j < apart->count; j++) {
            const struct apart_range *low = &apart->ranges[i], *high = &apart->ranges[j];
            if (i == j || !is_of(low, high->incarnation, high->lane) || low->last >= high->first ||
                high->first - low->last >= best_gap)
                continue;
            best_gap = high->first - low->last;
            best_low = i;
            best_high = j;
        }
    }
    if (best_gap != UINT64_MAX)
        apart->ranges[best_low] = joined(&apart->ranges[best_low], &apart->ranges[best_high]);
    drop(apart, best_high);
}

static void put(struct apart *apart, const struct apart_range *range)
{
    if (range->first <= range->last)
        apart->ranges[apart->count++] = *range;
}

/* Keeps of a range what lies from `first` to `last`. */
static struct apart_range clipped(const struct apart_range *range, uint64_t first, uint64_t last)
{
    struct apart_range part = *range;
    part.first = first;
    part.last = last;
    if (part.next < first)
        part.next = first;
    if (part.next > last + 1)
        part.next = last + 1;
    return part;
}

void apart_add(struct apart *apart, uint64_t incarnation, int lane, uint64_t first, uint64_t last,
               uint64_t piece)
{
    struct apart_range rest[2];
    size_t rests = 0;
    struct apart_range range = {
        .incarnation = incarnation,
        .lane = lane,
        .first = first,
        .last = last,
        .next = first,
        .piece = piece > 0 ? piece : 1,
    };
    /* Before anything is cut: what is joined must not cover what waits to be put. */
    while (apart->count + 3 > APART_RANGES)
        make_room(apart);
    for (size_t i = apart->count; i-- > 0;) {
        const struct apart_range old = apart->ranges[i];
        if (!is_of(&old, incarnation, lane) || old.last < first || old.first > last)
            continue;
        if (old.piece < range.piece)
            range.piece = old.piece;
        drop(apart, i);
        /* Ranges do not overlap, so at most one reaches beyond on either side. */
        if (old.first < first)
            rest[rests++] = clipped(&old, old.first, first - 1);
        if (old.last > last)
            rest[rests++] = clipped(&old, last + 1, old.last);
    }
    for (size_t i = 0; i < rests; i++)
        put(apart, &rest[i]);
    put(apart, &range);
}

/* Its place, or `count` if nothing holds the seq. */
static size_t find(const struct apart *apart, uint64_t incarnation, int lane, uint64_t seq)
{
    size_t i = 0;
    while (i < apart->count && !(is_of(&apart->ranges[i], incarnation, lane) &&
                                 apart->ranges[i].first <= seq && seq <= apart->ranges[i].last))
        i++;
    return i;
}

const struct apart_range *apart_at(const struct apart *apart, uint64_t incarnation, int lane,
                                   uint64_t seq)
{
    size_t i = find(apart, incarnation, lane, seq);
    return i < apart->count ? &apart->ranges[i] : NULL;
}

uint64_t apart_above(const struct apart *apart, uint64_t incarnation, int lane, uint64_t seq)
{
    uint64_t lowest = UINT64_MAX;
    for (size_t i = 0; i < apart->count; i++) {
        const struct apart_range *range = &apart->ranges[i];
        if (is_of(range, incarnation, lane) && range->first > seq && range->first < lowest)
            lowest = range->first;
    }
    return lowest;
}

const struct apart_range *
apart_waiting(const struct apart *apart,
              bool (*known)(const void *ctx, const struct apart_range *range), const void *ctx)
{
    for (size_t i = 0; i < apart->count; i++)
        if (apart->ranges[i].next <= apart->ranges[i].last && known(ctx, &apart->ranges[i]))
            return &apart->ranges[i];
    return NULL;
}

void apart_moved(struct apart *apart, uint64_t incarnation, int lane, uint64_t from, uint64_t next,
                 bool sent)
{
    size_t i = find(apart, incarnation, lane, from);
    if (i == apart->count || next <= from)
        return;
    struct apart_range *range = &apart->ranges[i];
    uint64_t end = next > range->last ? range->last + 1 : next;
    if (!sent && from == range->first) {
        *range = clipped(range, end, range->last);
        if (range->first > range->last)
            drop(apart, i);
        return;
    }
    range->next = end;
}

void apart_settled(struct apart *apart, uint64_t incarnation, int lane, uint64_t first_unsent,
                   uint64_t last_seq)
{
    for (size_t i = apart->count; i-- > 0;) {
        struct apart_range *range = &apart->ranges[i];
        if (!is_of(range, incarnation, lane))
            continue;
        uint64_t first = range->first > first_unsent ? range->first : first_unsent;
        uint64_t last = range->last < last_seq ? range->last : last_seq;
        if (first > last)
            drop(apart, i);
        else
            *range = clipped(range, first, last);
    }
}

void apart_restart(struct apart *apart)
{
    for (size_t i = 0; i < apart->count; i++) {
        apart->ranges[i].next = apart->ranges[i].first;
        apart->ranges[i].awaited = false;
    }
}

size_t apart_overdue(struct apart *apart, size_t *ret_waiting)
{
    size_t overdue = 0;
    for (size_t i = 0; i < apart->count; i++) {
        struct apart_range *range = &apart->ranges[i];
        bool all_sent = range->next > range->last;
        if (range->awaited && all_sent) {
            range->next = range->first;
            range->awaited = false;
            overdue++;
        } else {
            range->awaited = all_sent;
            *ret_waiting += all_sent ? 1 : 0;
        }
    }
    return overdue;
}

bool apart_outstanding(const struct apart *apart)
{
    for (size_t i = 0; i < apart->count; i++)
        if (apart->ranges[i].next > apart->ranges[i].first)
            return true;
    return false;
}
