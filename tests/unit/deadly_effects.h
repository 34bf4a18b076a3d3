/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_UNIT_DEADLY_EFFECTS_H
#define TESTS_UNIT_DEADLY_EFFECTS_H

/* In place of base/file_effects.c, without the syncs: from the moment on that the journal of
 * actions is written, each effect may be the last. So many are still done; then the process kills
 * itself before the next one. -1: it lives. */
extern int deadly_left;

#endif
