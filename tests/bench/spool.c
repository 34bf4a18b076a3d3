/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/spool.h"
#include "agent/dictionaries.h"
#include "base/file.h"
#include "proto/unpack.h"
#include "tests/bench/figures.h"
#include "tests/world/retail.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/*
 * What a durable record costs, 1, 10 and 100 to a commit: the rate, beside the same bytes appended
 * to a preallocated file with fdatasync; and what the disk writes until the record has been
 * receipted and forgotten. The device counts what others write as well; beside it stands what the
 * kernel wrote of this process's files, without their inodes. Usage: bench-spool [--dir DIR].
 */
enum { SEED = 20260101, RECORDS = 4000, PAIRS = 9, BATCH = 500, GROUP_MAX = 100 };
enum { KEY_AT = 2 }; /* of the idempotency key in a packed result: behind its tag and length */

struct group {
    size_t records;      /* a commit */
    size_t pair_commits; /* in each half of a pair */
    size_t disk_commits;
};
static const struct group groups[] = {{1, 300, 6000}, {10, 200, 2000}, {100, 100, 500}};

struct bench {
    const char *dir;
    struct spool *spool;
    struct buf bodies;
    struct spool_record records[RECORDS];
    size_t at; /* the next record to use; they are used again and again, without their keys */
    uint64_t unsent;
};

/* Bodies as the agent stores them. Keys stay in the body only, so that each round is new. */
static bool make_records(struct bench *bench, struct results *results, struct err *err)
{
    size_t ends[RECORDS];
    for (size_t i = 0; i < RECORDS; i++) {
        struct world_result result;
        results_next(results, &result);
        if (!pack(&result.txn.base, &bench->bodies, err))
            return false;
        ends[i] = bench->bodies.length;
    }
    for (size_t i = 0; i < RECORDS; i++) {
        size_t start = i == 0 ? 0 : ends[i - 1];
        bench->records[i] = (struct spool_record){
            .lane = 1, .body = bytes_of(bench->bodies.data + start, ends[i] - start)};
    }
    printf("# world: results of one retail lane, seed %d, %zu bytes a record packed\n", SEED,
           bench->bodies.length / RECORDS);
    return true;
}

static bool make_world(struct bench *bench, struct err *err)
{
    struct retail retail = {0};
    const struct retail_settings settings = {
        .routing = MUSTER_ROUTING_TABLE, .ca_keys = MUSTER_CA_KEYS_TABLE, .seed = SEED};
    bool ok = retail_open(&retail, &settings, err) && make_records(bench, retail.results, err);
    retail_close(&retail);
    return ok;
}

/* The next records of one commit, each with a key of its own as a terminal gives it, which is the
 * first field of its body as well. */
static struct spool_record *next_commit(struct bench *bench, size_t count, uint64_t *keys)
{
    if (bench->at + count > RECORDS)
        bench->at = 0;
    struct spool_record *records = &bench->records[bench->at];
    for (size_t i = 0; i < count; i++) {
        keys[i] = random_u64();
        records[i].key = bytes_of(&keys[i], sizeof keys[i]);
        memcpy(bench->bodies.data + (records[i].body.data - bench->bodies.data) + KEY_AT, &keys[i],
               sizeof keys[i]);
    }
    bench->at += count;
    return records;
}

static bool drain(struct bench *bench, struct err *err)
{
    struct spool_stream stream;
    if (spool_streams(bench->spool, &stream, 1) == 0)
        return true;
    bench->unsent = 0;
    size_t removed = 0;
    return spool_receipt(bench->spool, stream.incarnation, stream.lane, stream.last_seq, NULL, 0,
                         err) &&
           spool_forget(bench->spool, &removed, err);
}

