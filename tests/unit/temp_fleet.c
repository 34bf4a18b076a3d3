/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/temp_fleet.h"

#include "base/file.h"
#include "fleet/content.h"
#include "fleet/document.h"
#include "proto/unpack.h"
#include "tests/unit/testing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OK(call)                                                                                   \
    do {                                                                                           \
        struct err err = {0};                                                                      \
        if (!(call))                                                                               \
            fail_msg("%s", err.text);                                                              \
    } while (0)

static struct sign_key *new_key(const struct temp_fleet *fleet, const char *name)
{
    char path[128];
    struct sign_key *key = NULL;
    (void)snprintf(path, sizeof path, "%s/%s.pem", fleet->dir, name);
    OK(sign_key_make(path, &key, &err));
    return key;
}

static void make_root(struct temp_fleet *fleet)
{
    enum { ROLES = 4 };
    const struct sign_key *keys[ROLES] = {fleet->root_key, fleet->release_key, fleet->director_key,
                                          fleet->custodian_key};
    static const Muster__Role names[ROLES] = {MUSTER__ROLE__ROLE_ROOT, MUSTER__ROLE__ROLE_RELEASE,
                                              MUSTER__ROLE__ROLE_DIRECTOR,
                                              MUSTER__ROLE__ROLE_CUSTODIAN};
    Muster__PublicKey public_keys[ROLES], *key_lists[ROLES];
    Muster__RoleKeys roles[ROLES], *role_list[ROLES];
    for (size_t i = 0; i < ROLES; i++) {
        struct bytes spki = sign_key_spki(keys[i]);
        muster__public_key__init(&public_keys[i]);
        public_keys[i].algorithm = MUSTER__KEY_ALGORITHM__KEY_ALGORITHM_ED25519;
        public_keys[i].spki = (ProtobufCBinaryData){spki.length, (uint8_t *)spki.data};
        key_lists[i] = &public_keys[i];
        muster__role_keys__init(&roles[i]);
        roles[i].role = names[i];
        roles[i].threshold = 1;
        roles[i].n_keys = 1;
        roles[i].keys = &key_lists[i];
        role_list[i] = &roles[i];
    }
    Muster__Root root = MUSTER__ROOT__INIT;
    root.version = 1;
    root.epoch = 1;
    root.n_roles = ROLES;
    root.roles = role_list;
    struct buf body = {0};
    OK(pack(&root.base, &body, &err));
    OK(seal("root", "", buf_bytes(&body), keys, 1, true, &fleet->root, &err));
    buf_done(&body);
    OK(trust_open(buf_bytes(&fleet->root), &fleet->trust, &err));
}

/* All migrations, once in a program: what a new database is, the other fleets are copies of. */
static void make_database(const char *path)
{
    static struct buf empty = {.limit = SIZE_MAX};
    struct fleetdb *db = NULL;
    if (empty.length == 0) {
        OK(fleetdb_open(path, &db, &err));
        fleetdb_close(db);
        OK(file_read(path, SIZE_MAX, &empty, &err));
    } else {
        OK(file_write(path, buf_bytes(&empty), 0600, &err));
    }
}

int temp_fleet_open(void **state)
{
    struct temp_fleet *fleet = calloc(1, sizeof *fleet);
    char path[128];
    assert_non_null(fleet);
    const char *temporary = getenv("TMPDIR");
    (void)snprintf(fleet->dir, sizeof fleet->dir, "%s/muster-fleet-XXXXXX",
                   temporary ? temporary : "/tmp");
    assert_non_null(mkdtemp(fleet->dir));
    (void)snprintf(path, sizeof path, "%s/fleet.db", fleet->dir);
    make_database(path);
    OK(fleetdb_open(path, &fleet->db, &err));
    fleet->root_key = new_key(fleet, "root");
    fleet->release_key = new_key(fleet, "release");
    fleet->director_key = new_key(fleet, "director");
    fleet->custodian_key = new_key(fleet, "custodian");
    fleet->stranger_key = new_key(fleet, "stranger");
    make_root(fleet);
    *state = fleet;
    return 0;
}

int temp_fleet_close(void **state)
{
    struct temp_fleet *fleet = *state;
    fleetdb_close(fleet->db);
    trust_free(fleet->trust);
    buf_done(&fleet->root);
    sign_key_free(fleet->root_key);
    sign_key_free(fleet->release_key);
    sign_key_free(fleet->director_key);
    sign_key_free(fleet->custodian_key);
    sign_key_free(fleet->stranger_key);
    OK(file_remove_tree(fleet->dir, &err));
    free(fleet);
    return 0;
}

int64_t temp_fleet_device(struct temp_fleet *fleet, const char *id)
{
    return temp_fleet_device_at(fleet, id, "m", "");
}

int64_t temp_fleet_device_at(struct temp_fleet *fleet, const char *id, const char *merchant,
                             const char *region)
{
    int64_t device = 0;
    struct sign_key *key = new_key(fleet, id);
    const struct fleetdb_enrolment enrolment = {
        .id = id,
        .serial = id,
        .model = "M1",
        .agent_key = sign_key_spki(key),
        .merchant_id = merchant,
        .merchant_name = "Merchant",
        .store_id = "s",
        .store_name = "Store",
        .region = region,
    };
    OK(fleetdb_enrol(fleet->db, &enrolment, 1000, &device, &err));
    sign_key_free(key);
    return device;
}

