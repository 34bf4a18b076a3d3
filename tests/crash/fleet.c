/* SPDX-License-Identifier: Apache-2.0 */
/* Power cuts under the fleet's database, with the real collector on it. */
#include "fleet/collector.h"
#include "tests/crash/fleet_world.h"

#include <inttypes.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    STEPS = 40, /* some of them take a step more for each receipt */
    STEPS_MAX = STEPS + 64,
    STREAMS = 4,
    SEQS = 60,
    BATCH_MAX = 12,
    CONFLICT_SALT = 5000,
};

/* One stream of results: what was ever sent, and what has been receipted. */
struct stream {
    bool sent[SEQS + 1], receipted[SEQS + 1];
    bool contradicted[SEQS + 1]; /* other content was sent too: not receipted any more */
};

struct seed {
    struct fleet_world fleet; /* first: what its ports are given */
    struct stream now[STREAMS], at[STEPS_MAX][STREAMS];
    bool enrolled, enrolled_at[STEPS_MAX];
    bool checking;             /* receipts of a check are not the work's */
    struct buf whole[STREAMS]; /* one batch with all of each stream */
};

static void step_end(struct crash *crash)
{
    struct seed *seed = crash->ctx;
    memcpy(seed->at[crash->log.step], seed->now, sizeof seed->now);
    seed->enrolled_at[crash->log.step] = seed->enrolled;
}

static void step_begin(struct crash *crash)
{
    if (++crash->log.step >= STEPS_MAX)
        crash_stop(crash, "too many steps");
}

/* ---- what is sent ---- */

static void mark(struct stream *stream, uint64_t first, uint64_t last)
{
    for (uint64_t seq = first; seq <= last && seq <= SEQS; seq++)
        stream->receipted[seq] = true;
}

/* A receipt is handed out: from this operation on it holds. */
static void take_receipt(struct seed *seed, const Muster__Receipt *receipt)
{
    for (size_t i = 0; i < receipt->n_streams; i++) {
        const Muster__StreamReceipt *said = receipt->streams[i];
        if (said->incarnation < 1 || said->incarnation > STREAMS)
            continue;
        struct stream *stream = &seed->now[said->incarnation - 1];
        mark(stream, 1, said->cumulative);
        for (size_t j = 0; j < said->n_ranges; j++)
            mark(stream, said->ranges[j]->first, said->ranges[j]->last);
    }
}

static bool send(void *ctx, const char *topic, struct bytes payload)
{
    struct seed *seed = ctx;
    struct arena arena = {0};
    if (strcmp(topic, "muster/v1/down/t1/receipt") != 0)
        return true;
    struct world *world = &seed->fleet.world;
    (void)snprintf(world->topics[0], TOPIC_CHARS, "%s", topic);
    world->sent = 1;
    if (!buf_append(&world->payloads[0], payload.data, payload.length, NULL))
        return false;
    if (!seed->checking)
        step_end(seed->fleet.crash);
    take_receipt(seed, world_receipt(world, 0, &arena));
    if (!seed->checking) {
        step_begin(seed->fleet.crash);
        step_end(seed->fleet.crash);
    }
    arena_done(&arena);
    world_forget_sent(world);
    return true;
}

/* ---- a fleet ---- */

static void *begin(struct crash *crash)
{
    static const char *const devices[] = {"t1"};
    struct seed *seed = calloc(1, sizeof *seed);
    if (seed == NULL)
        crash_stop(crash, "no memory");
    fleet_world_begin(&seed->fleet, crash, devices, 1);
    seed->fleet.send = send;
    for (uint64_t i = 0; i < STREAMS; i++)
        seed->whole[i] = world_seal_results(&seed->fleet.world, "t1", i + 1, 1, SEQS, 0);
    return seed;
}

static void end(struct crash *crash)
{
    struct seed *seed = crash->ctx;
    for (size_t i = 0; i < STREAMS; i++)
        buf_done(&seed->whole[i]);
    fleet_world_end(&seed->fleet);
    free(seed);
}

static bool enrol(struct seed *seed, struct err *err)
{
    return fleet_world_enrol(&seed->fleet, "t1", "m", "Merchant", err);
}

/* ---- the work ---- */

static void do_batch(struct crash *crash)
{
    struct seed *seed = crash->ctx;
    size_t stream = crash_draw(crash, STREAMS);
    uint64_t first = 1 + crash_draw(crash, SEQS);
    uint64_t last = first + crash_draw(crash, BATCH_MAX);
    last = last < SEQS ? last : SEQS;
    bool conflict = crash_draw(crash, 12) == 0 && seed->now[stream].receipted[first];
    step_begin(crash);
    for (uint64_t seq = first; seq <= last && !conflict; seq++)
        seed->now[stream].sent[seq] = true;
    if (conflict)
        last = first;
    seed->now[stream].contradicted[first] |= conflict;
    world_send_results(&seed->fleet.world, stream + 1, first, last, conflict ? CONFLICT_SALT : 0);
    step_end(crash);
}

