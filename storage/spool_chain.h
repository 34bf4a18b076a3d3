/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_SPOOL_CHAIN_H
#define STORAGE_SPOOL_CHAIN_H

#include "storage/spool.h"

/*
 * What must outlive the spool's database: whose it is, how often it was opened, and for each
 * incarnation that is not closed a ceiling of the seqs that it may have given. The file has a fixed
 * length and two slots that are written in turn in place, so that a write needs no new disk space
 * and a torn one leaves the other slot. A slot, all little-endian:
 *   "MUSTERC2" | crc32c u32 of what follows | count u32 | edition u64 | starts u64 |
 *   device, 32 bytes, zero-padded | count * (incarnation u64, ceilings u64 * SPOOL_LANES)
 * where the upper bit of `count` says that it is settled, and the upper 24 bits of an entry's first
 * ceiling are the incarnation's number in the database. "MUSTERC1", which had neither, can be read.
 */
enum {
    SPOOL_CHAIN_ENTRIES = 1000,
    SPOOL_CHAIN_SLOT_BYTES = 32 * 1024,
    SPOOL_CHAIN_BYTES = 2 * SPOOL_CHAIN_SLOT_BYTES,
    SPOOL_CHAIN_DEVICE_BYTES = 32,
};

struct spool_chain_entry {
    uint64_t incarnation;
    uint64_t ceiling[SPOOL_LANES]; /* [lane - 1]; no higher seq was given; 0: none at all */
    uint32_t number;               /* its short name in the database; 0: not known */
};

struct spool_chain {
    char device[SPOOL_CHAIN_DEVICE_BYTES + 1];
    uint64_t starts;
    struct spool_chain_entry *entries; /* oldest incarnation first */
    size_t count;
    uint64_t edition; /* counts writes; 0: never written */
    bool closes;      /* read: by a version that settles it on a clean close */
    bool settled;     /* the spool was closed: the ceilings are what was given, and in it */
};

/* The newer sound slot. ERR_NOT_FOUND: no file; ERR_IO: neither slot is sound. The caller calls
 * spool_chain_done. */
bool spool_chain_read(const char *path, struct spool_chain *ret_chain,
                      struct err *err) MUSTER_CHECK;
/* The same of the file's bytes. */
bool spool_chain_of(struct bytes file, struct spool_chain *ret_chain, struct err *err) MUSTER_CHECK;
/* Durable when it returns, and counts `edition` up; what was there before still counts when it
 * fails. Of more than SPOOL_CHAIN_ENTRIES the newest are written. A chain with edition 0 goes on
 * from the edition that the file has. Makes the file if it is missing or has another length. */
bool spool_chain_write(const char *path, struct spool_chain *chain, struct err *err) MUSTER_CHECK;
void spool_chain_done(struct spool_chain *chain);

#endif
