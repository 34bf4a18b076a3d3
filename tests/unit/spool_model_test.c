/* SPDX-License-Identifier: Apache-2.0 */
/* Random operations on a real spool and on spool_model.h's arrays. */
#include "base/file.h"
#include "tests/unit/spool_model.h"
#include "tests/unit/spool_world.h"
#include "tests/unit/testing.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SEED = 20261122, PUSH_MAX = 12, BODY_MAX = 24000 };

static int64_t read_boot_ms(void *ctx)
{
    return ((const struct model *)ctx)->boot_ms;
}

static void close_spool(struct model *model)
{
    spool_close(model->spool);
    model->spool = NULL;
}

static void open_spool(struct model *model)
{
    struct err err = {0};
    close_spool(model);
    if (!spool_open(&model->settings, &model->clock, &model->spool, &err))
        fail_msg("%s", err.text);
}

static const struct change nothing = {0};

/* ---- pushes ---- */

struct draft {
    struct entry entry;
    uint8_t body[BODY_MAX];
};

static void take_in(struct model *model, const struct spool_record *record,
                    const struct entry *draft)
{
    struct model_key *known = &model->keys[draft->key];
    bool expected = draft->key != 0 && known->seq != 0;
    if (expected) {
        const struct model_stream *stream = &model->streams[known->stream];
        bool sound = !stream->entries[known->seq - 1].flawed;
        assert_true(record->duplicate || !sound);
        expected = record->duplicate;
        if (expected)
            assert_true(record->incarnation == stream->incarnation && record->seq == known->seq);
    }
    assert_int_equal(record->duplicate, expected);
    if (expected)
        return;
    struct entry *entry = model_add(model, record->incarnation, record->lane);
    struct model_stream *stream = model_find(model, record->incarnation, record->lane);
    assert_true(record->incarnation == spool_incarnation(model->spool));
    assert_int_equal(record->seq, stream->count);
    *entry = *draft;
    entry->commit = model->commits;
    entry->on_disk = true;
    if (draft->key != 0)
        *known = (struct model_key){(size_t)(stream - model->streams), record->seq};
}

static void do_push(struct model *model, unsigned longest)
{
    static struct draft drafts[PUSH_MAX];
    struct spool_record records[PUSH_MAX];
    struct change change = {.reasons = 1u << SPOOL_LOST_QUOTA, .pushed = true};
    size_t count = 1 + model_draw(model, PUSH_MAX);
    for (size_t i = 0; i < count; i++) {
        struct entry *entry = &drafts[i].entry;
        *entry = (struct entry){
            .content = model_draw(model, 1u << 30),
            .length = 4 + model_draw(model, longest),
            .key = model_draw(model, 2) == 0 ? 0 : 1 + (int)model_draw(model, MODEL_KEYS),
        };
        model_body(entry, drafts[i].body);
        records[i] = (struct spool_record){
            .lane = 1 + (int)model_draw(model, SPOOL_LANES),
            .key = bytes_of(&entry->key, entry->key != 0 ? sizeof entry->key : 0),
            .body = bytes_of(drafts[i].body, entry->length),
        };
        change.lanes[records[i].lane] = true;
    }
    struct err err = {0};
    model->commits++;
    bool ok = spool_push(model->spool, records, count, &err);
    if (!ok && err.code != ERR_FULL)
        fail_msg("%s", err.text);
    for (size_t i = 0; ok && i < count; i++)
        take_in(model, &records[i], &drafts[i].entry);
    model_survey(model, &change);
}

/* ---- what the fleet says ---- */

/* Mostly a young stream, where something is left to say. */
static struct model_stream *draw_stream(struct model *model)
{
    size_t young = model->count < 12 ? model->count : 12;
    if (young == 0)
        return NULL;
    struct model_stream *stream =
        &model->streams[model->count - 1 - model_draw(model, (unsigned)young)];
    return stream;
}

