/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_HELLO_FIT_H
#define AGENT_HELLO_FIT_H

#include "proto/hello.pb-c.h"

#include <stddef.h>

/* Leaves out what a hello can do without until it packs into `max_bytes`: the last receipts (they
 * stand newest first), then the reasons of the items, then the last streams, which sets
 * streams_cut. A hello that is too long would never be welcomed. */
void hello_fit(Muster__Hello *hello, size_t max_bytes);

#endif
