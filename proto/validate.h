/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PROTO_VALIDATE_H
#define PROTO_VALIDATE_H

#include "base/buf.h"
#include "proto/desired.pb-c.h"

/*
 * Is this content what its kind promises? Asked by whoever signs it, and by every terminal before
 * it is put in force. A pure function; ERR_INVALID names the row (the header is row 1) and the
 * column.
 *
 *   table         proto/table.h
 *   code-profile  a table with the columns code (1 to 4 bytes), group and meaning (or
 *                 meaning_<language>), none of them empty in a row; with a column acquirer (an
 *                 index; empty: every one's) each code once for each, else once
 *   params        INI (proto/params.h)
 *   connection    the same
 *   aid-list, ca-keys  what an EMV kernel reads (proto/emv_tables.h)
 *   file          any bytes, as are application and firmware, which the installer judges
 *   key-block     one wrapped key (proto/key_block.h)
 */
bool validate_document(Muster__DocumentKind kind, struct bytes content,
                       struct err *err) MUSTER_CHECK;
/* "table" "params" "connection" "code-profile" "file" "key-block" "aid-list" "ca-keys"
 * "application" "firmware"; "unknown" for any other. */
const char *validate_kind_name(Muster__DocumentKind kind);

#endif
