/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_LEASE_KEPT_H
#define AGENT_LEASE_KEPT_H

#include "agent/lease.h"
#include "base/buf.h"

/*
 * What outlives the agent of a lease: in <state>/lease, after the SHA-256 of it, written only when
 * it differs from what is there.
 */
struct lease_kept {
    char path[512];
    uint8_t written[32]; /* SHA-256 of what is on the medium; zeros: not known */
};

/* What is damaged or cannot be read is lost, which is logged (lease_lose). */
bool lease_kept_open(struct lease_kept *kept, const char *state_dir, int64_t now_ms,
                     struct lease *ret_lease, struct err *err) MUSTER_CHECK;
bool lease_kept_save(struct lease_kept *kept, const struct lease *lease, int64_t now_ms,
                     struct err *err) MUSTER_CHECK;

bool lease_pack(const struct lease *lease, int64_t now_ms, struct buf *out,
                struct err *err) MUSTER_CHECK;
/* `ret_lease` is empty before, and after it when this is false. */
bool lease_unpack(struct bytes file, int64_t now_ms, struct lease *ret_lease,
                  struct err *err) MUSTER_CHECK;

#endif
