/* SPDX-License-Identifier: Apache-2.0 */
/* In place of storage/spool*.c: the same promises but that nothing outlives the process. A seq is
 * kept as long as the spool is open, its body until it is receipted and past its grace. */
#include "storage/spool.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { NOTES = 16, NOTE_CHARS = 32, KEY_BYTES = 32 };

struct place {
    uint8_t *body; /* NULL: given up, or forgotten */
    uint32_t length;
    bool receipted;
    enum spool_loss lost;
    int64_t at_ms; /* boot time: given; once it is receipted: receipted */
};

struct lane {
    struct place *places; /* [seq - 1] */
    uint64_t count, capacity;
    uint64_t first_unsent; /* lowest seq without a receipt */
    uint64_t receipted_to;
    uint64_t forgotten_to; /* of all below the body is gone */
};

struct known_key {
    uint8_t key[KEY_BYTES];
    size_t length;
    int lane;
    uint64_t seq;
};

struct note {
    char name[NOTE_CHARS];
    struct buf value;
};

struct spool {
    const struct clock *clock;
    uint64_t incarnation;
    int64_t quota_bytes, grace_ms;
    struct lane lanes[SPOOL_LANES];
    struct known_key *keys; /* a ring of the newest */
    size_t key_window, key_count;
    struct note notes[NOTES];
    uint64_t owed, kept, lost, bytes;
};

static struct lane *lane_of(struct spool *spool, uint64_t incarnation, int lane)
{
    if (incarnation != spool->incarnation || lane < 1 || lane > SPOOL_LANES)
        return NULL;
    return &spool->lanes[lane - 1];
}

static struct place *place_of(struct lane *lane, uint64_t seq)
{
    return &lane->places[seq - 1];
}

/* ---- open and close ---- */

