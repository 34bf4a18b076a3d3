/* SPDX-License-Identifier: Apache-2.0 */
/* The slots of the database that is open: what a transaction makes of them holds once it is
 * committed (apply), or never was (drop). */
#include "storage/spool_state.h"

#include <string.h>

size_t spool_slots_count(const struct spool *spool, uint32_t number, int lane)
{
    const struct lane_slots *slots = &spool->slots[lane - 1];
    return number == spool->number && !slots->emptied ? slots->now.count : 0;
}

const struct spool_slot_entry *spool_slots_entry(const struct spool *spool, int lane, size_t index)
{
    return &spool->slots[lane - 1].now.entries[index];
}

struct segment spool_slots_segment(const struct spool *spool, int lane, size_t index)
{
    const struct spool_slots *slots = &spool->slots[lane - 1].now;
    const struct spool_slot_entry *entry = &slots->entries[index];
    return (struct segment){
        .id = entry->id,
        .first_seq = spool_id_seq(entry->id),
        .count = entry->count,
        .body = bytes_of(slots->bodies.data + entry->at, entry->length),
        .codec = entry->codec,
    };
}

static bool fits(const struct spool_slots *slots, int lane, size_t length)
{
    return slots->used + spool_slots_for(length) <= spool_slots_of(lane);
}

bool spool_slots_take_in(int lane, size_t length)
{
    return spool_slots_for(length) <= spool_slots_of(lane) / SPOOL_SLOTS_SHARE;
}

/* What a row takes up: rows of more than half a page have one each. */
static int64_t room_of_row(int64_t page_bytes, int64_t length)
{
    enum { PAGE_HEAD = 8, ROW_HEAD = 30, LINK = 4 };
    int64_t rows = (page_bytes - PAGE_HEAD) / (length + ROW_HEAD);
    return rows > 0 ? page_bytes / rows : (length / (page_bytes - LINK) + 2) * page_bytes;
}

int64_t spool_slots_moving(const struct spool *spool, int lane, size_t length)
{
    const struct spool_slots *slots = &spool->slots[lane - 1].now;
    int64_t bytes = 0;
    if (spool_slots_take_in(lane, length) && fits(slots, lane, length))
        return 0;
    for (size_t i = 0; i < slots->count; i++)
        bytes += room_of_row(spool->page_bytes, (int64_t)slots->entries[i].length);
    return bytes;
}

/* ---- in a transaction ---- */

void spool_segment_bind(sqlite3_stmt *query, const struct segment *segment, int64_t powered_ms)
{
    sqlite_bind_int(query, ":id", segment->id);
    sqlite_bind_u64(query, ":count", segment->count);
    sqlite_bind_int(query, ":codec", segment->codec);
    sqlite_bind_int(query, ":powered", powered_ms);
    sqlite_bind_bytes(query, ":body", segment->body);
}

bool spool_segment_write(struct spool *spool, enum spool_query insert,
                         const struct segment *segment, int64_t powered_ms, struct err *err)
{
    sqlite3_stmt *query = sqlite_query(spool->db, insert);
    spool_segment_bind(query, segment, powered_ms);
    return sqlite_run(spool->db, query, err);
}

static bool become_rows(struct spool *spool, int lane, enum spool_query insert, struct err *err)
{
    struct lane_slots *slots = &spool->slots[lane - 1];
    for (size_t i = 0; !slots->emptied && i < slots->now.count; i++) {
        const struct segment segment = spool_slots_segment(spool, lane, i);
        if (!spool_segment_write(spool, insert, &segment, slots->now.entries[i].powered_ms, err))
            return false;
    }
    spool_slots_gone(spool, lane);
    return true;
}

bool spool_slots_empty(struct spool *spool, int lane, struct err *err)
{
    return become_rows(spool, lane, SPOOL_SEGMENT_INSERT, err);
}

void spool_slots_gone(struct spool *spool, int lane)
{
    struct lane_slots *slots = &spool->slots[lane - 1];
    slots->emptied = slots->emptied || slots->now.count > 0;
}

static bool write_slot(struct spool *spool, int lane, unsigned index, const struct spool_slot *slot,
                       struct err *err)
{
    uint8_t body[SPOOL_SLOT_BYTES];
    int64_t number = spool_slot_number(lane, index);
    spool_slot_encode(number, slot, body);
    sqlite3_stmt *query = sqlite_query(spool->db, SPOOL_SLOT_WRITE);
    sqlite_bind_int(query, ":slot", number);
    sqlite_bind_bytes(query, ":body", bytes_of(body, sizeof body));
    return sqlite_run(spool->db, query, err);
}

static bool write_parts(struct spool *spool, const struct segment *segment, unsigned first,
                        struct spool_slot slot, struct err *err)
{
    int lane = spool_id_lane(segment->id);
    struct bytes rest = segment->body;
    for (unsigned part = 0; part < spool_slots_for(segment->body.length); part++) {
        size_t length = rest.length < SPOOL_SLOT_ROOM ? rest.length : SPOOL_SLOT_ROOM;
        slot.part = (uint8_t)part;
        slot.bytes = bytes_of(rest.data, length);
        if (!write_slot(spool, lane, first + part, &slot, err))
            return false;
        rest = bytes_of(rest.data + length, rest.length - length);
    }
    return true;
}

