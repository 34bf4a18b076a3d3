/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FLEET_CTL_FETCH_H
#define FLEET_CTL_FETCH_H

#include "fleet/ctl.h"
#include "proto/trust.h"

/* What musterd holds of signed state, appended to `out`. It is not believed: a blob is compared
 * with its name, a chain of roots is verified from its first one on. */
bool ctl_fetch_blob(struct ctl *ctl, const uint8_t sha256[32], struct buf *out,
                    struct err *err) MUSTER_CHECK;

/* The whole chain, ascending; `version` is somewhere in it. It is followed from `pinned`, a root
 * that is trusted for where it comes from, or if that is empty from the first there is.
 * ERR_NOT_FOUND: musterd has no such, nor is `pinned` of that version. */
struct ctl_roots {
    struct buf *envelopes; /* `count` of them; none: musterd has none, and `pinned` was enough */
    size_t count;
    uint64_t first;      /* version of the first */
    struct trust *trust; /* the newest, followed from the first */
};
bool ctl_fetch_roots(struct ctl *ctl, uint64_t version, struct bytes pinned,
                     struct ctl_roots *ret_roots, struct err *err) MUSTER_CHECK;
void ctl_roots_done(struct ctl_roots *roots);

#endif
