/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_RECEIPTS_H
#define AGENT_RECEIPTS_H

#include "proto/arena.h"
#include "proto/trust.h"
#include "storage/spool.h"

/* Verifies a Receipt envelope against the receipt role and marks in the spool what it says is
 * committed. Nothing is marked unless signature, device and form are right; a stream whose claim is
 * impossible is refused by itself (ERR_REFUSED after the others were taken). */
bool receipts_take(struct spool *spool, const struct trust *trust, const char *device,
                   struct bytes envelope, struct arena *arena, struct err *err) MUSTER_CHECK;

#endif
