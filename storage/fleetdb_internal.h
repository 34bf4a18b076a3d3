/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_FLEETDB_INTERNAL_H
#define STORAGE_FLEETDB_INTERNAL_H

#include "storage/fleetdb.h"
#include "storage/fleetdb_keeping.h"
#include "storage/fleetdb_records.h"
#include "storage/fleetdb_runs.h"
#include "storage/fleetdb_spans.h"
#include "storage/rollup_numbers.h"
#include "storage/rollup_sums.h"
#include "storage/sqlite.h"
#include "storage/variety.h"

enum {
    FLEETDB_APPLICATION_ID = 0x4d736644, /* "MsfD" */
    FLEETDB_BUSY_MS = 2000,              /* a reader may hold up a checkpoint for a moment */
};

/*
 * For the fleetdb files of this folder only. Each file owns its queries: a table of texts indexed
 * by an enum of its own, exported as one `struct fleetdb_queries`; fleetdb_open prepares them all.
 */
enum fleetdb_part {
    FLEETDB_PART_DEVICES,
    FLEETDB_PART_RECORDS,
    FLEETDB_PART_RESULTS,
    FLEETDB_PART_RUNS,
    FLEETDB_PART_SPANS,
    FLEETDB_PART_STREAMS,
    FLEETDB_PART_ACCOUNT,
    FLEETDB_PART_SUMS,
    FLEETDB_PART_REPORTS,
    FLEETDB_PART_VIEWS,
    FLEETDB_PART_BLOBS,
    FLEETDB_PART_DOCUMENTS,
    FLEETDB_PART_DESIRED,
    FLEETDB_PART_CLOCK,
    FLEETDB_PART_ROOTS,
    FLEETDB_PART_SEALING,
    FLEETDB_PART_FINAL,
    FLEETDB_PART_TOLD,
    FLEETDB_PART_ACTIONS,
    FLEETDB_PART_PROPOSALS,
    FLEETDB_PART_STANDING,
    FLEETDB_PART_CARRY,
    FLEETDB_PART_PLACES,
    FLEETDB_PART_ENROL,
    FLEETDB_PART_LABELS,
    FLEETDB_PART_SCOPE,
    FLEETDB_PART_TOKENS,
    FLEETDB_PART_CHANGES,
    FLEETDB_PART_FEED,
    FLEETDB_PART_WEBHOOKS,
    FLEETDB_PART_SOFTWARE,
    FLEETDB_PART_ROLLUPS,
    FLEETDB_PART_ROLLUP_NUMBERS,
    FLEETDB_PART_RATES,
    FLEETDB_PART_FIND,
    FLEETDB_PART_ASKED,
    FLEETDB_PART_KEEPING,
    FLEETDB_PART_ERASE,
    FLEETDB_PART_ERASE_STEP,
    FLEETDB_PART_ERASE_TEXTS,
    FLEETDB_PART_ERASE_LOOK,
    FLEETDB_PART_PRESENCE,
    FLEETDB_PART_PORTRAIT,
    FLEETDB_PART_ZONE,
    FLEETDB_PARTS,
};

struct fleetdb_change;

struct fleetdb_queries {
    const char *const *texts;
    unsigned count;
};
extern const struct fleetdb_queries fleetdb_device_queries, fleetdb_record_queries,
    fleetdb_result_queries, fleetdb_stream_queries, fleetdb_account_queries, fleetdb_sum_queries,
    fleetdb_report_queries, fleetdb_view_queries, fleetdb_blob_queries, fleetdb_document_queries,
    fleetdb_desired_queries, fleetdb_clock_queries, fleetdb_root_queries, fleetdb_sealing_queries,
    fleetdb_final_queries, fleetdb_told_queries, fleetdb_action_queries, fleetdb_proposal_queries,
    fleetdb_standing_queries, fleetdb_carry_queries, fleetdb_place_queries, fleetdb_enrol_queries,
    fleetdb_label_queries, fleetdb_scope_queries, fleetdb_token_queries, fleetdb_change_queries,
    fleetdb_feed_queries, fleetdb_webhook_queries, fleetdb_rollup_queries,
    fleetdb_rollup_number_queries, fleetdb_rate_queries, fleetdb_find_queries,
    fleetdb_asked_queries, fleetdb_keeping_queries, fleetdb_run_queries, fleetdb_erase_queries,
    fleetdb_erase_step_queries, fleetdb_erase_text_queries, fleetdb_erase_look_queries,
    fleetdb_presence_queries, fleetdb_portrait_queries, fleetdb_span_queries, fleetdb_zone_queries,
    fleetdb_software_queries;

