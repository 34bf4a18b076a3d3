/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/spool_state.h"

#include <string.h>

/* Free pages that let a commit go through: its leaves, and what splits above them. */
enum { SLACK_BYTES = 32 * 1024, SLACK_PAGES = 8 };

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

/* Whether the record at `index` has this key; one that is damaged has none that can be trusted. */
static bool has_key(struct spool *spool, const struct segment *segment, uint64_t index,
                    struct bytes key, bool *ret_same, struct err *err)
{
    struct spool_frame frames[SPOOL_PUSH_RECORDS];
    if (!spool_split(spool, segment, frames, err))
        return false;
    *ret_same = bytes_equal(frames[index].key, key);
    return true;
}

/* What the window's hash stands for. */
struct first_answer {
    int64_t id;
    uint64_t incarnation;
    bool same;
};

/* Whether the record is in this segment, and has the key. */
static bool look_in(struct spool *spool, const struct segment *segment, struct bytes key,
                    struct first_answer *answer, struct err *err)
{
    uint64_t index = spool_id_seq(answer->id) - segment->first_seq;
    const struct stream *stream =
        spool_find_number(spool, spool_id_number(answer->id), spool_id_lane(answer->id));
    if (index >= segment->count || stream == NULL)
        return true;
    answer->incarnation = stream->incarnation;
    return has_key(spool, segment, index, key, &answer->same, err);
}

static bool look_in_slots(struct spool *spool, struct bytes key, struct first_answer *answer,
                          bool *ret_there, struct err *err)
{
    int lane = spool_id_lane(answer->id);
    size_t at = spool_slots_count(spool, spool_id_number(answer->id), lane);
    while (at > 0 && spool_slots_entry(spool, lane, at - 1)->id > answer->id)
        at--;
    *ret_there = at > 0;
    if (at == 0)
        return true;
    const struct segment segment = spool_slots_segment(spool, lane, at - 1);
    return look_in(spool, &segment, key, answer, err);
}

static bool look_in_segments(struct spool *spool, struct bytes key, struct first_answer *answer,
                             struct err *err)
{
    int lane = spool_id_lane(answer->id);
    uint32_t number = spool_id_number(answer->id);
    sqlite3_stmt *query = sqlite_query(spool->db, SPOOL_SEGMENT_NEWEST);
    sqlite_bind_int(query, ":from", spool_id(lane, number, 1));
    sqlite_bind_int(query, ":to", answer->id);
    bool row = false;
    if (!sqlite_row(spool->db, query, &row, err))
        return false;
    if (!row)
        return true;
    struct segment segment = spool_segment_row(query);
    bool ok = look_in(spool, &segment, key, answer, err);
    (void)sqlite3_reset(query);
    return ok;
}

/* Whether the record `id` had this key, in the push under way, held, or gone. A damaged one has
 * none that could be trusted: the client's retry is then taken as new. */
static bool look_up(struct push *push, struct bytes key, struct first_answer *answer,
                    struct err *err)
{
    struct spool *spool = push->spool;
    size_t lane = (size_t)spool_id_lane(answer->id) - 1;
    uint64_t index = spool_id_seq(answer->id) + push->added[lane] - push->next_seq[lane];
    if (spool_id_number(answer->id) == spool->number && index < push->added[lane]) {
        const struct segment pending = {.count = push->added[lane],
                                        .body = buf_bytes(&spool->pending[lane])};
        answer->incarnation = spool->incarnation;
        return has_key(spool, &pending, index, key, &answer->same, err);
    }
    bool there = false;
    return look_in_slots(spool, key, answer, &there, err) &&
           (there || look_in_segments(spool, key, answer, err)) &&
           (answer->same ||
            spool_spent_has(spool, answer->id, key, &answer->same, &answer->incarnation, err));
}

