/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_ERASE_WORDS_H
#define STORAGE_ERASE_WORDS_H

#include "base/err.h"

#include <stdbool.h>

/* Whether the text has the word in it: "m1" is in "merchant m1/s1" and in "m1-desk", and not in
 * "m10"; what begins or ends with another letter than those of ASCII may stand amid others. Pure.
 */
bool erase_word_in(const char *text, const char *word);

/* The names of what is erased, with its row after it, so that none is taken. */
#define ERASED_NAME "erased-"
/* ERR_CONFLICT: the name is one of those; `what` says of what it was to be. */
bool erase_name_is_free(const char *name, const char *what, struct err *err) MUSTER_CHECK;

#endif