/* The run that grows, not written yet: `count` results from `first` on are the rows from `row` on.
 * From there to before `free_before` nothing else is held of the stream. */
struct fleetdb_run {
    struct fleetdb_run_id first; /* its device is 0: none */
    uint64_t count;
    int64_t row;
    uint64_t free_before;
    uint64_t grows; /* the run that it goes on from, by its first seq; 0: none */
};

/* The results of a batch while they become rows (fleetdb_results.c). */
struct fleetdb_counted;
struct fleetdb_come {
    struct sqlite_rows rows;
    const struct fleetdb_record *records;
    struct fleetdb_counted *counted; /* of each, with its stamp */
    size_t count, room;
};

struct fleetdb {
    struct sqlite *sqlite;
    bool in_transaction;
    int64_t feed_last;    /* how often something was added to the feed */
    int lock;             /* descriptor of the lock file, -1: none */
    const char **queries; /* all parts' texts, end to end */
    unsigned first_query[FLEETDB_PARTS];
    struct fleetdb_stamps *stamps; /* fleetdb_stamp.c */
    struct rollup_sums sums;       /* of this transaction, not written yet */
    struct rollup_numbers numbers; /* as they are in the database, or will be by this commit */
    struct {                       /* those of one rollup, while they are written */
        struct sqlite_rows rows;
        size_t first, count;
    } adding;
    int64_t whole_from_ms[FLEETDB_KEPTS], removed[FLEETDB_KEPTS];
    struct fleetdb_run run;
    struct fleetdb_spans spans; /* of this transaction, not written yet */
    struct fleetdb_come come;
    struct variety variety;
    uint64_t variety_seed;            /* another one in each program; 0: none yet */
    uint64_t folded;                  /* fleetdb_folded */
    int64_t erasure;                  /* that goes on, 0: none */
    struct erase_words *erased_words; /* of it; NULL: not read yet */
};

bool fleetdb_stamps_open(struct fleetdb *db, struct err *err) MUSTER_CHECK;
void fleetdb_stamps_close(struct fleetdb *db);
void fleetdb_stamps_forget(struct fleetdb *db);

/* What a device tells that it runs, when it came. */
struct fleetdb_software {
    int64_t device, now_ms;
    struct bytes firmware, app;
};
/* So many of a device are told apart; one that was not used for 90 days makes room for a new one.
 */
enum { FLEETDB_SOFTWARE_MAX = 64, FLEETDB_WORD_BYTES = 256 };
/* Its row. `*ret_folded`: it is counted as firmware and application '?'. */
bool fleetdb_software_find(struct fleetdb *db, const struct fleetdb_software *told,
                           int64_t *ret_software, bool *ret_folded, struct err *err) MUSTER_CHECK;

/* The software of a result that is beyond what its device may tell of (storage/variety.h): it is
 * counted by where, when and how it ended alone. 0033_variety.sql says the same of its row. */
enum { FLEETDB_BEYOND = -1 };
bool fleetdb_variety_look(struct fleetdb *db, int64_t device, int64_t received_ms,
                          struct fleetdb_counted *counted, struct err *err) MUSTER_CHECK;
struct fleetdb_counted fleetdb_variety_fold(const struct fleetdb_counted *counted);

/* Whether one goes on. */
bool fleetdb_erasure_load(struct fleetdb *db, struct err *err) MUSTER_CHECK;
/* All devices leave the merchant, so that every standing with it has its end. */
bool fleetdb_erase_leave(struct fleetdb *db, int64_t merchant, const struct fleetdb_change *change,
                         struct err *err) MUSTER_CHECK;
/* Deleted content is written over with zeros, also in pages that become free. */
bool fleetdb_secure(struct fleetdb *db, bool on, struct err *err) MUSTER_CHECK;

/* Since when what is there is whole. */
bool fleetdb_kept_load(struct fleetdb *db, struct err *err) MUSTER_CHECK;

/* Where to read; NULL: as it is now. */
struct fleetdb_snapshot;
struct sqlite *fleetdb_read_from(struct fleetdb *db, const struct fleetdb_snapshot *snapshot);

/* The tables in memory that statements read: results that have come, ... */
void fleetdb_come_open(struct fleetdb_come *come);
void fleetdb_come_close(struct fleetdb_come *come);
/* Results none of whose ids is held, of one batch. What is not FLEETDB_NEW then has a key that is
 * held: nothing is done with it here. */
