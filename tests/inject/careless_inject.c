/* SPDX-License-Identifier: Apache-2.0 */
/* Proof that the others can fail: programs that do what must not be done, and databases that were
 * tampered with. Each scene must end in the violation that CMakeLists.txt names for it. */
#include "base/file.h"
#include "tests/inject/ledger.h"
#include "tests/inject/sweep.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PATH_BYTES = 128 };

static char path[PATH_BYTES];
static struct ledger ledger;
static struct spool *spool;

static int64_t read_now_ms(void *ctx)
{
    (void)ctx;
    return 1000;
}

static void open_spool(void)
{
    static const struct clock clock = {.wall_ms = read_now_ms, .boot_ms = read_now_ms};
    const struct spool_settings settings = {
        .path = path, .device = "p-100001", .quota_bytes = 64 << 20, .key_window = 100};
    MUST(spool_open(&settings, &clock, &spool, &err));
}

static struct ledger_record *push(unsigned call, const char *key)
{
    struct ledger_record *record = ledger_add(&ledger, call, 1, key, 50);
    struct spool_record given = {.lane = 1,
                                 .key = bytes_of(key, strlen(key)),
                                 .body = bytes_of(record->body, record->length)};
    MUST(spool_push(spool, &given, 1, &err));
    ledger_answer(&ledger, record, &given);
    return record;
}

static void begin(void)
{
    char folder[PATH_BYTES];
    (void)snprintf(folder, sizeof folder, "%s/run", sweep_dir());
    (void)snprintf(path, sizeof path, "%s/run/spool.db", sweep_dir());
    MUST(file_remove_tree(folder, &err) && file_make_dir(folder, 0755, &err));
    memset(&ledger, 0, sizeof ledger);
    ledger.calls = 2;
    open_spool();
    (void)push(1, "a");
}

static void judge(void)
{
    ledger_check(&ledger, spool);
    ledger_check_keys(&ledger, spool);
    spool_close(spool);
}

static void tamper(const char *sql)
{
    sqlite3 *db = NULL;
    spool_close(spool);
    if (sqlite3_open(path, &db) != SQLITE_OK ||
        sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
        fprintf(stderr, "%s: %s\n", sql, sqlite3_errmsg(db));
    (void)sqlite3_close(db);
    open_spool();
}

/* Answers, and has stored nothing. */
static void run_loses(void)
{
    begin();
    const struct spool_record never = {.incarnation = spool_incarnation(spool), .seq = 2};
    ledger_answer(&ledger, ledger_add(&ledger, 2, 1, "b", 50), &never);
    judge();
}

/* The spool itself sees that something went, and says so: of a disk that was sound all the time. */
static void run_gives_up(void)
{
    begin();
    (void)push(2, "b");
    tamper("DELETE FROM segment");
    judge();
}

static void run_rolls_back(void)
{
    begin();
    tamper("DELETE FROM segment; DELETE FROM stream");
    judge();
}

static void run_doubles(void)
{
    begin();
    const struct ledger_record *record = &ledger.records[0];
    struct spool_record again = {.lane = 1, .body = bytes_of(record->body, record->length)};
    MUST(spool_push(spool, &again, 1, &err));
    judge();
}

static void run_stores_refused(void)
{
    begin();
    push(2, "")->acked = false;
    ledger_check_refused(&ledger, 2, spool);
    judge();
}

static void run_halves(void)
{
    begin();
    push(2, "")->acked = false;
    (void)ledger_add(&ledger, 2, 1, "", 50);
    judge();
}

static void run_receipts_itself(void)
{
    begin();
    (void)push(2, "b");
    MUST(spool_receipt(spool, spool_incarnation(spool), 1, 1, NULL, 0, &err));
    judge();
}

static void run_forgets_receipts(void)
{
    begin();
    ledger_claim(&ledger, spool_incarnation(spool), 1, 1, 1)->taken = true;
    judge();
}

static void run_forgets_keys(void)
{
    begin();
    (void)snprintf(ledger.records[0].key, sizeof ledger.records[0].key, "another");
    judge();
}

/* Says that it is done whatever the disk said. */
static void run_ignores(void)
{
    char file[PATH_BYTES];
    struct buf content = {0};
    (void)snprintf(file, sizeof file, "%s/kept", sweep_dir());
    MUST(file_remove(file, &err));
    bool done = UNDER_FAULTS(file_write(file, bytes_of("kept", 4), 0600, NULL));
    done = true;
    if (done && !file_read(file, 100, &content, NULL))
        violation("said to be done, and is not there");
    buf_done(&content);
}

/* Kept where the sanitizer sees it: the count alone shall tell. */
static void run_leaks(void)
{
    static char *leaked;
    faults_on();
    char *first = malloc(10);
    char *second = first != NULL ? strdup("text") : NULL;
    faults_off();
    if (second == NULL && leaked == NULL)
        leaked = first;
    else
        free(first);
    free(second);
}

static void run_wavers(void)
{
    static unsigned runs;
    faults_on();
    for (unsigned i = runs++; i < 3; i++)
        free(malloc(10));
    faults_off();
}

static void prepare(void)
{
}

int main(int argc, char **argv)
{
    static const struct sweep_scene scenes[] = {
        {"loses", run_loses, 0, 0, 0},
        {"gives_up", run_gives_up, 0, 0, 0},
        {"rolls_back", run_rolls_back, 0, 0, 0},
        {"doubles", run_doubles, 0, 0, 0},
        {"stores_refused", run_stores_refused, 0, 0, 0},
        {"halves", run_halves, 0, 0, 0},
        {"receipts_itself", run_receipts_itself, 0, 0, 0},
        {"forgets_receipts", run_forgets_receipts, 0, 0, 0},
        {"forgets_keys", run_forgets_keys, 0, 0, 0},
        {"ignores", run_ignores, 0, 0, 0},
        {"leaks", run_leaks, 0, 0, 0},
        {"wavers", run_wavers, 0, 0, 0},
    };
    return sweep_main("careless", prepare, scenes, sizeof scenes / sizeof *scenes, argc, argv);
}
