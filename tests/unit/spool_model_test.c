/* SPDX-License-Identifier: Apache-2.0 */
#include "base/file.h"
#include "storage/spool.h"
#include "tests/unit/testing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * Random operations on a real spool and on a plain array of all records ever given; after each,
 * the spool must say what the array says. Only what has been forgotten is learnt from the spool,
 * and then checked: receipted, past its grace, by whole segments.
 */
enum { SEED = 20261122, ROUNDS = 12, STEPS = 250, MODEL_MAX = 20000, GRACE_MS = 1600, KEYS = 300 };

struct entry {
    uint64_t incarnation, seq;
    int lane;
    uint32_t content; /* the body is this number, (content % 40 + 1) times */
    int key;          /* 0: none */
    int commit;
    bool held, acked;
    int64_t acked_ms;
};

struct model {
    struct spool *spool;
    struct spool_settings settings;
    struct clock clock;
    int64_t boot_ms;
    unsigned random;
    int commits;
    struct entry entries[MODEL_MAX]; /* in the order given */
    size_t count;
};

static int64_t read_boot_ms(void *ctx)
{
    return ((const struct model *)ctx)->boot_ms;
}

static unsigned draw(struct model *model, unsigned below)
{
    return below < 2 ? 0 : (unsigned)rand_r(&model->random) % below;
}

static struct entry *find(struct model *model, uint64_t incarnation, int lane, uint64_t seq)
{
    for (size_t i = 0; i < model->count; i++) {
        struct entry *entry = &model->entries[i];
        if (entry->incarnation == incarnation && entry->lane == lane && entry->seq == seq)
            return entry;
    }
    return NULL;
}

static uint64_t last_seq(const struct model *model, uint64_t incarnation, int lane)
{
    uint64_t last = 0;
    for (size_t i = 0; i < model->count; i++) {
        const struct entry *entry = &model->entries[i];
        if (entry->incarnation == incarnation && entry->lane == lane)
            last = entry->seq;
    }
    return last;
}

static void open_spool(struct model *model)
{
    struct err err = {0};
    spool_close(model->spool);
    model->spool = NULL;
    if (!spool_open(&model->settings, &model->clock, &model->spool, &err))
        fail_msg("%s", err.text);
}

static size_t body_length(uint32_t content)
{
    return (content % 40 + 1) * sizeof content;
}

static void expect_body(const struct entry *entry, struct bytes body)
{
    assert_int_equal(body.length, body_length(entry->content));
    for (size_t at = 0; at < body.length; at += sizeof entry->content)
        assert_memory_equal(body.data + at, &entry->content, sizeof entry->content);
}

static const struct entry *first_with_key(const struct model *model, int key)
{
    for (size_t i = 0; key != 0 && i < model->count; i++) {
        if (model->entries[i].key == key)
            return &model->entries[i];
    }
    return NULL;
}

static void take_in(struct model *model, const struct spool_record *record, int key,
                    uint32_t content)
{
    const struct entry *first = first_with_key(model, key);
    assert_int_equal(record->duplicate, first != NULL);
    if (first != NULL) {
        assert_true(record->incarnation == first->incarnation && record->seq == first->seq);
        return;
    }
    assert_true(record->incarnation == spool_incarnation(model->spool));
    assert_int_equal(record->seq, last_seq(model, record->incarnation, record->lane) + 1);
    assert_true(model->count < MODEL_MAX);
    model->entries[model->count++] = (struct entry){
        .incarnation = record->incarnation,
        .seq = record->seq,
        .lane = record->lane,
        .content = content,
        .key = key,
        .commit = model->commits,
        .held = true,
    };
}