static void do_turn(struct crash *crash)
{
    struct seed *seed = crash->ctx;
    step_begin(crash);
    seed->fleet.world.now_ms += crash_draw(crash, 250);
    (void)collector_turn(seed->fleet.world.collector);
    step_end(crash);
}

static void do_reopen(struct crash *crash)
{
    struct seed *seed = crash->ctx;
    step_begin(crash);
    fleet_world_close(&seed->fleet);
    step_end(crash);
    step_begin(crash);
    fleet_world_must_open(&seed->fleet, seed->fleet.path);
    step_end(crash);
}

static void make(struct crash *crash, const char *dir)
{
    struct seed *seed = crash->ctx;
    char path[FLEET_WORLD_PATH_BYTES];
    fleet_world_path(dir, path);
    fleet_world_must_open(&seed->fleet, path);
    fleet_world_close(&seed->fleet);
}

static void work(struct crash *crash, const char *dir)
{
    struct seed *seed = crash->ctx;
    struct fleetdb_device device;
    struct err err = {0};
    fleet_world_path(dir, seed->fleet.path);
    if (crash->round > 0) {
        memcpy(seed->now, seed->at[crash->from_step - !crash->from_done], sizeof seed->now);
        for (size_t i = 0; i < STREAMS;
             i++) /* what was sent may have come or not: either is good */
            memcpy(seed->now[i].sent, seed->at[crash->from_step][i].sent, sizeof seed->now[i].sent);
        seed->enrolled = seed->enrolled_at[crash->from_step - !crash->from_done];
    }
    crash->log.step = 0;
    step_end(crash);
    step_begin(crash);
    fleet_world_must_open(&seed->fleet, seed->fleet.path);
    step_end(crash);
    step_begin(crash);
    if (!fleetdb_device_find(seed->fleet.world.fleet->db, "t1", &device, &err))
        fleet_world_must(&seed->fleet, enrol(seed, &err), &err);
    seed->enrolled = true;
    step_end(crash);
    while (crash->log.step < STEPS) {
        unsigned what = crash_draw(crash, 100);
        if (what < 50)
            do_batch(crash);
        else if (what < 94)
            do_turn(crash);
        else
            do_reopen(crash);
    }
}

static void drop(struct crash *crash)
{
    struct seed *seed = crash->ctx;
    fleet_world_close(&seed->fleet);
}

/* ---- the check ---- */

struct check {
    struct crash *crash;
    struct seed *seed;
    sqlite3 *db;
    const struct stream *before, *after; /* [STREAMS]; the same if the step was done */
    bool held[STREAMS][SEQS + 1];
};

/* Each row of a query that gives up to four integers. */
static void each_row(struct check *check, const char *sql,
                     void (*take)(struct check *check, const int64_t values[4]))
{
    sqlite3_stmt *statement = NULL;
    int64_t values[4] = {0};
    if (sqlite3_prepare_v2(check->db, sql, -1, &statement, NULL) != SQLITE_OK) {
        crash_corrupt(check->crash, "%s: %s", sql, sqlite3_errmsg(check->db));
        return;
    }
    int rc;
    while ((rc = sqlite3_step(statement)) == SQLITE_ROW) {
        for (int i = 0; i < sqlite3_column_count(statement) && i < 4; i++)
            values[i] = sqlite3_column_int64(statement, i);
        take(check, values);
    }
    if (rc != SQLITE_DONE)
        crash_corrupt(check->crash, "%s: %s", sql, sqlite3_errmsg(check->db));
    (void)sqlite3_finalize(statement);
}

static bool is_ours(const int64_t values[2])
{
    return values[0] >= 1 && values[0] <= STREAMS && values[1] >= 1 && values[1] <= SEQS;
}

/* incarnation, seq, amount, key as a number */
static void take_result(struct check *check, const int64_t values[4])
{
    if (!is_ours(values) || !check->after[values[0] - 1].sent[values[1]]) {
        crash_corrupt(check->crash, "incarnation %lld seq %lld was never sent",
                      (long long)values[0], (long long)values[1]);
        return;
    }
    bool *held = &check->held[values[0] - 1][values[1]];
    if (*held)
        crash_doubled(check->crash, "incarnation %lld seq %lld is there twice",
                      (long long)values[0], (long long)values[1]);
    if (values[2] != values[1])
        crash_corrupt(check->crash, "incarnation %lld seq %lld has other content",
                      (long long)values[0], (long long)values[1]);
    *held = true;
}

/* incarnation, first, last */
static void take_interval(struct check *check, const int64_t values[4])
{
    for (int64_t seq = values[1]; seq <= values[2]; seq++) {
        const int64_t id[2] = {values[0], seq};
        if (!is_ours(id) || !check->held[id[0] - 1][seq])
            crash_lost(check->crash, "incarnation %lld seq %lld is said to be held, without a row",
                       (long long)values[0], (long long)seq);
    }
}

static void take_count(struct check *check, const int64_t values[4])
{
    if (values[0] > 0)
        crash_doubled(check->crash, "%lld idempotency keys are there twice", (long long)values[0]);
}