void temp_fleet_upload(struct temp_fleet *fleet, const char *text, uint8_t ret_blob[32])
{
    struct buf blob = {0};
    OK(content_encode(bytes_of(text, strlen(text)), &blob, &err));
    sha256(buf_bytes(&blob), ret_blob);
    OK(fleetdb_blob_put(fleet->db, ret_blob, buf_bytes(&blob), 1000, &err));
    buf_done(&blob);
}

struct buf temp_fleet_header(const struct temp_document *document, const struct sign_key *key)
{
    uint8_t digest[32];
    struct buf body = {0}, sealed = {0};
    Muster__DocumentHeader header = MUSTER__DOCUMENT_HEADER__INIT;
    sha256(bytes_of(document->text, strlen(document->text)), digest);
    header.name = (char *)document->name;
    header.kind = document->kind != 0 ? document->kind : MUSTER__DOCUMENT_KIND__DOCUMENT_TABLE;
    if (document->package_version != NULL)
        header.package_version = (char *)(uintptr_t)document->package_version;
    if (document->model != NULL)
        header.model = (char *)(uintptr_t)document->model;
    header.epoch = document->epoch == 0 ? 1 : document->epoch;
    header.version = document->version;
    header.minimum_version = document->minimum_version;
    header.irreversible = document->final;
    header.length = strlen(document->text);
    header.sha256 = (ProtobufCBinaryData){sizeof digest, digest};
    header.scope = MUSTER__DOCUMENT_SCOPE__SCOPE_PUBLIC;
    OK(pack(&header.base, &body, &err));
    OK(seal("document", "", buf_bytes(&body), &key, 1, true, &sealed, &err));
    buf_done(&body);
    return sealed;
}

bool temp_fleet_take(struct temp_fleet *fleet, const struct trust *trust, struct bytes header,
                     struct fleetdb_encoding *encodings, size_t count, struct err *err)
{
    enum { STEP_BYTES = 7 };
    struct document_work *work = NULL;
    const struct document_order order = {
        .trust = trust, .envelope = header, .encodings = encodings, .count = count, .now_ms = 2000};
    bool done = false, ok = document_begin(fleet->db, &order, &work, err);
    while (ok && !done)
        ok = document_step(work, STEP_BYTES, &done, err);
    for (size_t i = 0; ok && i < count; i++)
        encodings[i] = document_published(work)->encodings[i];
    document_free(work);
    return ok;
}

void temp_fleet_publish(struct temp_fleet *fleet, const char *name, uint64_t version,
                        const char *text)
{
    temp_fleet_put(fleet, &(struct temp_document){.name = name, .text = text, .version = version});
}

void temp_fleet_put(struct temp_fleet *fleet, const struct temp_document *document)
{
    struct fleetdb_encoding encoding = {.coding = MUSTER__CONTENT_CODING__CONTENT_ZSTD};
    struct buf header = temp_fleet_header(document, fleet->release_key);
    temp_fleet_upload(fleet, document->text, encoding.blob);
    OK(temp_fleet_take(fleet, fleet->trust, buf_bytes(&header), &encoding, 1, &err));
    buf_done(&header);
}

enum fleetdb_type temp_fleet_type(const char *column)
{
    static const char *const texts[] = {"issuer_bucket", "rrn",         "auth_code",
                                        "code",          "app_version", "firmware_version"};
    static const char *const blobs[] = {"idempotency_key", "aid",      "card_token", "tvr", "tsi",
                                        "cvm_result",      "capk_rid", "generation"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (strcmp(column, texts[i]) == 0)
            return FLEETDB_TEXT;
    for (size_t i = 0; i < sizeof blobs / sizeof *blobs; i++)
        if (strcmp(column, blobs[i]) == 0)
            return FLEETDB_BLOB;
    return FLEETDB_INTEGER;
}

void temp_fleet_nothing(struct fleetdb_value ret_values[FLEETDB_COLUMNS_MAX])
{
    size_t count = 0;
    const char *const *columns = fleetdb_columns(1, &count);
    for (size_t i = 0; i < count; i++)
        ret_values[i] = fleetdb_bytes(temp_fleet_type(columns[i]), bytes_of(NULL, 0));
}

enum fleetdb_insert temp_fleet_result(struct temp_fleet *fleet, struct fleetdb_record record)
{
    struct fleetdb_value values[FLEETDB_COLUMNS_MAX];
    enum fleetdb_insert outcome = FLEETDB_NEW;
    temp_fleet_nothing(values);
    record.lane = 1;
    record.values = values;
    OK(fleetdb_insert(fleet->db, &record, 1, &(const bool){false}, &outcome, &err));
    return outcome;
}

sqlite3 *temp_fleet_beside(const struct temp_fleet *fleet)
{
    char path[128];
    sqlite3 *db = NULL;
    (void)snprintf(path, sizeof path, "%s/fleet.db", fleet->dir);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    return db;
}

int64_t temp_fleet_number(const struct temp_fleet *fleet, const char *sql)
{
    sqlite3 *db = temp_fleet_beside(fleet);
    sqlite3_stmt *statement = NULL;
    if (sqlite3_prepare_v2(db, sql, -1, &statement, NULL) != SQLITE_OK)
        fail_msg("%s: %s", sql, sqlite3_errmsg(db));
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    int64_t value = sqlite3_column_int64(statement, 0);
    assert_int_equal(sqlite3_finalize(statement), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    return value;
}

void temp_fleet_change(const struct temp_fleet *fleet, const char *sql)
{
    sqlite3 *db = temp_fleet_beside(fleet);
    char *why = NULL;
    if (sqlite3_exec(db, sql, NULL, NULL, &why) != SQLITE_OK)
        fail_msg("%s: %s", sql, why);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}
