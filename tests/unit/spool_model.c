/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/spool_model.h"

#include "tests/unit/testing.h"

#include <stdlib.h>
#include <string.h>

enum { READ_RECORDS = 64, READ_BYTES = 200000 };

unsigned model_draw(struct model *model, unsigned below)
{
    return below < 2 ? 0 : (unsigned)rand_r(&model->random) % below;
}

void model_body(const struct entry *entry, uint8_t *body)
{
    memset(body, (int)(entry->content >> 7 & 0xff), entry->length);
    memcpy(body, &entry->content, sizeof entry->content);
}

struct model_stream *model_find(struct model *model, uint64_t incarnation, int lane)
{
    for (size_t i = model->count; i > 0; i--) {
        struct model_stream *stream = &model->streams[i - 1];
        if (stream->incarnation == incarnation && stream->lane == lane)
            return stream;
    }
    return NULL;
}

struct entry *model_add(struct model *model, uint64_t incarnation, int lane)
{
    struct model_stream *stream = model_find(model, incarnation, lane);
    if (stream == NULL) {
        assert_true(model->count < MODEL_STREAMS);
        stream = &model->streams[model->count++];
        *stream = (struct model_stream){.incarnation = incarnation, .lane = lane};
    }
    if (stream->count == stream->capacity) {
        stream->capacity = 2 * stream->capacity + 64;
        stream->entries = realloc(stream->entries, stream->capacity * sizeof *stream->entries);
        assert_non_null(stream->entries);
    }
    struct entry *entry = &stream->entries[stream->count++];
    *entry = (struct entry){.commit = model->commits};
    return entry;
}

void model_clear(struct model *model)
{
    for (size_t i = 0; i < model->count; i++)
        free(model->streams[i].entries);
    model->count = 0;
    memset(model->keys, 0, sizeof model->keys);
}

void model_copy(const struct model *from, struct model *to)
{
    model_clear(to);
    memcpy(to->keys, from->keys, sizeof to->keys);
    to->count = from->count;
    for (size_t i = 0; i < from->count; i++) {
        struct model_stream *stream = &to->streams[i];
        *stream = from->streams[i];
        stream->entries = calloc(stream->capacity + 1, sizeof *stream->entries);
        assert_non_null(stream->entries);
        if (stream->count > 0)
            memcpy(stream->entries, from->streams[i].entries,
                   stream->count * sizeof *stream->entries);
    }
}

/* ---- what the spool says ---- */

struct look {
    struct model *model;
    struct model_stream *stream;
    int lane;
};

static struct entry *entry_of(struct model_stream *stream, uint64_t seq)
{
    assert_non_null(stream);
    assert_in_range(seq, 1, stream->count);
    return &stream->entries[seq - 1];
}

static void expect_body(const struct entry *entry, struct bytes body)
{
    static uint8_t expected[1 << 16];
    assert_false(entry->phantom);
    assert_int_equal(body.length, entry->length);
    model_body(entry, expected);
    assert_memory_equal(body.data, expected, body.length);
}

static bool see(void *ctx, uint64_t incarnation, uint64_t seq, struct bytes body, struct err *err)
{
    struct look *look = ctx;
    struct entry *entry = entry_of(model_find(look->model, incarnation, look->lane), seq);
    (void)err;
    assert_false(entry->seen);
    expect_body(entry, body);
    entry->seen = true;
    return true;
}

static bool take(void *ctx, uint64_t seq, struct bytes body, struct err *err)
{
    struct look *look = ctx;
    struct entry *entry = entry_of(look->stream, seq);
    (void)err;
    expect_body(entry, body);
    entry->given = true;
    return true;
}

static void read_stream(struct model *model, struct model_stream *stream)
{
    struct look look = {.model = model, .stream = stream};
    struct spool_found found = {.count = 1};
    struct err err = {0};
    uint64_t from = 1;
    while (found.count > 0) {
        if (!spool_read(model->spool, stream->incarnation, stream->lane, from, READ_RECORDS,
                        READ_BYTES, take, &look, &found, &err))
            fail_msg("%s", err.text);
        assert_true(found.first >= from);
        for (uint64_t i = 0; i < found.count; i++) {
            struct entry *entry = entry_of(stream, found.first + i);
            assert_true(entry->given == (found.lost == SPOOL_HELD));
            entry->declared = found.lost;
        }
        from = found.first + found.count;
    }
}

