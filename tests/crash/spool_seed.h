/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_CRASH_SPOOL_SEED_H
#define TESTS_CRASH_SPOOL_SEED_H

#include "tests/crash/spool_oracle.h"

/* What the work and the check of one seed share. */

enum { PATH_BYTES = 128 };

struct seed {
    struct oracle oracle;
    struct clock clock;
    int64_t now_ms;
    char path[PATH_BYTES]; /* of the work; a check has its own */
    struct spool *spool;
    struct buf copy; /* of the database, made when it was closed */
    uint32_t copy_note;
    bool unknown; /* a tail was declared: asked for again, it is declared again */
    uint64_t incarnations[ORACLE_STEPS * 4]; /* that were used */
    size_t incarnation_count;
};

struct spool_settings settings_of(const char *path);
struct bytes note_of(uint32_t content, uint8_t text[64]);

void spool_check(struct crash *crash, const char *dir, unsigned step, bool done);
void spool_check_figures(void); /* in which states records were found */

#endif
