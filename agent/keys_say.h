/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_KEYS_SAY_H
#define AGENT_KEYS_SAY_H

#include "agent/keys.h"

/*
 * What a key loader says on its stdout, one fact a line; the agent runs it as
 *
 *   LOADER inventory           slot tmk usage K0 algorithm A mode B version 12 kcv aes-cmac:08793E
 *                              slot pik own acquirer 2 usage P0 algorithm T
 *                              slot ipek empty
 *                              end
 *   LOADER load SLOT           the block on stdin; kcv aes-cmac:08793E
 *                              version 12
 *
 * and it exits with 0. An inventory without its last line, "end", is not whole and counts for
 * nothing. "version" is what keeps an older key out where the agent's own book is lost; 0: a key
 * that has none. What is not said is not compared. "why TEXT" and 1: it says no, and the key that
 * was there is there; any other exit: it could not be done now. Of TEXT only what cannot be a key
 * is told. Other lines say nothing, nor does stderr. What the block's signed header says
 * stands in MUSTER_KEY_USAGE, _ALGORITHM, _MODE, _VERSION and MUSTER_KEY_KCV (METHOD:HEX), so that
 * a loader can compare before it replaces.
 */
enum { KEYS_EXIT_REFUSED = 1 };

bool keys_say_inventory(const char *output, struct key_inventory *ret_inventory,
                        struct err *err) MUSTER_CHECK;

struct key_loaded {
    bool has_kcv;
    struct key_held key; /* kcv and version; the rest is not said */
};
bool keys_say_loaded(const char *output, struct key_loaded *ret_loaded,
                     struct err *err) MUSTER_CHECK;
/* The text of its first "why", without what could be a key in it (agent/keys_blot.h). "": it gave
 * none. */
void keys_say_why(const char *output, char ret_why[KEYS_WHY_CHARS + 1]);

#endif
