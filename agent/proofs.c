/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/proofs.h"

#include "proto/limits.h"

#include <stdlib.h>
#include <string.h>

static void drop_stream(struct proofs *proofs, size_t i)
{
    proofs->streams[i] = proofs->streams[--proofs->stream_count];
}

static bool stands_for(const struct proofs *proofs, size_t proof)
{
    for (size_t i = 0; i < proofs->stream_count; i++)
        if (proofs->streams[i].of == proof)
            return true;
    return false;
}

static void drop_proof(struct proofs *proofs, size_t proof)
{
    for (size_t i = proofs->stream_count; i-- > 0;) {
        if (proofs->streams[i].of == proof)
            drop_stream(proofs, i);
        else if (proofs->streams[i].of > proof)
            proofs->streams[i].of--;
    }
    buf_done(&proofs->list[proof].envelope);
    proofs->count--;
    memmove(&proofs->list[proof], &proofs->list[proof + 1],
            (proofs->count - proof) * sizeof proofs->list[0]);
    memset(&proofs->list[proofs->count], 0, sizeof proofs->list[0]);
}

static size_t oldest(const struct proofs *proofs)
{
    size_t found = 0;
    for (size_t i = 1; i < proofs->count; i++)
        if (proofs->list[i].issued_ms < proofs->list[found].issued_ms)
            found = i;
    return found;
}

static void tidy(struct proofs *proofs)
{
    size_t bytes = 0;
    for (size_t i = proofs->count; i-- > 0;) {
        if (stands_for(proofs, i))
            bytes += proofs->list[i].envelope.length;
        else
            drop_proof(proofs, i);
    }
    while (proofs->count > 1 && bytes > PROOFS_BYTES) {
        size_t old = oldest(proofs);
        bytes -= proofs->list[old].envelope.length;
        drop_proof(proofs, old);
    }
}

static const struct spool_stream *find_unclosed(const struct spool_stream *unclosed, size_t count,
                                                uint64_t incarnation, int lane)
{
    for (size_t i = 0; i < count; i++)
        if (unclosed[i].incarnation == incarnation && unclosed[i].lane == lane)
            return &unclosed[i];
    return NULL;
}

static void drop_closed(struct proofs *proofs, const struct spool_stream *unclosed, size_t count)
{
    for (size_t i = proofs->stream_count; i-- > 0;)
        if (find_unclosed(unclosed, count, proofs->streams[i].incarnation,
                          proofs->streams[i].lane) == NULL)
            drop_stream(proofs, i);
}

static size_t find_stream(const struct proofs *proofs, uint64_t incarnation, int lane)
{
    size_t i = 0;
    while (i < proofs->stream_count &&
           !(proofs->streams[i].incarnation == incarnation && proofs->streams[i].lane == lane))
        i++;
    return i;
}

/* Measured by what all receipts together have said of the stream. */
static bool claims_less(const Muster__StreamReceipt *said, const struct spool_stream *stream)
{
    uint64_t highest =
        said->n_ranges > 0 ? said->ranges[said->n_ranges - 1]->last : said->cumulative;
    return said->cumulative + 1 < stream->first_unsent || highest < stream->receipted_to;
}

/* Makes proof `newest` the one for this stream, unless a better one is there. */
static void assign(struct proofs *proofs, const Muster__StreamReceipt *said,
                   const struct spool_stream *stream, size_t newest, bool *ret_less)
{
    size_t i = find_stream(proofs, said->incarnation, (int)said->lane);
    if (i == proofs->stream_count) {
        if (i == PROOFS_STREAMS)
            return;
        proofs->stream_count++;
        proofs->streams[i].incarnation = said->incarnation;
        proofs->streams[i].lane = (int)said->lane;
    } else if (claims_less(said, stream)) {
        /* Said later, it means that something is gone; said earlier, it is only late. */
        if (proofs->list[newest].issued_ms > proofs->list[proofs->streams[i].of].issued_ms)
            *ret_less = true;
        return;
    }
    proofs->streams[i].of = newest;
}

bool proofs_take(struct proofs *proofs, const Muster__Receipt *receipt, struct bytes envelope,
                 const struct spool_stream *unclosed, size_t unclosed_count, bool *ret_less,
                 struct err *err)
{
    struct buf copy = {.limit = LIMIT_RECEIPT_BYTES};
    *ret_less = false;
    drop_closed(proofs, unclosed, unclosed_count);
    tidy(proofs);
    if (proofs->count == PROOFS_STREAMS)
        drop_proof(proofs, oldest(proofs));
    if (!buf_append(&copy, envelope.data, envelope.length, err))
        return false;
    size_t newest = proofs->count++;
    proofs->list[newest] = (struct proof){.issued_ms = receipt->issued_ms, .envelope = copy};
    for (size_t i = 0; i < receipt->n_streams; i++) {
        const Muster__StreamReceipt *said = receipt->streams[i];
        const struct spool_stream *stream =
            find_unclosed(unclosed, unclosed_count, said->incarnation, (int)said->lane);
        if (stream != NULL)
            assign(proofs, said, stream, newest, ret_less);
    }
    tidy(proofs);
    proofs->unsaved = true;
    return true;
}

void proofs_drop(struct proofs *proofs, uint64_t incarnation, int lane)
{
    size_t i = find_stream(proofs, incarnation, lane);
    if (i == proofs->stream_count)
        return;
    drop_stream(proofs, i);
    tidy(proofs);
    proofs->unsaved = true;
}

static int newest_first(const void *left, const void *right)
{
    const struct proof *a = *(const struct proof *const *)left;
    const struct proof *b = *(const struct proof *const *)right;
    return a->issued_ms < b->issued_ms ? 1 : a->issued_ms > b->issued_ms ? -1 : 0;
}

size_t proofs_newest(const struct proofs *proofs, ProtobufCBinaryData *ret_envelopes)
{
    const struct proof *sorted[PROOFS_STREAMS];
    for (size_t i = 0; i < proofs->count; i++)
        sorted[i] = &proofs->list[i];
    qsort(sorted, proofs->count, sizeof sorted[0], newest_first);
    for (size_t i = 0; i < proofs->count; i++)
        ret_envelopes[i] = (ProtobufCBinaryData){.len = sorted[i]->envelope.length,
                                                 .data = sorted[i]->envelope.data};
    return proofs->count;
}

void proofs_done(struct proofs *proofs)
{
    for (size_t i = 0; i < proofs->count; i++)
        buf_done(&proofs->list[i].envelope);
    *proofs = (struct proofs){0};
}