/* Receipts come as a fleet that answers every full batch would send them. */
static bool push_commits(struct bench *bench, const struct group *group, size_t commits,
                         bool receipts, struct err *err)
{
    uint64_t keys[GROUP_MAX];
    for (size_t i = 0; i < commits; i++) {
        struct spool_record *records = next_commit(bench, group->records, keys);
        if (!spool_push(bench->spool, records, group->records, err))
            return false;
        bench->unsent += group->records;
        if (receipts && bench->unsent >= BATCH && !drain(bench, err))
            return false;
    }
    return true;
}

static bool append_commits(struct bench *bench, int fd, const struct group *group, struct err *err)
{
    off_t offset = 0;
    uint64_t keys[GROUP_MAX];
    for (size_t i = 0; i < group->pair_commits; i++) {
        const struct spool_record *records = next_commit(bench, group->records, keys);
        /* Bodies follow each other in memory. */
        const uint8_t *start = records[0].body.data;
        const struct bytes last = records[group->records - 1].body;
        size_t length = (size_t)(last.data + last.length - start);
        if (pwrite(fd, start, length, offset) != (ssize_t)length || fdatasync(fd) != 0)
            return err_errno(err, errno, "raw append");
        offset += (off_t)length;
    }
    return true;
}

static bool preallocate(const char *path, size_t length, int *ret_fd, struct err *err)
{
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_errno(err, errno, "open %s", path);
    static const uint8_t zeros[65536];
    for (size_t at = 0; at < length; at += sizeof zeros) {
        if (write(fd, zeros, sizeof zeros) != (ssize_t)sizeof zeros) {
            close(fd);
            return err_errno(err, errno, "write %s", path);
        }
    }
    if (fsync(fd) != 0) {
        close(fd);
        return err_errno(err, errno, "fsync %s", path);
    }
    *ret_fd = fd;
    return true;
}

static bool measure_pairs(struct bench *bench, const struct group *group, int fd,
                          double ret_rates[PAIRS], double ret_ratios[PAIRS], struct err *err)
{
    double records = (double)(group->records * group->pair_commits);
    for (size_t i = 0; i < PAIRS; i++) {
        const size_t first = bench->at;
        int64_t start_ns = figures_now_ns();
        if (!append_commits(bench, fd, group, err))
            return false;
        int64_t raw_ns = figures_now_ns() - start_ns;
        bench->at = first; /* the same bytes again */
        start_ns = figures_now_ns();
        if (!push_commits(bench, group, group->pair_commits, false, err))
            return false;
        int64_t spool_ns = figures_now_ns() - start_ns;
        ret_rates[i] = records * 1e9 / (double)spool_ns;
        ret_ratios[i] = (double)raw_ns / (double)spool_ns;
        if (!drain(bench, err))
            return false;
    }
    return true;
}

static bool measure_rate(struct bench *bench, const struct group *group, struct err *err)
{
    char path[4096], name[64];
    int fd = -1;
    if (!path_join(path, sizeof path, bench->dir, "raw", err) ||
        !preallocate(path, group->records * group->pair_commits * 256, &fd, err))
        return false;
    double rates[PAIRS], ratios[PAIRS];
    /* A first round, so that the WAL has reached the length it keeps. */
    bool ok = push_commits(bench, group, group->pair_commits * 2, true, err) &&
              measure_pairs(bench, group, fd, rates, ratios, err);
    close(fd);
    unlink(path);
    if (!ok)
        return false;
    snprintf(name, sizeof name, "spool.g%zu.records_per_s", group->records);
    figure(name, figures_median(rates, PAIRS), "1/s");
    snprintf(name, sizeof name, "spool.g%zu.raw_ratio", group->records);
    figure(name, figures_median(ratios, PAIRS), "ratio");
    return true;
}

/* Until nothing is left to forget and the file has shrunk: what the pairs have left behind is none
 * of what is measured next. */
static bool settle(struct bench *bench, struct err *err)
{
    struct spool_stats before, after = {0};
    size_t removed = 0;
    do {
        spool_stats(bench->spool, &before);
        if (!drain(bench, err) || !spool_forget(bench->spool, &removed, err))
            return false;
        spool_stats(bench->spool, &after);
    } while (removed > 0 || after.bytes < before.bytes);
    return true;
}

