/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_PLACING_H
#define AGENT_PLACING_H

#include "agent/gate.h"
#include "proto/arena.h"
#include "proto/local.pb-c.h"

/* What is in force and waits for its gate by itself, as it is told to people on the terminal. */
struct placing {
    const char *name, *version;
    const char *slot; /* "": a package */
    uint8_t digest[32];
    struct gate_answer answer;
    int64_t waited_ms;
};

/* A copy that lives in the arena; NULL: no memory. */
Muster__Placing *placing_tell(const struct placing *placing, struct arena *arena);

#endif
