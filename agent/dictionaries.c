/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/dictionaries.h"

/* dictionary/records-N.zdict */
extern const unsigned char records_1[];
extern const size_t records_1_bytes;

void dictionaries_of_records(struct spool_dictionary ret_dictionaries[DICTIONARIES_OF_RECORDS])
{
    ret_dictionaries[0] = (struct spool_dictionary){1, bytes_of(records_1, records_1_bytes)};
}
