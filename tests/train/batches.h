/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_TRAIN_BATCHES_H
#define TESTS_TRAIN_BATCHES_H

#include "tests/train/terminals.h"

/* Makes the dictionary of batches (Dictionary in proto/batch.proto) and says what it is worth. */
struct batches_order {
    uint32_t version;
    int level;
    const char *out; /* OUT and OUT.txt are written */
};
bool batches_train(const struct batches_order *order, const struct train_tables *tables,
                   struct err *err) MUSTER_CHECK;

#endif
