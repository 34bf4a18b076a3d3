/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/bench/senders.h"

#include "fleet/truetime.h"
#include "proto/batch.h"
#include "proto/seal.h"

#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ZSTD_LEVEL is the one that muster-agent uses. */
enum { ZSTD_LEVEL = 19, STORES = 2500, REGIONS = 30, MODELS = 4, INCARNATION = 0x51 };
static const int64_t booted_before_ms = INT64_C(4) * 3600 * 1000;
static const int64_t day_ms = INT64_C(24) * 3600 * 1000;

struct sender {
    char id[24];
    struct sign_key *key;
    int64_t row, open_ms;
};

struct senders {
    const struct retail *world;
    uint64_t seed;
    size_t count;
    struct sender *list;
};

/* ---- keys in memory: a file for each would be the slowest part of all ---- */

static bool sign_in_memory(void *ctx, struct bytes text, uint8_t ret_signature[64], struct err *err)
{
    size_t length = 64;
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    bool done = md != NULL && EVP_DigestSignInit(md, NULL, NULL, NULL, ctx) == 1 &&
                EVP_DigestSign(md, ret_signature, &length, text.data, text.length) == 1;
    EVP_MD_CTX_free(md);
    return done || err_set(err, ERR_IO, "a batch cannot be signed");
}

static void close_in_memory(void *ctx)
{
    EVP_PKEY_free(ctx);
}

static bool make_key(struct sign_key **ret_key, struct err *err)
{
    unsigned char *spki = NULL;
    EVP_PKEY *pkey = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    int length = pkey != NULL ? i2d_PUBKEY(pkey, &spki) : -1;
    const struct signer signer = {sign_in_memory, close_in_memory, pkey};
    bool done =
        length > 0 && sign_key_of_signer(bytes_of(spki, (size_t)length), signer, ret_key, err);
    OPENSSL_free(spki);
    if (done)
        return true;
    EVP_PKEY_free(pkey);
    return err_set(err, ERR_NO_MEMORY, "no new key");
}

/* ---- the devices ---- */

static bool enrol(const struct senders *senders, size_t at, struct fleetdb *db, struct err *err)
{
    struct sender *sender = &senders->list[at];
    struct fleetdb_terminal terminals[SENDERS_SLOTS];
    char merchant[24], store[24], region[32], model[32], tids[SENDERS_SLOTS][24];
    (void)snprintf(merchant, sizeof merchant, "m%zu", at % STORES / 10);
    (void)snprintf(store, sizeof store, "s%zu", at % STORES);
    (void)snprintf(region, sizeof region, "region %zu", at % REGIONS);
    (void)snprintf(model, sizeof model, "MODEL-%zu", at % MODELS);
    for (uint32_t slot = 0; slot < SENDERS_SLOTS; slot++) {
        static const char *const acquirers[SENDERS_SLOTS] = {"host-1", "host-2", "host-3"};
        (void)snprintf(tids[slot], sizeof tids[slot], "%08zu", at);
        terminals[slot] = (struct fleetdb_terminal){slot + 1, acquirers[slot], tids[slot], store};
    }
    const struct fleetdb_enrolment enrolment = {
        .id = sender->id,
        .serial = sender->id,
        .model = model,
        .agent_key = sign_key_spki(sender->key),
        .merchant_id = merchant,
        .merchant_name = merchant,
        .store_id = store,
        .store_name = store,
        .region = region,
        .terminals = terminals,
        .terminal_count = SENDERS_SLOTS,
    };
    return fleetdb_enrol(db, &enrolment, SENDERS_OPEN_MS - booted_before_ms, &sender->row, err);
}

/* As after a hello that was welcomed when the lane opened, and one a day later and again. */
static bool tell_boot(const struct senders *senders, size_t at, struct fleetdb *db, struct err *err)
{
    const struct sender *sender = &senders->list[at];
    uint8_t boot_id[16] = {0};
    struct fleetdb_boot boot;
    int64_t row = 0;
    memcpy(boot_id, &at, sizeof at);
    if (!fleetdb_boot_find(db, sender->row, bytes_of(boot_id, sizeof boot_id), sender->open_ms,
                           &row, err) ||
        !fleetdb_boot_claim(db, sender->row, INCARNATION, row, err) ||
        !fleetdb_boot_read(db, row, &boot, err))
        return false;
    for (int64_t since_ms = 0; since_ms <= SENDERS_TOLD_MS; since_ms += day_ms)
        (void)truetime_sight(&boot, sender->open_ms + since_ms, booted_before_ms + since_ms - 100,
                             booted_before_ms + since_ms, TRUETIME_PPM);
    return fleetdb_boot_write(db, &boot, err);
}

/* What a collector does soon after each of them: there is no record yet that it tells more of. */
static bool judge_again(struct fleetdb *db, struct err *err)
{
    struct fleetdb_loose none;
    struct fleetdb_redo work = {.loose = &none, .max = 1};
    bool more = true;
    while (more) {
        if (!fleetdb_redo_next(db, &work, &more, err) ||
            (more && !fleetdb_redo_done(db, &work, err)))
            return false;
    }
    return true;
}

static bool tell_boots(const struct senders *senders, struct fleetdb *db, struct err *err)
{
    bool done = fleetdb_begin(db, err);
    for (size_t i = 0; done && i < senders->count; i++)
        done = tell_boot(senders, i, db, err);
    done = done && judge_again(db, err);
    if (done)
        return fleetdb_commit(db, err);
    fleetdb_rollback(db);
    return false;
}

