/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/train/batches.h"

#include "base/file.h"
#include "proto/lane.h"
#include "proto/unpack.h"
#include "tests/train/dictionary.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    TERMINAL_RECORDS = 800,
    BODY_BYTES = 9 * 1024,
    BODY_SEGMENT = 400,
    FEW_ROWS = 3,
    TABLE_BYTES = 1024, /* of a dictionary that is entropy tables and nothing else */
    TRIED_TERMINALS = 16,
    TRIED_ROWS = 50,
    LISTS = 3,
    /* zstd names no dictionary in a batch's frames: the batch does. Of the private range. */
    BODY_ID = 41001,
};
static const size_t sizes[] = {50, 50, 20, 50, 1, 50, 8, 100, 3, 50};

/* How many records each list may have, and what must be left for a batch's own. */
static const size_t list_limits[LISTS] = {208, 64, 160};

struct counted {
    uint8_t data[96];
    size_t length, times;
};
struct counts {
    struct counted *of;
    size_t count, room;
};
struct making {
    const struct train_tables *tables;
    struct counts counts[LISTS];
    Muster__RecordList lists[LISTS], *list_at[LISTS];
    Muster__Dictionary dictionary;
    struct samples body, few, marks, steps; /* few: bodies of few rows */
    struct buf trained[3];
    struct arena arena;
};

/* ---- the records that both sides know ---- */

static bool count_record(struct counts *counts, ProtobufCBinaryData record, struct err *err)
{
    for (size_t i = 0; i < counts->count; i++)
        if (bytes_equal(bytes_of(counts->of[i].data, counts->of[i].length),
                        bytes_of(record.data, record.len))) {
            counts->of[i].times++;
            return true;
        }
    if (record.len > sizeof counts->of->data)
        return true;
    if (counts->count == counts->room) {
        size_t room = counts->room ? 2 * counts->room : 256;
        struct counted *more = realloc(counts->of, room * sizeof *more);
        if (!more)
            return err_set(err, ERR_NO_MEMORY, "no memory for %zu records", room);
        counts->of = more;
        counts->room = room;
    }
    struct counted *counted = &counts->of[counts->count++];
    *counted = (struct counted){.length = record.len, .times = 1};
    if (record.len > 0)
        memcpy(counted->data, record.data, record.len);
    return true;
}

static bool count_terminal(struct making *making, struct train_terminal *terminal, struct err *err)
{
    struct world_result result;
    Muster__TxnResult some;
    bool ok = true;
    for (size_t done = 0; ok && done < TERMINAL_RECORDS; done++) {
        struct arena arena = {0};
        train_terminal_next(terminal, &result);
        for (uint32_t list = 0; ok && list < LISTS; list++) {
            size_t count = 0;
            const uint32_t *fields = lane_part_fields(list, &count);
            ProtobufCBinaryData record;
            ok = part_record(&result.txn.base, fields, count, &some.base, &arena, &record, err) &&
                 count_record(&making->counts[list], record, err);
        }
        arena_done(&arena);
    }
    return ok;
}

static int by_times(const void *a, const void *b)
{
    const struct counted *left = a, *right = b;
    if (left->times != right->times)
        return left->times < right->times ? 1 : -1;
    return left->length < right->length ? -1 : left->length > right->length;
}

static bool make_lists(struct making *making, struct err *err)
{
    muster__dictionary__init(&making->dictionary);
    making->dictionary.known = making->list_at;
    making->dictionary.n_known = LISTS;
    for (size_t list = 0; list < LISTS; list++) {
        struct counts *counts = &making->counts[list];
        Muster__RecordList *to = making->list_at[list] = &making->lists[list];
        qsort(counts->of, counts->count, sizeof *counts->of, by_times);
        muster__record_list__init(to);
        to->records = arena_alloc(&making->arena, list_limits[list] * sizeof *to->records);
        if (!to->records)
            return lane_no_memory(err);
        for (size_t i = 0; i < counts->count && i < list_limits[list]; i++)
            to->records[to->n_records++] =
                (ProtobufCBinaryData){.len = counts->of[i].length, .data = counts->of[i].data};
    }
    return true;
}

/* ---- streams ---- */

static bool compose(const struct making *making, struct world_result *results, size_t count,
                    struct rng *rng, struct batch_streams *streams, struct err *err)
{
    ProtobufCMessage *rows[100];
    struct lane_rows lane = {.lane = MUSTER__LANE__LANE_TXN,
                             .incarnation = rng_u64(rng),
                             .first_seq = 1 + rng_below(rng, 200000),
                             .count = count,
                             .rows = rows};
    for (size_t i = 0; i < count; i++)
        rows[i] = &results[i].txn.base;
    return batch_compose(&lane, 1, &making->dictionary, streams, err);
}

struct each_batch {
    bool (*take)(void *ctx, const struct batch_streams *streams, size_t rows, struct err *err);
    void *ctx;
};

static bool terminal_batches(const struct making *making, struct train_terminal *terminal,
                             struct rng *rng, size_t rows, const struct each_batch *each,
                             struct err *err)
{
    static struct world_result results[100];
    bool ok = true;
    size_t turn = 0;
    for (size_t done = 0; ok && done < TERMINAL_RECORDS;) {
        struct batch_streams streams = {0};
        size_t count = rows > 0 ? rows : sizes[turn++ % (sizeof sizes / sizeof *sizes)];
        for (size_t i = 0; i < count; i++)
            train_terminal_next(terminal, &results[i]);
        ok = compose(making, results, count, rng, &streams, err) &&
             each->take(each->ctx, &streams, count, err);
        batch_streams_done(&streams);
        done += count;
    }
    return ok;
}

