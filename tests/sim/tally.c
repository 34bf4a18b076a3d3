/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/tally.h"

#include "tests/bench/figures.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

static void records_of(const struct terminal *terminal, uint64_t ret_records[SPOOL_LANES])
{
    struct spool_stream streams[SPOOL_LANES];
    size_t count = spool_unclosed(terminal->agent->spool, streams, SPOOL_LANES);
    for (int lane = 0; lane < SPOOL_LANES; lane++)
        ret_records[lane] = 0;
    for (size_t i = 0; i < count; i++)
        ret_records[streams[i].lane - 1] = streams[i].last_seq;
}

static uint64_t in_flight(const struct uplink *uplink)
{
    uint64_t count = 0;
    for (size_t i = 0; uplink->connected && i < UPLINK_WINDOW; i++)
        count += uplink->in_flight[i] != 0;
    return count;
}

static void add(const struct terminal *terminal, struct tally *tally)
{
    const struct agent *agent = terminal->agent;
    uint64_t records[SPOOL_LANES];
    struct spool_stats stats;
    records_of(terminal, records);
    spool_stats(agent->spool, &stats);
    for (int lane = 0; lane < SPOOL_LANES; lane++)
        tally->records[lane] += records[lane];
    tally->results += terminal->count.results;
    tally->declined += terminal->count.declined;
    tally->suspects += terminal->count.suspects;
    tally->waiting += stats.records;
    tally->lost += stats.records_lost;
    tally->oldest_ms = stats.oldest_ms > tally->oldest_ms ? stats.oldest_ms : tally->oldest_ms;
    tally->most_waiting = stats.records > tally->most_waiting ? stats.records : tally->most_waiting;
    tally->in_flight += in_flight(&agent->sender.uplink);
    tally->batches += agent->sender.batches;
    tally->batch_bytes += agent->sender.batch_bytes;
    tally->resends += agent->sender.uplink.resends;
    tally->refused += agent->receipts_refused + agent->messages_refused;
    tally->connected += agent->sender.uplink.connected;
    tally->sessions += linkport_state(agent->port)->sessions;
}

void tally_take(const struct terminal *terminals, size_t count, struct tally *ret_tally)
{
    *ret_tally = (struct tally){0};
    for (size_t i = 0; i < count; i++)
        add(&terminals[i], ret_tally);
}

static void line(const char *prefix, const char *name, double value, const char *unit)
{
    char whole[80];
    (void)snprintf(whole, sizeof whole, "%s.%s", prefix, name);
    figure(whole, value, unit);
}

void tally_print(const char *prefix, const struct tally *tally)
{
    line(prefix, "connected", (double)tally->connected, "devices");
    line(prefix, "sessions", (double)tally->sessions, "count");
    line(prefix, "results", (double)tally->results, "records");
    line(prefix, "declined", (double)tally->declined, "records");
    line(prefix, "suspects", (double)tally->suspects, "records");
    line(prefix, "events", (double)tally->records[1], "records");
    line(prefix, "health", (double)tally->records[2], "records");
    line(prefix, "waiting", (double)tally->waiting, "records");
    line(prefix, "lost", (double)tally->lost, "records");
    line(prefix, "most_waiting", (double)tally->most_waiting, "records");
    line(prefix, "oldest", (double)tally->oldest_ms / 1000, "s");
    line(prefix, "in_flight", (double)tally->in_flight, "packets");
    line(prefix, "batches", (double)tally->batches, "count");
    line(prefix, "batch_bytes", (double)tally->batch_bytes, "B");
    line(prefix, "resends", (double)tally->resends, "count");
    line(prefix, "refused", (double)tally->refused, "messages");
}

bool tally_ledger(const char *path, const struct terminal *terminals, size_t count, struct err *err)
{
    FILE *out = fopen(path, "we");
    if (out == NULL)
        return err_errno(err, errno, "%s", path);
    fprintf(out, "device\tresults\tamount_minor\tdeclined\tevents\thealth\n");
    for (size_t i = 0; i < count; i++) {
        const struct terminal_count *made = &terminals[i].count;
        uint64_t records[SPOOL_LANES];
        records_of(&terminals[i], records);
        fprintf(out, "%s\t%" PRIu64 "\t%" PRIu64 "\t%" PRIu64 "\t%" PRIu64 "\t%" PRIu64 "\n",
                terminals[i].device, made->results, made->amount_minor, made->declined, records[1],
                records[2]);
    }
    bool written = ferror(out) == 0;
    return (fclose(out) == 0 && written) || err_errno(err, errno, "%s", path);
}
