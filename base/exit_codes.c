/* SPDX-License-Identifier: Apache-2.0 */
#include "base/exit_codes.h"

int exit_code_of(const struct err *err)
{
    switch (err->code) {
    case ERR_NONE:
        return EXIT_OK;
    case ERR_INVALID:
    case ERR_REFUSED:
    case ERR_CONFLICT:
    case ERR_NEWER:
        return EXIT_INPUT;
    case ERR_NOT_FOUND:
        return EXIT_NOT_FOUND;
    case ERR_TIMEOUT:
        return EXIT_TIMEOUT;
    case ERR_UNAVAILABLE:
        return EXIT_UNREACHABLE;
    case ERR_FULL:
    case ERR_IO:
    case ERR_NO_MEMORY:
        return EXIT_SYSTEM;
    }
    return EXIT_SYSTEM;
}
