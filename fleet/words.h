/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FLEET_WORDS_H
#define FLEET_WORDS_H

#include "base/err.h"
#include "proto/desired.pb-c.h"

/* The words of the API and the command for the contract's enumerations. */

const char *
word_of_kind(int kind); /* "table" "params" "code-profile" "file" "key-block", or "unknown" */
bool word_to_kind(const char *word, Muster__DocumentKind *ret_kind, struct err *err) MUSTER_CHECK;

const char *word_of_coding(int coding); /* "zstd" "zstd-delta" "cms", or "unknown" */
bool word_to_coding(const char *word, int *ret_coding, struct err *err) MUSTER_CHECK;

const char *word_of_mode(int mode); /* "observe" "propose" "repair", or "unknown" */
bool word_to_mode(const char *word, Muster__AssignMode *ret_mode, struct err *err) MUSTER_CHECK;

#endif
