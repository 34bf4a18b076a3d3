/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/train/terminals.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { HOUR_MS = 3600 * 1000, VERSION_CHARS = 16 };

static const int64_t start_ms = INT64_C(1735689600000), start_span_ms = INT64_C(63072000000);

struct train_terminal {
    struct results *results;
    struct rng rng;
    char app_version[VERSION_CHARS];
    uint32_t firmware_major, firmware_minor;
    uint32_t code_profile, token_key, table_version, stan, batch, currency;
    Muster__NetworkType network;
    int32_t signal_shift;
    int64_t start_wall_ms, boot_wall_ms;
    double gaps, host, amounts; /* how much longer, slower, dearer than the lane of WORLD.md */
};

bool train_tables_read(const char *ranges_path, const char *ca_keys_path,
                       struct train_tables *ret_tables, struct err *err)
{
    return ranges_read(ranges_path, &ret_tables->ranges, err) &&
           ca_keys_read(ca_keys_path, &ret_tables->ca_keys, err);
}

void train_tables_done(struct train_tables *tables)
{
    ca_keys_done(&tables->ca_keys);
    ranges_done(&tables->ranges);
}

static void draw_versions(struct train_terminal *terminal)
{
    struct rng *rng = &terminal->rng;
    (void)snprintf(terminal->app_version, sizeof terminal->app_version, "%u.%u.%u",
                   (unsigned)(1 + rng_below(rng, 9)) % 10, (unsigned)rng_below(rng, 12) % 100,
                   (unsigned)rng_below(rng, 30) % 100);
    terminal->firmware_major = (uint32_t)(1 + rng_below(rng, 12));
    terminal->firmware_minor = (uint32_t)rng_below(rng, 20);
    terminal->code_profile = (uint32_t)(1 + rng_below(rng, 40));
    terminal->token_key = (uint32_t)(1 + rng_below(rng, 9));
    terminal->table_version = (uint32_t)(1 + rng_below(rng, 300));
    terminal->stan = (uint32_t)rng_below(rng, 999999);
    terminal->batch = (uint32_t)rng_below(rng, 2000);
}

/* Busy lanes fill most packets, so half of the terminals are one; the others are slower. */
static void draw_pace(struct train_terminal *terminal)
{
    static const uint32_t currencies[] = {156, 156, 156, 156, 978, 840, 826, 702};
    static const Muster__NetworkType networks[] = {
        MUSTER__NETWORK_TYPE__NETWORK_4G,   MUSTER__NETWORK_TYPE__NETWORK_4G,
        MUSTER__NETWORK_TYPE__NETWORK_WIFI, MUSTER__NETWORK_TYPE__NETWORK_5G,
        MUSTER__NETWORK_TYPE__NETWORK_3G,   MUSTER__NETWORK_TYPE__NETWORK_2G};
    struct rng *rng = &terminal->rng;
    terminal->currency = currencies[rng_below(rng, sizeof currencies / sizeof *currencies)];
    terminal->network = networks[rng_below(rng, sizeof networks / sizeof *networks)];
    terminal->signal_shift = (int32_t)rng_below(rng, 40) - 20;
    terminal->gaps = rng_unit(rng) < 0.5 ? 1 : rng_lognormal(rng, 2, 1);
    terminal->host = rng_lognormal(rng, 0, 0.3);
    terminal->amounts = rng_lognormal(rng, 0, 0.5);
}

bool train_terminal_open(const struct train_tables *tables, uint64_t seed,
                         struct train_terminal **ret_terminal, struct err *err)
{
    struct train_terminal *terminal = calloc(1, sizeof *terminal);
    if (!terminal)
        return err_set(err, ERR_NO_MEMORY, "no memory for a terminal to train on");
    terminal->rng = rng_named(seed, "terminal");
    terminal->start_wall_ms =
        start_ms + (int64_t)rng_below(&terminal->rng, (uint64_t)start_span_ms);
    terminal->boot_wall_ms =
        terminal->start_wall_ms - (int64_t)rng_below(&terminal->rng, 60 * 24) * HOUR_MS;
    draw_versions(terminal);
    draw_pace(terminal);
    struct results_settings settings = {
        .deck = {.world_seed = seed,
                 .seed = seed,
                 .ranges = &tables->ranges,
                 .ca_keys = &tables->ca_keys,
                 .stranger_share = RESULTS_STRANGER_SHARE},
        .start_wall_ms = terminal->start_wall_ms,
    };
    if (!results_open(&settings, &terminal->results, err)) {
        free(terminal);
        return false;
    }
    *ret_terminal = terminal;
    return true;
}

void train_terminal_close(struct train_terminal *terminal)
{
    if (!terminal)
        return;
    results_close(terminal->results);
    free(terminal);
}

static uint32_t times(uint32_t ms, double factor)
{
    return (uint32_t)lround(ms * factor);
}

static void move_time(const struct train_terminal *terminal, struct world_result *result)
{
    Muster__TxnResult *txn = &result->txn;
    int64_t since_ms = (int64_t)((double)(txn->wall_ms - terminal->start_wall_ms) * terminal->gaps);
    txn->wall_ms = terminal->start_wall_ms + since_ms;
    txn->boot_ms = (uint64_t)(txn->wall_ms - terminal->boot_wall_ms);
    txn->stan = (txn->stan + terminal->stan) % 999999 + 1;
    txn->batch_number += terminal->batch;
    results_rrn(txn->wall_ms, txn->stan, result->rrn);
}

void train_terminal_next(struct train_terminal *terminal, struct world_result *ret_result)
{
    results_next(terminal->results, ret_result);
    Muster__TxnResult *txn = &ret_result->txn;
    move_time(terminal, ret_result);
    (void)snprintf(ret_result->firmware, sizeof ret_result->firmware, "%u.%u.%u",
                   terminal->firmware_major % 100, terminal->firmware_minor % 100,
                   txn->bin_table_version % 100);
    txn->app_version = terminal->app_version;
    txn->code_profile_version = terminal->code_profile;
    txn->token_key_version = terminal->token_key;
    txn->bin_table_version += terminal->table_version;
    txn->currency = terminal->currency;
    txn->network = terminal->network;
    txn->signal_dbm += terminal->signal_shift;
    uint32_t *const parts[] = {&txn->connect_ms, &txn->tls_ms, &txn->host_ms, &txn->total_ms};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        *parts[i] = times(*parts[i], terminal->host);
    if (terminal->amounts > 1 && txn->amount_minor > 0)
        txn->amount_minor +=
            (uint64_t)((terminal->amounts - 1) * (double)txn->amount_minor) / 100 * 100;
}
