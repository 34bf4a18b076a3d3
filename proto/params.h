/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PROTO_PARAMS_H
#define PROTO_PARAMS_H

#include "base/buf.h"

/*
 * Documents that are parameters: UTF-8 INI without a byte order mark, lines of at most 198 bytes;
 * sections, keys and values, at least one value. A key stands once in its section, also where the
 * section is begun again: readers do not agree on which of two counts. ERR_INVALID names the row.
 */
bool params_check(struct bytes content, struct err *err) MUSTER_CHECK;

#endif
