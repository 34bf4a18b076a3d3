/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_SPOOL_STATE_H
#define STORAGE_SPOOL_STATE_H

#include "storage/spool.h"
#include "storage/spool_acked.h"
#include "storage/spool_chain.h"
#include "storage/spool_codec.h"
#include "storage/spool_keys.h"
#include "storage/spool_lost.h"
#include "storage/spool_segment.h"
#include "storage/spool_slots.h"
#include "storage/sqlite.h"

#include <assert.h>
#include <limits.h>

/* What the spool*.c files share; nobody else includes it. */

enum {
    SPOOL_NUMBER_MAX = 0xffffff,
    SPOOL_PAGE_BYTES = 512, /* of a new file: least bytes on the disk; tests/bench/spool.c */
};
#define SPOOL_SEQ_MAX UINT64_C(0x1fffffffff)

enum spool_query {
    SPOOL_META_READ,
    SPOOL_META_WRITE,
    SPOOL_META_CLOCK,
    SPOOL_STREAM_LIST,
    SPOOL_STREAM_INSERT,
    SPOOL_STREAM_RAISE,
    SPOOL_STREAM_UPDATE,
    SPOOL_STREAM_DELETE,
    SPOOL_SEGMENT_INSERT,
    SPOOL_SEGMENT_SIZES,
    SPOOL_SEGMENT_POWERED,
    SPOOL_SEGMENT_FROM,
    SPOOL_SEGMENT_NEWEST,
    SPOOL_SEGMENT_LIST,
    SPOOL_SEGMENT_SPANS,
    SPOOL_SEGMENT_DELETE,
    SPOOL_SLOT_LIST,
    SPOOL_SLOT_WRITE,
    SPOOL_SPENT_INSERT,
    SPOOL_SPENT_AT,
    SPOOL_SPENT_TRIM,
    SPOOL_SPENT_LAST,
    SPOOL_KEYS_NEWEST,
    SPOOL_LOST_LIST,
    SPOOL_LOST_INSERT,
    SPOOL_LOST_DELETE,
    SPOOL_NOTE_WRITE,
    SPOOL_NOTE_READ,
    SPOOL_SALVAGE_STREAM,
    SPOOL_SALVAGE_SEGMENT,
    SPOOL_SALVAGE_LOST,
    SPOOL_SALVAGE_NOTE,
    SPOOL_SALVAGE_SPENT,
    SPOOL_DICTIONARY_LIST,
    SPOOL_DICTIONARY_INSERT,
    SPOOL_QUERIES,
};

/* Which file it is, whatever its name. */
struct file_id {
    uint64_t device, inode;
};

/* What transactions beside spool_push change. A seq that is neither receipted nor lost is owed. */
struct stream_books {
    struct spool_acked acked;
    struct spool_lost lost;
    uint64_t held;     /* records in segments */
    int64_t unsent_ms; /* powered-on time of the oldest record owed */
};

struct stream {
    uint64_t incarnation;
    uint32_t number;
    int lane;
    uint64_t last_seq;
    struct stream_books now;
    struct stream_books
        next; /* while `changing`: as it will be when the transaction is committed */
    bool changing;
    bool closing; /* all of it is done: `next` is nothing at all */
};

/* A lane's slots, and what the transaction under way makes of them. */
struct lane_slots {
    struct spool_slots now;
    bool emptied; /* what is there has become rows, or is gone; then another round begins */
    struct spool_slot_entry added; /* length 0: nothing; its body stands behind those of `now` */
};

