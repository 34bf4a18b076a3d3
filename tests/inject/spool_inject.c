/* SPDX-License-Identifier: Apache-2.0 */
/* The spool, as the agent uses it, with a fault at every place. A step that fails with anything but
 * ERR_FULL ends the agent, which is started again; the fault may still be there then. */
#include "base/file.h"
#include "tests/inject/ledger.h"
#include "tests/inject/sweep.h"

#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

enum {
    GRACE_MS = 16000,
    TRIES_UNDER_FAULT = 2, /* then the fault is over */
    TRIES = 5,
    CALL_RECORDS = 8,
    LOOK_AFTER = 16,
    PATH_BYTES = 128,
    DB_MALLOC = 1 << FAULT_DB_MALLOC,
};

static struct {
    char path[PATH_BYTES];
    int64_t now_ms;
    struct spool_settings settings;
    struct clock clock;
    struct spool *spool;
    struct ledger ledger;
} desk;

/* Before the fault: the files in "template", and what they hold. */
static struct {
    struct ledger ledger;
    uint64_t incarnation;
    int64_t now_ms;
} before;

static int64_t read_now_ms(void *ctx)
{
    (void)ctx;
    return desk.now_ms;
}

/* Any bytes are a dictionary to zstd. */
static const struct spool_dictionary dictionary = {1,
                                                   {(const uint8_t *)"approved at the till", 20}};

static void set_desk(const char *folder)
{
    (void)snprintf(desk.path, sizeof desk.path, "%s/%s/spool.db", sweep_dir(), folder);
    desk.clock = (struct clock){.wall_ms = read_now_ms, .boot_ms = read_now_ms};
    desk.settings = (struct spool_settings){
        .path = desk.path,
        .device = "p-100001",
        .quota_bytes = 64 << 20,
        .grace_ms = GRACE_MS,
        .key_window = 1000,
        .dictionaries = &dictionary,
        .dictionary_count = 1,
    };
}

static void close_spool(void)
{
    struct spool *spool = desk.spool;
    desk.spool = NULL;
    faults_on();
    spool_close(spool);
    faults_off();
}

/* ---- steps ---- */

struct step {
    unsigned call; /* of a push; 0: none */
    bool (*take)(struct step *step, struct err *err);
    struct ledger_record *records[CALL_RECORDS];
    size_t count;
    uint64_t incarnation, cumulative; /* of a receipt */
    struct spool_range range;
    int lane;
};

/* On a full disk a record may displace what is worth as much or less. */
static void allow_room(const struct step *step)
{
    int least = 0;
    const struct fault *fault = faults_planned();
    if (fault->kind != FAULT_NOSPC && fault->kind != FAULT_SHORT)
        return;
    for (size_t i = 0; i < step->count; i++)
        least = step->records[i]->lane > least ? step->records[i]->lane : least;
    for (int lane = least; lane <= SPOOL_LANES; lane++)
        desk.ledger.may_lose[lane] |= 1u << SPOOL_LOST_QUOTA;
}

static bool take_push(struct step *step, struct err *err)
{
    struct spool_record records[CALL_RECORDS];
    allow_room(step);
    for (size_t i = 0; i < step->count; i++) {
        const struct ledger_record *record = step->records[i];
        records[i] = (struct spool_record){.lane = record->lane,
                                           .key = bytes_of(record->key, strlen(record->key)),
                                           .body = bytes_of(record->body, record->length)};
    }
    if (!UNDER_FAULTS(spool_push(desk.spool, records, step->count, err)))
        return false;
    for (size_t i = 0; i < step->count; i++)
        ledger_answer(&desk.ledger, step->records[i], &records[i]);
    return true;
}

static bool take_receipt(struct step *step, struct err *err)
{
    size_t ranges = step->range.first != 0 ? 1 : 0;
    struct ledger_claim *below =
        ledger_claim(&desk.ledger, step->incarnation, step->lane, 1, step->cumulative);
    struct ledger_claim *beyond = ledger_claim(&desk.ledger, step->incarnation, step->lane,
                                               step->range.first, step->range.last);
    if (!UNDER_FAULTS(spool_receipt(desk.spool, step->incarnation, step->lane, step->cumulative,
                                    &step->range, ranges, err)))
        return false;
    below->taken = true;
    beyond->taken = ranges == 1;
    return true;
}

static bool take_forget(struct step *step, struct err *err)
{
    size_t removed = 0;
    (void)step;
    return UNDER_FAULTS(spool_forget(desk.spool, &removed, err));
}

