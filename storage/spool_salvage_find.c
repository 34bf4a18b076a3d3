/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/spool_salvage.h"

#include <stdlib.h>
#include <string.h>

static const int64_t CLOCK_AHEAD_MS = INT64_C(30) * 24 * 3600 * 1000;

/* Columns as the files hold them: a table without rowid has its key first. */
enum { META_DEVICE = 1, META_POWERED = 4 };
enum { STREAM_NUMBER, STREAM_LANE, STREAM_INCARNATION, STREAM_LAST, STREAM_ACKED, STREAM_SUM };
enum { SEGMENT_COUNT = 1, SEGMENT_CODEC, SEGMENT_POWERED, SEGMENT_BODY, SEGMENT_COLUMNS };
enum { LOST_LAST = 1, LOST_REASON, LOST_COLUMNS };
enum { SPENT_INCARNATION = 1 };

typedef bool each_row(void *ctx, struct pages_place place, const struct pages_row *row,
                      struct err *err);

static bool no_memory(const struct salvage *salvage, struct err *err)
{
    return err_set(err, ERR_NO_MEMORY, "no memory to salvage %s", salvage->spool->path);
}

/* Room for one more; `*list` stays as it is when there is none. */
static bool grow(void **list, size_t count, size_t *capacity, size_t size)
{
    if (count < *capacity)
        return true;
    size_t more = *capacity == 0 ? 64 : 2 * *capacity;
    void *grown = realloc(*list, more * size);
    if (grown == NULL)
        return false;
    *list = grown;
    *capacity = more;
    return true;
}

bool salvage_root(const struct salvage *salvage, const char *table, uint32_t *ret_root,
                  struct err *err)
{
    int64_t root = 0;
    if (!sqlite_pragma(salvage->spool->db, &root, err,
                       "SELECT rootpage FROM sqlite_schema WHERE name = %Q", table))
        return false;
    *ret_root = (uint32_t)root;
    return true;
}

static bool rows_of(struct salvage *salvage, const char *table, each_row *each, struct err *err)
{
    uint32_t root = 0;
    return salvage_root(salvage, table, &root, err) &&
           pages_rows(salvage->pages, root, SALVAGE_ROW_BYTES, each, salvage, err);
}

/* ---- whose it is ---- */

static bool take_meta(void *ctx, struct pages_place place, const struct pages_row *row,
                      struct err *err)
{
    struct salvage *salvage = ctx;
    const char *device = salvage->spool->device;
    (void)place;
    (void)err;
    if (row->count <= META_POWERED || row->rowid != 1 || !row->columns[META_DEVICE].is_data)
        return true;
    salvage->told = true;
    salvage->another =
        !bytes_equal(row->columns[META_DEVICE].data, bytes_of(device, strlen(device)));
    salvage->powered_max_ms = row->columns[META_POWERED].integer + CLOCK_AHEAD_MS;
    return true;
}

/* A row that names another device may be a damaged one of ours: the chain is summed. */
static bool find_owner(struct salvage *salvage, struct err *err)
{
    salvage->powered_max_ms = INT64_MAX;
    if (!rows_of(salvage, "meta", take_meta, err))
        return false;
    if (salvage->chain->edition > 0)
        salvage->another = false;
    else if (!salvage->told)
        salvage->another = true;
    return true;
}

/* ---- streams ---- */

struct salvage_stream *salvage_stream_of(const struct salvage *salvage, uint32_t number, int lane)
{
    for (size_t i = 0; i < salvage->stream_count; i++) {
        struct salvage_stream *stream = &salvage->streams[i];
        if (stream->number == number && stream->lane == lane)
            return stream;
    }
    return NULL;
}

static bool add_stream(struct salvage *salvage, const struct salvage_stream *stream,
                       struct err *err)
{
    if (stream->lane < 1 || stream->lane > SPOOL_LANES || stream->number == 0 ||
        stream->number > SPOOL_NUMBER_MAX || salvage->stream_count == SALVAGE_STREAMS ||
        salvage_stream_of(salvage, stream->number, stream->lane) != NULL)
        return true;
    if (!grow((void **)&salvage->streams, salvage->stream_count, &salvage->stream_capacity,
              sizeof *salvage->streams))
        return no_memory(salvage, err);
    salvage->streams[salvage->stream_count++] = *stream;
    return true;
}

