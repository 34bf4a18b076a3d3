/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/losses.h"

#include "fleet/receipts.h"

#include <stdlib.h>
#include <string.h>

/* Appends, joined with the one before where nothing tells them apart. False: no room. */
static bool put(struct fleetdb_losses *out, uint64_t first, uint64_t last, int64_t reason)
{
    struct fleetdb_lost *top = out->count > 0 ? &out->ranges[out->count - 1] : NULL;
    if (top != NULL && top->reason == reason && top->last + 1 == first) {
        top->last = last;
        return true;
    }
    if (out->count == FLEETDB_LOST_ROOM)
        return false;
    out->ranges[out->count++] = (struct fleetdb_lost){first, last, reason};
    return true;
}

/* The piece of the declaration that begins at `seq`: up to where it is all held, all lost for one
 * reason already, or all open. */
struct piece {
    uint64_t last;
    int64_t reason; /* 0: held */
    bool is_new;
};

static struct piece piece_at(const struct fleetdb_lost *old, const struct fleetdb_stream *stream,
                             const struct fleetdb_lost *declared, uint64_t seq)
{
    struct piece piece = {.reason = declared->reason};
    if (old != NULL && old->first <= seq) {
        piece.last = old->last;
        if (old->reason < piece.reason)
            piece.reason = old->reason;
    } else if (receipts_span(stream, seq, &piece.last)) {
        piece.reason = 0;
        if (old != NULL && old->first <= piece.last)
            piece.last = old->first - 1;
    } else {
        piece.is_new = true;
    }
    if (piece.last > declared->last)
        piece.last = declared->last;
    return piece;
}

static bool put_rest(struct fleetdb_losses *out, const struct fleetdb_losses *losses, size_t at,
                     uint64_t behind)
{
    for (; at < losses->count; at++) {
        struct fleetdb_lost rest = losses->ranges[at];
        if (rest.last <= behind)
            continue;
        if (rest.first <= behind)
            rest.first = behind + 1;
        if (!put(out, rest.first, rest.last, rest.reason))
            return false;
    }
    return true;
}

static bool sweep(const struct fleetdb_losses *losses, const struct fleetdb_stream *stream,
                  const struct fleetdb_lost *declared, struct fleetdb_losses *out,
                  uint64_t *ret_new)
{
    size_t at = 0;
    for (; at < losses->count && losses->ranges[at].last < declared->first; at++)
        out->ranges[out->count++] = losses->ranges[at];
    if (at < losses->count && losses->ranges[at].first < declared->first &&
        !put(out, losses->ranges[at].first, declared->first - 1, losses->ranges[at].reason))
        return false;
    for (uint64_t seq = declared->first; seq <= declared->last;) {
        while (at < losses->count && losses->ranges[at].last < seq)
            at++;
        struct piece piece =
            piece_at(at < losses->count ? &losses->ranges[at] : NULL, stream, declared, seq);
        if (piece.reason != 0 && !put(out, seq, piece.last, piece.reason))
            return false;
        if (piece.is_new)
            *ret_new += piece.last - seq + 1;
        seq = piece.last + 1;
    }
    return put_rest(out, losses, at, declared->last);
}

bool losses_add(const struct fleetdb_losses *losses, const struct fleetdb_stream *stream,
                const struct fleetdb_lost *declared, struct fleetdb_losses *ret_losses,
                uint64_t *ret_new, struct err *err)
{
    uint64_t fresh = 0;
    if (declared->first == 0 || declared->last < declared->first || declared->last == UINT64_MAX)
        return err_set(err, ERR_INVALID, "%llu..%llu is no range of sequence numbers",
                       (unsigned long long)declared->first, (unsigned long long)declared->last);
    ret_losses->count = 0;
    bool fits = sweep(losses, stream, declared, ret_losses, &fresh);
    if (!fits || (ret_losses->count > FLEETDB_LOST_MAX && ret_losses->count > losses->count))
        return err_set(err, ERR_FULL, "the stream has %d declared losses already",
                       FLEETDB_LOST_MAX);
    *ret_new = fresh;
    return true;
}

/* The range that holds `seq`; `count`: none. */
static size_t find(const struct fleetdb_losses *losses, uint64_t seq)
{
    size_t from = 0, to = losses->count;
    while (from < to) {
        size_t middle = from + (to - from) / 2;
        if (losses->ranges[middle].last < seq)
            from = middle + 1;
        else
            to = middle;
    }
    return from < losses->count && losses->ranges[from].first <= seq ? from : losses->count;
}

bool losses_has(const struct fleetdb_losses *losses, uint64_t seq)
{
    return find(losses, seq) < losses->count;
}

void losses_take_out(struct fleetdb_losses *losses, uint64_t seq)
{
    size_t at = find(losses, seq);
    if (at == losses->count)
        abort();
    struct fleetdb_lost whole = losses->ranges[at];
    size_t pieces = (size_t)(whole.first < seq) + (size_t)(whole.last > seq);
    if (pieces == 2 && losses->count == FLEETDB_LOST_ROOM)
        abort();
    memmove(losses->ranges + at + pieces, losses->ranges + at + 1,
            (losses->count - at - 1) * sizeof losses->ranges[0]);
    losses->count = losses->count + pieces - 1;
    if (whole.first < seq)
        losses->ranges[at++] = (struct fleetdb_lost){whole.first, seq - 1, whole.reason};
    if (whole.last > seq)
        losses->ranges[at] = (struct fleetdb_lost){seq + 1, whole.last, whole.reason};
}

bool losses_equal(const struct fleetdb_losses *a, const struct fleetdb_losses *b)
{
    return a->count == b->count &&
           memcmp(a->ranges, b->ranges, a->count * sizeof a->ranges[0]) == 0;
}
