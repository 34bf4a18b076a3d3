/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_FLEETDB_DOCUMENTS_H
#define STORAGE_FLEETDB_DOCUMENTS_H

#include "storage/fleetdb.h"

/*
 * What release has signed, and the ways to get its content. Versions of a name are ordered by
 * (epoch, version), each 1..INT64_MAX; what is sealed has versions of its own for each device.
 * Signatures and messages are the caller's. What a callback is given is valid during the call
 * only; false from it ends the walk with its err.
 */
enum { FLEETDB_NAME_CHARS = 48, FLEETDB_ENCODINGS_MAX = 16 };

/* As Encoding in desired.proto. */
struct fleetdb_encoding {
    int coding;
    uint8_t blob[32];
    uint64_t size; /* of the blob; filled when read */
    bool delta;
    uint8_t base[32];     /* delta: SHA-256 of the content it starts from */
    uint32_t piece_bytes; /* not 0: the blob lists pieces of so many bytes */
    uint64_t pieces_size;
    struct bytes data; /* for a manifest: the blob itself; never stored, never read */
};

struct fleetdb_document {
    int64_t document;   /* its row; filled when read */
    int64_t device;     /* sealed to this one; 0: for all */
    char device_id[33]; /* filled when read; "" for all */
    char name[FLEETDB_NAME_CHARS + 1];
    int kind, scope; /* desired.proto's */
    bool irreversible;
    uint64_t epoch, version, length, minimum_version;
    uint8_t sha256[32];
    int64_t published_ms;
    struct bytes header; /* signed envelope */
    bool whole;          /* of an assignment: deltas have led nowhere on that device */
    const struct fleetdb_encoding *encodings;
    size_t encoding_count;
};

/* ERR_CONFLICT: this version of the name is there. ERR_NOT_FOUND: an encoding's blob, or a piece,
 * is not. */
bool fleetdb_document_add(struct fleetdb *db, const struct fleetdb_document *document,
                          int64_t *ret_row, struct err *err) MUSTER_CHECK;
/* One more way to get the content of a document that is there; `*ret_added` false: it was known.
 * ERR_FULL: it has FLEETDB_ENCODINGS_MAX. */
bool fleetdb_encoding_add(struct fleetdb *db, int64_t document,
                          const struct fleetdb_encoding *encoding, bool *ret_added,
                          struct err *err) MUSTER_CHECK;
/* Removes the deltas of versions of the name that no device is assigned and that are not among
 * the newest `keep`. */
bool fleetdb_delta_forget(struct fleetdb *db, const char *name, int64_t device, int keep,
                          struct err *err) MUSTER_CHECK;

/* All versions of a name (NULL: of all names), by name, what is for all before what is sealed,
 * newest first. */
bool fleetdb_document_each(struct fleetdb *db, const char *name,
                           bool (*each)(void *ctx, const struct fleetdb_document *document,
                                        struct err *err),
                           void *ctx, struct err *err) MUSTER_CHECK;

/* For a device: what is sealed to it goes with what is for all. `version` 0: the newest of the
 * epoch. ERR_NOT_FOUND. */
struct fleetdb_wish {
    const char *name;
    int64_t device; /* 0: only what is for all */
    uint64_t epoch, version;
};
bool fleetdb_document_find(struct fleetdb *db, const struct fleetdb_wish *wish, int64_t *ret_row,
                           uint64_t *ret_version, struct err *err) MUSTER_CHECK;
/* Whether the very same is there, header and all: sets its row, 0 if not, and when it came. */
bool fleetdb_document_same(struct fleetdb *db, struct fleetdb_document *document,
                           struct err *err) MUSTER_CHECK;
/* By its row; the header is not filled. `encodings` takes FLEETDB_ENCODINGS_MAX. */
bool fleetdb_document_get(struct fleetdb *db, int64_t row, struct fleetdb_encoding *encodings,
                          struct fleetdb_document *ret_document, struct err *err) MUSTER_CHECK;
/* A document with this content; its header is not filled. `encodings` takes
 * FLEETDB_ENCODINGS_MAX. */
bool fleetdb_document_of_content(struct fleetdb *db, const uint8_t sha256[32],
                                 struct fleetdb_encoding *encodings,
                                 struct fleetdb_document *ret_document, bool *ret_found,
                                 struct err *err) MUSTER_CHECK;

/* Where a name stands for a device, or for all (0: then every device's count too, as whoever
 * gets the document has a floor); all zero when there is none of that name. */
struct fleetdb_standing {
    uint64_t epoch;           /* highest ever signed */
    uint64_t newest_version;  /* of that epoch */
    uint64_t minimum_version; /* highest ever signed in that epoch */
    int kind;                 /* of the newest */
};
bool fleetdb_document_standing(struct fleetdb *db, const char *name, int64_t device,
                               struct fleetdb_standing *ret_standing, struct err *err) MUSTER_CHECK;

#endif