static bool find_duplicate(struct push *push, uint64_t hash, struct spool_record *record,
                           struct err *err)
{
    uint32_t cursor = 0;
    struct first_answer answer = {0};
    while (spool_keys_next(&push->spool->keys, hash, &cursor, &answer.id)) {
        if (!look_up(push, record->key, &answer, err))
            return false;
        if (!answer.same)
            continue;
        record->incarnation = answer.incarnation;
        record->seq = spool_id_seq(answer.id);
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

/* A row stands behind all that are rows, so what is in slots comes first. */
static bool write_segment(struct spool *spool, const struct segment *segment, int64_t powered_ms,
                          struct err *err)
{
    int lane = spool_id_lane(segment->id);
    if (spool_slots_take_in(lane, segment->body.length))
        return spool_slots_put(spool, segment, powered_ms, err);
    return spool_slots_empty(spool, lane, err) &&
           spool_segment_write(spool, SPOOL_SEGMENT_INSERT, segment, powered_ms, err);
}

static bool write_lanes(struct push *push, int64_t powered_ms, struct err *err)
{
    struct spool *spool = push->spool;
    for (int lane = 1; lane <= SPOOL_LANES; lane++) {
        uint64_t added = push->added[lane - 1];
        if (added == 0)
            continue;
        if (spool_find_number(spool, spool->number, lane) == NULL &&
            !spool_stream_insert(spool, spool->incarnation, spool->number, lane, err))
            return false;
        uint64_t first = push->next_seq[lane - 1] - added;
        const struct segment segment = {.id = spool_id(lane, spool->number, first),
                                        .first_seq = first,
                                        .count = added,
                                        .body = buf_bytes(&spool->stored[lane - 1]),
                                        .codec = spool->stored_codec[lane - 1]};
        if (!write_segment(spool, &segment, powered_ms, err))
            return false;
    }
    return spool_slots_mark(spool, err);
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
        if (stream_books_next_owed(&stream->now, 1) > stream->last_seq)
            stream->now.unsent_ms = powered_ms;
        stream->last_seq = push->next_seq[lane - 1] - 1;
        stream->now.held += push->added[lane - 1];
        spool->lane_bytes[lane - 1] += (int64_t)spool->stored[lane - 1].length;
    }
    spool_keys_trim(&spool->keys);
}

static bool encode_lanes(struct push *push, struct err *err)
{
    struct spool *spool = push->spool;
    for (int lane = 1; lane <= SPOOL_LANES; lane++) {
        struct bytes body = {0};
        uint64_t added = push->added[lane - 1], first = push->next_seq[lane - 1] - added;
        if (added > 0 && (!spool_codec_encode(spool->codec, spool_id(lane, spool->number, first),
                                              buf_bytes(&spool->pending[lane - 1]), added,
                                              &spool->stored_codec[lane - 1], &body, err) ||
                          !buf_append(&spool->stored[lane - 1], body.data, body.length, err)))
            return false;
    }
    return true;
}

static bool commit(struct push *push, int64_t powered_ms, struct err *err)
{
    struct spool *spool = push->spool;
    if (!spool_in_place(spool, err) || !spool_chain_cover(spool, push->next_seq, err) ||
        !spool_streams_reserve(spool, err) || !spool_limit(spool, err) ||
        !sqlite_begin(spool->db, err))
        return false;
    if (write_lanes(push, powered_ms, err) && sqlite_commit(spool->db, err)) {
        spool_slots_apply(spool);
        return true;
    }
    sqlite_rollback(spool->db);
    spool_slots_drop(spool);
    return false;
}

/* More than is needed, so that not every push has to make room. */
static int64_t with_slack(int64_t bytes, int64_t quota_bytes)
{
    return bytes + (quota_bytes / 16 < SLACK_BYTES ? quota_bytes / 16 : SLACK_BYTES);
}

/* A lane's quota is its own affair. */
static bool keep_lane_quota(struct spool *spool, int lane, struct err *err)
{
    int64_t quota_bytes = spool->lanes[lane - 1].quota_bytes;
    int64_t added = (int64_t)spool->stored[lane - 1].length;
    const int64_t *held = &spool->lane_bytes[lane - 1];
    if (quota_bytes == 0 || added == 0)
        return true;
    bool any = added <= quota_bytes;
    while (any && *held + added > quota_bytes) {
        int64_t over = with_slack(*held + added - quota_bytes, quota_bytes);
        if (!spool_evict(spool, lane, lane, over, &any, err))
            return false;
    }
    return any || err_set(err, ERR_FULL, "spool %s: lane %d is over its quota of %lld bytes",
                          spool->path, lane, (long long)quota_bytes);
}

/* What a push needs room for. */
struct need {
    int64_t stored; /* its own bytes, as they are stored */
    int64_t moving; /* room for what is in slots and becomes rows with it */
    int64_t wanted; /* all in all, with some slack */
    int least;      /* the lane of its records that are worth least */
};

/* On a full disk the file is as small as it is: no more goes than must. What moves is much, and
 * moves seldom: it brings its own slack. */
static int64_t room_for(const struct spool *spool, const struct need *need)
{
    int64_t pages = SLACK_PAGES * spool->page_bytes;
    int64_t moved = 2 * need->stored + need->moving + need->moving / 8 + pages;
    int64_t wanted =
        spool->tight ? 2 * need->stored + pages : with_slack(2 * need->stored, spool->quota_bytes);
    return need->moving > 0 && wanted < moved ? moved : wanted;
}

/* What the limit in force leaves. */
static bool room_left(struct spool *spool, int64_t *ret_bytes, struct err *err)
{
    int64_t free_pages = 0, pages = 0;
    if (!sqlite_pragma(spool->db, &free_pages, err, "PRAGMA freelist_count") ||
        !sqlite_pragma(spool->db, &pages, err, "PRAGMA page_count"))
        return false;
    if (spool->limit_pages > pages)
        free_pages += spool->limit_pages - pages;
    *ret_bytes = free_pages * spool->page_bytes;
    return true;
}

/* Nothing is given up for a push that would not fit into the place of all that is held. */
static bool make_room(struct spool *spool, const struct need *need, int64_t left, bool *ret_room,
                      struct err *err)
{
    int64_t held = 0, bytes = need->wanted;
    for (size_t i = 0; i < SPOOL_LANES; i++)
        held += spool->lane_bytes[i];
    if (need->moving > 0 && bytes - left >= 2 * need->stored)
        bytes -= left;
    *ret_room = false;
    return held < need->stored || spool_evict(spool, 0, need->least, bytes, ret_room, err);
}

static bool measure(const struct push *push, struct need *ret_need, struct err *err)
{
    struct spool *spool = push->spool;
    struct need need = {0};
    for (int lane = 1; lane <= SPOOL_LANES; lane++) {
        if (push->added[lane - 1] == 0)
            continue;
        if (!keep_lane_quota(spool, lane, err))
            return false;
        size_t length = spool->stored[lane - 1].length;
        need.stored += (int64_t)length;
        need.moving += spool_slots_moving(spool, lane, length);
        need.least = lane;
    }
    *ret_need = need;
    return true;
}

/* A record displaces what is worth as much or less: in a mixed push that is what the least worthy
 * of its records may displace. */
static bool commit_with_room(struct push *push, int64_t powered_ms, struct err *err)
{
    struct spool *spool = push->spool;
    struct need need;
    if (!measure(push, &need, err))
        return false;
    bool ballast = true;
    for (;;) {
        struct err why = {0};
        bool room = false, lacks = false;
        int64_t left = 0;
        if (commit(push, powered_ms, &why))
            return true;
        need.wanted = room_for(spool, &need);
        if (why.code == ERR_FULL) {
            if (!room_left(spool, &left, err))
                return false;
            /* Else it is the disk that has no room. */
            lacks = left < need.wanted;
        }
        if (lacks && !make_room(spool, &need, left, &room, err))
            return false;
        if (why.code == ERR_FULL && !lacks && ballast) {
            room = spool_ballast_release(spool);
            ballast = false;
        }
        if (!room)
            return err_set(err, why.code, "%s", why.text);
    }
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
        buf_clear(&spool->stored[lane - 1]);
    }
    int64_t powered_ms = spool_powered_ms(spool);
    bool ok = true;
    for (size_t i = 0; ok && i < count; i++)
        ok = place(&push, &records[i], err);
    bool anything = false;
    for (size_t i = 0; i < SPOOL_LANES; i++)
        anything = anything || push.added[i] > 0;
    if (ok && anything)
        ok = encode_lanes(&push, err) && commit_with_room(&push, powered_ms, err);
    if (ok)
        apply(&push, powered_ms);
    else
        spool_keys_undo(&spool->keys, push.keys_added);
    return ok;
}
