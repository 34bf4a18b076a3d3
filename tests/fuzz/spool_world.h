/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_FUZZ_SPOOL_WORLD_H
#define TESTS_FUZZ_SPOOL_WORLD_H

#include "storage/spool.h"
#include "tests/fuzz/world.h"

/* A spool with records of two incarnations, some receipted, some given up, as files: the same at
 * each laying out. The content of each record says where it belongs. */
#define SPOOL_DEVICE "t-01"
enum { SPOOL_WORLD_OLDER = 2 };

/* The files, for targets that damage them: "spool.db", "spool.db.chain". */
struct spool_world_file {
    const char *name;
    struct bytes content;
};
enum { SPOOL_WORLD_FILES = 2 };
const struct spool_world_file *spool_world_files(void);
/* Writes them into a new directory. */
void spool_world_lay_out(void);
bool spool_world_open(struct spool **ret_spool, struct err *err) MUSTER_CHECK;
/* The incarnation that pushed first (0) or second (1). */
uint64_t spool_world_older(int which);

/* Reads all that is held: each seq of a stream is given, declared lost, or receipted, and every
 * record says that it belongs where it was found. Where the files were `damaged` it is enough that
 * it is a record at all: a row's own numbers have no checksum. False: the database failed, as it
 * may once when it is found to be damaged. */
bool spool_world_check(struct spool *spool, bool damaged, uint64_t *ret_given,
                       struct err *err) MUSTER_CHECK;
/* Pushes one more record of the running incarnation. */
bool spool_world_push(struct spool *spool, int lane, struct err *err) MUSTER_CHECK;

#endif
