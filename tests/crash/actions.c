/* SPDX-License-Identifier: Apache-2.0 */
/* Power cuts under the journal of actions: what it held is there or, in the middle of writing, what
 * it held before; what has begun by then is known, and nothing begins twice, also once it is among
 * those that were forgotten. */
#include "agent/actions_journal.h"
#include "base/file.h"
#include "proto/action.h"
#include "proto/seal.h"
#include "tests/crash/crash.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STEPS = 24, ROUNDS = 3, PATH_BYTES = 160, ORDERS_MAX = ACTIONS_KEPT + (STEPS + 2) * ROUNDS };

struct order {
    struct action action;
    bool began;
    unsigned step; /* of this round, that its mark was written in; 0: before it */
};

struct seed {
    struct actions book;
    struct order orders[ORDERS_MAX];
    size_t count;
    uint64_t version;
    uint8_t boot_id[ACTIONS_BOOT_BYTES];
    uint8_t at[STEPS + 2][32]; /* hash of the journal after each step */
    char path[PATH_BYTES];
};

/* Everything is proved. */
static const struct actions_moment moment = {.stale = "", .earliest_ms = 1000, .latest_ms = 2000};

static void *begin(struct crash *crash)
{
    struct seed *seed = calloc(1, sizeof *seed);
    if (seed == NULL)
        crash_stop(crash, "no memory");
    return seed;
}

static void end(struct crash *crash)
{
    struct seed *seed = crash->ctx;
    actions_done(&seed->book);
    free(seed);
}

static void place(struct seed *seed, const char *dir)
{
    (void)snprintf(seed->path, sizeof seed->path, "%s/actions", dir);
}

/* ---- the work ---- */

static struct order *add_order(struct crash *crash)
{
    struct seed *seed = crash->ctx;
    if (seed->count == ORDERS_MAX)
        crash_stop(crash, "no room for an order more");
    struct order *order = &seed->orders[seed->count++];
    *order = (struct order){.action = {.kind = MUSTER__ACTION_KIND__ACTION_REBOOT,
                                       .since_epoch = 1,
                                       .since_version = ++seed->version}};
    (void)snprintf(order->action.id, sizeof order->action.id, "a-%u", (unsigned)seed->count);
    return order;
}

static void mark(struct crash *crash, const struct order *order, Muster__ActionStep step)
{
    struct seed *seed = crash->ctx;
    struct err err = {0};
    if (!actions_mark(&seed->book, &order->action, step, seed->boot_id, "", &err))
        crash_stop(crash, "%s", err.text);
}

static void keep(struct crash *crash)
{
    struct seed *seed = crash->ctx;
    struct err err = {0};
    if (!actions_journal_write(seed->path, &seed->book, &err))
        crash_stop(crash, "%s", err.text);
}

static bool digest_of(const char *path, uint8_t digest[32])
{
    struct buf file = {0};
    bool ok = file_read(path, ACTIONS_JOURNAL_BYTES, &file, NULL);
    if (ok)
        sha256(buf_bytes(&file), digest);
    buf_done(&file);
    return ok;
}

static void keep_step(struct crash *crash, unsigned step)
{
    struct seed *seed = crash->ctx;
    crash->log.step = step;
    keep(crash);
    if (!digest_of(seed->path, seed->at[crash->log.step]))
        crash_stop(crash, "the journal is not there");
}

/* Nearly as many as are kept: the next ones have the oldest forgotten. */
static void make(struct crash *crash, const char *dir)
{
    struct seed *seed = crash->ctx;
    place(seed, dir);
    while (seed->book.count < ACTIONS_KEPT - 3) {
        struct order *order = add_order(crash);
        order->began = true;
        mark(crash, order, MUSTER__ACTION_STEP__ACTION_STEP_DONE);
    }
    keep(crash);
    actions_done(&seed->book);
}

/* As the agent opens it. */
static bool open_journal(struct seed *seed, struct err *err)
{
    struct err why = {0};
    actions_done(&seed->book);
    if (!file_sweep_beside(seed->path, err))
        return false;
    if (!actions_journal_read(seed->path, &seed->book, &why) && why.code != ERR_NOT_FOUND)
        return err_set(err, why.code, "%s", why.text);
    (void)actions_restart(&seed->book, seed->boot_id);
    return true;
}

/* What came after the cut has never been. */
static void go_back(const struct crash *crash)
{
    struct seed *seed = crash->ctx;
    for (size_t i = 0; i < seed->count; i++) {
        struct order *order = &seed->orders[i];
        if (order->step > crash->from_step ||
            (order->step == crash->from_step && !crash->from_done))
            order->began = false;
        order->step = 0;
    }
}

static void start(struct crash *crash)
{
    struct seed *seed = crash->ctx;
    struct err err = {0};
    if (crash->round > 0)
        go_back(crash);
    seed->boot_id[0]++;
    if (!open_journal(seed, &err))
        crash_stop(crash, "%s", err.text);
    if (!digest_of(seed->path, seed->at[0]))
        memset(seed->at[0], 0, sizeof seed->at[0]);
    keep_step(crash, 1);
}

