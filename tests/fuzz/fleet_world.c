/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fuzz/fleet_world.h"

#include "base/file.h"
#include "fleet/content.h"
#include "fleet/document.h"
#include "fleet/metrics.h"

#include <stdio.h>
#include <string.h>

#define CONTENT "aid\tname\na000000333\tUnionPay\n"

static void publish(struct fleetdb *db)
{
    struct fleetdb_encoding encoding = {.coding = MUSTER__CONTENT_CODING__CONTENT_ZSTD};
    struct bytes content = bytes_of(CONTENT, strlen(CONTENT));
    char name[] = "aid.tsv";
    uint8_t digest[32];
    struct buf blob = {0}, body = {0};
    struct document_work *work;
    bool done;
    Muster__DocumentHeader header = MUSTER__DOCUMENT_HEADER__INIT;
    HOLDS(content_encode(content, &blob, NULL));
    sha256(buf_bytes(&blob), encoding.blob);
    HOLDS(fleetdb_blob_put(db, encoding.blob, buf_bytes(&blob), FLEET_NOW_MS, NULL));
    sha256(content, digest);
    header.name = name;
    header.kind = MUSTER__DOCUMENT_KIND__DOCUMENT_TABLE;
    header.epoch = header.version = 1;
    header.length = content.length;
    header.sha256 = (ProtobufCBinaryData){sizeof digest, digest};
    header.scope = MUSTER__DOCUMENT_SCOPE__SCOPE_PUBLIC;
    HOLDS(pack(&header.base, &body, NULL));
    struct buf envelope = fuzz_seal("document", "", buf_bytes(&body));
    const struct document_order order = {.trust = fuzz_trust(),
                                         .envelope = buf_bytes(&envelope),
                                         .encodings = &encoding,
                                         .count = 1,
                                         .now_ms = FLEET_NOW_MS};
    HOLDS(document_begin(db, &order, &work, NULL));
    HOLDS(document_step(work, UINT64_MAX, &done, NULL) && done);
    document_free(work);
    buf_done(&envelope);
    buf_done(&body);
    buf_done(&blob);
}

/* ---- devices ---- */

const char *fleet_world_device(unsigned device)
{
    static char ids[FLEET_DEVICES][8];
    (void)snprintf(ids[device], sizeof ids[device], "t-%02u", device);
    return ids[device];
}

static const struct sign_key *key_of(unsigned device)
{
    static struct sign_key *keys[FLEET_DEVICES];
    char path[FUZZ_PATH_BYTES];
    if (!keys[device]) {
        fuzz_path("key.pem", path);
        HOLDS(file_remove(path, NULL) && sign_key_make(path, &keys[device], NULL));
    }
    return keys[device];
}

struct buf fleet_world_seal(unsigned device, const char *domain, struct bytes body)
{
    struct buf out = {0};
    const struct sign_key *key = key_of(device);
    HOLDS(seal(domain, fleet_world_device(device), body, &key, 1, false, &out, NULL));
    return out;
}

static void enrol(struct fleetdb *db, unsigned device)
{
    int64_t row = 0;
    const struct fleetdb_enrolment enrolment = {
        .id = fleet_world_device(device),
        .serial = fleet_world_device(device),
        .model = "M1",
        .agent_key = sign_key_spki(key_of(device)),
        .merchant_id = "m",
        .merchant_name = "Merchant",
        .store_id = "s",
        .store_name = "Store",
        .region = "",
    };
    HOLDS(fleetdb_enrol(db, &enrolment, FLEET_NOW_MS, &row, NULL));
}

static void set_up(struct fleetdb *db)
{
    const struct director director = {.db = db, .key = fuzz_key(), .trust = fuzz_trust()};
    const struct director_order order = {.document = "aid.tsv", .mode = 2};
    const char *ids[FLEET_DEVICES];
    struct director_outcome outcomes[FLEET_DEVICES];
    for (unsigned i = 0; i < FLEET_DEVICES; i++) {
        ids[i] = fleet_world_device(i);
        enrol(db, i);
    }
    publish(db);
    HOLDS(director_assign(&director, &order, ids, FLEET_DEVICES, FLEET_NOW_MS, outcomes, NULL));
}

/* The database as it is to be found, made once. */
static struct bytes template(const char *path)
{
    static struct buf file;
    struct fleetdb *db = NULL;
    if (file.length)
        return buf_bytes(&file);
    HOLDS(fleetdb_open(path, &db, NULL));
    set_up(db);
    fleetdb_close(db);
    HOLDS(file_read(path, 4 << 20, &file, NULL));
    return buf_bytes(&file);
}

static bool take_all(void *ctx, uint64_t token, const char *topic, struct bytes payload,
                     struct err *err)
{
    (void)ctx;
    (void)token;
    (void)topic;
    (void)payload;
    (void)err;
    return true;
}

void fleet_world_open(struct fleet_world *world)
{
    char path[FUZZ_PATH_BYTES];
    static struct metrics metrics;
    (void)fuzz_dir();
    fuzz_path("fleet.db", path);
    HOLDS(file_write(path, template(path), 0600, NULL));
    memset(world, 0, sizeof *world);
    memset(&metrics, 0, sizeof metrics);
    world->metrics = &metrics;
    HOLDS(fleetdb_open(path, &world->db, NULL));
    world->director = (struct director){.db = world->db, .key = fuzz_key(), .trust = fuzz_trust()};
    struct publisher_settings settings = {
        .director = &world->director, .sink = {.publish = take_all}, .window = 4};
    HOLDS(publisher_open(&settings, &world->publisher, NULL));
}

void fleet_world_close(struct fleet_world *world)
{
    publisher_close(world->publisher);
    fleetdb_close(world->db);
}
