/* SPDX-License-Identifier: Apache-2.0 */
/* Power cuts under the terminal's spool. */
#include "base/file.h"
#include "tests/crash/spool_oracle.h"

#include <inttypes.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    STEPS = 45,
    PUSH_MAX = 6,
    GRACE_MS = 1600,
    EVENT_QUOTA_BYTES = 12000,
    HEALTH_QUOTA_BYTES = 4000,
    HEALTH_AGE_MS = 9000,
    RETRIES = 12,
    NEW_RECORDS = 3,
    PATH_BYTES = 128,
    COPY_BYTES_MAX = 16 << 20,
    START_MS = 1000000,
};

/* One seed. */
struct seed {
    struct oracle oracle;
    struct clock clock;
    int64_t now_ms;
    char path[PATH_BYTES]; /* of the work; a check has its own */
    struct spool *spool;
    struct buf copy; /* of the database, made when it was closed */
    uint32_t copy_note;
    uint64_t incarnations[ORACLE_STEPS * 4]; /* that were used */
    size_t incarnation_count;
};

static int64_t now(void *ctx)
{
    return ((const struct seed *)ctx)->now_ms;
}

static struct spool_settings settings_of(const char *path)
{
    return (struct spool_settings){
        .path = path,
        .device = "term-0001",
        .quota_bytes = SPOOL_QUOTA_MIN_BYTES,
        .grace_ms = GRACE_MS,
        .key_window = ORACLE_RECORDS,
        .lanes = {{0, 0}, {EVENT_QUOTA_BYTES, 0}, {HEALTH_QUOTA_BYTES, HEALTH_AGE_MS}},
    };
}

static void *begin(struct crash *crash)
{
    struct seed *seed = calloc(1, sizeof *seed);
    if (seed == NULL)
        crash_stop(crash, "no memory");
    seed->now_ms = START_MS;
    seed->clock = (struct clock){now, now, seed};
    return seed;
}

static void end(struct crash *crash)
{
    buf_done(&((struct seed *)crash->ctx)->copy);
    free(crash->ctx);
}

/* ---- the work ---- */

static void must(struct crash *crash, bool ok, const struct err *err)
{
    if (!ok)
        crash_stop(crash, "%s", err->text);
}

static struct oracle_step *step_begin(struct crash *crash)
{
    struct oracle *oracle = &((struct seed *)crash->ctx)->oracle;
    struct oracle_step *step = &oracle->steps[++crash->log.step];
    memset(step, 0, sizeof *step);
    step->note = step[-1].note;
    step->keys_from = step[-1].keys_from;
    return step;
}

static void step_end(struct crash *crash)
{
    struct seed *seed = crash->ctx;
    struct err err = {0};
    if (seed->spool != NULL) /* closed: as before */
        must(crash, oracle_survey(&seed->oracle, seed->spool, crash, &err), &err);
    oracle_step_done(&seed->oracle, crash, crash->log.step, seed->now_ms);
}

static void open_spool(struct crash *crash)
{
    struct seed *seed = crash->ctx;
    struct err err = {0};
    const struct spool_settings settings = settings_of(seed->path);
    must(crash, spool_open(&settings, &seed->clock, &seed->spool, &err), &err);
    seed->incarnations[seed->incarnation_count++ % (ORACLE_STEPS * 4)] =
        spool_incarnation(seed->spool);
}

static void do_open(struct crash *crash)
{
    (void)step_begin(crash);
    open_spool(crash);
    step_end(crash);
}

static void do_close(struct crash *crash)
{
    struct seed *seed = crash->ctx;
    (void)step_begin(crash);
    spool_close(seed->spool);
    seed->spool = NULL;
    step_end(crash);
}