static bool all_batches(const struct making *making, uint64_t seed, size_t terminals, size_t rows,
                        const struct each_batch *each, struct err *err)
{
    bool ok = true;
    for (size_t i = 0; ok && i < terminals; i++) {
        struct train_terminal *terminal = NULL;
        struct rng rng = rng_named(seed + i, "batches");
        ok = train_terminal_open(making->tables, seed + i, &terminal, err) &&
             terminal_batches(making, terminal, &rng, rows, each, err);
        train_terminal_close(terminal);
    }
    return ok;
}

static bool sample_batch(void *ctx, const struct batch_streams *streams, size_t rows,
                         struct err *err)
{
    struct making *making = ctx;
    bool ok =
        samples_add(rows > FEW_ROWS ? &making->body : &making->few, buf_bytes(&streams->body), err);
    if (ok && rows > 1 && streams->marks.length > 0)
        ok = samples_add(&making->marks, buf_bytes(&streams->marks), err);
    if (ok && rows > 1 && streams->steps.length > 0)
        ok = samples_add(&making->steps, buf_bytes(&streams->steps), err);
    return ok;
}

static ProtobufCBinaryData data_of(const struct buf *buf)
{
    return (ProtobufCBinaryData){.len = buf->length, .data = buf->data};
}

static bool train(struct making *making, const struct batches_order *order, struct err *err)
{
    struct dictionary_plan body = {
        .id = BODY_ID, .bytes = BODY_BYTES, .segment = BODY_SEGMENT, .level = order->level};
    struct dictionary_plan marks = {.id = BODY_ID + 1, .bytes = TABLE_BYTES, .level = order->level};
    struct dictionary_plan steps = {.id = BODY_ID + 2, .bytes = TABLE_BYTES, .level = order->level};
    if (!dictionary_train(&making->body, &making->few, &body, &making->trained[0], err) ||
        !dictionary_tables(&making->marks, &marks, &making->trained[1], err) ||
        !dictionary_tables(&making->steps, &steps, &making->trained[2], err))
        return false;
    making->dictionary.version = order->version;
    making->dictionary.body = data_of(&making->trained[0]);
    making->dictionary.marks = data_of(&making->trained[1]);
    making->dictionary.steps = data_of(&making->trained[2]);
    return true;
}

/* ---- what it is worth ---- */

struct trying {
    const struct making *making;
    int level;
    size_t rows, bytes;
};

static bool try_batch(void *ctx, const struct batch_streams *streams, size_t rows, struct err *err)
{
    struct trying *trying = ctx;
    struct buf out = {0};
    bool ok = batch_pack_streams(streams, &trying->making->dictionary, trying->level, &out, err);
    trying->bytes += out.length;
    trying->rows += rows;
    buf_done(&out);
    return ok;
}

static bool write_files(const struct making *making, const struct batches_order *order,
                        const struct trying *tried, struct err *err)
{
    struct buf file = {0};
    char path[512], text[1024];
    (void)snprintf(path, sizeof path, "%s.txt", order->out);
    int size = snprintf(
        text, sizeof text,
        "Made by: train-dictionary batches %u %d OUT (tests/train)\n"
        "From: %d terminals of %d results, seeds %d to %d, batches of 1 to 100\n"
        "zstd dictionaries: body %zu, marks %zu, steps %zu bytes; known records: %zu, %zu, %zu\n"
        "On %d other terminals, seeds from %d: %.2f bytes a result in batches of %d\n",
        order->version, order->level, TRAIN_TERMINALS, TERMINAL_RECORDS, TRAIN_SEED,
        TRAIN_SEED_END - 1, making->trained[0].length, making->trained[1].length,
        making->trained[2].length, making->lists[0].n_records, making->lists[1].n_records,
        making->lists[2].n_records, TRIED_TERMINALS, TRAIN_SEED_END,
        (double)tried->bytes / (double)tried->rows, TRIED_ROWS);
    (void)fputs(text, stdout);
    bool ok = pack(&making->dictionary.base, &file, err) &&
              file_write(order->out, buf_bytes(&file), 0644, err) &&
              file_write(path, bytes_of(text, (size_t)size), 0644, err);
    buf_done(&file);
    return ok;
}

static bool make(struct making *making, const struct batches_order *order, struct err *err)
{
    bool ok = true;
    struct trying trying = {.making = making, .level = order->level};
    const struct each_batch sample = {sample_batch, making}, try = {try_batch, &trying};
    for (size_t i = 0; ok && i < TRAIN_TERMINALS; i++) {
        struct train_terminal *terminal = NULL;
        ok = train_terminal_open(making->tables, TRAIN_SEED + i, &terminal, err) &&
             count_terminal(making, terminal, err);
        train_terminal_close(terminal);
    }
    return ok && make_lists(making, err) &&
           all_batches(making, TRAIN_SEED, TRAIN_TERMINALS, 0, &sample, err) &&
           train(making, order, err) &&
           all_batches(making, TRAIN_SEED_END, TRIED_TERMINALS, TRIED_ROWS, &try, err) &&
           write_files(making, order, &trying, err);
}

bool batches_train(const struct batches_order *order, const struct train_tables *tables,
                   struct err *err)
{
    struct making making = {.tables = tables};
    bool ok = make(&making, order, err);
    samples_done(&making.body);
    samples_done(&making.few);
    samples_done(&making.marks);
    samples_done(&making.steps);
    for (size_t i = 0; i < 3; i++)
        buf_done(&making.trained[i]);
    for (size_t i = 0; i < LISTS; i++)
        free(making.counts[i].of);
    arena_done(&making.arena);
    return ok;
}
