/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/spool_state.h"

#include <string.h>

/* One call of spool_push: what it would add to each lane. */
struct push {
    struct spool *spool;
    uint64_t next_seq[SPOOL_LANES];
    uint64_t added[SPOOL_LANES];
    size_t keys_added;
};

static bool check(const struct spool_record *records, size_t count, struct err *err)
{
    size_t total = 0;
    if (count > SPOOL_PUSH_RECORDS)
        return err_set(err, ERR_INVALID, "%zu records in one commit, at most %d", count,
                       SPOOL_PUSH_RECORDS);
    for (size_t i = 0; i < count; i++) {
        const struct spool_record *record = &records[i];
        if (record->lane < 1 || record->lane > SPOOL_LANES)
            return err_set(err, ERR_INVALID, "lane %d does not exist", record->lane);
        if (record->body.length == 0 || record->key.length > SPOOL_KEY_BYTES)
            return err_set(err, ERR_INVALID, "a record needs a body, and a key of at most %d bytes",
                           SPOOL_KEY_BYTES);
        if (record->body.length > SPOOL_PUSH_BYTES ||
            (total += record->body.length) > SPOOL_PUSH_BYTES)
            return err_set(err, ERR_INVALID, "more than %d bytes in one commit", SPOOL_PUSH_BYTES);
    }
    return true;
}

static bool frame_at(struct bytes body, uint64_t index, struct spool_frame *ret_frame,
                     struct err *err)
{
    struct spool_frame frame = {0};
    do {
        if (body.length == 0)
            return err_set(err, ERR_IO, "it has fewer records than it says");
        if (!spool_segment_next(&body, &frame, err))
            return false;
    } while (index-- > 0);
    *ret_frame = frame;
    return true;
}

/* Whether the record `id` is held and has this key. A damaged one has none that could be trusted:
 * the client's retry is then taken as new. */
static bool held_key_is(struct push *push, int64_t id, struct bytes key, bool *ret_same,
                        struct err *err)
{
    struct spool *spool = push->spool;
    size_t lane = (size_t)spool_id_lane(id) - 1;
    uint64_t seq = spool_id_seq(id);
    struct spool_frame frame = {0};
    *ret_same = false;
    if (spool_id_number(id) == spool->number && seq + push->added[lane] >= push->next_seq[lane]) {
        uint64_t index = seq + push->added[lane] - push->next_seq[lane];
        if (frame_at(buf_bytes(&spool->pending[lane]), index, &frame, NULL))
            *ret_same = bytes_equal(frame.key, key);
        return true;
    }
    sqlite3_stmt *query = sqlite_query(spool->db, SPOOL_SEGMENT_NEWEST);
    sqlite_bind_int(query, ":from", spool_id((int)lane + 1, spool_id_number(id), 1));
    sqlite_bind_int(query, ":to", id);
    bool row = false;
    if (!sqlite_row(spool->db, query, &row, err))
        return false;
    if (row) {
        struct segment segment = spool_segment_row(query);
        if (seq - segment.first_seq < segment.count &&
            frame_at(segment.body, seq - segment.first_seq, &frame, NULL))
            *ret_same = bytes_equal(frame.key, key);
    }
    (void)sqlite3_reset(query);
    return true;
}

static bool find_duplicate(struct push *push, uint64_t hash, struct spool_record *record,
                           struct err *err)
{
    struct spool *spool = push->spool;
    uint32_t cursor = 0;
    int64_t id = 0;
    while (spool_keys_next(&spool->keys, hash, &cursor, &id)) {
        bool same = false;
        if (!held_key_is(push, id, record->key, &same, err))
            return false;
        if (!same)
            continue;
        const struct stream *stream =
            spool_find_number(spool, spool_id_number(id), spool_id_lane(id));
        record->incarnation = stream != NULL ? stream->incarnation : spool->incarnation;
        record->seq = spool_id_seq(id);
        record->duplicate = true;
        return true;
    }
    return true;
}

static bool place(struct push *push, struct spool_record *record, struct err *err)
{
    struct spool *spool = push->spool;
    size_t lane = (size_t)record->lane - 1;
    record->duplicate = false;
    uint64_t hash = 0;
    if (record->key.length > 0) {
        hash = spool_keys_hash(&spool->keys, record->key);
        if (!find_duplicate(push, hash, record, err))
            return false;
        if (record->duplicate)
            return true;
    }
    if (!spool_segment_put(&spool->pending[lane], record->key, record->body, err))
        return false;
    record->incarnation = spool->incarnation;
    record->seq = push->next_seq[lane]++;
    push->added[lane]++;
    if (record->key.length > 0) {
        spool_keys_add(&spool->keys, hash, spool_id(record->lane, spool->number, record->seq));
        push->keys_added++;
    }
    return true;
}

