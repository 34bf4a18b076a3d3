/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_UNIT_TEMP_ROOTS_H
#define TESTS_UNIT_TEMP_ROOTS_H

#include "proto/seal.h"
#include "proto/trust.h"

/* Real keys of every role, and roots that name and are signed by any of them. */
enum { TEMP_ROOTS_KEYS = 4, TEMP_ROOTS_SIGNERS = 8 };

struct temp_roots {
    char dir[64];
    /* By role, so that the same key never stands for two. */
    struct sign_key *keys[MUSTER__ROLE__ROLE_RECEIPT + 1][TEMP_ROOTS_KEYS];
};

int temp_roots_open(void **state); /* as cmocka's group setup and teardown */
int temp_roots_close(void **state);

/* A root as it is to be signed; keys are named by their place in temp_roots.keys[role]. */
struct temp_root {
    uint64_t version, epoch;
    int64_t issued_ms;
    const char *root_keys; /* "012": keys 0, 1 and 2 of the role; NULL: "0" */
    uint32_t root_threshold;
    int release, director, receipt; /* the one key of each role */
    const char *signers;            /* of the role root; "" and up to TEMP_ROOTS_SIGNERS */
    const char *domain;             /* NULL: "root" */
    bool director_signs;            /* instead of the role root's key of that place */
};
/* Appends the Envelope. */
void temp_root_seal(const struct temp_roots *roots, const struct temp_root *root, struct buf *out);
struct trust *temp_root_trust(const struct temp_roots *roots, const struct temp_root *root);

#endif
