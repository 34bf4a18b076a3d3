/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_CRASH_REGISTRY_SEED_H
#define TESTS_CRASH_REGISTRY_SEED_H

#include "tests/crash/crash.h"
#include "tests/crash/registry_state.h"

/* What the work and the check of one seed of the registry share. */

enum { STEPS = 30, DIR_BYTES = 128, LONG_PATH = 512 };

struct seed {
    struct state states[STEPS + 8]; /* after each step */
    struct state now;
    uint32_t contents; /* given so far */
    struct registry *registry;
    char dir[DIR_BYTES]; /* the registry's */
};

/* As on a terminal, where the second place of the floors is not in the registry's folder. */
void places(const char *dir, char registry[DIR_BYTES], char second[DIR_BYTES]);
/* The generation that the link names; 0: there is no link. */
uint64_t current_in(const char *registry);
bool same_failure(const struct registry_failure *a, const struct registry_failure *b);

/* Content that comes in pieces: the list or the next piece goes into the store; a new one begins
 * where there is none. */
void download_go_on(struct crash *crash);
bool download_whole(const struct download *download); /* all of them are there */
/* A document made of them, a part at a time, as content too long for memory is. */
void download_build(struct crash *crash, uint64_t generation, const char *name);
/* What of them a cut has left. */
void download_resume(struct seed *seed, const struct download *last);
/* Whether the download at hand needs this blob. */
bool download_needs(const struct download *download, const uint8_t sha256_of_blob[32]);
/* Those that both states know are in the store. */
void download_check(struct crash *crash, const struct registry *registry,
                    const struct download *before, const struct download *after);

void registry_check(struct crash *crash, const char *dir, unsigned step, bool done);

#endif
