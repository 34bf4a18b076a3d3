/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/batch.h"
#include "proto/seal.h"
#include "proto/unpack.h"
#include "tests/bench/figures.h"
#include "tests/train/terminals.h"
#include "tests/world/entropy.h"
#include "tests/world/retail.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <zstd.h>

/*
 * Bytes a result takes on the wire: the sealed envelope that a terminal publishes, batch_encode
 * and seal as muster-agent calls them, over the entropy of the world that the results come from.
 * Beside it the same results as JSON lines, plain and compressed.
 */
/* The compression level is the one that muster-agent uses. */
enum { SEED = 20260101, RECORDS = 10000, ZSTD_LEVEL = 19 };
_Static_assert((int)SEED < (int)TRAIN_SEED || (int)SEED >= (int)TRAIN_SEED_END,
               "measured on a seed trained on");
static const size_t batch_sizes[] = {1, 10, 50, 500};

struct world {
    struct retail retail;
    struct sign_key *key;
};

struct totals {
    size_t records, sealed, random_key, json, json_zstd;
    size_t body, marks, steps, raw; /* of `sealed`: the batch's streams, compressed */
    double encode_s;
};

static bool make_key(struct sign_key **ret_key, struct err *err)
{
    char dir[] = "/tmp/muster-bench-XXXXXX", path[sizeof dir + 16];
    if (!mkdtemp(dir))
        return err_set(err, ERR_IO, "no temporary directory");
    snprintf(path, sizeof path, "%s/agent.key", dir);
    bool done = sign_key_make(path, ret_key, err);
    unlink(path);
    rmdir(dir);
    return done;
}

static bool world_open(struct world *world, struct err *err)
{
    const struct retail_settings settings = {
        .routing = MUSTER_ROUTING_TABLE, .ca_keys = MUSTER_CA_KEYS_TABLE, .seed = SEED};
    return retail_open(&world->retail, &settings, err) && make_key(&world->key, err);
}

static void world_done(struct world *world)
{
    sign_key_free(world->key);
    retail_close(&world->retail);
}

static json_t *json_of_bytes(const ProtobufCBinaryData *value)
{
    char text[2 * 32 + 1];
    hex_encode(value->data, value->len <= 32 ? value->len : 32, text);
    return json_string(text);
}

/* NULL for a field that is not set: JSON that leaves out defaults is the fair rival. */
static json_t *json_of_field(const Muster__TxnResult *txn, const ProtobufCFieldDescriptor *field)
{
    const char *at = (const char *)txn + field->offset;
    uint64_t wide;
    uint32_t narrow;
    memcpy(&narrow, at, sizeof narrow);
    switch (field->type) {
    case PROTOBUF_C_TYPE_STRING: {
        const char *text = *(char *const *)(const void *)at;
        return *text ? json_string(text) : NULL;
    }
    case PROTOBUF_C_TYPE_BYTES: {
        const ProtobufCBinaryData *value = (const void *)at;
        return value->len ? json_of_bytes(value) : NULL;
    }
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_UINT64:
        memcpy(&wide, at, sizeof wide);
        return wide ? json_integer((json_int_t)wide) : NULL;
    case PROTOBUF_C_TYPE_BOOL:
        return narrow ? json_true() : NULL;
    default:
        return narrow ? json_integer((int32_t)narrow) : NULL;
    }
}

static bool json_append(const Muster__TxnResult *txn, struct buf *out, struct err *err)
{
    const ProtobufCMessageDescriptor *type = txn->base.descriptor;
    json_t *object = json_object();
    for (unsigned i = 0; i < type->n_fields; i++) {
        json_t *value = json_of_field(txn, &type->fields[i]);
        if (value && json_object_set_new(object, type->fields[i].name, value) != 0)
            break;
    }
    char *text = json_dumps(object, JSON_COMPACT);
    json_decref(object);
    bool done = text && buf_append(out, text, strlen(text), err) && buf_append(out, "\n", 1, err);
    free(text);
    return done;
}

static bool compressed_size(struct bytes data, size_t *ret_size, struct err *err)
{
    size_t bound = ZSTD_compressBound(data.length);
    void *out = malloc(bound);
    size_t size = out ? ZSTD_compress(out, bound, data.data, data.length, ZSTD_LEVEL) : (size_t)-1;
    free(out);
    if (!out || ZSTD_isError(size))
        return err_set(err, ERR_NO_MEMORY, "zstd does not compress");
    *ret_size = size;
    return true;
}

/* What of a batch is which stream. */
static void count_streams(struct bytes wire, struct totals *totals)
{
    Muster__Batch *batch = muster__batch__unpack(NULL, wire.length, wire.data);
    if (!batch)
        return;
    totals->body += batch->body.len;
    totals->marks += batch->marks.len;
    totals->steps += batch->steps.len;
    totals->raw += batch->raw.len;
    muster__batch__free_unpacked(batch, NULL);
}