/* An unknown tail: seqs that may have been given, and were not as far as we know. */
static void grow(struct model *model, const struct spool_stream *told, const struct change *change)
{
    struct model_stream *stream = model_find(model, told->incarnation, told->lane);
    uint64_t last = stream != NULL ? stream->count : 0;
    if (told->last_seq == last)
        return;
    assert_true(change->tails && told->last_seq > last);
    assert_true(told->last_seq - last <= (last < 64 ? 64 : last) + 64);
    for (; last < told->last_seq; last++)
        model_add(model, told->incarnation, told->lane)->phantom = true;
}

static void look_at_all(struct model *model, const struct change *change)
{
    struct spool_stream told[MODEL_STREAMS];
    size_t count = spool_unclosed(model->spool, told, MODEL_STREAMS);
    assert_true(count <= MODEL_STREAMS);
    for (size_t i = 0; i < count; i++)
        grow(model, &told[i], change);
    for (size_t i = 0; i < model->count; i++) {
        struct model_stream *stream = &model->streams[i];
        stream->listed = false;
        for (size_t at = 0; at < stream->count; at++) {
            stream->entries[at].seen = stream->entries[at].given = false;
            stream->entries[at].declared = SPOOL_HELD;
        }
    }
    for (size_t i = 0; i < count; i++) {
        struct model_stream *stream = model_find(model, told[i].incarnation, told[i].lane);
        assert_int_equal(told[i].last_seq, stream->count);
        assert_false(stream->listed);
        stream->listed = true;
        read_stream(model, stream);
    }
    for (int lane = 1; lane <= SPOOL_LANES; lane++) {
        struct look look = {.model = model, .lane = lane};
        struct err err = {0};
        if (!spool_newest(model->spool, lane, SIZE_MAX, see, &look, &err))
            fail_msg("%s", err.text);
    }
}

/* ---- whether it may say so ---- */

static bool owed(const struct entry *entry)
{
    return !entry->acked && entry->lost == SPOOL_HELD;
}

static bool past_grace(const struct model *model, const struct entry *entry, int64_t margin_ms)
{
    return entry->acked && entry->acked_ms + MODEL_GRACE_MS + margin_ms <= model->boot_ms;
}

/* The invariant: receipted, or given as it was, or declared lost, with nothing in between. */
static void judge_entry(const struct model *model, struct entry *entry, const struct change *change)
{
    enum spool_loss was = entry->lost;
    if (entry->acked) {
        assert_true(!entry->given && entry->declared == SPOOL_HELD);
        return;
    }
    if (entry->given) {
        assert_true(entry->seen && (was == SPOOL_HELD || entry->recalled));
        entry->lost = SPOOL_HELD;
        return;
    }
    entry->lost = entry->declared;
    if (entry->lost == SPOOL_HELD)
        fail_msg("a record that was answered for is neither held nor receipted nor declared lost");
    if (entry->lost == was || (entry->lost == SPOOL_LOST_DAMAGED && entry->flawed) ||
        (entry->recalled && entry->lost == SPOOL_LOST_FORGOTTEN && !entry->seen))
        return;
    assert_true(was == SPOOL_HELD);
    assert_true((change->reasons & 1u << entry->lost) != 0);
    assert_true(!entry->seen || entry->flawed);
    (void)model;
}

/* What has left the disk had a right to. */
static void judge_place(const struct model *model, struct entry *entry, const struct change *change)
{
    bool gone = entry->on_disk && !entry->seen;
    if (!entry->on_disk && entry->seen)
        fail_msg("what was gone has come back");
    if (gone && owed(entry))
        fail_msg("an owed record is not on the disk");
    if (gone && !entry->flawed && entry->acked)
        assert_true(change->pushed || (change->forgot && past_grace(model, entry, 0)) ||
                    (change->reasons & 1u << SPOOL_LOST_AGE) != 0);
    entry->on_disk = entry->seen;
}

