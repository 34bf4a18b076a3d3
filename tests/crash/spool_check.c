/* SPDX-License-Identifier: Apache-2.0 */
/* What a spool must still hold, and do, after a cut. */
#include "tests/crash/spool_seed.h"

#include <inttypes.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { RETRIES = 12, NEW_RECORDS = 3 };

struct check {
    struct crash *crash;
    struct seed *seed;
    char path[PATH_BYTES];
    struct spool *spool;
    unsigned step;
    bool done;
    struct oracle_record added[NEW_RECORDS];
};

static uint64_t seen[ORACLE_LOST + SPOOL_LOSSES]; /* records in each state, over all images */

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
    if (!oracle_survey(&seed->oracle, check->spool, check->crash, &err)) {
        crash_corrupt(check->crash, "cannot be read: %s", err.text);
        return false;
    }
    for (size_t i = 0; i < seed->oracle.count; i++)
        seen[seed->oracle.now[i]]++;
    return true;
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
    static uint8_t keys[RETRIES][ORACLE_KEY_BYTES], bodies[NEW_RECORDS][ORACLE_BODY_MAX];
    const struct oracle *oracle = &check->seed->oracle;
    const struct oracle_step *step = &oracle->steps[check->step];
    struct spool_record records[RETRIES + NEW_RECORDS];
    size_t retried[RETRIES], count = 0, given = 0;
    struct err err = {0};
    for (size_t i = step->records; i > step->keys_from && count < RETRIES && !step->keys_go; i--) {
        const struct oracle_record *record = &oracle->records[i - 1];
        if (!record->keyed || record->step > check->step)
            continue;
        records[count] =
            (struct spool_record){.lane = record->lane,
                                  .key = oracle_key(record, keys[count]),
                                  /* short: what was not answered may not fit its lane */
                                  .body = bytes_of("again", 5)};
        retried[count++] = i - 1;
    }
    size_t retries = count;
    for (; given < NEW_RECORDS; given++, count++) {
        check->added[given] = (struct oracle_record){
            .lane = 1 + (int)given, .content = UINT32_MAX - 1 - 2 * (uint32_t)given};
        records[count] =
            (struct spool_record){.lane = check->added[given].lane,
                                  .body = oracle_body(&check->added[given], bodies[given])};
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

/* The power cut is not all: the database is gone with it. */
static void destroy(const char *path)
{
    char wal[PATH_BYTES + 8];
    (void)snprintf(wal, sizeof wal, "%s-wal", path);
    (void)unlink(path);
    (void)unlink(wal);
}

/* All that had been acknowledged and not receipted is within the unknown tail. */
static void judge_destroyed(struct check *check)
{
    const struct oracle *oracle = &check->seed->oracle;
    const struct oracle_step *after = &oracle->steps[check->step];
    const struct oracle_step *before = check->done ? after : after - 1;
    for (size_t i = 0; i < before->records; i++) {
        if (before->state[i] == ORACLE_NONE || after->state[i] == ORACLE_NONE ||
            oracle->now[i] == ORACLE_LOST + SPOOL_LOST_UNKNOWN)
            continue;
        crash_lost(check->crash,
                   "lane %d seq %" PRIu64 " of step %u: not in the unknown tail of a destroyed "
                   "database (state %u)",
                   oracle->records[i].lane, oracle->records[i].seq, oracle->records[i].step,
                   oracle->now[i]);
    }
}

void spool_check(struct crash *crash, const char *dir, unsigned step, bool done)
{
    struct seed *seed = crash->ctx;
    struct check check = {.crash = crash, .seed = seed, .step = step, .done = done};
    uint64_t breaches = crash->corrupt + crash->lost + crash->doubled;
    int64_t now_ms = seed->now_ms;
    seed->now_ms = seed->oracle.steps[step].now_ms;
    (void)snprintf(check.path, sizeof check.path, "%s/spool.db", dir);
    bool destroyed = crash->image % 4 == 1 && !seed->oracle.steps[step].chain_unsure;
    if (destroyed)
        destroy(check.path);
    if (!check_open(&check)) {
        spool_close(check.spool);
    } else if (destroyed) {
        judge_destroyed(&check);
        spool_close(check.spool);
    } else {
        oracle_judge(&seed->oracle, crash, step, done);
        check_note(&check);
        check_push(&check);
        spool_close(check.spool);
        check.spool = NULL;
        if (crash->thorough)
            check_database(&check);
        if (crash->thorough && crash->corrupt + crash->lost + crash->doubled == breaches)
            check_again(&check);
        spool_close(check.spool);
    }
    seed->now_ms = now_ms;
}

void spool_check_figures(void)
{
    static const char *const states[] = {[ORACLE_HELD] = "held",
                                         [ORACLE_LOST + SPOOL_LOST_QUOTA] = "quota",
                                         [ORACLE_LOST + SPOOL_LOST_AGE] = "age",
                                         [ORACLE_LOST + SPOOL_LOST_CONFLICT] = "conflict",
                                         [ORACLE_LOST + SPOOL_LOST_UNDECODABLE] = "undecodable",
                                         [ORACLE_LOST + SPOOL_LOST_FORGOTTEN] = "forgotten",
                                         [ORACLE_LOST + SPOOL_LOST_UNKNOWN] = "unknown"};
    for (size_t i = 0; i < sizeof states / sizeof *states; i++) {
        if (states[i] != NULL)
            printf("crash.spool.seen_%s %" PRIu64 " count\n", states[i], seen[i]);
    }
}
