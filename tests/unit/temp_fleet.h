/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_UNIT_TEMP_FLEET_H
#define TESTS_UNIT_TEMP_FLEET_H

#include "proto/trust.h"
#include "storage/fleetdb_documents.h"
#include "storage/fleetdb_records.h"

#include <sqlite3.h>

/* A real fleet database, real keys and a real root, in a directory that is removed with them. */
struct temp_fleet {
    char dir[64];
    struct fleetdb *db;
    struct sign_key *root_key, *release_key, *director_key, *custodian_key, *stranger_key;
    struct buf root; /* Envelope */
    struct trust *trust;
};

int temp_fleet_open(void **state); /* as cmocka's setup and teardown: *state is the temp_fleet */
int temp_fleet_close(void **state);

/* Enrols a device with a key of its own; returns its row. */
int64_t temp_fleet_device(struct temp_fleet *fleet, const char *id);
/* In the store "s" of a merchant, there in a region. */
int64_t temp_fleet_device_at(struct temp_fleet *fleet, const char *id, const char *merchant,
                             const char *region);
/* Of a column of result. */
enum fleetdb_type temp_fleet_type(const char *column);
/* The values of a result with nothing in it. */
void temp_fleet_nothing(struct fleetdb_value ret_values[FLEETDB_COLUMNS_MAX]);
/* Inserts such a one; the record has no values yet. */
enum fleetdb_insert temp_fleet_result(struct temp_fleet *fleet, struct fleetdb_record record);
/* As anybody may beside the open database; the caller closes it. */
sqlite3 *temp_fleet_beside(const struct temp_fleet *fleet);
/* The first number of an answer that has a row. */
int64_t temp_fleet_number(const struct temp_fleet *fleet, const char *sql);
void temp_fleet_change(const struct temp_fleet *fleet, const char *sql);

struct temp_document {
    const char *name, *text;
    uint64_t version, minimum_version;
    bool final;                  /* cannot go back */
    uint64_t epoch;              /* 0: the root's */
    Muster__DocumentKind kind;   /* 0: table */
    const char *package_version; /* NULL: none */
    const char *model;           /* NULL: any */
};
/* Stores `text` as a blob. */
void temp_fleet_upload(struct temp_fleet *fleet, const char *text, uint8_t ret_blob[32]);
/* A table's header for the text, signed with `key`; the caller calls buf_done. */
struct buf temp_fleet_header(const struct temp_document *document, const struct sign_key *key);
/* Publishes, in steps of no more than a few bytes; `encodings` are as they were then. */
bool temp_fleet_take(struct temp_fleet *fleet, const struct trust *trust, struct bytes header,
                     struct fleetdb_encoding *encodings, size_t count,
                     struct err *err) MUSTER_CHECK;
/* Both, and publishes. */
void temp_fleet_put(struct temp_fleet *fleet, const struct temp_document *document);
void temp_fleet_publish(struct temp_fleet *fleet, const char *name, uint64_t version,
                        const char *text);

#endif
