/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PROTO_KEY_BLOCK_H
#define PROTO_KEY_BLOCK_H

#include "base/buf.h"

/*
 * Is this one wrapped key, as ANSI X9.143 (TR-31) writes it? Header, optional blocks, the key as
 * cipher text, its MAC: printable, as long as it says, at most one end of line behind it. Nobody
 * here unwraps one; what must not pass is a clear key that was taken for one. ERR_INVALID says
 * what is wrong and never quotes the content.
 */
bool key_block_check(struct bytes content, struct err *err) MUSTER_CHECK;

#endif
