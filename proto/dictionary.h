/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PROTO_DICTIONARY_H
#define PROTO_DICTIONARY_H

#include "base/buf.h"
#include "proto/arena.h"
#include "proto/batch.pb-c.h"

/* The dictionaries that this program was built with: proto/dictionary/<version>.pb. A version that
 * is out stays as it is for ever; senders use the newest. */
enum { DICTIONARY_NEWEST = 1 };

/* ERR_NEWER: not known here. */
bool dictionary_known(uint32_t version, struct err *err) MUSTER_CHECK;
/* The same, or it lives in `arena`. */
bool dictionary_find(uint32_t version, struct arena *arena, const Muster__Dictionary **ret_found,
                     struct err *err) MUSTER_CHECK;

#endif
