/* SPDX-License-Identifier: Apache-2.0 */
/* Power cuts under the terminal's spool. */
#include "base/file.h"
#include "tests/crash/spool_seed.h"

#include <inttypes.h>
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
    COPY_BYTES_MAX = 16 << 20,
    START_MS = 1000000,
};

static int64_t now(void *ctx)
{
    return ((const struct seed *)ctx)->now_ms;
}

/* Any bytes will do, and few are quickly written. */
static const struct spool_dictionary dictionary = {1,
                                                   {(const uint8_t *)"approved at the till", 20}};

struct spool_settings settings_of(const char *path)
{
    return (struct spool_settings){
        .path = path,
        .device = "term-0001",
        .quota_bytes = SPOOL_QUOTA_MIN_BYTES,
        .grace_ms = GRACE_MS,
        .key_window = ORACLE_RECORDS,
        .dictionaries = &dictionary,
        .dictionary_count = 1,
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

static void survey(struct crash *crash)
{
    struct seed *seed = crash->ctx;
    struct err err = {0};
    must(crash, oracle_survey(&seed->oracle, seed->spool, crash, &err), &err);
    for (size_t i = 0; i < seed->oracle.count; i++)
        seed->unknown = seed->unknown || seed->oracle.now[i] == ORACLE_LOST + SPOOL_LOST_UNKNOWN;
}

static void step_end(struct crash *crash)
{
    struct seed *seed = crash->ctx;
    if (seed->spool != NULL) /* closed: as before */
        survey(crash);
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
    step->chain_unsure = true;
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
    step->chain_unsure = true;
    open_spool(crash);
    survey(crash);
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
    step->may_lose = seed->unknown ? ~0u : ~0u & ~(1u << SPOOL_LOST_UNKNOWN);
    must(crash,
         spool_again(seed->spool, of.incarnation, of.lane, crash_draw(crash, (unsigned)range.first),
                     &range, crash_draw(crash, 2), &err),
         &err);
    step_end(crash);
}

struct bytes note_of(uint32_t content, uint8_t text[64])
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
        bool unsure = seed->oracle.steps[crash->from_step].chain_unsure;
        crash->log.step = 1;
        seed->now_ms = seed->oracle.steps[crash->from_step].now_ms;
        open_spool(crash);
        buf_done(&seed->copy); /* it may be younger than the cut */
        survey(crash);
        oracle_resume(&seed->oracle, crash, crash->from_step, crash->from_done);
        crash->log.step = 0;
        step_begin(crash)->chain_unsure = unsure;
        step_end(crash);
    }
    while (crash->log.step < STEPS) {
        unsigned what = crash_draw(crash, 100);
        seed->now_ms += crash_draw(crash, 20);
        if (crash->seed % 3 == 2 && what >= 50 && what < 90)
            what = 95; /* restless: many incarnations, and a long chain of them */
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

int main(int argc, char **argv)
{
    const struct crash_part part = {
        .name = "spool",
        .images = 21500,
        .images_full = 415000,
        .kinds = 1u << DISK_CREATE | 1u << DISK_WRITE | 1u << DISK_TRUNCATE | 1u << DISK_SYNC |
                 1u << DISK_SYNC_DIR | 1u << DISK_RENAME | 1u << DISK_UNLINK,
        .rounds = 3,
        .begin = begin,
        .work = work,
        .drop = drop,
        .check = spool_check,
        .end = end,
    };
    int code = crash_main(&part, argc, argv);
    spool_check_figures();
    return code;
}
