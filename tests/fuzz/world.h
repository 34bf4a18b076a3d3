/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_FUZZ_WORLD_H
#define TESTS_FUZZ_WORLD_H

#include "proto/trust.h"
#include "tests/fuzz/fuzz.h"

/* What several targets need around the bytes. All of it is made once and lasts as long as the
 * process; what cannot be made ends it. */

/* The published key, and a root in which it alone stands for every role: behind a good signature
 * lies what a stolen key could say. */
const struct sign_key *fuzz_key(void);
const struct trust *fuzz_trust(void);
/* The Envelope of `body` under that key; the caller calls buf_done. */
struct buf fuzz_seal(const char *domain, const char *context, struct bytes body);

/* The path of a file that holds `content` until the next call. */
const char *fuzz_file(struct bytes content);
/* An empty directory: always the same, in memory where there is such a place (TMPDIR). */
const char *fuzz_dir(void);
/* `name` in it. `out` takes FUZZ_PATH_BYTES. */
enum { FUZZ_PATH_BYTES = 256 };
void fuzz_path(const char *name, char *out);
/* A unix socket that listens there, and one that is connected to such a one. */
int fuzz_listen(const char *path);
int fuzz_connect(const char *path);

/* Takes the first byte off; 0 where nothing is left. */
uint8_t fuzz_byte(struct bytes *in);
/* Takes `count` bytes off, or what is left. */
struct bytes fuzz_take(struct bytes *in, size_t count);
/* A little-endian number of `count` bytes. */
uint64_t fuzz_number(struct bytes *in, size_t count);

#endif
