/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_CRASH_REGISTRY_STATE_H
#define TESTS_CRASH_REGISTRY_STATE_H

#include "storage/registry.h"

/* What the registry holds, as far as it has said that it does. */

enum {
    DOCUMENTS = 5, /* of a generation at the most: "a", "b", ... */
    GENERATIONS = 4,
    BLOBS = 8,
    DOWNLOAD_PIECES = 24,
    CONTENT_MAX = 6000,
};

/* All content follows from a number, which it begins with; number 0 is none. */
struct generation {
    uint64_t number;
    uint32_t documents[DOCUMENTS];
};

/* Content that comes in pieces. */
struct download {
    uint32_t content; /* 0: none */
    uint32_t have;    /* bit 0: the list, bit n: the n-th piece */
};

struct state {
    uint64_t current;
    uint64_t highest;
    struct generation generations[GENERATIONS];
    uint32_t desired, failure;
    uint64_t floors;    /* version of the manifest; that of "a" is the same */
    bool floors_single; /* a cut came between their two places, and they were not written since */
    uint64_t installed, roots; /* trust roots: the one installed, the newest kept */
    struct download download;
    uint32_t blobs[BLOBS];
};

/* A trust root's bytes follow from its version. */
struct bytes root_of(uint64_t version, uint8_t content[CONTENT_MAX]);
struct bytes content_of(uint32_t number, uint8_t content[CONTENT_MAX]);
void sum_of(uint32_t number, uint8_t sum[32]);
/* The number that a file's content follows from; 0: there is none, or it is not whole. */
uint32_t number_in(const char *path);
void name_of(size_t document, char name[2]);
struct generation *generation_of(struct state *state, uint64_t number); /* NULL: none */
/* The list that tells what a generation holds. */
void list_of(const struct generation *of, struct registry_generation *list);
void failure_of(uint32_t number, struct registry_failure *failure);

#endif
