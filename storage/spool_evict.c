/* SPDX-License-Identifier: Apache-2.0 */
/* Making room: what is receipted or lost already goes first, then what is worth least. */
#include "storage/spool_state.h"

enum { EVICT_SEGMENTS = 1024 }; /* in one transaction */

struct eviction {
    int only;      /* in this lane; 0: in all */
    int worthiest; /* lane whose records owed may go */
    int64_t bytes;
    struct removal removal;
};

/* Segments in which nothing is owed. */
static bool remove_done(struct spool *spool, struct stream *stream, struct removal *removal,
                        struct err *err)
{
    const struct stream_books *books = &stream->now;
    uint64_t first = stream_books_next_done(books, 1);
    while (first <= stream->last_seq && removal->bytes_left > 0) {
        uint64_t owed = stream_books_next_owed(books, first);
        uint64_t last = owed <= stream->last_seq ? owed - 1 : stream->last_seq;
        if (!spool_remove(spool, stream, first, last, removal, err))
            return false;
        first = stream_books_next_done(books, owed);
    }
    return true;
}

static bool remove_any(struct spool *spool, struct stream *stream, struct removal *removal,
                       struct err *err)
{
    return spool_remove(spool, stream, 1, stream->last_seq, removal, err);
}

/* Oldest streams of a lane first. */
static bool in_lane(struct spool *spool, int lane, struct removal *removal,
                    bool (*from)(struct spool *, struct stream *, struct removal *, struct err *),
                    struct err *err)
{
    for (size_t i = 0; i < spool->stream_count && removal->bytes_left > 0; i++) {
        struct stream *stream = &spool->streams[i];
        if (stream->lane == lane && stream->now.held > 0 && !from(spool, stream, removal, err))
            return false;
    }
    return true;
}

static bool evict(struct spool *spool, void *ctx, struct err *err)
{
    struct eviction *eviction = ctx;
    struct removal *removal = &eviction->removal;
    *removal = (struct removal){
        .segments_left = EVICT_SEGMENTS, .bytes_left = eviction->bytes, .before_ms = INT64_MAX};
    for (int lane = SPOOL_LANES; lane >= 1; lane--) {
        if ((eviction->only == 0 || eviction->only == lane) &&
            !in_lane(spool, lane, removal, remove_done, err))
            return false;
    }
    removal->why = SPOOL_LOST_QUOTA;
    for (int lane = SPOOL_LANES; lane >= eviction->worthiest; lane--) {
        if ((eviction->only == 0 || eviction->only == lane) &&
            !in_lane(spool, lane, removal, remove_any, err))
            return false;
    }
    return removal->records == 0 || spool_spent_trim(spool, err);
}

bool spool_evict(struct spool *spool, int only, int worthiest, int64_t bytes, bool *ret_any,
                 struct err *err)
{
    struct eviction eviction = {.only = only, .worthiest = worthiest, .bytes = bytes};
    if (!spool_reserved(spool, evict, &eviction, err))
        return false;
    *ret_any = eviction.removal.records > 0;
    return true;
}
