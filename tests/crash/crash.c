/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/crash/crash.h"

#include "base/file.h"
#include "base/log.h"
#include "tests/crash/figures.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BREACHES_SHOWN = 5, LIE_CHECKS = 2000 };

struct run {
    struct crash crash;
    struct figures figures;
    struct disk_image image;
    struct err err;
    char work[80], next[80], place[80];
    uint64_t images; /* as many as are asked for */
    bool lies, only;
    unsigned only_round;
    size_t only_point, only_variant;
};

/* The ways a cut may leave the disk; `lots` draws of each. */
static const struct variant {
    const char *name;
    enum disk_kept writes, names;
    unsigned lots;
} variants[] = {
    {"all", DISK_KEPT_ALL, DISK_KEPT_ALL, 1},
    {"synced", DISK_KEPT_NONE, DISK_KEPT_NONE, 1},
    {"names_only", DISK_KEPT_NONE, DISK_KEPT_ALL, 1},
    {"names_lost", DISK_KEPT_ALL, DISK_KEPT_NONE, 1},
    {"names_some", DISK_KEPT_ALL, DISK_KEPT_SOME, 2},
    {"torn", DISK_KEPT_TORN, DISK_KEPT_ALL, 4},
    {"torn_some", DISK_KEPT_TORN, DISK_KEPT_SOME, 2},
    {"some", DISK_KEPT_SOME, DISK_KEPT_ALL, 3},
    {"some_some", DISK_KEPT_SOME, DISK_KEPT_SOME, 4},
};

static char base[64]; /* where all of it happens */

/* ---- chance, the same in every run ---- */

static uint64_t chance; /* what the kernel's random numbers are drawn from */

ssize_t getrandom(void *data, size_t length, unsigned flags);

/* In place of libc's: incarnations, temporary names and salts follow from the seed. */
ssize_t getrandom(void *data, size_t length, unsigned flags)
{
    (void)flags;
    uint8_t *out = data;
    for (size_t i = 0; i < length; i++) {
        chance = disk_mix(chance);
        out[i] = (uint8_t)chance;
    }
    return (ssize_t)length;
}

static void throw_dice(struct crash *crash, uint64_t what)
{
    crash->random = disk_mix(crash->seed ^ disk_mix(crash->round + 1) ^ disk_mix(what << 8));
    chance = disk_mix(crash->random);
}

unsigned crash_draw(struct crash *crash, unsigned below)
{
    crash->random = disk_mix(crash->random);
    return below < 2 ? 0 : (unsigned)((crash->random >> 20) % below);
}

/* ---- breaches ---- */

static void breach(struct crash *crash, uint64_t *counter, const char *what, const char *fmt,
                   va_list args) __attribute__((format(printf, 4, 0)));
static void breach(struct crash *crash, uint64_t *counter, const char *what, const char *fmt,
                   va_list args)
{
    ++*counter;
    if (crash->quiet || crash->corrupt + crash->lost + crash->doubled > BREACHES_SHOWN)
        return;
    printf("crash %s: %s: ", crash->part->name, what);
    (void)vprintf(fmt, args);
    printf("\n    seed %llu, round %u, after operation %zu (%s of step %u), kept: %s; again with\n"
           "    crash_%s --seed %llu --only %u.%zu.%zu\n",
           (unsigned long long)crash->seed, crash->round, crash->point, crash->last_op,
           crash->log.step, crash->cut_name, crash->part->name, (unsigned long long)crash->seed,
           crash->round, crash->point, crash->variant);
}

void crash_corrupt(struct crash *crash, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    breach(crash, &crash->corrupt, "corrupt", fmt, args);
    va_end(args);
}

void crash_lost(struct crash *crash, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    breach(crash, &crash->lost, "lost", fmt, args);
    va_end(args);
}

void crash_doubled(struct crash *crash, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    breach(crash, &crash->doubled, "doubled", fmt, args);
    va_end(args);
}

void crash_stop(struct crash *crash, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    printf("crash %s: seed %llu, round %u, step %u: ", crash->part->name,
           (unsigned long long)crash->seed, crash->round, crash->log.step);
    (void)vprintf(fmt, args);
    printf("\n");
    va_end(args);
    if (*base != '\0')
        (void)!file_remove_tree(base, NULL);
    exit(1);
}

/* ---- one round ---- */

static void must(struct run *run, bool ok)
{
    if (!ok)
        crash_stop(&run->crash, "%s", run->err.text);
}

