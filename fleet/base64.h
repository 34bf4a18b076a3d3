/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FLEET_BASE64_H
#define FLEET_BASE64_H

#include "base/buf.h"

/* RFC 4648 section 4, padded, as JSON carries bytes. Both append to `out`; encode also writes a
 * NUL that is not counted in the length, decode refuses anything that encode would not write. */
bool base64_encode(struct bytes in, struct buf *out, struct err *err) MUSTER_CHECK;
bool base64_decode(const char *text, size_t length, struct buf *out, struct err *err) MUSTER_CHECK;

#endif