struct answer {
    uint64_t cumulative;
    struct spool_range ranges[3];
    size_t count;
};

static void draw_answer(struct model *model, const struct model_stream *stream,
                        struct answer *answer)
{
    unsigned last = (unsigned)stream->count;
    answer->cumulative = model_draw(model, 3) == 0 ? model_draw(model, last + 1) : 0;
    answer->count = model_draw(model, 4);
    for (size_t i = 0; i < answer->count; i++) {
        struct spool_range *range = &answer->ranges[i];
        range->first = 1 + model_draw(model, last);
        range->last = range->first + model_draw(model, last - (unsigned)range->first + 1);
    }
}

static bool covers(const struct answer *answer, uint64_t seq)
{
    bool in = seq <= answer->cumulative;
    for (size_t i = 0; i < answer->count; i++)
        in = in || (seq >= answer->ranges[i].first && seq <= answer->ranges[i].last);
    return in;
}

static void do_receipt(struct model *model)
{
    struct model_stream *stream = draw_stream(model);
    if (stream == NULL)
        return;
    struct answer answer;
    struct err err = {0};
    draw_answer(model, stream, &answer);
    if (model_draw(model, 4) == 0)
        answer.cumulative = stream->count;
    if (!spool_receipt(model->spool, stream->incarnation, stream->lane, answer.cumulative,
                       answer.ranges, answer.count, &err))
        fail_msg("%s", err.text);
    for (size_t at = 0; at < stream->count && !stream->closed; at++) {
        struct entry *entry = &stream->entries[at];
        if (entry->acked || !covers(&answer, at + 1))
            continue;
        entry->acked = true;
        entry->recalled = false;
        entry->acked_ms = model->boot_ms;
    }
    model_survey(model, &nothing);
}

/* The fleet's database was restored: what it does not hold, we are to send again. */
static void do_again(struct model *model)
{
    struct model_stream *stream = draw_stream(model);
    if (stream == NULL)
        return;
    struct answer answer;
    struct err err = {0};
    draw_answer(model, stream, &answer);
    if (!spool_again(model->spool, stream->incarnation, stream->lane, answer.cumulative,
                     answer.ranges, answer.count, &err))
        fail_msg("%s", err.text);
    for (size_t at = 0; at < stream->count && !stream->closed; at++) {
        struct entry *entry = &stream->entries[at];
        if (!entry->acked || covers(&answer, at + 1))
            continue;
        entry->acked = false;
        entry->recalled = true;
    }
    model_survey(model, &nothing);
}

static void do_lose(struct model *model)
{
    struct model_stream *stream = draw_stream(model);
    if (stream == NULL)
        return;
    uint64_t first = 1 + model_draw(model, (unsigned)stream->count);
    uint64_t last = first + model_draw(model, 5);
    enum spool_loss why = model_draw(model, 2) == 0 ? SPOOL_LOST_CONFLICT : SPOOL_LOST_UNDECODABLE;
    struct err err = {0};
    if (!spool_lose(model->spool, stream->incarnation, stream->lane, first, last, why, &err))
        fail_msg("%s", err.text);
    for (uint64_t seq = first; seq <= last && seq <= stream->count && !stream->closed; seq++) {
        struct entry *entry = &stream->entries[seq - 1];
        if (!entry->acked && entry->lost == SPOOL_HELD)
            entry->lost = why;
    }
    model_survey(model, &nothing);
}

static void do_forget(struct model *model)
{
    struct change change = {.forgot = true};
    struct err err = {0};
    size_t removed = 1;
    model->boot_ms += model_draw(model, MODEL_GRACE_MS);
    for (int lane = 0; lane < SPOOL_LANES; lane++) {
        if (model->settings.lanes[lane].age_ms > 0)
            change.reasons = 1u << SPOOL_LOST_AGE;
    }
    while (removed > 0) {
        if (!spool_forget(model->spool, &removed, &err))
            fail_msg("%s", err.text);
    }
    model_survey(model, &change);
}

