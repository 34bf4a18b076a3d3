/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FLEET_IMPORT_OTHERS_H
#define FLEET_IMPORT_OTHERS_H

#include "base/err.h"

#include <jansson.h>

/* Which other lines of an inventory say otherwise than this one, and of what: the first few, as
 * [{"row": 3, "what": "region of store m1/s1"}], the caller's. Looks through all of them: some
 * milliseconds for 10,000. Pure. */
bool import_others_of(const json_t *rows, size_t line, json_t **ret_list,
                      struct err *err) MUSTER_CHECK;

#endif
