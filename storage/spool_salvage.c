/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/spool_salvage.h"

#include "base/file.h"

#include <inttypes.h>
#include <stdio.h>

enum { BATCH_ROWS = 256, BATCH_BYTES = 256 * 1024 };

enum { SEGMENT_COUNT = 1, SEGMENT_CODEC, SEGMENT_POWERED, SEGMENT_BODY };
enum { NOTE_NAME, NOTE_VALUE, NOTE_COLUMNS };
enum { SPENT_INCARNATION = 1, SPENT_KEYS, SPENT_COLUMNS };

/* Rows of one transaction after the other: a WAL that held all of them would be as large as the
 * database. */
struct batch {
    struct salvage *salvage;
    size_t rows, bytes;
    uint64_t records; /* not committed yet */
};

static bool batch_end(struct batch *batch, struct err *err)
{
    if (batch->rows == 0)
        return true;
    bool ok = sqlite_commit(batch->salvage->spool->db, err);
    if (ok)
        batch->salvage->records += batch->records;
    batch->rows = batch->bytes = 0;
    batch->records = 0;
    return ok;
}

static bool batch_row(struct batch *batch, sqlite3_stmt *query, size_t bytes, struct err *err)
{
    batch->rows++;
    batch->bytes += bytes;
    if (!sqlite_run(batch->salvage->spool->db, query, err)) {
        sqlite_rollback(batch->salvage->spool->db);
        batch->rows = 0;
        return false;
    }
    return (batch->rows < BATCH_ROWS && batch->bytes < BATCH_BYTES) || batch_end(batch, err);
}

static bool batch_begin(struct batch *batch, struct err *err)
{
    return batch->rows > 0 || sqlite_begin(batch->salvage->spool->db, err);
}

/* ---- what is put in ---- */

static bool sound_records(struct spool *spool, const struct segment *segment, uint64_t *ret_sound,
                          struct err *err)
{
    struct spool_frame frames[SPOOL_PUSH_RECORDS];
    *ret_sound = 0;
    if (!spool_split(spool, segment, frames, err))
        return false;
    for (uint64_t i = 0; i < segment->count; i++)
        *ret_sound += frames[i].record.length > 0 ? 1 : 0;
    return true;
}

/* As it stood in a row or in slots; valid until the next. */
static bool stood(const struct salvage *salvage, const struct salvage_segment *place,
                  struct segment *ret_segment, int64_t *ret_powered_ms)
{
    struct pages_row row;
    *ret_segment = (struct segment){.id = place->id, .count = place->count};
    if (place->slot != NULL) {
        const struct spool_slots *slots = &salvage->slots[spool_id_lane(place->id) - 1];
        ret_segment->codec = place->slot->codec;
        ret_segment->body = bytes_of(slots->bodies.data + place->slot->at, place->slot->length);
        *ret_powered_ms = place->slot->powered_ms;
        return true;
    }
    if (!pages_row(salvage->pages, place->place, SALVAGE_ROW_BYTES, &row))
        return false;
    ret_segment->codec = row.columns[SEGMENT_CODEC].integer;
    ret_segment->body = row.columns[SEGMENT_BODY].data;
    *ret_powered_ms = row.columns[SEGMENT_POWERED].integer;
    return true;
}

static bool put_segment(struct batch *batch, struct salvage_segment *place, struct err *err)
{
    struct salvage *salvage = batch->salvage;
    struct segment segment;
    int64_t powered_ms = 0;
    uint64_t sound = 0;
    if (place->doubtful || !stood(salvage, place, &segment, &powered_ms))
        return true;
    if (!sound_records(salvage->spool, &segment, &sound, err))
        return false;
    if (sound == 0)
        return true;
    if (!batch_begin(batch, err))
        return false;
    sqlite3_stmt *query = sqlite_query(salvage->spool->db, SPOOL_SALVAGE_SEGMENT);
    spool_segment_bind(query, &segment,
                       powered_ms < salvage->powered_max_ms ? powered_ms : salvage->powered_max_ms);
    batch->records += sound;
    return batch_row(batch, query, segment.body.length, err);
}

/* What is worth most first: the disk may not have room for all of it. */
static bool put_segments(struct batch *batch, struct err *err)
{
    struct salvage *salvage = batch->salvage;
    for (int lane = 1; lane <= SPOOL_LANES; lane++) {
        for (size_t i = 0; i < salvage->segment_count; i++) {
            struct salvage_segment *segment = &salvage->segments[i];
            if (spool_id_lane(segment->id) == lane && !put_segment(batch, segment, err))
                return false;
        }
    }
    return true;
}

