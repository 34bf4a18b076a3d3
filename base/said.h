/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_SAID_H
#define BASE_SAID_H

#include <stddef.h>

/* The first line of what a foreign program said that says anything, fit for a message and a screen:
 * without control characters, valid UTF-8, cut to `size` bytes with the NUL. "": it said nothing.
 */
void said_line(const char *output, char *ret_line, size_t size);

#endif