static void judge_segments(const struct model_stream *stream)
{
    for (size_t at = 1; at < stream->count; at++) {
        const struct entry *before = &stream->entries[at - 1], *entry = &stream->entries[at];
        if (before->commit == entry->commit && !before->flawed && !entry->flawed &&
            !before->phantom && !entry->phantom)
            assert_int_equal(before->seen, entry->seen);
    }
}

/* A stream is closed when all of it is done and no sooner. */
static void judge_closing(struct model *model, struct model_stream *stream,
                          const struct change *change)
{
    bool done = stream->incarnation != spool_incarnation(model->spool);
    bool must = done;
    for (size_t at = 0; at < stream->count; at++) {
        const struct entry *entry = &stream->entries[at];
        done = done && past_grace(model, entry, 0) && !entry->seen;
        must = must && past_grace(model, entry, MODEL_GRACE_MS / 16 + 1);
    }
    if (!stream->listed) {
        assert_true(stream->closed || (done && change->forgot));
        stream->closed = true;
    } else if (change->forgot) {
        assert_false(must);
    }
    assert_false(stream->listed && stream->closed);
}

/* What was evicted was worth no more than what it made room for, and the oldest of its lane. */
static void judge_worth(const struct model *model, const enum spool_loss *before,
                        const struct change *change)
{
    int newest_lost[SPOOL_LANES + 1] = {0}, oldest_held[SPOOL_LANES + 1], least = 0;
    size_t index = 0;
    for (int lane = 0; lane <= SPOOL_LANES; lane++)
        oldest_held[lane] = model->commits;
    for (size_t i = 0; i < model->count; i++) {
        const struct model_stream *stream = &model->streams[i];
        for (size_t at = 0; at < stream->count; at++, index++) {
            const struct entry *entry = &stream->entries[at];
            int lane = stream->lane;
            if (before[index] == SPOOL_HELD && entry->lost == SPOOL_LOST_QUOTA &&
                entry->commit > newest_lost[lane])
                newest_lost[lane] = entry->commit;
            if (owed(entry) && entry->commit < oldest_held[lane])
                oldest_held[lane] = entry->commit;
        }
    }
    for (int lane = 1; lane <= SPOOL_LANES; lane++)
        least = change->lanes[lane] ? lane : least;
    for (int lane = 1; lane <= SPOOL_LANES; lane++) {
        bool own = change->lanes[lane] && model->settings.lanes[lane - 1].quota_bytes > 0;
        if (newest_lost[lane] == 0)
            continue;
        assert_true(newest_lost[lane] <= oldest_held[lane]);
        assert_true(own || lane >= least);
        for (int worse = lane + 1; worse <= SPOOL_LANES && !own; worse++)
            assert_int_equal(oldest_held[worse], model->commits);
    }
}

static void judge_stats(const struct model *model)
{
    uint64_t records = 0, lost = 0, kept = 0;
    bool flawed = false;
    for (size_t i = 0; i < model->count; i++) {
        const struct model_stream *stream = &model->streams[i];
        for (size_t at = 0; at < stream->count; at++) {
            const struct entry *entry = &stream->entries[at];
            records += owed(entry);
            lost += entry->lost != SPOOL_HELD && !entry->acked;
            kept += entry->seen && !owed(entry);
            flawed = flawed || entry->flawed;
        }
    }
    struct spool_stats stats;
    spool_stats(model->spool, &stats);
    assert_int_equal(stats.records, records);
    assert_int_equal(stats.records_lost, lost);
    if (!flawed)
        assert_int_equal(stats.records_kept, kept);
}

void model_survey(struct model *model, const struct change *change)
{
    look_at_all(model, change);
    size_t total = 0, index = 0;
    for (size_t i = 0; i < model->count; i++)
        total += model->streams[i].count;
    enum spool_loss *before = calloc(total + 1, sizeof *before);
    assert_non_null(before);
    for (size_t i = 0; i < model->count; i++) {
        struct model_stream *stream = &model->streams[i];
        for (size_t at = 0; at < stream->count; at++) {
            struct entry *entry = &stream->entries[at];
            before[index++] = entry->lost;
            judge_entry(model, entry, change);
            judge_place(model, entry, change);
        }
        judge_segments(stream);
        judge_closing(model, stream, change);
    }
    if (change->pushed)
        judge_worth(model, before, change);
    judge_stats(model);
    free(before);
}
