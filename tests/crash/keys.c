/* SPDX-License-Identifier: Apache-2.0 */
/* Power cuts under the book of key slots: what was kept of a slot is there or, in the middle of
 * keeping, what was before; a key version that was noted never sinks. */
#include "agent/keys_book.h"
#include "base/file.h"
#include "tests/crash/crash.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STEPS = 24, PATH_BYTES = 160, SLOTS = 3 };

struct seed {
    struct keys_book now, at[STEPS + 2]; /* after each step */
    char path[PATH_BYTES];
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

static void place(struct seed *seed, const char *dir)
{
    (void)snprintf(seed->path, sizeof seed->path, "%s/keys", dir);
}

/* ---- the work ---- */

/* As the agent starts. */
static void start(struct crash *crash)
{
    struct seed *seed = crash->ctx;
    struct err err = {0};
    bool lost = false;
    if (!file_sweep_beside(seed->path, &err) ||
        !keys_book_read(seed->path, &seed->now, &lost, &err))
        crash_stop(crash, "%s", err.text);
    seed->at[0] = seed->now;
}

static void raise_one(struct crash *crash)
{
    struct seed *seed = crash->ctx;
    struct key_placement placement = {.kcv_method = MUSTER__KCV_METHOD__KCV_AES_CMAC,
                                      .kcv_length = 3};
    (void)snprintf(placement.slot, sizeof placement.slot, "slot-%u", crash_draw(crash, SLOTS));
    const struct key_floor *floor = keys_floor_of(&seed->now.floors, placement.slot);
    placement.key_version = (floor != NULL ? floor->key_version : 0) + 1;
    for (size_t i = 0; i < placement.kcv_length; i++)
        placement.kcv[i] = (uint8_t)crash_draw(crash, 256);
    if (placement.key_version <= KEY_VERSION_MAX)
        (void)keys_floor_raise(&seed->now.floors, &placement);
}

static void work(struct crash *crash, const char *dir)
{
    struct seed *seed = crash->ctx;
    struct err err = {0};
    place(seed, dir);
    crash->log.step = 1;
    start(crash);
    seed->at[1] = seed->now;
    while (crash->log.step < STEPS) {
        switch (crash_draw(crash, 4)) {
        case 0:
            keys_book_signed_on(&seed->now, crash_draw(crash, 20), crash_draw(crash, 2) == 0,
                                crash_draw(crash, 1000));
            break;
        case 1:
            keys_book_age(&seed->now, seed->now.boot_id, seed->now.kept_ms + 1000);
            break;
        case 2:
            seed->now.waited_ms += 60000;
            break;
        default:
            raise_one(crash);
        }
        seed->now.kept_ms++; /* no two are the same */
        crash->log.step++;
        if (!keys_book_write(seed->path, &seed->now, &err))
            crash_stop(crash, "%s", err.text);
        seed->at[crash->log.step] = seed->now;
    }
}

static void drop(struct crash *crash)
{
    (void)crash;
}

/* ---- what a cut has left ---- */

static bool same(const struct keys_book *a, const struct keys_book *b)
{
    bool same = a->floors.count == b->floors.count && a->sign_on_count == b->sign_on_count &&
                a->kept_ms == b->kept_ms && a->waited_ms == b->waited_ms;
    for (size_t i = 0; same && i < a->sign_on_count; i++) {
        const struct keys_sign_on *one = &a->sign_ons[i], *other = &b->sign_ons[i];
        same = one->acquirer == other->acquirer && one->known == other->known &&
               one->failed == other->failed && one->age_ms == other->age_ms &&
               one->newest_ms == other->newest_ms;
    }
    for (size_t i = 0; same && i < a->floors.count; i++) {
        const struct key_floor *one = &a->floors.rows[i], *other = &b->floors.rows[i];
        same = strcmp(one->slot, other->slot) == 0 && one->key_version == other->key_version &&
               one->kcv_method == other->kcv_method && one->kcv_length == other->kcv_length &&
               memcmp(one->kcv, other->kcv, one->kcv_length) == 0;
    }
    return same;
}

static void check_floors(struct crash *crash, const struct keys_book *noted,
                         const struct keys_book *found)
{
    for (size_t i = 0; i < noted->floors.count; i++) {
        const struct key_floor *row = &noted->floors.rows[i];
        const struct key_floor *there = keys_floor_of(&found->floors, row->slot);
        if (there == NULL || there->key_version < row->key_version)
            crash_lost(crash, "%s: key version %u was noted, %u is there", row->slot,
                       row->key_version, there != NULL ? there->key_version : 0);
    }
}

static void check_leftovers(struct crash *crash, const char *dir)
{
    DIR *folder = opendir(dir);
    const struct dirent *entry;
    while (folder != NULL && (entry = readdir(folder)) != NULL)
        if (entry->d_name[0] != '.' && strcmp(entry->d_name, "keys") != 0)
            crash_corrupt(crash, "%s is left over", entry->d_name);
    if (folder != NULL)
        (void)closedir(folder);
}

static void check(struct crash *crash, const char *dir, unsigned step, bool done)
{
    struct seed *seed = crash->ctx;
    struct keys_book found;
    struct err err = {0};
    bool lost = false;
    const struct keys_book *after = &seed->at[step], *before = &seed->at[done ? step : step - 1];
    place(seed, dir);
    if (!file_sweep_beside(seed->path, &err) || !keys_book_read(seed->path, &found, &lost, &err)) {
        crash_corrupt(crash, "it does not open: %s", err.text);
        return;
    }
    if (lost)
        crash_lost(crash, "the book is damaged");
    else if (!same(&found, after) && !same(&found, before))
        crash_corrupt(crash, "it is neither as before nor as after step %u", step);
    check_floors(crash, before, &found);
    check_leftovers(crash, dir);
    found.kept_ms++;
    if (!keys_book_write(seed->path, &found, &err))
        crash_corrupt(crash, "it does not go on: %s", err.text);
}

int main(int argc, char **argv)
{
    const struct crash_part part = {
        .name = "keys",
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
