/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_REGISTRAR_PLAN_H
#define AGENT_REGISTRAR_PLAN_H

#include "agent/sync.h"
#include "agent/ways.h"

struct registrar;

enum { PLAN_PIECES_AT_ONCE = 4 };

/* From what one item's content is to be made; for a job, so it points at nothing. */
struct content_source {
    bool present;
    bool copy; /* a copy in the store; else a way of the manifest: */
    size_t want, index;
    bool last; /* no other way is left */
    struct way way;
    uint64_t base_generation; /* delta: where the content it starts from is held */
    char base_name[REGISTRY_NAME_CHARS + 1];
    struct key_placement key; /* of a key block that is wanted; slot "": it is not */
};

/* The best source for the item's content, whether all of it is here or not. */
void plan_source(const struct registrar *registrar, const struct registry_item *item,
                 struct content_source *ret_source);
/* Adds the blobs that are needed to make this item's content and not here; true: there are any. As
 * sync_lacks asks. */
bool plan_missing(void *registrar, const struct registry_item *item, const struct sync_want *want,
                  struct sync_blobs *lacks);
/* What the manifest itself brought, and lists of pieces that are in the store, put to use. */
void plan_supply(struct registrar *registrar);
/* Reads the list, if this blob is the list of a way that is being gone. */
void plan_list(struct registrar *registrar, const uint8_t sha256[32], struct bytes blob);
/* This way led nowhere and is not gone again for this manifest. */
void plan_rule_out(struct registrar *registrar, const struct content_source *source,
                   const struct err *why);
/* Bytes that the disk must still take for what is wanted: blobs that are not here, and the files
 * made of them. */
uint64_t plan_bytes(const struct registrar *registrar);
/* Every blob of the ways being gone. */
bool plan_needs(const struct registrar *registrar,
                bool (*add)(void *ctx, const uint8_t sha256[32], struct err *err), void *ctx,
                struct err *err) MUSTER_CHECK;

#endif
