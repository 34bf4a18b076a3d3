/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_SPOOL_H
#define STORAGE_SPOOL_H

#include "base/buf.h"
#include "base/clock.h"

/*
 * The terminal's one durable queue. A record is bytes in a lane; its id is (incarnation, lane,
 * seq). `incarnation` is a fresh random value at every open; `seq` counts from 1 in each lane of
 * it and is given inside the insert transaction. One spool_push is one commit and one segment
 * for each lane in it; segments are removed whole. The newest of them stand in slots
 * (spool_slots.h), all others are rows. One process, one connection.
 *
 * A record leaves when it has been receipted and its grace window is over, or when it is given up.
 * What is given up is declared: the transaction that deletes it writes down its seqs and the
 * reason, and spool_read gives that range in the records' place until it is receipted too. So each
 * seq of a stream is either held, or receipted, or declared lost; a stream is closed, and leaves no
 * trace, when all of it is receipted and past its grace.
 *
 * An idempotency key is known as long as it is among the newest `key_window` keys, whatever has
 * become of its record: across restarts (where lane 1 is read in first), receipts and eviction.
 *
 * Beside the database stands PATH.chain (spool_chain.h): which incarnations are not closed, and a
 * ceiling of the seqs that they may have given. With its help a database that was destroyed, or
 * replaced by an older copy, leaves an unknown tail that is bounded and declared.
 *
 * After a failed fsync every call is refused with ERR_IO: close and open again. So it is when the
 * database is no longer the file under its name: what was given since is then an unknown tail;
 * where its WAL alone is gone, nothing is lost.
 */
struct spool;

enum { SPOOL_LANES = 3 }; /* lanes are 1..3, as in record.proto; 1 is worth most */

enum {
    SPOOL_PUSH_RECORDS = 1024, /* in one call, and bytes of their bodies together */
    SPOOL_PUSH_BYTES = 512 * 1024,
    SPOOL_QUOTA_MIN_BYTES = 4 * 1024 * 1024,
    SPOOL_QUOTA_BYTES_PER_KEY = 160, /* of the window: at most a quarter may be spent keys */
};

/* Why records were given up: LossReason of record.proto. */
enum spool_loss {
    SPOOL_HELD = 0,
    SPOOL_LOST_QUOTA = 1,
    SPOOL_LOST_AGE,
    SPOOL_LOST_DAMAGED,
    SPOOL_LOST_CONFLICT,
    SPOOL_LOST_UNDECODABLE,
    SPOOL_LOST_FORGOTTEN,
    SPOOL_LOST_UNKNOWN,
    SPOOL_LOSSES,
};

/* When room is short, what is receipted goes before its grace is over, then what is worth less:
 * a record never displaces one of a lane that is worth more. */
struct spool_lane {
    int64_t quota_bytes; /* of segment bodies in this lane; 0: only the spool's own quota */
    int64_t age_ms;      /* older records are given up (powered-on time); 0: never */
};

/* What bodies are compressed with: any bytes, better those that zstd trained on such records. */
struct spool_dictionary {
    uint32_t version; /* 1 or higher; a version never stands for other bytes */
    struct bytes content;
};

struct spool_settings {
    const char *path;    /* database file; beside it PATH.chain, and PATH.ballast, which is freed
                          * when the disk is full */
    const char *device;  /* another device's spool is set aside (spool_opened) */
    int64_t quota_bytes; /* all of these files, and what was set aside; at least
                          * SPOOL_QUOTA_MIN_BYTES */
    int64_t grace_ms;    /* a receipted record stays this long (powered-on time) */
    int64_t key_window;  /* idempotency keys remembered at the most, newest first; the quota must
                          * have 160 bytes for each */
    struct spool_lane lanes[SPOOL_LANES]; /* [lane - 1] */
    /* Segments are compressed with the newest, which the database keeps a copy of, so that it can
     * be read without this program. None: they are not. Not needed after spool_open. */
    const struct spool_dictionary *dictionaries;
    size_t dictionary_count;
};

bool spool_open(const struct spool_settings *settings, const struct clock *clock,
                struct spool **ret_spool, struct err *err) MUSTER_CHECK;
void spool_close(struct spool *spool);
uint64_t spool_incarnation(const struct spool *spool);
/* How often this device's spool was opened, this time included; goes on over destroyed files. */
uint64_t spool_starts(const struct spool *spool);
/* What spool_open had to do that people should hear of, one line: a foreign or unreadable file set
 * aside (PATH.foreign, PATH.damaged: one of each at the most, together within a quarter of the
 * quota), what was salvaged from a damaged one, an unknown tail. "": nothing. A database that
 * SQLite finds damaged later on is set aside, and salvaged, by the next open; meanwhile
 * (PATH.salvage) it stands beside the new one, whatever the quota. */
const char *spool_opened(const struct spool *spool);

/* What was taken over from a damaged database at this open. */
struct spool_salvaged {
    uint64_t records; /* sound: held as before, under their old ids */
    uint64_t lost;    /* declared as damaged */
    uint64_t unknown; /* declared too: the fleet alone knows whether it has them */
};
struct spool_salvaged spool_salvaged(const struct spool *spool);

/* Whether only an open can help: the database is damaged (what is sound of it is then salvaged), an
 * fsync failed, or the file has been deleted or replaced under its name. `*ret_why` says which. The
 * agent asks now and then: reading goes on around damage meanwhile. */
bool spool_must_reopen(struct spool *spool, struct err *ret_why);

struct spool_record {
    int lane;
    struct bytes key;  /* idempotency key, 1..32 bytes; empty: none */
    struct bytes body; /* 1..LIMIT bytes */
    /* filled by spool_push: */
    uint64_t incarnation, seq;
    bool duplicate; /* the key was seen within the window: the id is the first answer */
};