static double cpu_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static bool measure_sealed(const struct world *world, struct world_result *results, size_t count,
                           uint64_t first_seq, struct totals *totals, struct err *err)
{
    ProtobufCMessage **rows = calloc(count, sizeof(ProtobufCMessage *));
    struct lane_rows lane = {.lane = MUSTER__LANE__LANE_TXN,
                             .incarnation = UINT64_C(0x3a7f90b2c4d5e681),
                             .first_seq = first_seq,
                             .count = count,
                             .rows = rows};
    const struct sign_key *keys[] = {world->key};
    struct buf batch = {0}, envelope = {0};
    if (!rows)
        return err_set(err, ERR_NO_MEMORY, "no memory for a batch");
    for (size_t i = 0; i < count; i++)
        rows[i] = &results[i].txn.base;
    double start_s = cpu_s();
    bool done = batch_encode(&lane, 1, ZSTD_LEVEL, &batch, err);
    totals->encode_s += cpu_s() - start_s;
    done = done && seal("batch", "till-01", buf_bytes(&batch), keys, 1, false, &envelope, err);
    totals->sealed += envelope.length;
    count_streams(buf_bytes(&batch), totals);
    buf_clear(&batch);
    buf_clear(&envelope);
    for (size_t i = 0; i < count; i++)
        results[i].txn.idempotency_key =
            (ProtobufCBinaryData){sizeof results[i].random_key, results[i].random_key};
    done = done && batch_encode(&lane, 1, ZSTD_LEVEL, &batch, err) &&
           seal("batch", "till-01", buf_bytes(&batch), keys, 1, false, &envelope, err);
    totals->random_key += envelope.length;
    buf_done(&batch);
    buf_done(&envelope);
    free(rows);
    return done;
}

static bool measure_json(struct world_result *results, size_t count, struct totals *totals,
                         struct err *err)
{
    struct buf json = {0};
    size_t packed = 0;
    bool done = true;
    for (size_t i = 0; i < count && done; i++)
        done = json_append(&results[i].txn, &json, err);
    done = done && compressed_size(buf_bytes(&json), &packed, err);
    totals->json += json.length;
    totals->json_zstd += packed;
    buf_done(&json);
    return done;
}

static bool measure(struct world *world, size_t batch_size, struct totals *ret_totals,
                    struct err *err)
{
    struct world_result *results = calloc(batch_size, sizeof *results);
    struct totals totals = {0};
    if (!results)
        return err_set(err, ERR_NO_MEMORY, "no memory for results");
    results_rewind(world->retail.results);
    bool done = true;
    while (done && totals.records < RECORDS) {
        for (size_t i = 0; i < batch_size; i++)
            results_next(world->retail.results, &results[i]);
        done = measure_sealed(world, results, batch_size, totals.records + 1, &totals, err) &&
               measure_json(results, batch_size, &totals, err);
        totals.records += batch_size;
    }
    free(results);
    *ret_totals = totals;
    return done;
}

static void print_one(size_t batch_size, const char *what, double value, const char *unit)
{
    char name[64];
    snprintf(name, sizeof name, "wire.n%zu.%s", batch_size, what);
    figure(name, value, unit);
}

static void print_measured(const struct totals *totals, size_t n, double bound_bytes)
{
    double records = (double)totals->records;
    print_one(n, "bytes_per_record", (double)totals->sealed / records, "byte");
    print_one(n, "bound_ratio", (double)totals->sealed / records / bound_bytes, "ratio");
    print_one(n, "random_key_bytes_per_record", (double)totals->random_key / records, "byte");
    print_one(n, "random_key_bound_ratio", (double)totals->random_key / records / bound_bytes,
              "ratio");
    print_one(n, "body_bytes_per_record", (double)totals->body / records, "byte");
    print_one(n, "marks_bytes_per_record", (double)totals->marks / records, "byte");
    print_one(n, "steps_bytes_per_record", (double)totals->steps / records, "byte");
    print_one(n, "raw_bytes_per_record", (double)totals->raw / records, "byte");
    print_one(n, "encode_us_per_record", totals->encode_s * 1e6 / records, "us");
    print_one(n, "json_bytes_per_record", (double)totals->json / records, "byte");
    print_one(n, "json_zstd_bytes_per_record", (double)totals->json_zstd / records, "byte");
}

static bool run(struct world *world, struct err *err)
{
    struct entropy_field fields[ENTROPY_MAX_FIELDS];
    size_t count = entropy_of_results(world->retail.results, fields);
    double bound_bytes = entropy_sum(fields, count) / 8;
    printf("# world: results of one retail lane, seed %d, %d results a batch size\n", SEED,
           RECORDS);
    printf("# the idempotency key is on the wire and not in the bound: 8 bytes as libmuster makes "
           "them,\n"
           "# one up from a random start; random_key: 8 random bytes of the application instead,\n"
           "# which alone are %.2f of the bound\n",
           8 / bound_bytes);
    printf("# the dictionary was trained on terminals of seeds %d to %d, each a world of its own\n",
           TRAIN_SEED, TRAIN_SEED_END - 1);
    entropy_print(fields, count, stdout);
    for (size_t i = 0; i < sizeof batch_sizes / sizeof *batch_sizes; i++) {
        struct totals totals = {0};
        if (!measure(world, batch_sizes[i], &totals, err))
            return false;
        print_measured(&totals, batch_sizes[i], bound_bytes);
    }
    return true;
}

int main(void)
{
    struct world world = {0};
    struct err err = {0};
    bool done = world_open(&world, &err) && run(&world, &err);
    if (!done)
        fprintf(stderr, "bench-wire: %s\n", err.text);
    world_done(&world);
    return done ? 0 : 1;
}