static bool enough(const struct run *run)
{
    if (run->lies)
        return run->figures.checks >= LIE_CHECKS || run->crash.lost > 0;
    return run->figures.images >= run->images;
}

static void check_image(struct run *run, unsigned step, bool done)
{
    struct crash *crash = &run->crash;
    must(run, disk_image_write(&run->image, run->place, &run->err));
    throw_dice(crash, run->image.hash | 1);
    crash->log.step = step;
    crash->image = run->image.hash;
    crash->thorough = run->lies || run->image.hash % 4 == 0;
    crash->part->check(crash, run->place, step, done);
    must(run, file_remove_tree(run->place, &run->err));
}

/* One variant of a cut at this point, unless the same image was checked with as much done. */
static void cut(struct run *run, struct disk *disk, const struct variant *variant, size_t number,
                const struct disk_entry *after, bool done)
{
    struct crash *crash = &run->crash;
    const struct disk_cut cut = {variant->writes, variant->names,
                                 disk_mix(crash->seed + (crash->point << 20) + number)};
    crash->variant = number;
    crash->cut_name = variant->name;
    disk_image(disk, &cut, &run->image);
    bool seen = !figures_add(&run->figures, run->image.hash,
                             disk_mix(crash->seed << 32 ^ (uint64_t)crash->round << 24 ^
                                      (uint64_t)after->step << 1 ^ (uint64_t)done));
    figures_cut(&run->figures, variant->name, after->kind);
    if (!seen || run->only)
        check_image(run, after->step, done);
}

static void cut_all_ways(struct run *run, struct disk *disk, const struct disk_entry *after,
                         bool done)
{
    size_t number = 0;
    bool writes = disk_unsynced_writes(disk) > 0, names = disk_unsynced_names(disk) > 0;
    for (size_t i = 0; i < sizeof variants / sizeof *variants; i++) {
        const struct variant *variant = &variants[i];
        bool by_writes = variant->writes != DISK_KEPT_ALL;
        bool by_names = variant->names != DISK_KEPT_ALL;
        bool differs = (!by_writes || writes) && (!by_names || names);
        if (variant->writes == DISK_KEPT_NONE && by_names)
            differs = writes || names;
        bool lied = run->lies && variant->writes != DISK_KEPT_NONE;
        for (unsigned lot = 0; lot < variant->lots; lot++, number++) {
            if (differs && !lied && (!run->only || run->only_variant == number) && !enough(run))
                cut(run, disk, variant, number, after, done);
        }
    }
}

/* What the next round finds: the disk after a cut here. */
static void leave(struct run *run, struct disk *disk, const struct disk_entry *after, bool done)
{
    struct crash *crash = &run->crash;
    size_t which = disk_mix(crash->seed + crash->round) % (sizeof variants / sizeof *variants);
    const struct disk_cut cut = {variants[which].writes, variants[which].names, crash->seed};
    disk_image(disk, &cut, &run->image);
    must(run, disk_image_write(&run->image, run->next, &run->err));
    crash->from_step = after->step;
    crash->from_done = done;
}

static void replay(struct run *run)
{
    struct crash *crash = &run->crash;
    struct disk *disk = disk_new(&crash->log);
    const struct disk_entry *entry = NULL;
    size_t count = crash->log.count - crash->log.base;
    /* In the second half, so that something has been done. */
    size_t leave_at = count - disk_mix(crash->seed * 31 + crash->round) % (count / 2 + 1) - 1;
    if (run->lies)
        disk_lie(disk);
    for (crash->point = 0; disk_next(disk, &entry); crash->point++) {
        bool last = crash->point + 1 == count;
        bool done = last || entry[1].step != entry->step;
        crash->last_op = disk_kind_name(entry->kind);
        if (!enough(run) &&
            (!run->only || (run->only_round == crash->round && run->only_point == crash->point))) {
            run->figures.points++;
            cut_all_ways(run, disk, entry, done);
        }
        if (crash->point == leave_at && crash->round + 1 < crash->part->rounds)
            leave(run, disk, entry, done);
    }
    disk_free(disk);
}