/* ---- what happens to the files ---- */

static void name_file(const struct model *model, const char *suffix, char name[128])
{
    snprintf(name, 128, "%s%s", model->settings.path, suffix);
}

static void copy_file(const struct model *model, const char *from, const char *to)
{
    char source[128], target[128];
    struct buf content = {.limit = 64 << 20};
    name_file(model, from, source);
    name_file(model, to, target);
    assert_true(file_read(source, 64 << 20, &content, NULL));
    assert_true(file_write(target, buf_bytes(&content), 0600, NULL));
    buf_done(&content);
}

/* All that the chain names becomes unknown, and with it the keys. */
static void do_destroy(struct model *model)
{
    struct change change = {.reasons = 1u << SPOOL_LOST_UNKNOWN, .tails = true};
    close_spool(model);
    assert_true(file_remove(model->settings.path, NULL));
    for (size_t i = 0; i < model->count; i++) {
        struct model_stream *stream = &model->streams[i];
        for (size_t at = 0; at < stream->count && !stream->closed; at++) {
            struct entry *entry = &stream->entries[at];
            entry->acked = entry->on_disk = entry->flawed = entry->recalled = false;
            entry->lost = SPOOL_LOST_UNKNOWN;
        }
    }
    memset(model->keys, 0, sizeof model->keys);
    open_spool(model);
    model_survey(model, &change);
}

static void do_copy(struct model *model, struct model *copy)
{
    close_spool(model);
    copy_file(model, "", ".copy");
    model_copy(model, copy);
    open_spool(model);
    model_survey(model, &nothing);
}

/* Of one stream: as it was, and behind that unknown. */
static void put_back(struct model_stream *stream, const struct model_stream *then)
{
    for (size_t at = 0; at < stream->count; at++) {
        struct entry *entry = &stream->entries[at];
        if (then != NULL && !then->closed && at < then->count) {
            *entry = then->entries[at];
        } else if (!stream->closed) {
            entry->acked = entry->on_disk = entry->flawed = entry->recalled = false;
            entry->lost = SPOOL_LOST_UNKNOWN;
        }
    }
    if (then != NULL && !then->closed)
        stream->closed = false;
}

static void do_restore(struct model *model, struct model *copy)
{
    struct change change = {.reasons = 1u << SPOOL_LOST_UNKNOWN, .tails = true};
    char name[128];
    name_file(model, ".copy", name);
    if (!file_exists(name))
        return;
    close_spool(model);
    copy_file(model, ".copy", "");
    for (size_t i = 0; i < model->count; i++) {
        struct model_stream *stream = &model->streams[i];
        put_back(stream, model_find(copy, stream->incarnation, stream->lane));
    }
    memcpy(model->keys, copy->keys, sizeof model->keys);
    open_spool(model);
    model_survey(model, &change);
}