static void check_rows(struct check *check)
{
    memset(check->held, 0, sizeof check->held);
    each_row(check, "SELECT incarnation, seq, amount_minor FROM result", take_result);
    each_row(check, "SELECT incarnation, 1, cumulative FROM stream WHERE lane = 1", take_interval);
    each_row(check,
             "SELECT incarnation, first, last FROM stream_range JOIN stream ON id = stream"
             " WHERE lane = 1",
             take_interval);
    each_row(check,
             "SELECT count(*) FROM (SELECT 1 FROM result GROUP BY device, idempotency_key"
             " HAVING count(*) > 1)",
             take_count);
}

static void check_receipted(struct check *check, const struct stream *streams)
{
    for (size_t i = 0; i < STREAMS; i++) {
        for (size_t seq = 1; seq <= SEQS; seq++) {
            if (streams[i].receipted[seq] && !check->held[i][seq])
                crash_lost(check->crash, "incarnation %zu seq %zu was receipted and has no row",
                           i + 1, seq);
        }
    }
}

static void check_integrity(struct check *check)
{
    sqlite3_stmt *statement = NULL;
    const char *said = "no answer";
    if (sqlite3_prepare_v2(check->db, "PRAGMA integrity_check", -1, &statement, NULL) ==
            SQLITE_OK &&
        sqlite3_step(statement) == SQLITE_ROW)
        said = (const char *)sqlite3_column_text(statement, 0);
    if (strcmp(said, "ok") != 0)
        crash_corrupt(check->crash, "integrity_check: %s: %s", said, sqlite3_errmsg(check->db));
    (void)sqlite3_finalize(statement);
}

/* All of every stream comes now, again or for the first time: each row once, and receipted. */
static void check_again(struct check *check)
{
    struct seed *seed = check->seed;
    struct stream work[STREAMS], all[STREAMS];
    memcpy(all, check->after, sizeof all);
    memcpy(work, seed->now, sizeof work);
    memset(seed->now, 0, sizeof seed->now);
    for (size_t i = 0; i < STREAMS; i++) {
        memset(all[i].sent, true, sizeof all[i].sent);
        world_deliver(&seed->fleet.world, TOPIC_UP_BATCH, "t1", buf_bytes(&seed->whole[i]));
    }
    world_settle(&seed->fleet.world);
    check->after = all;
    check_rows(check);
    fleet_world_check_sums(&seed->fleet);
    for (size_t i = 0; i < STREAMS; i++) {
        for (size_t seq = 1; seq <= SEQS; seq++) {
            bool receipted = seed->now[i].receipted[seq] || all[i].contradicted[seq];
            if (!receipted || !check->held[i][seq])
                crash_lost(check->crash, "incarnation %zu seq %zu was sent after the cut and is %s",
                           i + 1, seq, check->held[i][seq] ? "not receipted" : "not there");
        }
    }
    memcpy(seed->now, work, sizeof work);
}

static void check(struct crash *crash, const char *dir, unsigned step, bool done)
{
    struct seed *seed = crash->ctx;
    struct fleetdb_device device;
    struct check check = {.crash = crash,
                          .seed = seed,
                          .before = seed->at[done ? step : step - 1],
                          .after = seed->at[step]};
    bool enrolled = seed->enrolled_at[done ? step : step - 1];
    uint64_t breaches = crash->corrupt + crash->lost + crash->doubled;
    int64_t now_ms = seed->fleet.world.now_ms;
    char path[FLEET_WORLD_PATH_BYTES];
    struct err err = {0};
    seed->checking = true;
    fleet_world_path(dir, path);
    if (!fleet_world_open(&seed->fleet, path, &err)) {
        crash_corrupt(crash, "does not open: %s", err.text);
    } else if (sqlite3_open_v2(path, &check.db, SQLITE_OPEN_READONLY, NULL) != SQLITE_OK) {
        crash_corrupt(crash, "cannot be looked into");
    } else {
        check_rows(&check);
        fleet_world_check_sums(&seed->fleet);
        check_receipted(&check, check.before);
        bool known = fleetdb_device_find(seed->fleet.world.fleet->db, "t1", &device, &err);
        if (!known && enrolled)
            crash_lost(crash, "the device: %s", err.text);
        if (!known && !enrol(seed, &err))
            crash_corrupt(crash, "takes nothing new: %s", err.text);
        if (crash->thorough && crash->corrupt + crash->lost + crash->doubled == breaches)
            check_again(&check);
        if (crash->thorough)
            check_integrity(&check);
    }
    (void)sqlite3_close(check.db);
    fleet_world_close(&seed->fleet);
    seed->fleet.world.now_ms = now_ms;
    seed->checking = false;
}

int main(int argc, char **argv)
{
    const struct crash_part part = {
        .name = "fleet",
        .images = 3000,
        .images_full = 28000,
        .kinds = 1u << DISK_CREATE | 1u << DISK_WRITE | 1u << DISK_SYNC | 1u << DISK_SYNC_DIR |
                 1u << DISK_UNLINK,
        .rounds = 3,
        .begin = begin,
        .make = make,
        .work = work,
        .drop = drop,
        .check = check,
        .end = end,
    };
    return crash_main(&part, argc, argv);
}
