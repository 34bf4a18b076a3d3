/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_SPOOL_STATE_H
#define STORAGE_SPOOL_STATE_H

#include "storage/spool.h"
#include "storage/spool_acked.h"
#include "storage/spool_keys.h"
#include "storage/spool_segment.h"
#include "storage/sqlite.h"

#include <assert.h>

/* What the spool*.c files share; nobody else includes it. */

enum { SPOOL_NUMBER_MAX = 0xffffff };
#define SPOOL_SEQ_MAX UINT64_C(0x1fffffffff)

enum spool_query {
    SPOOL_META_READ,
    SPOOL_META_INSERT,
    SPOOL_META_CLOCK,
    SPOOL_STREAM_LIST,
    SPOOL_STREAM_INSERT,
    SPOOL_STREAM_UPDATE,
    SPOOL_STREAM_DELETE,
    SPOOL_SEGMENT_INSERT,
    SPOOL_SEGMENT_LAST,
    SPOOL_SEGMENT_POWERED,
    SPOOL_SEGMENT_FROM,
    SPOOL_SEGMENT_NEXT,
    SPOOL_SEGMENT_NEWEST,
    SPOOL_SEGMENT_LIST,
    SPOOL_SEGMENT_DELETE,
    SPOOL_NOTE_WRITE,
    SPOOL_NOTE_READ,
    SPOOL_QUERIES,
};

struct stream {
    uint64_t incarnation;
    uint32_t number;
    int lane;
    uint64_t last_seq;
    uint64_t removed;  /* records forgotten; every seq in them is in `acked` */
    uint64_t removing; /* the same, of the transaction that is open */
    struct spool_acked acked;
    int64_t unsent_ms; /* powered-on time of the oldest record not receipted */
};

struct spool {
    struct sqlite *db;
    const struct clock *clock;
    char *path;
    char *ballast_path;
    uint64_t incarnation;
    uint32_t number;
    bool loaded;
    int64_t quota_bytes;
    int64_t grace_ms;
    int64_t page_bytes;
    int64_t push_pages;     /* max_page_count for pushes */
    int64_t all_pages;      /* and for what must work when those are used up */
    int64_t base_ms;        /* powered-on time = base_ms + time since boot */
    int64_t saved_ms;       /* powered-on time last written down */
    struct stream *streams; /* by number, then lane */
    size_t stream_count, stream_capacity;
    struct spool_keys keys;
    struct buf pending[SPOOL_LANES]; /* segment bodies of the push under way */
};

/* The rowid of a segment, or of one record in it: lane, number and seq packed. */
int64_t spool_id(int lane, uint32_t number, uint64_t seq);
int spool_id_lane(int64_t id);
uint32_t spool_id_number(int64_t id);
uint64_t spool_id_seq(int64_t id);

static inline int64_t spool_powered_ms(const struct spool *spool)
{
    return spool->base_ms + clock_boot_ms(spool->clock);
}
static inline uint64_t stream_first_unsent(const struct stream *stream)
{
    return spool_acked_next_out(&stream->acked, 1);
}
static inline bool stream_drained(const struct stream *stream)
{
    return stream_first_unsent(stream) > stream->last_seq;
}

/* All streams from the file, and a new incarnation after them. */
bool spool_streams_load(struct spool *spool, struct err *err) MUSTER_CHECK;
struct stream *spool_find(const struct spool *spool, uint64_t incarnation, int lane);
struct stream *spool_find_number(const struct spool *spool, uint32_t number, int lane);
/* Room for one more stream in each lane, so that adding cannot fail after a commit. */
bool spool_streams_reserve(struct spool *spool, struct err *err) MUSTER_CHECK;
void spool_streams_add(struct spool *spool, struct stream stream);
void spool_streams_remove(struct spool *spool, size_t index);
/* Refreshes unsent_ms from the segments. */
bool spool_stream_age(struct spool *spool, struct stream *stream, struct err *err) MUSTER_CHECK;
/* Writes the row of a stream that has one, with `removing` and another set of ranges. */
bool spool_stream_write(struct spool *spool, const struct stream *stream,
                        const struct spool_acked *acked, struct err *err) MUSTER_CHECK;

/* One transaction around `write` that has the reserve to itself: the pages that pushes may not
 * take and, if the disk is full nevertheless, the ballast file. */
bool spool_reserved(struct spool *spool, bool (*write)(struct spool *, void *ctx, struct err *),
                    void *ctx, struct err *err) MUSTER_CHECK;
/* Writes the powered-on time down, which never goes back. */
bool spool_clock_save(struct spool *spool, struct err *err) MUSTER_CHECK;
/* Puts the ballast back; a disk that is still full is no error. */
bool spool_ballast(struct spool *spool, struct err *err) MUSTER_CHECK;

/* A segment row under the columns (id, count, body) of the statement. */
struct segment {
    int64_t id;
    uint64_t first_seq, count;
    struct bytes body;
};
struct segment spool_segment_row(sqlite3_stmt *statement);
/* Puts "spool PATH: segment of incarnation I lane L seq N" before a text about it. */
bool spool_segment_damaged(const struct spool *spool, int64_t id, struct err *err);

/* Reads the key window in again from the segments that are held. */
bool spool_keys_load(struct spool *spool, struct err *err) MUSTER_CHECK;

#endif