static void do_push(struct model *model)
{
    enum { MAX = 12 };
    static uint32_t bodies[MAX][40];
    uint32_t contents[MAX];
    int keys[MAX];
    struct spool_record records[MAX];
    size_t count = 1 + draw(model, MAX);
    for (size_t i = 0; i < count; i++) {
        contents[i] = draw(model, 1u << 30);
        for (size_t at = 0; at < 40; at++)
            bodies[i][at] = contents[i];
        keys[i] = draw(model, 2) == 0 ? 0 : 1 + (int)draw(model, KEYS);
        records[i] = (struct spool_record){
            .lane = 1 + (int)draw(model, SPOOL_LANES),
            .key = bytes_of(&keys[i], keys[i] != 0 ? sizeof keys[i] : 0),
            .body = bytes_of(bodies[i], body_length(contents[i])),
        };
    }
    struct err err = {0};
    model->commits++;
    if (!spool_push(model->spool, records, count, &err))
        fail_msg("%s", err.text);
    for (size_t i = 0; i < count; i++)
        take_in(model, &records[i], keys[i], contents[i]);
}

static void ack(struct model *model, const struct entry *of, uint64_t first, uint64_t last)
{
    for (size_t i = 0; i < model->count; i++) {
        struct entry *entry = &model->entries[i];
        if (entry->incarnation != of->incarnation || entry->lane != of->lane ||
            entry->seq < first || entry->seq > last || entry->acked)
            continue;
        entry->acked = true;
        entry->acked_ms = model->boot_ms;
    }
}

static void do_receipt(struct model *model)
{
    if (model->count == 0)
        return;
    /* Mostly young streams, where something is left to say. */
    size_t back = draw(model, 1 + (unsigned)(model->count < 200 ? model->count - 1 : 199));
    const struct entry *of = &model->entries[model->count - 1 - back];
    uint64_t last = last_seq(model, of->incarnation, of->lane);
    uint64_t cumulative = draw(model, 3) == 0 ? draw(model, (unsigned)last + 1) : 0;
    struct spool_range ranges[3];
    size_t count = draw(model, 4);
    for (size_t i = 0; i < count; i++) {
        ranges[i].first = 1 + draw(model, (unsigned)last);
        ranges[i].last = ranges[i].first + draw(model, (unsigned)(last - ranges[i].first) + 1);
    }
    struct err err = {0};
    if (!spool_receipt(model->spool, of->incarnation, of->lane, cumulative, ranges, count, &err))
        fail_msg("%s", err.text);
    ack(model, of, 1, cumulative);
    for (size_t i = 0; i < count; i++)
        ack(model, of, ranges[i].first, ranges[i].last);
}

struct sighting {
    struct model *model;
    int lane;
    bool *seen;
};

static bool see(void *ctx, uint64_t incarnation, uint64_t seq, struct bytes body, struct err *err)
{
    struct sighting *sighting = ctx;
    (void)err;
    const struct entry *entry = find(sighting->model, incarnation, sighting->lane, seq);
    assert_non_null(entry);
    assert_true(entry->held);
    expect_body(entry, body);
    sighting->seen[entry - sighting->model->entries] = true;
    return true;
}

/* A segment that is still there though it could go, a grace step after the last receipt. */
static bool could_go(const struct model *model, const struct entry *entry)
{
    for (size_t i = 0; i < model->count; i++) {
        const struct entry *other = &model->entries[i];
        if (other->commit == entry->commit && other->lane == entry->lane &&
            (!other->acked || other->acked_ms + GRACE_MS + GRACE_MS / 16 + 1 > model->boot_ms))
            return false;
    }
    return true;
}

static void check_held(struct model *model, bool after_forget)
{
    static bool seen[MODEL_MAX];
    memset(seen, 0, sizeof seen);
    struct err err = {0};
    for (int lane = 1; lane <= SPOOL_LANES; lane++) {
        struct sighting sighting = {model, lane, seen};
        if (!spool_newest(model->spool, lane, MODEL_MAX, see, &sighting, &err))
            fail_msg("%s", err.text);
    }
    for (size_t i = 0; i < model->count; i++) {
        struct entry *entry = &model->entries[i];
        if (!entry->held)
            continue;
        if (!seen[i])
            assert_true(after_forget && entry->acked &&
                        entry->acked_ms + GRACE_MS <= model->boot_ms);
        else if (after_forget)
            assert_false(could_go(model, entry));
        entry->held = seen[i];
    }
}

