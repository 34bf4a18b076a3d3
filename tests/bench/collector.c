/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet/collector.h"
#include "base/file.h"
#include "fleet/ed25519.h"
#include "fleet/opener.h"
#include "proto/batch.h"
#include "proto/envelope.h"
#include "proto/topics.h"
#include "tests/bench/bare.h"
#include "tests/bench/figures.h"
#include "tests/bench/senders.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/*
 * What musterd's collector takes in: sealed batches of 10,000 devices through the modules that
 * musterd has, to rows and receipts. Beside it, turn by turn, the same rows go bare into a table of
 * their own, as often committed: the ceiling that SQLite sets. Usage: bench-collector [--dir DIR]
 * [--results BATCH] [DEVICES].
 */
enum {
    SEED = 20260101,
    DEVICES = 10000,
    TURN = 4096,
    LOOP = 256,
    PATH_BYTES = 128,
    COALESCE_MS = 200
};

struct load {
    size_t size;          /* results a batch */
    size_t devices_of_10; /* so many of ten devices send */
    size_t rounds;
    const char *prefix;
};
static const struct load loads[] = {
    {50, 10, 1, "collector.sqlite"},
    {1, 10, 2, "collector.sqlite.n1"},
    {10, 10, 2, "collector.sqlite.n10"},
    {500, 1, 1, "collector.sqlite.n500"},
};

struct spent {
    double wall_s, cpu_s; /* CPU: of all threads */
    double own_s;         /* CPU of this one, which stores */
};

struct bench {
    char dir[64];
    struct retail retail;
    struct senders *senders;
    struct sign_key *fleet_key;
    int64_t started_ns, skipped_ms;
    struct clock clock;
    /* Of the load at hand: */
    struct fleetdb *db;
    struct metrics metrics;
    struct collector *collector;
    struct bare *bare;
    struct rows_plan plan;
    struct batch_decoder *decoder;
    struct sha256_state *hash;
    struct buf scratch;
    size_t receipts, receipt_bytes;
    struct spent collecting, bare_appending;
    bool failed;
};

/* ---- time ---- */

