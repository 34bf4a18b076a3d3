/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_UNIT_SPOOL_WORLD_H
#define TESTS_UNIT_SPOOL_WORLD_H

#include "storage/spool.h"

/* A spool in a directory of its own, a clock that is set by hand, and short ways to use both.
 * Whatever fails that should not ends the test. */
enum { GRACE_MS = 16000, LONG_AFTER_MS = 2 * GRACE_MS };

struct spool_world {
    char dir[64];
    char path[96];
    int64_t boot_ms;
    struct clock clock;
    struct spool_settings settings;
    struct spool *spool;
};

/* Makes a directory of its own for a spool: in memory if there is such a place, for these tests
 * open and commit thousands of times and ask nothing of the disk. */
void spool_world_dir(char dir[64]);

/* cmocka's setup and teardown; *state is the world. */
int spool_world_setup(void **state);
int spool_world_teardown(void **state);
void spool_world_reopen(struct spool_world *world);
/* Closed, then opened in another boot. */
void spool_world_power_cycle(struct spool_world *world, int64_t boot_ms);

struct bytes text(const char *string);
/* One record, one commit. */
struct spool_record push(struct spool *spool, int lane, const char *key, const char *body);

struct heard {
    char bodies[512]; /* "a,b,c," */
    size_t count;
};
bool hear(void *ctx, uint64_t seq, struct bytes body, struct err *err);
bool hear_newest(void *ctx, uint64_t incarnation, uint64_t seq, struct bytes body, struct err *err);
void expect_read(struct spool *spool, uint64_t incarnation, int lane, uint64_t from,
                 size_t max_records, size_t max_bytes, uint64_t first, const char *bodies);

/* That reading there finds a declared loss. */
void expect_lost(struct spool *spool, uint64_t incarnation, int lane, uint64_t from, uint64_t first,
                 uint64_t count, enum spool_loss why);

void receipt(struct spool *spool, uint64_t incarnation, int lane, uint64_t cumulative);
size_t forget(struct spool *spool);
uint64_t held(const struct spool *spool);

#endif