struct spool {
    struct sqlite *db;
    const struct clock *clock;
    char *path;
    char *ballast_path;
    char *chain_path;
    char *wal_path;
    char device[SPOOL_CHAIN_DEVICE_BYTES + 1];
    char opened[640]; /* spool_opened */
    uint64_t incarnation;
    uint32_t number;
    uint64_t starts;
    uint64_t chain_edition;
    uint64_t ceiling[SPOOL_LANES]; /* of the running incarnation, as the chain has it */
    bool loaded;
    struct spool_salvaged salvaged;
    struct file_id file; /* of the database that is open */
    struct file_id wal;  /* of its WAL; inode 0: not looked at yet */
    bool gone;           /* the database no longer stands under its name */
    bool damaged;        /* SQLite, or a row that makes no sense, says so of the database */
    int64_t quota_bytes;
    int64_t grace_ms;
    struct spool_lane lanes[SPOOL_LANES];
    int64_t page_bytes;
    int64_t push_pages;     /* max_page_count for pushes */
    int64_t all_pages;      /* and for what must work when those are used up */
    int64_t limit_pages;    /* which of them is in force */
    bool tight;             /* the ballast is gone: pushes do not grow the file, ... */
    int64_t tight_pages;    /* ... beyond this, for which it has left room */
    int64_t base_ms;        /* powered-on time = base_ms + time since boot */
    int64_t saved_ms;       /* powered-on time last written down */
    struct stream *streams; /* by number, then lane */
    size_t stream_count, stream_capacity;
    size_t key_window;
    struct spool_keys keys;
    struct spool_codec *codec;
    uint32_t dictionary;             /* the newest that settings gave; 0: none */
    bool dictionary_held;            /* and the database has it */
    struct buf pending[SPOOL_LANES]; /* plain bodies of the push under way */
    struct buf stored[SPOOL_LANES];  /* as they will stand in their rows */
    int stored_codec[SPOOL_LANES];
    struct lane_slots slots[SPOOL_LANES];
    int64_t lane_bytes[SPOOL_LANES];    /* of segment bodies */
    int64_t lane_removing[SPOOL_LANES]; /* of them, in the transaction that is open */
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
/* The lowest seq >= from that is owed, or beyond last_seq. */
uint64_t stream_books_next_owed(const struct stream_books *books, uint64_t from);
/* The lowest seq >= from that is not; UINT64_MAX: none. */
uint64_t stream_books_next_done(const struct stream_books *books, uint64_t from);

/* What spool_open does once the settings are sound, and names are given to the files. */
bool spool_start(struct spool *spool, struct err *err) MUSTER_CHECK;
/* Adds one remark to what spool_opened says. */
void spool_remark(struct spool *spool, const char *fmt, ...) MUSTER_PRINTF(2, 3);

bool spool_database_open(struct spool *spool, struct err *err) MUSTER_CHECK;
/* Also lets go of all that was read from it. */
void spool_database_close(struct spool *spool);
/* Whether it still stands where it was opened, its WAL too; cheap enough for every commit. */
bool spool_in_place(struct spool *spool, struct err *err) MUSTER_CHECK;
bool spool_database_in_place(struct spool *spool, struct err *err) MUSTER_CHECK;
/* Looks which file the WAL is: now that something has been committed there is one. */
void spool_know_wal(struct spool *spool);
/* Inside of a transaction: keeps the dictionary that bodies are about to name. */
bool spool_dictionary_save(struct spool *spool, struct err *err) MUSTER_CHECK;
/* Divides the quota up, less what is set aside. */
void spool_database_size(struct spool *spool, int64_t aside_bytes);

/* Puts the database, and the chain `with_chain`, at PATH.<name> in the place of what was put there
 * before, as far as there is quota for it. */
bool spool_set_aside(struct spool *spool, const char *name, bool with_chain, const char *why,
                     struct err *err) MUSTER_CHECK;
/* The chain alone, as another device's; nothing if it is gone already. */
bool spool_set_chain_aside(struct spool *spool, struct err *err) MUSTER_CHECK;
int64_t spool_aside_bytes(const struct spool *spool);
/* The same for what can be salvaged: it waits as PATH.salvage until that is done. Where it waits
 * already, the database is no more than what was taken out of it so far, and begins anew. */
bool spool_set_aside_for_salvage(struct spool *spool, const char *why,
                                 struct err *err) MUSTER_CHECK;
/* Makes good what a power cut left half done; whether something waits, and under which name. */
bool spool_salvage_waits(struct spool *spool, char source[PATH_MAX], bool *ret_waits,
                         struct err *err) MUSTER_CHECK;
/* It becomes PATH.damaged. */
bool spool_salvage_finish(struct spool *spool, struct err *err) MUSTER_CHECK;
/* spool_salvage.c: fills the database, which is new, with what is sound in `source`; and, when that
 * has been read in, declares what is missing. */
bool spool_salvage(struct spool *spool, const struct spool_chain *chain, const char *source,
                   struct err *err) MUSTER_CHECK;
bool spool_salvage_declare(struct spool *spool, struct err *err) MUSTER_CHECK;
/* The next open sets the database aside. */
bool spool_mark_damaged(struct spool *spool, struct err *err) MUSTER_CHECK;
bool spool_is_marked(const struct spool *spool);
bool spool_unmark(struct spool *spool, struct err *err) MUSTER_CHECK;
bool spool_directory(const struct spool *spool, char dir[PATH_MAX], struct err *err) MUSTER_CHECK;

/* Makes sure that the chain says of each lane that seqs below `next_seq` may have been given. */
bool spool_chain_cover(struct spool *spool, const uint64_t next_seq[SPOOL_LANES],
                       struct err *err) MUSTER_CHECK;
/* Writes the chain from the streams, less the incarnations that are closing. */
bool spool_chain_save(struct spool *spool, const uint64_t ceiling[SPOOL_LANES],
                      struct err *err) MUSTER_CHECK;
/* Inside of a transaction: writes down what `chain` proves to be missing from a database that is
 * new or has gone back in time. */
bool spool_chain_declare(struct spool *spool, const struct spool_chain *chain,
                         uint64_t *ret_unknown, struct err *err) MUSTER_CHECK;

/* As spool_chain_save, with the seqs that were given and no ceiling above: when no more are. */
bool spool_chain_settle(struct spool *spool, struct err *err) MUSTER_CHECK;

/* All streams from the file. */
bool spool_streams_load(struct spool *spool, struct err *err) MUSTER_CHECK;
/* A new incarnation after all that the file names. */
bool spool_number(struct spool *spool, struct err *err) MUSTER_CHECK;
bool spool_stream_age(struct spool *spool, struct stream *stream, struct err *err) MUSTER_CHECK;
/* Over what of a stream's row says whose the records are and which are receipted: a flip there
 * would lose or double them, and SQLite does not see it. */
uint32_t spool_stream_sum(uint32_t number, int lane, uint64_t incarnation, struct bytes acked);
bool spool_stream_insert(struct spool *spool, uint64_t incarnation, uint32_t number, int lane,
                         struct err *err) MUSTER_CHECK;
struct stream *spool_find(const struct spool *spool, uint64_t incarnation, int lane);
struct stream *spool_find_number(const struct spool *spool, uint32_t number, int lane);
/* Room for one more stream in each lane, so that adding cannot fail after a commit. */
bool spool_streams_reserve(struct spool *spool, struct err *err) MUSTER_CHECK;
void spool_streams_add(struct spool *spool, struct stream stream);
void spool_streams_done(struct spool *spool);

/* Inside of a transaction: `next` is there to be changed. What is changed is written before the
 * commit and holds after it. */
bool spool_edit(struct spool *spool, struct stream *stream, struct err *err) MUSTER_CHECK;
/* Writes the streams that are changing. */
bool spool_edits_write(struct spool *spool, struct err *err) MUSTER_CHECK;
void spool_edits_apply(struct spool *spool);
void spool_edits_drop(struct spool *spool);

/* One transaction around `write` that has the reserve to itself: the pages that pushes may not
 * take and, if the disk is full nevertheless, the ballast file: `write` may be called twice. */
bool spool_reserved(struct spool *spool, bool (*write)(struct spool *, void *ctx, struct err *),
                    void *ctx, struct err *err) MUSTER_CHECK;
/* Holds pushes to their pages. Without ballast the file does not grow at all: what does not fit on
 * a full disk would stay in the WAL and lock it up. */
bool spool_limit(struct spool *spool, struct err *err) MUSTER_CHECK;
/* Writes the powered-on time down, which never goes back. */
bool spool_clock_save(struct spool *spool, struct err *err) MUSTER_CHECK;
/* Puts the ballast back; a disk that is still full is no error. */
bool spool_ballast(struct spool *spool, struct err *err) MUSTER_CHECK;
/* Removes it and lets the WAL start over; false if there is none. */
bool spool_ballast_release(struct spool *spool);
/* How long the WAL becomes before it is written back: the longer, the less often a page is. */
enum { SPOOL_CHECKPOINT_MIN_BYTES = 256 * 1024, SPOOL_CHECKPOINT_MAX_BYTES = 1024 * 1024 };
static inline int64_t spool_checkpoint_bytes(const struct spool *spool)
{
    int64_t share = spool->quota_bytes / 64;
    if (share < SPOOL_CHECKPOINT_MIN_BYTES)
        return SPOOL_CHECKPOINT_MIN_BYTES;
    return share < SPOOL_CHECKPOINT_MAX_BYTES ? share : SPOOL_CHECKPOINT_MAX_BYTES;
}
/* When the disk fills, the WAL can hold two checkpoints' worth that the database lacks. */
static inline int64_t spool_ballast_bytes(const struct spool *spool)
{
    return 2 * spool_checkpoint_bytes(spool) + 128 * 1024;
}

/* A segment row under the columns (id, count, body, codec) of the statement. */
struct segment {
    int64_t id;
    uint64_t first_seq, count;
    struct bytes body;
    int64_t codec;
};
struct segment spool_segment_row(sqlite3_stmt *statement);
/* Its records, valid until the statement moves or another segment is split. */
static inline bool spool_split(struct spool *spool, const struct segment *segment,
                               struct spool_frame ret_frames[SPOOL_PUSH_RECORDS], struct err *err)
{
    return spool_codec_split(spool->codec, segment->codec, segment->id, segment->body,
                             segment->count, ret_frames, err);
}

/* Under the names of the statements that insert one. */
void spool_segment_bind(sqlite3_stmt *query, const struct segment *segment, int64_t powered_ms);
/* Inside of a transaction: one row more. */
bool spool_segment_write(struct spool *spool, enum spool_query insert,
                         const struct segment *segment, int64_t powered_ms,
                         struct err *err) MUSTER_CHECK;

/* The segments of a stream that stand in slots, by id: behind all that are rows. */
size_t spool_slots_count(const struct spool *spool, uint32_t number, int lane);
const struct spool_slot_entry *spool_slots_entry(const struct spool *spool, int lane, size_t index);
/* Valid until the next transaction. */
struct segment spool_slots_segment(const struct spool *spool, int lane, size_t index);
/* Whether a segment of so many bytes goes into slots, and not at once into a row. */
bool spool_slots_take_in(int lane, size_t length);
/* The room in the file for what becomes rows when it is put down; 0: nothing does. */
int64_t spool_slots_moving(const struct spool *spool, int lane, size_t length);
/* Inside of a transaction. put: one more segment, which takes_in. empty: all of a lane become rows;
 * gone: they are nowhere any more. mark: before the commit, what tells the next open of it. */
bool spool_slots_put(struct spool *spool, const struct segment *segment, int64_t powered_ms,
                     struct err *err) MUSTER_CHECK;
bool spool_slots_empty(struct spool *spool, int lane, struct err *err) MUSTER_CHECK;
void spool_slots_gone(struct spool *spool, int lane);
bool spool_slots_mark(struct spool *spool, struct err *err) MUSTER_CHECK;
/* After the commit, or the rollback. */
void spool_slots_apply(struct spool *spool);
void spool_slots_drop(struct spool *spool);
/* Reads them in, and settles them: slots are for the incarnation that runs. */
bool spool_slots_open(struct spool *spool, struct err *err) MUSTER_CHECK;
/* A transaction that makes all of them rows. */
bool spool_slots_settle(struct spool *spool, struct err *err) MUSTER_CHECK;
void spool_slots_done(struct spool *spool);

/* What of a stream's segments is to go. */
struct removal {
    size_t segments_left; /* at most so many ... */
    int64_t bytes_left;   /* ... until as many bytes of bodies are gone ... */
    int64_t before_ms;    /* ... of those committed before that powered-on time */
    enum spool_loss why;  /* what becomes of records owed; SPOOL_HELD: there are none */
    size_t records;       /* gone so far */
};
/* Inside of a transaction: the leading segments that lie wholly in first..last. */
bool spool_remove(struct spool *spool, struct stream *stream, uint64_t first, uint64_t last,
                  struct removal *removal, struct err *err) MUSTER_CHECK;

/* At least so many bytes of bodies go, if there are as many that may: what is done with of all
 * lanes, then what is owed of lanes up to the `worthiest`. `only`: a lane's own affair. */
bool spool_evict(struct spool *spool, int only, int worthiest, int64_t bytes, bool *ret_any,
                 struct err *err) MUSTER_CHECK;

/* Idempotency keys of segments that are gone. put: one more key, `step` seqs behind the one before,
 * for a row of about so many bytes. */
enum { SPOOL_SPENT_BYTES = 4096 };
bool spool_spent_put(struct buf *keys, uint64_t step, struct bytes key,
                     struct err *err) MUSTER_CHECK;
bool spool_spent_write(struct spool *spool, const struct stream *stream, uint64_t first_seq,
                       struct bytes keys, struct err *err) MUSTER_CHECK;
/* Whether the record `id` had this key. */
bool spool_spent_has(struct spool *spool, int64_t id, struct bytes key, bool *ret_same,
                     uint64_t *ret_incarnation, struct err *err) MUSTER_CHECK;
bool spool_spent_trim(struct spool *spool, struct err *err) MUSTER_CHECK;

/* Reads the key window in again, from what is held and what is spent. */
bool spool_keys_load(struct spool *spool, struct err *err) MUSTER_CHECK;

#endif