static bool put_stream(struct batch *batch, const struct salvage_stream *stream, struct err *err)
{
    struct spool *spool = batch->salvage->spool;
    struct buf acked = {0};
    if (!batch_begin(batch, err) || !spool_acked_encode(&stream->acked, &acked, err))
        return false;
    sqlite3_stmt *query = sqlite_query(spool->db, SPOOL_SALVAGE_STREAM);
    sqlite_bind_int(query, ":number", stream->number);
    sqlite_bind_int(query, ":lane", stream->lane);
    sqlite_bind_u64(query, ":incarnation", stream->incarnation);
    sqlite_bind_u64(query, ":last_seq", stream->last_seq);
    sqlite_bind_bytes(query, ":acked", buf_bytes(&acked));
    sqlite_bind_int(
        query, ":sum",
        spool_stream_sum(stream->number, stream->lane, stream->incarnation, buf_bytes(&acked)));
    bool ok = batch_row(batch, query, acked.length, err);
    buf_done(&acked);
    return ok;
}

static void count_held(struct salvage *salvage)
{
    for (size_t i = 0; i < salvage->segment_count; i++) {
        const struct salvage_segment *segment = &salvage->segments[i];
        struct salvage_stream *stream =
            salvage_stream_of(salvage, spool_id_number(segment->id), spool_id_lane(segment->id));
        if (segment->doubtful || stream == NULL)
            continue;
        uint64_t last = spool_id_seq(segment->id) + segment->count - 1;
        stream->held = true;
        stream->last_seq = stream->last_seq > last ? stream->last_seq : last;
    }
}

/* A stream that only the chain knows of is its to declare. */
static bool put_streams(struct batch *batch, struct err *err)
{
    struct salvage *salvage = batch->salvage;
    count_held(salvage);
    for (size_t i = 0; i < salvage->stream_count; i++) {
        const struct salvage_stream *stream = &salvage->streams[i];
        if ((stream->held || stream->row) && !put_stream(batch, stream, err))
            return false;
    }
    return true;
}

static bool put_lost(struct batch *batch, struct err *err)
{
    struct salvage *salvage = batch->salvage;
    for (size_t i = 0; i < salvage->lost_count; i++) {
        const struct salvage_lost *lost = &salvage->lost[i];
        const struct salvage_stream *stream =
            salvage_stream_of(salvage, spool_id_number(lost->id), spool_id_lane(lost->id));
        if ((!stream->held && !stream->row) || lost->last > stream->last_seq)
            continue;
        if (!batch_begin(batch, err))
            return false;
        sqlite3_stmt *query = sqlite_query(salvage->spool->db, SPOOL_SALVAGE_LOST);
        sqlite_bind_int(query, ":id", lost->id);
        sqlite_bind_u64(query, ":last", lost->last);
        sqlite_bind_int(query, ":reason", lost->why);
        if (!batch_row(batch, query, 0, err))
            return false;
    }
    return true;
}

static bool put_note(void *ctx, struct pages_place place, const struct pages_row *row,
                     struct err *err)
{
    struct batch *batch = ctx;
    (void)place;
    if (row->count != NOTE_COLUMNS || !row->columns[NOTE_NAME].is_data ||
        !row->columns[NOTE_VALUE].is_data || row->columns[NOTE_NAME].data.length == 0)
        return true;
    if (!batch_begin(batch, err))
        return false;
    sqlite3_stmt *query = sqlite_query(batch->salvage->spool->db, SPOOL_SALVAGE_NOTE);
    sqlite_bind_bytes(query, ":name", row->columns[NOTE_NAME].data);
    sqlite_bind_bytes(query, ":value", row->columns[NOTE_VALUE].data);
    return batch_row(batch, query, row->columns[NOTE_VALUE].data.length, err);
}

static bool put_spent(void *ctx, struct pages_place place, const struct pages_row *row,
                      struct err *err)
{
    struct batch *batch = ctx;
    (void)place;
    if (row->count != SPENT_COLUMNS || !row->columns[SPENT_KEYS].is_data || row->rowid <= 0)
        return true;
    if (!batch_begin(batch, err))
        return false;
    sqlite3_stmt *query = sqlite_query(batch->salvage->spool->db, SPOOL_SALVAGE_SPENT);
    sqlite_bind_int(query, ":id", row->rowid);
    sqlite_bind_int(query, ":incarnation", row->columns[SPENT_INCARNATION].integer);
    sqlite_bind_bytes(query, ":keys", row->columns[SPENT_KEYS].data);
    return batch_row(batch, query, row->columns[SPENT_KEYS].data.length, err);
}

static bool put_rows(struct batch *batch, const char *table, size_t max_bytes,
                     bool (*put)(void *, struct pages_place, const struct pages_row *,
                                 struct err *),
                     struct err *err)
{
    uint32_t root = 0;
    return salvage_root(batch->salvage, table, &root, err) &&
           pages_rows(batch->salvage->pages, root, max_bytes, put, batch, err);
}

static bool put_all(struct salvage *salvage, struct err *err)
{
    struct batch batch = {.salvage = salvage};
    bool ok = put_streams(&batch, err) && put_lost(&batch, err) &&
              put_rows(&batch, "note", SALVAGE_ROW_BYTES, put_note, err) &&
              put_segments(&batch, err) &&
              put_rows(&batch, "spent", 2 * SPOOL_SPENT_BYTES + SPOOL_PUSH_RECORDS * 34, put_spent,
                       err) &&
              batch_end(&batch, err);
    sqlite_rollback(salvage->spool->db);
    return ok;
}

