/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_CRASH_CRASH_H
#define TESTS_CRASH_CRASH_H

#include "tests/disk/disk.h"

/*
 * Simulated power cuts. A part does its work on a real store while every effect is logged; then,
 * after each operation in the log, the disk is rebuilt as a cut may leave it, in many ways, and
 * the part's check opens what is there with the real code. A seed has several rounds: each goes on
 * from the disk that a cut in the round before left.
 */
struct crash {
    const struct crash_part *part;
    void *ctx; /* the part's own */
    struct disk_log log;
    uint64_t seed;
    unsigned round;
    /* In a round after the first: the cut it goes on from came in this step, or after it. */
    unsigned from_step;
    bool from_done;
    uint64_t random;
    const char *last_op, *cut_name; /* of the image at hand */
    size_t point, variant;
    uint64_t corrupt, lost, doubled;
    bool quiet;     /* breaches are expected */
    uint64_t image; /* hash of the image at hand */
    bool thorough;  /* every fourth image: what is slow to check too */
};

struct crash_part {
    const char *name;
    uint64_t images, images_full;        /* distinct ones, in the ordinary and in the long run */
    unsigned kinds;                      /* 1 << disk_kind of what must have been cut after */
    unsigned rounds;                     /* of each seed */
    void *(*begin)(struct crash *crash); /* one seed */
    /* May be NULL. Before round 0 of three seeds in four: makes the store, which is not logged, so
     * that not every seed cuts through the making of the same tables. */
    void (*make)(struct crash *crash, const char *dir);
    /* Raises crash->log.step before each thing it does. Round 0 finds what `make` made, or `dir`
     * empty. */
    void (*work)(struct crash *crash, const char *dir);
    void (*drop)(struct crash *crash); /* closes what `work` has left open; not logged any more */
    /* All of `step` had been done before the cut, or only a part of it. */
    void (*check)(struct crash *crash, const char *dir, unsigned step, bool done);
    void (*end)(struct crash *crash);
};

/* A breach: what was acknowledged is damaged, nowhere, or there twice. */
void crash_corrupt(struct crash *crash, const char *fmt, ...) MUSTER_PRINTF(2, 3);
void crash_lost(struct crash *crash, const char *fmt, ...) MUSTER_PRINTF(2, 3);
void crash_doubled(struct crash *crash, const char *fmt, ...) MUSTER_PRINTF(2, 3);
/* The work itself failed: the run ends. */
void crash_stop(struct crash *crash, const char *fmt, ...) MUSTER_PRINTF(2, 3)
    __attribute__((noreturn));

unsigned crash_draw(struct crash *crash, unsigned below); /* 0 .. below - 1 */

/* crash_NAME [--seed N] [--images N] [--figures FILE] [--only ROUND.POINT.VARIANT] */
int crash_main(const struct crash_part *part, int argc, char **argv);

#endif
