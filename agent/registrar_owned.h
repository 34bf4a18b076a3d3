/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_REGISTRAR_OWNED_H
#define AGENT_REGISTRAR_OWNED_H

#include "agent/owned.h"
#include "agent/registrar_content.h"
#include "agent/sync.h"

#include <uv.h>

struct registrar;

/*
 * The looks at files that other systems own, as part of a check: filled on the loop, run on a
 * worker, done on the loop. Nothing here writes a file; see also agent/sync_owned.c.
 */
struct owned_compare {
    struct registry_item item;    /* as it is wanted */
    bool owned;                   /* else held here, and looked at for its rows alone */
    uint64_t generation;          /* that holds it, where it is not */
    char path[OWNED_PATH_BYTES];  /* where it is */
    bool rows;                    /* the wanted content is at hand: */
    struct content_source source; /* made from this */
    struct sync_seen seen;
};

struct owned_looks {
    size_t count;
    struct owned_compare *list; /* NULL: none */
};

struct owned_seen {
    char name[REGISTRY_NAME_CHARS + 1];
    uint8_t wanted[32]; /* the content that it was held against */
    unsigned looks;     /* in a row that came to nothing, for its owner has not taken it over yet or
                           was writing it; 0: none */
    struct sync_seen seen;
};

/* What the last check saw, and the documents that have owners. */
struct owned_state {
    struct owned owned;
    size_t count;
    struct owned_seen list[REGISTRY_ITEMS];
    int64_t longest_ms; /* until what came to nothing is looked at again; 0: with the next check */
    uv_timer_t timer;
};

/* Without memory it looks at none, and what was seen before stays. */
void owned_looks_fill(const struct registrar *registrar, struct owned_looks *ret_looks);
void owned_looks_run(const struct registry *registry, struct owned_looks *looks,
                     struct blob_set *lost);
/* Frees the looks. */
void owned_looks_done(struct registrar *registrar, struct owned_looks *looks);

/* For sync_reports: one for each want. */
struct owned_view {
    const struct sync_seen *wants[REGISTRY_ITEMS];
};
void owned_view(const struct registrar *registrar, struct owned_view *ret_view);
/* Another manifest counts: its owned documents are looked at soon. */
void owned_look_soon(struct registrar *registrar);
/* Says of key blocks that a file named for them in the settings counts for nothing. */
void owned_note_keys(const struct registrar *registrar);
/* It is in force, or its owner was told so just now: what he kept until then says nothing. */
void owned_look_anew(struct registrar *registrar);
/* It is worth telling: no owner who only has to be given some seconds. */
bool owned_is_sure(const struct registrar *registrar, const struct sync_report *row);

#endif
