/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_UNIT_REGISTRAR_WORLD_H
#define TESTS_UNIT_REGISTRAR_WORLD_H

#include "agent/registrar.h"
#include "base/file.h"

/*
 * A registrar on a real loop, with real keys and a root of its own, and a broker that answers its
 * fetches from the blobs published here. Everything said is kept for the test to look at.
 */
enum { WORLD_BLOBS = 64, WORLD_EVENTS = 64, WORLD_DOCS = 8 };

struct world_doc {
    const char *name;
    const char *content; /* text; NULL: none of it is looked at, see blob */
    uint64_t version;
    uint64_t minimum;
    Muster__AssignMode mode;
    Muster__DocumentKind kind;     /* 0: file */
    Muster__DocumentScope scope;   /* 0: public */
    struct bytes blob;             /* instead of the compressed content */
    uint64_t length;               /* instead of the content's */
    const struct sign_key *signer; /* instead of release */
    bool no_encoding;
    uint64_t epoch;               /* 0: the world's */
    bool final;                   /* cannot go back */
    const char *device;           /* that the header names; NULL: none */
    Muster__Encoding **encodings; /* instead of one for the content; their blobs are published */
    size_t encoding_count;
    const uint8_t *sha256; /* instead of the content's */
    struct bytes named;    /* sealed: what the header names instead of the blob */
    Muster__KeyPlacement *key;
    const char *package_version, *model; /* of an application or firmware */
};

struct world_event {
    Muster__EventKind kind;
    char item[64];
    char text[512];
    Muster__ItemState state;
    Muster__RepairSource source;
    Muster__Refusal refusal;
    bool has_held_hash;
};

struct world_blob {
    uint8_t sha256[32];
    struct buf bytes;
};

struct world {
    char dir[64]; /* all of it; the registry is <dir>/registry */
    char registry[96];
    char sealing_key[96]; /* a file that is not there until a test makes it */
    char floors[96];      /* their second place */
    char hook[96];        /* "" until world_hook */
    char gate_hook[96];   /* of the next world_open, "": none */
    int64_t gate_hook_limit_ms;
    uv_loop_t loop;
    struct sign_key *root, *release, *director, *custodian;
    struct trust *trust;
    uint64_t epoch, root_version; /* that documents and manifests say */
    struct clock clock;
    int64_t wall_ms;
    struct registrar *registrar;
    struct registrar_settings settings;

    bool quiet; /* the next world_open does not ask it to tell what is held */
    bool broker_up;
    struct gate_lease lease; /* what the payment application says; at first there is none */
    void (*lease_by)(void *ctx, struct gate_lease *ret_lease); /* or as this says; NULL: it does */
    void (*switched)(void *ctx);                               /* NULL, or also told */
    void *lease_ctx;
    unsigned switches;
    unsigned redials;  /* that the line was to be made again */
    const char *spare; /* a path in the registry: */
    bool spare_held;   /* it was there when the last switch was told */
    struct room room;  /* what the registry may take; at first all */
    size_t blob_count;
    struct world_blob blobs[WORLD_BLOBS];
    size_t asked_count; /* what was asked for last */
    uint8_t asked[WORLD_BLOBS][32];
    unsigned fetches; /* blobs handed over */
    size_t event_count;
    struct world_event events[WORLD_EVENTS];
    unsigned changes;
    bool settled;
};

int world_set_up(void **state);
int world_tear_down(void **state);

void world_open(struct world *world);
void world_close(struct world *world); /* waits for it */
void world_reopen(struct world *world);

/* Trust that knows the first root only. */
void world_root_first(struct world *world);
/* The next root is in force, with the keys that the world has now; the registrar is told. */
void world_root_next(struct world *world, uint64_t epoch);
/* Another key for a role, made under this name; the caller has the root name it. */
struct sign_key *world_key(struct world *world, const char *name);

/* Signs the documents and the manifest, publishes the blobs; the caller calls buf_done. */
void world_manifest(struct world *world, uint64_t version, const struct world_doc *docs,
                    size_t count, struct buf *ret_envelope);
/* The same, given to the registrar. */
bool world_push(struct world *world, uint64_t version, const struct world_doc *docs, size_t count,
                struct err *err);
/* Expected to be accepted and applied or refused: waits until all is settled. */
void world_apply(struct world *world, uint64_t version, const struct world_doc *docs, size_t count);
/* A check of everything, until settled. */
void world_check(struct world *world);
/* Turns the loop until `until` says yes; fails the test after 30 s. */
void world_wait(struct world *world, bool (*until)(const struct world *world));
bool world_was_asked(const struct world *world); /* the set asked for is not empty */

/* A blob to be had from the broker. */
void world_publish(struct world *world, struct bytes blob, uint8_t ret_sha256[32]);
/* Writes an executable sh script and sets it as the hook of the next world_open. */
void world_hook(struct world *world, const char *script, int64_t limit_ms);

size_t world_events(const struct world *world, Muster__EventKind kind, const char *item);
const struct world_event *world_last(const struct world *world, Muster__EventKind kind);
/* <registry>/current/<name> is this text; NULL: there is no such file. */
void world_assert_document(const struct world *world, const char *name, const char *text);
void world_path(const struct world *world, const char *name, char path[256]);
bool world_has(const struct world *world, const char *name);
/* Changes one byte of a file in place, as a failing medium would. */
void world_damage(const struct world *world, const char *name);

struct world_state {
    uint64_t manifest_version, generation;
    bool converged;
    size_t count;
    struct {
        char name[64];
        char reason[480];
        uint64_t wanted, held;
        Muster__ItemState state;
    } items[WORLD_DOCS];
};
void world_state(const struct world *world, struct world_state *ret_state);
Muster__ItemState world_item(const struct world *world, const char *name);

#endif
