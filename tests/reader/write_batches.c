/* SPDX-License-Identifier: Apache-2.0 */
#include "base/file.h"
#include "proto/unpack.h"
#include "tests/unit/random_rows.h"
#include "tests/world/retail.h"

#include <stdio.h>
#include <stdlib.h>

/*
 * For the reader in another language: batches as batch_encode makes them, DIR/NAME.batch, and the
 * rows that went in, DIR/NAME.rows: each packed, behind its length as a varint, lane after lane.
 */
enum { SEED = 5150, RANDOM_BATCHES = 12 };

static bool write_pair(const char *dir, const char *name, const struct lane_rows *lanes,
                       size_t lane_count, struct err *err)
{
    char path[512];
    struct buf batch = {0}, rows = {0};
    bool ok = batch_encode(lanes, lane_count, 9, &batch, err);
    for (size_t lane = 0; ok && lane < lane_count; lane++)
        for (size_t row = 0; ok && row < lanes[lane].count && lanes[lane].rows; row++) {
            uint8_t head[10];
            size_t length = protobuf_c_message_get_packed_size(lanes[lane].rows[row]);
            ok = buf_append(&rows, head, varint_put(length, head), err) &&
                 pack(lanes[lane].rows[row], &rows, err);
        }
    (void)snprintf(path, sizeof path, "%s/%s.batch", dir, name);
    ok = ok && file_write(path, buf_bytes(&batch), 0644, err);
    (void)snprintf(path, sizeof path, "%s/%s.rows", dir, name);
    ok = ok && file_write(path, buf_bytes(&rows), 0644, err);
    buf_done(&batch);
    buf_done(&rows);
    return ok;
}

static bool write_results(const char *dir, struct results *results, size_t count, struct err *err)
{
    char name[32];
    struct world_result *of = calloc(count, sizeof *of);
    ProtobufCMessage **rows = calloc(count, sizeof(ProtobufCMessage *));
    struct lane_rows lane = {.lane = MUSTER__LANE__LANE_TXN,
                             .incarnation = UINT64_C(0x3a7f90b2c4d5e681),
                             .first_seq = 4242,
                             .count = count,
                             .rows = rows};
    bool ok = of && rows;
    for (size_t i = 0; ok && i < count; i++) {
        results_next(results, &of[i]);
        rows[i] = &of[i].txn.base;
    }
    (void)snprintf(name, sizeof name, "results%zu", count);
    ok = ok && write_pair(dir, name, &lane, 1, err);
    free(rows);
    free(of);
    return ok;
}

static bool write_random(const char *dir, struct err *err)
{
    struct dice dice = {.state = SEED};
    bool ok = true;
    for (size_t i = 0; ok && i < RANDOM_BATCHES; i++) {
        char name[32];
        struct arena arena = {.limit_bytes = 16 * 1024 * 1024};
        struct lane_rows lanes[3];
        for (size_t lane = 0; lane < 3; lane++)
            random_rows(&dice, (Muster__Lane)(lane + 1), 1 + dice_below(&dice, 60), &arena,
                        &lanes[lane]);
        (void)snprintf(name, sizeof name, "random%zu", i);
        ok = write_pair(dir, name, lanes, 3, err);
        arena_done(&arena);
    }
    return ok;
}

int main(int argc, char **argv)
{
    struct retail retail = {0};
    struct err err = {0};
    const struct retail_settings settings = {
        .routing = MUSTER_ROUTING_TABLE, .ca_keys = MUSTER_CA_KEYS_TABLE, .seed = SEED};
    static const size_t counts[] = {1, 2, 10, 50, 500};
    if (argc != 2) {
        fprintf(stderr, "usage: write-batches DIR\n");
        return 2;
    }
    bool ok = retail_open(&retail, &settings, &err);
    for (size_t i = 0; ok && i < sizeof counts / sizeof *counts; i++)
        ok = write_results(argv[1], retail.results, counts[i], &err);
    ok = ok && write_random(argv[1], &err);
    if (!ok)
        fprintf(stderr, "write-batches: %s\n", err.text);
    retail_close(&retail);
    return ok ? 0 : 1;
}
