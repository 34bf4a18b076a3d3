/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_WORLD_TABLES_H
#define TESTS_WORLD_TABLES_H

#include "base/buf.h"

/*
 * The tables that a payment application holds, as packaging/sample/tables makes them. Terminals
 * read them from their registry; the acquirer and the cards of the world read the full ones.
 */
struct range { /* one row of bin-routing */
    char prefix[12];
    char issuer[25];
    uint32_t scheme; /* as in record.proto, 1..6 */
    uint32_t route;  /* the acquirer's host, 1..TABLES_MAX_ROUTE */
    uint32_t since;  /* table version in which the range appeared */
};

enum { TABLES_MAX_ROUTE = 3, TABLES_MAX_SCHEME = 6, AID_MAX_BYTES = 16, RID_BYTES = 5 };

struct ranges {
    struct range *rows; /* ascending by prefix */
    size_t count;
    uint32_t version; /* the newest `since` */
};

struct ca_key { /* one row of the CA public keys; the modulus stays in the file */
    uint8_t rid[RID_BYTES];
    uint8_t index;
    bool sound; /* the SHA-1 over RID, index, modulus, exponent is right (EMV Book 2) */
};

struct ca_keys {
    struct ca_key *rows;
    size_t count;
};

struct aid {
    uint8_t bytes[AID_MAX_BYTES];
    size_t length;
    uint32_t scheme;
};

struct aids {
    struct aid *rows;
    size_t count;
};

/* Each fills an empty struct; after false nothing is held. */
bool ranges_parse(struct bytes text, struct ranges *ret_ranges, struct err *err) MUSTER_CHECK;
bool ca_keys_parse(struct bytes text, struct ca_keys *ret_keys, struct err *err) MUSTER_CHECK;
bool aids_parse(struct bytes text, struct aids *ret_aids, struct err *err) MUSTER_CHECK;
bool ranges_read(const char *path, struct ranges *ret_ranges, struct err *err) MUSTER_CHECK;
bool ca_keys_read(const char *path, struct ca_keys *ret_keys, struct err *err) MUSTER_CHECK;
void ranges_done(struct ranges *ranges);
void ca_keys_done(struct ca_keys *keys);
void aids_done(struct aids *aids);

/* NULL when it is not there. */
const struct range *ranges_exact(const struct ranges *ranges, const char *prefix);
/* The row with the longest prefix that `digits` begins with. */
const struct range *ranges_longest(const struct ranges *ranges, const char *digits);
const struct ca_key *ca_keys_find(const struct ca_keys *keys, const uint8_t rid[RID_BYTES],
                                  uint8_t index);
/* Selection as EMV Book 1 12.3.4 does it with partial names: is there an entry that the card's
 * application begins with? */
bool aids_have(const struct aids *aids, struct bytes aid);

#endif
