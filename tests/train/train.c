/* SPDX-License-Identifier: Apache-2.0 */
#include "base/file.h"
#include "proto/unpack.h"
#include "storage/spool_segment.h"
#include "tests/train/batches.h"
#include "tests/train/dictionary.h"
#include "tests/train/terminals.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * Makes a zstd dictionary anew.
 *
 *   train-dictionary rows RECORDS ID BYTES LEVEL OUT
 *   train-dictionary batches VERSION LEVEL OUT
 *
 * `batches`: proto/dictionary/VERSION.pb. One that is out is never made again: a better one is a
 * new version (and DICTIONARY_NEWEST in proto/dictionary.h, once all musterd know it).
 * `rows`: each sample is a spool's segment of RECORDS packed TxnResults of one terminal, framed as
 * storage/spool_segment.h says. OUT.txt says where the dictionary comes from. The terminals
 * tried at the end are others than those trained on.
 */
enum {
    SAMPLES_BYTES = 24 * 1024 * 1024,
    TERMINAL_RECORDS = 2000,
    TRIED_TERMINALS = 16,
};

struct order {
    size_t records;
    struct dictionary_plan plan;
    const char *out;
};

static bool add_row(const Muster__TxnResult *txn, struct buf *sample, struct err *err)
{
    struct buf row = {0};
    const struct bytes key = bytes_of(txn->idempotency_key.data, txn->idempotency_key.len);
    bool ok = pack(&txn->base, &row, err) && spool_segment_put(sample, key, buf_bytes(&row), err);
    buf_done(&row);
    return ok;
}

static bool sample_terminal(struct train_terminal *terminal, size_t records, size_t limit,
                            struct samples *samples, struct err *err)
{
    struct buf sample = {0};
    struct world_result result;
    bool ok = true;
    size_t until = samples->data.length + limit;
    for (size_t done = 0; ok && done < TERMINAL_RECORDS && samples->data.length < until;) {
        buf_clear(&sample);
        for (size_t i = 0; ok && i < records; i++, done++) {
            train_terminal_next(terminal, &result);
            ok = add_row(&result.txn, &sample, err);
        }
        ok = ok && samples_add(samples, buf_bytes(&sample), err);
    }
    buf_done(&sample);
    return ok;
}

static bool sample_terminals(const struct train_tables *tables, uint64_t seed, size_t terminals,
                             size_t records, struct samples *samples, struct err *err)
{
    bool ok = true;
    for (size_t i = 0; ok && i < terminals; i++) {
        struct train_terminal *terminal = NULL;
        ok = train_terminal_open(tables, seed + i, &terminal, err) &&
             sample_terminal(terminal, records, SAMPLES_BYTES / terminals, samples, err);
        train_terminal_close(terminal);
    }
    return ok;
}

static bool write_origin(const struct order *order, const struct samples *samples, size_t length,
                         double plain, double with, struct err *err)
{
    char path[512], text[1024];
    (void)snprintf(path, sizeof path, "%s.txt", order->out);
    int size = snprintf(
        text, sizeof text,
        "Made by: train-dictionary rows %zu %u %zu %d OUT (tests/train)\n"
        "From: %zu samples of %zu packed results, %d terminals, seeds %d to %d\n"
        "Dictionary: id %u, %zu bytes\n"
        "On %d other terminals: %.1f bytes a sample at level %d, %.1f without a dictionary\n",
        order->records, order->plan.id, order->plan.bytes, order->plan.level, samples->count,
        order->records, TRAIN_TERMINALS, TRAIN_SEED, TRAIN_SEED_END - 1, order->plan.id, length,
        TRIED_TERMINALS, with, order->plan.level, plain);
    (void)fputs(text, stdout);
    return file_write(path, bytes_of(text, (size_t)size), 0644, err);
}

static bool make(const struct order *order, const struct train_tables *tables, struct err *err)
{
    struct samples train = {0}, others = {0};
    struct buf dictionary = {0};
    double plain = 0, with = 0;
    bool ok =
        sample_terminals(tables, TRAIN_SEED, TRAIN_TERMINALS, order->records, &train, err) &&
        sample_terminals(tables, TRAIN_SEED_END, TRIED_TERMINALS, order->records, &others, err) &&
        dictionary_train(&train, NULL, &order->plan, &dictionary, err) &&
        dictionary_try(&others, buf_bytes(&dictionary), order->plan.level, &plain, &with, err) &&
        file_write(order->out, buf_bytes(&dictionary), 0644, err) &&
        write_origin(order, &train, dictionary.length, plain, with, err);
    samples_done(&train);
    samples_done(&others);
    buf_done(&dictionary);
    return ok;
}

static bool train_rows(char **arguments, const struct train_tables *tables, struct err *err)
{
    struct order order = {.records = strtoul(arguments[0], NULL, 10),
                          .plan = {.id = (unsigned)strtoul(arguments[1], NULL, 10),
                                   .bytes = strtoul(arguments[2], NULL, 10),
                                   .level = (int)strtol(arguments[3], NULL, 10)},
                          .out = arguments[4]};
    return (order.records > 0 || err_set(err, ERR_INVALID, "no records in a sample")) &&
           make(&order, tables, err);
}

static bool train_batches(char **arguments, const struct train_tables *tables, struct err *err)
{
    struct batches_order order = {.version = (uint32_t)strtoul(arguments[0], NULL, 10),
                                  .level = (int)strtol(arguments[1], NULL, 10),
                                  .out = arguments[2]};
    return batches_train(&order, tables, err);
}

int main(int argc, char **argv)
{
    struct train_tables tables = {0};
    struct err err = {0};
    bool rows = argc == 7 && strcmp(argv[1], "rows") == 0;
    bool batches = argc == 5 && strcmp(argv[1], "batches") == 0;
    if (!rows && !batches) {
        fprintf(stderr, "usage: train-dictionary rows RECORDS ID BYTES LEVEL OUT\n"
                        "       train-dictionary batches VERSION LEVEL OUT\n");
        return 2;
    }
    bool ok = train_tables_read(MUSTER_ROUTING_TABLE, MUSTER_CA_KEYS_TABLE, &tables, &err) &&
              (rows ? train_rows : train_batches)(argv + 2, &tables, &err);
    if (!ok)
        fprintf(stderr, "train-dictionary: %s\n", err.text);
    train_tables_done(&tables);
    return ok ? 0 : 1;
}
