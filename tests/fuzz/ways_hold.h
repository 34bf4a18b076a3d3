/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_FUZZ_WAYS_HOLD_H
#define TESTS_FUZZ_WAYS_HOLD_H

#include "agent/ways.h"

/* What must hold of the ways to an item's content, once they were taken from a manifest. */
void ways_hold(const struct ways *ways, const struct registry_item *item, struct bytes inlined);

#endif