/* At most SPOOL_PUSH_RECORDS, with bodies of SPOOL_PUSH_BYTES together. All of them durable (WAL,
 * synchronous=FULL) when it returns true, none when false. A key that occurs twice in one call is
 * a duplicate of its first. What is worth less makes room (struct spool_lane); ERR_FULL: over quota
 * or disk full, and nothing left that may be displaced. Records of several lanes in one call
 * displace only what the least worthy of them may. */
bool spool_push(struct spool *spool, struct spool_record *records, size_t count,
                struct err *err) MUSTER_CHECK;

/* A stream is one lane of one incarnation. */
struct spool_stream {
    uint64_t incarnation;
    int lane;
    uint64_t last_seq;     /* highest seq ever given */
    uint64_t first_unsent; /* lowest seq not receipted; last_seq + 1 when all are */
    uint64_t receipted_to; /* highest seq receipted; 0: none */
};
/* Streams with something not receipted, oldest incarnation first, lanes in order of worth. Fills
 * at most `max`, returns how many there are. */
size_t spool_streams(const struct spool *spool, struct spool_stream *ret_streams, size_t max);
/* The same for every stream that is not closed: those in grace too, and the running incarnation's
 * that have given anything. Newest incarnation first. */
size_t spool_unclosed(const struct spool *spool, struct spool_stream *ret_streams, size_t max);

/* What spool_read found from `from_seq` on, behind what is receipted: `count` records that were
 * given to `each`, or, with `lost`, the place of `count` records that will never come. */
struct spool_found {
    uint64_t first;
    uint64_t count; /* 0: nothing there */
    enum spool_loss lost;
};
/* Records from `from_seq` on, ascending, skipping those receipted; stops where the range would
 * end (a receipt, a loss), after `max_records` or before `max_bytes` is exceeded (at least one).
 * A record that is damaged or missing is declared lost here and now (SPOOL_LOST_DAMAGED, durable)
 * and found as such; the sound ones around it are given. `body` is valid during the call only, and
 * `each` must not call the spool; a false from it ends the reading with its err. */
bool spool_read(struct spool *spool, uint64_t incarnation, int lane, uint64_t from_seq,
                size_t max_records, size_t max_bytes,
                bool (*each)(void *ctx, uint64_t seq, struct bytes body, struct err *err),
                void *ctx, struct spool_found *ret_found, struct err *err) MUSTER_CHECK;
/* Gives up first..last of a stream, what of it is neither receipted nor lost already. The records
 * are set aside: not sent any more, and on the disk until the declaration is receipted and past
 * its grace. Durable when it returns; a stream that is not known is ignored. */
bool spool_lose(struct spool *spool, uint64_t incarnation, int lane, uint64_t first, uint64_t last,
                enum spool_loss why, struct err *err) MUSTER_CHECK;
/* The newest `max` records of a lane, newest first, receipted or not, all incarnations; those that
 * are damaged are left out. */
bool spool_newest(struct spool *spool, int lane, size_t max,
                  bool (*each)(void *ctx, uint64_t incarnation, uint64_t seq, struct bytes body,
                               struct err *err),
                  void *ctx, struct err *err) MUSTER_CHECK;

struct spool_range {
    uint64_t first, last; /* inclusive */
};
/* What a verified receipt says of one stream: all up to `cumulative`, and `ranges` beyond. A
 * receipt never takes back an earlier one. Beyond last_seq of the running incarnation is
 * ERR_REFUSED and changes nothing; of an earlier one it counts as far as records are left. A stream
 * that is not known is ignored. Durable when it returns. */
bool spool_receipt(struct spool *spool, uint64_t incarnation, int lane, uint64_t cumulative,
                   const struct spool_range *ranges, size_t range_count,
                   struct err *err) MUSTER_CHECK;
/* The fleet holds only this of the stream, whatever it receipted before: it was restored from a
 * backup. All else is to be sent again; what has been forgotten meanwhile is declared
 * (SPOOL_LOST_FORGOTTEN). Durable when it returns; a stream that is not known is ignored. */
bool spool_again(struct spool *spool, uint64_t incarnation, int lane, uint64_t cumulative,
                 const struct spool_range *ranges, size_t range_count,
                 struct err *err) MUSTER_CHECK;
/* Removes segments that are wholly receipted and past their grace (by powered-on time, up to a
 * sixteenth of it late), and streams that are done; gives space back. Where the quota was lowered,
 * what is beyond it goes as spool_push would make it go. Bounded in one call: more
 * may be left while it removes something. */
bool spool_forget(struct spool *spool, size_t *ret_removed_records, struct err *err) MUSTER_CHECK;

/* Small durable values beside the records, for the agent's own use (newest receipt, ...). A
 * missing name gives an empty buffer. */
bool spool_note_write(struct spool *spool, const char *name, struct bytes value,
                      struct err *err) MUSTER_CHECK;
bool spool_note_read(struct spool *spool, const char *name, struct buf *ret_value,
                     struct err *err) MUSTER_CHECK;

struct spool_stats {
    uint64_t records;      /* held and owed: neither receipted nor lost */
    uint64_t records_kept; /* held beside these: receipted and in grace, or set aside */
    uint64_t records_lost; /* declared lost, the declaration not receipted yet */
    uint64_t bytes;        /* database and WAL on disk */
    uint64_t wal_bytes;
    int64_t oldest_ms; /* age of the oldest not receipted, powered-on time; 0: none */
};
void spool_stats(const struct spool *spool, struct spool_stats *ret_stats);

#endif