bool fleetdb_results_insert(struct fleetdb *db, const struct fleetdb_record *records, size_t count,
                            enum fleetdb_insert *ret_outcomes, struct err *err) MUSTER_CHECK;
/* ... and sums that are to be written. */
void fleetdb_sums_to_add(struct fleetdb *db);
/* Writes what waits. */
bool fleetdb_runs_write(struct fleetdb *db, struct err *err) MUSTER_CHECK;
bool fleetdb_spans_write(struct fleetdb *db, struct err *err) MUSTER_CHECK;
/* Writes what this transaction has summed up so far. */
bool fleetdb_rollups_write(struct fleetdb *db, struct err *err) MUSTER_CHECK;
/* Which row a keyed sum goes to. Inside a transaction, as the numbers are that it gives. */
bool fleetdb_rollup_find_row(struct fleetdb *db, struct rollup_sum *sum,
                             struct err *err) MUSTER_CHECK;
/* Up to `rows` of what nothing was summed up of since: the sums before have to be gone. */
bool fleetdb_rollup_forget_unused(struct fleetdb *db, int64_t before_ms, int64_t rows,
                                  struct err *err) MUSTER_CHECK;

static inline sqlite3_stmt *fleetdb_query(struct fleetdb *db, enum fleetdb_part part,
                                          unsigned query)
{
    return sqlite_query(db->sqlite, db->first_query[part] + query);
}

/* For functions that write more than one row and may be called inside a transaction or outside:
 * outside they begin one and end it, inside they leave it to the caller. */
bool fleetdb_enter(struct fleetdb *db, bool *ret_own, struct err *err) MUSTER_CHECK;
/* Commits an own transaction if `done`, else rolls it back; returns whether all went well. */
bool fleetdb_leave(struct fleetdb *db, bool own, bool done, struct err *err) MUSTER_CHECK;

/* Of stream t and hello h: what the device does not name in its newest complete hello it does not
 * hold. */
#define FLEETDB_NAMED "(h.number IS NULL OR t.listed >= h.number OR t.incarnation = h.incarnation)"

/* Whether standing t is in the part of the fleet of the token :token. */
#define FLEETDB_IN_SCOPE                                                                           \
    "EXISTS (SELECT 1 FROM token_place p WHERE p.token = :token"                                   \
    " AND (p.merchant = t.merchant OR p.region = t.region))"

/* The row of standing that was in force for a device at a moment (storage/fleetdb_standing.h). */
#define FLEETDB_STOOD_AT(whose, at)                                                                \
    "coalesce((SELECT id FROM standing WHERE device = " whose " AND from_ms <= " at                \
    " ORDER BY from_ms DESC, id DESC LIMIT 1),"                                                    \
    " (SELECT id FROM standing WHERE device = " whose " ORDER BY from_ms, id LIMIT 1))"

/* Whether it came out of another part then: a change that says so names where it was. */
#define FLEETDB_CAME_FROM_OUTSIDE(whose, at)                                                       \
    "EXISTS (SELECT 1 FROM standing t WHERE t.device = " whose " AND t.to_ms = " at                \
    " AND NOT " FLEETDB_IN_SCOPE ")"

/* The results r that are still there of the run u. */
#define FLEETDB_ROWS_OF_RUN                                                                        \
    "r.id BETWEEN u.first_row AND u.first_row + u.last_seq - u.first_seq"                          \
    " AND (r.device, r.incarnation, r.seq)"                                                        \
    " = (u.device, u.incarnation, u.first_seq + r.id - u.first_row)"

/* Of device_item, as fleetdb_difference_of reads it from the column `from` on. */
#define FLEETDB_DIFFERENCE                                                                         \
    "difference, owned, wanted_bytes, found_bytes, rows_compared, rows_only_found,"                \
    " rows_only_wanted, first_row"

static inline struct fleetdb_difference fleetdb_difference_of(sqlite3_stmt *row, int from)
{
    return (struct fleetdb_difference){.kind = sqlite3_column_int(row, from),
                                       .owned = sqlite3_column_int(row, from + 1) != 0,
                                       .wanted_bytes = sqlite_column_u64(row, from + 2),
                                       .found_bytes = sqlite_column_u64(row, from + 3),
                                       .rows_compared = sqlite3_column_int(row, from + 4) != 0,
                                       .rows_only_found = sqlite_column_u64(row, from + 5),
                                       .rows_only_wanted = sqlite_column_u64(row, from + 6),
                                       .first_row = sqlite_column_u64(row, from + 7)};
}

#endif