/* A bit flips in the body of some segment. */
static void do_damage(struct model *model)
{
    struct model_stream *stream = draw_stream(model);
    if (stream == NULL || stream->count == 0)
        return;
    size_t at = model_draw(model, (unsigned)stream->count);
    if (stream->entries[at].phantom)
        return;
    int commit = stream->entries[at].commit;
    for (size_t i = 0; i < stream->count; i++)
        stream->entries[i].flawed |= stream->entries[i].commit == commit;
    while (at > 0 && stream->entries[at - 1].commit == commit)
        at--;
    close_spool(model);
    sqlite3 *db = NULL;
    char sql[400];
    unsigned byte = model_draw(model, 1u << 20);
    snprintf(sql, sizeof sql,
             "UPDATE segment SET body = CAST(substr(body, 1, %u %% length(body)) || x'a5' ||"
             " substr(body, %u %% length(body) + 2) AS BLOB) WHERE lane = %d AND first_seq = %zu"
             " AND number = (SELECT number FROM stream WHERE lane = %d AND incarnation = %lld)",
             byte, byte, stream->lane, at + 1, stream->lane, (long long)stream->incarnation);
    assert_int_equal(sqlite3_open(model->settings.path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    open_spool(model);
    model_survey(model, &nothing);
}

/* ---- rounds ---- */

struct round {
    const char *name;
    int64_t quota_bytes;
    struct spool_lane lanes[SPOOL_LANES];
    unsigned longest; /* body */
    int steps;
    bool disasters;
};

static const struct round rounds[] = {
    {"room for all", 64 << 20, {{0, 0}}, 160, 220, false},
    {"lanes with quotas", 64 << 20, {{30000, 0}, {12000, 0}, {4000, 0}}, 400, 220, false},
    {"lanes with ages", 64 << 20, {{0, 0}, {0, 9000}, {20000, 3000}}, 160, 220, false},
    {"a small disk", 4 << 20, {{0, 0}}, 20000, 140, false},
    {"disasters", 64 << 20, {{0, 0}, {20000, 0}, {10000, 5000}}, 160, 260, true},
    {"disasters on a small disk", 4 << 20, {{0, 0}, {0, 20000}, {200000, 0}}, 20000, 120, true},
};

static void step(struct model *model, struct model *copy, const struct round *round)
{
    unsigned what = model_draw(model, round->disasters ? 112 : 100);
    if (what < 50)
        do_push(model, round->longest);
    else if (what < 70)
        do_receipt(model);
    else if (what < 78)
        do_forget(model);
    else if (what < 86)
        do_lose(model);
    else if (what < 92)
        do_again(model);
    else if (what < 100)
        open_spool(model);
    else if (what < 105)
        do_damage(model);
    else if (what < 108)
        do_copy(model, copy);
    else if (what < 111)
        do_restore(model, copy);
    else
        do_destroy(model);
    model->boot_ms += model_draw(model, 50);
}

/* Any bytes are a dictionary to zstd. */
static const struct spool_dictionary dictionary = {1,
                                                   {(const uint8_t *)"approved at the till", 20}};

static void run_round(struct model *model, struct model *copy, const struct round *round,
                      unsigned seed)
{
    char dir[64], path[sizeof dir + 16];
    spool_world_dir(dir);
    snprintf(path, sizeof path, "%s/spool.db", dir);
    model->random = seed;
    model->clock = (struct clock){read_boot_ms, read_boot_ms, model};
    model->settings = (struct spool_settings){
        .path = path,
        .device = "p-100001",
        .quota_bytes = round->quota_bytes,
        .grace_ms = MODEL_GRACE_MS,
        .key_window = 20000,
        .dictionaries = &dictionary,
        .dictionary_count = 1,
    };
    memcpy(model->settings.lanes, round->lanes, sizeof round->lanes);
    open_spool(model);
    for (int i = 0; i < round->steps; i++)
        step(model, copy, round);
    model_survey(model, &nothing);
    size_t records = 0, lost = 0;
    for (size_t i = 0; i < model->count; i++) {
        records += model->streams[i].count;
        for (size_t at = 0; at < model->streams[i].count; at++)
            lost += model->streams[i].entries[at].lost != SPOOL_HELD;
    }
    print_message("%s: seed %u, %zu records, %zu lost\n", round->name, seed, records, lost);
    close_spool(model);
    model_clear(model);
    model_clear(copy);
    assert_true(file_remove_tree(dir, NULL));
}

static void test_the_spool_does_what_plain_arrays_do(void **state)
{
    (void)state;
    static struct model model, copy;
    const char *seeds = getenv("SPOOL_MODEL_SEEDS");
    unsigned count = seeds != NULL ? (unsigned)atoi(seeds) : 1;
    for (unsigned seed = SEED; seed < SEED + count; seed++) {
        for (size_t i = 0; i < sizeof rounds / sizeof *rounds; i++)
            run_round(&model, &copy, &rounds[i], seed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_spool_does_what_plain_arrays_do),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
