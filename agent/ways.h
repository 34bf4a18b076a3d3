/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_WAYS_H
#define AGENT_WAYS_H

#include "base/buf.h"
#include "proto/desired.pb-c.h"
#include "storage/registry.h"

/*
 * The ways in which one document's content can be had, as its manifest names them (Encoding), those
 * that this agent can go. Pure.
 */
struct way {
    Muster__ContentCoding coding;
    uint8_t blob[32]; /* of what is sent, or of the list of its pieces */
    uint64_t size;
    uint8_t base[32];     /* delta: hash of the content it starts from */
    uint32_t piece_bytes; /* 0: one blob */
    uint64_t pieces_size;
    bool
        inlined; /* the manifest brought it: `data_length` bytes at `data_at` of its inlined data */
    size_t data_at, data_length;
};

/* Of a document sent in pieces: what its list says. */
struct pieces {
    uint32_t piece_bytes;
    uint64_t bytes; /* of all together */
    size_t count;
    uint8_t sha256[][32];
};

enum { WAYS_MAX = 8 };

struct ways {
    size_t count;
    struct way list[WAYS_MAX];
    bool whole;            /* one of them leads there from nothing */
    unsigned ruled_out;    /* bit n: the n-th led nowhere */
    struct pieces *pieces; /* of the way below, once its list has come; NULL: not yet */
    size_t pieces_of;
};

/* Content that is longer goes through files, never through memory. */
bool ways_is_long(const struct registry_item *item);

/* Reads the encodings of an item whose header is in `item`; what is inlined goes to `inlined`.
 * Codings that are not known are left out. Refused: one that contradicts itself or the header. */
bool ways_read(const Muster__ManifestItem *encodings, const struct registry_item *item,
               struct buf *inlined, struct ways *ret_ways, struct err *err) MUSTER_CHECK;
void ways_done(struct ways *ways);

/* The cheapest one not ruled out whose base is at hand: its index, or -1. */
int ways_pick(const struct ways *ways, bool (*has_base)(void *ctx, const uint8_t sha256[32]),
              void *ctx);
/* Bytes on the line, with what each message costs. */
uint64_t way_cost(const struct way *way);
/* Bytes on the disk of the most that any of them can need, and of which blob. */
uint64_t ways_room(const struct ways *ways, const uint8_t **ret_blob);

/* Refused: not a list of so many pieces. */
bool pieces_read(const struct way *way, struct bytes list, struct pieces **ret_pieces,
                 struct err *err) MUSTER_CHECK;
uint64_t pieces_length(const struct pieces *pieces, size_t piece);

#endif
