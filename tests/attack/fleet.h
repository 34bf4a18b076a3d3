/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_ATTACK_FLEET_H
#define TESTS_ATTACK_FLEET_H

#include "proto/desired.pb-c.h"
#include "proto/seal.h"

#include <zstd.h>

/*
 * A fleet as its keepers run it: every role has keys of its own, and whatever is sent down is
 * signed as musterctl and musterd sign. A thief signs with what he stole, as well as that goes.
 */
enum {
    FLEET_ITEMS = 8,
    FLEET_ROLES = 6,
    FLEET_BLOBS = 96,
    FLEET_DEVICES = 8,
    FLEET_SECRETS = 2,
    FLEET_SECRET_VERSIONS = 2,
    FLEET_PATH = 200,
};

enum key {
    KEY_ROOT_1,
    KEY_ROOT_2,
    KEY_ROOT_3,
    KEY_RELEASE,
    KEY_CUSTODIAN,
    KEY_DIRECTOR,
    KEY_RECEIPT,
    KEY_STRANGER, /* nobody's */
    KEY_STRANGER_2,
    KEY_NEW, /* and so on: what the same roles have after the keys were changed */
    KEYS = KEY_NEW + KEY_RECEIPT + 1,
};

/* Roles whose keys are stolen, 1 << Role; of root one key, which is below the threshold. */
struct thief {
    const char *name;
    unsigned roles;
    bool every_root; /* as many root keys as are needed */
};

struct blobs {
    size_t count;
    struct {
        uint8_t sha256[32];
        struct buf bytes;
    } list[FLEET_BLOBS];
};
/* The hash under which `blob` can be had from now on. */
const uint8_t *blobs_add(struct blobs *blobs, struct bytes blob);
const struct buf *blobs_find(const struct blobs *blobs, const uint8_t sha256[32]);
void blobs_done(struct blobs *blobs);

/* What is for one device only, and as it is sent to it. */
struct secret {
    struct buf plain, sealed;
};
enum { SECRET_PIN, SECRET_WIFI }; /* a wrapped key, and parameters */

struct fleet_device {
    const char *name;
    char sealing_key[FLEET_PATH];
    struct secret secrets[FLEET_SECRETS][FLEET_SECRET_VERSIONS];
};

struct fleet {
    struct sign_key *keys[KEYS];
    size_t device_count;
    struct fleet_device devices[FLEET_DEVICES];
    ZSTD_CCtx *zstd;
    bool changed; /* the keys were: those of KEY_NEW on sign */
};

void fleet_open(struct fleet *fleet, const char *folder);
void fleet_close(struct fleet *fleet);
/* Makes its sealing key in `folder`, and seals to it what is its alone. */
void fleet_enrol(struct fleet *fleet, const char *folder, const char *device);
const struct fleet_device *fleet_device(const struct fleet *fleet, const char *name);
/* The key that signs for a role; of root, the first. */
enum key fleet_key(const struct fleet *fleet, Muster__Role role);

struct document {
    const char *name;
    Muster__DocumentKind kind;
    uint64_t epoch, version, minimum;
    struct bytes content;
    struct bytes sealed; /* not empty: as it is sent */
    uint64_t length;     /* as the header says; 0: the content's */
    bool irreversible;
    Muster__DocumentScope scope;
    const char *device;
    size_t hash_bytes; /* of its hash in the header; 0: all */
};

struct item {
    struct document document;
    bool forged;         /* a thief signs the header */
    const char *domain;  /* that the header is signed in */
    Muster__Role role;   /* that signs it, and no other; 0: that of the kind */
    struct bytes header; /* not empty: this envelope, whatever `document` says */
    Muster__AssignMode mode;
    bool bare;                  /* no encoding at all */
    struct bytes blob;          /* not empty: sent instead of the content, packed */
    uint64_t size;              /* as the encoding says; 0: the blob's */
    const uint8_t *name_as;     /* not NULL: what the encoding says its hash is */
    Muster__Encoding *encoding; /* not NULL: this one ... */
    bool beside;                /* ... and the content whole as well */
};

/* A manifest before it is signed. */
struct draft {
    const char *device;  /* in its body */
    const char *context; /* that it is signed for */
    const char *domain;
    uint64_t epoch, version, root_version;
    int64_t expires_ms;
    size_t count, repeats; /* so often the last item once more */
    struct item items[FLEET_ITEMS];
    size_t padding;          /* bytes of an action that nobody asked for */
    size_t actions;          /* so many of them */
    Muster__Action **orders; /* instead of those */
    size_t order_count;
    bool forged; /* a thief signs it */
};

/* Signs for a role, as `thief` can (NULL: the fleet itself): with the role's keys if he has them,
 * else with what he has. */
void fleet_seal(const struct fleet *fleet, const struct thief *thief, Muster__Role role,
                const char *domain, const char *context, const ProtobufCMessage *message,
                struct buf *out);
void fleet_header(const struct fleet *fleet, const struct thief *thief, const struct item *item,
                  struct buf *out);
/* What is in `blobs` may be fetched. */
void fleet_manifest(const struct fleet *fleet, const struct thief *thief, const struct draft *draft,
                    struct blobs *blobs, struct buf *out);
void fleet_pack(const struct fleet *fleet, struct bytes content, struct buf *out); /* zstd */
/* A delta from `base`. */
void fleet_delta(const struct fleet *fleet, struct bytes base, struct bytes content,
                 struct buf *out);

/* A root before it is signed. */
struct root_draft {
    uint64_t version, epoch;
    size_t count;
    struct {
        Muster__Role role;
        unsigned threshold;
        size_t count;
        enum key keys[4];
    } roles[FLEET_ROLES];
    size_t signer_count;
    enum key signers[8];
    size_t padding; /* a role of another time, so long */
};
/* Root `version`, of the keys that the fleet has now; signed by two of three. */
void fleet_root_draft(const struct fleet *fleet, uint64_t version, uint64_t epoch,
                      struct root_draft *ret_draft);
void fleet_root(const struct fleet *fleet, const struct root_draft *draft, struct buf *out);

/* What cannot happen here ends the run. */
void must(bool ok, const char *what, const struct err *err);

#endif