bool spool_slots_put(struct spool *spool, const struct segment *segment, int64_t powered_ms,
                     struct err *err)
{
    int lane = spool_id_lane(segment->id);
    struct lane_slots *slots = &spool->slots[lane - 1];
    size_t length = segment->body.length;
    if (!fits(&slots->now, lane, length) && !spool_slots_empty(spool, lane, err))
        return false;
    /* Room for it in memory too, so that nothing can fail after the commit. */
    uint8_t *copy = buf_reserve(&slots->now.bodies, length, err);
    if (copy == NULL)
        return false;
    memcpy(copy, segment->body.data, length);
    slots->added = (struct spool_slot_entry){.id = segment->id,
                                             .powered_ms = powered_ms,
                                             .count = segment->count,
                                             .codec = (int)segment->codec,
                                             .length = length};
    const struct spool_slot slot = {.round = slots->now.round + slots->emptied,
                                    .id = segment->id,
                                    .powered_ms = powered_ms,
                                    .count = (uint16_t)segment->count,
                                    .length = (uint16_t)length,
                                    .codec = (uint8_t)segment->codec};
    return write_parts(spool, segment, slots->emptied ? 0 : slots->now.used, slot, err);
}

bool spool_slots_mark(struct spool *spool, struct err *err)
{
    for (int lane = 1; lane <= SPOOL_LANES; lane++) {
        const struct lane_slots *slots = &spool->slots[lane - 1];
        const struct spool_slot empty = {.round = slots->now.round + 1};
        if (slots->emptied && slots->added.length == 0 && !write_slot(spool, lane, 0, &empty, err))
            return false;
    }
    return true;
}

static void apply(struct lane_slots *slots)
{
    struct spool_slots *now = &slots->now;
    size_t length = slots->added.length, before = now->bodies.length;
    if (slots->emptied) {
        spool_slots_clear(now);
        now->round++;
        if (length > 0)
            memmove(now->bodies.data, now->bodies.data + before, length);
    }
    if (length > 0) {
        slots->added.at = now->bodies.length;
        now->bodies.length += length;
        now->used += spool_slots_for(length);
        now->entries[now->count++] = slots->added;
    }
}

void spool_slots_apply(struct spool *spool)
{
    for (int lane = 1; lane <= SPOOL_LANES; lane++)
        apply(&spool->slots[lane - 1]);
    spool_slots_drop(spool);
}

void spool_slots_drop(struct spool *spool)
{
    for (int lane = 1; lane <= SPOOL_LANES; lane++) {
        spool->slots[lane - 1].emptied = false;
        spool->slots[lane - 1].added = (struct spool_slot_entry){0};
    }
}

/* ---- opening and closing ---- */

void spool_slots_done(struct spool *spool)
{
    spool_slots_drop(spool);
    for (int lane = 1; lane <= SPOOL_LANES; lane++) {
        buf_done(&spool->slots[lane - 1].now.bodies);
        spool->slots[lane - 1].now = (struct spool_slots){0};
    }
}

/* Slots follow each other without a gap; those of this round stand in front, and what is behind
 * them is older. */
static bool take_row(struct spool_slots *slots, int64_t number, unsigned index,
                     const struct bytes body, struct err *err)
{
    struct spool_slot slot;
    if (!spool_slot_decode(number, body, &slot))
        return false;
    if (index == 0)
        slots->round = slot.round;
    if (slot.round != slots->round || slots->used < index)
        return slot.round < slots->round;
    return (index == 0 && slot.count == 0) || spool_slots_take(slots, &slot, err);
}

static bool load_lane(struct spool *spool, int lane, struct err *err)
{
    struct spool_slots *slots = &spool->slots[lane - 1].now;
    sqlite3_stmt *query = sqlite_query(spool->db, SPOOL_SLOT_LIST);
    sqlite_bind_int(query, ":from", spool_slot_number(lane, 0));
    sqlite_bind_int(query, ":to", spool_slot_number(lane, spool_slots_of(lane) - 1));
    bool row = false;
    struct err why = {0};
    for (unsigned index = 0; sqlite_row(spool->db, query, &row, err); index++) {
        int64_t number = spool_slot_number(lane, index);
        if (!row && slots->parts == 0)
            return true;
        if (row && sqlite3_column_int64(query, 0) == number &&
            take_row(slots, number, index, sqlite_column_bytes(query, 1), &why))
            continue;
        if (why.code == ERR_NO_MEMORY) {
            (void)err_set(err, why.code, "spool %s: %s", spool->path, why.text);
        } else {
            spool->damaged = true;
            (void)err_set(err, ERR_IO, "spool %s: a slot is damaged", spool->path);
        }
        break;
    }
    (void)sqlite3_reset(query);
    return false;
}

/* What is a row already stays as it is. */
static bool write_rows(struct spool *spool, struct err *err)
{
    for (int lane = 1; lane <= SPOOL_LANES; lane++) {
        if (!become_rows(spool, lane, SPOOL_SALVAGE_SEGMENT, err))
            return false;
    }
    return spool_slots_mark(spool, err);
}

static bool any(const struct spool *spool)
{
    for (int lane = 1; lane <= SPOOL_LANES; lane++) {
        if (spool->slots[lane - 1].now.count > 0)
            return true;
    }
    return false;
}

bool spool_slots_settle(struct spool *spool, struct err *err)
{
    if (!any(spool))
        return true;
    if (!sqlite_begin(spool->db, err))
        return false;
    if (write_rows(spool, err) && sqlite_commit(spool->db, err)) {
        spool_slots_apply(spool);
        return true;
    }
    sqlite_rollback(spool->db);
    spool_slots_drop(spool);
    return false;
}

bool spool_slots_open(struct spool *spool, struct err *err)
{
    for (int lane = 1; lane <= SPOOL_LANES; lane++) {
        if (!load_lane(spool, lane, err))
            return false;
    }
    return spool_slots_settle(spool, err);
}