/* The mark, then what it is for: a cut may come in between, or right behind it. */
static void do_one(struct crash *crash, struct order *order)
{
    struct seed *seed = crash->ctx;
    if (actions_judge(&seed->book, &order->action, &moment).verdict != ACTIONS_MAY)
        return;
    mark(crash, order, MUSTER__ACTION_STEP__ACTION_STEP_STARTED);
    keep_step(crash, crash->log.step + 1);
    if (order->began)
        crash_doubled(crash, "%s begins again", order->action.id);
    order->began = true;
    order->step = crash->log.step;
}

static void end_one(struct crash *crash)
{
    struct seed *seed = crash->ctx;
    const struct actions_log log = {.bytes = 100, .pieces = 1 + crash_draw(crash, 4)};
    struct actions_entry *entry = &seed->book.entries[seed->book.count - 1];
    if (action_is_over((int)entry->step))
        entry->told = true;
    else
        actions_end(&seed->book, entry->id, MUSTER__ACTION_STEP__ACTION_STEP_DONE, &log, "done");
    keep_step(crash, crash->log.step + 1);
}

static void do_step(struct crash *crash)
{
    struct seed *seed = crash->ctx;
    unsigned what = crash_draw(crash, 10);
    if (what < 5) {
        do_one(crash, add_order(crash));
    } else if (what < 8 && seed->book.count > 0) {
        end_one(crash);
    } else if (what == 8) {
        mark(crash, add_order(crash), MUSTER__ACTION_STEP__ACTION_STEP_EXPIRED);
        keep_step(crash, crash->log.step + 1);
    } else if (seed->count > 0) { /* the fleet still names an older one */
        do_one(crash, &seed->orders[crash_draw(crash, (unsigned)seed->count)]);
    }
}

static void work(struct crash *crash, const char *dir)
{
    place(crash->ctx, dir);
    crash->log.step = 1;
    start(crash);
    while (crash->log.step < STEPS)
        do_step(crash);
}

static void drop(struct crash *crash)
{
    (void)crash;
}

/* ---- what a cut has left ---- */

static bool has_begun(const struct order *order, unsigned step, bool done)
{
    return order->began && (order->step < step || (order->step == step && done));
}

static void check_orders(struct crash *crash, const struct actions *book, unsigned step, bool done)
{
    const struct seed *seed = crash->ctx;
    for (size_t i = 0; i < seed->count; i++) {
        const struct order *order = &seed->orders[i];
        if (has_begun(order, step, done) &&
            actions_judge(book, &order->action, &moment).verdict == ACTIONS_MAY)
            crash_doubled(crash, "%s, which has begun, may begin", order->action.id);
    }
    for (size_t i = 0; i < book->count; i++)
        if (!action_is_over((int)book->entries[i].step))
            crash_corrupt(crash, "%s is still being done after a start", book->entries[i].id);
}

static void check_leftovers(struct crash *crash, const char *dir)
{
    DIR *folder = opendir(dir);
    const struct dirent *entry;
    while (folder != NULL && (entry = readdir(folder)) != NULL)
        if (entry->d_name[0] != '.' && strcmp(entry->d_name, "actions") != 0)
            crash_corrupt(crash, "%s is left over", entry->d_name);
    if (folder != NULL)
        (void)closedir(folder);
}

static void check(struct crash *crash, const char *dir, unsigned step, bool done)
{
    struct seed *seed = crash->ctx;
    struct seed found = {.boot_id = {0xff}};
    struct err err = {0};
    uint8_t digest[32] = {0};
    const uint8_t *after = seed->at[step], *before = seed->at[done ? step : step - 1];
    place(&found, dir);
    (void)digest_of(found.path, digest);
    if (memcmp(digest, after, 32) != 0 && memcmp(digest, before, 32) != 0)
        crash_lost(crash, "the journal is neither as before nor as after step %u", step);
    if (!open_journal(&found, &err)) {
        crash_corrupt(crash, "it does not open: %s", err.text);
        return;
    }
    check_orders(crash, &found.book, step, done);
    check_leftovers(crash, dir);
    if (!actions_journal_write(found.path, &found.book, &err))
        crash_corrupt(crash, "it does not go on: %s", err.text);
    actions_done(&found.book);
}

int main(int argc, char **argv)
{
    const struct crash_part part = {
        .name = "actions",
        .images = 1500,
        .images_full = 30000,
        .kinds = 1u << DISK_CREATE | 1u << DISK_WRITE | 1u << DISK_SYNC | 1u << DISK_SYNC_DIR |
                 1u << DISK_CHMOD | 1u << DISK_RENAME | 1u << DISK_UNLINK,
        .rounds = ROUNDS,
        .begin = begin,
        .make = make,
        .work = work,
        .drop = drop,
        .check = check,
        .end = end,
    };
    return crash_main(&part, argc, argv);
}
