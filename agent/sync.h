/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_SYNC_H
#define AGENT_SYNC_H

#include "agent/rowdiff.h"
#include "proto/desired.pb-c.h"
#include "proto/key_placement.h"
#include "proto/package.h"
#include "proto/record.pb-c.h"
#include "storage/registry.h"
#include "storage/registry_probation.h"

/*
 * What is wanted, what is held and what is in the blob store, to what follows. Pure functions:
 * nothing here touches a file or the clock.
 */

enum { SYNC_WHY_BYTES = 128 };

/* One document as the manifest wants it. */
struct sync_want {
    struct registry_item item;   /* blob: of the way that needs most room; all zero: there is no way
                                    to the content that this agent understands */
    Muster__AssignMode mode;     /* OBSERVE too where this agent cannot take it */
    Muster__AssignMode assigned; /* as the manifest says */
    Muster__Refusal refusal;     /* why it cannot; what is held of it stays, all else goes on */
    char why[SYNC_WHY_BYTES];
    struct key_placement key;                        /* of a key block */
    char package_version[PACKAGE_VERSION_CHARS + 1]; /* of an application or firmware */
    char model[PACKAGE_MODEL_CHARS + 1];
};

struct sync_wants {
    size_t count;
    struct sync_want wants[REGISTRY_ITEMS]; /* ascending by name */
};

/* What the last look at a held file found. */
enum sync_finding {
    SYNC_SOUND,
    SYNC_REPAIRED, /* sound again since the last full check */
    SYNC_DAMAGED,
    SYNC_MISSING,
};

struct sync_holding {
    const struct registry_items *list;
    const enum sync_finding *findings; /* one for each item */
    bool anew;                         /* nothing of it is carried over */
};

const struct sync_want *sync_want_of(const struct sync_wants *wants, const char *name);
const struct registry_item *sync_item_of(const struct registry_items *list, const char *name);

/* SHA-256 over, for each item ascending by name: the name's bytes, NUL, the version as 8 bytes
 * (most significant first), the content's SHA-256. The same on every terminal that holds the
 * same; zeros for no items. */
void sync_digest(const struct registry_items *list, uint8_t ret_digest[32]);

/* The generation that the manifest leads to: what is to be repaired comes from the manifest,
 * what is only observed or proposed stays as it is held, the rest goes. */
void sync_target(const struct sync_wants *wants, const struct registry_items *held,
                 struct registry_items *ret_target);
/* Same names, versions and contents: nothing to build. */
bool sync_same(const struct registry_items *a, const struct registry_items *b);
/* Of the same header, so that a file or its copy made for the one serves the other. */
bool sync_same_content(const struct registry_item *a, const struct registry_item *b);
/* A sound held file of the same name and content can be carried over instead of made. */
bool sync_carries(const struct registry_item *target, const struct sync_holding *held);
/* May the agent write this name? Without a manifest it keeps what it once applied. */
bool sync_may_repair(const struct sync_wants *wants, const char *name);
bool sync_sound(enum sync_finding finding);

struct sync_blobs {
    size_t count;
    uint8_t sha256[REGISTRY_ITEMS][32];
    uint64_t sizes[REGISTRY_ITEMS];
    size_t contents; /* for the sake of these, by what their headers name */
    uint8_t content[2 * REGISTRY_ITEMS][32];
};

/* Adds a blob once, as long as there is room. */
void sync_blobs_add(struct sync_blobs *blobs, const uint8_t sha256[32], uint64_t size);
/* Some blob of this item's content is lacking. */
bool sync_blobs_for(const struct sync_blobs *blobs, const struct registry_item *item);

/* Blobs that are needed and not there, each once, as many as a list takes: to repair what is
 * damaged (`want` NULL, `item` as it is held) and to make the target. `missing` adds those of one
 * item and says whether there are any. `wants` NULL: no manifest. `build` false: the target is not
 * to be built. */
