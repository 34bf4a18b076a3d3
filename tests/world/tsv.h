/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_WORLD_TSV_H
#define TESTS_WORLD_TSV_H

#include "base/buf.h"

enum { TSV_MAX_COLUMNS = 8 };

/* Calls `each` with the fields of every row after the header line, which must be `header`
 * (names separated by tabs). Fields are NUL-ended and valid during the call only. ERR_INVALID
 * names the line that is wrong. */
bool tsv_each(struct bytes text, const char *header,
              bool (*each)(void *ctx, char *const *fields, struct err *err), void *ctx,
              struct err *err) MUSTER_CHECK;

/* A decimal number from 0 to `max`; false for anything else. */
bool tsv_number(const char *text, uint32_t max, uint32_t *ret_value) MUSTER_CHECK;

#endif
