/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_FLEETDB_RECORDS_H
#define STORAGE_FLEETDB_RECORDS_H

#include "storage/fleetdb.h"

#include <assert.h>

/*
 * What devices have said. The functions that write are steps of one transaction: the caller
 * begins, and commits before anybody is told. Lanes are 1..3 as in record.proto.
 */

/* One record's fields as values in the order of fleetdb_columns: so a record of 49 fields needs no
 * second struct and no second list here, and a new field only a migration. */
enum fleetdb_type { FLEETDB_INTEGER, FLEETDB_TEXT, FLEETDB_BLOB };
/* Small, for there are thousands in a batch. */
struct fleetdb_value {
    union {
        int64_t integer;
        const uint8_t *data; /* text is not NUL-ended */
    };
    uint32_t length; /* of text and of a blob */
    uint8_t type;    /* enum fleetdb_type */
};
static_assert(sizeof(struct fleetdb_value) == 16, "four share a line of the cache");

static inline struct fleetdb_value fleetdb_integer(int64_t integer)
{
    return (struct fleetdb_value){.integer = integer, .type = FLEETDB_INTEGER};
}
/* Text or a blob of less than 4 GiB. */
static inline struct fleetdb_value fleetdb_bytes(enum fleetdb_type type, struct bytes bytes)
{
    return (struct fleetdb_value){
        .data = bytes.data, .length = (uint32_t)bytes.length, .type = (uint8_t)type};
}
/* Of text or a blob. */
static inline struct bytes fleetdb_bytes_of(const struct fleetdb_value *value)
{
    return bytes_of(value->data, value->length);
}

enum { FLEETDB_COLUMNS_MAX = 64 };
/* The names of a lane's fields, as the database has them. */
const char *const *fleetdb_columns(int lane, size_t *ret_count);

struct fleetdb_record {
    int64_t device;
    int lane;
    uint64_t incarnation, seq;
    uint64_t digest; /* of the record as sent */
    int64_t received_ms;
    int64_t at_ms, bound_ms;            /* fleet/truetime.h */
    struct bytes key;                   /* idempotency key; empty: none */
    const struct fleetdb_value *values; /* as many as fleetdb_columns says */
};

enum fleetdb_insert {
    FLEETDB_NEW,
    FLEETDB_SAME,          /* held already, same content */
    FLEETDB_DUPLICATE_KEY, /* held under another id: this id is noted, nothing is counted twice */
    FLEETDB_CONFLICT,      /* held with other content, which stays; noted as a conflict */
};
/* So many conflicts of a device and lane are noted at a time; for a new one, one that was given up
 * makes room. Beyond that they are counted, and receipted as if the content held were theirs. */
enum { FLEETDB_CONFLICTS_MAX = 1024 };
/* Records of one lane of one device's incarnation, seqs ascending. `expect_held`, one a record: the
 * id lies within what is committed of its stream, so it is looked up, not tried; an id that was
 * noted as a duplicate cannot come back as a new record. */
bool fleetdb_insert(struct fleetdb *db, const struct fleetdb_record *records, size_t count,
                    const bool *expect_held, enum fleetdb_insert *ret_outcomes,
                    struct err *err) MUSTER_CHECK;

struct fleetdb_report {
    int64_t received_ms;
    int64_t hello_ms; /* 0: not from a hello; the one held stays */
    uint64_t incarnation;
    uint8_t boot_id[16];
    size_t boot_id_length; /* 0 or 16 */
    int64_t wall_ms, boot_ms;
    char agent_version[65];
    uint64_t root_version;
    uint64_t manifest_epoch, manifest_version, generation;
    uint8_t generation_digest[32];
    size_t generation_digest_length; /* 0..32 */
    bool converged;
    uint32_t lacks;
};
/* A device without one gives ERR_NOT_FOUND. */
bool fleetdb_report_read(struct fleetdb *db, int64_t device, struct fleetdb_report *ret_report,
                         struct err *err) MUSTER_CHECK;
bool fleetdb_report_write(struct fleetdb *db, int64_t device, const struct fleetdb_report *report,
                          struct err *err) MUSTER_CHECK;

/* How an item differs that is not Muster's to write. */
struct fleetdb_difference {
    int kind; /* DifferenceKind, 0: none was told */
    bool owned, rows_compared;
    uint64_t wanted_bytes, found_bytes;
    uint64_t rows_only_found, rows_only_wanted, first_row;
};
struct fleetdb_item {
    const char *name;
    uint64_t wanted_version, held_version;
    struct bytes wanted_sha256, held_sha256; /* 32 bytes or empty */
    int state, source;                       /* ItemState, RepairSource */
    int refusal;                             /* Refusal: the check that said no to it; 0: none */
    const char *reason;
    struct fleetdb_difference difference;
};
bool fleetdb_items_clear(struct fleetdb *db, int64_t device, struct err *err) MUSTER_CHECK;
bool fleetdb_item_write(struct fleetdb *db, int64_t device, const struct fleetdb_item *item,
                        int64_t now_ms, struct err *err) MUSTER_CHECK;

/* Whether an item of this name has room among `max` of the device, or is one of them. */
bool fleetdb_item_room(struct fleetdb *db, int64_t device, const char *name, int64_t max,
                       bool *ret_room, struct err *err) MUSTER_CHECK;

#endif