static void do_reopen(struct crash *crash)
{
    struct seed *seed = crash->ctx;
    do_close(crash);
    if (crash_draw(crash, 2) == 0) { /* a backup, which may be put back later */
        buf_done(&seed->copy);
        if (!file_read(seed->path, COPY_BYTES_MAX, &seed->copy, NULL))
            crash_stop(crash, "no copy");
        seed->copy_note = seed->oracle.steps[crash->log.step].note;
    }
    do_open(crash);
}

/* Something happens to the files while the spool is closed. What that means is seen when it is
 * opened again: until then, a cut may find that or what was before. */
static void do_harm(struct crash *crash)
{
    struct seed *seed = crash->ctx;
    char dir[PATH_BYTES], chain[PATH_BYTES + 8];
    uint8_t junk[3000];
    struct err err = {0};
    unsigned kind = crash_draw(crash, 5);
    memset(junk, 0xa5, sizeof junk);
    (void)snprintf(dir, sizeof dir, "%.*s", (int)(strrchr(seed->path, '/') - seed->path),
                   seed->path);
    (void)snprintf(chain, sizeof chain, "%s.chain", seed->path);
    do_close(crash);
    struct oracle_step *step = step_begin(crash);
    unsigned at = crash->log.step;
    step->may_lose = kind < 3 ? 1u << SPOOL_LOST_UNKNOWN : 0;
    step->keys_go = kind < 3;
    step->keys_from = kind < 3 ? seed->oracle.count : step->keys_from;
    step->note = kind < 3 ? 0 : step->note;
    bool ok = file_sync_dir(dir, &err);
    if (kind == 0 || (kind == 2 && seed->copy.length == 0)) {
        ok = ok && file_remove(seed->path, &err);
    } else if (kind == 1) {
        ok = ok && file_write(seed->path, bytes_of(junk, sizeof junk), 0600, &err);
    } else if (kind == 2) {
        step->may_return = step->may_settle = true;
        step->may_lose = ~0u;
        step->note = seed->copy_note;
        ok = ok && file_write(seed->path, buf_bytes(&seed->copy), 0600, &err);
    } else if (kind == 3) {
        ok = ok && file_remove(chain, &err);
    } else {
        ok = ok && file_write(chain, bytes_of(junk, sizeof junk), 0600, &err);
    }
    must(crash, ok, &err);
    step = step_begin(crash);
    open_spool(crash);
    must(crash, oracle_survey(&seed->oracle, seed->spool, crash, &err), &err);
    oracle_step_done(&seed->oracle, crash, at, seed->now_ms);
    oracle_step_done(&seed->oracle, crash, at + 1, seed->now_ms);
}

static void do_push(struct crash *crash)
{
    static uint8_t keys[PUSH_MAX][ORACLE_KEY_BYTES], bodies[PUSH_MAX][ORACLE_BODY_MAX];
    struct seed *seed = crash->ctx;
    struct oracle_record given[PUSH_MAX];
    struct spool_record records[PUSH_MAX];
    struct err err = {0};
    struct oracle_step *step = step_begin(crash);
    step->may_lose = 1u << SPOOL_LOST_QUOTA;
    step->in_parts = true; /* makes room first */
    size_t count = 1 + crash_draw(crash, PUSH_MAX);
    for (size_t i = 0; i < count; i++) {
        given[i] = (struct oracle_record){.lane = 1 + (int)crash_draw(crash, SPOOL_LANES),
                                          .keyed = crash_draw(crash, 3) > 0,
                                          .step = crash->log.step,
                                          .content = ++seed->oracle.contents};
        records[i] = (struct spool_record){.lane = given[i].lane,
                                           .key = oracle_key(&given[i], keys[i]),
                                           .body = oracle_body(&given[i], bodies[i])};
    }
    bool pushed = spool_push(seed->spool, records, count, &err);
    must(crash, pushed || err.code == ERR_FULL, &err); /* more than its lane may hold */
    for (size_t i = 0; pushed && i < count; i++) {
        given[i].incarnation = records[i].incarnation;
        given[i].seq = records[i].seq;
        if (records[i].duplicate ||
            oracle_find(&seed->oracle, given[i].incarnation, given[i].lane, given[i].seq) != NULL)
            crash_stop(crash, "the spool gave an id twice");
        oracle_add(&seed->oracle, &given[i]);
    }
    step_end(crash);
}

