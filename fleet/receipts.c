/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/receipts.h"

#include <string.h>

/* Ranges that now touch the cumulative part become part of it. */
static void absorb(struct fleetdb_stream *stream)
{
    size_t eaten = 0;
    while (eaten < stream->range_count && stream->ranges[eaten].first <= stream->cumulative + 1) {
        if (stream->ranges[eaten].last > stream->cumulative)
            stream->cumulative = stream->ranges[eaten].last;
        eaten++;
    }
    stream->range_count -= eaten;
    memmove(stream->ranges, stream->ranges + eaten, stream->range_count * sizeof stream->ranges[0]);
}

/* Puts first..last among the ranges in place of all that it overlaps or touches. */
static bool insert_range(struct fleetdb_stream *stream, uint64_t first, uint64_t last,
                         struct err *err)
{
    size_t from = 0;
    while (from < stream->range_count && stream->ranges[from].last < first - 1)
        from++;
    size_t to = from;
    while (to < stream->range_count && stream->ranges[to].first - 1 <= last)
        to++;
    if (from == to && stream->range_count == FLEETDB_RANGES_MAX)
        return err_set(err, ERR_FULL, "the stream has %d gaps already", FLEETDB_RANGES_MAX);
    if (from < to) {
        if (stream->ranges[from].first < first)
            first = stream->ranges[from].first;
        if (stream->ranges[to - 1].last > last)
            last = stream->ranges[to - 1].last;
    }
    memmove(stream->ranges + from + 1, stream->ranges + to,
            (stream->range_count - to) * sizeof stream->ranges[0]);
    stream->ranges[from] = (struct fleetdb_range){first, last};
    stream->range_count = stream->range_count - (to - from) + 1;
    return true;
}

bool receipts_add(struct fleetdb_stream *stream, uint64_t first, uint64_t last, struct err *err)
{
    if (first == 0 || last < first)
        return err_set(err, ERR_INVALID, "%llu..%llu is no range of sequence numbers",
                       (unsigned long long)first, (unsigned long long)last);
    if (last <= stream->cumulative)
        return true;
    if (first > stream->cumulative + 1)
        return insert_range(stream, first, last, err);
    stream->cumulative = last;
    absorb(stream);
    return true;
}

/* Makes room at `at` for one more range. */
static void open_gap(struct fleetdb_stream *stream, size_t at)
{
    size_t keep = stream->range_count;
    if (keep == FLEETDB_RANGES_MAX)
        keep--;
    if (at < keep)
        memmove(stream->ranges + at + 1, stream->ranges + at,
                (keep - at) * sizeof stream->ranges[0]);
    stream->range_count = keep + 1;
}

void receipts_leave_out(struct fleetdb_stream *stream, uint64_t seq)
{
    if (!receipts_has(stream, seq))
        return;
    if (seq <= stream->cumulative) {
        uint64_t last = stream->cumulative;
        stream->cumulative = seq - 1;
        if (seq == last)
            return;
        open_gap(stream, 0);
        stream->ranges[0] = (struct fleetdb_range){seq + 1, last};
        return;
    }
    size_t at = 0;
    while (stream->ranges[at].last < seq)
        at++;
    struct fleetdb_range whole = stream->ranges[at];
    if (whole.first == seq && whole.last == seq) {
        stream->range_count--;
        memmove(stream->ranges + at, stream->ranges + at + 1,
                (stream->range_count - at) * sizeof stream->ranges[0]);
    } else if (whole.first == seq) {
        stream->ranges[at].first++;
    } else {
        stream->ranges[at].last = seq - 1;
        if (whole.last == seq || at + 1 == FLEETDB_RANGES_MAX)
            return;
        open_gap(stream, at + 1);
        stream->ranges[at + 1] = (struct fleetdb_range){seq + 1, whole.last};
    }
}

void receipts_cut(struct fleetdb_stream *stream, uint64_t from)
{
    if (stream->cumulative >= from)
        stream->cumulative = from - 1;
    while (stream->range_count > 0 && stream->ranges[stream->range_count - 1].first >= from)
        stream->range_count--;
    struct fleetdb_range *top = stream->ranges + stream->range_count - 1;
    if (stream->range_count > 0 && top->last >= from)
        top->last = from - 1;
}

bool receipts_span(const struct fleetdb_stream *stream, uint64_t seq, uint64_t *ret_last)
{
    if (seq <= stream->cumulative) {
        *ret_last = seq > 0 ? stream->cumulative : 0;
        return seq > 0;
    }
    size_t from = 0, to = stream->range_count; /* the first range that does not end before seq */
    while (from < to) {
        size_t middle = from + (to - from) / 2;
        if (stream->ranges[middle].last < seq)
            from = middle + 1;
        else
            to = middle;
    }
    if (from == stream->range_count) {
        *ret_last = UINT64_MAX;
        return false;
    }
    bool is = stream->ranges[from].first <= seq;
    *ret_last = is ? stream->ranges[from].last : stream->ranges[from].first - 1;
    return is;
}

bool receipts_has_all(const struct fleetdb_stream *stream, uint64_t first, uint64_t last)
{
    uint64_t end = 0;
    return receipts_span(stream, first, &end) && end >= last;
}

bool receipts_has(const struct fleetdb_stream *stream, uint64_t seq)
{
    return receipts_has_all(stream, seq, seq);
}

struct receipts_policy receipts_paced(const struct receipts_policy *policy, int64_t pace_s,
                                      bool undecodable)
{
    int64_t limit_s = pace_s < RECEIPTS_PACE_MAX_S ? pace_s : RECEIPTS_PACE_MAX_S;
    if (undecodable || limit_s * 1000 <= policy->coalesce_ms)
        return *policy;
    return (struct receipts_policy){.coalesce_ms = limit_s * 1000,
                                    .records = RECEIPTS_PACED_RECORDS};
}

void receipts_owe(struct receipts_wait *wait, uint64_t records, int64_t now_ms)
{
    if (wait->batches == 0)
        wait->since_ms = now_ms;
    wait->batches++;
    wait->records += records;
}

int64_t receipts_due_ms(const struct receipts_wait *wait, const struct receipts_policy *policy,
                        int64_t now_ms)
{
    if (wait->batches == 0)
        return -1;
    int64_t waited_ms = now_ms - wait->since_ms;
    if ((policy->batches > 0 && wait->batches >= policy->batches) ||
        (policy->records > 0 && wait->records >= policy->records) ||
        waited_ms >= policy->coalesce_ms)
        return 0;
    return policy->coalesce_ms - waited_ms;
}