static bool chain_knows(const struct spool_chain *chain, uint64_t incarnation, int lane,
                        uint64_t *ret_ceiling)
{
    *ret_ceiling = SPOOL_SEQ_MAX;
    for (size_t i = 0; i < chain->count; i++) {
        if (chain->entries[i].incarnation == incarnation) {
            *ret_ceiling = chain->entries[i].ceiling[lane - 1];
            return true;
        }
    }
    return false;
}

/* Rows of earlier versions have no sum: they must be in the chain. */
static bool take_stream(void *ctx, struct pages_place place, const struct pages_row *row,
                        struct err *err)
{
    struct salvage *salvage = ctx;
    const struct pages_value *in = row->columns;
    (void)place;
    if (row->count <= STREAM_ACKED || !in[STREAM_ACKED].is_data || in[STREAM_NUMBER].integer < 1 ||
        in[STREAM_NUMBER].integer > SPOOL_NUMBER_MAX || in[STREAM_LANE].integer < 1 ||
        in[STREAM_LANE].integer > SPOOL_LANES)
        return true;
    struct salvage_stream stream = {
        .number = (uint32_t)in[STREAM_NUMBER].integer,
        .lane = (int)in[STREAM_LANE].integer,
        .incarnation = (uint64_t)in[STREAM_INCARNATION].integer,
        .last_seq = (uint64_t)in[STREAM_LAST].integer,
    };
    struct bytes acked = in[STREAM_ACKED].data;
    bool summed = row->count > STREAM_SUM && !in[STREAM_SUM].is_null;
    stream.row = summed && in[STREAM_SUM].integer == spool_stream_sum(stream.number, stream.lane,
                                                                      stream.incarnation, acked);
    bool chained = chain_knows(salvage->chain, stream.incarnation, stream.lane, &stream.ceiling);
    if (!stream.row && (summed || !chained))
        return true;
    if (stream.last_seq > stream.ceiling)
        stream.last_seq = chained ? stream.ceiling : 0;
    if (stream.row && !spool_acked_decode(acked, &stream.acked, err))
        return err->code != ERR_NO_MEMORY;
    size_t before = salvage->stream_count;
    bool ok = add_stream(salvage, &stream, err);
    if (salvage->stream_count == before)
        spool_acked_done(&stream.acked);
    return ok;
}

static bool streams_of_chain(struct salvage *salvage, struct err *err)
{
    for (size_t i = 0; i < salvage->chain->count; i++) {
        const struct spool_chain_entry *entry = &salvage->chain->entries[i];
        for (int lane = 1; lane <= SPOOL_LANES; lane++) {
            struct salvage_stream stream = {.incarnation = entry->incarnation,
                                            .number = entry->number,
                                            .lane = lane,
                                            .ceiling = entry->ceiling[lane - 1]};
            if (stream.ceiling > 0 && !add_stream(salvage, &stream, err))
                return false;
        }
    }
    return true;
}

static bool take_spent(void *ctx, struct pages_place place, const struct pages_row *row,
                       struct err *err)
{
    struct salvage *salvage = ctx;
    (void)place;
    if (row->count <= SPENT_INCARNATION || row->rowid <= 0)
        return true;
    struct salvage_stream stream = {
        .incarnation = (uint64_t)row->columns[SPENT_INCARNATION].integer,
        .number = spool_id_number(row->rowid),
        .lane = spool_id_lane(row->rowid),
    };
    /* With a chain to say so: what it does not know of is closed. */
    bool chained = stream.lane >= 1 && stream.lane <= SPOOL_LANES &&
                   chain_knows(salvage->chain, stream.incarnation, stream.lane, &stream.ceiling);
    return !chained || add_stream(salvage, &stream, err);
}

static int by_number(const void *left, const void *right)
{
    const struct salvage_stream *a = left, *b = right;
    if (a->number != b->number)
        return a->number < b->number ? -1 : 1;
    return a->lane - b->lane;
}

static bool find_streams(struct salvage *salvage, struct err *err)
{
    if (!rows_of(salvage, "stream", take_stream, err) || !streams_of_chain(salvage, err) ||
        !rows_of(salvage, "spent", take_spent, err))
        return false;
    if (salvage->stream_count > 0)
        qsort(salvage->streams, salvage->stream_count, sizeof *salvage->streams, by_number);
    return true;
}