static double cpu_s(clockid_t which)
{
    struct timespec now;
    clock_gettime(which, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static struct spent now(void)
{
    return (struct spent){(double)figures_now_ns() / 1e9, cpu_s(CLOCK_PROCESS_CPUTIME_ID),
                          cpu_s(CLOCK_THREAD_CPUTIME_ID)};
}

static void spend(struct spent *spent, struct spent since)
{
    struct spent until = now();
    spent->wall_s += until.wall_s - since.wall_s;
    spent->cpu_s += until.cpu_s - since.cpu_s;
    spent->own_s += until.own_s - since.own_s;
}

static int64_t boot_ms(void *ctx)
{
    const struct bench *bench = ctx;
    return bench->skipped_ms + (figures_now_ns() - bench->started_ns) / 1000000;
}

static int64_t wall_ms(void *ctx)
{
    return SENDERS_OPEN_MS + SENDERS_TOLD_MS + boot_ms(ctx);
}

/* ---- the collector's ports ---- */

static bool send(void *ctx, const char *topic, struct bytes payload)
{
    struct bench *bench = ctx;
    (void)topic;
    bench->receipts++;
    bench->receipt_bytes += payload.length;
    return true;
}

static void no_hello(void *ctx, const struct fleetdb_device *device, const Muster__Hello *hello,
                     struct wants *ret_wants, struct buf *ret_manifest)
{
    (void)ctx, (void)device, (void)hello, (void)ret_wants, (void)ret_manifest;
}

/* The turns of this bench come by themselves. */
static void wake(void *ctx)
{
    (void)ctx;
}

static void failed(void *ctx, const struct err *why)
{
    fprintf(stderr, "bench-collector: the collector gave up: %s\n", why->text);
    ((struct bench *)ctx)->failed = true;
}

/* ---- one turn, collected and bare ---- */

static void collect(struct bench *bench, const struct sent *sent, size_t count)
{
    struct spent since = now();
    for (size_t i = 0; i < count; i++) {
        char topic[TOPIC_CHARS];
        topic_device(TOPIC_UP_BATCH, senders_id(bench->senders, sent[i].device), topic);
        collector_message(bench->collector, topic, sent[i].sealed);
        if (i % LOOP == LOOP - 1) /* as musterd's loop does */
            (void)collector_turn(bench->collector);
    }
    collector_flush(bench->collector); /* nothing is opened on the time of others */
    (void)collector_turn(bench->collector);
    spend(&bench->collecting, since);
}

static bool append_rows(struct bench *bench, const struct lane_rows *lane, int64_t device,
                        struct arena *arena, struct err *err)
{
    struct fleetdb_value values[FLEETDB_COLUMNS_MAX], *all = NULL;
    const size_t columns = bench->plan.count;
    uint64_t digest = 0;
    bool masked = false, done = true;
    all = arena_alloc(arena, lane->count * columns * sizeof *all);
    if (all == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory for a batch's values");
    for (size_t i = 0; done && i < lane->count; i++) {
        done = rows_values(&bench->plan, lane->rows[i], arena, values, &masked, err);
        memcpy(&all[i * columns], values, columns * sizeof *all);
    }
    done = done &&
           rows_digest(lane->rows[0], lane->sizes[0], &bench->scratch, bench->hash, &digest, err);
    struct spent since = now();
    for (size_t i = 0; done && i < lane->count; i++) {
        const struct fleetdb_value *own = &all[i * columns];
        const struct fleetdb_record record = {
            .device = device,
            .lane = 1,
            .incarnation = lane->incarnation,
            .seq = lane->first_seq + i,
            .digest = digest + i,
            .received_ms = wall_ms(bench),
            .at_ms = own[bench->plan.wall].integer,
            .bound_ms = 1000,
            .values = own,
        };
        done = bare_append(bench->bare, &record, err);
    }
    spend(&bench->bare_appending, since);
    return done;
}

static bool append_batch(struct bench *bench, const struct sent *sent, struct err *err)
{
    struct arena arena = {.limit_bytes = 2 * BATCH_ARENA_BYTES};
    struct envelope envelope;
    struct lane_rows *lanes = NULL;
    size_t lane_count = 0;
    int64_t device = senders_row(bench->senders, sent->device);
    bool done =
        envelope_read(sent->sealed, &envelope, err) &&
        batch_decoder_read(bench->decoder, envelope.body, &arena, &lanes, &lane_count, err) &&
        append_rows(bench, &lanes[0], device, &arena, err);
    arena_done(&arena);
    return done;
}

static uint64_t commits_of(const struct metrics *metrics)
{
    uint64_t commits = 0;
    for (size_t i = 0; i <= METRICS_LATENCY_BUCKETS; i++)
        commits += metrics->commits[i];
    return commits;
}

/* In so many commits as the collector made of them. */
static bool append_bare(struct bench *bench, const struct sent *sent, size_t count,
                        uint64_t commits, struct err *err)
{
    size_t at = 0;
    for (uint64_t commit = 0; commit < commits; commit++) {
        size_t end = count * (size_t)(commit + 1) / (size_t)commits;
        struct spent since = now();
        bool done = bare_begin(bench->bare, err);
        spend(&bench->bare_appending, since);
        while (done && at < end)
            done = append_batch(bench, &sent[at++], err);
        since = now();
        if (!done || !bare_commit(bench->bare, err))
            return false;
        spend(&bench->bare_appending, since);
    }
    return true;
}

static bool take_turns(struct bench *bench, const struct sent_batches *batches, struct err *err)
{
    for (size_t first = 0; first < batches->count; first += TURN) {
        size_t count = batches->count - first < TURN ? batches->count - first : TURN;
        uint64_t before = commits_of(&bench->metrics);
        collect(bench, &batches->list[first], count);
        uint64_t commits = commits_of(&bench->metrics) - before;
        if (commits == 0 || bench->failed)
            return err_set(err, ERR_IO, "a turn without a commit");
        if (!append_bare(bench, &batches->list[first], count, commits, err))
            return false;
    }
    /* What is still owed a receipt. */
    struct spent since = now();
    for (int64_t wait_ms = 0; (wait_ms = collector_turn(bench->collector)) >= 0;) {
        spend(&bench->collecting, since);
        bench->skipped_ms += wait_ms;
        since = now();
    }
    return true;
}

/* ---- where the time goes ---- */

static bool measure_parts(struct bench *bench, const struct sent_batches *batches,
                          const struct load *load, struct err *err)
{
    enum { SAMPLE = 1000 };
    struct spent verifying = {0}, decoding = {0}, reading = {0}, preparing = {0};
    size_t count = batches->count < SAMPLE ? batches->count : SAMPLE;
    char name[96];
    for (size_t i = 0; i < count; i++) {
        const struct sent *sent = &batches->list[i];
        struct verify_key *key = NULL;
        struct arena arena = {.limit_bytes = 2 * BATCH_ARENA_BYTES};
        struct lane_rows *lanes = NULL;
        struct rows_ready ready;
        struct bytes body = {0};
        size_t lane_count = 0;
        struct spent since = now();
        if (!ed25519_verify_key(senders_spki(bench->senders, sent->device), &key, err))
            return false;
        spend(&reading, since);
        const struct key_set set = {&key, 1, 1};
        since = now();
        bool done = unseal("batch", senders_id(bench->senders, sent->device), sent->sealed, &set,
                           &body, err);
        spend(&verifying, since);
        verify_key_free(key);
        since = now();
        done = done && batch_decoder_read(bench->decoder, body, &arena, &lanes, &lane_count, err);
        spend(&decoding, since);
        since = now();
        done = done && rows_make_ready(&bench->plan, &lanes[0], &bench->scratch, bench->hash,
                                       &arena, &ready, err);
        spend(&preparing, since);
        arena_done(&arena);
        if (!done)
            return false;
    }
    (void)snprintf(name, sizeof name, "%s.key_us_per_batch", load->prefix);
    figure(name, reading.wall_s * 1e6 / (double)count, "us");
    (void)snprintf(name, sizeof name, "%s.verify_us_per_batch", load->prefix);
    figure(name, verifying.wall_s * 1e6 / (double)count, "us");
    (void)snprintf(name, sizeof name, "%s.decode_us_per_record", load->prefix);
    figure(name, decoding.wall_s * 1e6 / (double)(count * load->size), "us");
    (void)snprintf(name, sizeof name, "%s.prepare_us_per_record", load->prefix);
    figure(name, preparing.wall_s * 1e6 / (double)(count * load->size), "us");
    return true;
}

/* ---- one load ---- */

static bool open_load(struct bench *bench, struct err *err)
{
    char from[PATH_BYTES], to[PATH_BYTES], bare[PATH_BYTES];
    struct buf file = {.limit = SIZE_MAX};
    (void)snprintf(from, sizeof from, "%s/enrolled.db", bench->dir);
    (void)snprintf(to, sizeof to, "%s/fleet.db", bench->dir);
    (void)snprintf(bare, sizeof bare, "%s/bare.db", bench->dir);
    bool done = file_read(from, SIZE_MAX, &file, err) &&
                file_write(to, buf_bytes(&file), 0600, err) && fleetdb_open(to, &bench->db, err) &&
                bare_open(bare, &bench->bare, err);
    buf_done(&file);
    bench->metrics = (struct metrics){0};
    bench->receipts = bench->receipt_bytes = 0;
    bench->collecting = bench->bare_appending = (struct spent){0};
    bench->clock = (struct clock){wall_ms, boot_ms, bench};
    const struct collector_settings settings = {
        .db = bench->db,
        .clock = &bench->clock,
        .metrics = &bench->metrics,
        .receipt_key = bench->fleet_key,
        .director_key = bench->fleet_key,
        .receipts = {.coalesce_ms = COALESCE_MS},
    };
    const struct collector_ports ports = {
        .ctx = bench, .send = send, .hello = no_hello, .failed = failed, .wake = wake};
    return done && collector_open(&settings, &ports, &bench->collector, err);
}

static void close_load(struct bench *bench)
{
    static const char *const names[] = {"fleet.db", "fleet.db-lock", "bare.db"};
    collector_close(bench->collector);
    fleetdb_close(bench->db);
    bare_close(bench->bare);
    bench->collector = NULL;
    bench->db = NULL;
    bench->bare = NULL;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[PATH_BYTES];
        (void)snprintf(path, sizeof path, "%s/%s", bench->dir, names[i]);
        (void)unlink(path);
    }
}

static void print_one(const struct load *load, const char *what, double value, const char *unit)
{
    char name[96];
    (void)snprintf(name, sizeof name, "%s.%s", load->prefix, what);
    figure(name, value, unit);
}

static bool print_load(struct bench *bench, const struct load *load, size_t records,
                       struct err *err)
{
    const struct spent *did = &bench->collecting, *bare = &bench->bare_appending;
    if (bench->metrics.values[METRIC_RECORDS_TXN] != records || bench->receipts == 0)
        return err_set(err, ERR_IO, "%llu of %zu records were taken, with %zu receipts",
                       (unsigned long long)bench->metrics.values[METRIC_RECORDS_TXN], records,
                       bench->receipts);
    double count = (double)records;
    print_one(load, "records_per_s", count / did->wall_s, "1/s");
    print_one(load, "ceiling_ratio", bare->wall_s / did->wall_s, "ratio");
    print_one(load, "bare_records_per_s", count / bare->wall_s, "1/s");
    print_one(load, "records_per_cpu_s", count / did->cpu_s, "1/s");
    print_one(load, "ceiling_cpu_ratio", bare->cpu_s / did->cpu_s, "ratio");
    print_one(load, "us_per_record", did->wall_s * 1e6 / count, "us");
    print_one(load, "cpu_us_per_record", did->cpu_s * 1e6 / count, "us");
    print_one(load, "store_cpu_us_per_record", did->own_s * 1e6 / count, "us");
    print_one(load, "receipts", (double)bench->receipts, "count");
    print_one(load, "commits", (double)commits_of(&bench->metrics), "count");
    print_one(load, "file_bytes_per_record", (double)fleetdb_size_bytes(bench->db) / count, "byte");
    return true;
}

static bool run_load(struct bench *bench, const struct load *load, size_t devices, struct err *err)
{
    struct sent_batches batches = {0};
    size_t senders = devices * load->devices_of_10 / 10;
    senders = senders > 0 ? senders : 1;
    bool done = senders_batches(bench->senders, senders, load->rounds, load->size, &batches, err) &&
                open_load(bench, err);
    printf("# %zu results a batch: %zu devices, %zu batches, %.1f bytes a record sealed\n",
           load->size, senders, batches.count,
           (double)batches.bytes.length / (double)(batches.count * load->size));
    done = done && measure_parts(bench, &batches, load, err) && take_turns(bench, &batches, err) &&
           print_load(bench, load, batches.count * load->size, err);
    close_load(bench);
    sent_batches_done(&batches);
    return done;
}

/* ---- all of it ---- */

static bool open_bench(struct bench *bench, const char *dir, size_t devices, struct err *err)
{
    char path[PATH_BYTES];
    const struct retail_settings world = {
        .routing = MUSTER_ROUTING_TABLE, .ca_keys = MUSTER_CA_KEYS_TABLE, .seed = SEED};
    struct fleetdb *db = NULL;
    (void)snprintf(bench->dir, sizeof bench->dir, "%s/muster-bench-XXXXXX", dir);
    if (mkdtemp(bench->dir) == NULL)
        return err_set(err, ERR_IO, "%s: no directory can be made there", dir);
    (void)snprintf(path, sizeof path, "%s/fleet.key", bench->dir);
    bench->started_ns = figures_now_ns();
    bench->hash = sha256_begin();
    if (!retail_open(&bench->retail, &world, err) || !rows_plan_make(1, &bench->plan, err) ||
        !batch_decoder_open(&bench->decoder, err) || !sign_key_make(path, &bench->fleet_key, err) ||
        !ed25519_sign_through(bench->fleet_key, err))
        return false;
    (void)unlink(path);
    (void)snprintf(path, sizeof path, "%s/enrolled.db", bench->dir);
    bool done = fleetdb_open(path, &db, err) &&
                senders_open(&bench->retail, SEED, devices, db, &bench->senders, err);
    fleetdb_close(db);
    return done;
}

static void close_bench(struct bench *bench)
{
    char path[PATH_BYTES];
    uint8_t nothing[32];
    senders_close(bench->senders);
    sign_key_free(bench->fleet_key);
    batch_decoder_close(bench->decoder);
    retail_close(&bench->retail);
    buf_done(&bench->scratch);
    if (bench->hash != NULL)
        sha256_end(bench->hash, nothing);
    (void)snprintf(path, sizeof path, "%s/enrolled.db", bench->dir);
    (void)unlink(path);
    (void)snprintf(path, sizeof path, "%s/enrolled.db-lock", bench->dir);
    (void)unlink(path);
    (void)rmdir(bench->dir);
}

static bool run(struct bench *bench, const char *dir, size_t devices, size_t only, struct err *err)
{
    if (!open_bench(bench, dir, devices, err))
        return false;
    printf(
        "# world: %zu devices, one retail lane each, seed %d, lanes open over 12 hours of a day;\n"
        "# the ceiling is the same rows in a table without index, as often committed\n",
        devices, SEED);
    for (size_t i = 0; i < sizeof loads / sizeof *loads; i++) {
        if ((only == 0 || only == loads[i].size) && !run_load(bench, &loads[i], devices, err))
            return false;
    }
    return true;
}

int main(int argc, char **argv)
{
    const char *dir = getenv("TMPDIR") != NULL ? getenv("TMPDIR") : "/tmp";
    size_t devices = DEVICES, only = 0;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--dir") == 0 && i + 1 < argc)
            dir = argv[++i];
        else if (strcmp(argv[i], "--results") == 0 && i + 1 < argc)
            only = strtoul(argv[++i], NULL, 10);
        else
            devices = strtoul(argv[i], NULL, 10);
    }
    if (devices == 0 || devices > 100000) {
        fprintf(stderr, "usage: bench-collector [--dir DIR] [--results BATCH] [DEVICES]\n");
        return 2;
    }
    struct bench *bench = calloc(1, sizeof *bench);
    struct err err = {0};
    if (bench == NULL)
        return 1;
    bool done = run(bench, dir, devices, only, &err);
    if (!done)
        fprintf(stderr, "bench-collector: %s\n", err.text);
    close_bench(bench);
    free(bench);
    return done ? 0 : 1;
}