static bool take_note(struct step *step, struct err *err)
{
    static const char value[] = "the newest receipt";
    struct buf read = {0};
    (void)step;
    bool good =
        UNDER_FAULTS(spool_note_write(desk.spool, "note", bytes_of(value, sizeof value), err) &&
                     spool_note_read(desk.spool, "note", &read, err));
    if (good && !bytes_equal(buf_bytes(&read), bytes_of(value, sizeof value)))
        violation("a note was not kept");
    buf_done(&read);
    return good;
}

static bool take_lose(struct step *step, struct err *err)
{
    return UNDER_FAULTS(spool_lose(desk.spool, step->incarnation, step->lane, step->range.first,
                                   step->range.last, SPOOL_LOST_CONFLICT, err));
}

static bool take_again(struct step *step, struct err *err)
{
    return UNDER_FAULTS(
        spool_again(desk.spool, step->incarnation, step->lane, step->cumulative, NULL, 0, err));
}

static bool ignore_body(void *ctx, uint64_t seq, struct bytes body, struct err *err)
{
    (void)ctx, (void)seq, (void)body, (void)err;
    return true;
}

/* As the sender does; whether it is given is for the ledger to see, from the files. */
static bool take_read(struct step *step, struct err *err)
{
    struct spool_found found = {0};
    return UNDER_FAULTS(spool_read(desk.spool, step->incarnation, step->lane, 1, 100, 1 << 16,
                                   ignore_body, NULL, &found, err));
}

/* ---- the agent ---- */

/* After a failed fsync nothing more may be answered for. */
static void check_refuses(void)
{
    struct spool_record record = {.lane = 3, .body = bytes_of("after a failed fsync", 20)};
    if (spool_push(desk.spool, &record, 1, NULL))
        violation("a push was answered for after a failed fsync");
}

static bool try_step(struct step *step, bool first, struct err *err)
{
    unsigned syncs = faults_db_syncs_struck();
    if (desk.spool == NULL &&
        !UNDER_FAULTS(spool_open(&desk.settings, &desk.clock, &desk.spool, err)))
        return false;
    bool done = step->take(step, err);
    if (!done && first && step->call != 0)
        ledger_check_refused(&desk.ledger, step->call, desk.spool);
    syncs = faults_db_syncs_struck() - syncs;
    if (syncs > 0)
        check_refuses();
    if (syncs > 0 || (!done && err->code != ERR_FULL))
        close_spool();
    return done;
}

/* What has no key is not tried again: the spool could not know it. */
static bool again(struct step *step)
{
    size_t kept = 0;
    if (step->call == 0)
        return true;
    for (size_t i = 0; i < step->count; i++) {
        if (step->records[i]->key[0] != '\0')
            step->records[kept++] = step->records[i];
    }
    step->count = kept;
    return kept > 0;
}

/* Once a minute. */
static void keep_house(void)
{
    struct err err = {0};
    size_t removed = 0;
    if (desk.spool != NULL && !UNDER_FAULTS(spool_forget(desk.spool, &removed, &err)))
        close_spool();
}

/* Until it is done, and without the fault it must be. */
static void take(struct step step)
{
    struct err err = {0};
    for (int tries = 0; tries < TRIES; tries++) {
        if (tries == TRIES_UNDER_FAULT)
            faults_end();
        if (try_step(&step, tries == 0, &err) || !again(&step))
            return;
        keep_house();
    }
    violation("does not recover: %s", err.text);
}

/* One call; a word for each record: its lane, and after a space its key, if it has one. */
static void push(const char *const *words, size_t length)
{
    struct step step = {.call = ++desk.ledger.calls, .take = take_push};
    for (; words[step.count] != NULL; step.count++) {
        const char *word = words[step.count];
        step.records[step.count] = ledger_add(&desk.ledger, step.call, word[0] - '0',
                                              word[1] == ' ' ? word + 2 : "", length);
    }
    take(step);
}
#define PUSH(length, ...) push((const char *const[]){__VA_ARGS__, NULL}, length)

static void receipt(uint64_t incarnation, int lane, uint64_t cumulative, struct spool_range range)
{
    take((struct step){.take = take_receipt,
                       .incarnation = incarnation,
                       .lane = lane,
                       .cumulative = cumulative,
                       .range = range});
}

/* ---- the end of a run ---- */

static void check_file(void)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *query = NULL;
    if (sqlite3_open_v2(desk.path, &db, SQLITE_OPEN_READWRITE, NULL) != SQLITE_OK ||
        sqlite3_prepare_v2(db, "PRAGMA integrity_check", -1, &query, NULL) != SQLITE_OK ||
        sqlite3_step(query) != SQLITE_ROW ||
        strcmp((const char *)sqlite3_column_text(query, 0), "ok") != 0)
        violation("the database is damaged: %s", sqlite3_errmsg(db));
    (void)sqlite3_finalize(query);
    (void)sqlite3_close(db);
}

