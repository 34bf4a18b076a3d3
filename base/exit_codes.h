/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_EXIT_CODES_H
#define BASE_EXIT_CODES_H

#include "base/err.h"

enum exit_code {
#define EXIT_CODE(name, number, meaning) EXIT_##name = number,
#include "base/exit_codes.def"
#undef EXIT_CODE
};

/* The exit code that fits an error. */
int exit_code_of(const struct err *err);

#endif
