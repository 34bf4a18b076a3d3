/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FLEET_IMPORT_ROW_H
#define FLEET_IMPORT_ROW_H

#include "base/buf.h"
#include "storage/fleetdb_labels.h"

#include <jansson.h>

/* One device of an inventory that comes in, read and held to its form; of what the fleet knows
 * nothing is asked. */
struct import_row {
    struct fleetdb_enrolment enrolment; /* its texts are the object's */
    struct fleetdb_terminal *terminals;
    struct fleetdb_label *labels;
    size_t label_count;
    bool has_labels, has_life;
    enum fleetdb_life life;
    struct buf key;
};

/* `object` lives as long as the row. ERR_INVALID says what is wrong. */
bool import_row_read(const json_t *object, struct import_row *ret_row,
                     struct err *err) MUSTER_CHECK;
void import_row_done(struct import_row *row);

#endif