void sync_lacks(const struct sync_wants *wants, const struct sync_holding *held, bool build,
                bool (*missing)(void *ctx, const struct registry_item *item,
                                const struct sync_want *want, struct sync_blobs *lacks),
                void *ctx, struct sync_blobs *ret_lacks);

/* Bytes of the contents and blobs of these lists together, shared ones counted once. */
uint64_t sync_bytes(const struct registry_items *const *lists, size_t count);

/* It says only what was in force and was taken back. */
bool sync_was_returned(const struct registry_failure *failure);
/* It holds what is wanted, as far as the registry knows. */
bool sync_as_wanted(Muster__ItemState state);

/* What was seen of a document that Muster does not write, or that somebody else keeps as well. */
struct sync_seen {
    bool owned;                  /* the file of its owner; else a held one, for its rows alone */
    Muster__DifferenceKind kind; /* NONE: it was read, and this is of what was read: */
    uint64_t length;
    uint8_t sha256[32];
    char why[64]; /* unreadable: why */
    bool rows;    /* compared with the content of this hash: */
    uint8_t rows_with[32];
    struct rowdiff diff;
};

/* The same as it is told; kind NONE: no difference, or none that is somebody else's. */
struct sync_difference {
    Muster__DifferenceKind kind;
    bool owned;
    uint64_t wanted_bytes, found_bytes;
    bool rows;
    struct rowdiff diff;
};

struct sync_report_input {
    const struct sync_wants *wants;      /* NULL: none */
    const struct sync_seen *const *seen; /* one for each want, NULL where nothing was looked at */
    struct sync_holding held;
    const Muster__RepairSource *sources;    /* of the last repair, one for each held item */
    const struct registry_failure *failure; /* of this manifest, or not present */
    const struct registry_returned *const *returned; /* one for each want that was taken back */
    const struct sync_blobs *lacks;
    const char *waits;   /* with what a built generation is put in force; NULL: none waits */
    const char *stalled; /* why nothing is done for now; NULL: nothing keeps it */
    const struct registry_items *before; /* what is on probation is another than in this; NULL:
                                            nothing is */
};

struct sync_report {
    char name[REGISTRY_NAME_CHARS + 1];
    Muster__AssignMode mode;
    uint64_t wanted_version; /* 0: not wanted */
    uint64_t held_version;   /* 0: not held */
    uint8_t wanted_sha256[32];
    uint8_t held_sha256[32];
    Muster__ItemState state;
    Muster__RepairSource source;
    Muster__Refusal refusal; /* which check said no to it */
    char reason[200];
    struct sync_difference difference;
};

/* One for each name wanted or held, wanted ones first; returns how many, at most
 * 2 * REGISTRY_ITEMS. Converged: every item holds what the manifest wants, and nothing else. */
size_t sync_reports(const struct sync_report_input *input, struct sync_report *ret_reports,
                    bool *ret_converged);

/* ---- what is not Muster's to write (sync_owned.c) ---- */

/* An observed or proposed document of which another system keeps the file. True: it is as wanted.
 */
bool sync_report_owned(const struct sync_report_input *input, const struct sync_want *want,
                       const struct sync_seen *seen, struct sync_report *report);
/* One that is held here (`held` NULL: it is not), and not as wanted. `finding`: of its file. */
void sync_report_left(const struct sync_want *want, const struct registry_item *held,
                      enum sync_finding finding, const struct sync_seen *seen,
                      struct sync_report *report);
/* It is in force as wanted, and as far as was seen its owner has not taken it over. */
bool sync_untaken(const struct registry_items *list, const struct sync_want *want,
                  const struct sync_seen *seen);
/* One that is in force as wanted, and that its owner has to take over. True: he has. */
bool sync_report_taken(const struct sync_report_input *input, const struct sync_want *want,
                       const struct sync_seen *seen, struct sync_report *report);

#endif