/* ---- segments ---- */

static bool take_segment(void *ctx, struct pages_place place, const struct pages_row *row,
                         struct err *err)
{
    struct salvage *salvage = ctx;
    if (row->count < SEGMENT_COLUMNS || row->rowid <= 0)
        return true;
    uint64_t count = (uint64_t)row->columns[SEGMENT_COUNT].integer;
    if (!grow((void **)&salvage->segments, salvage->segment_count, &salvage->segment_capacity,
              sizeof *salvage->segments))
        return no_memory(salvage, err);
    salvage->segments[salvage->segment_count++] = (struct salvage_segment){
        .id = row->rowid,
        .place = place,
        .count = (uint16_t)(count <= SPOOL_PUSH_RECORDS ? count : SPOOL_PUSH_RECORDS),
        .doubtful = !row->columns[SEGMENT_BODY].is_data,
    };
    return true;
}

static bool one_stream(int64_t a, int64_t b)
{
    return spool_id_lane(a) == spool_id_lane(b) && spool_id_number(a) == spool_id_number(b);
}

/* Rows of one page stand in the order of their ids: nobody can tell which of two that do not is
 * the one in the wrong place. */
static void doubt_order(struct salvage *salvage)
{
    for (size_t i = 1; i < salvage->segment_count; i++) {
        struct salvage_segment *a = &salvage->segments[i - 1], *b = &salvage->segments[i];
        if (a->place.page == b->place.page && a->id >= b->id)
            a->doubtful = b->doubtful = true;
    }
}

static bool settled(const struct salvage *salvage, int64_t from, int64_t to)
{
    const struct salvage_stream *stream =
        salvage_stream_of(salvage, spool_id_number(from), spool_id_lane(from));
    uint64_t seq = spool_id_seq(from), end = spool_id_seq(to);
    for (bool moved = true; moved && seq < end;) {
        uint64_t before = seq;
        if (stream != NULL)
            seq = spool_acked_next_out(&stream->acked, seq);
        for (size_t i = 0; i < salvage->lost_count; i++) {
            const struct salvage_lost *lost = &salvage->lost[i];
            if (one_stream(lost->id, from) && spool_id_seq(lost->id) <= seq && lost->last >= seq)
                seq = lost->last + 1;
        }
        moved = seq > before;
    }
    return seq >= end;
}

/* Between neighbours in one page stands nothing that was lost by the damage: where ids are
 * missing they were removed, and that is on record, or the second id is wrong. */
static void doubt_neighbours(struct salvage *salvage)
{
    for (size_t i = 1; i < salvage->segment_count; i++) {
        struct salvage_segment *a = &salvage->segments[i - 1], *b = &salvage->segments[i];
        if (!one_stream(a->id, b->id))
            continue;
        int64_t end = a->id + a->count;
        if (end > b->id)
            a->doubtful = b->doubtful = true;
        else if (end < b->id && b->slot == NULL && a->place.page == b->place.page &&
                 b->place.index == a->place.index + 1 && !settled(salvage, end, b->id))
            b->doubtful = true;
    }
}

/* Of an incarnation that is known, and no seq that was never given. */
static void doubt_ids(struct salvage *salvage)
{
    struct salvage_stream *stream = NULL;
    for (size_t i = 0; i < salvage->segment_count; i++) {
        struct salvage_segment *segment = &salvage->segments[i];
        int64_t id = segment->id;
        if (i == 0 || !one_stream(id, segment[-1].id))
            stream = salvage_stream_of(salvage, spool_id_number(id), spool_id_lane(id));
        if (stream == NULL || segment->count == 0 || spool_id_seq(id) == 0 ||
            spool_id_seq(id) + segment->count - 1 > stream->ceiling)
            segment->doubtful = true;
    }
}

static int by_id(const void *left, const void *right)
{
    const struct salvage_segment *a = left, *b = right;
    return a->id < b->id ? -1 : a->id > b->id;
}

static void sort_segments(struct salvage *salvage)
{
    if (salvage->segment_count > 0)
        qsort(salvage->segments, salvage->segment_count, sizeof *salvage->segments, by_id);
}

