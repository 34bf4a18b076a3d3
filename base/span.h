/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_SPAN_H
#define BASE_SPAN_H

#include <stdbool.h>
#include <stdint.h>

enum { SPAN_WORDS_CHARS = 24 };

/* How long, for people: "80 s", "90 min", "12 h". What has passed is rounded down, what is still to
 * come up: it is over by then. */
void span_words(int64_t ms, bool up, char out[SPAN_WORDS_CHARS]);

#endif
