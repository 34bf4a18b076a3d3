/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/source.h"

#include <stdlib.h>
#include <string.h>

enum { DECKS = 100, STANS = 999999 };

struct source {
    struct ranges ranges;
    struct ca_keys ca_keys;
    struct results *decks[DECKS];
    struct rng rng;
};

static bool open_decks(struct source *source, uint64_t seed, struct err *err)
{
    for (size_t i = 0; i < DECKS; i++) {
        const struct results_settings settings = {
            .deck = {.world_seed = seed,
                     .seed = seed + i,
                     .ranges = &source->ranges,
                     .ca_keys = &source->ca_keys,
                     .stranger_share = RESULTS_STRANGER_SHARE},
        };
        if (!results_open(&settings, &source->decks[i], err))
            return false;
    }
    return true;
}

bool source_open(const struct source_settings *settings, struct source **ret_source,
                 struct err *err)
{
    struct source *source = calloc(1, sizeof *source);
    if (source == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory for the tills");
    source->rng = rng_named(settings->seed, "tills");
    if (!ranges_read(settings->routing, &source->ranges, err) ||
        !ca_keys_read(settings->ca_keys, &source->ca_keys, err) ||
        !open_decks(source, settings->seed, err)) {
        source_close(source);
        return false;
    }
    *ret_source = source;
    return true;
}

void source_close(struct source *source)
{
    if (source == NULL)
        return;
    for (size_t i = 0; i < DECKS; i++)
        results_close(source->decks[i]);
    ca_keys_done(&source->ca_keys);
    ranges_done(&source->ranges);
    free(source);
}

struct source_till source_till(struct source *source, size_t terminal)
{
    return (struct source_till){.deck = terminal % DECKS,
                                .stan = (uint32_t)rng_below(&source->rng, STANS),
                                .key = rng_u64(&source->rng)};
}

void source_next(struct source *source, struct source_till *till, int64_t wall_ms,
                 struct world_result *ret_result)
{
    Muster__TxnResult *txn = &ret_result->txn;
    results_next(source->decks[till->deck], ret_result);
    till->stan = till->stan % STANS + 1;
    till->key++;
    memcpy(ret_result->key, &till->key, sizeof ret_result->key);
    txn->stan = till->stan;
    txn->wall_ms = wall_ms;
    txn->boot_ms = 0;
    txn->generation = (ProtobufCBinaryData){0};
    results_rrn(wall_ms, txn->stan, ret_result->rrn);
}

void source_suspect(struct source *source, struct source_till *till, int64_t wall_ms,
                    struct world_result *ret_result)
{
    Muster__TxnResult *txn = &ret_result->txn;
    source_next(source, till, wall_ms, ret_result);
    txn->code = (char *)(uintptr_t) "57";
    txn->outcome = MUSTER__OUTCOME__OUTCOME_DECLINED;
    txn->auth_code = (char *)(uintptr_t)protobuf_c_empty_string;
}
