/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_WORLD_OPTIONS_H
#define TESTS_WORLD_OPTIONS_H

#include "base/err.h"

#include <stdint.h>

/* Command lines of the world's programs: "--name value" pairs, each needed unless it has a value
 * already. The table ends with an entry without a name. */
struct option_text {
    const char *name;
    const char **value;
};
bool options_read(int argc, char **argv, const struct option_text *table,
                  struct err *err) MUSTER_CHECK;
bool options_number(const char *name, const char *text, uint64_t *ret_value,
                    struct err *err) MUSTER_CHECK;

#endif