bool spool_open(const struct spool_settings *settings, const struct clock *clock,
                struct spool **ret_spool, struct err *err)
{
    struct spool *spool = calloc(1, sizeof *spool);
    if (spool == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory for a spool");
    spool->clock = clock;
    spool->incarnation = random_u64() | 1;
    spool->quota_bytes = settings->quota_bytes;
    spool->grace_ms = settings->grace_ms;
    spool->key_window = (size_t)settings->key_window;
    for (int i = 0; i < SPOOL_LANES; i++)
        spool->lanes[i].first_unsent = 1;
    *ret_spool = spool;
    return true;
}

void spool_close(struct spool *spool)
{
    if (spool == NULL)
        return;
    for (int i = 0; i < SPOOL_LANES; i++) {
        struct lane *lane = &spool->lanes[i];
        for (uint64_t seq = 1; seq <= lane->count; seq++)
            free(place_of(lane, seq)->body);
        free(lane->places);
    }
    for (size_t i = 0; i < NOTES; i++)
        buf_done(&spool->notes[i].value);
    free(spool->keys);
    free(spool);
}

uint64_t spool_incarnation(const struct spool *spool)
{
    return spool->incarnation;
}

uint64_t spool_starts(const struct spool *spool)
{
    (void)spool;
    return 1;
}

const char *spool_opened(const struct spool *spool)
{
    (void)spool;
    return "";
}

struct spool_salvaged spool_salvaged(const struct spool *spool)
{
    (void)spool;
    return (struct spool_salvaged){0};
}

bool spool_must_reopen(struct spool *spool, struct err *ret_why)
{
    (void)spool, (void)ret_why;
    return false;
}

/* ---- records come ---- */

static const struct known_key *find_key(const struct spool *spool, struct bytes key)
{
    size_t held = spool->key_count < spool->key_window ? spool->key_count : spool->key_window;
    for (size_t i = 0; i < held; i++)
        if (bytes_equal(bytes_of(spool->keys[i].key, spool->keys[i].length), key))
            return &spool->keys[i];
    return NULL;
}

static bool keep_key(struct spool *spool, const struct spool_record *record, struct err *err)
{
    if (record->key.length == 0)
        return true;
    if (record->key.length > KEY_BYTES)
        return err_set(err, ERR_INVALID, "an idempotency key of %zu bytes: at most %d are allowed",
                       record->key.length, KEY_BYTES);
    if (spool->keys == NULL)
        spool->keys = calloc(spool->key_window, sizeof *spool->keys);
    if (spool->keys == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory for idempotency keys");
    struct known_key *key = &spool->keys[spool->key_count++ % spool->key_window];
    *key =
        (struct known_key){.length = record->key.length, .lane = record->lane, .seq = record->seq};
    memcpy(key->key, record->key.data, record->key.length);
    return true;
}

static bool grow(struct lane *lane)
{
    if (lane->count < lane->capacity)
        return true;
    uint64_t capacity = lane->capacity == 0 ? 8 : 2 * lane->capacity;
    struct place *places = realloc(lane->places, capacity * sizeof *places);
    if (places == NULL)
        return false;
    lane->places = places;
    lane->capacity = capacity;
    return true;
}

static bool add(struct spool *spool, struct spool_record *record, struct err *err)
{
    struct lane *lane = &spool->lanes[record->lane - 1];
    uint8_t *body = malloc(record->body.length);
    if (body == NULL || !grow(lane)) {
        free(body);
        return err_set(err, ERR_NO_MEMORY, "no memory for a record");
    }
    memcpy(body, record->body.data, record->body.length);
    lane->places[lane->count++] = (struct place){.body = body,
                                                 .length = (uint32_t)record->body.length,
                                                 .at_ms = clock_boot_ms(spool->clock)};
    record->incarnation = spool->incarnation;
    record->seq = lane->count;
    spool->owed++;
    spool->bytes += record->body.length;
    return keep_key(spool, record, err);
}

/* The first `count` of these are taken back. */
static void take_back(struct spool *spool, const struct spool_record *records, size_t count)
{
    for (size_t i = count; i-- > 0;) {
        if (records[i].duplicate)
            continue;
        struct lane *lane = &spool->lanes[records[i].lane - 1];
        struct place *place = place_of(lane, lane->count--);
        spool->bytes -= place->length;
        spool->owed--;
        free(place->body);
    }
}

static bool fits(const struct spool *spool, const struct spool_record *records, size_t count,
                 struct err *err)
{
    uint64_t bytes = spool->bytes;
    for (size_t i = 0; i < count; i++) {
        if (records[i].lane < 1 || records[i].lane > SPOOL_LANES || records[i].body.length == 0)
            return err_set(err, ERR_INVALID, "record %zu: no such lane, or no body", i);
        bytes += records[i].body.length;
    }
    return bytes <= (uint64_t)spool->quota_bytes ||
           err_set(err, ERR_FULL, "the spool's %" PRId64 " bytes are full", spool->quota_bytes);
}

bool spool_push(struct spool *spool, struct spool_record *records, size_t count, struct err *err)
{
    if (!fits(spool, records, count, err))
        return false;
    for (size_t i = 0; i < count; i++) {
        const struct known_key *known =
            records[i].key.length > 0 ? find_key(spool, records[i].key) : NULL;
        records[i].duplicate = known != NULL;
        if (known != NULL) {
            records[i].incarnation = spool->incarnation;
            records[i].seq = known->seq;
        } else if (!add(spool, &records[i], err)) {
            take_back(spool, records, i);
            return false;
        }
    }
    return true;
}

/* ---- what there is ---- */

static void tell_stream(const struct spool *spool, int i, struct spool_stream *ret_stream)
{
    const struct lane *lane = &spool->lanes[i];
    *ret_stream = (struct spool_stream){.incarnation = spool->incarnation,
                                        .lane = i + 1,
                                        .last_seq = lane->count,
                                        .first_unsent = lane->first_unsent,
                                        .receipted_to = lane->receipted_to};
}

static size_t streams(const struct spool *spool, bool unsent, struct spool_stream *ret_streams,
                      size_t max)
{
    size_t count = 0;
    for (int i = 0; i < SPOOL_LANES; i++) {
        const struct lane *lane = &spool->lanes[i];
        if (lane->count == 0 || (unsent && lane->first_unsent > lane->count))
            continue;
        if (count < max)
            tell_stream(spool, i, &ret_streams[count]);
        count++;
    }
    return count;
}

size_t spool_streams(const struct spool *spool, struct spool_stream *ret_streams, size_t max)
{
    return streams(spool, true, ret_streams, max);
}

size_t spool_unclosed(const struct spool *spool, struct spool_stream *ret_streams, size_t max)
{
    return streams(spool, false, ret_streams, max);
}

static uint64_t lost_run(struct lane *lane, uint64_t seq)
{
    enum spool_loss why = place_of(lane, seq)->lost;
    uint64_t end = seq;
    while (end <= lane->count && !place_of(lane, end)->receipted &&
           place_of(lane, end)->lost == why)
        end++;
    return end - seq;
}

bool spool_read(struct spool *spool, uint64_t incarnation, int lane_number, uint64_t from_seq,
                size_t max_records, size_t max_bytes,
                bool (*each)(void *ctx, uint64_t seq, struct bytes body, struct err *err),
                void *ctx, struct spool_found *ret_found, struct err *err)
{
    struct lane *lane = lane_of(spool, incarnation, lane_number);
    uint64_t seq = from_seq > 0 ? from_seq : 1;
    size_t bytes = 0;
    *ret_found = (struct spool_found){0};
    if (lane == NULL)
        return true;
    while (seq <= lane->count && place_of(lane, seq)->receipted)
        seq++;
    if (seq > lane->count)
        return true;
    struct spool_found found = {.first = seq, .lost = place_of(lane, seq)->lost};
    if (found.lost != SPOOL_HELD)
        found.count = lost_run(lane, seq);
    for (; found.lost == SPOOL_HELD && seq <= lane->count && found.count < max_records; seq++) {
        const struct place *place = place_of(lane, seq);
        if (place->receipted || place->lost != SPOOL_HELD ||
            (found.count > 0 && bytes + place->length > max_bytes))
            break;
        if (!each(ctx, seq, bytes_of(place->body, place->length), err))
            return false;
        bytes += place->length;
        found.count++;
    }
    *ret_found = found;
    return true;
}

bool spool_newest(struct spool *spool, int lane_number, size_t max,
                  bool (*each)(void *ctx, uint64_t incarnation, uint64_t seq, struct bytes body,
                               struct err *err),
                  void *ctx, struct err *err)
{
    struct lane *lane = lane_of(spool, spool->incarnation, lane_number);
    size_t given = 0;
    for (uint64_t seq = lane != NULL ? lane->count : 0; seq > 0 && given < max; seq--) {
        const struct place *place = place_of(lane, seq);
        if (place->body == NULL)
            continue;
        given++;
        if (!each(ctx, spool->incarnation, seq, bytes_of(place->body, place->length), err))
            return false;
    }
    return true;
}

void spool_stats(const struct spool *spool, struct spool_stats *ret_stats)
{
    int64_t now_ms = clock_boot_ms(spool->clock), oldest_ms = 0;
    for (int i = 0; i < SPOOL_LANES; i++) {
        const struct lane *lane = &spool->lanes[i];
        if (lane->first_unsent > lane->count)
            continue;
        int64_t age_ms = now_ms - lane->places[lane->first_unsent - 1].at_ms;
        oldest_ms = age_ms > oldest_ms ? age_ms : oldest_ms;
    }
    *ret_stats = (struct spool_stats){.records = spool->owed,
                                      .records_kept = spool->kept,
                                      .records_lost = spool->lost,
                                      .bytes = spool->bytes,
                                      .oldest_ms = oldest_ms};
}

/* ---- records go ---- */

static void drop_body(struct spool *spool, struct place *place)
{
    if (place->body == NULL)
        return;
    spool->bytes -= place->length;
    free(place->body);
    place->body = NULL;
}

static void lose(struct spool *spool, struct place *place, enum spool_loss why)
{
    place->lost = why;
    drop_body(spool, place);
    spool->owed--;
    spool->lost++;
}

bool spool_lose(struct spool *spool, uint64_t incarnation, int lane_number, uint64_t first,
                uint64_t last, enum spool_loss why, struct err *err)
{
    (void)err;
    struct lane *lane = lane_of(spool, incarnation, lane_number);
    for (uint64_t seq = first > 0 ? first : 1; lane != NULL && seq <= last && seq <= lane->count;
         seq++) {
        struct place *place = place_of(lane, seq);
        if (!place->receipted && place->lost == SPOOL_HELD)
            lose(spool, place, why);
    }
    return true;
}

static void look_at_ends(struct lane *lane)
{
    while (lane->first_unsent <= lane->count && place_of(lane, lane->first_unsent)->receipted)
        lane->first_unsent++;
}

static void receipt(struct spool *spool, struct lane *lane, uint64_t first, uint64_t last)
{
    int64_t now_ms = clock_boot_ms(spool->clock);
    for (uint64_t seq = first; seq <= last; seq++) {
        struct place *place = place_of(lane, seq);
        if (place->receipted)
            continue;
        place->receipted = true;
        place->at_ms = now_ms;
        if (place->lost == SPOOL_HELD) {
            spool->owed--;
            spool->kept++;
        } else {
            spool->lost--;
        }
    }
    if (last > lane->receipted_to)
        lane->receipted_to = last;
}

bool spool_receipt(struct spool *spool, uint64_t incarnation, int lane_number, uint64_t cumulative,
                   const struct spool_range *ranges, size_t range_count, struct err *err)
{
    struct lane *lane = lane_of(spool, incarnation, lane_number);
    if (lane == NULL)
        return true;
    uint64_t highest = range_count > 0 ? ranges[range_count - 1].last : cumulative;
    if (highest > lane->count)
        return err_set(err, ERR_REFUSED,
                       "a receipt up to %" PRIu64 " for a stream that ends at %" PRIu64, highest,
                       lane->count);
    if (cumulative >= lane->first_unsent)
        receipt(spool, lane, lane->first_unsent, cumulative);
    for (size_t i = 0; i < range_count; i++)
        receipt(spool, lane, ranges[i].first, ranges[i].last);
    look_at_ends(lane);
    return true;
}

static bool covered(uint64_t seq, uint64_t cumulative, const struct spool_range *ranges,
                    size_t range_count)
{
    bool is = seq <= cumulative;
    for (size_t i = 0; i < range_count && !is; i++)
        is = seq >= ranges[i].first && seq <= ranges[i].last;
    return is;
}

static void recall(struct spool *spool, struct place *place)
{
    place->receipted = false;
    if (place->lost == SPOOL_HELD && place->body != NULL) {
        spool->kept--;
        spool->owed++;
        return;
    }
    if (place->lost == SPOOL_HELD)
        place->lost = SPOOL_LOST_FORGOTTEN;
    spool->lost++;
}

bool spool_again(struct spool *spool, uint64_t incarnation, int lane_number, uint64_t cumulative,
                 const struct spool_range *ranges, size_t range_count, struct err *err)
{
    (void)err;
    struct lane *lane = lane_of(spool, incarnation, lane_number);
    for (uint64_t seq = 1; lane != NULL && seq <= lane->count; seq++)
        if (place_of(lane, seq)->receipted && !covered(seq, cumulative, ranges, range_count))
            recall(spool, place_of(lane, seq));
    if (lane != NULL) {
        lane->first_unsent = 1;
        look_at_ends(lane);
    }
    return true;
}

bool spool_forget(struct spool *spool, size_t *ret_removed_records, struct err *err)
{
    (void)err;
    int64_t now_ms = clock_boot_ms(spool->clock);
    *ret_removed_records = 0;
    for (int i = 0; i < SPOOL_LANES; i++) {
        struct lane *lane = &spool->lanes[i];
        for (; lane->forgotten_to < lane->count; lane->forgotten_to++) {
            struct place *place = place_of(lane, lane->forgotten_to + 1);
            if (!place->receipted || place->at_ms + spool->grace_ms > now_ms)
                break;
            if (place->body == NULL)
                continue;
            drop_body(spool, place);
            spool->kept--;
            (*ret_removed_records)++;
        }
    }
    return true;
}

/* ---- notes ---- */

static struct note *find_note(struct spool *spool, const char *name)
{
    for (size_t i = 0; i < NOTES; i++)
        if (spool->notes[i].name[0] == '\0' || strcmp(spool->notes[i].name, name) == 0)
            return &spool->notes[i];
    return NULL;
}

bool spool_note_write(struct spool *spool, const char *name, struct bytes value, struct err *err)
{
    struct note *note = find_note(spool, name);
    if (note == NULL || strlen(name) >= NOTE_CHARS)
        return err_set(err, ERR_FULL, "note %s: no room for it", name);
    strcpy(note->name, name);
    buf_clear(&note->value);
    return buf_append(&note->value, value.data, value.length, err);
}

bool spool_note_read(struct spool *spool, const char *name, struct buf *ret_value, struct err *err)
{
    const struct note *note = find_note(spool, name);
    buf_clear(ret_value);
    return note == NULL || note->value.length == 0 ||
           buf_append(ret_value, note->value.data, note->value.length, err);
}
