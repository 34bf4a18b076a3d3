/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_BENCH_SENDERS_H
#define TESTS_BENCH_SENDERS_H

#include "base/buf.h"
#include "storage/fleetdb.h"
#include "tests/world/retail.h"

/*
 * Devices with keys and logical terminals of their own, enrolled, and the sealed batches of results
 * that they send: one retail lane of WORLD.md each, which opens at some moment of the same day.
 */
enum { SENDERS_SLOTS = TABLES_MAX_ROUTE };
/* 2026-01-01 09:00 UTC: the lanes open between then and SENDERS_SPREAD_MS later. */
#define SENDERS_OPEN_MS (INT64_C(1767225600000) + INT64_C(9) * 3600 * 1000)
#define SENDERS_SPREAD_MS (INT64_C(12) * 3600 * 1000)
/* So long after each opened the fleet still knows when that was. */
#define SENDERS_TOLD_MS (INT64_C(72) * 3600 * 1000)

struct senders;

/* Makes `count` of them and enrols them into `db`; when each of them booted is known there. */
bool senders_open(const struct retail *world, uint64_t seed, size_t count, struct fleetdb *db,
                  struct senders **ret_senders, struct err *err) MUSTER_CHECK;
void senders_close(struct senders *senders);

struct sent {
    size_t device;       /* from 0 */
    struct bytes sealed; /* as long as the batches */
};
struct sent_batches {
    struct buf bytes;
    struct sent *list;
    size_t count;
};
/* The first `rounds` batches of `size` results of each of the first `devices`: all devices' first
 * ones, then all their second ones. */
bool senders_batches(const struct senders *senders, size_t devices, size_t rounds, size_t size,
                     struct sent_batches *ret_batches, struct err *err) MUSTER_CHECK;
void sent_batches_done(struct sent_batches *batches);

const char *senders_id(const struct senders *senders, size_t device);
/* In the order of enrolment into an empty database. */
int64_t senders_row(const struct senders *senders, size_t device);
struct bytes senders_spki(const struct senders *senders, size_t device);

#endif