static bool insert_stream(struct spool *spool, int lane, struct err *err)
{
    sqlite3_stmt *query = sqlite_query(spool->db, SPOOL_STREAM_INSERT);
    sqlite_bind_int(query, ":number", spool->number);
    sqlite_bind_int(query, ":lane", lane);
    sqlite_bind_u64(query, ":incarnation", spool->incarnation);
    return sqlite_run(spool->db, query, err);
}

static bool write_lanes(struct push *push, int64_t powered_ms, struct err *err)
{
    struct spool *spool = push->spool;
    for (int lane = 1; lane <= SPOOL_LANES; lane++) {
        uint64_t added = push->added[lane - 1];
        if (added == 0)
            continue;
        if (spool_find_number(spool, spool->number, lane) == NULL &&
            !insert_stream(spool, lane, err))
            return false;
        uint64_t first = push->next_seq[lane - 1] - added;
        sqlite3_stmt *query = sqlite_query(spool->db, SPOOL_SEGMENT_INSERT);
        sqlite_bind_int(query, ":id", spool_id(lane, spool->number, first));
        sqlite_bind_u64(query, ":count", added);
        sqlite_bind_int(query, ":powered", powered_ms);
        sqlite_bind_bytes(query, ":body", buf_bytes(&spool->pending[lane - 1]));
        if (!sqlite_run(spool->db, query, err))
            return false;
    }
    return true;
}

static void apply(struct push *push, int64_t powered_ms)
{
    struct spool *spool = push->spool;
    for (int lane = 1; lane <= SPOOL_LANES; lane++) {
        if (push->added[lane - 1] == 0)
            continue;
        struct stream *stream = spool_find_number(spool, spool->number, lane);
        if (stream == NULL) {
            spool_streams_add(spool, (struct stream){.incarnation = spool->incarnation,
                                                     .number = spool->number,
                                                     .lane = lane});
            stream = spool_find_number(spool, spool->number, lane);
        }
        if (stream_drained(stream))
            stream->unsent_ms = powered_ms;
        stream->last_seq = push->next_seq[lane - 1] - 1;
    }
    spool_keys_trim(&spool->keys);
}

static bool commit(struct push *push, int64_t powered_ms, struct err *err)
{
    struct spool *spool = push->spool;
    if (!spool_streams_reserve(spool, err) || !sqlite_begin(spool->db, err))
        return false;
    if (write_lanes(push, powered_ms, err))
        return sqlite_commit(spool->db, err);
    sqlite_rollback(spool->db);
    return false;
}

bool spool_push(struct spool *spool, struct spool_record *records, size_t count, struct err *err)
{
    if (!check(records, count, err))
        return false;
    struct push push = {.spool = spool};
    for (int lane = 1; lane <= SPOOL_LANES; lane++) {
        const struct stream *stream = spool_find_number(spool, spool->number, lane);
        push.next_seq[lane - 1] = (stream != NULL ? stream->last_seq : 0) + 1;
        buf_clear(&spool->pending[lane - 1]);
    }
    int64_t powered_ms = spool_powered_ms(spool);
    bool ok = true;
    for (size_t i = 0; ok && i < count; i++)
        ok = place(&push, &records[i], err);
    bool anything = false;
    for (size_t i = 0; i < SPOOL_LANES; i++)
        anything = anything || push.added[i] > 0;
    if (ok && anything)
        ok = commit(&push, powered_ms, err);
    if (ok)
        apply(&push, powered_ms);
    else
        spool_keys_undo(&spool->keys, push.keys_added);
    return ok;
}

/* Frames come oldest first, the window takes newest first. */
static bool load_segment(struct spool *spool, const struct segment *segment)
{
    struct spool_frame frames[SPOOL_PUSH_RECORDS];
    struct bytes rest = segment->body;
    size_t count = 0;
    while (rest.length > 0 && count < SPOOL_PUSH_RECORDS &&
           spool_segment_next(&rest, &frames[count], NULL))
        count++;
    for (size_t i = count; i > 0; i--) {
        if (frames[i - 1].key.length > 0 &&
            !spool_keys_add_older(&spool->keys, spool_keys_hash(&spool->keys, frames[i - 1].key),
                                  segment->id + (int64_t)i - 1))
            return false;
    }
    return true;
}

bool spool_keys_load(struct spool *spool, struct err *err)
{
    for (int lane = 1; lane <= SPOOL_LANES; lane++) {
        sqlite3_stmt *query = sqlite_query(spool->db, SPOOL_SEGMENT_NEWEST);
        sqlite_bind_int(query, ":from", spool_id(lane, 0, 0));
        sqlite_bind_int(query, ":to", spool_id(lane, SPOOL_NUMBER_MAX, SPOOL_SEQ_MAX));
        uint64_t seen = 0;
        bool row = true;
        while (row && seen < spool->keys.window) {
            if (!sqlite_row(spool->db, query, &row, err))
                return false;
            if (!row)
                break;
            struct segment segment = spool_segment_row(query);
            seen += segment.count;
            if (!load_segment(spool, &segment))
                break;
        }
        (void)sqlite3_reset(query);
    }
    return true;
}
