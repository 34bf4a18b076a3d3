/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PROTO_COLUMNS_H
#define PROTO_COLUMNS_H

#include "proto/batch.h"

/* Checks the rows and fills in what is not a column. */
bool columns_begin(const struct lane_rows *rows, Muster__LaneBatch *ret_batch,
                   struct err *err) MUSTER_CHECK;
/* One field; `*ret_column` stays NULL where all rows are default. */
bool column_of_rows(const struct lane_rows *rows, const ProtobufCFieldDescriptor *field,
                    struct arena *arena, Muster__Column **ret_column, struct err *err) MUSTER_CHECK;
/* Rows of a flat message to columns and back, by the message's descriptor: a field added to a
 * record needs no code here. Column messages and values live in `arena`. */
bool columns_of_rows(const struct lane_rows *rows, struct arena *arena,
                     Muster__LaneBatch *ret_batch, struct err *err) MUSTER_CHECK;
bool rows_of_columns(const Muster__LaneBatch *batch, struct arena *arena,
                     struct lane_rows *ret_rows, struct err *err) MUSTER_CHECK;

#endif