static bool add_slot(struct salvage *salvage, const struct spool_slot_entry *slot, struct err *err)
{
    if (!grow((void **)&salvage->segments, salvage->segment_count, &salvage->segment_capacity,
              sizeof *salvage->segments))
        return no_memory(salvage, err);
    salvage->segments[salvage->segment_count++] =
        (struct salvage_segment){.id = slot->id, .slot = slot, .count = (uint16_t)slot->count};
    return true;
}

/* What has become a row since is that row. */
static bool add_slots(struct salvage *salvage, struct err *err)
{
    const size_t rows = salvage->segment_count;
    if (!salvage_find_slots(salvage, err))
        return false;
    for (size_t lane = 0; lane < SPOOL_LANES; lane++) {
        for (size_t i = 0; i < salvage->slots[lane].count; i++) {
            const struct spool_slot_entry *slot = &salvage->slots[lane].entries[i];
            const struct salvage_segment wanted = {.id = slot->id};
            if (rows > 0 && bsearch(&wanted, salvage->segments, rows, sizeof wanted, by_id) != NULL)
                continue;
            if (!add_slot(salvage, slot, err))
                return false;
        }
    }
    return true;
}

static bool find_segments(struct salvage *salvage, struct err *err)
{
    if (!rows_of(salvage, "segment", take_segment, err))
        return false;
    doubt_order(salvage);
    sort_segments(salvage);
    if (!add_slots(salvage, err))
        return false;
    sort_segments(salvage);
    doubt_neighbours(salvage);
    doubt_ids(salvage);
    return true;
}

/* ---- what was given up before ---- */

static bool take_lost(void *ctx, struct pages_place place, const struct pages_row *row,
                      struct err *err)
{
    struct salvage *salvage = ctx;
    (void)place;
    if (row->count < LOST_COLUMNS || row->rowid <= 0)
        return true;
    const struct salvage_stream *stream =
        salvage_stream_of(salvage, spool_id_number(row->rowid), spool_id_lane(row->rowid));
    uint64_t last = (uint64_t)row->columns[LOST_LAST].integer;
    int64_t why = row->columns[LOST_REASON].integer;
    if (stream == NULL || spool_id_seq(row->rowid) == 0 || last < spool_id_seq(row->rowid) ||
        last > stream->ceiling || why <= SPOOL_HELD || why >= SPOOL_LOSSES)
        return true;
    if (!grow((void **)&salvage->lost, salvage->lost_count, &salvage->lost_capacity,
              sizeof *salvage->lost))
        return no_memory(salvage, err);
    salvage->lost[salvage->lost_count++] =
        (struct salvage_lost){.id = row->rowid, .last = last, .why = (enum spool_loss)why};
    return true;
}

static int by_lost_id(const void *left, const void *right)
{
    const struct salvage_lost *a = left, *b = right;
    return a->id < b->id ? -1 : a->id > b->id;
}

/* Ranges that overlap cannot both be right: what is in neither is declared anew. */
static bool find_lost(struct salvage *salvage, struct err *err)
{
    size_t kept = 0;
    if (!rows_of(salvage, "lost", take_lost, err))
        return false;
    if (salvage->lost_count > 0)
        qsort(salvage->lost, salvage->lost_count, sizeof *salvage->lost, by_lost_id);
    for (size_t i = 0; i < salvage->lost_count; i++) {
        const struct salvage_lost *lost = &salvage->lost[i];
        if (kept == 0 || !one_stream(salvage->lost[kept - 1].id, lost->id) ||
            salvage->lost[kept - 1].last < spool_id_seq(lost->id))
            salvage->lost[kept++] = *lost;
    }
    salvage->lost_count = kept;
    return true;
}

bool salvage_find(struct salvage *salvage, struct err *err)
{
    if (!find_owner(salvage, err))
        return false;
    return salvage->another ||
           (find_streams(salvage, err) && find_lost(salvage, err) && find_segments(salvage, err));
}

void salvage_done(struct salvage *salvage)
{
    pages_close(salvage->pages);
    for (size_t i = 0; i < salvage->stream_count; i++)
        spool_acked_done(&salvage->streams[i].acked);
    free(salvage->streams);
    free(salvage->segments);
    free(salvage->lost);
    for (size_t i = 0; i < SPOOL_LANES; i++)
        buf_done(&salvage->slots[i].bodies);
}