static void one_seed(struct run *run)
{
    struct crash *crash = &run->crash;
    crash->ctx = crash->part->begin(crash);
    for (crash->round = 0; crash->round < crash->part->rounds && !enough(run); crash->round++) {
        if (crash->round > 0 && rename(run->next, run->work) != 0)
            crash_stop(crash, "cannot go on: %s", strerror(errno));
        must(run, file_make_dir(run->work, 0700, &run->err));
        if (crash->round == 0 && crash->part->make != NULL && crash->seed % 4 != 0)
            crash->part->make(crash, run->work);
        throw_dice(crash, 0);
        disk_log_begin(&crash->log, run->work);
        crash->part->work(crash, run->work);
        disk_log_end(&crash->log);
        crash->part->drop(crash);
        must(run, file_remove_tree(run->work, &run->err));
        replay(run);
        disk_log_done(&crash->log);
    }
    must(run, file_remove_tree(run->next, &run->err));
    crash->part->end(crash);
    crash->ctx = NULL;
}

static bool one_round_more(const struct run *run)
{
    const struct crash *crash = &run->crash;
    return !run->only && !enough(run) &&
           (run->lies || crash->corrupt + crash->lost + crash->doubled == 0);
}

static void all_seeds(struct run *run)
{
    do {
        one_seed(run);
        run->crash.seed++;
    } while (one_round_more(run));
}

/* ---- the program ---- */

static void make_base(struct run *run)
{
    const char *temporary = getenv("TMPDIR");
    if (access("/dev/shm", W_OK) == 0)
        temporary = "/dev/shm";
    (void)snprintf(base, sizeof base, "%s/muster-crash-XXXXXX",
                   temporary != NULL ? temporary : "/tmp");
    if (mkdtemp(base) == NULL)
        crash_stop(&run->crash, "cannot make %s: %s", base, strerror(errno));
    (void)snprintf(run->work, sizeof run->work, "%s/work", base);
    (void)snprintf(run->next, sizeof run->next, "%s/next", base);
    (void)snprintf(run->place, sizeof run->place, "%s/cut", base);
}

/* A disk that loses what it has promised to keep must be noticed. */
static uint64_t lies_found(struct run *run, uint64_t seed)
{
    struct figures kept = run->figures;
    run->figures = (struct figures){0};
    run->lies = run->crash.quiet = true;
    run->crash.seed = seed;
    all_seeds(run);
    uint64_t found = run->crash.lost;
    figures_done(&run->figures);
    run->figures = kept;
    run->lies = run->crash.quiet = false;
    run->crash.corrupt = run->crash.lost = run->crash.doubled = 0;
    run->crash.seed = seed;
    return found;
}

static bool parse(struct run *run, int argc, char **argv, const char **ret_figures)
{
    for (int i = 1; i + 1 < argc; i += 2) {
        const char *value = argv[i + 1];
        if (strcmp(argv[i], "--seed") == 0)
            run->crash.seed = strtoull(value, NULL, 10);
        else if (strcmp(argv[i], "--images") == 0)
            run->images = strtoull(value, NULL, 10);
        else if (strcmp(argv[i], "--figures") == 0)
            *ret_figures = value;
        else if (strcmp(argv[i], "--only") == 0)
            run->only = sscanf(value, "%u.%zu.%zu", &run->only_round, &run->only_point,
                               &run->only_variant) == 3;
        else
            return false;
    }
    return argc % 2 == 1;
}

int crash_main(const struct crash_part *part, int argc, char **argv)
{
    static struct run run;
    const char *file = NULL, *full = getenv("MUSTER_CRASH_FULL");
    run.crash.part = part;
    run.crash.seed = 20261122;
    run.images = full != NULL && strcmp(full, "1") == 0 ? part->images_full : part->images;
    if (!parse(&run, argc, argv, &file)) {
        (void)fprintf(stderr,
                      "usage: crash_%s [--seed N] [--images N] [--figures FILE] "
                      "[--only ROUND.POINT.VARIANT]\n",
                      part->name);
        return 2;
    }
    /* One thread, and nobody asks what it uses: a tenth of the time. */
    (void)sqlite3_config(SQLITE_CONFIG_SINGLETHREAD);
    (void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
    log_init("crash", LOG_ERROR);
    if (file != NULL)
        (void)unlink(file); /* what a failed run leaves must not count */
    disk_tap_sqlite();
    make_base(&run);
    uint64_t lies = run.only ? 1 : lies_found(&run, run.crash.seed);
    all_seeds(&run);
    struct crash *crash = &run.crash;
    bool ok = figures_print(&run.figures, part, crash, lies, file) || run.only;
    bool breached = crash->corrupt + crash->lost + crash->doubled > 0;
    must(&run, file_remove_tree(base, &run.err));
    disk_image_done(&run.image);
    figures_done(&run.figures);
    return ok && !breached ? 0 : 1;
}