static void do_receipt(struct crash *crash)
{
    enum { STREAMS = 64, RANGES = 3 };
    struct seed *seed = crash->ctx;
    struct spool_stream streams[STREAMS];
    struct spool_range ranges[RANGES];
    struct err err = {0};
    size_t count = spool_streams(seed->spool, streams, STREAMS);
    if (count == 0)
        return;
    step_begin(crash)->may_settle = true;
    const struct spool_stream *of =
        &streams[crash_draw(crash, (unsigned)(count < STREAMS ? count : STREAMS))];
    unsigned last = (unsigned)of->last_seq;
    uint64_t cumulative = crash_draw(crash, 2) == 0 ? crash_draw(crash, last + 1) : 0;
    if (crash_draw(crash, 4) == 0)
        cumulative = last;
    size_t range_count = crash_draw(crash, RANGES + 1);
    for (size_t i = 0; i < range_count; i++) {
        ranges[i].first = 1 + crash_draw(crash, last);
        ranges[i].last =
            ranges[i].first + crash_draw(crash, (unsigned)(last - ranges[i].first) + 1);
    }
    must(crash,
         spool_receipt(seed->spool, of->incarnation, of->lane, cumulative, ranges, range_count,
                       &err),
         &err);
    step_end(crash);
}

static void do_forget(struct crash *crash)
{
    struct seed *seed = crash->ctx;
    struct err err = {0};
    size_t removed = 0;
    seed->now_ms += crash_draw(crash, 2 * GRACE_MS);
    struct oracle_step *step = step_begin(crash);
    step->in_parts = true;
    step->may_lose = 1u << SPOOL_LOST_AGE | 1u << SPOOL_LOST_QUOTA;
    must(crash, spool_forget(seed->spool, &removed, &err), &err);
    step_end(crash);
}

/* A range of a stream that has something to send. */
static bool draw_range(struct crash *crash, struct spool_stream *ret_stream,
                       struct spool_range *ret_range)
{
    enum { STREAMS = 64 };
    struct seed *seed = crash->ctx;
    struct spool_stream streams[STREAMS];
    size_t count = spool_unclosed(seed->spool, streams, STREAMS);
    if (count == 0)
        return false;
    *ret_stream = streams[crash_draw(crash, (unsigned)(count < STREAMS ? count : STREAMS))];
    ret_range->first = 1 + crash_draw(crash, (unsigned)ret_stream->last_seq);
    ret_range->last = ret_range->first +
                      crash_draw(crash, (unsigned)(ret_stream->last_seq - ret_range->first) + 1);
    return true;
}

static void do_lose(struct crash *crash)
{
    struct seed *seed = crash->ctx;
    struct spool_stream of;
    struct spool_range range;
    struct err err = {0};
    if (!draw_range(crash, &of, &range))
        return;
    enum spool_loss why = crash_draw(crash, 2) == 0 ? SPOOL_LOST_CONFLICT : SPOOL_LOST_UNDECODABLE;
    if (range.last > range.first + 2)
        range.last = range.first + 2;
    step_begin(crash)->may_lose = 1u << why;
    must(crash,
         spool_lose(seed->spool, of.incarnation, of.lane, range.first, range.last, why, &err),
         &err);
    step_end(crash);
}

/* The fleet was restored from a backup. */
static void do_again(struct crash *crash)
{
    struct seed *seed = crash->ctx;
    struct spool_stream of;
    struct spool_range range;
    struct err err = {0};
    if (!draw_range(crash, &of, &range))
        return;
    struct oracle_step *step = step_begin(crash);
    step->may_return = step->may_settle = true;
    step->may_lose = ~0u & ~(1u << SPOOL_LOST_UNKNOWN);
    must(crash,
         spool_again(seed->spool, of.incarnation, of.lane, crash_draw(crash, (unsigned)range.first),
                     &range, crash_draw(crash, 2), &err),
         &err);
    step_end(crash);
}

