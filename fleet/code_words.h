/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FLEET_CODE_WORDS_H
#define FLEET_CODE_WORDS_H

#include "storage/fleetdb.h"

/*
 * What a host's response codes mean: in the words of the code profiles (proto/validate.h) that the
 * device is assigned, since each acquirer has a dialect of its own. A profile is read once.
 */
struct code_words;
bool code_words_open(struct fleetdb *db, struct code_words **ret_words,
                     struct err *err) MUSTER_CHECK;
void code_words_close(struct code_words *words);

enum { CODE_WORDS_GROUP_BYTES = 32, CODE_WORDS_MEANING_BYTES = 200 };
struct code_word {
    char group[CODE_WORDS_GROUP_BYTES];     /* "registration" */
    char meaning[CODE_WORDS_MEANING_BYTES]; /* by the first column of meanings; UTF-8 */
};
/* `device` by its row, `acquirer` its index there. Both "": no profile has the code. What is said
 * of this acquirer goes before what is said of all. */
bool code_words_find(struct code_words *words, int64_t device, int64_t acquirer, const char *code,
                     struct code_word *ret_word, struct err *err) MUSTER_CHECK;

#endif