static void judge(void)
{
    struct err err = {0};
    close_spool();
    faults_end();
    check_file();
    if (!spool_open(&desk.settings, &desk.clock, &desk.spool, &err)) {
        violation("does not open again: %s", err.text);
        return;
    }
    ledger_check(&desk.ledger, desk.spool);
    ledger_check_keys(&desk.ledger, desk.spool);
    spool_close(desk.spool);
    desk.spool = NULL;
}

/* ---- scenes ---- */

static void begin(const char *template)
{
    char from[PATH_BYTES], to[PATH_BYTES];
    (void)snprintf(from, sizeof from, "%s/%s", sweep_dir(), template);
    (void)snprintf(to, sizeof to, "%s/run", sweep_dir());
    sweep_copy(from, to);
    set_desk("run");
    desk.ledger = before.ledger;
    desk.now_ms = before.now_ms;
}

/* So that opening is not counted once more in each scene. */
static void open_uncounted(void)
{
    MUST(spool_open(&desk.settings, &desk.clock, &desk.spool, &err));
}

static void begin_opened(void)
{
    begin("template");
    open_uncounted();
}

static void run_on(void)
{
    PUSH(100, "1 first");
    judge();
}

static void run_fresh(void)
{
    begin("empty");
    memset(&desk.ledger, 0, sizeof desk.ledger);
    run_on();
}

/* SQLite's allocations are many: after most of them it shall do that nothing crashes or leaks when
 * the spool does not open, after some it is gone on with what that has left. */
static bool opens_or_ends(void)
{
    static unsigned runs;
    struct err err = {0};
    bool is_malloc = faults_planned()->op == FAULT_DB_MALLOC;
    return ++runs % LOOK_AFTER == 0 || !is_malloc ||
           UNDER_FAULTS(spool_open(&desk.settings, &desk.clock, &desk.spool, &err));
}

/* Without its 600 KB of zeros to write. */
static void run_create(void)
{
    begin("ballast");
    memset(&desk.ledger, 0, sizeof desk.ledger);
    if (opens_or_ends())
        run_on();
}

static void run_open(void)
{
    begin("template");
    if (opens_or_ends())
        run_on();
}

static void run_push(void)
{
    begin_opened();
    PUSH(300, "1 a", "2", "1 b", "1 a", "1 old-1", "3");
    PUSH(900, "2", "2", "3");
    PUSH(100, "1 b");
    PUSH(100, "1 c");
    judge();
}

static void run_receipt(void)
{
    begin_opened();
    receipt(before.incarnation, 1, 2, (struct spool_range){4, 4});
    take((struct step){.take = take_read, .incarnation = before.incarnation, .lane = 1});
    PUSH(100, "1 a", "3");
    receipt(before.incarnation, 1, 6, (struct spool_range){0});
    receipt(before.incarnation, 2, 1, (struct spool_range){3, 3});
    judge();
}

static void run_forget(void)
{
    begin_opened();
    receipt(before.incarnation, 1, 6, (struct spool_range){0});
    receipt(before.incarnation, 3, 2, (struct spool_range){0});
    desk.now_ms += 2 * GRACE_MS;
    take((struct step){.take = take_forget});
    take((struct step){.take = take_note});
    PUSH(100, "1 a", "3");
    judge();
}

/* A lane's quota is its own affair. */
static void run_evict(void)
{
    begin("template");
    desk.settings.lanes[1].quota_bytes = 2000;
    desk.ledger.may_lose[2] |= 1u << SPOOL_LOST_QUOTA;
    open_uncounted();
    PUSH(900, "2", "3");
    PUSH(900, "2");
    PUSH(900, "1 a", "2");
    judge();
}

static void run_age(void)
{
    begin("template");
    desk.settings.lanes[2].age_ms = GRACE_MS;
    desk.ledger.may_lose[3] |= 1u << SPOOL_LOST_AGE;
    open_uncounted();
    receipt(before.incarnation, 2, 2, (struct spool_range){0});
    desk.now_ms += 2 * GRACE_MS;
    take((struct step){.take = take_forget});
    PUSH(100, "3");
    judge();
}

static void run_lose(void)
{
    begin_opened();
    desk.ledger.may_lose[1] |= 1u << SPOOL_LOST_CONFLICT;
    receipt(before.incarnation, 1, 1, (struct spool_range){0});
    take((struct step){
        .take = take_lose, .incarnation = before.incarnation, .lane = 1, .range = {1, 3}});
    take((struct step){.take = take_read, .incarnation = before.incarnation, .lane = 1});
    judge();
}