static struct bytes note_of(uint32_t content, uint8_t text[64])
{
    memset(text, (int)content, 64);
    memcpy(text, &content, sizeof content);
    return bytes_of(text, 8 + content % 56);
}

static void do_note(struct crash *crash)
{
    struct seed *seed = crash->ctx;
    uint8_t text[64];
    struct err err = {0};
    uint32_t note = step_begin(crash)->note = ++seed->oracle.contents;
    must(crash, spool_note_write(seed->spool, "receipt", note_of(note, text), &err), &err);
    step_end(crash);
}

static void work(struct crash *crash, const char *dir)
{
    struct seed *seed = crash->ctx;
    crash->log.step = 0;
    (void)snprintf(seed->path, sizeof seed->path, "%s/spool.db", dir);
    if (crash->round == 0) {
        oracle_step_done(&seed->oracle, crash, 0, seed->now_ms);
        do_open(crash);
    } else {
        struct err err = {0};
        crash->log.step = 1;
        seed->now_ms = seed->oracle.steps[crash->from_step].now_ms;
        open_spool(crash);
        buf_done(&seed->copy); /* it may be younger than the cut */
        must(crash, oracle_survey(&seed->oracle, seed->spool, crash, &err), &err);
        oracle_resume(&seed->oracle, crash, crash->from_step, crash->from_done);
        crash->log.step = 0;
        (void)step_begin(crash);
        step_end(crash);
    }
    while (crash->log.step < STEPS) {
        unsigned what = crash_draw(crash, 100);
        seed->now_ms += crash_draw(crash, 20);
        if (what < 50) {
            do_push(crash);
        } else if (what < 70) {
            do_receipt(crash);
        } else if (what < 84) {
            do_forget(crash);
        } else if (what < 88) {
            do_lose(crash);
        } else if (what < 91) {
            do_again(crash);
        } else if (what < 94) {
            do_note(crash);
        } else if (what < 98) {
            do_reopen(crash);
        } else {
            do_harm(crash);
        }
    }
}

static void drop(struct crash *crash)
{
    struct seed *seed = crash->ctx;
    spool_close(seed->spool);
    seed->spool = NULL;
}

/* ---- the check ---- */

struct check {
    struct crash *crash;
    struct seed *seed;
    char path[PATH_BYTES];
    struct spool *spool;
    unsigned step;
    bool done;
    struct oracle_record added[NEW_RECORDS];
};

/* In the image, at the time of the cut. */
static bool check_open(struct check *check)
{
    const struct spool_settings settings = settings_of(check->path);
    struct seed *seed = check->seed;
    struct err err = {0};
    check->spool = NULL;
    if (!spool_open(&settings, &seed->clock, &check->spool, &err)) {
        crash_corrupt(check->crash, "does not open: %s", err.text);
        return false;
    }
    uint64_t incarnation = spool_incarnation(check->spool);
    for (size_t i = 0; i < seed->incarnation_count && i < ORACLE_STEPS * 4; i++) {
        if (seed->incarnations[i] == incarnation)
            crash_doubled(check->crash, "an incarnation is used again");
    }
    if (oracle_survey(&seed->oracle, check->spool, check->crash, &err))
        return true;
    crash_corrupt(check->crash, "cannot be read: %s", err.text);
    return false;
}

