/* SPDX-License-Identifier: Apache-2.0 */
/* Power cuts under what is kept of the payment application's word: after one it is the word as it
 * stood or, in the middle of keeping, the one before; never none, and never a mix of two. */
#include "agent/lease_kept.h"
#include "base/file.h"
#include "tests/crash/crash.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STEPS = 24, TERMINALS = 3, CONNECTIONS = 2, KEPT_BYTES = 1024, NOW_MS = 1000000 };

struct word {
    size_t length;
    uint8_t bytes[KEPT_BYTES];
};

struct seed {
    struct lease_kept kept;
    struct lease lease;
    struct word at[STEPS + 2]; /* after each step */
    char connections[CONNECTIONS];
};

static void *begin(struct crash *crash)
{
    struct seed *seed = calloc(1, sizeof *seed);
    if (seed == NULL)
        crash_stop(crash, "no memory");
    return seed;
}

static void end(struct crash *crash)
{
    free(crash->ctx);
}

static void pack_it(struct crash *crash, const struct lease *lease, struct word *ret_word)
{
    struct buf file = {.limit = KEPT_BYTES};
    struct err err = {0};
    if (!lease_pack(lease, NOW_MS, &file, &err))
        crash_stop(crash, "%s", err.text);
    ret_word->length = file.length;
    memcpy(ret_word->bytes, file.data, file.length);
    buf_done(&file);
}

/* ---- the work ---- */

/* As the agent starts. */
static void start(struct crash *crash, const char *dir)
{
    struct seed *seed = crash->ctx;
    struct err err = {0};
    if (!lease_kept_open(&seed->kept, dir, NOW_MS, &seed->lease, &err))
        crash_stop(crash, "%s", err.text);
    pack_it(crash, &seed->lease, &seed->at[0]);
}

static void speak(struct crash *crash)
{
    struct seed *seed = crash->ctx;
    struct err err = {0};
    const struct lease_word word = {.terminal = crash_draw(crash, TERMINALS),
                                    .transaction = crash_draw(crash, 2) == 0,
                                    .reversal = crash_draw(crash, 2) == 0,
                                    .batch = crash_draw(crash, 2) == 0,
                                    .as_before = crash_draw(crash, 3) == 0,
                                    .hold_ms = crash_draw(crash, 4) * 150000};
    const struct lease_speaker by = {
        .holder = &seed->connections[crash_draw(crash, CONNECTIONS)], .uid = 1, .pid = 2};
    if (!lease_say(&seed->lease, &word, &by, NOW_MS, &err))
        crash_stop(crash, "%s", err.text);
}

static void do_step(struct crash *crash)
{
    struct seed *seed = crash->ctx;
    struct lease_speaker by;
    struct err err = {0};
    switch (crash_draw(crash, 8)) {
    case 0:
        (void)lease_gone(&seed->lease, &seed->connections[crash_draw(crash, CONNECTIONS)], NOW_MS,
                         &by);
        break;
    case 1: /* perhaps it is in a transaction, or unknown */
        (void)!lease_forget(&seed->lease, crash_draw(crash, TERMINALS), NOW_MS, &err);
        break;
    default:
        speak(crash);
        break;
    }
    crash->log.step++;
    err = (struct err){0};
    if (!lease_kept_save(&seed->kept, &seed->lease, NOW_MS, &err))
        crash_stop(crash, "%s", err.text);
    pack_it(crash, &seed->lease, &seed->at[crash->log.step]);
}

static void work(struct crash *crash, const char *dir)
{
    struct seed *seed = crash->ctx;
    crash->log.step = 1;
    start(crash, dir);
    seed->at[1] = seed->at[0];
    while (crash->log.step < STEPS)
        do_step(crash);
}

static void drop(struct crash *crash)
{
    (void)crash;
}

/* ---- what a cut has left ---- */

static bool same(const struct word *a, const struct word *b)
{
    return a->length == b->length && memcmp(a->bytes, b->bytes, a->length) == 0;
}

static void check_leftovers(struct crash *crash, const char *dir)
{
    DIR *folder = opendir(dir);
    const struct dirent *entry;
    while (folder != NULL && (entry = readdir(folder)) != NULL)
        if (entry->d_name[0] != '.' && strcmp(entry->d_name, "lease") != 0)
            crash_corrupt(crash, "%s is left over", entry->d_name);
    if (folder != NULL)
        (void)closedir(folder);
}

/* Whatever was found, a batch that opens now is known after the next start. */
static void check_goes_on(struct crash *crash, struct lease_kept *kept, struct lease *found,
                          const char *dir)
{
    const struct lease_word word = {.terminal = 1, .batch = true};
    const struct lease_speaker by = {.holder = kept, .uid = 1, .pid = 3};
    struct lease again;
    struct err err = {0};
    if (!lease_say(found, &word, &by, NOW_MS, &err) ||
        !lease_kept_save(kept, found, NOW_MS, &err) ||
        !lease_kept_open(kept, dir, NOW_MS, &again, &err))
        crash_corrupt(crash, "it does not go on: %s", err.text);
    else if (!lease_look(&again, NOW_MS).batch)
        crash_lost(crash, "a batch that was said after the cut is not known");
}

static void check(struct crash *crash, const char *dir, unsigned step, bool done)
{
    const struct seed *seed = crash->ctx;
    const struct word *after = &seed->at[step], *before = &seed->at[done ? step : step - 1];
    struct lease_kept kept;
    struct lease found;
    struct word word;
    struct err err = {0};
    if (!lease_kept_open(&kept, dir, NOW_MS, &found, &err)) {
        crash_corrupt(crash, "it does not open: %s", err.text);
        return;
    }
    pack_it(crash, &found, &word);
    if (found.lost)
        crash_lost(crash, "what the payment application had open is lost");
    else if (!same(&word, after) && !same(&word, before))
        crash_corrupt(crash, "it is neither as before nor as after step %u", step);
    check_leftovers(crash, dir);
    check_goes_on(crash, &kept, &found, dir);
}

int main(int argc, char **argv)
{
    const struct crash_part part = {
        .name = "lease",
        .images = 400,
        .images_full = 4000,
        .kinds = 1u << DISK_CREATE | 1u << DISK_WRITE | 1u << DISK_SYNC | 1u << DISK_SYNC_DIR |
                 1u << DISK_CHMOD | 1u << DISK_RENAME | 1u << DISK_UNLINK,
        .rounds = 3,
        .begin = begin,
        .work = work,
        .drop = drop,
        .check = check,
        .end = end,
    };
    return crash_main(&part, argc, argv);
}