/* The fleet comes back from a backup that holds less than it receipted. */
static void run_again(void)
{
    begin_opened();
    desk.ledger.may_lose[1] |= 1u << SPOOL_LOST_FORGOTTEN;
    desk.ledger.again = true;
    receipt(before.incarnation, 1, 4, (struct spool_range){0});
    desk.now_ms += 2 * GRACE_MS;
    take((struct step){.take = take_forget});
    receipt(before.incarnation, 1, 6, (struct spool_range){0});
    take((struct step){
        .take = take_again, .incarnation = before.incarnation, .lane = 1, .cumulative = 2});
    judge();
}

static void remove_database(void)
{
    char wal[PATH_BYTES + 8];
    (void)snprintf(wal, sizeof wal, "%s-wal", desk.path);
    MUST(file_remove(desk.path, &err) && file_remove(wal, &err));
}

/* All that was in the database is declared, by the chain. */
static void lose_all(void)
{
    for (int lane = 1; lane <= SPOOL_LANES; lane++)
        desk.ledger.may_lose[lane] |= 1u << SPOOL_LOST_UNKNOWN;
    desk.ledger.keys_from = desk.ledger.count;
}

static void run_destroyed(void)
{
    begin("template");
    lose_all();
    remove_database();
    run_on();
}

static void run_damaged(void)
{
    static const char garbage[4096] = "no database";
    begin("template");
    lose_all();
    remove_database();
    MUST(file_write(desk.path, bytes_of(garbage, sizeof garbage), 0600, &err));
    run_on();
}

/* A database from before its last pushes. */
static void run_older(void)
{
    struct buf old = {0};
    begin("template");
    MUST(file_read(desk.path, 1 << 24, &old, &err));
    open_uncounted();
    struct fault fault = *faults_planned();
    faults_end();
    PUSH(100, "1 x", "2");
    close_spool();
    faults_plan(&fault);
    for (int lane = 1; lane <= SPOOL_LANES; lane++)
        desk.ledger.may_lose[lane] |= 1u << SPOOL_LOST_UNKNOWN;
    desk.ledger.keys_from = desk.ledger.count;
    remove_database();
    MUST(file_write(desk.path, buf_bytes(&old), 0600, &err));
    buf_done(&old);
    run_on();
}

/* What another device left is set aside whole, and nothing of it is ours. */
static void run_foreign(void)
{
    char aside[PATH_BYTES + 16];
    begin("template");
    memset(&desk.ledger, 0, sizeof desk.ledger);
    desk.settings.device = "p-100002";
    run_on();
    (void)snprintf(aside, sizeof aside, "%s.foreign", desk.path);
    if (!file_exists(aside))
        violation("another device's records are gone");
}

static void make_templates(void)
{
    char path[PATH_BYTES];
    const char *const folders[] = {"empty", "ballast", "template"};
    for (size_t i = 0; i < 3; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", sweep_dir(), folders[i]);
        MUST(file_make_dir(path, 0755, &err));
    }
    set_desk("template");
    desk.now_ms = 1000;
    MUST(spool_open(&desk.settings, &desk.clock, &desk.spool, &err));
    before.incarnation = spool_incarnation(desk.spool);
    PUSH(200, "1 old-1", "1 old-2", "1 old-3", "2", "3");
    PUSH(200, "1 old-4", "2");
    PUSH(200, "1 old-5", "1 old-6", "2", "3");
    close_spool();
    char ballast[PATH_BYTES + 16];
    (void)snprintf(ballast, sizeof ballast, "%s.ballast", desk.path);
    (void)snprintf(path, sizeof path, "%s/ballast/spool.db.ballast", sweep_dir());
    MUST(file_link(ballast, path, &err));
    before.ledger = desk.ledger;
    before.now_ms = desk.now_ms + 1000;
}

int main(int argc, char **argv)
{
    static const struct sweep_scene scenes[] = {
        {"fresh", run_fresh, DB_MALLOC, 0, 0},
        {"create", run_create, 0, DB_MALLOC, DB_MALLOC},
        {"open", run_open, 0, DB_MALLOC, DB_MALLOC},
        {"push", run_push, 0, 0, 0},
        {"receipt", run_receipt, 0, 0, 0},
        {"forget", run_forget, 0, 0, 0},
        {"evict", run_evict, 0, 0, 0},
        {"age", run_age, 0, 0, 0},
        {"lose", run_lose, 0, 0, 0},
        {"again", run_again, 0, 0, 0},
        {"destroyed", run_destroyed, 0, DB_MALLOC, DB_MALLOC},
        {"damaged", run_damaged, 0, DB_MALLOC, DB_MALLOC},
        {"older", run_older, 0, DB_MALLOC, DB_MALLOC},
        {"foreign", run_foreign, 0, DB_MALLOC, DB_MALLOC},
    };
    return sweep_main("spool", make_templates, scenes, sizeof scenes / sizeof *scenes, argc, argv);
}
