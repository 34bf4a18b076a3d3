/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FLEET_LOSSES_H
#define FLEET_LOSSES_H

#include "storage/fleetdb_streams.h"

/*
 * The arithmetic of declared losses. They are a part of what is settled of their stream, the rest
 * of which is committed: what is held always wins over a declaration, and of two reasons for one
 * seq the lower number (LossReason: unknown is the highest). So any order and any repeats of
 * records and declarations give the same. Pure: no clock, no database.
 */

/* Puts `declared` (1 <= first <= last) into a copy of `losses`, before it is added to what is
 * settled of the stream. `*ret_new`: so many were neither settled nor lost. ERR_FULL: that would
 * need more than FLEETDB_LOST_MAX ranges. */
bool losses_add(const struct fleetdb_losses *losses, const struct fleetdb_stream *stream,
                const struct fleetdb_lost *declared, struct fleetdb_losses *ret_losses,
                uint64_t *ret_new, struct err *err) MUSTER_CHECK;
bool losses_has(const struct fleetdb_losses *losses, uint64_t seq);
/* A record came for `seq`, which losses_has. There must be room for one range more. */
void losses_take_out(struct fleetdb_losses *losses, uint64_t seq);
bool losses_equal(const struct fleetdb_losses *a, const struct fleetdb_losses *b);

#endif
