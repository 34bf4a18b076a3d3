/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_BENCH_PEERS_LOAD_H
#define TESTS_BENCH_PEERS_LOAD_H

#include "base/err.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The same results for every system, each under a key of its own. What a system said yes to is
 * marked in a file that outlives whoever is killed: one byte a result.
 */
enum { LOAD_KEY_BYTES = 8, LOAD_RECORD_MAX = 1024 };

struct load {
    const uint8_t *records; /* of peers-records: used again and again, but for their keys */
    size_t records_bytes, record_count;
    uint32_t *starts;
    _Atomic uint8_t *marks;
    uint64_t count;
    _Atomic uint64_t next, accepted;
};

struct load_record {
    uint64_t index;
    size_t length;
    uint8_t body[LOAD_RECORD_MAX]; /* a packed TxnResult */
};

bool load_open(const char *records_path, const char *marks_path, uint64_t count,
               struct load *ret_load, struct err *err) MUSTER_CHECK;
void load_close(struct load *load);

/* The next one that nobody said yes to, each once; by several threads at a time. False: no more. */
bool load_next(struct load *load, struct load_record *ret_record);
void load_accepted(struct load *load, uint64_t index);
/* The record again, for another try. */
void load_get(const struct load *load, uint64_t index, struct load_record *ret_record);

#endif
