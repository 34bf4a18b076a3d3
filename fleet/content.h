/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FLEET_CONTENT_H
#define FLEET_CONTENT_H

#include "base/buf.h"
#include "fleet/parcel.h"
#include "proto/desired.pb-c.h"

/* A document's content on its way to the terminals, and what can be checked of it. */

/* What can be said before signing: not empty, within LIMIT_DOCUMENT_BYTES, and of the form that its
 * kind has (proto/validate.h), since every terminal would refuse it. What the terminal's own hook
 * says comes after. */
bool content_check(Muster__DocumentKind kind, struct bytes content, struct err *err) MUSTER_CHECK;

/* Appends the whole as one frame; ERR_FULL if it exceeds LIMIT_BLOB_BYTES. */
bool content_encode(struct bytes content, struct buf *out, struct err *err) MUSTER_CHECK;

/* What an encoding should unfold to, and what a delta starts from. */
struct content_spec {
    uint64_t length;
    const uint8_t *sha256;
    struct bytes base; /* the content whose hash the encoding names; delta only */
    /* Gives the content in order; NULL: it is only compared. It may only be used when all is
     * done: before, nobody knows whether it is what was signed. */
    bool (*each)(void *ctx, struct bytes part, struct err *err);
    void *ctx;
};
/* Foreign bytes, in steps: `*ret_done` once the encoding has unfolded to exactly that. What is
 * sealed is compared as it is sent. Memory is bounded by a window, whatever a frame claims. A step
 * takes or makes `budget_bytes`, and at most a blob more. The encoding, and what the spec points
 * at, must live as long. */
struct content_unfolding;
bool content_begin(const struct parcel_source *source, const struct fleetdb_encoding *encoding,
                   const struct content_spec *spec, struct content_unfolding **ret_unfolding,
                   struct err *err) MUSTER_CHECK;
bool content_step(struct content_unfolding *unfolding, uint64_t budget_bytes, bool *ret_done,
                  struct err *err) MUSTER_CHECK;
void content_free(struct content_unfolding *unfolding);
/* All at once. */
bool content_unfold(const struct parcel_source *source, const struct fleetdb_encoding *encoding,
                    const struct content_spec *spec, struct err *err) MUSTER_CHECK;

/* The same of one blob that is whole and in memory. */
bool content_verify(struct bytes blob, uint64_t length, const uint8_t sha256[32],
                    struct err *err) MUSTER_CHECK;

#endif
