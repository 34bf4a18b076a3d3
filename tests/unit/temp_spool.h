/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_UNIT_TEMP_SPOOL_H
#define TESTS_UNIT_TEMP_SPOOL_H

#include "storage/spool.h"

/* A real spool in a directory of its own that is removed with it. */
struct temp_spool {
    char dir[64];
    struct spool *spool;
};

void temp_spool_open(struct temp_spool *temp);
/* Closes and opens: the next incarnation. */
void temp_spool_reopen(struct temp_spool *temp);
void temp_spool_close(struct temp_spool *temp);

#endif
