/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_ERASE_WORDS_H
#define STORAGE_ERASE_WORDS_H

#include "base/err.h"

#include <stdbool.h>

/*
 * Words that are looked for in texts, whatever the case and the width of their letters: "m1" is in
 * "merchant M1/s1" and in "m1-desk", and not in "m10"; what begins or ends with another letter than
 * those of ASCII may stand amid others. Letters are compared as Unicode folds their case (UAX 44,
 * NFKC); bytes that are no UTF-8 are no letters. Thousands of words take about as long as one.
 */
struct erase_words;
struct erase_words *erase_words_new(void);
void erase_words_free(struct erase_words *words);
/* "" is in nothing. */
void erase_words_add(struct erase_words *words, const char *word);
/* Whether one of them is in the text. */
bool erase_words_in(struct erase_words *words, const char *text);

/* The names of what is erased, with its row after it, so that none is taken. */
#define ERASED_NAME "erased-"
/* ERR_CONFLICT: the name is one of those; `what` says of what it was to be. */
bool erase_name_is_free(const char *name, const char *what, struct err *err) MUSTER_CHECK;

#endif