/* Of the files that this process has written to, in whole pages. */
static bool own_written(uint64_t *ret_bytes)
{
    FILE *file = fopen("/proc/self/io", "re");
    char line[64];
    bool found = false;
    while (file != NULL && !found && fgets(line, sizeof line, file) != NULL)
        found = sscanf(line, "write_bytes: %" SCNu64, ret_bytes) == 1;
    if (file != NULL)
        fclose(file);
    return found;
}

static bool measure_disk(struct bench *bench, const struct group *group, struct err *err)
{
    uint64_t before = 0, after = 0, own_before = 0, own_after = 0;
    const double records = (double)(group->records * group->disk_commits);
    struct err why = {0};
    if (!settle(bench, err))
        return false;
    if (!figures_disk_written(bench->dir, &before, &why)) {
        printf("# spool.g%zu.disk_bytes_per_record: the block device cannot be read: %s\n",
               group->records, why.text);
        return true;
    }
    bool own = own_written(&own_before);
    if (!push_commits(bench, group, group->disk_commits, true, err) || !drain(bench, err) ||
        !figures_disk_written(bench->dir, &after, err))
        return false;
    char name[64];
    snprintf(name, sizeof name, "spool.g%zu.disk_bytes_per_record", group->records);
    figure(name, (double)(after - before) / records, "byte");
    if (own && own_written(&own_after))
        printf("# of these %.0f were pages of its own files\n",
               (double)(own_after - own_before) / records);
    return true;
}

static bool measure_group(struct bench *bench, const struct group *group, struct err *err)
{
    char path[4096];
    if (!path_join(path, sizeof path, bench->dir, "spool.db", err))
        return false;
    struct spool_dictionary dictionaries[DICTIONARIES_OF_RECORDS];
    dictionaries_of_records(dictionaries);
    struct spool_settings settings = {
        .path = path,
        .device = "bench",
        .quota_bytes = 256 * 1024 * 1024,
        .grace_ms = 0,
        .key_window = 10000,
        .dictionaries = dictionaries,
        .dictionary_count = DICTIONARIES_OF_RECORDS,
    };
    if (!spool_open(&settings, &clock_real, &bench->spool, err))
        return false;
    bench->unsent = 0;
    bool ok = measure_rate(bench, group, err) && measure_disk(bench, group, err);
    spool_close(bench->spool);
    return ok;
}

static bool run(struct bench *bench, struct err *err)
{
    if (!make_world(bench, err))
        return false;
    printf("# %d interleaved pairs; a receipt every %d records; disk: all that the device wrote\n",
           PAIRS, BATCH);
    for (size_t i = 0; i < sizeof groups / sizeof *groups; i++) {
        if (!measure_group(bench, &groups[i], err))
            return false;
    }
    return true;
}

int main(int argc, char **argv)
{
    const char *base = getenv("TMPDIR") != NULL ? getenv("TMPDIR") : "/var/tmp";
    if (argc == 3 && strcmp(argv[1], "--dir") == 0) {
        base = argv[2];
    } else if (argc != 1) {
        fprintf(stderr, "usage: %s [--dir DIR]\n", argv[0]);
        return 2;
    }
    char dir[4096];
    snprintf(dir, sizeof dir, "%s/muster-bench-XXXXXX", base);
    if (mkdtemp(dir) == NULL) {
        fprintf(stderr, "bench-spool: %s: %s\n", dir, strerror(errno));
        return 1;
    }
    struct bench *bench = calloc(1, sizeof *bench);
    struct err err = {0};
    bool ok = false;
    if (bench != NULL) {
        bench->dir = dir;
        ok = run(bench, &err);
        buf_done(&bench->bodies);
    }
    if (!ok)
        fprintf(stderr, "bench-spool: %s\n", err.text);
    free(bench);
    struct err ignored;
    (void)!file_remove_tree(dir, &ignored);
    return ok ? 0 : 1;
}
