/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/spool_acked.h"

#include <stdlib.h>
#include <string.h>

static const uint64_t SEQ_MAX = (uint64_t)1 << 62;

void spool_acked_done(struct spool_acked *acked)
{
    free(acked->ranges);
    *acked = (struct spool_acked){0};
}

static bool allocate(struct spool_acked *acked, size_t count, struct err *err)
{
    acked->count = 0;
    acked->ranges = calloc(count + 1, sizeof *acked->ranges);
    return acked->ranges != NULL || err_set(err, ERR_NO_MEMORY, "no memory for receipted ranges");
}

bool spool_acked_copy(const struct spool_acked *from, struct spool_acked *ret_copy, struct err *err)
{
    struct spool_acked copy;
    if (!allocate(&copy, from->count, err))
        return false;
    if (from->count > 0)
        memcpy(copy.ranges, from->ranges, from->count * sizeof *copy.ranges);
    copy.count = from->count;
    *ret_copy = copy;
    return true;
}

static void append(struct spool_acked *acked, struct spool_acked_range range)
{
    struct spool_acked_range *last = acked->count > 0 ? &acked->ranges[acked->count - 1] : NULL;
    if (last != NULL && last->last + 1 == range.first && last->at_ms == range.at_ms)
        last->last = range.last;
    else
        acked->ranges[acked->count++] = range;
}

/* Joins neighbours without a gap, the later time winning: forgotten late rather than early. */
static void join(struct spool_acked *acked)
{
    size_t count = 0;
    for (size_t i = 0; i < acked->count; i++) {
        struct spool_acked_range range = acked->ranges[i];
        struct spool_acked_range *last = count > 0 ? &acked->ranges[count - 1] : NULL;
        if (last != NULL && last->last + 1 == range.first) {
            last->last = range.last;
            if (range.at_ms > last->at_ms)
                last->at_ms = range.at_ms;
        } else {
            acked->ranges[count++] = range;
        }
    }
    acked->count = count;
}

bool spool_acked_add(struct spool_acked *acked, uint64_t first, uint64_t last, int64_t at_ms,
                     struct err *err)
{
    struct spool_acked next;
    if (!allocate(&next, 2 * acked->count + 1, err))
        return false;
    uint64_t at = first; /* the lowest seq of first..last not looked at yet */
    for (size_t i = 0; i < acked->count; i++) {
        struct spool_acked_range held = acked->ranges[i];
        if (at <= last && held.first > at) {
            uint64_t end = held.first <= last ? held.first - 1 : last;
            append(&next, (struct spool_acked_range){at, end, at_ms});
            at = end + 1;
        }
        append(&next, held);
        if (held.last >= at)
            at = held.last + 1;
    }
    if (at <= last)
        append(&next, (struct spool_acked_range){at, last, at_ms});
    if (next.count > SPOOL_ACKED_MAX)
        join(&next);
    if (next.count > SPOOL_ACKED_MAX && first > 1) {
        spool_acked_done(&next);
        return true;
    }
    spool_acked_done(acked);
    *acked = next;
    return true;
}

bool spool_acked_keep(struct spool_acked *acked, const struct spool_acked *only, struct err *err)
{
    struct spool_acked next;
    if (!allocate(&next, acked->count + only->count, err))
        return false;
    for (size_t i = 0, j = 0; i < acked->count && j < only->count;) {
        struct spool_acked_range range = acked->ranges[i];
        const struct spool_acked_range *other = &only->ranges[j];
        uint64_t first = range.first > other->first ? range.first : other->first;
        uint64_t last = range.last < other->last ? range.last : other->last;
        if (first <= last)
            append(&next, (struct spool_acked_range){first, last, range.at_ms});
        if (range.last <= other->last)
            i++;
        else
            j++;
    }
    spool_acked_done(acked);
    *acked = next;
    return true;
}

void spool_acked_settle(struct spool_acked *acked, int64_t until_ms)
{
    size_t count = acked->count;
    acked->count = 0;
    for (size_t i = 0; i < count; i++) {
        struct spool_acked_range range = acked->ranges[i];
        if (range.at_ms <= until_ms)
            range.at_ms = 0;
        append(acked, range);
    }
}

uint64_t spool_acked_total(const struct spool_acked *acked)
{
    uint64_t total = 0;
    for (size_t i = 0; i < acked->count; i++)
        total += acked->ranges[i].last - acked->ranges[i].first + 1;
    return total;
}

uint64_t spool_acked_highest(const struct spool_acked *acked)
{
    return acked->count > 0 ? acked->ranges[acked->count - 1].last : 0;
}

uint64_t spool_acked_next_out(const struct spool_acked *acked, uint64_t from)
{
    for (size_t i = 0; i < acked->count; i++) {
        if (acked->ranges[i].first <= from && from <= acked->ranges[i].last)
            from = acked->ranges[i].last + 1;
    }
    return from;
}

uint64_t spool_acked_next_in(const struct spool_acked *acked, uint64_t from)
{
    for (size_t i = 0; i < acked->count; i++) {
        if (acked->ranges[i].last >= from)
            return acked->ranges[i].first > from ? acked->ranges[i].first : from;
    }
    return UINT64_MAX;
}

bool spool_acked_encode(const struct spool_acked *acked, struct buf *ret_bytes, struct err *err)
{
    uint64_t before = 0;
    for (size_t i = 0; i < acked->count; i++) {
        const struct spool_acked_range *range = &acked->ranges[i];
        uint8_t *out = buf_reserve(ret_bytes, 30, err);
        if (out == NULL)
            return false;
        size_t length = varint_put(range->first - before, out);
        length += varint_put(range->last - range->first, out + length);
        length += varint_put((uint64_t)range->at_ms, out + length);
        ret_bytes->length += length;
        before = range->last;
    }
    return true;
}

static bool take(struct bytes *rest, uint64_t *ret_value)
{
    int length = varint_get(*rest, ret_value);
    if (length <= 0)
        return false;
    *rest = bytes_of(rest->data + length, rest->length - (size_t)length);
    return true;
}

bool spool_acked_decode(struct bytes bytes, struct spool_acked *ret_acked, struct err *err)
{
    struct spool_acked acked;
    if (!allocate(&acked, bytes.length / 3, err))
        return false;
    uint64_t before = 0;
    while (bytes.length > 0) {
        uint64_t step = 0, span = 0, at_ms = 0;
        if (!take(&bytes, &step) || !take(&bytes, &span) || !take(&bytes, &at_ms) || step == 0 ||
            step > SEQ_MAX - before || span > SEQ_MAX - before - step || at_ms > INT64_MAX) {
            spool_acked_done(&acked);
            return err_set(err, ERR_IO, "the list of receipted ranges is damaged");
        }
        uint64_t first = before + step;
        acked.ranges[acked.count++] =
            (struct spool_acked_range){first, first + span, (int64_t)at_ms};
        before = first + span;
    }
    *ret_acked = acked;
    return true;
}