/* ---- the whole of it ---- */

/* Without room for all: what found none is missing, and is declared like what was damaged. */
static bool put_what_fits(struct salvage *salvage, struct err *err)
{
    struct err why = {0};
    if (put_all(salvage, &why))
        return true;
    if (why.code == ERR_FULL && spool_ballast_release(salvage->spool)) {
        why = (struct err){0};
        if (put_all(salvage, &why))
            return true;
    }
    if (why.code != ERR_FULL)
        return err_set(err, why.code, "%s", why.text);
    spool_remark(salvage->spool, "there was no room to salvage all of it");
    return true;
}

static bool salvage_from(struct salvage *salvage, const char *source, struct err *err)
{
    struct spool *spool = salvage->spool;
    struct err why = {0};
    if (!pages_open(source, (uint32_t)spool->page_bytes, &salvage->pages, &why)) {
        if (why.code == ERR_NO_MEMORY)
            return err_set(err, why.code, "%s", why.text);
        spool_remark(spool, "nothing could be salvaged: %s", why.text);
        return true;
    }
    if (!salvage_find(salvage, err))
        return false;
    if (salvage->another) {
        spool_remark(spool, "nothing was salvaged: whose records they are cannot be told");
        return true;
    }
    return put_what_fits(salvage, err);
}

bool spool_salvage(struct spool *spool, const struct spool_chain *chain, const char *source,
                   struct err *err)
{
    struct salvage salvage = {.spool = spool, .chain = chain};
    bool ok = salvage_from(&salvage, source, err);
    if (ok)
        spool->salvaged.records = salvage.records;
    salvage_done(&salvage);
    return ok || err_context(err, "salvage %s", source);
}

/* ---- what is missing, once it has been read in again ---- */

struct missing {
    struct stream *stream;
    uint64_t at; /* the lowest seq not looked at yet */
    bool first;  /* no segment came before it */
};

/* Before the first segment that is held, without a receipt that could be believed, nobody knows
 * whether the fleet has them; the fleet itself does, and what it holds outweighs this. */
static bool miss(struct spool *spool, struct missing *missing, uint64_t end, struct err *err)
{
    struct stream_books *next = &missing->stream->next;
    bool unknown = missing->first && next->acked.count == 0;
    missing->first = false;
    for (uint64_t seq = missing->at; seq < end;) {
        uint64_t from = stream_books_next_owed(next, seq);
        uint64_t to = stream_books_next_done(next, from);
        to = to < end ? to : end;
        if (from >= end)
            break;
        if (!spool_lost_add(&next->lost, &next->acked, from, to - 1,
                            unknown ? SPOOL_LOST_UNKNOWN : SPOOL_LOST_DAMAGED, err))
            return false;
        *(unknown ? &spool->salvaged.unknown : &spool->salvaged.lost) += to - from;
        seq = to;
    }
    return true;
}

static bool declare_stream(struct spool *spool, struct stream *stream, struct err *err)
{
    struct missing missing = {stream, 1, true};
    if (!spool_edit(spool, stream, err))
        return false;
    sqlite3_stmt *query = sqlite_query(spool->db, SPOOL_SEGMENT_SPANS);
    sqlite_bind_int(query, ":low", spool_id(stream->lane, stream->number, 1));
    sqlite_bind_int(query, ":from", spool_id(stream->lane, stream->number, 1));
    sqlite_bind_int(query, ":to", spool_id(stream->lane, stream->number, stream->last_seq));
    bool row = false;
    while (sqlite_row(spool->db, query, &row, err)) {
        if (!row)
            return miss(spool, &missing, stream->last_seq + 1, err);
        uint64_t first = spool_id_seq(sqlite3_column_int64(query, 0));
        if (!miss(spool, &missing, first, err))
            break;
        missing.at = first + sqlite_column_u64(query, 1);
    }
    (void)sqlite3_reset(query);
    return false;
}

static bool declare(struct spool *spool, void *ctx, struct err *err)
{
    (void)ctx;
    spool->salvaged.lost = spool->salvaged.unknown = 0;
    for (size_t i = 0; i < spool->stream_count; i++) {
        if (!declare_stream(spool, &spool->streams[i], err))
            return false;
    }
    return true;
}

bool spool_salvage_declare(struct spool *spool, struct err *err)
{
    if (!spool_reserved(spool, declare, NULL, err))
        return false;
    spool_remark(spool, "%" PRIu64 " records in it were sound and are kept, %" PRIu64 " are lost%s",
                 spool->salvaged.records, spool->salvaged.lost,
                 spool->salvaged.unknown > 0 ? ", of others only the fleet can know" : "");
    return true;
}