static void check_note(struct check *check)
{
    const struct oracle_step *step = &check->seed->oracle.steps[check->step];
    uint8_t before[64], after[64];
    struct buf value = {0};
    struct err err = {0};
    bool ok = spool_note_read(check->spool, "receipt", &value, &err);
    struct bytes is = buf_bytes(&value);
    bool as_after =
        ok && (step->note == 0 ? is.length == 0 : bytes_equal(is, note_of(step->note, after)));
    bool as_before = ok && (step[-1].note == 0 ? is.length == 0
                                               : bytes_equal(is, note_of(step[-1].note, before)));
    if (!as_after && (check->done || !as_before) && !step->keys_go)
        crash_lost(check->crash, "the note is neither what it was nor what it became");
    buf_done(&value);
}

/* Retries of what was answered get the first answer; of what was not, any one. */
static void check_answer(struct check *check, const struct oracle_record *record, uint8_t state,
                         const struct spool_record *answer)
{
    bool first = answer->duplicate && answer->incarnation == record->incarnation &&
                 answer->seq == record->seq;
    bool answered = record->step < check->step || (record->step == check->step && check->done);
    if (answered ? !first
                 : answer->duplicate != (state != ORACLE_NONE) || answer->duplicate != first)
        crash_doubled(check->crash,
                      "a retry of lane %d seq %" PRIu64 " of step %u (state %u) got seq %" PRIu64
                      "%s%s",
                      record->lane, record->seq, record->step, state, answer->seq,
                      answer->duplicate ? " as a duplicate" : " as new",
                      answer->incarnation == record->incarnation ? "" : " in another incarnation");
}

/* Retries of the newest keys, and new records behind them, in one push. */
static void check_push(struct check *check)
{
    static uint8_t keys[RETRIES][ORACLE_KEY_BYTES], bodies[RETRIES + NEW_RECORDS][ORACLE_BODY_MAX];
    const struct oracle *oracle = &check->seed->oracle;
    const struct oracle_step *step = &oracle->steps[check->step];
    struct spool_record records[RETRIES + NEW_RECORDS];
    size_t retried[RETRIES], count = 0, given = 0;
    struct err err = {0};
    for (size_t i = step->records; i > step->keys_from && count < RETRIES && !step->keys_go; i--) {
        const struct oracle_record *record = &oracle->records[i - 1];
        if (!record->keyed || record->step > check->step)
            continue;
        records[count] = (struct spool_record){.lane = record->lane,
                                               .key = oracle_key(record, keys[count]),
                                               .body = oracle_body(record, bodies[count])};
        retried[count++] = i - 1;
    }
    size_t retries = count;
    for (; given < NEW_RECORDS; given++, count++) {
        check->added[given] = (struct oracle_record){
            .lane = 1 + (int)given, .content = UINT32_MAX - 1 - 2 * (uint32_t)given};
        records[count] =
            (struct spool_record){.lane = check->added[given].lane,
                                  .body = oracle_body(&check->added[given], bodies[count])};
    }
    if (!spool_push(check->spool, records, count, &err)) {
        crash_corrupt(check->crash, "takes nothing new: %s", err.text);
        return;
    }
    for (size_t i = 0; i < retries; i++)
        check_answer(check, &oracle->records[retried[i]], oracle->now[retried[i]], &records[i]);
    for (size_t i = 0; i < NEW_RECORDS; i++) {
        check->added[i].incarnation = records[retries + i].incarnation;
        check->added[i].seq = records[retries + i].seq;
        if (oracle_find(oracle, check->added[i].incarnation, check->added[i].lane,
                        check->added[i].seq) != NULL)
            crash_doubled(check->crash, "an id is given again");
    }
}

static void check_database(struct check *check)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *statement = NULL;
    const char *said = "no answer";
    if (sqlite3_open_v2(check->path, &db, SQLITE_OPEN_READONLY, NULL) == SQLITE_OK &&
        sqlite3_prepare_v2(db, "PRAGMA integrity_check", -1, &statement, NULL) == SQLITE_OK &&
        sqlite3_step(statement) == SQLITE_ROW)
        said = (const char *)sqlite3_column_text(statement, 0);
    if (strcmp(said, "ok") != 0)
        crash_corrupt(check->crash, "integrity_check: %s: %s", said, sqlite3_errmsg(db));
    (void)sqlite3_finalize(statement);
    (void)sqlite3_close(db);
}

