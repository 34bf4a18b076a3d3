/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FLEET_ROOT_DRAFT_H
#define FLEET_ROOT_DRAFT_H

#include "proto/envelope.h"
#include "proto/trust.h"

/*
 * A root (desired.proto) while people are at it: changed, signed by one keeper after the other, not
 * in force yet. What terminals will say of it in the end is for proto/trust.c alone.
 */
enum { ROOT_ROLES = MUSTER__ROLE__ROLE_RECEIPT + 1 };

struct root_role {
    size_t threshold;
    struct verify_key *keys[ENVELOPE_SIGNATURES];
    size_t count;
};

struct root_draft {
    uint64_t version, epoch;
    int64_t issued_ms;
    struct root_role roles[ROOT_ROLES]; /* by Muster__Role */
};

/* "release"; "" for 0. The other way round ERR_INVALID says which there are. */
const char *root_role_name(size_t role);
bool root_role_of(const char *name, size_t *ret_role, struct err *err) MUSTER_CHECK;

/* The root in an Envelope, foreign bytes; its signatures, if any, are not looked at. ERR_NEWER: it
 * holds what this program would lose if it wrote it again. */
bool root_draft_read(struct bytes envelope, struct root_draft *ret_draft,
                     struct err *err) MUSTER_CHECK;
void root_draft_done(struct root_draft *draft);
/* Appends an Envelope that nobody has signed. */
bool root_draft_pack(const struct root_draft *draft, struct buf *out, struct err *err) MUSTER_CHECK;

/* The key is copied. */
bool root_draft_add(struct root_draft *draft, size_t role, const struct verify_key *key,
                    struct err *err) MUSTER_CHECK;
/* ERR_NOT_FOUND: the role does not have it. */
bool root_draft_remove(struct root_draft *draft, size_t role, const uint8_t id[KEY_ID_BYTES],
                       struct err *err) MUSTER_CHECK;
/* The role that has this key; 0: none. */
size_t root_draft_role_of(const struct root_draft *draft, const uint8_t id[KEY_ID_BYTES]);
/* Whether a fleet can live with it: every role can sign, no key serves two, and musterd, which has
 * one key for each, can sign what is asked of it. */
bool root_draft_check(const struct root_draft *draft, struct err *err) MUSTER_CHECK;
/* Whether it is what may come after `previous`, but for the signatures. */
bool root_draft_follows(const struct root_draft *draft, const struct root_draft *previous,
                        struct err *err) MUSTER_CHECK;

#endif
