/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_BLOB_SET_H
#define AGENT_BLOB_SET_H

#include "base/err.h"

#include <stdint.h>

/* A set of SHA-256, for thousands of pieces. Zero-initialised is empty; the hash of all zeros,
 * which names nothing, is in none. */
struct blob_set {
    size_t count;
    size_t room; /* slots, a power of two */
    uint8_t (*slots)[32];
};

bool blob_set_has(const struct blob_set *set, const uint8_t sha256[32]);
/* Adds it once. */
bool blob_set_add(struct blob_set *set, const uint8_t sha256[32], struct err *err) MUSTER_CHECK;
void blob_set_remove(struct blob_set *set, const uint8_t sha256[32]);
/* The n-th slot in use from `*at` on, which is moved behind it; NULL: no more. */
const uint8_t *blob_set_next(const struct blob_set *set, size_t *at);
void blob_set_done(struct blob_set *set);

#endif
