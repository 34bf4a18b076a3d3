/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_CRASH_FIGURES_H
#define TESTS_CRASH_FIGURES_H

#include "tests/crash/crash.h"

/* What a run has covered. */
struct figures {
    uint64_t images, points; /* distinct images; operations after which the power was cut */
    uint64_t checks;
    uint64_t cuts_after[DISK_KINDS]; /* cuts, those that gave an image seen before included */
    struct figures_mode {
        const char *name;
        uint64_t cuts;
    } modes[16];
    struct hash_set {
        uint64_t *slots;
        size_t count, room;
    } seen, checked;
};

void figures_cut(struct figures *figures, const char *mode, enum disk_kind after);
/* False: this image was checked in this state before. */
bool figures_add(struct figures *figures, uint64_t image, uint64_t state);
/* Lines `crash.PART.NAME VALUE count`, also into `file` if there is one. False: something was not
 * covered, which is said. */
bool figures_print(const struct figures *figures, const struct crash_part *part,
                   const struct crash *crash, uint64_t lies, const char *file);
void figures_done(struct figures *figures);

#endif