static void do_forget(struct model *model)
{
    struct err err = {0};
    size_t removed = 1;
    model->boot_ms += draw(model, GRACE_MS);
    while (removed > 0) {
        if (!spool_forget(model->spool, &removed, &err))
            fail_msg("%s", err.text);
    }
    check_held(model, true);
}

struct reading {
    struct model *model;
    const struct spool_stream *stream;
    uint64_t next;
};

static bool read_one(void *ctx, uint64_t seq, struct bytes body, struct err *err)
{
    struct reading *reading = ctx;
    (void)err;
    const struct entry *entry =
        find(reading->model, reading->stream->incarnation, reading->stream->lane, seq);
    assert_non_null(entry);
    assert_false(entry->acked);
    assert_true(reading->next == 0 || seq == reading->next);
    expect_body(entry, body);
    reading->next = seq + 1;
    return true;
}

/* Reads a stream from end to end in pieces; returns how many records that gave. */
static uint64_t read_stream(struct model *model, const struct spool_stream *stream)
{
    uint64_t total = 0, from = 1;
    for (;;) {
        struct reading reading = {.model = model, .stream = stream};
        struct spool_found found = {0};
        struct err err = {0};
        if (!spool_read(model->spool, stream->incarnation, stream->lane, from, 1 + draw(model, 30),
                        1 + draw(model, 2000), read_one, &reading, &found, &err))
            fail_msg("%s", err.text);
        if (found.count == 0)
            return total;
        assert_true(found.first >= from && reading.next == found.first + found.count);
        if (total == 0)
            assert_int_equal(found.first, stream->first_unsent);
        total += found.count;
        from = found.first + found.count;
    }
}

static void check_streams(struct model *model)
{
    static struct spool_stream streams[1000];
    size_t count = spool_streams(model->spool, streams, 1000);
    uint64_t unsent = 0, kept = 0, given = 0;
    for (size_t i = 0; i < model->count; i++) {
        unsent += model->entries[i].acked ? 0 : 1;
        kept += model->entries[i].acked && model->entries[i].held ? 1 : 0;
    }
    assert_in_range(count, 0, 1000);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(streams[i].last_seq,
                         last_seq(model, streams[i].incarnation, streams[i].lane));
        given += read_stream(model, &streams[i]);
    }
    assert_int_equal(given, unsent);
    struct spool_stats stats;
    spool_stats(model->spool, &stats);
    assert_int_equal(stats.records, unsent);
    assert_int_equal(stats.records_kept, kept);
}

static void run_round(struct model *model)
{
    open_spool(model);
    for (int step = 0; step < STEPS; step++) {
        unsigned what = draw(model, 100);
        if (what < 55)
            do_push(model);
        else if (what < 82)
            do_receipt(model);
        else if (what < 90)
            do_forget(model);
        else if (what < 95)
            open_spool(model);
        else
            check_streams(model);
        model->boot_ms += draw(model, 50);
    }
    check_held(model, false);
    check_streams(model);
}

static void test_the_spool_does_what_a_plain_array_does(void **state)
{
    (void)state;
    struct model *model = calloc(1, sizeof *model);
    assert_non_null(model);
    print_message("seed %d\n", SEED);
    for (unsigned round = 0; round < ROUNDS; round++) {
        char dir[] = "/tmp/muster-spool-model-XXXXXX", path[sizeof dir + 16];
        assert_non_null(mkdtemp(dir));
        snprintf(path, sizeof path, "%s/spool.db", dir);
        model->count = 0;
        model->random = SEED + round;
        model->clock = (struct clock){read_boot_ms, read_boot_ms, model};
        model->settings = (struct spool_settings){
            .path = path,
            .device = "p-100001",
            .quota_bytes = 64 << 20,
            .grace_ms = GRACE_MS,
            .key_window = MODEL_MAX,
        };
        run_round(model);
        spool_close(model->spool);
        model->spool = NULL;
        assert_true(file_remove_tree(dir, NULL));
    }
    free(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_spool_does_what_a_plain_array_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