struct found {
    const struct oracle_record *record;
    bool found;
};

static bool find_added(void *ctx, uint64_t seq, struct bytes body, struct err *err)
{
    struct found *found = ctx;
    uint8_t expected[ORACLE_BODY_MAX];
    (void)err;
    found->found =
        seq == found->record->seq && bytes_equal(body, oracle_body(found->record, expected));
    return false;
}

/* What was pushed after the cut is there. */
static void check_again(struct check *check)
{
    const struct spool_settings settings = settings_of(check->path);
    struct err err = {0};
    if (!spool_open(&settings, &check->seed->clock, &check->spool, &err)) {
        crash_corrupt(check->crash, "does not open a second time: %s", err.text);
        return;
    }
    for (size_t i = 0; i < NEW_RECORDS; i++) {
        struct found found = {&check->added[i], false};
        struct spool_found range = {0};
        (void)!spool_read(check->spool, check->added[i].incarnation, check->added[i].lane,
                          check->added[i].seq, 1, 1, find_added, &found, &range, NULL);
        if (!found.found)
            crash_lost(check->crash, "what was pushed after the cut, lane %d",
                       check->added[i].lane);
    }
}

static uint64_t seen[ORACLE_LOST + SPOOL_LOSSES]; /* records in each state, over all images */

static void check(struct crash *crash, const char *dir, unsigned step, bool done)
{
    struct seed *seed = crash->ctx;
    struct check check = {.crash = crash, .seed = seed, .step = step, .done = done};
    uint64_t breaches = crash->corrupt + crash->lost + crash->doubled;
    int64_t now_ms = seed->now_ms;
    seed->now_ms = seed->oracle.steps[step].now_ms;
    (void)snprintf(check.path, sizeof check.path, "%s/spool.db", dir);
    if (check_open(&check)) {
        for (size_t i = 0; i < seed->oracle.count; i++)
            seen[seed->oracle.now[i]]++;
        oracle_judge(&seed->oracle, crash, step, done);
        check_note(&check);
        check_push(&check);
        spool_close(check.spool);
        check.spool = NULL;
        if (crash->thorough)
            check_database(&check);
        if (crash->thorough && crash->corrupt + crash->lost + crash->doubled == breaches)
            check_again(&check);
    }
    spool_close(check.spool);
    seed->now_ms = now_ms;
}

int main(int argc, char **argv)
{
    const struct crash_part part = {
        .name = "spool",
        .images = 22000,
        .images_full = 430000,
        .kinds = 1u << DISK_CREATE | 1u << DISK_WRITE | 1u << DISK_TRUNCATE | 1u << DISK_SYNC |
                 1u << DISK_SYNC_DIR | 1u << DISK_RENAME | 1u << DISK_UNLINK,
        .rounds = 3,
        .begin = begin,
        .work = work,
        .drop = drop,
        .check = check,
        .end = end,
    };
    static const char *const states[] = {[ORACLE_HELD] = "held",
                                         [ORACLE_LOST + SPOOL_LOST_QUOTA] = "quota",
                                         [ORACLE_LOST + SPOOL_LOST_AGE] = "age",
                                         [ORACLE_LOST + SPOOL_LOST_CONFLICT] = "conflict",
                                         [ORACLE_LOST + SPOOL_LOST_UNDECODABLE] = "undecodable",
                                         [ORACLE_LOST + SPOOL_LOST_FORGOTTEN] = "forgotten",
                                         [ORACLE_LOST + SPOOL_LOST_UNKNOWN] = "unknown"};
    int code = crash_main(&part, argc, argv);
    for (size_t i = 0; i < sizeof states / sizeof *states; i++) {
        if (states[i] != NULL)
            printf("crash.spool.seen_%s %" PRIu64 " count\n", states[i], seen[i]);
    }
    return code;
}
