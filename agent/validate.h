/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_VALIDATE_H
#define AGENT_VALIDATE_H

#include "base/buf.h"
#include "proto/desired.pb-c.h"

/*
 * Is this content what its kind promises? A pure function; ERR_INVALID names the row (the header
 * is row 1) and the column.
 *
 *   table         UTF-8 (RFC 3629), tab-separated; a header line of different, non-empty names and
 *                 at least one row; every row has as many columns; no NUL, no empty line; lines
 *                 end in LF or CRLF, the last may go without
 *   code-profile  a table with the columns code, group and meaning (or meaning_<language>), none
 *                 of them empty in a row, each code once
 *   params        UTF-8 INI: sections, keys and values, at least one value
 *   file          any bytes
 *   key-block     one wrapped key (proto/key_block.h)
 */
bool validate_document(Muster__DocumentKind kind, struct bytes content,
                       struct err *err) MUSTER_CHECK;
/* "table" "params" "code-profile" "file" "key-block"; "unknown" for any other. */
const char *validate_kind_name(Muster__DocumentKind kind);

#endif
