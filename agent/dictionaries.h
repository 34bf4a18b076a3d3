/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_DICTIONARIES_H
#define AGENT_DICTIONARIES_H

#include "storage/spool.h"

/* What the spool compresses records with: every version that was ever out, oldest first. A
 * dictionary that is out never changes; a better one is a new file and a new version. */
enum { DICTIONARIES_OF_RECORDS = 1 };
void dictionaries_of_records(struct spool_dictionary ret_dictionaries[DICTIONARIES_OF_RECORDS]);

#endif