bool senders_open(const struct retail *world, uint64_t seed, size_t count, struct fleetdb *db,
                  struct senders **ret_senders, struct err *err)
{
    struct senders *senders = calloc(1, sizeof *senders);
    struct sender *list = calloc(count, sizeof *list);
    struct rng rng = rng_named(seed, "senders");
    if (senders == NULL || list == NULL) {
        free(senders);
        free(list);
        return err_set(err, ERR_NO_MEMORY, "no memory for %zu devices", count);
    }
    *senders = (struct senders){world, seed, count, list};
    bool done = true;
    for (size_t i = 0; done && i < count; i++) {
        (void)snprintf(list[i].id, sizeof list[i].id, "d%zu", i);
        list[i].open_ms = SENDERS_OPEN_MS + (int64_t)rng_below(&rng, SENDERS_SPREAD_MS);
        done = make_key(&list[i].key, err) && enrol(senders, i, db, err);
    }
    if (!done || !tell_boots(senders, db, err)) {
        senders_close(senders);
        return false;
    }
    *ret_senders = senders;
    return true;
}

void senders_close(struct senders *senders)
{
    if (senders == NULL)
        return;
    for (size_t i = 0; i < senders->count; i++)
        sign_key_free(senders->list[i].key);
    free(senders->list);
    free(senders);
}

const char *senders_id(const struct senders *senders, size_t device)
{
    return senders->list[device].id;
}

int64_t senders_row(const struct senders *senders, size_t device)
{
    return senders->list[device].row;
}

struct bytes senders_spki(const struct senders *senders, size_t device)
{
    return sign_key_spki(senders->list[device].key);
}

/* ---- what they send ---- */

struct lane_work {
    const struct senders *senders;
    struct world_result *results;
    ProtobufCMessage **rows;
    size_t devices, rounds, size;
    struct sent_batches *batches;
    size_t *offsets; /* of the sealed batches in their bytes: these move as they grow */
};

static bool seal_one(struct lane_work *work, size_t device, size_t round, struct err *err)
{
    const struct sender *sender = &work->senders->list[device];
    const struct sign_key *keys[] = {sender->key};
    const struct lane_rows lane = {.lane = MUSTER__LANE__LANE_TXN,
                                   .incarnation = INCARNATION,
                                   .first_seq = round * work->size + 1,
                                   .count = work->size,
                                   .rows = work->rows};
    struct buf body = {0};
    size_t at = round * work->devices + device, before = work->batches->bytes.length;
    bool done =
        batch_encode(&lane, 1, ZSTD_LEVEL, &body, err) &&
        seal("batch", sender->id, buf_bytes(&body), keys, 1, false, &work->batches->bytes, err);
    buf_done(&body);
    work->offsets[at] = before;
    work->batches->list[at] =
        (struct sent){.device = device, .sealed = {.length = work->batches->bytes.length - before}};
    return done;
}

static bool seal_lane(struct lane_work *work, size_t device, struct err *err)
{
    const struct senders *senders = work->senders;
    struct results *lane = NULL;
    const struct results_settings settings = {
        .deck = {.world_seed = senders->seed,
                 .seed = senders->seed + 1 + device,
                 .ranges = &senders->world->ranges,
                 .ca_keys = &senders->world->ca_keys,
                 .stranger_share = RESULTS_STRANGER_SHARE},
        .start_wall_ms = senders->list[device].open_ms,
    };
    if (!results_open(&settings, &lane, err))
        return false;
    bool done = true;
    for (size_t round = 0; done && round < work->rounds; round++) {
        for (size_t i = 0; i < work->size; i++) {
            results_next(lane, &work->results[i]);
            work->rows[i] = &work->results[i].txn.base;
        }
        done = seal_one(work, device, round, err);
    }
    results_close(lane);
    return done;
}

static bool seal_lanes(struct lane_work *work, struct err *err)
{
    struct sent_batches *batches = work->batches;
    for (size_t device = 0; device < work->devices; device++) {
        if (!seal_lane(work, device, err))
            return false;
    }
    for (size_t i = 0; i < batches->count; i++)
        batches->list[i].sealed.data = batches->bytes.data + work->offsets[i];
    return true;
}

bool senders_batches(const struct senders *senders, size_t devices, size_t rounds, size_t size,
                     struct sent_batches *ret_batches, struct err *err)
{
    const size_t count = devices * rounds;
    *ret_batches = (struct sent_batches){
        .bytes = {.limit = SIZE_MAX}, .list = calloc(count, sizeof(struct sent)), .count = count};
    struct lane_work work = {
        .senders = senders,
        .results = calloc(size, sizeof *work.results),
        .rows = calloc(size, sizeof *work.rows),
        .devices = devices,
        .rounds = rounds,
        .size = size,
        .batches = ret_batches,
        .offsets = calloc(count, sizeof *work.offsets),
    };
    bool room = ret_batches->list != NULL && work.results != NULL && work.rows != NULL &&
                work.offsets != NULL;
    bool done = room ? seal_lanes(&work, err)
                     : err_set(err, ERR_NO_MEMORY, "no memory for %zu batches", count);
    free(work.results);
    free(work.rows);
    free(work.offsets);
    if (!done)
        sent_batches_done(ret_batches);
    return done;
}

void sent_batches_done(struct sent_batches *batches)
{
    buf_done(&batches->bytes);
    free(batches->list);
    *batches = (struct sent_batches){0};
}
